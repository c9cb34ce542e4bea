//! From wasmtime's error to the limit it stands for.

use wasmtime::{Trap, component::ResourceTableError};

use super::Refusal;

/// What [`wasmtime::Store::set_hostcall_fuel`] ends with. Wasmtime keeps the type of this error to itself; a version
/// that words it differently fails a test of `hostile.rs`, and the end of such a pass is a trap like any other.
const TOO_MUCH_DATA: &str = "too much data is being copied between the host and the guest";

/// The limit that ended a pass, if one did.
pub(super) fn refusal(error: &wasmtime::Error) -> Option<Refusal> {
    if let Some(refusal) = error.downcast_ref::<Refusal>() {
        return Some(*refusal);
    }
    if matches!(error.downcast_ref(), Some(ResourceTableError::Full)) {
        return Some(Refusal::Handles);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => Some(Refusal::Stack),
        Some(Trap::MemoryOutOfBounds) => Some(Refusal::OutOfBounds),
        Some(_) => None,
        // The root alone: above it stands the backtrace, whose names are the guest's to choose.
        None => error
            .root_cause()
            .to_string()
            .starts_with(TOO_MUCH_DATA)
            .then_some(Refusal::CallData),
    }
}
