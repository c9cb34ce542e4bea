//! Stand-ins for what people wrote.

use super::{Trace, RehearsalError, rehearse::rerecord};
use crate::sandbox::Plugin;

/// Why a trace was not redacted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedactError {
    /// The pass on the stand-ins could not be recorded.
    #[error(transparent)]
    Rehearsal(#[from] RehearsalError),
}

/// x
pub async fn redact(plugin: &Plugin, trace: &Trace) -> Result<Trace, RedactError> {
    Ok(rerecord(plugin, trace).await?)
}
