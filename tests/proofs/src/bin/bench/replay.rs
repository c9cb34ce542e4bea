//! What it costs to replay a pass: read its file, run the component on it, hold every call against it.

use std::time::{Duration, Instant};

use gmail_sim::Delivery;
use proofs::{
    mail,
    world::{self, World},
};
use twinbox_host::trace::{ReadLimits, Trace, replay};

use crate::{Figure, Limit, memory::MAILBOX, quantile};

const MESSAGES: usize = 100;
const SENDERS: usize = 25;
/// The longest message taken, bytes: longer ones are films, not mail.
const LONGEST: usize = 256 << 10;
const ROUNDS: usize = 101;

pub(crate) async fn hundred_messages(show: &mut impl FnMut(Figure)) {
    let mut messages = mail::real();
    messages.retain(|raw| raw.len() <= LONGEST);
    if messages.len() < MESSAGES {
        messages = mail::generated(MESSAGES, SENDERS);
    }
    messages.truncate(MESSAGES);
    let contacts: Vec<String> = (0..SENDERS)
        .map(|number| format!("contact{number}@known.example"))
        .collect();
    let plugin = world::plugin().await;
    let world = World::connected(plugin.clone(), MAILBOX, &contacts).await;
    for (number, raw) in messages.iter().enumerate() {
        let raw = mail::sent_by(raw, &contacts[number % contacts.len()]);
        world.sim.deliver(&Delivery::new(MAILBOX, raw)).unwrap();
    }
    let trace = world.record().await;
    let mut file = Vec::new();
    trace.write(&mut file).unwrap();
    let (mut whole, mut passes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let read = Trace::read(&file[..], ReadLimits::default()).unwrap();
        let began_pass = Instant::now();
        replay(&plugin, &read).await.unwrap();
        passes.push(milliseconds(began_pass.elapsed()));
        whole.push(milliseconds(began.elapsed()));
    }
    show(Figure {
        name: "replay-100-messages",
        value: quantile(&mut whole, 0.5),
        unit: "ms",
        limit: Limit::AtMost(50.0),
    });
    show(Figure {
        name: "replay-100-messages-without-reading",
        value: quantile(&mut passes, 0.5),
        unit: "ms",
        limit: Limit::None,
    });
    show(Figure {
        name: "trace-100-messages",
        value: file.len() as f64 / 1024.0,
        unit: "KiB",
        limit: Limit::None,
    });
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
