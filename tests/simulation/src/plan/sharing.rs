//! What is drawn for mailboxes that several tenants share (S30 to S32), with numbers of its own: other worlds are the
//! same with and without it.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use twinbox_host::contract::OutboundKind;

use super::{
    Assigned, BodyKind, Event, Folder, Mail, Patience, Place, Sees, Shape, Spelling, Threading, What,
};

/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5331;
/// How soon after one tenant's user another one's writes to the same person at most, ms.
const TOGETHER: u64 = 400;

/// Whom contacts are assigned to, and who writes to whom at the same time, until `horizon`.
pub(super) fn draw(seed: u64, shape: &mut Shape, horizon: u64) -> Vec<Event> {
    let mut random = SmallRng::seed_from_u64(seed ^ SALT);
    let sharing = |mailbox: usize, shape: &Shape| -> Vec<usize> {
        let tenants = 0..shape.tenants.len();
        tenants
            .filter(|tenant| shape.tenants[*tenant].mailbox == mailbox)
            .collect()
    };
    let shared: Vec<usize> = (0..shape.mailboxes)
        .filter(|mailbox| sharing(*mailbox, shape).len() > 1)
        .collect();
    let Some(&mailbox) = shared.choose(&mut random) else {
        return Vec::new();
    };
    let tenants = sharing(mailbox, shape);
    for tenant in &tenants {
        let tenant = &mut shape.tenants[*tenant];
        if random.random_ratio(1, 4) {
            tenant.sees = Sees::Any;
        }
        for contact in &mut tenant.contacts {
            contact.assigned = match random.random_range(0..6) {
                0 => Assigned::AColleague,
                1 => Assigned::TheUser,
                _ => Assigned::Nobody,
            };
        }
    }
    let mut events = Vec::new();
    for _ in 0..random.random_range(1..4) {
        let at = random.random_range(0..horizon);
        let person = random.random_range(0..shape.people);
        for tenant in &tenants {
            if random.random_ratio(2, 3) {
                let at = at + random.random_range(0..TOGETHER);
                events.extend(writes(shape, *tenant, person).map(|what| Event { at, what }));
            }
        }
        for _ in 0..random.random_range(0..4) {
            let at = at + random.random_range(0..120_000);
            let what = answer(mailbox, person, &mut random);
            events.push(Event { at, what });
        }
    }
    if random.random_ratio(1, 4)
        && let Some(&tenant) = tenants.choose(&mut random)
    {
        let at = random.random_range(horizon / 2..horizon);
        let what = What::Disconnect { tenant };
        events.push(Event { at, what });
        if random.random_ratio(1, 2) {
            let at = at + random.random_range(1_000..300_000);
            let what = What::Connect { tenant, slip: None };
            events.push(Event { at, what });
        }
    }
    events
}

/// The user of a tenant writes to a person, who may be no contact there.
fn writes(shape: &Shape, tenant: usize, person: usize) -> Option<What> {
    let contacts = &shape.tenants[shape.account(tenant)].contacts;
    let contact = contacts.iter().position(|contact| contact.person == person)?;
    Some(What::CrmSends {
        tenant,
        kind: OutboundKind::OneToOne,
        contact,
        cc: Vec::new(),
        threading: Threading::Reply,
        attachment: 0,
        // Those who wait for another day are drawn elsewhere: a world of many days has too many calls.
        patience: Patience::Fail,
    })
}

fn answer(mailbox: usize, person: usize, random: &mut SmallRng) -> What {
    What::Arrives(Mail {
        mailbox,
        from: person,
        spelling: Spelling::Plain,
        place: Place::To,
        others: Vec::new(),
        topic: random.random_range(0..6),
        body: BodyKind::Plain,
        folder: Folder::Inbox,
    })
}
