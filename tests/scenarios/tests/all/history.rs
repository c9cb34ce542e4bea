//! T04: history that is long, and history whose pages are not tidy.

use gmail_sim::{HistoryLabels, HistoryOrder};
use scenarios::{ANN, ME, Setup, World};
use twinbox_host::contract::Outcome;

/// More than one page of history has.
const SOME_PAGES: usize = 1_100;
/// Records of a mailbox that nobody looked after for long.
const HUGE: usize = 100_000;
/// What a guest may have at most: a sixteenth of its budget.
const LITTLE_MEMORY: usize = 4 << 20;

#[tokio::test]
async fn t04_pages_in_any_order_repeated_or_empty_give_the_last_state() {
    for order in [
        HistoryOrder::Chronological,
        HistoryOrder::PagesSwapped,
        HistoryOrder::Reversed,
        HistoryOrder::Shuffled,
    ] {
        for labels in [HistoryLabels::Current, HistoryLabels::AtChange] {
            let setup = Setup::default().behaviour(|gmail| {
                gmail.history_order = order;
                gmail.history_labels = labels;
                gmail.history_duplicates = true;
                gmail.history_empty_pages = true;
            });
            let world = setup.connected().await;
            let known = world.mail().subject("Known").arrives();
            world.sync().await;
            let new = world.mail().subject("New").arrives();
            let gone = world.mail().subject("Gone").arrives();
            world.gmail().stars_by_turns(&known.id, SOME_PAGES);
            world.gmail().label(&known.id, &["STARRED"], &["UNREAD"]).await;
            world.gmail().label(&new.id, &[], &["INBOX"]).await;
            world.gmail().delete(&gone.id).await;
            world.mail().subject("Last").arrives();
            world.sync().await;
            world.settle().await;
            let here = format!("{order:?} {labels:?}");
            assert_eq!(world.subjects(ANN).await, ["Known", "New", "Last"], "{here}");
            let conversation = world.conversation(ANN).await;
            let flags = |number: usize| conversation[number].message.flags;
            assert!(flags(0).starred && !flags(0).unread, "{here}: {:?}", flags(0));
            assert!(flags(1).archived && flags(1).unread, "{here}: {:?}", flags(1));
            assert!(!flags(2).archived, "{here}: {:?}", flags(2));
            assert_eq!(world.explain(&gone.id).await.outcome, Outcome::Gone, "{here}");
            world.assert_all_accounted_for().await;
        }
    }
}

/// What becomes of a draft in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Sent,
    Deleted,
}

/// Whether its history can be read when it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    /// Some of the saves one by one, the rest at once.
    Often,
    /// Saves and end at once.
    Once,
    /// It has expired.
    Never,
}

#[tokio::test]
async fn t04_of_a_draft_that_is_saved_many_times_only_the_sent_mail_is_there_once() {
    for end in [End::Sent, End::Deleted] {
        for read in [Read::Often, Read::Once, Read::Never] {
            for keeps_id in [false, true] {
                churn(end, read, keeps_id).await;
            }
        }
    }
}

async fn churn(end: End, read: Read, keeps_id: bool) {
    let setup = Setup::default().behaviour(|gmail| gmail.draft_send_keeps_id = keeps_id);
    let world = setup.connected().await;
    let offer = world.mail().subject("Offer").arrives();
    world.sync().await;
    let draft = world.mail().from_me().to(ANN).subject("Re: Offer");
    let raw = draft.answering(&offer.message_id).raw();
    let id = world.gmail().save_draft(&raw).await;
    for _ in 0..4 {
        world.gmail().autosaves(&id, &raw, 50);
        if read == Read::Often {
            world.sync().await;
        }
    }
    match end {
        End::Sent => world.gmail().send_draft(&id).await,
        End::Deleted => world.gmail().delete_drafts().await,
    }
    if read == Read::Never {
        world.sim().expire_all_history(ME);
    }
    world.settle().await;
    let here = format!("{end:?} {read:?}, keeps its id: {keeps_id}");
    let expected: &[&str] = match end {
        End::Sent => &["Offer", "Re: Offer"],
        End::Deleted => &["Offer"],
    };
    assert_eq!(world.subjects(ANN).await, expected, "{here}");
    assert_eq!(world.mailbox(ANN).inbox().len(), expected.len() - 1, "{here}");
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn t04_a_hundred_thousand_records_are_read_in_little_memory_and_all_is_accounted_for() {
    let world = World::connected().await;
    let known = world.mail().subject("Known").arrives();
    let deleted = world.mail().subject("Deleted").arrives();
    world.sync().await;
    world.tick(3_600_000);
    let draft = world.mail().from_me().to(ANN).subject("Draft");
    let id = world.gmail().save_draft(&draft.raw()).await;
    world.gmail().autosaves(&id, &draft.raw(), HUGE / 10);
    world.gmail().stars_by_turns(&known.id, 9 * HUGE / 10);
    world.gmail().label(&known.id, &["STARRED"], &["UNREAD"]).await;
    world.gmail().delete(&deleted.id).await;
    world.mail().subject("New").arrives();
    world.requests();
    let peak = peak_of_a_settling(&world).await;
    assert!(peak < LITTLE_MEMORY, "{peak} bytes of history");
    let requests = world.requests();
    let pages = requests.iter().filter(|line| line.contains("/history?")).count();
    assert!(pages >= HUGE / 500, "{pages} pages of history");
    assert_is_up_to_date(&world).await;
    // And the same mailbox with its ledger, once its history cannot be read any more.
    world.sim().expire_all_history(ME);
    let peak = peak_of_a_settling(&world).await;
    assert!(peak < LITTLE_MEMORY, "{peak} bytes of listing");
    assert_is_up_to_date(&world).await;
}

/// The most memory that any pass had, until there is nothing left to do.
async fn peak_of_a_settling(world: &World) -> usize {
    let passes = world.settle().await;
    for ran in &passes {
        assert_eq!(ran.report.problem, None);
    }
    passes.iter().map(|ran| ran.usage.guest_peak_bytes).max().unwrap()
}

async fn assert_is_up_to_date(world: &World) {
    let conversation = world.conversation(ANN).await;
    let seen: Vec<(&str, bool)> = conversation
        .iter()
        .map(|stored| (stored.message.subject.as_str(), stored.deleted))
        .collect();
    assert_eq!(seen, [("Known", false), ("Deleted", true), ("New", false)]);
    let flags = conversation[0].message.flags;
    assert!(flags.starred && !flags.unread, "{flags:?}");
    world.assert_all_accounted_for().await;
}
