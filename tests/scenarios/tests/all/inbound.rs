//! S10 to S16: which mail comes in, and to whom.

use scenarios::{ANN, ME, Setup, World};
use twinbox_host::contract::{Direction, Flags};

const BOB: &str = "bob@other.example";

#[tokio::test]
async fn s10_mail_from_a_contact_appears_under_that_contact() {
    let world = World::connected().await;
    world.mail().subject("Grüße").text("Hello Mia").arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    assert_eq!(stored.message.subject, "Grüße");
    assert_eq!(stored.message.content.text.trim(), "Hello Mia");
    assert_eq!(stored.message.direction, Direction::Inbound);
    assert!(stored.message.flags.unread);
}

#[tokio::test]
async fn s10_the_body_of_a_strangers_mail_is_never_fetched() {
    let world = World::connected().await;
    world.mail().from("stranger@x.example").arrives();
    let ran = world.sync().await;
    assert_eq!(ran.report.counts.excluded, 1);
    let gets: Vec<String> = world
        .requests()
        .into_iter()
        .filter(|line| line.contains("/messages/"))
        .collect();
    assert!(
        !gets.is_empty() && gets.iter().all(|line| line.contains("format=metadata")),
        "{gets:?}"
    );
}

#[tokio::test]
async fn s10_a_stranger_who_answers_in_a_contacts_thread_stays_a_stranger() {
    let world = World::connected().await;
    let first = world.mail().subject("Offer").arrives();
    world.sync().await;
    let strange = world
        .mail()
        .from("stranger@x.example")
        .subject("Re: Offer")
        .answering(&first.message_id)
        .arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Offer"]);
    assert_eq!(world.rule(&strange.id).await, "S10");
}

#[tokio::test]
async fn s11_mail_sent_in_gmail_is_logged_as_outbound() {
    let world = World::connected().await;
    world
        .mail()
        .from_me()
        .to(ANN)
        .subject("From Gmail")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    let stored = world.only_message(ANN).await;
    assert_eq!(stored.message.direction, Direction::Outbound);
    assert_eq!(stored.message.subject, "From Gmail");
}

#[tokio::test]
async fn s12_forwarded_mail_is_treated_as_sent() {
    let world = World::connected().await;
    let id = world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Fwd: News")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    assert_eq!(
        world.only_message(ANN).await.message.direction,
        Direction::Outbound
    );
    assert_eq!(world.rule(&id).await, "S12");
}

#[tokio::test]
async fn s13_a_contacts_mail_to_somebody_else_with_the_user_in_copy_is_synced() {
    let world = World::connected().await;
    world.mail().to(BOB).cc(ME).subject("In CC").arrives();
    world.mail().to(BOB).subject("In BCC").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["In CC", "In BCC"]);
}

#[tokio::test]
async fn s14_people_in_copy_are_shown_and_no_contact_is_created_for_them() {
    let world = World::connected().await;
    world.mail().cc("Bob <bob@other.example>").arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    assert_eq!(stored.message.cc[0].address, BOB);
    assert_eq!(stored.message.cc[0].name.as_deref(), Some("Bob"));
    assert_eq!(world.contacts().await, 1);
}

#[tokio::test]
async fn s14_a_bcc_list_is_shown_only_for_mail_the_user_sent() {
    let world = World::connected().await;
    world.mail().bcc(BOB).subject("Received").arrives();
    world
        .mail()
        .from_me()
        .to(ANN)
        .bcc(BOB)
        .subject("Sent")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    let shown: Vec<usize> = world
        .conversation(ANN)
        .await
        .iter()
        .map(|stored| stored.message.bcc.len())
        .collect();
    assert_eq!(shown, [0, 1]);
}

#[tokio::test]
async fn s15_sent_mail_belongs_to_the_first_to_address_that_is_a_contact() {
    let world = Setup::default().contact("Bob", &[BOB]).connected().await;
    let to = format!("x@nobody.example, {BOB}, {ANN}");
    world.mail().from_me().to(&to).is_sent_from_gmail().await;
    world
        .mail()
        .from_me()
        .to("x@nobody.example")
        .cc(&format!("{ANN}, {BOB}"))
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    assert_eq!(world.conversation(BOB).await.len(), 1);
    assert_eq!(world.conversation(ANN).await.len(), 1);
}

#[tokio::test]
async fn s16_duplicates_go_to_the_contact_created_first() {
    let world = Setup::default().contact("Another Ann", &[ANN]).connected().await;
    world.mail().arrives();
    world.sync().await;
    assert_eq!(world.conversation("Ann").await.len(), 1);
    assert_eq!(world.conversation("Another Ann").await.len(), 0);
}

#[tokio::test]
async fn s17_what_the_reader_does_in_gmail_shows_in_the_crm() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    world
        .gmail()
        .label(&mail.id, &["STARRED"], &["UNREAD", "INBOX"])
        .await;
    world.sync().await;
    let flags = world.only_message(ANN).await.message.flags;
    assert!(flags.starred && flags.archived && !flags.unread && !flags.trashed);
    world.gmail().trash(&mail.id).await;
    world.sync().await;
    assert!(world.only_message(ANN).await.message.flags.trashed);
    world.gmail().delete(&mail.id).await;
    world.sync().await;
    assert!(world.only_message(ANN).await.deleted);
}

#[tokio::test]
async fn s17_what_the_reader_does_in_the_crm_reaches_gmail_and_does_not_come_back() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    let done = Flags {
        unread: false,
        starred: true,
        archived: true,
        trashed: false,
    };
    world.marks(&stored, done).await;
    let ran = world.sync().await;
    assert_eq!(ran.report.counts.updates_out, 1);
    assert_eq!(world.gmail().labels(&mail.id), ["STARRED"]);
    let ran = world.sync().await;
    assert_eq!(
        (ran.report.counts.updates_in, ran.report.counts.updates_out),
        (0, 0)
    );
    assert_eq!(world.only_message(ANN).await.message.flags, done);
}

#[tokio::test]
async fn s17_two_changes_of_different_things_both_stay() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    world.gmail().label(&mail.id, &["STARRED"], &[]).await;
    let read = Flags {
        unread: false,
        ..stored.message.flags
    };
    world.marks(&stored, read).await;
    world.sync().await;
    world.sync().await;
    let flags = world.only_message(ANN).await.message.flags;
    assert!(flags.starred && !flags.unread);
    assert_eq!(world.gmail().labels(&mail.id), ["INBOX", "STARRED"]);
    let explained = world.explain(&mail.id).await;
    let met = explained
        .inputs
        .iter()
        .find(|field| field.name == "changed-on-both-sides");
    let met = &met.unwrap().value;
    assert!(met.ends_with("the CRM wished [], it became [starred]"), "{met}");
}

#[tokio::test]
async fn s17_deleted_in_the_crm_is_in_gmails_trash() {
    let world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    world.deletes(&stored).await;
    world.sync().await;
    assert!(world.gmail().labels(&mail.id).contains(&"TRASH".to_owned()));
}

#[tokio::test]
async fn s17_what_is_deleted_in_a_crm_that_was_disconnected_stays_in_gmail() {
    let mut world = World::connected().await;
    let mail = world.mail().arrives();
    world.sync().await;
    let stored = world.only_message(ANN).await;
    world.disconnect().await;
    world.deletes(&stored).await;
    assert!(world.pass().await.is_err(), "nothing is connected");
    world.connect().await.unwrap();
    world.sync().await;
    assert_eq!(world.gmail().labels(&mail.id), ["INBOX", "UNREAD"]);
}

#[tokio::test]
async fn the_same_message_id_on_different_mails_makes_two_messages() {
    let world = World::connected().await;
    world
        .mail()
        .header("Message-ID", "<same@x.example>")
        .subject("One")
        .arrives();
    world
        .mail()
        .header("Message-ID", "<same@x.example>")
        .subject("Two")
        .arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["One", "Two"]);
}

#[tokio::test]
async fn addresses_match_in_any_case() {
    let world = World::connected().await;
    world.mail().from("ANN@Client.Example").subject("Loud").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Loud"]);
}
