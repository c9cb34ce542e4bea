//! A component on what was recorded, with nothing written: another version, or the same one on changed
//! inputs.

use std::sync::Arc;

use serde::Serialize;

use super::{
    Decisions, Difference, End, Header, Lenient, Redaction, Trace,
    replay::{pass, perform, release, run_alike},
};
use crate::{
    capability::{Capabilities, Recorder, TooLarge},
    sandbox::{Plugin, Usage},
};

/// What a component would have done.
#[derive(Debug)]
pub struct Rehearsal {
    /// What it asked and was given, as a trace of its own.
    pub trace: Trace,
    /// How what it decided differs from what was recorded.
    pub differences: Vec<Difference>,
    /// What it asked that the recording does not answer.
    pub unanswered: Vec<Unanswered>,
    /// What it used.
    pub usage: Usage,
}

/// A question that the recording does not answer, and what was answered instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// Interface and function.
    pub function: String,
    /// About what.
    pub about: String,
    /// What was assumed, or that no answer was given.
    pub answered: &'static str,
}

/// Why there is no rehearsal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RehearsalError {
    /// It did more than may be recorded.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

/// Runs the component on what was recorded. Questions are answered by what they ask for, not by their
/// place; writes change a copy of what was recorded and nothing else. What the recording does not know
/// is read from `live`, if that is given, and written there never.
pub async fn rehearse(
    plugin: &Plugin,
    trace: &Trace,
    live: Option<Capabilities>,
) -> Result<Rehearsal, RehearsalError> {
    let world = Arc::new(Lenient::new(trace, live));
    let recorder = Recorder::new(crate::capability::RECORDED_BYTES);
    let capabilities = world
        .clone()
        .capabilities(trace.header.scope.clone())
        .recorded(&recorder);
    let pass = perform(&trace.header.call, pass(plugin, trace, capabilities));
    let ended = recorder.drive(pass).await;
    let rehearsed = Trace {
        header: Header {
            plugin: release(plugin),
            ..trace.header.clone()
        },
        steps: recorder.take()?,
        end: End::of(&ended.result),
    };
    Ok(Rehearsal {
        differences: Decisions::of(trace).differences(&Decisions::of(&rehearsed)),
        trace: rehearsed,
        unanswered: world.unanswered(),
        usage: ended.usage,
    })
}

/// The pass on changed inputs, as a trace that replays: in the recorded order if the component still makes
/// the same calls, else as it comes.
pub(super) async fn rerecord(plugin: &Plugin, changed: &Trace) -> Result<Trace, RehearsalError> {
    let recorder = Recorder::new(crate::capability::RECORDED_BYTES);
    let header = Header {
        redaction: Redaction::Bodies,
        ..changed.header.clone()
    };
    match run_alike(plugin, changed, &recorder).await {
        Ok(replayed) => Ok(Trace {
            header,
            steps: recorder.take()?,
            end: replayed.end,
        }),
        Err(_) => Ok(Trace {
            header,
            ..rehearse(plugin, changed, None).await?.trace
        }),
    }
}
