//! The same pass again.

use std::sync::Arc;

use serde_json::Value;

use super::{Call, Divergence, End, Release, Returned, Script, Trace, script::Likeness};
use crate::{
    capability::{Capabilities, Recorder, Released, Replaying, drive},
    sandbox::{Ended, Pass, PassError, Plugin, Usage},
};

/// A replay that was the same in everything.
#[derive(Debug)]
pub struct Replayed {
    /// The component that ran.
    pub plugin: Release,
    /// How the pass ended, as recorded.
    pub end: End,
    /// What it used.
    pub usage: Usage,
}

/// Runs the recorded pass again, call by call. Needs no network and no time but the guest's own.
///
/// # Errors
///
/// The first difference. Another component than the recorded one may be given; then any change of what
/// it asks is a difference ([`rehearse`](super::rehearse) compares decisions instead).
pub async fn replay(plugin: &Plugin, trace: &Trace) -> Result<Replayed, Divergence> {
    let script = Script::new(&trace.steps);
    let ended = run(plugin, trace, &script, None).await?;
    if !script.is_exhausted()
        && !matches!(trace.end, End::Cut { .. })
        && let Some(missing) = script.missing()
    {
        return Err(missing);
    }
    if ended.end != trace.end {
        return Err(Divergence::End {
            expected: said(&trace.end),
            got: said(&ended.end),
        });
    }
    Ok(ended)
}

/// The pass on a trace whose inputs were changed: the guest has to make the same calls, and what it asks
/// with them is recorded.
pub(super) async fn run_alike(
    plugin: &Plugin,
    trace: &Trace,
    recorder: &Arc<Recorder>,
) -> Result<Replayed, Divergence> {
    let script = Script::alike(&trace.steps, Likeness::Function);
    let replayed = run(plugin, trace, &script, Some(recorder)).await?;
    match script.missing() {
        Some(missing) => Err(missing),
        None => Ok(replayed),
    }
}

async fn run(
    plugin: &Plugin,
    trace: &Trace,
    script: &Arc<Script>,
    recorder: Option<&Arc<Recorder>>,
) -> Result<Replayed, Divergence> {
    let mut capabilities = Replaying::new(script).capabilities(trace.header.scope.clone());
    if let Some(recorder) = recorder {
        recorder.gate().close();
        capabilities = capabilities.recorded(recorder);
    }
    let was_cut = matches!(trace.end, End::Cut { .. });
    let release_next = || match recorder.map(|recorder| recorder.gate().release()) {
        Some(Released::Something) => Released::Something,
        Some(Released::Nothing) | None => script.release(),
    };
    let pass = perform(&trace.header.call, pass(plugin, trace, capabilities));
    let ended = tokio::select! {
        biased;
        divergence = script.diverged() => return Err(divergence),
        ended = drive(pass, release_next) => ended,
        () = script.over() => {
            if !was_cut {
                return Err(Divergence::Stalled);
            }
            return Ok(Replayed {
                plugin: release(plugin),
                end: trace.end.clone(),
                usage: Usage::default(),
            });
        }
    };
    // It may have differed in the call that ended it.
    if let Some(divergence) = script.divergence() {
        return Err(divergence);
    }
    let end = End::of(&ended.result);
    Ok(Replayed {
        plugin: release(plugin),
        end,
        usage: ended.usage,
    })
}

pub(super) fn release(plugin: &Plugin) -> Release {
    Release::of(plugin.manifest(), plugin.digest())
}

/// A pass with these capabilities, within the limits it was recorded in.
pub(super) fn pass(plugin: &Plugin, trace: &Trace, capabilities: Capabilities) -> Pass {
    plugin.pass(capabilities, trace.header.limits)
}

/// Calls the export that was recorded.
pub(super) async fn perform(call: &Call, pass: Pass) -> Ended<Value> {
    match call.clone() {
        Call::Connect {
            expected_address,
            settings,
        } => value(pass.connect(expected_address, settings).await),
        Call::Run { trigger, settings } => value(pass.run(trigger, settings).await),
        Call::Audit { mode, settings } => value(pass.audit(mode, settings).await),
        Call::Explain { subject, settings } => value(pass.explain(subject, settings).await),
        Call::Disconnect => value(pass.disconnect().await),
    }
}

fn value<T: Returned>(ended: Ended<T>) -> Ended<Value> {
    let result: Result<Value, PassError> = ended.result.map(|returned| returned.value());
    Ended {
        result,
        usage: ended.usage,
    }
}

fn said(end: &End) -> String {
    match end {
        End::Returned { value } => value.to_string(),
        End::Failed { kind } | End::Cut { kind } => kind.clone(),
    }
}
