//! What is drawn for users who change their address (S05), with numbers of its own.

use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::{AddressBook, Event, Shape, Tenant, What};

/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5305;

/// Lets a user change to another address before `horizon`; some change is drawn in one world of six.
pub(super) fn draw(seed: u64, shape: &mut Shape, horizon: u64) -> Vec<Event> {
    let mut random = SmallRng::seed_from_u64(seed ^ SALT);
    if !random.random_ratio(1, 6) {
        return Vec::new();
    }
    let user = random.random_range(0..shape.tenants.len());
    let old = shape.tenants[user].mailbox;
    // One that other tenants have as well, or one of their own.
    let others: Vec<usize> = (0..shape.mailboxes).filter(|mailbox| *mailbox != old).collect();
    let mailbox = match others.first() {
        Some(other) if random.random_ratio(1, 2) => *other,
        _ => {
            shape.mailboxes += 1;
            shape.mailboxes - 1
        }
    };
    let moving = &shape.tenants[user];
    let tenant = Tenant {
        mailbox,
        contacts: Vec::new(),
        moves_from: Some(user),
        ..moving.clone()
    };
    shape.tenants.push(tenant);
    let what = What::Connect {
        tenant: shape.tenants.len() - 1,
        slip: None,
    };
    let at = random.random_range(horizon / 4..horizon);
    vec![Event { at, what }]
}

/// What was drawn for a user holds for all of their connections.
pub(super) fn settle(shape: &mut Shape) {
    for next in 0..shape.tenants.len() {
        let Some(user) = shape.tenants[next].moves_from else {
            continue;
        };
        let first = shape.tenants[user].clone();
        let next = &mut shape.tenants[next];
        *next = Tenant {
            mailbox: next.mailbox,
            contacts: Vec::new(),
            // Whom the first mailbox's book brought is judged of that mailbox.
            book: AddressBook::Unticked,
            moves_from: Some(user),
            ..first
        };
        let people = shape.people;
        // Which of the user's own addresses a connection knows when is for other tests: here they are nobody's.
        shape.tenants[user]
            .contacts
            .retain(|contact| contact.person < people);
    }
}
