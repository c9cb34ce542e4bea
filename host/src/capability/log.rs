//! `log`: structured lines, limited in number and size.

use serde::{Deserialize, Serialize};
use wasmtime::Result;

use super::Context;
use crate::{
    contract::{
        Field,
        imports::log::{Host, Level},
    },
    scope::Scope,
};

/// The most lines of a pass, and the most bytes of a line with its fields.
const LINES: u32 = 1_000;
const BYTES: usize = 4 << 10;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For whoever studies one pass.
    Debug,
    /// A step worth keeping.
    Info,
    /// Something an operator should look at when it repeats.
    Warning,
    /// Something that failed.
    Error,
}

/// One line of a guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// How much it matters.
    pub severity: Severity,
    /// What it says.
    pub message: String,
    /// With what.
    pub fields: Vec<Field>,
}

/// Where guests' lines go.
pub trait LogSink: Send + Sync {
    /// Takes one line of a pass.
    fn write(&self, scope: &Scope, line: Line);
}

/// Lines go where the host's own go, with tenant and connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct TracingLog;

impl LogSink for TracingLog {
    fn write(&self, scope: &Scope, line: Line) {
        let (tenant, connection) = (&scope.tenant, &scope.connection);
        let fields = serde_json::to_string(&line.fields).unwrap_or_default();
        let message = line.message;
        match line.severity {
            Severity::Debug => tracing::debug!(target: "plugin", %tenant, %connection, fields, "{message}"),
            Severity::Info => tracing::info!(target: "plugin", %tenant, %connection, fields, "{message}"),
            Severity::Warning => tracing::warn!(target: "plugin", %tenant, %connection, fields, "{message}"),
            Severity::Error => tracing::error!(target: "plugin", %tenant, %connection, fields, "{message}"),
        }
    }
}

/// How many lines the pass may still write.
#[derive(Debug)]
pub(super) struct Allowance(u32);

impl Default for Allowance {
    fn default() -> Self {
        Self(LINES)
    }
}

impl Host for Context {
    fn write(&mut self, level: Level, message: String, fields: Vec<Field>) -> Result<()> {
        let line = match self.lines.0 {
            0 => return Ok(()),
            1 => Line {
                severity: Severity::Warning,
                message: "further lines of this pass are suppressed".into(),
                fields: Vec::new(),
            },
            _ => cut(severity(level), message, fields),
        };
        self.lines.0 -= 1;
        self.capabilities.log.write(&self.capabilities.scope, line);
        Ok(())
    }
}

fn cut(severity: Severity, mut message: String, mut fields: Vec<Field>) -> Line {
    message.truncate(message.floor_char_boundary(BYTES));
    let mut left = BYTES - message.len();
    fields.retain(|field| {
        let size = field.name.len() + field.value.len();
        let fits = size <= left;
        left -= if fits { size } else { 0 };
        fits
    });
    Line {
        severity,
        message,
        fields,
    }
}

fn severity(level: Level) -> Severity {
    match level {
        Level::Debug => Severity::Debug,
        Level::Info => Severity::Info,
        Level::Warning => Severity::Warning,
        Level::Error => Severity::Error,
    }
}
