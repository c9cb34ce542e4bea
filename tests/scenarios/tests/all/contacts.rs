//! S08: the contacts of the Google account are brought into the CRM when the user ticks that choice; without it
//! nothing is created.

use gmail_sim::{Contact as Person, Decision, FaultKind};
use scenarios::{ANN, ME, World};
use twinbox_host::{
    accounts::{Chosen, ConnectError},
    choices::{Choices, GOOGLE_CONTACTS},
    contract::{Contact, Problem},
};

const ADA: &str = "ada@example.com";
const BO: &str = "bo@example.com";
const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;
const METHOD: &str = "people.connections.list";

/// A world whose user has ticked the choice and Ada in the address book; no pass was made.
async fn ticked() -> World {
    let mut world = World::unconnected().await;
    world.sim().add_contact(ME, &Person::new("Ada", &[ADA])).unwrap();
    world.ticks(&[GOOGLE_CONTACTS]);
    world.connect().await.unwrap();
    world.requests();
    world
}

/// The contact with this address.
async fn contact(world: &World, address: &str) -> Option<Contact> {
    let all = world.all_contacts().await;
    let mut found = all
        .into_iter()
        .filter(|contact| contact.addresses.iter().any(|known| known == address));
    let first = found.next();
    assert_eq!(found.next(), None, "one contact for {address}");
    first
}

fn lists(world: &World) -> usize {
    let requests = world.requests();
    requests
        .iter()
        .filter(|request| request.contains("/people/me/connections"))
        .count()
}

#[tokio::test]
async fn s08_without_the_choice_nothing_is_asked_for_and_nothing_created() {
    let mut world = World::unconnected().await;
    world.sim().add_contact(ME, &Person::new("Ada", &[ADA])).unwrap();
    let page = world.pages().await.browser().connects("").await;
    assert!(!page.as_str().contains("contacts"), "{page}");
    world.connect().await.unwrap();
    world.sync().await;
    assert_eq!(lists(&world), 0);
    assert_eq!(contact(&world, ADA).await, None);
}

#[tokio::test]
async fn s08_a_ticked_choice_brings_the_address_book_and_their_next_mail() {
    let world = ticked().await;
    world.sync().await;
    assert_eq!(contact(&world, ADA).await.unwrap().name, "Ada");
    world.mail().from(ADA).subject("Hello").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ADA).await, ["Hello"]);
}

#[tokio::test]
async fn s08_only_the_scope_that_was_ticked_is_asked_for_and_all_of_it_is_needed() {
    let mut world = World::unconnected().await;
    world.ticks(&[GOOGLE_CONTACTS]);
    let scope = "https://www.googleapis.com/auth/contacts.readonly";
    let without = Decision::Only(vec!["https://www.googleapis.com/auth/gmail.modify".to_owned()]);
    let refused = world.consent(ME, without, Some(ME)).await.unwrap_err();
    assert_eq!(refused.problem(), Problem::ScopeMissing(vec![scope.to_owned()]));
    assert!(matches!(refused, ConnectError::Consent(_)));
    assert!(world.connections().await.is_empty());
}

#[tokio::test]
async fn s08_what_changes_in_the_address_book_follows_at_one_request() {
    let world = ticked().await;
    world.sync().await;
    let ada = world.sim().contacts(ME).unwrap()[0].resource_name.clone();
    world
        .sim()
        .update_contact(ME, &ada, &Person::new("Ada Lovelace", &[ADA]));
    world.sim().add_contact(ME, &Person::new("Bo", &[BO])).unwrap();
    world.requests();
    world.tick(HOUR);
    world.sync().await;
    assert_eq!(lists(&world), 1);
    assert_eq!(contact(&world, ADA).await.unwrap().name, "Ada Lovelace");
    assert_eq!(contact(&world, BO).await.unwrap().name, "Bo");
}

#[tokio::test]
async fn s08_who_leaves_the_address_book_goes_unless_there_is_mail() {
    let world = ticked().await;
    let bo = world.sim().add_contact(ME, &Person::new("Bo", &[BO])).unwrap();
    world.sync().await;
    world.mail().from(ADA).subject("Hello").arrives();
    world.sync().await;
    for person in world.sim().contacts(ME).unwrap() {
        assert!(world.sim().delete_contact(ME, &person.resource_name));
    }
    world.tick(HOUR);
    world.sync().await;
    assert_eq!(contact(&world, BO).await, None, "{bo}");
    assert_eq!(world.subjects(ADA).await, ["Hello"]);
}

#[tokio::test]
async fn s08_an_expired_sync_token_lists_all_again_and_finds_who_left_meanwhile() {
    let world = ticked().await;
    let bo = world.sim().add_contact(ME, &Person::new("Bo", &[BO])).unwrap();
    world.sync().await;
    assert!(contact(&world, BO).await.is_some());
    world.sim().delete_contact(ME, &bo);
    world.tick(8 * DAY);
    world.requests();
    world.sync().await;
    assert_eq!(lists(&world), 2, "the refusal and the listing");
    assert_eq!(contact(&world, BO).await, None);
    assert!(contact(&world, ADA).await.is_some());
}

#[tokio::test]
async fn s08_a_contact_that_was_there_is_not_doubled() {
    let world = ticked().await;
    let ann = Person::new("Annie", &[ANN, "ann@home.example"]);
    world.sim().add_contact(ME, &ann).unwrap();
    world.sync().await;
    let found = contact(&world, ANN).await.unwrap();
    assert_eq!(found.name, "Ann");
    assert_eq!(found.addresses, [ANN, "ann@home.example"]);
}

#[tokio::test]
async fn s08_two_thousand_five_hundred_persons_come_in_three_pages_once_each() {
    let world = ticked().await;
    for number in 0..2_500 {
        let address = format!("p{number}@example.com");
        world
            .sim()
            .add_contact(ME, &Person::nameless(&[&address]))
            .unwrap();
    }
    world.fault(METHOD, FaultKind::DropBefore);
    world.sync().await;
    world.tick(HOUR);
    world.sync().await;
    assert_eq!(world.all_contacts().await.len(), 2_502, "Ann, Ada and these");
    assert_eq!(world.sim().contacts(ME).unwrap().len(), 2_501);
}

#[tokio::test]
async fn s08_an_address_book_that_fails_stops_no_mail_and_is_asked_again() {
    let world = ticked().await;
    for kind in [
        FaultKind::BackendBefore(503),
        FaultKind::AccessNotConfigured,
        FaultKind::QuotaTooMany,
    ] {
        world.fault(METHOD, kind);
        world.mail().subject("Hello").arrives();
        world.sync().await;
        assert_eq!(contact(&world, ADA).await, None);
        world.tick(HOUR);
    }
    assert_eq!(world.subjects(ANN).await.len(), 3);
    world.sync().await;
    assert!(contact(&world, ADA).await.is_some());
}

#[tokio::test]
async fn s08_unticked_nothing_more_is_asked_for_and_the_contacts_stay() {
    let world = ticked().await;
    world.sync().await;
    let id = world.connection_row().await.scope.connection;
    let chosen = world.accounts().choose(&id, &Choices::default()).await.unwrap();
    assert_eq!(chosen, Chosen::Done);
    world.sim().add_contact(ME, &Person::new("Bo", &[BO])).unwrap();
    world.requests();
    world.tick(HOUR);
    world.sync().await;
    assert_eq!(lists(&world), 0);
    assert_eq!(contact(&world, BO).await, None);
    assert!(contact(&world, ADA).await.is_some());
    // The grant still has the scope: no consent is needed to tick it again.
    let again = world
        .accounts()
        .choose(&id, &Choices::ticked([GOOGLE_CONTACTS]))
        .await;
    assert_eq!(again.unwrap(), Chosen::Done);
    world.sync().await;
    assert!(contact(&world, BO).await.is_some());
}

#[tokio::test]
async fn s08_ticked_later_it_needs_consent_and_settings_of_the_operator_keep_it() {
    let mut world = World::connected().await;
    let choice = Choices::ticked([GOOGLE_CONTACTS]);
    let id = world.connection_row().await.scope.connection;
    let chosen = world.accounts().choose(&id, &choice).await.unwrap();
    assert_eq!(chosen, Chosen::ConsentNeeded);
    world.sim().add_contact(ME, &Person::new("Ada", &[ADA])).unwrap();
    world.ticks(&[GOOGLE_CONTACTS]);
    assert_eq!(world.connect().await.unwrap().scope.connection, id);
    world.host().set_settings(r#"{"daily-limit":7}"#).await.unwrap();
    let settings = world.connection_row().await.settings;
    assert_eq!(settings, r#"{"daily-limit":7,"google-contacts":true}"#);
    world.sync().await;
    assert!(contact(&world, ADA).await.is_some());
}

#[tokio::test]
async fn s08_after_a_reconnect_the_choice_and_the_contacts_are_still_there() {
    let mut world = ticked().await;
    world.sync().await;
    world.sim().withdraw_consent(ME);
    world.tick(2 * HOUR);
    let _ = world.pass().await;
    world.connect().await.unwrap();
    world.sim().add_contact(ME, &Person::new("Bo", &[BO])).unwrap();
    world.sync().await;
    assert!(contact(&world, BO).await.is_some());
    assert!(contact(&world, ADA).await.is_some());
}
