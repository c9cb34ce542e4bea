//! Contacts by page and by sync token: what has changed, what a token is good for, how it expires, what lags.

use gmail_sim::{Contact, ContactView, Fault, FaultKind, SyncTokenRefusal};
use serde_json::{Value, json};

use crate::people::{SYNC, add, ask, assert_invalid, changes, connections, names, refusal, synced, token_of};
use crate::world::{ANNA, BEN, CONTACTS, START, World};

const DAY: i64 = 24 * 3_600_000;

#[test]
fn pages_hold_so_many_people_and_the_last_has_the_sync_token() {
    let world = World::new();
    for n in 0..5 {
        add(&world, &format!("Client {n}"));
    }
    let query = format!("{SYNC}&pageSize=2");
    let first = ask(&world, &query).ok();
    assert_eq!(names(&first), ["Client 0", "Client 1"]);
    assert_eq!(first["totalItems"], 5);
    assert!(first.get("nextSyncToken").is_none());
    add(&world, "Late");
    let second = ask(
        &world,
        &format!("{query}&pageToken={}", token_of(&first, "nextPageToken")),
    )
    .ok();
    assert_eq!(names(&second), ["Client 2", "Client 3"]);
    let third = ask(
        &world,
        &format!("{query}&pageToken={}", token_of(&second, "nextPageToken")),
    )
    .ok();
    assert_eq!(names(&third), ["Client 4"]);
    assert!(third.get("nextPageToken").is_none());
    let since = format!("{query}&syncToken={}", token_of(&third, "nextSyncToken"));
    assert_eq!(names(&ask(&world, &since).ok()), ["Late"]);
    assert!(
        ask(&world, "personFields=names")
            .ok()
            .get("nextSyncToken")
            .is_none()
    );
    for _ in 0..95 {
        add(&world, "Many");
    }
    let page = ask(&world, "personFields=names").ok();
    assert_eq!(connections(&page).len(), 100, "by default");
}

#[test]
fn a_sync_token_lists_whole_people_that_changed_and_those_deleted() {
    let world = World::new();
    let (carl, dora) = (add(&world, "Carl Client"), add(&world, "Dora Client"));
    add(&world, "Emil Client");
    let token = synced(&world);
    assert_eq!(names(&changes(&world, &token)), [""; 0]);
    assert!(world.sim.delete_contact(ANNA, &dora));
    let renamed = Contact::new("Carl Other", &["carl@client.test"]);
    assert!(world.sim.update_contact(ANNA, &carl, &renamed));
    add(&world, "Fritz Client");
    let short_lived = add(&world, "Gone");
    assert!(world.sim.delete_contact(ANNA, &short_lived));
    let answer = changes(&world, &token);
    assert_eq!(
        names(&answer),
        [
            format!("({dora})"),
            "Carl Other".to_owned(),
            "Fritz Client".to_owned(),
            format!("({short_lived})")
        ]
    );
    let people = connections(&answer);
    assert_eq!(people[1]["emailAddresses"][0]["value"], "carl@client.test");
    let gone = people[0].as_object().unwrap();
    assert_eq!(gone.len(), 3);
    assert!(gone["etag"].is_string());
    let next = token_of(&answer, "nextSyncToken");
    assert_eq!(changes(&world, &next).as_object().unwrap().len(), 1);
    assert_eq!(
        names(&changes(&world, &token)).len(),
        4,
        "a token is good more than once"
    );
    let bare = format!("personFields=metadata,names,emailAddresses&syncToken={token}");
    let asked_no_more = ask(&world, &bare).ok();
    assert!(
        asked_no_more["nextSyncToken"].is_string(),
        "as Google's sample does"
    );
    assert!(!world.sim.delete_contact(ANNA, &dora));
    assert!(!world.sim.update_contact(ANNA, &dora, &renamed));
    assert!(!world.sim.delete_contact(ANNA, "people/c1") && !world.sim.delete_contact(ANNA, "nonsense"));
}

#[test]
fn deleted_people_say_so_even_where_metadata_was_not_asked_for() {
    let world = World::new();
    let carl = add(&world, "Carl Client");
    let query = "personFields=names&requestSyncToken=true";
    let token = token_of(&ask(&world, query).ok(), "nextSyncToken");
    world.sim.delete_contact(ANNA, &carl);
    add(&world, "Dora Client");
    let people = connections(&ask(&world, &format!("{query}&syncToken={token}")).ok());
    assert_eq!(people[0]["metadata"]["deleted"], true);
    assert!(people[1].get("metadata").is_none());
    assert_eq!(names(&ask(&world, query).ok()), ["Dora Client"]);
}

#[test]
fn of_two_merged_contacts_one_survives_with_the_other_s_name_among_its_previous() {
    let world = World::new();
    let carl = add(&world, "Carl Client");
    let nameless = Contact::nameless(&["CARL.client@client.test", "carl@home.test"]);
    let other = world.sim.add_contact(ANNA, &nameless).unwrap();
    let token = synced(&world);
    assert!(world.sim.merge_contacts(ANNA, &carl, &other));
    let answer = changes(&world, &token);
    assert_eq!(names(&answer), ["Carl Client".to_owned(), format!("({other})")]);
    let survivor = &answer["connections"][0];
    assert_eq!(survivor["metadata"]["previousResourceNames"], json!([other]));
    let merged = Contact::new("Carl Client", &["carl.client@client.test", "carl@home.test"]);
    let left = ContactView {
        resource_name: carl.clone(),
        contact: merged,
    };
    assert_eq!(world.sim.contacts(ANNA), Some(vec![left]));
    let full = ask(&world, SYNC).ok();
    assert!(
        full["connections"][0]["metadata"]
            .get("previousResourceNames")
            .is_none()
    );
    let third = world
        .sim
        .add_contact(ANNA, &Contact::nameless(&["c@x.test"]))
        .unwrap();
    assert!(world.sim.merge_contacts(ANNA, &third, &carl));
    let answer = changes(&world, &token);
    assert_eq!(
        names(&answer),
        [
            format!("({other})"),
            "Carl Client".to_owned(),
            format!("({carl})")
        ]
    );
    assert_eq!(
        answer["connections"][1]["metadata"]["previousResourceNames"],
        json!([other, carl])
    );
    assert!(!world.sim.merge_contacts(ANNA, &third, &third));
    assert!(!world.sim.merge_contacts(ANNA, &third, &other));
}

#[test]
fn what_continues_a_call_has_its_parameters() {
    let world = World::new();
    for n in 0..3 {
        add(&world, &format!("Client {n}"));
    }
    let first = ask(&world, &format!("{SYNC}&pageSize=2")).ok();
    let page = token_of(&first, "nextPageToken");
    let sync = token_of(&ask(&world, &format!("{SYNC}&pageSize=3")).ok(), "nextSyncToken");
    for query in [
        format!("{SYNC}&pageSize=1&pageToken={page}"),
        format!("{SYNC}&pageToken={page}"),
        format!("personFields=names&requestSyncToken=true&pageSize=2&pageToken={page}"),
        format!("personFields=metadata,names,emailAddresses&pageSize=2&pageToken={page}"),
        format!("{SYNC}&pageSize=2&pageToken={page}&syncToken={sync}"),
        format!("{SYNC}&pageSize=2&pageToken={page}&sources=READ_SOURCE_TYPE_CONTACT"),
        format!("{SYNC}&syncToken={sync}"),
        format!("personFields=names&pageSize=3&syncToken={sync}"),
        format!("{SYNC}&pageSize=3&syncToken={page}"),
        format!("{SYNC}&pageSize=2&pageToken={sync}"),
    ] {
        assert_invalid(&ask(&world, &query));
    }
    let mixed = "requestSyncToken=1&personFields=names,emailAddresses,metadata&pageSize=2";
    ask(&world, &format!("{mixed}&pageToken={page}")).ok();
}

#[test]
fn sync_tokens_expire_a_week_after_the_full_sync() {
    let mut world = World::new();
    let first = synced(&world);
    let later = |world: &mut World, ms| {
        world.advance(ms);
        world.token = world.sim.issue_token(ANNA, &[CONTACTS]).unwrap().access_token;
    };
    later(&mut world, 7 * DAY - 1);
    let second = token_of(&changes(&world, &first), "nextSyncToken");
    later(&mut world, 1);
    for token in [&first, &second] {
        let answer = ask(&world, &format!("{SYNC}&syncToken={token}"));
        assert_eq!(
            refusal(&answer),
            (
                400,
                "FAILED_PRECONDITION".to_owned(),
                "EXPIRED_SYNC_TOKEN".to_owned(),
                "googleapis.com".to_owned(),
                "Sync token is expired. Clear local cache and retry call without the sync token.".to_owned()
            )
        );
    }
    world
        .sim
        .set_behaviour(|behaviour| behaviour.contacts_sync_renews = true);
    let third = synced(&world);
    later(&mut world, 7 * DAY - 1);
    let fourth = token_of(&changes(&world, &third), "nextSyncToken");
    later(&mut world, 1);
    changes(&world, &fourth);
    assert_eq!(world.sim.faults_hit()["contacts_sync_token_lifetime_ms"], 2);
}

#[test]
fn all_sync_tokens_can_expire_at_once_and_be_refused_in_several_ways() {
    let world = World::new();
    add(&world, "Carl Client");
    let token = synced(&world);
    assert!(world.sim.expire_sync_tokens(ANNA));
    assert!(!world.sim.expire_sync_tokens("nobody@acme.test"));
    let refused = || {
        let (code, status, reason, domain, _) = refusal(&ask(&world, &format!("{SYNC}&syncToken={token}")));
        assert_eq!(reason, "EXPIRED_SYNC_TOKEN");
        (code, status, domain)
    };
    let text = |text: &str| text.to_owned();
    assert_eq!(
        refused(),
        (400, text("FAILED_PRECONDITION"), text("googleapis.com"))
    );
    let how = |how| {
        world
            .sim
            .set_behaviour(|behaviour| behaviour.contacts_sync_token_refusal = how);
    };
    how(SyncTokenRefusal::InvalidArgument);
    assert_eq!(
        refused(),
        (400, text("INVALID_ARGUMENT"), text("people.googleapis.com"))
    );
    how(SyncTokenRefusal::Gone);
    assert_eq!(refused().0, 410);
    assert!(connections(&changes(&world, &synced(&world))).is_empty());
}

#[test]
fn page_tokens_expire_by_age_or_at_once() {
    let world = World::behaving(|behaviour| behaviour.contacts_page_token_lifetime_ms = 60_000);
    add(&world, "Carl Client");
    add(&world, "Dora Client");
    let query = "personFields=names&pageSize=1";
    let next = || {
        let page = ask(&world, query).ok();
        format!("{query}&pageToken={}", token_of(&page, "nextPageToken"))
    };
    let second = next();
    world.advance(59_999);
    assert_eq!(names(&ask(&world, &second).ok()), ["Dora Client"]);
    world.advance(1);
    assert_invalid(&ask(&world, &second));
    let second = next();
    assert!(world.sim.expire_page_tokens(ANNA));
    assert_invalid(&ask(&world, &second));
    assert_eq!(world.sim.faults_hit()["contacts_page_token_lifetime_ms"], 1);
}

#[test]
fn first_pages_of_full_syncs_have_a_quota_of_their_own() {
    let world = World::behaving(|behaviour| behaviour.contacts_full_syncs_per_minute = Some(2));
    add(&world, "Carl Client");
    add(&world, "Dora Client");
    let query = format!("{SYNC}&pageSize=1");
    let first = ask(&world, &query).ok();
    let token = synced(&world);
    let (code, status, ..) = refusal(&ask(&world, SYNC));
    assert_eq!((code, status.as_str()), (429, "RESOURCE_EXHAUSTED"));
    let page = token_of(&first, "nextPageToken");
    ask(&world, &format!("{query}&pageToken={page}")).ok();
    changes(&world, &token);
    ask(&world, "personFields=names").ok();
    let ben = world.sim.issue_token(BEN, &[CONTACTS]).unwrap().access_token;
    let path = format!("/v1/people/me/connections?{SYNC}");
    world.call_as(&ben, "GET", &path, Value::Null).ok();
    world.advance(60_000);
    synced(&world);
}

#[test]
fn a_sync_lags_behind_the_writes_and_plain_reading_does_not() {
    let world = World::behaving(|behaviour| behaviour.contacts_lag_ms = 180_000);
    let carl = add(&world, "Carl Client");
    assert_eq!(names(&ask(&world, SYNC).ok()), [""; 0]);
    assert_eq!(names(&ask(&world, "personFields=names").ok()), ["Carl Client"]);
    world.advance(180_000);
    let token = synced(&world);
    let renamed = Contact::new("Carl Other", &[]);
    world.sim.update_contact(ANNA, &carl, &renamed);
    assert_eq!(names(&ask(&world, SYNC).ok()), ["Carl Client"], "as it was");
    let next = token_of(&changes(&world, &token), "nextSyncToken");
    world.advance(179_999);
    assert_eq!(names(&changes(&world, &next)), [""; 0]);
    world.advance(1);
    assert_eq!(names(&changes(&world, &next)), ["Carl Other"]);
}

#[test]
fn tokens_expire_and_writes_lag_by_fault() {
    let world = World::new();
    add(&world, "Carl Client");
    let token = synced(&world);
    world.sim.inject(Fault::soon(FaultKind::SyncTokensExpired));
    let refused = ask(&world, &format!("{SYNC}&syncToken={token}"));
    assert_eq!(refusal(&refused).2, "EXPIRED_SYNC_TOKEN");
    let token = synced(&world);
    add(&world, "Dora Client");
    world.sim.inject(Fault::soon(FaultKind::ContactsLag(1)));
    let lagging = changes(&world, &token);
    assert_eq!(names(&lagging), [""; 0]);
    let next = token_of(&lagging, "nextSyncToken");
    assert_eq!(names(&changes(&world, &next)), ["Dora Client"]);
    let query = "personFields=names&pageSize=1";
    let page = token_of(&ask(&world, query).ok(), "nextPageToken");
    world.sim.inject(Fault::soon(FaultKind::PageTokensExpired));
    assert_invalid(&ask(&world, &format!("{query}&pageToken={page}")));
}

#[test]
fn a_jump_of_the_clock_backward_makes_no_token_live_longer() {
    let world = World::behaving(|behaviour| {
        behaviour.contacts_sync_token_lifetime_ms = 60_000;
    });
    let token = synced(&world);
    world.sim.jump_clock(-3_600_000);
    world.advance(60_000);
    assert_eq!(ask(&world, &format!("{SYNC}&syncToken={token}")).status, 400);
    add(&world, "Carl Client");
    let shown = ask(&world, "personFields=metadata").ok()["connections"][0]["metadata"]["sources"][0].clone();
    assert_eq!(world.sim.now_ms(), START - 3_540_000);
    assert_eq!(shown["updateTime"], "2026-09-21T13:14:20Z");
}
