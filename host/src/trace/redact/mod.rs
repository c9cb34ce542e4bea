//! Stand-ins for what people wrote (T05), by choice.
//!
//! The inputs of the pass are changed: text becomes `x`, names too, the local part of an address becomes
//! another one, the same wherever it stands; lengths, structure, header names, domains, ids and times stay.
//! Then the component runs on the changed inputs, and that pass is the trace: so it replays like any other,
//! and everything the component wrote in it comes from stand-ins. What it decided is what it decides on
//! them, which may differ from the original where a rule reads words.

use serde_json::Value;

use super::{Call, Content, RehearsalError, Step, Trace, rehearse::rerecord};
use crate::{contract::Subject, sandbox::Plugin};

mod json;
mod mime;
mod text;
mod units;

use json::Answers;
use text::StandIns;

/// Why a trace was not redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// The pass on the stand-ins could not be recorded.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
    /// It takes the component that was recorded to write the redacted pass.
    #[error("the trace is of {expected}, the component is {found}")]
    OtherComponent {
        /// The component that was recorded.
        expected: super::Release,
        /// The one given.
        found: super::Release,
    },
}

/// The same pass with stand-ins for what people wrote, their names, and the local parts of their
/// addresses. `plugin` is the component that was recorded.
pub async fn redact(plugin: &Plugin, trace: &Trace) -> Result<Trace, RedactError> {
    let found = super::replay::release(plugin);
    if found.digest != trace.header.plugin.digest {
        let expected = trace.header.plugin.clone();
        return Err(RedactError::OtherComponent { expected, found });
    }
    let changed = changed(trace, &StandIns::new());
    Ok(rerecord(plugin, &changed).await?)
}

/// The trace with changed inputs; what the component made of the original ones is still in it.
fn changed(trace: &Trace, stand_ins: &StandIns) -> Trace {
    let mut changed = trace.clone();
    "redacted".clone_into(&mut changed.header.scope.account);
    change_call(&mut changed.header.call, stand_ins);
    let mut answers = Answers::new(stand_ins);
    for step in &mut changed.steps {
        match step {
            Step::Asked {
                call,
                function,
                arguments,
            } => {
                answers.asked(*call, function);
                answers.change(function, arguments);
            }
            Step::Called {
                function,
                arguments,
                result,
                ..
            } => {
                answers.change(function, arguments);
                answers.change(function, result);
            }
            Step::Answered { call, result, .. } => {
                let function = answers.function(*call).to_owned();
                answers.change(&function, result);
            }
            _ => {}
        }
    }
    change_streams(&mut changed.steps, &answers);
    changed
}

fn change_call(call: &mut Call, stand_ins: &StandIns) {
    let change_settings = |settings: &mut String| *settings = stand_ins.in_addresses(settings);
    match call {
        Call::Connect {
            expected_address,
            settings,
        } => {
            *expected_address = expected_address
                .take()
                .map(|address| stand_ins.in_addresses(&address));
            change_settings(settings);
        }
        Call::Run { settings, .. } | Call::Audit { settings, .. } => change_settings(settings),
        Call::Explain { subject, settings } => {
            change_settings(settings);
            if let Subject::Contact(text) | Subject::MessageId(text) = subject {
                *text = stand_ins.in_addresses(text);
            }
        }
        Call::Disconnect => {}
    }
}

/// Streamed answers are changed as a whole and cut into as many parts as they had.
fn change_streams(steps: &mut [Step], answers: &Answers<'_>) {
    let mut bodies: std::collections::BTreeMap<u64, Vec<u8>> = std::collections::BTreeMap::new();
    let mut last = std::collections::HashMap::new();
    for (place, step) in steps.iter().enumerate() {
        if let Step::Given { call, part, .. } = step {
            bodies.entry(*call).or_default().extend_from_slice(&part.0);
            last.insert(*call, place);
        }
    }
    let mut rest: std::collections::HashMap<u64, bytes::Bytes> = bodies
        .into_iter()
        .map(|(call, body)| (call, answers.body(answers.function(call), &body).into()))
        .collect();
    let lengths: std::collections::HashMap<u64, usize> =
        rest.iter().map(|(call, body)| (*call, body.len())).collect();
    for (place, step) in steps.iter_mut().enumerate() {
        match step {
            Step::Given { call, part, .. } => {
                let Some(body) = rest.get_mut(call) else { continue };
                let length = if last.get(call) == Some(&place) {
                    body.len()
                } else {
                    part.0.len().min(body.len())
                };
                *part = Content(body.split_to(length));
            }
            // What a stream announces is what it has.
            Step::Answered { call, result, .. } => {
                if let (Some(length), Some(announced)) = (lengths.get(call), result.pointer_mut("/ok/length"))
                    && !announced.is_null()
                {
                    *announced = Value::from(*length);
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;
