//! From a seed to a plan. Most worlds are small and have a few kinds of trouble each, because trouble of
//! every kind at once hides more than it finds.

use std::collections::BTreeSet;

use gmail_sim::{Behaviour, Fault, FaultKind};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use twinbox_host::contract::OutboundKind;

use super::{
    Act, AddressBook, Assigned, Blocked, BodyKind, Contact, CrmAct, CrmKind, Event, Folder, Lists, Logging,
    Mail, Patience, Place, Plan, Port, Sees, Shape, Slip, Spelling, Tenant, Threading, Trap, TrapKind, What,
    Writing, address_book, moving, post, privacy, sharing,
};
use crate::world::is_possible;

/// When the last event happens at the latest, ms after the start.
const HORIZON: u64 = 10 * 60_000;
/// A gap is listed once more when searches have settled, ms after it was found.
const SETTLED: u64 = 10 * 60_000;
/// What is asked of Google: methods that change something more often than others.
const METHODS: [&str; 19] = [
    "history.list",
    "history.list",
    "messages.get",
    "messages.get",
    "messages.list",
    "messages.import",
    "messages.modify",
    "messages.trash",
    "getProfile",
    "drafts.create",
    "drafts.create",
    "drafts.send",
    "drafts.send",
    "drafts.get",
    "drafts.list",
    "threads.get",
    "watch",
    "token",
    "push",
];

/// Whether a fault can strike anything that happens in a world.
pub(crate) fn is_reachable(kind: &FaultKind) -> bool {
    (strikes_mail(kind) && !is_for_the_endpoint(kind)) || kind.applies_to(address_book::METHOD)
}

fn strikes_mail(kind: &FaultKind) -> bool {
    METHODS.iter().any(|method| kind.applies_to(method))
}

/// Forged notifications end at the push endpoint, which is not in these worlds: its own tests have them.
fn is_for_the_endpoint(kind: &FaultKind) -> bool {
    matches!(
        kind,
        FaultKind::KeysRotated
            | FaultKind::PushWrongKey
            | FaultKind::PushUnknownKey
            | FaultKind::PushUnsigned
            | FaultKind::PushWrongAudience
            | FaultKind::PushWrongEmail
            | FaultKind::PushUnverifiedEmail
            | FaultKind::PushWrongIssuer
            | FaultKind::PushExpired
            | FaultKind::PushNotYetValid
            | FaultKind::PushWithoutToken
    )
}

pub(super) fn plan(seed: u64) -> Plan {
    let mut draw = Draw(SmallRng::seed_from_u64(seed));
    let mut shape = draw.shape();
    let moves = moving::draw(seed, &mut shape, HORIZON);
    // Where neither these fields nor ids survive, two tenants' mails of the same moment can only be told apart by what they
    // say (docs/adr/0008). Scenario tests have the rest.
    let mailboxes: BTreeSet<usize> = shape.tenants.iter().map(|tenant| tenant.mailbox).collect();
    shape.behaviour.keep_own_fields |= mailboxes.len() < shape.tenants.len();
    let mut events = draw.connects(&shape);
    events.extend(moves);
    let number = draw.0.random_range(4..24);
    for _ in 0..number {
        let what = draw.work(&shape);
        let event = draw.at(what);
        events.extend(draw.second_thought(&event));
        events.push(event);
    }
    for _ in 0..draw.0.random_range(0..7) {
        let what = draw.trouble(&shape);
        let event = draw.at(what);
        if let What::HistoryExpires { mailbox } = event.what {
            events.extend(draw.meanwhile(mailbox, event.at, &shape));
        }
        events.push(event);
    }
    events.extend(address_book::draw(seed, &mut shape, HORIZON));
    events.extend(privacy::draw(seed, &mut shape, HORIZON));
    events.extend(sharing::draw(seed, &mut shape, HORIZON));
    events.extend(post::draw(seed, &mut shape, HORIZON));
    moving::settle(&mut shape);
    events.sort_by_key(|event| event.at);
    Plan { seed, shape, events }
}

struct Draw(SmallRng);

impl Draw {
    fn one_in(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }

    fn at(&mut self, what: What) -> Event {
        Event {
            at: self.0.random_range(0..HORIZON),
            what,
        }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        #[expect(clippy::expect_used, reason = "all lists are written here and not empty")]
        *of.choose(&mut self.0).expect("a choice")
    }

    fn shape(&mut self) -> Shape {
        let tenants = self.pick(&[1, 1, 1, 1, 2, 2, 3]);
        let mailboxes = self.0.random_range(1..=tenants);
        let people = self.0.random_range(2..=5);
        let tenants = (0..tenants)
            .map(|number| self.tenant(number % mailboxes, people + mailboxes))
            .collect();
        let rate = self.pick(&[6_000, 6_000, 1_500, 700]);
        // A mailbox can be listed within a minute, as one of a million messages can be at Gmail's 500 on a page.
        let page = if rate < 1_000 {
            self.pick(&[500, 500, 12])
        } else {
            self.pick(&[500, 500, 3, 2])
        };
        Shape {
            mailboxes,
            people,
            tenants,
            hosts: self.pick(&[1, 2]),
            behaviour: self.behaviour(),
            rate,
            crm: self.pick(&[CrmKind::Idempotent, CrmKind::Idempotent, CrmKind::Forgetful]),
            page,
            aliases: Vec::new(),
        }
    }

    fn tenant(&mut self, mailbox: usize, everybody: usize) -> Tenant {
        let mut contacts = Vec::new();
        for person in 0..everybody {
            for _ in 0..self.pick(&[0, 1, 1, 1, 2]) {
                let created_at = self.0.random_range(1..1_000_000);
                contacts.push(Contact {
                    person,
                    created_at,
                    assigned: Assigned::Nobody,
                });
            }
        }
        Tenant {
            mailbox,
            contacts,
            daily_limit: self.pick(&[500, 500, 500, 2]),
            book: AddressBook::Unticked,
            sees: Sees::Own,
            lists: Lists::default(),
            logging: Logging::default(),
            colleague_of: None,
            moves_from: None,
        }
    }

    fn behaviour(&mut self) -> Behaviour {
        if self.one_in(4) {
            return Behaviour::default();
        }
        Behaviour::drawn(self.0.random())
    }

    fn connects(&mut self, shape: &Shape) -> Vec<Event> {
        let users: Vec<usize> = (0..shape.tenants.len())
            .filter(|tenant| shape.user(*tenant) == *tenant)
            .collect();
        let mut events = Vec::new();
        for tenant in &users {
            let slip = self.pick(&[Slip::Box, Slip::Mailbox, Slip::Account]);
            let what = What::Connect {
                tenant: *tenant,
                slip: Some(slip).filter(|_| self.one_in(8)),
            };
            let at = self.0.random_range(0..120_000);
            events.push(Event { at, what });
        }
        if self.one_in(8) {
            let tenant = self.pick(&users);
            let at = self.0.random_range(HORIZON / 3..HORIZON);
            let what = What::Disconnect { tenant };
            events.push(Event { at, what });
            if self.one_in(2) {
                let at = at + self.0.random_range(1_000..300_000);
                let what = What::Connect { tenant, slip: None };
                events.push(Event { at, what });
            }
        }
        events
    }

    fn work(&mut self, shape: &Shape) -> What {
        let mailbox = self.0.random_range(0..shape.mailboxes);
        match self.0.random_range(0..22) {
            0..9 => What::Arrives(self.mail(mailbox, shape)),
            9..13 => What::Gmail {
                mailbox,
                act: self.pick(&[
                    Act::Read,
                    Act::Unread,
                    Act::Star,
                    Act::Archive,
                    Act::Trash,
                    Act::Untrash,
                    Act::Spam,
                    Act::NotSpam,
                    Act::Delete,
                    Act::Draft,
                    Act::Redraft,
                    Act::SendDraft,
                ]),
                pick: self.0.random_range(0..1_000),
            },
            13..15 => What::UserSends {
                mailbox,
                to: self.people(shape, 1..3),
                cc: self.people(shape, 0..3),
                writing: self.pick(&[Writing::New, Writing::New, Writing::Forward]),
            },
            15..19 => What::CrmSends {
                tenant: self.0.random_range(0..shape.tenants.len()),
                kind: self.kind(),
                contact: self.0.random_range(0..100),
                cc: self.people(shape, 0..2),
                threading: self.pick(&[Threading::New, Threading::Reply]),
                attachment: self.pick(&[0, 0, 0, 2_000]),
                patience: self.pick(&[Patience::Fail, Patience::Wait]),
            },
            19..21 => What::CrmActs {
                tenant: self.0.random_range(0..shape.tenants.len()),
                act: self.pick(&[
                    CrmAct::Read,
                    CrmAct::Unread,
                    CrmAct::Star,
                    CrmAct::Unstar,
                    CrmAct::Archive,
                    CrmAct::Unarchive,
                    CrmAct::Delete,
                ]),
                pick: self.0.random_range(0..1_000),
            },
            _ => What::Push {
                mailbox,
                copies: self.0.random_range(1..4),
            },
        }
    }

    /// Now and then a CRM hands over what must not go through the mailbox (S22).
    fn kind(&mut self) -> OutboundKind {
        if self.one_in(10) {
            self.pick(&[OutboundKind::Bulk, OutboundKind::Workflow])
        } else {
            OutboundKind::OneToOne
        }
    }

    fn mail(&mut self, mailbox: usize, shape: &Shape) -> Mail {
        // Person `people + mailbox` is the owner.
        let from = loop {
            let from = self.0.random_range(0..shape.people + shape.mailboxes);
            if from != shape.people + mailbox {
                break from;
            }
        };
        Mail {
            mailbox,
            from,
            spelling: Spelling::Plain,
            place: self.pick(&[Place::To, Place::To, Place::To, Place::Cc, Place::Bcc]),
            others: self.people(shape, 0..3),
            topic: self.0.random_range(0..6),
            body: self.pick(&[
                BodyKind::Plain,
                BodyKind::Plain,
                BodyKind::Html,
                BodyKind::Attachment,
                BodyKind::Broken,
            ]),
            folder: self.pick(&[
                Folder::Inbox,
                Folder::Inbox,
                Folder::Inbox,
                Folder::Inbox,
                Folder::Inbox,
                Folder::Inbox,
                Folder::Spam,
                Folder::Imported,
            ]),
        }
    }

    fn people(&mut self, shape: &Shape, number: std::ops::Range<usize>) -> Vec<usize> {
        let number = self.0.random_range(number);
        let everybody = shape.people + shape.mailboxes;
        (0..number).map(|_| self.0.random_range(0..everybody)).collect()
    }

    fn trouble(&mut self, shape: &Shape) -> What {
        let mailbox = self.0.random_range(0..shape.mailboxes);
        let tenant = self.0.random_range(0..shape.tenants.len());
        match self.0.random_range(0..24) {
            0..7 => What::Fault(self.fault(mailbox)),
            7..18 => What::Trap(self.trap(shape)),
            18 => What::CrmOutage {
                tenant,
                lasts: self.0.random_range(1_000..600_000),
            },
            19 => {
                let lasts = self.0.random_range(1_000..600_000);
                let what = self.pick(&[Blocked::Everything, Blocked::Sending]);
                self.pick_what(&[
                    What::GmailOutage { lasts },
                    What::Blocked { mailbox, lasts, what },
                ])
            }
            20 => What::HistoryExpires { mailbox },
            21 => What::TokensExpire { mailbox },
            22 => self.pick_what(&[
                What::GrantWithdrawn { mailbox },
                What::Conflict { tenant },
                What::Conflict { tenant },
                What::Audit { tenant },
            ]),
            _ => What::ClockJumps {
                host: self.0.random_range(0..shape.hosts),
                by: self.0.random_range(-90_000..90_000),
            },
        }
    }

    /// Any kind of trouble at any call it is possible at, all alike.
    fn any_trap(&mut self, host: usize, shape: &Shape) -> Trap {
        let possible: Vec<(Port, TrapKind)> = TrapKind::ALL
            .into_iter()
            .filter(|kind| *kind != TrapKind::Stall || shape.crm == CrmKind::Idempotent)
            .flat_map(|kind| Port::ALL.map(|port| (port, kind)))
            .filter(|(port, kind)| is_possible(*kind, *port))
            .collect();
        let (port, kind) = self.pick(&possible);
        Trap {
            host: Some(host),
            port,
            skip: self.0.random_range(0..3),
            kind,
        }
    }

    /// People do one thing to a message and at once another.
    fn second_thought(&mut self, event: &Event) -> Option<Event> {
        let What::Gmail { mailbox, pick, .. } = event.what else {
            return None;
        };
        let act = self.pick(&[Act::Read, Act::Unread, Act::Star, Act::Archive]);
        let at = event.at + self.0.random_range(1..4_000);
        let what = What::Gmail { mailbox, act, pick };
        Some(Event { at, what }).filter(|_| self.one_in(2))
    }

    /// Mail that comes while a gap is being closed.
    fn meanwhile(&mut self, mailbox: usize, at: u64, shape: &Shape) -> Vec<Event> {
        let look = What::Push { mailbox, copies: 1 };
        let mut events = vec![Event {
            at: at + 1,
            what: look,
        }];
        for listing in [0, SETTLED] {
            for _ in 0..self.0.random_range(0..6) {
                let at = at + listing + self.0.random_range(0..9_000);
                let what = What::Arrives(self.mail(mailbox, shape));
                events.push(Event { at, what });
            }
        }
        events
    }

    fn pick_what(&mut self, of: &[What]) -> What {
        #[expect(clippy::expect_used, reason = "all lists are written here and not empty")]
        of.choose(&mut self.0).expect("a choice").clone()
    }

    fn fault(&mut self, mailbox: usize) -> Fault {
        let strikes = |kind: &FaultKind| strikes_mail(kind) && !is_for_the_endpoint(kind);
        let kinds: Vec<FaultKind> = FaultKind::ALL.iter().copied().filter(strikes).collect();
        let kind = self.pick(&kinds);
        let methods: Vec<&str> = METHODS
            .iter()
            .copied()
            .filter(|method| kind.applies_to(method))
            .collect();
        let kind = match kind {
            FaultKind::BackendBefore(_) => FaultKind::BackendBefore(self.pick(&[500, 502, 503, 504])),
            FaultKind::BackendAfter(_) => FaultKind::BackendAfter(self.pick(&[500, 502, 503, 504])),
            FaultKind::RetryAfter(_) => FaultKind::RetryAfter(self.0.random_range(0..120_000)),
            FaultKind::ClockForward(_) => FaultKind::ClockForward(self.0.random_range(0..90_000)),
            FaultKind::ClockBackward(_) => FaultKind::ClockBackward(self.0.random_range(0..90_000)),
            other => other,
        };
        let once = !kind.is_passing();
        Fault {
            mailbox: (kind.applies_to("history.list") && !self.one_in(4)).then(|| Shape::mailbox(mailbox)),
            method: (!methods.is_empty() && !self.one_in(4)).then(|| self.pick(&methods).to_owned()),
            skip: self.0.random_range(0..4),
            times: if once { 1 } else { self.pick(&[1, 1, 1, 2, 5]) },
            kind,
        }
    }

    fn trap(&mut self, shape: &Shape) -> Trap {
        let host = self.0.random_range(0..shape.hosts);
        if self.one_in(4) {
            return self.any_trap(host, shape);
        }
        let (port, kind, skip) = match self.0.random_range(0..20) {
            0..4 => (Port::Any, TrapKind::CrashBefore, 60),
            4..8 => (Port::Any, TrapKind::CrashAfter, 60),
            8 => (
                self.pick(&[Port::Commit, Port::CrmPut, Port::Http]),
                TrapKind::CrashAfter,
                6,
            ),
            // Two hosts that both ask before they put can still put twice: only the CRM could tell.
            9..12 if shape.crm == CrmKind::Idempotent && (shape.hosts > 1 || self.one_in(3)) => (
                self.pick(&[Port::Any, Port::Commit, Port::Http, Port::CrmPut]),
                TrapKind::Stall,
                12,
            ),
            12 => (Port::CrmPut, TrapKind::CrmUnknown, 2),
            13 => (
                self.pick(&[
                    Port::CrmPut,
                    Port::CrmFind,
                    Port::CrmUpdate,
                    Port::CrmChanges,
                    Port::CrmNext,
                ]),
                TrapKind::CrmLimited,
                3,
            ),
            14 => (Port::Commit, TrapKind::FailAfter, 6),
            15 => (Port::CrmPut, TrapKind::FailAfter, 3),
            16 => (
                Port::CrmReport,
                self.pick(&[TrapKind::FailBefore, TrapKind::FailAfter]),
                2,
            ),
            17 => (
                Port::Http,
                self.pick(&[TrapKind::FailBefore, TrapKind::FailAfter]),
                12,
            ),
            _ => (
                self.pick(&[
                    Port::StoreRead,
                    Port::Commit,
                    Port::Lease,
                    Port::Registry,
                    Port::CrmFind,
                    Port::CrmPut,
                    Port::CrmUpdate,
                    Port::CrmAttachment,
                    Port::CrmChanges,
                    Port::CrmNext,
                    Port::Sharing,
                    Port::Vault,
                ]),
                TrapKind::FailBefore,
                4,
            ),
        };
        Trap {
            host: Some(host),
            port,
            skip: self.0.random_range(0..skip),
            kind,
        }
    }
}
