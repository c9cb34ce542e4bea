//! When a change happens, and under which settings.
//!
//! There are two times: the one that is shown, which can jump either way, and the steady one that durations are measured
//! by, which a jump backward leaves alone.

/// The circumstances of a change.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    /// The time that is shown.
    pub(crate) now: i64,
    /// The time that durations are measured by.
    pub(crate) steady: i64,
    /// Largest step between history ids.
    pub(crate) gap: u64,
    /// Whether one operation leaves one record.
    pub(crate) grouped: bool,
    pub(crate) push_rate_limited: bool,
    /// How long after `stop` changes are still pushed.
    pub(crate) stop_lag_ms: i64,
}
