//! One thing at a time for a guest whose pass has to be repeatable.
//!
//! Several answers that come while a guest computes reach it together, and in an order of the engine's
//! own. So a recorded guest is given one thing only when it has nothing left to do, and then runs until it
//! has nothing left to do again; a replayed one is given the same things in the same way. What is there
//! at once, when the guest asks, is given at once in both.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context as Task, Poll, Wake, Waker},
};

/// Runs a pass. Whenever its guest has nothing left to do, `release` gives it the next thing, if there is
/// one.
pub(crate) async fn drive<F: Future>(pass: F, mut release: impl FnMut() -> Released) -> F::Output {
    let mut pass = pin!(pass);
    let signal = Arc::new(Signal::default());
    let waker = Waker::from(signal.clone());
    std::future::poll_fn(move |task| {
        signal.listen(task.waker());
        loop {
            signal.is_set.store(false, Ordering::SeqCst);
            if let Poll::Ready(output) = pass.as_mut().poll(&mut Task::from_waker(&waker)) {
                return Poll::Ready(output);
            }
            // Woken while it was polled: it has more to do, or something came from outside.
            if signal.is_set.load(Ordering::SeqCst) || release() == Released::Nothing {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// Whether the guest was given something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Released {
    /// It was.
    Something,
    /// There was nothing to give.
    Nothing,
}

/// Wakes the task and remembers that it did.
#[derive(Default)]
struct Signal {
    is_set: AtomicBool,
    task: Mutex<Option<Waker>>,
}

impl Signal {
    fn listen(&self, task: &Waker) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.clone());
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_set.store(true, Ordering::SeqCst);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(task) = task {
            task.wake();
        }
    }
}

/// Things that are there for a guest and were not given yet, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whether somebody releases; nothing is held back before.
    is_driven: bool,
    tickets: u64,
    waiting: VecDeque<(u64, Waker)>,
    released: Option<u64>,
}

impl Gate {
    /// From now on things wait until they are released.
    pub(crate) fn close(&self) {
        self.lock().is_driven = true;
    }

    /// Gives the guest what has waited longest.
    pub(crate) fn release(&self) -> Released {
        let mut queue = self.lock();
        let Some((ticket, waker)) = queue.waiting.pop_front() else {
            return Released::Nothing;
        };
        queue.released = Some(ticket);
        drop(queue);
        waker.wake();
        Released::Something
    }

    /// Comes back when it is this thing's turn.
    pub(crate) async fn turn(&self) {
        let mut ticket = Ticket {
            gate: self,
            number: None,
        };
        std::future::poll_fn(move |task| ticket.poll(task)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue, given up when it is dropped.
struct Ticket<'g> {
    gate: &'g Gate,
    number: Option<u64>,
}

impl Ticket<'_> {
    fn poll(&mut self, task: &Task<'_>) -> Poll<()> {
        let mut queue = self.gate.lock();
        if !queue.is_driven {
            return Poll::Ready(());
        }
        let waker = task.waker().clone();
        let Some(number) = self.number else {
            let number = queue.tickets;
            queue.tickets += 1;
            queue.waiting.push_back((number, waker));
            self.number = Some(number);
            return Poll::Pending;
        };
        if queue.released == Some(number) {
            queue.released = None;
            self.number = None;
            return Poll::Ready(());
        }
        if let Some(waiting) = queue.waiting.iter_mut().find(|(other, _)| *other == number) {
            waiting.1 = waker;
        }
        Poll::Pending
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.gate.lock().waiting.retain(|(other, _)| *other != number);
        }
    }
}
