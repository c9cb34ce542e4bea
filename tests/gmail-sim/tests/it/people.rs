//! Contacts: `people.connections.list`, what it refuses, what strikes it, and who may ask.

use axum::http::Request;
use gmail_sim::{Config, Consent, Contact, Decision, Fault, FaultKind, Quota, Table, Wire};
use serde_json::{Value, json};

use crate::world::{ANNA, Answer, BEN, CONTACTS, MODIFY, World};

const METHOD: &str = "people.connections.list";
pub(crate) const SYNC: &str = "personFields=metadata,names,emailAddresses&requestSyncToken=true";

pub(crate) fn ask(world: &World, query: &str) -> Answer {
    world.get(&format!("/v1/people/me/connections?{query}"))
}

pub(crate) fn token_of(answer: &Value, name: &str) -> String {
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {answer:#}"))
        .to_owned()
}

/// A full sync's token.
pub(crate) fn synced(world: &World) -> String {
    token_of(&ask(world, SYNC).ok(), "nextSyncToken")
}

/// A sync with a token.
pub(crate) fn changes(world: &World, token: &str) -> Value {
    ask(world, &format!("{SYNC}&syncToken={token}")).ok()
}

pub(crate) fn connections(answer: &Value) -> Vec<Value> {
    answer["connections"].as_array().cloned().unwrap_or_default()
}

/// Names, or resource names where there is none; a deleted person in brackets.
pub(crate) fn names(answer: &Value) -> Vec<String> {
    let name = |person: &Value| {
        let name = person["names"][0]["displayName"].as_str();
        let name = name.or(person["resourceName"].as_str()).unwrap().to_owned();
        if person["metadata"]["deleted"] == true {
            format!("({name})")
        } else {
            name
        }
    };
    connections(answer).iter().map(name).collect()
}

pub(crate) fn add(world: &World, name: &str) -> String {
    let address = format!("{}@client.test", name.to_lowercase().replace(' ', "."));
    let contact = Contact::new(name, &[&address]);
    world.sim.add_contact(ANNA, &contact).unwrap()
}

/// Status, status text, reason and domain of the details, message of a refusal.
pub(crate) fn refusal(answer: &Answer) -> (u16, String, String, String, String) {
    let error = answer.json()["error"].clone();
    assert_eq!(error["code"], answer.status);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let info = &error["details"][0];
    (
        answer.status,
        text(&error["status"]),
        text(&info["reason"]),
        text(&info["domain"]),
        text(&error["message"]),
    )
}

pub(crate) fn assert_invalid(answer: &Answer) {
    let (code, status, ..) = refusal(answer);
    assert_eq!((code, status.as_str()), (400, "INVALID_ARGUMENT"));
}

/// Something of everything that switches decide about contacts.
pub(crate) fn everything(world: &World) {
    let ask = |query: &str| {
        let token = world.sim.issue_token(ANNA, &[CONTACTS]).unwrap().access_token;
        let path = format!("/v1/people/me/connections?{SYNC}&{query}");
        world.call_as(&token, "GET", &path, Value::Null).json_or_null()
    };
    add(world, "Carl Client");
    add(world, "Dora Client");
    ask("pageSize=none");
    let page = ask("pageSize=1");
    ask("pageSize=1");
    world.advance(60_000);
    let next = page["nextPageToken"].as_str().unwrap_or_default();
    ask(&format!("pageSize=1&pageToken={next}"));
    let all = ask("");
    let sync = all["nextSyncToken"].as_str().unwrap_or_default();
    ask(&format!("syncToken={sync}"));
    world.advance(3 * 3_600_000);
    ask(&format!("syncToken={sync}"));
}

#[test]
fn a_contact_is_a_person_with_the_fields_that_were_asked_for() {
    let world = World::new();
    let contact = Contact::new(
        "Carl Maria Client",
        &["carl@client.test", "c@work.test", "x@y.test"],
    );
    let name = world.sim.add_contact(ANNA, &contact).unwrap();
    let answer = ask(&world, "personFields=metadata,names,emailAddresses").ok();
    assert_eq!(
        (&answer["totalPeople"], &answer["totalItems"]),
        (&json!(1), &json!(1))
    );
    let person = &answer["connections"][0];
    let id = format!(
        "{:x}",
        name.strip_prefix("people/c").unwrap().parse::<u64>().unwrap()
    );
    let source = json!({"type": "CONTACT", "id": id});
    assert_eq!(person["resourceName"], name);
    assert!(person["etag"].as_str().unwrap().starts_with('%'));
    let metadata = &person["metadata"];
    assert_eq!(metadata["objectType"], "PERSON");
    let of_metadata = &metadata["sources"][0];
    assert_eq!(
        (&of_metadata["type"], &of_metadata["id"]),
        (&source["type"], &source["id"])
    );
    assert!(of_metadata["etag"].is_string());
    assert_eq!(of_metadata["updateTime"], "2026-09-21T14:13:20Z");
    assert_eq!(
        person["names"],
        json!([{
            "metadata": {"primary": true, "sourcePrimary": true, "source": source},
            "displayName": "Carl Maria Client",
            "givenName": "Carl",
            "middleName": "Maria",
            "familyName": "Client",
            "displayNameLastFirst": "Client, Carl Maria",
            "unstructuredName": "Carl Maria Client",
        }])
    );
    assert_eq!(
        person["emailAddresses"],
        json!([
            {
                "metadata": {"primary": true, "sourcePrimary": true, "source": source},
                "value": "carl@client.test", "type": "home", "formattedType": "Home",
            },
            {
                "metadata": {"source": source},
                "value": "c@work.test", "type": "work", "formattedType": "Work",
            },
            {"metadata": {"source": source}, "value": "x@y.test"},
        ])
    );
    let only_names = ask(&world, "personFields=names").ok()["connections"][0].clone();
    let members: Vec<&String> = only_names.as_object().unwrap().keys().collect();
    assert_eq!(members.len(), 3, "{members:?}");
    let phones = ask(&world, "personFields=phoneNumbers").ok();
    assert_eq!(phones["connections"][0].as_object().unwrap().len(), 2);
}

#[test]
fn what_has_no_content_is_absent() {
    let world = World::new();
    assert_eq!(ask(&world, "personFields=names").ok(), json!({}));
    let bare = json!({"nextSyncToken": synced(&world)});
    assert_eq!(ask(&world, SYNC).ok(), bare);
    world
        .sim
        .add_contact(ANNA, &Contact::nameless(&["n@client.test"]));
    world.sim.add_contact(ANNA, &Contact::new("Nobody", &[]));
    let people = connections(&ask(&world, "personFields=names,emailAddresses").ok());
    assert!(people[0].get("names").is_none() && people[0].get("emailAddresses").is_some());
    assert!(people[1].get("names").is_some() && people[1].get("emailAddresses").is_none());
    assert!(people[1]["names"][0].get("familyName").is_none());
}

#[test]
fn each_user_has_contacts_of_their_own() {
    let world = World::new();
    add(&world, "Carl Client");
    assert_eq!(world.sim.contacts(BEN), Some(vec![]));
    let ben = world.sim.issue_token(BEN, &[CONTACTS]).unwrap().access_token;
    let path = "/v1/people/me/connections?personFields=names";
    assert_eq!(world.call_as(&ben, "GET", path, Value::Null).ok(), json!({}));
    let token = synced(&world);
    let path = format!("/v1/people/me/connections?{SYNC}&syncToken={token}");
    assert_invalid(&world.call_as(&ben, "GET", &path, Value::Null));
    assert_eq!(
        world.sim.add_contact("nobody@acme.test", &Contact::default()),
        None
    );
}

#[test]
fn wrong_parameters_are_invalid_arguments() {
    let world = World::new();
    for query in [
        "",
        "personFields=",
        "personFields=names,nonsense",
        "personFields=email_addresses",
        "personFields=names&pageSize=1001",
        "personFields=names&pageSize=-1",
        "personFields=names&pageSize=x",
        "personFields=names&sortOrder=RANDOM",
        "personFields=names&sources=READ_SOURCE_TYPE_X",
        "personFields=names&pageToken=garbage",
        "personFields=names&syncToken=garbage",
        "personFields=names&requestSyncToken=perhaps",
        "personFields=names&requestSyncToken=true&sortOrder=FIRST_NAME_ASCENDING",
        "personFields=names&fields=nonsense",
    ] {
        assert_invalid(&ask(&world, query));
    }
    assert_invalid(&world.get("/v1/people/c1/connections?personFields=names"));
    for query in [
        "personFields=names&pageSize=1",
        "personFields=names&pageSize=1000",
        "personFields=names&pageSize=0",
        "personFields=names&alt=json&prettyPrint=false&fields=connections(names/displayName),nextPageToken",
    ] {
        ask(&world, query).ok();
    }
    assert_eq!(world.post("/v1/people/me/connections", Value::Null).status, 404);
}

#[test]
fn a_token_without_the_scope_or_none_at_all_is_refused_in_the_envelope_of_the_people_api() {
    let world = World::new();
    let path = "/v1/people/me/connections?personFields=names";
    let mail = world.sim.issue_token(ANNA, &[MODIFY]).unwrap().access_token;
    let answer = world.call_as(&mail, "GET", path, Value::Null);
    let (code, status, reason, domain, _) = refusal(&answer);
    assert_eq!((code, status.as_str()), (403, "PERMISSION_DENIED"));
    assert_eq!(
        (reason.as_str(), domain.as_str()),
        ("ACCESS_TOKEN_SCOPE_INSUFFICIENT", "googleapis.com")
    );
    let error = &answer.json()["error"];
    assert_eq!(
        error["details"][0]["metadata"]["service"],
        "people.googleapis.com"
    );
    assert!(error.get("errors").is_none());
    for bearer in ["", "wrong"] {
        let answer = world.call_as(bearer, "GET", path, Value::Null);
        assert_eq!(refusal(&answer).1, "UNAUTHENTICATED");
        assert!(answer.response.headers().contains_key("www-authenticate"));
    }
    let all = "https://www.googleapis.com/auth/contacts";
    let write = world.sim.issue_token(ANNA, &[all]).unwrap().access_token;
    world.call_as(&write, "GET", path, Value::Null).ok();
    assert_eq!(world.sim.scopes_of(METHOD), Some(vec![all, CONTACTS]));
    world
        .sim
        .set_behaviour(|behaviour| behaviour.contacts_errors_listed = true);
    let (_, reason, _) = world.call_as(&mail, "GET", path, Value::Null).refusal();
    assert_eq!(reason, "insufficientPermissions");
}

#[test]
fn a_plain_reading_can_be_sorted() {
    let world = World::new();
    for name in ["Zoe Adams", "Anna Zorn", "Mona"] {
        add(&world, name);
    }
    let sorted = |order: &str| names(&ask(&world, &format!("personFields=names&sortOrder={order}")).ok());
    assert_eq!(
        sorted("LAST_MODIFIED_ASCENDING"),
        ["Zoe Adams", "Anna Zorn", "Mona"]
    );
    assert_eq!(
        sorted("LAST_MODIFIED_DESCENDING"),
        ["Mona", "Anna Zorn", "Zoe Adams"]
    );
    assert_eq!(sorted("FIRST_NAME_ASCENDING"), ["Anna Zorn", "Mona", "Zoe Adams"]);
    assert_eq!(sorted("LAST_NAME_ASCENDING"), ["Zoe Adams", "Mona", "Anna Zorn"]);
    let contacts = "personFields=names&sources=READ_SOURCE_TYPE_PROFILE&sources=READ_SOURCE_TYPE_CONTACT";
    assert_eq!(names(&ask(&world, contacts).ok()).len(), 3);
    let profiles = "personFields=names&sources=READ_SOURCE_TYPE_PROFILE";
    assert_eq!(ask(&world, profiles).ok(), json!({}));
}

#[test]
fn contacts_cost_no_quota_units_but_are_counted() {
    let world = World::with(Config {
        quota: Quota::Enforce(Table::New),
        ..Config::default()
    });
    for _ in 0..3 {
        ask(&world, "personFields=names").ok();
    }
    ask(&world, "");
    let stats = world.sim.stats();
    assert_eq!(
        (stats.requests, stats.by_method[METHOD], stats.by_status[&400]),
        (4, 4, 1)
    );
    assert!(stats.units.is_empty());
    assert_eq!(Table::New.units_of(METHOD), None);
}

#[test]
fn faults_of_the_line_strike_it_as_they_strike_gmail() {
    let struck = |kind| {
        let world = World::new();
        add(&world, "Carl Client");
        world.sim.inject(Fault::next(METHOD, kind));
        let answer = ask(&world, "personFields=names");
        assert_eq!(world.sim.waiting_faults(), [], "{kind:?}");
        ask(&world, "personFields=names").ok();
        answer
    };
    for (kind, status) in [
        (FaultKind::BackendBefore(503), 503),
        (FaultKind::BackendAfter(500), 500),
        (FaultKind::Html, 502),
        (FaultKind::HtmlUnavailable, 503),
        (FaultKind::HtmlBadRequest, 400),
        (FaultKind::PreconditionFailed, 400),
        (FaultKind::Unauthorized, 401),
        (FaultKind::InsufficientScope, 403),
        (FaultKind::AccessNotConfigured, 403),
        (FaultKind::QuotaTooMany, 429),
        (FaultKind::ResourceExhausted, 429),
        (FaultKind::RetryAfterSeconds(2_000), 429),
        (FaultKind::RetryAfterDate(2_000), 429),
    ] {
        let answer = struck(kind);
        assert_eq!(answer.status, status, "{kind:?}");
        let error = answer.json_or_null()["error"].clone();
        assert!(error.get("errors").is_none(), "{kind:?}");
    }
    for (kind, wire) in [
        (FaultKind::DropBefore, Wire::Dropped),
        (FaultKind::SilentAfter, Wire::Silent),
        (FaultKind::CutBody(5), Wire::CutAt(5)),
        (FaultKind::TruncatedBody(5), Wire::Truncated(5)),
        (
            FaultKind::SlowBody(8, 3),
            Wire::Slow {
                chunk: 8,
                per_chunk_ms: 3,
            },
        ),
    ] {
        assert_eq!(Wire::of(&struck(kind).response), Some(wire));
    }
    let disabled = struck(FaultKind::AccessNotConfigured);
    let (_, _, reason, _, message) = refusal(&disabled);
    assert_eq!(reason, "SERVICE_DISABLED");
    assert!(message.starts_with("People API has not been used"));
    let spent = refusal(&struck(FaultKind::QuotaTooMany));
    assert_eq!(spent.2, "RATE_LIMIT_EXCEEDED");
    assert!(spent.4.contains("of service 'people.googleapis.com'"));
    assert!(!FaultKind::MailServiceOff.applies_to(METHOD) && !FaultKind::UserQuota.applies_to(METHOD));
}

#[test]
fn the_admin_api_keeps_contacts() {
    let world = World::new();
    let name = |answer: Value| token_of(&answer, "resourceName");
    let body = json!({"email": ANNA, "name": "Carl Client", "addresses": ["carl@client.test"]});
    let carl = name(world.post("/sim/contacts", body).ok());
    let other = name(world.post("/sim/contacts", json!({"email": ANNA})).ok());
    let update = json!({"email": ANNA, "resourceName": other, "addresses": ["c@home.test"]});
    world.call("PUT", "/sim/contacts", update).ok();
    let merge = json!({"email": ANNA, "survivor": carl, "merged": other});
    world.post("/sim/contacts/merge", merge.clone()).ok();
    assert_eq!(world.post("/sim/contacts/merge", merge).status, 404);
    assert_eq!(
        world.get(&format!("/sim/contacts/{ANNA}")).ok(),
        json!({"contacts": [{
            "resourceName": carl, "name": "Carl Client", "addresses": ["carl@client.test", "c@home.test"],
        }]})
    );
    let token = synced(&world);
    world
        .post(
            "/sim/contacts/expire",
            json!({"email": ANNA, "what": "page-tokens"}),
        )
        .ok();
    changes(&world, &token);
    world.post("/sim/contacts/expire", json!({"email": ANNA})).ok();
    assert_eq!(ask(&world, &format!("{SYNC}&syncToken={token}")).status, 400);
    let delete = json!({"email": ANNA, "resourceName": carl});
    world.call("DELETE", "/sim/contacts", delete).ok();
    assert_eq!(world.sim.contacts(ANNA), Some(vec![]));
    for (path, body) in [
        ("/sim/contacts", json!({"email": ANNA, "addresses": "x"})),
        ("/sim/contacts", json!({})),
        ("/sim/contacts/expire", json!({"email": ANNA, "what": "x"})),
    ] {
        assert_eq!(world.post(path, body).status, 400);
    }
    assert_eq!(
        world.post("/sim/contacts", json!({"email": "x@y.test"})).status,
        404
    );
}

#[test]
fn contacts_can_be_left_unticked_on_the_consent_page() {
    let scope = |world: &World, granted: Decision| {
        world.sim.set_consent(Consent::Auto {
            account: Some(ANNA.to_owned()),
            decision: granted,
        });
        let query = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", "twinbox-demo")
            .append_pair("redirect_uri", "http://127.0.0.1:9/cb")
            .append_pair("scope", &format!("openid email {MODIFY} {CONTACTS}"))
            .finish();
        let answer = world.raw(
            Request::get(format!("/o/oauth2/v2/auth?{query}"))
                .body(bytes::Bytes::new())
                .unwrap(),
        );
        let location = answer.response.headers()["location"].to_str().unwrap().to_owned();
        let back = url::Url::parse(&location).unwrap();
        let scope = back.query_pairs().find(|(name, _)| name == "scope");
        scope.unwrap().1.into_owned()
    };
    let world = World::new();
    assert!(scope(&world, Decision::All).contains(CONTACTS));
    let without = scope(&world, Decision::Only(vec![MODIFY.to_owned()]));
    assert!(without.contains(MODIFY) && !without.contains(CONTACTS));
    let without = scope(&world, Decision::Only(vec![CONTACTS.to_owned()]));
    assert!(without.contains(CONTACTS) && !without.contains(MODIFY));
}
