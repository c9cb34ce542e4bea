//! What is drawn for BCC addresses and for mail that comes back (S18), with numbers of its own: the rest of a world is
//! the same with and without them.

use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};

use super::{BodyKind, Event, Port, Shape, Trap, TrapKind, What};

/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5318;

/// Whether mail of a user is logged by a BCC address (S18).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logging {
    /// It is.
    ByAddress,
    /// They have none.
    #[default]
    Never,
}

/// How mail with a BCC address in Bcc leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From Gmail, which keeps a copy.
    Gmail,
    /// From another server, as an alias may have its own: the mailbox has no copy.
    Elsewhere,
}

/// Who does not get mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreached {
    /// A person.
    Person(usize),
    /// The BCC address of a tenant.
    BccAddress(usize),
}

/// What a server says of mail that it could not hand over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It will not.
    Failed,
    /// It tries again.
    Delayed,
}

/// Where a notice goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Into the thread of its message.
    InThread,
    /// Into a thread of its own; it names its message in what it gives back alone.
    Elsewhere,
}

/// Gives users BCC addresses; what they send with them in Bcc, when its copies come, what comes back, and what dies
/// meanwhile, until `horizon`.
pub(super) fn draw(seed: u64, shape: &mut Shape, horizon: u64) -> Vec<Event> {
    let mut draw = Draw(SmallRng::seed_from_u64(seed ^ SALT));
    let mut events = Vec::new();
    // One platform gives all of its users addresses, or nobody.
    let has_addresses = draw.0.random_ratio(1, 2);
    for tenant in 0..shape.tenants.len() {
        if has_addresses {
            shape.tenants[tenant].logging = Logging::ByAddress;
            events.extend(draw.logged(tenant, shape, horizon));
        }
    }
    if draw.0.random_ratio(1, 3) {
        events.extend(draw.comes_back(shape, horizon));
    }
    events
}

struct Draw(SmallRng);

impl Draw {
    fn logged(&mut self, tenant: usize, shape: &Shape, horizon: u64) -> Vec<Event> {
        let mut events = Vec::new();
        for _ in 0..self.0.random_range(1..5) {
            let at = self.0.random_range(0..horizon);
            let copies = self.copies();
            // Where there is trouble, it is while the copies are taken in.
            if self.0.random_ratio(1, 3) {
                let near = at + copies.first().copied().unwrap_or_default();
                events.push(Event {
                    at: near,
                    what: What::Trap(self.trap(shape)),
                });
            }
            let what = What::Logs {
                tenant,
                to: self.people(shape, 1),
                cc: self.people(shape, 0),
                bcc: self.people(shape, 0),
                body: self.pick(&[
                    BodyKind::Plain,
                    BodyKind::Plain,
                    BodyKind::Html,
                    BodyKind::Attachment,
                ]),
                way: self.pick(&[Way::Gmail, Way::Gmail, Way::Gmail, Way::Elsewhere]),
                copies,
            };
            events.push(Event { at, what });
        }
        if self.0.random_ratio(1, 6) {
            let at = self.0.random_range(0..horizon);
            let what = What::Bounces(Unreached::BccAddress(tenant));
            events.push(Event { at, what });
        }
        events
    }

    /// How long each copy takes, ms: no time, before the next pass, or long after it.
    fn copies(&mut self) -> Vec<u64> {
        let mut copies = Vec::new();
        for _ in 0..self.pick(&[0, 1, 1, 1, 1, 2, 2, 3]) {
            let longest = self.pick(&[50, 6_000, 6_000, 240_000]);
            copies.push(self.0.random_range(0..longest));
        }
        copies.sort_unstable();
        copies
    }

    fn trap(&mut self, shape: &Shape) -> Trap {
        Trap {
            host: Some(self.0.random_range(0..shape.hosts)),
            port: self.pick(&[
                Port::Commit,
                Port::Commit,
                Port::CrmPut,
                Port::CrmPut,
                Port::CrmAttachment,
                Port::CrmFind,
                Port::StoreRead,
                Port::Sharing,
            ]),
            skip: self.0.random_range(0..4),
            kind: self.pick(&[TrapKind::CrashBefore, TrapKind::CrashAfter, TrapKind::FailBefore]),
        }
    }

    fn comes_back(&mut self, shape: &Shape, horizon: u64) -> Vec<Event> {
        let person = self.0.random_range(0..shape.people);
        let mut all = vec![Event {
            at: self.0.random_range(0..horizon / 2),
            what: What::Bounces(Unreached::Person(person)),
        }];
        for _ in 0..self.0.random_range(0..4) {
            let about = if self.0.random_ratio(1, 4) {
                Unreached::BccAddress(self.0.random_range(0..shape.tenants.len()))
            } else {
                Unreached::Person(self.0.random_range(0..shape.people))
            };
            let what = What::Notice {
                mailbox: self.0.random_range(0..shape.mailboxes),
                pick: self.0.random_range(0..1_000),
                about,
                verdict: self.pick(&[Verdict::Failed, Verdict::Delayed]),
                answer: self.pick(&[Answer::InThread, Answer::InThread, Answer::Elsewhere]),
            };
            all.push(Event {
                at: self.0.random_range(horizon / 4..horizon),
                what,
            });
        }
        all
    }

    fn people(&mut self, shape: &Shape, least: usize) -> Vec<usize> {
        let number = self.0.random_range(least..3);
        (0..number)
            .map(|_| self.0.random_range(0..shape.people))
            .collect()
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        #[expect(clippy::expect_used, reason = "all lists are written here and not empty")]
        *of.choose(&mut self.0).expect("a choice")
    }
}
