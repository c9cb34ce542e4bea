//! The traces of every pass of a world.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use twinbox_host::{
    Witness,
    capability::{RECORDED_BYTES, TooLarge},
    trace::{Call, Trace},
};

/// Keeps them.
#[derive(Default)]
pub(crate) struct Traces(Mutex<Vec<Trace>>);

impl Traces {
    pub(crate) fn take(&self) -> Vec<Trace> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Witness for Traces {
    fn wants(&self, _: &Call) -> Option<usize> {
        Some(RECORDED_BYTES)
    }

    async fn saw(&self, trace: Result<&Trace, TooLarge>) {
        let trace = trace.expect("a pass that is small enough").clone();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trace);
    }
}
