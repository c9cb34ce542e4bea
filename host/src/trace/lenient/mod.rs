//! A world made of what was recorded, for a component that may ask something else.
//!
//! The same question gets the recorded answers in their order, faults included. Storage is the exception:
//! it is a copy of the recorded rows that the component's own commits change. A question that was never
//! recorded is answered from what is known otherwise (a contact by any address that was looked up), then
//! from live reads if there are any, then by an assumption or not at all; the last two are noted. Nothing
//! is ever written outside.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use bytes::Bytes;
use futures_util::stream;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Content, Question, Step, Trace, content::sha256, heard, heard_plain, rehearse::Unanswered};
use crate::{
    body::Body,
    capability::Capabilities,
    contract::{Contact, Features},
    random::SeededRandom,
    sharing::Standing,
    store::{Entry, Lease, Page},
    vault::Grant,
};

mod rows;
mod state;
mod twins;

use rows::Rows;

/// What is said of a question that nothing answers.
const NO_ANSWER: &str = "no answer was recorded";
/// The most questions noted as unanswered.
const NOTED: usize = 1_000;
/// The most live reads of one rehearsal.
const LIVE_READS: u32 = 200;

/// A world made of what was recorded.
pub(crate) struct Lenient {
    live: Option<Live>,
    /// Answers to the same questions, in their order.
    recorded: Mutex<HashMap<(String, String), VecDeque<Recorded>>>,
    rows: Mutex<Rows>,
    facts: Facts,
    time: Mutex<Time>,
    chance: Mutex<VecDeque<Bytes>>,
    /// Chance beyond what was recorded; the same in each rehearsal.
    seeded: SeededRandom,
    unanswered: Mutex<Vec<Unanswered>>,
}

/// What may be read for real.
struct Live {
    capabilities: Capabilities,
    left: AtomicU32,
}

/// A recorded answer, with the parts of its body.
#[derive(Clone, Debug, Default)]
struct Recorded {
    result: Value,
    parts: Vec<Bytes>,
    is_whole: bool,
}

/// What answers say beyond their own questions.
#[derive(Default)]
struct Facts {
    contacts: Vec<Contact>,
    /// Addresses that were looked up, in lower case.
    looked_up: HashSet<String>,
    message_ids: HashMap<String, Option<String>>,
    standings: HashMap<String, Standing>,
    grant: Option<Grant>,
    features: Option<Features>,
    in_flight: Option<u32>,
    /// Whether the parting requests of a disconnect were made, as they are for the last holder.
    has_parted: bool,
}

#[derive(Default)]
struct Time {
    recorded: VecDeque<u64>,
    latest: u64,
}

impl Lenient {
    pub(crate) fn new(trace: &Trace, live: Option<Capabilities>) -> Self {
        let calls = calls(&trace.steps);
        let mut recorded: HashMap<_, VecDeque<_>> = HashMap::new();
        let mut rows = Rows::default();
        let mut facts = Facts::default();
        let mut time = Time::default();
        let mut chance = VecDeque::new();
        for call in calls {
            rows.learn(call.function, call.arguments, &call.recorded.result);
            facts.learn(call.function, call.arguments, &call.recorded.result);
            match call.function {
                "clock.now" => time.recorded.extend(heard_plain::<u64>(&call.recorded.result)),
                "random.bytes" => chance.extend(call.recorded.result.get("ok").and_then(Content::of_value)),
                _ => {}
            }
            let key = (call.function.to_owned(), identity(call.function, call.arguments));
            recorded.entry(key).or_default().push_back(call.recorded);
        }
        time.latest = time.recorded.front().copied().unwrap_or(trace.header.recorded_at);
        Self {
            live: live.map(|capabilities| Live {
                capabilities,
                left: AtomicU32::new(LIVE_READS),
            }),
            recorded: Mutex::new(recorded),
            rows: Mutex::new(rows),
            facts,
            time: Mutex::new(time),
            chance: Mutex::new(chance),
            seeded: SeededRandom::new(0),
            unanswered: Mutex::default(),
        }
    }

    /// What the recording did not answer.
    pub(crate) fn unanswered(&self) -> Vec<Unanswered> {
        lock(&self.unanswered).clone()
    }

    /// Capabilities that are all this world.
    pub(crate) fn capabilities(self: Arc<Self>, scope: crate::scope::Scope) -> Capabilities {
        let lease = Lease {
            connection: scope.connection.clone(),
            fence: 0,
        };
        Capabilities {
            scope,
            lease,
            store: self.clone(),
            vault: self.clone(),
            crm: self.clone(),
            quota: self.clone(),
            sharing: self.clone(),
            clock: self.clone(),
            random: self.clone(),
            http: self.clone(),
            log: self,
        }
    }

    /// The next recorded answer to the same question.
    fn same(&self, question: &Question) -> Option<Recorded> {
        let id = identity(question.function, &question.arguments);
        let mut recorded = lock(&self.recorded);
        recorded.get_mut(&(question.function.to_owned(), id))?.pop_front()
    }

    fn same_result<T: DeserializeOwned, E: DeserializeOwned>(
        &self,
        question: &Question,
    ) -> Option<Result<T, E>> {
        heard(&self.same(question)?.result)
    }

    /// What may be read for real, once more.
    fn live(&self) -> Option<&Capabilities> {
        let live = self.live.as_ref()?;
        let take = |left: u32| left.checked_sub(1);
        live.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .ok()?;
        Some(&live.capabilities)
    }

    fn note(&self, function: &str, about: impl Into<String>, answered: &'static str) {
        let mut unanswered = lock(&self.unanswered);
        if unanswered.len() < NOTED {
            unanswered.push(Unanswered {
                function: function.to_owned(),
                about: about.into(),
                answered,
            });
        }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        lock(&self.rows)
    }
}

impl Recorded {
    /// The bytes of a streamed answer, in the recorded parts; broken where the recording ends.
    fn stream(self) -> Body {
        let end = (!self.is_whole).then(|| Err(io::ErrorKind::UnexpectedEof.into()));
        let parts = self.parts.into_iter().map(Ok).chain(end);
        Body::Stream(Box::pin(stream::iter(parts)))
    }
}

impl Facts {
    fn learn(&mut self, function: &str, arguments: &Value, result: &Value) {
        let Some(answer) = result.get("ok") else { return };
        let strings = |name: &str| -> Vec<String> {
            serde_json::from_value(arguments[name].clone()).unwrap_or_default()
        };
        match function {
            "crm.find-contacts" => {
                let found: Vec<Contact> = serde_json::from_value(answer.clone()).unwrap_or_default();
                for contact in found {
                    if !self.contacts.iter().any(|known| known.id == contact.id) {
                        self.contacts.push(contact);
                    }
                }
                let addresses = strings("addresses");
                self.looked_up
                    .extend(addresses.iter().map(|address| address.to_lowercase()));
            }
            "crm.find-messages" => {
                let ids: Vec<Option<String>> = serde_json::from_value(answer.clone()).unwrap_or_default();
                self.message_ids.extend(strings("keys").into_iter().zip(ids));
            }
            "sharing.standings" => {
                let standings: Vec<Standing> = serde_json::from_value(answer.clone()).unwrap_or_default();
                let addresses = strings("contact-addresses");
                self.standings.extend(addresses.into_iter().zip(standings));
            }
            "oauth.grant" => self.grant = serde_json::from_value(answer.clone()).ok(),
            "crm.supported" => self.features = serde_json::from_value(answer.clone()).ok(),
            "http.send" => self.has_parted = true,
            "quota.in-flight" => self.in_flight = serde_json::from_value(answer.clone()).ok(),
            _ => {}
        }
    }

    /// The contacts with one of these addresses, and the addresses nobody looked up.
    fn contacts(&self, addresses: &[String]) -> (Vec<Contact>, Vec<String>) {
        let wanted: HashSet<String> = addresses.iter().map(|address| address.to_lowercase()).collect();
        let has = |contact: &&Contact| {
            let mut own = contact.addresses.iter();
            own.any(|address| wanted.contains(&address.to_lowercase()))
        };
        let found: Vec<Contact> = self.contacts.iter().filter(has).cloned().collect();
        let known: HashSet<String> = found
            .iter()
            .flat_map(|contact| contact.addresses.iter().map(|address| address.to_lowercase()))
            .collect();
        let unknown = wanted
            .into_iter()
            .filter(|address| !self.looked_up.contains(address) && !known.contains(address));
        let unknown: BTreeSet<String> = unknown.collect();
        (found, unknown.into_iter().collect())
    }
}

/// A question with its answer.
struct Call<'t> {
    function: &'t str,
    arguments: &'t Value,
    recorded: Recorded,
}

/// The calls that were answered, in the order of their answers.
fn calls(steps: &[Step]) -> Vec<Call<'_>> {
    let mut asked: HashMap<u64, (&str, &Value)> = HashMap::new();
    let mut place: HashMap<u64, usize> = HashMap::new();
    let mut calls: Vec<Call<'_>> = Vec::new();
    for step in steps {
        match step {
            Step::Called {
                function,
                arguments,
                result,
                ..
            } => calls.push(Call {
                function,
                arguments,
                recorded: Recorded {
                    result: result.clone(),
                    ..Recorded::default()
                },
            }),
            Step::Asked {
                call,
                function,
                arguments,
            } => {
                asked.insert(*call, (function, arguments));
            }
            Step::Answered { call, result, .. } => {
                let Some((function, arguments)) = asked.remove(call) else {
                    continue;
                };
                place.insert(*call, calls.len());
                calls.push(Call {
                    function,
                    arguments,
                    recorded: Recorded {
                        result: result.clone(),
                        ..Recorded::default()
                    },
                });
            }
            Step::Given { call, part, .. } => {
                if let Some(call) = place.get(call).and_then(|place| calls.get_mut(*place)) {
                    call.recorded.parts.push(part.0.clone());
                }
            }
            Step::GivenAll { call, broken, .. } => {
                if let Some(call) = place.get(call).and_then(|place| calls.get_mut(*place)) {
                    call.recorded.is_whole = !broken;
                }
            }
            Step::Dropped { .. }
            | Step::Take { .. }
            | Step::Taken { .. }
            | Step::TakenAll { .. }
            | Step::Refused { .. } => {}
        }
    }
    calls
}

/// What makes two questions the same: of a request its method and address, of the rest all of it.
fn identity(function: &str, arguments: &Value) -> String {
    match function {
        "http.send" => format!("{} {}", arguments["method"], arguments["url"]),
        "crm.put-attachment" => format!("{} {}", arguments["message-key"], arguments["attachment"]["part"]),
        _ => sha256(arguments.to_string().as_bytes()),
    }
}

/// The whole page of rows of a copy.
fn page_of(entries: Vec<Entry>, limit: u32) -> Page {
    let limit = limit as usize;
    let more = entries.len() > limit;
    let entries = entries.into_iter().take(limit).collect();
    Page { entries, more }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
