//! Mail that came to the BCC address alone (S18), without a copy in the mailbox: the other rules hold for it as well.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use scenarios::{ANN, File, Setup, World, bytes_of};
use twinbox_host::{
    body::Body,
    contract::{Explanation, Outcome, Subject},
    crm::Secrecy,
    privacy::Privacy,
};

const BOB: &str = "bob@law.example";

async fn world() -> World {
    let setup = Setup::default().with_bcc_addresses().contact("Bob", &[BOB]);
    setup.connected().await
}

/// Mail that the user sends with another server, to the world's address.
async fn logs(world: &World, subject: &str, to: &str, cc: Option<&str>) {
    let mail = world.mail().from_me().to(to).subject(subject);
    let mail = match cc {
        Some(cc) => mail.cc(cc),
        None => mail,
    };
    let answer = world
        .post()
        .await
        .bring(&world.bcc_address().await, &mail.raw())
        .await;
    assert!(answer.starts_with("250"), "{answer}");
}

async fn has_logged(world: &World, subject: &str, to: &str, cc: Option<&str>) {
    logs(world, subject, to, cc).await;
    assert_eq!(world.takes_in().await, 1);
}

fn never(entry: &str) -> impl FnOnce(&mut Privacy) {
    let entry = entry.to_owned();
    move |lists| lists.never_sync = vec![entry]
}

async fn explained(world: &World, who: &str) -> Vec<Explanation> {
    world.explain_all(Subject::Contact(who.to_owned())).await
}

#[tokio::test]
async fn t06_who_is_in_bcc_keeps_both_copies_out_whichever_is_first() {
    for ways in ["ms", "sm", "sms"] {
        let world = world().await;
        world.keeps_out(never(BOB)).await.unwrap();
        let bcc = format!("{}, {BOB}", world.bcc_address().await);
        let mail = world.mail().from_me().to(ANN).bcc(&bcc).subject("Between us");
        mail.is_sent_from_gmail().await;
        let copies = world.left_for(&world.bcc_address().await);
        let copy = copies.last().expect("a copy");
        for way in ways.chars() {
            if way == 'm' {
                world.sync().await;
            } else {
                let answer = world.post().await.bring(&world.bcc_address().await, copy).await;
                assert!(answer.starts_with("250"), "{answer}");
                assert_eq!(world.takes_in().await, 1);
            }
        }
        assert!(world.subjects("Ann").await.is_empty(), "{ways}");
        let told = explained(&world, BOB).await;
        assert_eq!(told.len(), 2, "{ways}: {told:?}");
        assert!(told.iter().all(|told| told.rule == "T06"), "{ways}: {told:?}");
        world.assert_all_accounted_for().await;
    }
}

#[tokio::test]
async fn s31_mail_that_came_to_the_bcc_address_alone_is_released_with_its_contact() {
    let home = world().await;
    let rival = home.sharing("rival").await;
    has_logged(&rival, "Logged", ANN, None).await;
    assert!(rival.released(ANN).await.is_empty());
    home.writes_to(ANN).await;
    rival.sync().await;
    assert_eq!(rival.released(ANN).await, ["Logged"]);
    let told = explained(&rival, ANN).await;
    let logged = told.iter().find(|told| told.id.len() == 32).unwrap();
    assert!(
        logged.inputs.iter().any(|input| input.name == "released"),
        "{told:?}"
    );
}

#[tokio::test]
async fn s31_mail_at_the_bcc_address_from_before_a_claim_is_released_when_it_is_taken_in_after_it() {
    let home = world().await;
    let rival = home.sharing("rival").await;
    logs(&rival, "Before", ANN, None).await;
    // Longer than clocks may be apart.
    home.tick(3 * 60_000);
    home.writes_to(ANN).await;
    logs(&rival, "After", ANN, None).await;
    rival.takes_in().await;
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["Before"]);
    assert_eq!(rival.released(ANN).await, ["Before"]);
}

#[tokio::test]
async fn s31_who_keeps_a_contact_and_gives_it_up_has_its_logged_mail_released_by_the_next_one() {
    let home = world().await;
    let rival = home.sharing("rival").await;
    has_logged(&rival, "Logged", ANN, None).await;
    rival.writes_to(ANN).await;
    rival.colleague("tom").await;
    rival.assign(ANN, Some("tom")).await;
    rival.sync().await;
    home.writes_to(ANN).await;
    rival.sync().await;
    assert!(rival.released(ANN).await.contains(&"Logged".to_owned()));
}

#[tokio::test]
async fn s31_of_a_mail_that_came_twice_the_first_time_counts_whichever_copy_is_taken_in_first() {
    let home = world().await;
    let rival = home.sharing("rival").await;
    let raw = rival.mail().from_me().to(ANN).subject("Twice").raw();
    let came = rival.now();
    home.tick(3 * 60_000);
    home.writes_to(ANN).await;
    let (id, bcc) = (
        rival.connection_row().await.scope.connection,
        rival.bcc_address().await,
    );
    let mut outcomes = Vec::new();
    for received_at in [rival.now(), came, rival.now()] {
        let (body, size) = (Body::Inline(raw.clone().into()), raw.len() as u64);
        let outcome = rival
            .host()
            .ingest(&id, bcc.clone(), body, size, received_at)
            .await;
        outcomes.push(matches!(outcome.unwrap(), Outcome::Delivered(_)));
    }
    assert_eq!(outcomes, [false, true, true]);
    rival.sync().await;
    assert_eq!(rival.released(ANN).await, ["Twice"]);
}

#[tokio::test]
async fn t06_what_the_address_had_brought_is_taken_out_though_its_copy_in_the_mailbox_was_kept_out() {
    let world = world().await;
    let bcc = world.bcc_address().await;
    world
        .mail()
        .from_me()
        .to(BOB)
        .bcc(&bcc)
        .is_sent_from_gmail()
        .await;
    let copy = world.left_for(&bcc).pop().unwrap();
    assert!(world.post().await.bring(&bcc, &copy).await.starts_with("250"));
    world.takes_in().await;
    world.keeps_out(never(BOB)).await.unwrap();
    world.sync().await;
    assert_eq!(world.conversation(BOB).await.len(), 1, "until it is asked for");
    assert_eq!(world.retract().await, 1);
    assert_eq!(world.conversation(BOB).await.len(), 0);
}

#[tokio::test]
async fn t06_who_is_in_bcc_takes_every_copy_out_though_the_copies_do_not_say_so() {
    let world = world().await;
    let own = world.bcc_address().await;
    let mail = world.mail().from_me().to(ANN).bcc(&format!("{own}, {BOB}"));
    mail.subject("Between us")
        .text("Hello")
        .is_sent_from_gmail()
        .await;
    let copy = String::from_utf8(world.left_for(&own).pop().unwrap()).unwrap();
    let with = |footer: &str| copy.replace(&base64("Hello"), &base64(&format!("Hello\r\n{footer}")));
    let bring = async |raw: &str| {
        let answer = world.post().await.bring(&own, raw.as_bytes()).await;
        assert!(answer.starts_with("250"), "{answer}");
        assert_eq!(world.takes_in().await, 1);
    };
    world.sync().await;
    for raw in [&copy, &with("Sent from a company.")] {
        bring(raw).await;
    }
    assert_eq!(world.subjects(ANN).await, ["Between us"]);
    world.keeps_out(never(BOB)).await.unwrap();
    assert_eq!(world.retract().await, 1);
    assert!(world.subjects(ANN).await.is_empty());
    // One that comes afterwards, by yet another server.
    bring(&with("Scanned for viruses.")).await;
    assert!(world.subjects(ANN).await.is_empty());
    let told = explained(&world, BOB).await;
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told.iter().all(|told| told.rule == "T06"), "{told:?}");
}

fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

#[tokio::test]
async fn t06_mail_among_colleagues_is_that_with_the_address_in_bcc_too() {
    let boss = "boss@acme.example";
    let setup = Setup::default().with_bcc_addresses().contact("Boss", &[boss]);
    let world = setup.connected().await;
    let internal = |domains: Vec<String>| |lists: &mut Privacy| lists.internal_domains = Some(domains);
    world.keeps_out(internal(Vec::new())).await.unwrap();
    let own = world.bcc_address().await;
    let mail = world.mail().from_me().to(boss).bcc(&own);
    mail.is_sent_from_gmail().await;
    world.sync().await;
    assert_eq!(world.conversation(boss).await.len(), 1);
    world
        .keeps_out(internal(vec!["acme.example".to_owned()]))
        .await
        .unwrap();
    let foreseen = world.preview(10, None).await;
    assert!(foreseen.iter().all(|it| it.rule == "T06"), "{foreseen:?}");
    assert_eq!(world.retract().await, 1);
    assert!(world.conversation(boss).await.is_empty());
}

#[tokio::test]
async fn t06_mail_that_came_to_the_bcc_address_alone_is_taken_out() {
    let world = world().await;
    let file = File::attached("a.pdf", "application/pdf", bytes_of(5_000));
    let raw = world
        .mail()
        .from_me()
        .to(BOB)
        .subject("Secret")
        .carrying(file)
        .raw();
    let post = world.post().await;
    assert!(
        post.bring(&world.bcc_address().await, &raw)
            .await
            .starts_with("250")
    );
    world.takes_in().await;
    has_logged(&world, "Bob in copy", ANN, Some(BOB)).await;
    has_logged(&world, "Stays", ANN, None).await;
    let stored = world.only_message(BOB).await;
    world.keeps_out(never(BOB)).await.unwrap();
    assert_eq!(world.retract().await, 2);
    assert_eq!(world.subjects(ANN).await, ["Stays"]);
    assert_eq!(world.conversation(BOB).await.len(), 0);
    assert!(world.is_erased(&stored).await);
    let told = explained(&world, BOB).await;
    assert!(
        told.len() == 2 && told.iter().all(|told| told.rule == "T06"),
        "{told:?}"
    );
    assert_eq!(world.retract().await, 0);
    // A server that has not heard the answer brings it once more.
    assert!(
        post.bring(&world.bcc_address().await, &raw)
            .await
            .starts_with("250")
    );
    world.takes_in().await;
    assert_eq!(world.conversation(BOB).await.len(), 0);
}

#[tokio::test]
async fn t06_mail_that_came_both_ways_is_taken_out_once() {
    let world = world().await;
    let bcc = world.bcc_address().await;
    for is_mailbox_first in [true, false] {
        let mail = world.mail().from_me().to(BOB).bcc(&bcc);
        mail.is_sent_from_gmail().await;
        let copy = world.left_for(&bcc).pop().unwrap();
        if is_mailbox_first {
            world.sync().await;
        }
        assert!(world.post().await.bring(&bcc, &copy).await.starts_with("250"));
        world.takes_in().await;
        world.sync().await;
    }
    assert_eq!(world.conversation(BOB).await.len(), 2);
    world.keeps_out(never(BOB)).await.unwrap();
    assert_eq!(world.retract().await, 2);
    assert_eq!(world.conversation(BOB).await.len(), 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t06_a_private_conversation_loses_what_was_logged_by_the_address_too() {
    let world = world().await;
    has_logged(&world, "Logged", ANN, None).await;
    has_logged(&world, "Of Bob", BOB, None).await;
    world.keeps(ANN, Secrecy::Private).await;
    assert_eq!(world.retract().await, 1);
    assert_eq!(world.conversation(ANN).await.len(), 0);
    assert_eq!(world.subjects(BOB).await, ["Of Bob"]);
}
