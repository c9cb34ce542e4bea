//! What is drawn for aliases and tags (S10), and for what users keep out (T06), with numbers of its own: the rest of a
//! world is the same with and without them.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{
    Assigned, BodyKind, Contact, Event, Folder, Internal, Keeps, Lists, Mail, Place, Shape, Spelling, What,
    Writing,
};

/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5406;

/// Gives mailboxes aliases and users lists; what is written to and by them, and how the lists change, until `horizon`.
pub(super) fn draw(seed: u64, shape: &mut Shape, horizon: u64) -> Vec<Event> {
    let mut draw = Draw(SmallRng::seed_from_u64(seed ^ SALT));
    let mut all = Vec::new();
    for mailbox in 0..shape.mailboxes {
        if draw.0.random_ratio(1, 4) {
            all.extend(draw.alias(mailbox, shape));
        }
    }
    for tenant in 0..shape.tenants.len() {
        if draw.0.random_ratio(1, 4) {
            shape.tenants[tenant].lists = draw.lists(shape, &Lists::default());
        }
        if draw.0.random_ratio(1, 4) {
            all.extend(draw.changes(tenant, shape));
        }
    }
    let events = all.into_iter().map(|what| Event {
        at: draw.0.random_range(0..horizon),
        what,
    });
    events.collect()
}

struct Draw(SmallRng);

impl Draw {
    /// An alias, perhaps a contact of the user by it, and mail that has it.
    fn alias(&mut self, mailbox: usize, shape: &mut Shape) -> Vec<What> {
        shape.aliases.push(mailbox);
        let alias = shape.people + shape.mailboxes + mailbox;
        for tenant in &mut shape.tenants {
            if tenant.mailbox == mailbox && self.0.random_ratio(1, 2) {
                tenant.contacts.push(Contact {
                    person: alias,
                    created_at: self.0.random_range(1..1_000_000),
                    assigned: Assigned::Nobody,
                });
            }
        }
        let mut all = Vec::new();
        for _ in 0..self.0.random_range(1..4) {
            let person = self.0.random_range(0..shape.people);
            all.push(match self.0.random_range(0..3) {
                0 => What::UserSends {
                    mailbox,
                    to: vec![alias, person],
                    cc: Vec::new(),
                    writing: Writing::New,
                },
                1 => self.mail(mailbox, alias, vec![person]),
                _ => self.mail(mailbox, person, vec![alias]),
            });
        }
        all
    }

    /// The lists change, a conversation becomes private, and what came before is taken out.
    fn changes(&mut self, tenant: usize, shape: &Shape) -> Vec<What> {
        let first = shape.tenants[tenant].lists.clone();
        let mut all = Vec::new();
        for _ in 0..self.0.random_range(1..4) {
            let person = self.0.random_range(0..shape.people);
            let mailbox = shape.tenants[tenant].mailbox;
            all.push(self.mail(mailbox, person, Vec::new()));
            all.push(match self.0.random_range(0..3) {
                0 | 1 => What::Lists {
                    tenant,
                    lists: self.lists(shape, &first),
                },
                _ => What::Keeps {
                    tenant,
                    contact: self.0.random_range(0..100),
                    keeps: *[Keeps::Private, Keeps::Private, Keeps::Open]
                        .choose(&mut self.0)
                        .unwrap_or(&Keeps::Open),
                },
            });
            if self.0.random_ratio(1, 2) {
                all.push(What::Retract { tenant });
            }
        }
        all
    }

    /// Lists with at least those that a user had from the beginning: connecting again adds them.
    fn lists(&mut self, shape: &Shape, first: &Lists) -> Lists {
        let mut never = first.never.clone();
        for _ in 0..self.0.random_range(0..2) {
            never.push(self.0.random_range(0..shape.people));
        }
        let internal = if self.0.random_ratio(1, 3) {
            Internal::Nobody
        } else {
            first.internal
        };
        Lists { never, internal }
    }

    fn mail(&mut self, mailbox: usize, from: usize, others: Vec<usize>) -> What {
        let spelling = if self.0.random_ratio(1, 2) {
            Spelling::Tagged
        } else {
            Spelling::Plain
        };
        What::Arrives(Mail {
            mailbox,
            from,
            spelling,
            place: Place::To,
            others,
            topic: self.0.random_range(0..6),
            body: BodyKind::Plain,
            folder: Folder::Inbox,
        })
    }
}
