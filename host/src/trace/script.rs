//! A trace while it is replayed: what comes next, and who waits for it.
//!
//! The guest's questions are held against the recorded ones as they come. What the guest is given
//! (answers, parts of bodies, and the taking of its own parts) is given in the recorded order: at once what
//! was given at once, the rest one by one whenever the guest has nothing left to do, as it was recorded
//! (`capability/gate.rs`). A guest that has nothing left to do when there is nothing to give has stalled.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as Task, Poll, Waker},
};

use bytes::Bytes;
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    Divergence, Question, Step,
    divergence::{differing, shown},
};
use crate::capability::Released;

/// Whose turn it is: an answer (and the taking of a body that is sent), or the parts of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    Answer,
    Parts,
}

/// One thing that the guest is given, or that is taken from it.
#[derive(Debug)]
struct Delivery {
    call: u64,
    side: Side,
    waited: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Answer(Value),
    Take,
    Refuse,
    Part(Bytes),
    PartsEnd { broken: bool },
}

/// What happens next to a body that the guest streams, and then to its call.
#[derive(Clone, Debug)]
pub(crate) enum Next {
    /// It is answered.
    Answer(Value),
    /// A part is taken.
    Take,
    /// No more of it is taken.
    Refuse,
}

/// What was taken of a body that the guest streams.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// A part.
    Part {
        /// Bytes.
        length: u64,
        /// SHA-256 in hexadecimal.
        sha256: String,
    },
    /// Its end, which came too early or too late if it is broken.
    End {
        /// Whether it is.
        broken: bool,
    },
}

/// A recorded question.
#[derive(Debug)]
struct Recorded {
    function: String,
    arguments: Value,
    /// The answer, if it came at once.
    result: Option<Value>,
}

/// How much of a question has to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// All of it.
    Exact,
    /// Its function: the inputs were changed, and what the guest makes of them is what is wanted.
    Function,
}

/// A trace while it is replayed. Serves one pass.
#[derive(Debug)]
pub struct Script {
    likeness: Likeness,
    questions: Vec<Recorded>,
    deliveries: Vec<Delivery>,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    asked: u64,
    delivered: usize,
    waiting: HashMap<(u64, Side), Waker>,
    /// Places of the deliveries that are still to come, by who gets them.
    due: HashMap<(u64, Side), VecDeque<usize>>,
    /// The delivery that may be given although the guest went on before it.
    released: Option<usize>,
    /// What is to be taken of each body.
    taken: HashMap<u64, VecDeque<Taken>>,
    is_over: bool,
    divergence: Option<Divergence>,
}

impl Script {
    /// A replay that must be the same in everything.
    pub fn new(steps: &[Step]) -> Arc<Self> {
        Self::alike(steps, Likeness::Exact)
    }

    pub(crate) fn alike(steps: &[Step], likeness: Likeness) -> Arc<Self> {
        let mut questions = Vec::new();
        let mut deliveries = Vec::new();
        let mut state = State::default();
        for step in steps {
            match read(step) {
                Read::Question(question) => questions.push(question),
                Read::Delivery(delivery) => deliveries.push(delivery),
                Read::Taken(call, taken) => state.taken.entry(call).or_default().push_back(taken),
                Read::Nothing => {}
            }
        }
        for (place, delivery) in deliveries.iter().enumerate() {
            let due = state.due.entry((delivery.call, delivery.side)).or_default();
            due.push_back(place);
        }
        Arc::new(Self {
            likeness,
            questions,
            deliveries,
            state: Mutex::new(state),
            changed: Notify::new(),
        })
    }

    /// Where it first differed, if it did.
    pub fn divergence(&self) -> Option<Divergence> {
        self.lock().divergence.clone()
    }

    /// Comes back when the replay has differed.
    pub(crate) async fn diverged(&self) -> Divergence {
        loop {
            let changed = self.changed.notified();
            if let Some(divergence) = self.divergence() {
                return divergence;
            }
            changed.await;
        }
    }

    /// Comes back when the guest waits and everything was asked and given.
    pub(crate) async fn over(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().is_over {
                return;
            }
            changed.await;
        }
    }

    /// Gives the guest, which has nothing left to do, what is next.
    pub(crate) fn release(&self) -> Released {
        let mut state = self.lock();
        if state.asked == 0 || state.divergence.is_some() {
            return Released::Nothing;
        }
        let place = state.delivered;
        let Some(delivery) = self.deliveries.get(place) else {
            if state.asked == self.questions.len() as u64 {
                state.is_over = true;
                self.changed.notify_waiters();
            } else {
                self.diverge_in(&mut state, Divergence::Stalled);
            }
            return Released::Nothing;
        };
        let Some(waker) = state.waiting.remove(&(delivery.call, delivery.side)) else {
            self.diverge_in(&mut state, Divergence::Stalled);
            return Released::Nothing;
        };
        state.released = Some(place);
        drop(state);
        waker.wake();
        Released::Something
    }

    pub(crate) fn is_exhausted(&self) -> bool {
        let state = self.lock();
        state.asked == self.questions.len() as u64 && state.delivered == self.deliveries.len()
    }

    /// The first question that was not asked again.
    pub(crate) fn missing(&self) -> Option<Divergence> {
        let call = self.lock().asked;
        let recorded = self.questions.get(usize::try_from(call).ok()?)?;
        let expected = shown(&recorded.function, &recorded.arguments);
        Some(Divergence::Missing { call, expected })
    }

    /// The next recorded question, from which a twin may see what its own answer was.
    pub(crate) fn next_function(&self) -> Option<&str> {
        let call = self.lock().asked;
        let recorded = self.questions.get(usize::try_from(call).ok()?)?;
        Some(&recorded.function)
    }

    /// A question that waits; its number. `None` once the replay has differed.
    pub(crate) fn ask(&self, question: &Question) -> Option<u64> {
        self.question(question).map(|(call, _)| call)
    }

    /// A question that cannot wait; its number and its answer. `None` once the replay has differed.
    pub(crate) fn call(&self, question: &Question) -> Option<(u64, &Value)> {
        let (call, recorded) = self.question(question)?;
        if recorded.result.is_none() {
            self.diverge(Divergence::Answer { call });
        }
        Some((call, recorded.result.as_ref()?))
    }

    fn question(&self, question: &Question) -> Option<(u64, &Recorded)> {
        let mut state = self.lock();
        if state.divergence.is_some() {
            return None;
        }
        let call = state.asked;
        let recorded = usize::try_from(call)
            .ok()
            .and_then(|place| self.questions.get(place));
        let Some(recorded) = recorded else {
            let got = shown(question.function, &question.arguments);
            self.diverge_in(&mut state, Divergence::Unexpected { call, got });
            return None;
        };
        let is_same = recorded.function == question.function
            && (self.likeness == Likeness::Function || recorded.arguments == question.arguments);
        if !is_same {
            let (expected, got) = differing(&recorded.function, &recorded.arguments, question);
            self.diverge_in(&mut state, Divergence::Question { call, expected, got });
            return None;
        }
        state.asked += 1;
        Some((call, recorded))
    }

    /// What happens next to a call, when it is its turn.
    pub(crate) fn poll_next(&self, call: u64, task: &Task<'_>) -> Poll<Next> {
        let what = std::task::ready!(self.poll(call, Side::Answer, task));
        self.done();
        Poll::Ready(match what {
            What::Answer(result) => Next::Answer(result),
            What::Take => Next::Take,
            // Parts have a side of their own.
            What::Refuse | What::Part(_) | What::PartsEnd { .. } => Next::Refuse,
        })
    }

    /// The next part of a streamed answer; `None` at its end, `Err` if that came too early.
    pub(crate) fn poll_part(&self, call: u64, task: &Task<'_>) -> Poll<Option<Result<Bytes, ()>>> {
        let what = std::task::ready!(self.poll(call, Side::Parts, task));
        self.done();
        Poll::Ready(match what {
            What::Part(part) => Some(Ok(part)),
            What::PartsEnd { broken: true } => Some(Err(())),
            _ => None,
        })
    }

    /// What was next has happened.
    fn done(&self) {
        let mut state = self.lock();
        if let Some(delivery) = self.deliveries.get(state.delivered)
            && let Some(due) = state.due.get_mut(&(delivery.call, delivery.side))
        {
            due.pop_front();
        }
        state.delivered += 1;
    }

    /// What was taken next of a body.
    pub(crate) fn taken(&self, call: u64) -> Option<Taken> {
        self.lock().taken.get_mut(&call)?.pop_front()
    }

    pub(crate) fn diverge(&self, divergence: Divergence) {
        self.diverge_in(&mut self.lock(), divergence);
    }

    /// Bytes of a body are compared only when all has to be the same.
    pub(crate) fn likeness(&self) -> Likeness {
        self.likeness
    }

    fn poll(&self, call: u64, side: Side, task: &Task<'_>) -> Poll<What> {
        let mut state = self.lock();
        let due = state.due.get(&(call, side)).and_then(|due| due.front());
        let (Some(&place), None) = (due, &state.divergence) else {
            // Never given then, so never given now.
            return Poll::Pending;
        };
        let Some(delivery) = self.deliveries.get(place) else {
            return Poll::Pending;
        };
        if state.delivered == place && (!delivery.waited || state.released == Some(place)) {
            return Poll::Ready(delivery.what.clone());
        }
        state.waiting.insert((call, side), task.waker().clone());
        Poll::Pending
    }

    fn diverge_in(&self, state: &mut State, divergence: Divergence) {
        state.divergence.get_or_insert(divergence);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Read {
    Question(Recorded),
    Delivery(Delivery),
    Taken(u64, Taken),
    Nothing,
}

fn read(step: &Step) -> Read {
    let question = |function: &String, arguments: &Value, result: Option<&Value>| {
        Read::Question(Recorded {
            function: function.clone(),
            arguments: arguments.clone(),
            result: result.cloned(),
        })
    };
    let delivery = |call: &u64, side, waited, what| {
        Read::Delivery(Delivery {
            call: *call,
            side,
            waited,
            what,
        })
    };
    match step {
        Step::Called {
            function,
            arguments,
            result,
            ..
        } => question(function, arguments, Some(result)),
        Step::Asked {
            function, arguments, ..
        } => question(function, arguments, None),
        Step::Answered { call, waited, result } => {
            delivery(call, Side::Answer, *waited, What::Answer(result.clone()))
        }
        Step::Take { call } => delivery(call, Side::Answer, true, What::Take),
        Step::Refused { call } => delivery(call, Side::Answer, true, What::Refuse),
        Step::Given { call, waited, part } => {
            delivery(call, Side::Parts, *waited, What::Part(part.0.clone()))
        }
        Step::GivenAll { call, waited, broken } => {
            delivery(call, Side::Parts, *waited, What::PartsEnd { broken: *broken })
        }
        Step::Taken { call, length, sha256 } => {
            let (length, sha256) = (*length, sha256.clone());
            Read::Taken(*call, Taken::Part { length, sha256 })
        }
        Step::TakenAll { call, broken } => Read::Taken(*call, Taken::End { broken: *broken }),
        Step::Dropped { .. } => Read::Nothing,
    }
}
