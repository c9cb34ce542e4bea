//! Worlds in which three CRM accounts with two users each have one mailbox and nothing fails (S30 to S33): mail that comes,
//! answers from Gmail and from the CRMs, mail with BCC addresses, users that connect, disconnect and connect again, as close
//! together as it gets.

use gmail_sim::Behaviour;
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use twinbox_host::contract::OutboundKind;

use super::{
    AddressBook, Assigned, BodyKind, Contact, CrmKind, Event, Folder, Lists, Logging, Mail, Patience, Place,
    Plan, Sees, Shape, Spelling, Tenant, Threading, Way, What, Writing,
};

/// Tells these draws from the others of a seed.
const SALT: u64 = 0x5333;
/// CRM accounts.
const ACCOUNTS: usize = 3;
/// Users of each.
const USERS: usize = 2;
/// When the last event happens at the latest, ms after the start.
const HORIZON: u64 = 8 * 60_000;
/// How close together what belongs together happens, ms.
const TOGETHER: u64 = 4_000;

pub(super) fn plan(seed: u64) -> Plan {
    let mut draw = Draw(SmallRng::seed_from_u64(seed ^ SALT));
    let shape = draw.shape();
    let mut events = draw.connects();
    for _ in 0..draw.0.random_range(2..6) {
        events.extend(draw.turn_of_events(&shape));
    }
    events.sort_by_key(|event| event.at);
    Plan { seed, shape, events }
}

struct Draw(SmallRng);

impl Draw {
    fn shape(&mut self) -> Shape {
        let people = self.0.random_range(1..4);
        let logging = self.pick(&[Logging::ByAddress, Logging::Never]);
        let mut tenants = Vec::new();
        for account in 0..ACCOUNTS {
            let first = tenants.len();
            for user in 0..USERS {
                let colleague_of = (user > 0).then_some(first);
                let user = self.user(account, people, colleague_of);
                tenants.push(Tenant { logging, ..user });
            }
        }
        Shape {
            mailboxes: 1,
            people,
            tenants,
            hosts: self.pick(&[1, 2]),
            behaviour: Behaviour {
                rewrite_message_id: self.0.random_ratio(1, 2),
                draft_send_keeps_id: self.0.random_ratio(1, 2),
                ..Behaviour::default()
            },
            rate: 6_000,
            // Two connections that put at the same moment need one that knows a key it has seen (docs/adr/0022).
            crm: CrmKind::Idempotent,
            page: self.pick(&[500, 3]),
            aliases: Vec::new(),
        }
    }

    /// A user; the first of an account brings its contacts, of whom one account may lack some.
    fn user(&mut self, account: usize, people: usize, colleague_of: Option<usize>) -> Tenant {
        let mut contacts = Vec::new();
        if colleague_of.is_none() {
            for person in 0..people {
                if account == 0 || self.0.random_ratio(4, 5) {
                    contacts.push(Contact {
                        person,
                        created_at: self.0.random_range(1..1_000_000),
                        assigned: self.pick(&[
                            Assigned::Nobody,
                            Assigned::Nobody,
                            Assigned::TheUser,
                            Assigned::AColleague,
                        ]),
                    });
                }
            }
        }
        Tenant {
            mailbox: 0,
            contacts,
            daily_limit: 500,
            book: AddressBook::Unticked,
            sees: self.pick(&[Sees::Own, Sees::Own, Sees::Any]),
            lists: Lists::default(),
            logging: Logging::Never,
            colleague_of,
            moves_from: None,
        }
    }

    fn connects(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        for tenant in 0..ACCOUNTS * USERS {
            // Some users never have it.
            if tenant == 0 || self.0.random_ratio(5, 6) {
                let at = self.0.random_range(0..40_000);
                let what = What::Connect { tenant, slip: None };
                events.push(Event { at, what });
            }
        }
        events
    }

    /// Somebody writes, and at about the same time several users answer, and some leave.
    fn turn_of_events(&mut self, shape: &Shape) -> Vec<Event> {
        let at = self.0.random_range(30_000..HORIZON);
        let person = self.0.random_range(0..shape.people);
        let mut events = vec![self.soon(at, arrives(person, 0))];
        for tenant in 0..shape.tenants.len() {
            if self.0.random_ratio(1, 3) {
                events.extend(answers(shape, tenant, person).map(|what| self.soon(at, what)));
            }
        }
        if self.0.random_ratio(1, 3) {
            let to = vec![person];
            let writing = Writing::New;
            let what = What::UserSends {
                mailbox: 0,
                to,
                cc: Vec::new(),
                writing,
            };
            events.push(self.soon(at, what));
        }
        for tenant in 0..shape.tenants.len() {
            if shape.tenants[tenant].logging == Logging::ByAddress && self.0.random_ratio(1, 4) {
                let logs = self.logs(tenant, person);
                events.push(self.soon(at, logs));
            }
        }
        for _ in 0..self.0.random_range(0..3) {
            let later = at + self.0.random_range(0..60_000);
            let topic = self.0.random_range(0..3);
            events.push(self.soon(later, arrives(person, topic)));
        }
        if self.0.random_ratio(1, 2) {
            events.extend(self.leaves(at, shape));
        }
        events
    }

    /// A user writes with their BCC address in Bcc, and copies come to it before or after anybody has seen Gmail's.
    fn logs(&mut self, tenant: usize, person: usize) -> What {
        let mut copies = Vec::new();
        for _ in 0..self.pick(&[0, 1, 1, 2]) {
            let longest = self.pick(&[50, 6_000, 120_000]);
            copies.push(self.0.random_range(0..longest));
        }
        What::Logs {
            tenant,
            to: vec![person],
            cc: Vec::new(),
            bcc: Vec::new(),
            body: self.pick(&[BodyKind::Plain, BodyKind::Attachment]),
            way: self.pick(&[Way::Gmail, Way::Gmail, Way::Elsewhere]),
            copies,
        }
    }

    /// A user or all of an account disconnect; some come back.
    fn leaves(&mut self, at: u64, shape: &Shape) -> Vec<Event> {
        let chosen = self.0.random_range(0..shape.tenants.len());
        let is_everybody = self.0.random_ratio(2, 3);
        let mut events = Vec::new();
        for tenant in 0..shape.tenants.len() {
            let is_one = tenant == chosen || (is_everybody && shape.account(tenant) == shape.account(chosen));
            if !is_one {
                continue;
            }
            events.push(self.soon(at, What::Disconnect { tenant }));
            if self.0.random_ratio(1, 2) {
                let later = at + self.0.random_range(1_000..90_000);
                events.push(self.soon(later, What::Connect { tenant, slip: None }));
            }
        }
        events
    }

    fn soon(&mut self, at: u64, what: What) -> Event {
        let at = at + self.0.random_range(0..TOGETHER);
        Event { at, what }
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        #[expect(clippy::expect_used, reason = "all lists are written here and not empty")]
        *of.choose(&mut self.0).expect("a choice")
    }
}

fn arrives(from: usize, topic: u32) -> What {
    What::Arrives(Mail {
        mailbox: 0,
        from,
        spelling: Spelling::Plain,
        place: Place::To,
        others: Vec::new(),
        topic,
        body: BodyKind::Plain,
        folder: Folder::Inbox,
    })
}

/// A user answers a person, who may be no contact of their account.
fn answers(shape: &Shape, tenant: usize, person: usize) -> Option<What> {
    let contacts = &shape.tenants[shape.account(tenant)].contacts;
    let contact = contacts.iter().position(|contact| contact.person == person)?;
    Some(What::CrmSends {
        tenant,
        kind: OutboundKind::OneToOne,
        contact,
        cc: Vec::new(),
        threading: Threading::Reply,
        attachment: 0,
        patience: Patience::Fail,
    })
}
