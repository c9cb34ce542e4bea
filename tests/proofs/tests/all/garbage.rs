//! Damaged mail through the real component in the real sandbox: nothing traps, and every message ends
//! in exactly one place.

use std::{collections::BTreeSet, sync::Arc};

use gmail_sim::Delivery;
use proofs::{mail, mutate::mutate, world};
use rand::{Rng, SeedableRng, rngs::StdRng};
use twinbox_host::{
    clock::{Clock, SystemClock},
    contract::AuditMode,
    crm::Paging,
    sandbox::Plugin,
};

/// Mailboxes, at most so many messages each, two at a time.
const BATCH: usize = 500;
const MUTATED: usize = 10_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t04_ten_thousand_damaged_messages_all_end_somewhere() {
    let seed = std::env::var("TWINBOX_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("TWINBOX_SEED={seed} repeats this run");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut sources = mail::real();
    sources.extend(mail::fixtures());
    if sources.is_empty() {
        sources = mail::generated(200, 25);
    }
    let contacts = contacts();
    let damaged: Vec<Vec<u8>> = (0..MUTATED)
        .map(|number| {
            let raw = mutate(&sources[number % sources.len()], &sources, &mut rng);
            if rng.random_bool(0.85) {
                mail::sent_by(&raw, &contacts[number % contacts.len()])
            } else {
                raw
            }
        })
        .collect();
    let tally = deliver_all(damaged).await;
    println!("{tally:?}");
    assert!(
        tally.delivered > MUTATED / 2,
        "most were from contacts: {tally:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn t04_every_difficult_message_ends_somewhere_from_a_contact_or_not() {
    let fixtures = mail::fixtures();
    if fixtures.is_empty() {
        return;
    }
    assert_eq!(fixtures.len(), 103);
    let contacts = contacts();
    let of_contacts = fixtures.iter().map(|raw| mail::sent_by(raw, &contacts[0]));
    let tally = deliver_all(of_contacts.collect()).await;
    println!("{tally:?}");
    assert!(tally.delivered > 90, "they were from a contact: {tally:?}");
    deliver_all(fixtures).await;
}

fn contacts() -> Vec<String> {
    (0..25)
        .map(|number| format!("contact{number}@known.example"))
        .collect()
}

/// Where messages ended.
#[derive(Debug, Default)]
struct Tally {
    delivered: usize,
    excluded: usize,
    quarantined: Vec<String>,
}

async fn deliver_all(messages: Vec<Vec<u8>>) -> Tally {
    let plugin = world::plugin().await;
    let batches: Vec<Vec<Vec<u8>>> = messages.chunks(BATCH).map(<[_]>::to_vec).collect();
    let mut running = tokio::task::JoinSet::new();
    let mut tally = Tally::default();
    let mut note = |ended: Tally| {
        tally.delivered += ended.delivered;
        tally.excluded += ended.excluded;
        tally.quarantined.extend(ended.quarantined);
    };
    for (number, batch) in batches.into_iter().enumerate() {
        if running.len() >= 2 {
            note(running.join_next().await.unwrap().unwrap());
        }
        running.spawn(deliver(plugin.clone(), number, batch));
    }
    while let Some(ended) = running.join_next().await {
        note(ended.unwrap());
    }
    tally
}

async fn deliver(plugin: Arc<Plugin>, number: usize, batch: Vec<Vec<u8>>) -> Tally {
    let mailbox = "me@twinbox.example";
    let world = world::World::connected(plugin, mailbox, &contacts()).await;
    let mut ids = BTreeSet::new();
    for raw in &batch {
        ids.insert(
            world
                .sim
                .deliver(&Delivery::new(mailbox, raw.clone()))
                .unwrap()
                .id,
        );
    }
    for pass in 0.. {
        assert!(pass < 50, "batch {number} does not come to an end");
        let report = world.run().await.result;
        let report = report.unwrap_or_else(|error| panic!("batch {number}, pass {pass}: {error}"));
        assert_eq!(report.problem, None, "batch {number}, pass {pass}");
        // A notice whose message is not found is looked at again later.
        if report.next.is_none_or(|next| next > SystemClock.now()) {
            break;
        }
    }
    let audit = world.pass().audit(AuditMode::ReportOnly, String::new()).await;
    let audit = audit.result.unwrap().unwrap();
    assert_eq!(audit.missing, Vec::<String>::new(), "batch {number}");
    assert_eq!(audit.listed as usize, ids.len(), "batch {number}");
    let tally = Tally {
        delivered: audit.delivered as usize,
        excluded: audit.excluded.iter().map(|rule| rule.count as usize).sum(),
        quarantined: audit
            .quarantined
            .into_iter()
            .map(|message| message.reason)
            .collect(),
    };
    assert!(tally.quarantined.iter().all(|reason| !reason.is_empty()));
    let ended = tally.delivered + tally.excluded + tally.quarantined.len();
    assert_eq!(ended, batch.len(), "batch {number}: {tally:?}");
    assert_eq!(in_conversations(&world).await, tally.delivered, "batch {number}");
    tally
}

/// Messages in the conversations, none of them twice.
async fn in_conversations(world: &world::World) -> usize {
    let mut keys = BTreeSet::new();
    let mut messages = 0;
    for contact in world
        .crm
        .list_contacts(world.tenant(), Paging::default())
        .await
        .unwrap()
    {
        for offset in (0..).step_by(500) {
            let paging = Paging { offset, limit: 500 };
            let page = world
                .crm
                .conversation(world.tenant(), &contact.id, paging)
                .await
                .unwrap();
            messages += page.len();
            keys.extend(page.iter().map(|stored| stored.message.key.clone()));
            if page.len() < 500 {
                break;
            }
        }
    }
    assert_eq!(keys.len(), messages);
    messages
}
