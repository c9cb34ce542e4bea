//! T04: history that has expired, and history that is not tidy.

use gmail_sim::{FaultKind, HistoryLabels, HistoryOrder, Table};
use scenarios::{ANN, ME, QuotaRule, Setup, World};
use twinbox_host::contract::Outcome;

#[tokio::test]
async fn t04_expired_history_is_closed_by_date_without_duplicates() {
    let world = World::connected().await;
    world.mail().subject("Before the gap").arrives();
    world.sync().await;
    world.mail().subject("Inside the gap").arrives();
    world.sim().expire_history(ME, None);
    world.mail().subject("After the gap").arrives();
    world.sim().expire_history(ME, None);
    world.settle().await;
    assert_eq!(
        world.subjects(ANN).await,
        ["Before the gap", "Inside the gap", "After the gap"]
    );
    world.assert_all_accounted_for().await;
    world.mail().subject("Later").arrives();
    world.settle().await;
    assert_eq!(world.conversation(ANN).await.len(), 4);
}

#[tokio::test]
async fn t04_a_gap_is_closed_however_few_units_a_minute_has() {
    let world = Setup::default()
        .quota(QuotaRule::Enforced(Table::New))
        .project_units(700)
        .connected()
        .await;
    let subjects: Vec<String> = (0..40).map(|number| format!("Mail {number}")).collect();
    for subject in &subjects {
        world.mail().subject(subject).arrives();
    }
    assert!(world.sim().expire_all_history(ME));
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, subjects);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t04_the_newest_id_may_have_expired_and_history_goes_on_from_a_fresh_one() {
    let world = World::connected().await;
    world.mail().subject("One").arrives();
    world.sync().await;
    // Nothing has happened since: the cursor is the newest id there is.
    assert!(world.sim().expire_all_history(ME));
    world.requests();
    assert_eq!(world.sync().await.report.problem, None);
    let requests = world.requests();
    assert!(
        requests.iter().any(|line| line.ends_with("/profile")),
        "{requests:?}"
    );
    world.tick(11 * 60_000);
    world.settle().await;
    world.requests();
    world.mail().subject("Two").arrives();
    world.sync().await;
    let listings = |line: &String| line.contains("/messages?");
    assert_eq!(world.requests().iter().filter(|line| listings(line)).count(), 0);
    assert_eq!(world.subjects(ANN).await, ["One", "Two"]);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t04_history_that_expires_again_while_the_gap_is_closed_loses_and_doubles_nothing() {
    // Before the mailbox is listed, between its pages and the mail, and before the last look at it.
    for moment in ["/messages?", "format=metadata", "labelIds=STARRED"] {
        let world = World::connected().await;
        let early = world.mail().subject("Before").arrives();
        let deleted = world.mail().subject("Deleted").arrives();
        world.sync().await;
        world.tick(3_600_000);
        world.mail().subject("In the first gap").arrives();
        world.sim().expire_all_history(ME);
        let during = world.mail().subject("In the second gap");
        let delivery = gmail_sim::Delivery::new(ME, during.raw());
        let (sim, gmail) = (world.sim().clone(), world.gmail());
        let early = early.id.clone();
        world.before_request(moment, async move {
            sim.deliver(&delivery).unwrap();
            gmail.delete(&deleted.id).await;
            gmail.label(&early, &["STARRED"], &[]).await;
            sim.expire_all_history(ME);
        });
        let passes = world.settle().await;
        assert!(passes.len() < 15, "{moment}: {} passes", passes.len());
        assert_eq!(passes.last().unwrap().report.problem, None, "{moment}");
        let conversation = world.conversation(ANN).await;
        let seen: Vec<(&str, bool)> = conversation
            .iter()
            .map(|stored| (stored.message.subject.as_str(), stored.deleted))
            .collect();
        let first = ("In the first gap", false);
        let second = ("In the second gap", false);
        assert_eq!(
            seen,
            [("Before", false), ("Deleted", true), first, second],
            "{moment}"
        );
        assert!(conversation[0].message.flags.starred, "{moment}");
        world.assert_all_accounted_for().await;
    }
}

#[tokio::test]
async fn t04_ids_that_are_listed_and_then_404_are_gone_and_hold_up_nothing() {
    for format in ["format=metadata", "format=raw"] {
        let world = World::connected().await;
        let lost = world.mail().subject("Lost").arrives();
        world.mail().subject("Stays").arrives();
        world.sim().expire_all_history(ME);
        let (gmail, id) = (world.gmail(), lost.id.clone());
        world.before_request(&format!("{}?{format}", lost.id), async move {
            gmail.delete(&id).await;
        });
        assert_eq!(world.sync().await.report.problem, None, "{format}");
        assert_eq!(world.explain(&lost.id).await.outcome, Outcome::Gone, "{format}");
        assert_eq!(world.subjects(ANN).await, ["Stays"], "{format}");
        world.settle().await;
        world.assert_all_accounted_for().await;
    }
}

#[tokio::test]
async fn t04_what_was_deleted_inside_the_gap_is_deleted_in_the_crm() {
    let world = World::connected().await;
    let kept = world.mail().subject("Kept").arrives();
    let deleted = world.mail().subject("Deleted").arrives();
    world.sync().await;
    world.tick(3_600_000);
    world.gmail().delete(&deleted.id).await;
    world.sim().expire_history(ME, None);
    world.mail().subject("New").arrives();
    world.sim().expire_history(ME, None);
    world.settle().await;
    let state: Vec<(String, bool)> = world
        .conversation(ANN)
        .await
        .into_iter()
        .map(|stored| (stored.message.subject, stored.deleted))
        .collect();
    assert_eq!(
        state,
        [
            ("Kept".into(), false),
            ("Deleted".into(), true),
            ("New".into(), false)
        ]
    );
    assert_eq!(world.rule(&kept.id).await, "S10");
}

#[tokio::test]
async fn t04_what_was_read_starred_archived_or_trashed_inside_the_gap_shows_in_the_crm() {
    let world = World::connected().await;
    let read = world.mail().subject("Read").arrives();
    let trashed = world.mail().subject("Trashed").arrives();
    world.mail().subject("Untouched").arrives();
    world.sync().await;
    world.tick(3_600_000);
    world
        .gmail()
        .label(&read.id, &["STARRED"], &["UNREAD", "INBOX"])
        .await;
    world.gmail().trash(&trashed.id).await;
    world.sim().expire_history(ME, None);
    world.mail().subject("New").arrives();
    world.sim().expire_history(ME, None);
    world.settle().await;
    let conversation = world.conversation(ANN).await;
    let flags = |subject: &str| {
        let found = conversation
            .iter()
            .find(|stored| stored.message.subject == subject);
        found.unwrap().message.flags
    };
    assert!(flags("Read").starred && flags("Read").archived && !flags("Read").unread);
    assert!(flags("Trashed").trashed);
    assert!(flags("Untouched").unread && !flags("Untouched").archived);
}

#[tokio::test]
async fn t04_what_was_deleted_just_before_the_gap_is_deleted_in_the_crm() {
    let world = World::connected().await;
    world.mail().subject("Kept").arrives();
    let deleted = world.mail().subject("Deleted").arrives();
    world.sync().await;
    world.gmail().delete(&deleted.id).await;
    world.sim().expire_history(ME, None);
    world.mail().subject("New").arrives();
    world.sim().expire_history(ME, None);
    world.settle().await;
    let deleted: Vec<bool> = world
        .conversation(ANN)
        .await
        .iter()
        .map(|stored| stored.deleted)
        .collect();
    assert_eq!(deleted, [false, true, false]);
}

#[tokio::test]
async fn t04_an_anchor_that_expires_at_once_does_not_loop_and_mail_still_comes() {
    let setup = Setup::default().behaviour(|gmail| gmail.history_retention_ms = -1);
    let world = setup.connected().await;
    world.mail().subject("One").arrives();
    for _ in 0..10 {
        world.sync().await;
        world.tick(60_000);
    }
    world.mail().subject("Two").arrives();
    world.requests();
    let passes = world.settle().await.len();
    assert!(passes < 30, "{passes} passes in three hours");
    assert_eq!(world.subjects(ANN).await, ["One", "Two"]);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t04_a_search_that_lags_loses_nothing() {
    let setup = Setup::default().behaviour(|gmail| gmail.search_lag_ms = 120_000);
    let world = setup.connected().await;
    world.mail().subject("Inside the gap").arrives();
    world.sim().expire_history(ME, None);
    world.mail().subject("After").arrives();
    world.sim().expire_history(ME, None);
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, ["Inside the gap", "After"]);
}

#[tokio::test]
async fn t04_a_fault_while_listing_deletes_nothing_and_loses_nothing() {
    for kind in [
        FaultKind::BackendBefore(503),
        FaultKind::RateLimited,
        FaultKind::DropAfter,
    ] {
        let world = World::connected().await;
        world.mail().subject("Before").arrives();
        world.sync().await;
        world.tick(3_600_000);
        world.mail().subject("Inside").arrives();
        world.sim().expire_history(ME, None);
        world.mail().subject("After").arrives();
        world.sim().expire_history(ME, None);
        for _ in 0..3 {
            world.fault("messages.list", kind);
        }
        world.settle().await;
        let conversation = world.conversation(ANN).await;
        assert_eq!(conversation.len(), 3, "{kind:?}");
        assert!(conversation.iter().all(|stored| !stored.deleted), "{kind:?}");
    }
}

#[tokio::test]
async fn t04_untidy_history_gives_the_same_conversation() {
    let worlds = [
        Setup::default().behaviour(|gmail| gmail.history_duplicates = true),
        Setup::default().behaviour(|gmail| gmail.history_order = HistoryOrder::Shuffled),
        Setup::default().behaviour(|gmail| gmail.history_empty_pages = true),
        Setup::default().behaviour(|gmail| gmail.history_grouped = false),
        Setup::default().behaviour(|gmail| gmail.history_labels = HistoryLabels::Absent),
        Setup::default().behaviour(|gmail| gmail.history_labels = HistoryLabels::AtChange),
    ];
    for (number, setup) in worlds.into_iter().enumerate() {
        let world = setup.connected().await;
        let first = world.mail().subject("One").arrives();
        let gone = world.mail().subject("Gone").arrives();
        world.mail().from("stranger@x.example").arrives();
        world.gmail().label(&first.id, &["STARRED"], &["UNREAD"]).await;
        world.gmail().delete(&gone.id).await;
        world
            .mail()
            .from_me()
            .to(ANN)
            .subject("Two")
            .is_sent_from_gmail()
            .await;
        world.settle().await;
        world.gmail().label(&first.id, &[], &["INBOX"]).await;
        world.settle().await;
        assert_eq!(world.subjects(ANN).await, ["One", "Two"], "world {number}");
        world.assert_all_accounted_for().await;
    }
}

#[tokio::test]
async fn t04_labels_follow_whatever_history_says_of_them() {
    for labels in [
        HistoryLabels::Current,
        HistoryLabels::AtChange,
        HistoryLabels::Absent,
    ] {
        for order in [HistoryOrder::Chronological, HistoryOrder::Shuffled] {
            let setup = Setup::default().behaviour(|gmail| {
                gmail.history_labels = labels;
                gmail.history_order = order;
            });
            let world = setup.connected().await;
            let mail = world.mail().arrives();
            world.settle().await;
            world.gmail().label(&mail.id, &["STARRED"], &["UNREAD"]).await;
            world.gmail().label(&mail.id, &[], &["STARRED"]).await;
            world.settle().await;
            let flags = world.only_message(ANN).await.message.flags;
            assert!(!flags.starred && !flags.unread, "{labels:?} {order:?} {flags:?}");
        }
    }
}
