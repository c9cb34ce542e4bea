//! Where a replay first differs from its trace, in words.

use serde_json::Value;

use super::Question;

/// Where a replay first differs from its trace.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Divergence {
    /// Another question than the recorded one.
    #[error("call {call}: expected {expected}, got {got}")]
    Question {
        /// Number of the call.
        call: u64,
        /// Function and arguments that were recorded.
        expected: String,
        /// Function and arguments that were asked now.
        got: String,
    },
    /// A question after the last recorded one.
    #[error("call {call}: expected the end of the pass, got {got}")]
    Unexpected {
        /// Number of the call.
        call: u64,
        /// Function and arguments that were asked now.
        got: String,
    },
    /// The pass ended before it asked everything.
    #[error("call {call}: expected {expected}, got the end of the pass")]
    Missing {
        /// Number of the call.
        call: u64,
        /// Function and arguments that were recorded.
        expected: String,
    },
    /// A body that the guest streams has other bytes.
    #[error("call {call}: the body that is sent differs: expected {expected}, got {got}")]
    Body {
        /// Number of the call.
        call: u64,
        /// The part that was recorded.
        expected: String,
        /// The part that came now.
        got: String,
    },
    /// Another end.
    #[error("the end: expected {expected}, got {got}")]
    End {
        /// The recorded end.
        expected: String,
        /// The end now.
        got: String,
    },
    /// The guest waits for something that was never given.
    #[error("the pass waits for more than was recorded")]
    Stalled,
    /// What was recorded is no answer to its question.
    #[error("call {call}: the recorded answer cannot be read")]
    Answer {
        /// Number of the call.
        call: u64,
    },
}

/// Both questions; of the same function, where their arguments first differ.
pub(super) fn differing(function: &str, arguments: &Value, question: &Question) -> (String, String) {
    if function != question.function {
        return (
            shown(function, arguments),
            shown(question.function, &question.arguments),
        );
    }
    let (mut expected, mut got) = (arguments, &question.arguments);
    let mut place = String::new();
    while let Some((step, one, other)) = first_difference(expected, got) {
        place.push('/');
        place.push_str(&step);
        (expected, got) = (one, other);
    }
    let label = format!("{function} {place}");
    (shown(&label, expected), shown(&label, got))
}

/// The first member or element that differs and is in both.
fn first_difference<'v>(one: &'v Value, other: &'v Value) -> Option<(String, &'v Value, &'v Value)> {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => one
            .iter()
            .zip(other.values())
            .find(|((_, one), other)| one != other)
            .map(|((name, one), other)| (name.clone(), one, other)),
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => one
            .iter()
            .zip(other)
            .enumerate()
            .find(|(_, (one, other))| one != other)
            .map(|(place, (one, other))| (place.to_string(), one, other)),
        _ => None,
    }
}

/// A question in short.
pub(super) fn shown(function: &str, arguments: &Value) -> String {
    const LONGEST: usize = 400;
    let mut text = match arguments {
        Value::Null => function.to_owned(),
        arguments => format!("{function} {arguments}"),
    };
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
    text
}
