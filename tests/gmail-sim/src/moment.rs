//! When a change happens, and under which settings.

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
