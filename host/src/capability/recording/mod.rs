//! Writes down what a pass asks and what it is given (T05), as the steps of a
//! [`Trace`](crate::trace::Trace).
//!
//! A step is written before the guest can see what it says, so its place is the place the guest saw it in.
//! Tokens are attached behind the point where this listens, and what is named like one is hidden. A
//! recorded pass waits a second less for an answer than others: so that a late answer is an answer,
//! and not silence that a replay could not tell from a guest that walked away.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
    time::Duration,
};

use serde::Serialize;
use serde_json::Value;

use super::gate::{Gate, drive};
use crate::trace::{Question, Step, plain, told};

mod streams;
mod twins;

use streams::Pump;

/// How much earlier a recorded call is given up than the host gives it up.
const SOONER: Duration = Duration::from_secs(1);

/// The most bytes of one recorded pass, counted as they are kept in memory, unless told otherwise.
pub const RECORDED_BYTES: usize = 64 << 20;

/// The pass has more to it than its recorder may keep. The pass itself is not affected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pass is larger than the {limit} bytes that may be recorded")]
pub struct TooLarge {
    /// The most bytes.
    pub limit: usize,
}

/// The steps of one pass.
#[derive(Debug)]
pub struct Recorder {
    limit: usize,
    latest: AtomicU64,
    recorded: Mutex<Recorded>,
    gate: Gate,
}

#[derive(Debug, Default)]
struct Recorded {
    calls: u64,
    steps: Vec<Step>,
    bytes: usize,
}

impl Recorder {
    /// An empty recording of at most so many bytes.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            latest: AtomicU64::new(0),
            recorded: Mutex::default(),
            gate: Gate::default(),
        })
    }

    /// Runs a pass whose capabilities are [`recorded`](super::Capabilities::recorded) here, so that it can
    /// be replayed: its guest is given one thing at a time. One that does not run here may replay otherwise.
    pub async fn drive<F: Future>(&self, pass: F) -> F::Output {
        self.gate.close();
        drive(pass, || self.gate.release()).await
    }

    /// For who drives a pass with more than this recorder.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// What was recorded so far, in order; it is empty afterwards.
    pub fn take(&self) -> Result<Vec<Step>, TooLarge> {
        let mut recorded = self.lock();
        if recorded.bytes > self.limit {
            return Err(TooLarge { limit: self.limit });
        }
        Ok(std::mem::take(&mut recorded.steps))
    }

    fn lock(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time as the guest sees it, which never goes back.
    fn clamped(&self, now: u64) -> u64 {
        self.latest.fetch_max(now, Ordering::SeqCst).max(now)
    }

    /// The output of a future when it is its turn, and whether the guest went on meanwhile.
    async fn in_turn<T>(&self, future: impl Future<Output = T>) -> (T, bool) {
        let (output, waited) = watched(future).await;
        if waited {
            self.gate.turn().await;
        }
        (output, waited)
    }

    fn push(&self, step: Step) {
        self.lock().push(step, self.limit);
    }

    fn called(&self, question: Question, result: Value) {
        let mut recorded = self.lock();
        let call = recorded.calls;
        recorded.calls += 1;
        let step = Step::Called {
            call,
            function: question.function.to_owned(),
            arguments: question.arguments,
            result,
        };
        recorded.push(step, self.limit);
    }

    fn ask(self: &Arc<Self>, question: Question) -> Asked {
        let mut recorded = self.lock();
        let call = recorded.calls;
        recorded.calls += 1;
        let step = Step::Asked {
            call,
            function: question.function.to_owned(),
            arguments: question.arguments,
        };
        recorded.push(step, self.limit);
        drop(recorded);
        Asked {
            recorder: self.clone(),
            call,
            is_answered: false,
        }
    }
}

impl Recorded {
    /// Keeps a step; beyond the limit nothing is kept any more, and nothing of what was.
    fn push(&mut self, step: Step, limit: usize) {
        self.bytes = self.bytes.saturating_add(size(&step));
        if self.bytes > limit {
            self.steps = Vec::new();
        } else {
            self.steps.push(step);
        }
    }
}

/// A question that has no answer yet. Dropped without one, it says that the guest walked away.
struct Asked {
    recorder: Arc<Recorder>,
    call: u64,
    is_answered: bool,
}

impl Asked {
    fn answered(mut self, waited: bool, result: Value) {
        self.is_answered = true;
        let call = self.call;
        self.recorder.push(Step::Answered { call, waited, result });
    }

    /// The answer of `future`, written down.
    async fn told<T: Serialize, E: Serialize>(
        self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let (result, waited) = self.recorder.in_turn(future).await;
        self.answered(waited, told(&result));
        result
    }

    /// The answer of `future`, or `late` when it does not come in time, written down.
    async fn told_within<T: Serialize, E: Serialize>(
        self,
        limit: Duration,
        late: impl FnOnce() -> E,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.told(super::within(sooner(limit), late, future)).await
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.is_answered {
            self.recorder.push(Step::Dropped { call: self.call });
        }
    }
}

fn sooner(limit: Duration) -> Duration {
    limit.saturating_sub(SOONER)
}

/// The output of a future, and whether it was not there at once.
async fn watched<T>(future: impl Future<Output = T>) -> (T, bool) {
    let mut future = std::pin::pin!(future);
    let mut waited = false;
    std::future::poll_fn(move |task| match future.as_mut().poll(task) {
        Poll::Ready(output) => Poll::Ready((output, waited)),
        Poll::Pending => {
            waited = true;
            Poll::Pending
        }
    })
    .await
}

/// A capability whose use is written down.
pub struct Recording<T: ?Sized> {
    inner: Arc<T>,
    recorder: Arc<Recorder>,
}

impl<T: ?Sized> Recording<T> {
    /// `inner`, written down in `recorder`.
    pub fn new(inner: Arc<T>, recorder: &Arc<Recorder>) -> Self {
        Self {
            inner,
            recorder: recorder.clone(),
        }
    }

    fn called<A: Serialize>(&self, question: Question, answer: A) {
        self.recorder.called(question, plain(answer));
    }
}

/// About how many bytes a step takes.
fn size(step: &Step) -> usize {
    const STEP: usize = 64;
    STEP + match step {
        Step::Called {
            arguments, result, ..
        } => weight(arguments) + weight(result),
        Step::Asked { arguments, .. } => weight(arguments),
        Step::Answered { result, .. } => weight(result),
        Step::Given { part, .. } => part.0.len(),
        Step::Taken { sha256, .. } => sha256.len(),
        Step::Dropped { .. }
        | Step::Take { .. }
        | Step::TakenAll { .. }
        | Step::Refused { .. }
        | Step::GivenAll { .. } => 0,
    }
}

fn weight(value: &Value) -> usize {
    const VALUE: usize = 16;
    VALUE
        + match value {
            Value::String(text) => text.len(),
            Value::Array(values) => values.iter().map(weight).sum(),
            Value::Object(members) => members
                .iter()
                .map(|(name, value)| name.len() + weight(value))
                .sum(),
            Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        }
}
