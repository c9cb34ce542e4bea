//! T06: what people keep out of the CRM, dry runs, and taking out what a changed rule no longer allows.

use gmail_sim::{FaultKind, Table};
use scenarios::{ANN, File, ME, Moment, QuotaRule, Setup, World, bytes_of};
use twinbox_host::{
    HostError,
    contract::{Outcome, Problem, Subject},
    crm::Secrecy,
    privacy::Privacy,
};

const BOB: &str = "bob@law.example";
const BOSS: &str = "boss@acme.example";

fn never(entries: &[&str]) -> impl FnOnce(&mut Privacy) {
    let entries: Vec<String> = entries.iter().map(|&entry| entry.to_owned()).collect();
    move |lists| lists.never_sync = entries
}

async fn with_bob() -> World {
    Setup::default().contact("Bob", &[BOB]).connected().await
}

#[tokio::test]
async fn t06_nothing_of_an_address_or_a_domain_that_is_never_synced_comes_in() {
    let world = with_bob().await;
    world
        .keeps_out(never(&["LAW.example", "eve@x.example"]))
        .await
        .unwrap();
    let from = world.mail().from("bob@law.example").arrives();
    let below = world.mail().cc("clerk@mail.law.example").arrives();
    let to = world
        .mail()
        .from_me()
        .to(&format!("{ANN}, eve+x@x.example"))
        .is_sent_from_gmail()
        .await;
    world
        .mail()
        .cc("al@in-law.example, adam@x.example")
        .subject("Allowed")
        .arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Allowed"]);
    assert_eq!(world.conversation(BOB).await.len(), 0);
    for id in [&from.id, &below.id, &to] {
        assert_eq!(world.rule(id).await, "T06");
    }
    assert_eq!(
        world.input(&below.id, "never-sync").await.as_deref(),
        Some("LAW.example")
    );
    assert_eq!(
        world.input(&below.id, "address").await.as_deref(),
        Some("clerk@mail.law.example")
    );
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t06_the_body_of_what_is_never_synced_is_never_fetched_also_in_a_known_thread() {
    let world = with_bob().await;
    let first = world.mail().subject("Offer").arrives();
    world.sync().await;
    world.keeps_out(never(&[BOB])).await.unwrap();
    world.requests();
    world
        .mail()
        .from(BOB)
        .subject("Re: Offer")
        .answering(&first.message_id)
        .arrives();
    world.sync().await;
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
async fn t06_mail_among_colleagues_stays_out_and_with_a_contact_in_it_comes_in() {
    let world = Setup::default().contact("Boss", &[BOSS]).connected().await;
    let internal = world.mail().from(BOSS).cc("al@dev.acme.example").arrives();
    world.mail().from(BOSS).cc(ANN).subject("With Ann").arrives();
    world.mail().cc(BOSS).subject("From Ann").arrives();
    world.sync().await;
    assert_eq!(world.subjects(BOSS).await, ["With Ann"]);
    assert_eq!(world.subjects(ANN).await, ["From Ann"]);
    assert_eq!(world.rule(&internal.id).await, "T06");
    assert_eq!(
        world.input(&internal.id, "internal-domains").await.as_deref(),
        Some("acme.example")
    );
}

#[tokio::test]
async fn t06_which_domains_are_internal_is_the_users_choice() {
    let world = Setup::default().contact("Boss", &[BOSS]).connected().await;
    let choose = |domains: &[&str]| {
        let domains: Vec<String> = domains.iter().map(|&domain| domain.to_owned()).collect();
        move |lists: &mut Privacy| lists.internal_domains = Some(domains)
    };
    world.keeps_out(choose(&[])).await.unwrap();
    world.mail().from(BOSS).subject("No colleagues").arrives();
    world.sync().await;
    world
        .keeps_out(choose(&["acme.example", "client.example"]))
        .await
        .unwrap();
    world.mail().subject("Ann is one now").arrives();
    world.sync().await;
    assert_eq!(world.subjects(BOSS).await, ["No colleagues"]);
    assert_eq!(world.conversation(ANN).await.len(), 0);
}

#[tokio::test]
async fn t06_while_a_conversation_is_private_none_of_its_mail_comes_in() {
    let world = World::connected().await;
    world.mail().subject("Before").arrives();
    world.sync().await;
    world.keeps(ANN, Secrecy::Private).await;
    let private = world.mail().subject("Private").arrives();
    world.mail().from_me().to(ANN).is_sent_from_gmail().await;
    world.sync().await;
    world.keeps(ANN, Secrecy::Open).await;
    world.mail().subject("After").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Before", "After"]);
    assert_eq!(world.rule(&private.id).await, "T06");
    assert!(world.input(&private.id, "private").await.is_some());
}

#[tokio::test]
async fn t06_an_entry_that_means_nothing_is_refused_and_nothing_changes() {
    let world = World::connected().await;
    let before = world.connection_row().await.settings;
    let refused = world.keeps_out(never(&["bob"])).await.unwrap_err();
    assert!(
        matches!(&refused, HostError::Refused(Problem::SettingsInvalid(text)) if text.contains("/never-sync/0")),
        "{refused:?}"
    );
    assert_eq!(world.connection_row().await.settings, before);
}

#[tokio::test]
async fn t06_lists_survive_the_operators_settings_a_reconnect_and_another_mailbox() {
    let mut world = with_bob().await;
    world.keeps_out(never(&["law.example"])).await.unwrap();
    world
        .host()
        .set_settings(r#"{"daily-limit": 7, "never-sync": ["bank.example"]}"#)
        .await
        .unwrap();
    world.connect().await.unwrap();
    let lists = |settings: &str| Privacy::of(settings).never_sync;
    let settings = world.connection_row().await.settings;
    assert_eq!(lists(&settings), ["bank.example", "law.example"]);
    world.disconnect().await;
    world.consent(ANN, gmail_sim::Decision::All, None).await.unwrap();
    assert_eq!(
        lists(&world.connection_row().await.settings),
        ["bank.example", "law.example"]
    );
}

#[tokio::test]
async fn t06_a_dry_run_says_what_would_be_synced_and_why_and_writes_nothing() {
    let world = with_bob().await;
    world.mail().from(BOB).subject("From Bob").arrives();
    world
        .mail()
        .from("stranger@x.example")
        .subject("Strange")
        .arrives();
    world.mail().subject("From Ann").arrives();
    world.requests();
    let stored = world.storage().await;
    let lists = Privacy {
        never_sync: vec!["law.example".into()],
        ..Privacy::default()
    };
    let found = world.preview(10, Some(&lists)).await;
    let rules: Vec<(&str, bool)> = found
        .iter()
        .map(|found| {
            (
                found.rule.as_str(),
                matches!(found.outcome, Outcome::Delivered(_)),
            )
        })
        .collect();
    assert_eq!(rules, [("S10", true), ("S10", false), ("T06", false)]);
    let subject = found[2].inputs.iter().find(|input| input.name == "subject");
    assert_eq!(subject.unwrap().value, "From Bob");
    assert!(matches!(world.preview(1, None).await[..], [_]));
    let requests = world.requests();
    let is_read = |line: &String| {
        line.starts_with("GET ") && (line.contains("format=metadata") || line.contains("/messages?"))
    };
    assert!(
        !requests.is_empty() && requests.iter().all(is_read),
        "{requests:?}"
    );
    assert_eq!(world.storage().await, stored);
    assert_eq!(world.counts().await.messages, 0);
}

#[tokio::test]
async fn t06_what_a_changed_rule_no_longer_allows_leaves_the_crm_and_the_ledger_says_why() {
    let world = with_bob().await;
    let file = File::attached("a.pdf", "application/pdf", bytes_of(5_000));
    let mail = world.mail().from(BOB).subject("Secret").carrying(file).arrives();
    world.mail().cc(BOB).subject("Bob in copy").arrives();
    world.mail().subject("Stays").arrives();
    world.sync().await;
    let stored = world.only_message(BOB).await;
    world.keeps_out(never(&[BOB])).await.unwrap();
    assert_eq!(world.retract().await, 2);
    assert_eq!(world.subjects(ANN).await, ["Stays"]);
    assert_eq!(world.conversation(BOB).await.len(), 0);
    assert!(world.is_erased(&stored).await);
    assert_eq!(world.rule(&mail.id).await, "T06");
    assert_eq!(
        world.input(&mail.id, "retracted-from").await,
        Some(stored.message.contact_id.clone())
    );
    let rows = world.storage().await;
    assert!(
        !rows.iter().any(|(_, value)| value.contains("Secret")),
        "{rows:?}"
    );
    assert_eq!(world.retract().await, 0);
    world.keeps_out(never(&[])).await.unwrap();
    world.gmail().label(&mail.id, &["STARRED"], &[]).await;
    world.sync().await;
    assert_eq!(world.conversation(BOB).await.len(), 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t06_a_private_conversation_is_taken_out_but_for_what_was_written_in_the_crm() {
    let world = World::connected().await;
    world.mail().subject("Came").arrives();
    let letter = world.letter(ANN).await.queued().await;
    world.sync().await;
    assert_eq!(world.conversation(ANN).await.len(), 2);
    world.keeps(ANN, Secrecy::Private).await;
    assert_eq!(world.retract().await, 1);
    let left: Vec<String> = world
        .conversation(ANN)
        .await
        .into_iter()
        .map(|left| left.id)
        .collect();
    assert_eq!(left, [letter]);
}

#[tokio::test]
async fn t06_mail_that_is_gone_from_the_mailbox_is_taken_out_by_what_the_ledger_knows() {
    let world = with_bob().await;
    let gone = world.mail().from(BOB).arrives();
    let ann = world.mail().subject("From Ann").arrives();
    world.sync().await;
    world.gmail().delete(&gone.id).await;
    world.gmail().delete(&ann.id).await;
    world.sync().await;
    world.keeps_out(never(&[BOB])).await.unwrap();
    assert_eq!(world.retract().await, 1);
    assert_eq!(world.conversation(BOB).await.len(), 0);
    assert_eq!(world.subjects(ANN).await, ["From Ann"]);
}

#[tokio::test]
async fn t06_a_retract_that_dies_anywhere_is_finished_by_later_passes() {
    for n in 0..12 {
        for moment in [Moment::Before, Moment::After] {
            let world = with_bob().await;
            for _ in 0..3 {
                world.mail().from(BOB).arrives();
                world.mail().arrives();
            }
            world.sync().await;
            world.keeps_out(never(&[BOB])).await.unwrap();
            world.retract_that_dies(n, moment).await;
            // Begun it was before the first request: no need to ask for it again.
            world.sync().await;
            assert_eq!(world.conversation(BOB).await.len(), 0, "{n}");
            assert_eq!(world.conversation(ANN).await.len(), 3, "{n}");
            world.assert_all_accounted_for().await;
        }
    }
}

#[tokio::test]
async fn t06_a_retract_goes_on_in_whatever_pass_comes_next() {
    let world = with_bob().await;
    for _ in 0..3 {
        world.mail().from(BOB).arrives();
    }
    world.sync().await;
    world.keeps_out(never(&[BOB])).await.unwrap();
    for _ in 0..9 {
        world.fault("messages.get", FaultKind::BackendBefore(503));
    }
    let id = world.connection_row().await.scope.connection;
    let begun = world.host().retract(&id, std::time::Duration::ZERO).await;
    assert!(begun.is_err());
    assert_eq!(world.conversation(BOB).await.len(), 3);
    world.tick(60_000);
    world.sync().await;
    assert_eq!(world.conversation(BOB).await.len(), 0);
}

#[tokio::test]
async fn t06_a_retract_gets_further_in_each_pass_where_the_quota_is_too_small_for_one() {
    let setup = Setup::default().contact("Bob", &[BOB]);
    let quota = QuotaRule::Enforced(Table::New);
    let world = setup.quota(quota).project_units(1_500).connected().await;
    for _ in 0..60 {
        world.mail().from(BOB).arrives();
    }
    world.settle().await;
    assert_eq!(world.conversation(BOB).await.len(), 60);
    world.keeps_out(never(&[BOB])).await.unwrap();
    let id = world.connection_row().await.scope.connection;
    let begun = world.host().retract(&id, std::time::Duration::ZERO).await;
    assert!(
        matches!(begun, Err(HostError::Refused(Problem::RateLimited(_)))),
        "{begun:?}"
    );
    let left = world.conversation(BOB).await.len();
    assert!((1..60).contains(&left), "{left}");
    world.settle().await;
    assert_eq!(world.conversation(BOB).await.len(), 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t06_a_contact_is_explained_with_what_was_kept_out_for_its_sake() {
    let world = with_bob().await;
    let kept_out = {
        world.keeps_out(never(&[BOB])).await.unwrap();
        world.mail().cc(BOB).arrives()
    };
    world.mail().subject("Another").arrives();
    world.sync().await;
    let explained = world
        .explain_all(Subject::Contact("Bob+x@law.example".into()))
        .await;
    assert_eq!(explained.len(), 1);
    assert_eq!(explained[0].id, kept_out.id);
    assert_eq!(world.explain_all(Subject::Contact(ANN.into())).await.len(), 2);
    assert_eq!(world.explain_all(Subject::Contact(ME.into())).await.len(), 0);
}
