//! How a pass ended.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::is_cut;
use crate::{
    contract::{AuditReport, Connected, Explanation, Problem, Report},
    sandbox::PassError,
};

/// How a pass ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "end", rename_all = "kebab-case")]
pub enum End {
    /// The export returned; `{"ok": …}` or `{"error": …}`.
    Returned {
        /// What it returned.
        value: Value,
    },
    /// The component trapped, or broke a limit that does not depend on time.
    Failed {
        /// Why, without the trap's text: it names places in the machine's code.
        kind: String,
    },
    /// The pass took longer than it may. How far it came is no matter of what it was told.
    Cut {
        /// Why.
        kind: String,
    },
}

impl End {
    /// The end that this result is.
    pub(crate) fn of<T: Returned>(result: &Result<T, PassError>) -> Self {
        match result {
            Ok(value) => Self::Returned { value: value.value() },
            Err(error) if is_cut(error) => Self::Cut {
                kind: error.to_string(),
            },
            Err(PassError::Trapped(_)) => Self::Failed {
                kind: "the component trapped".to_owned(),
            },
            Err(error) => Self::Failed {
                kind: error.to_string(),
            },
        }
    }
}

/// What an export returns, as it stands in a trace.
pub(crate) trait Returned {
    fn value(&self) -> Value;
}

impl Returned for Report {
    fn value(&self) -> Value {
        json!({ "ok": self })
    }
}

impl Returned for Value {
    fn value(&self) -> Value {
        self.clone()
    }
}

macro_rules! returned {
    ($($kind:ty),*) => {
        $(impl Returned for Result<$kind, Problem> {
            fn value(&self) -> Value {
                match self {
                    Ok(value) => json!({ "ok": value }),
                    Err(problem) => json!({ "error": problem }),
                }
            }
        })*
    };
}

returned!(Connected, AuditReport, Vec<Explanation>, ());
