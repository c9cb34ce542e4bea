//! What is drawn for the address books of mailboxes (S08), with numbers of its own: the rest of a world is the same with
//! and without them.

use gmail_sim::{Fault, FaultKind};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{AddressBook, BookAct, Event, Shape, Tenant, What};

/// The one method of address books.
pub(super) const METHOD: &str = "people.connections.list";
/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5308;

/// Lets some users tick the choice; what happens in their address books, until `horizon`.
pub(super) fn draw(seed: u64, shape: &mut Shape, horizon: u64) -> Vec<Event> {
    let mut random = SmallRng::seed_from_u64(seed ^ SALT);
    for tenant in &mut shape.tenants {
        if random.random_ratio(1, 4) {
            tenant.book = AddressBook::Ticked;
        }
    }
    let is_ticked = |tenant: &&Tenant| tenant.book == AddressBook::Ticked;
    let mailboxes: Vec<usize> = shape
        .tenants
        .iter()
        .filter(is_ticked)
        .map(|tenant| tenant.mailbox)
        .collect();
    let Some(&mailbox) = mailboxes.choose(&mut random) else {
        return Vec::new();
    };
    let mut events = Vec::new();
    for _ in 0..random.random_range(2..14) {
        let act = acts(&mut random);
        let what = What::AddressBook {
            mailbox,
            act,
            pick: random.random_range(0..1_000),
        };
        events.push(Event {
            at: random.random_range(0..horizon),
            what,
        });
    }
    for _ in 0..random.random_range(0..3) {
        let kinds: Vec<FaultKind> = FaultKind::ALL
            .iter()
            .copied()
            .filter(|kind| kind.applies_to(METHOD) && kind.is_passing() && !is_of_the_clock(*kind))
            .collect();
        let Some(&kind) = kinds.choose(&mut random) else {
            break;
        };
        let fault = Fault {
            skip: random.random_range(0..3),
            ..Fault::next(METHOD, kind)
        };
        events.push(Event {
            at: random.random_range(0..horizon),
            what: What::Fault(fault),
        });
    }
    events
}

fn acts(random: &mut SmallRng) -> BookAct {
    match random.random_range(0..10) {
        0..5 => BookAct::Add,
        5 => BookAct::Rename,
        6 => BookAct::Readdress,
        7 => BookAct::Unaddress,
        8 => BookAct::Merge,
        _ => BookAct::Delete,
    }
}

/// How far clocks jump is drawn with the rest of the world.
fn is_of_the_clock(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::ClockForward(_) | FaultKind::ClockBackward(_))
}
