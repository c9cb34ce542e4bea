//! S04: mail from before the connection is never included. What counts is when Gmail accepted the
//! message (`internalDate`): an old message that is moved, imported, restored or relabelled keeps its
//! old one, and a new reply in an old thread has a new one. The `Date` header is the sender's claim.

/// Whether a message accepted at `internal_date` is past mail for a connection made at `since` (both ms
/// since the epoch).
pub fn is_past(internal_date: u64, since: u64) -> bool {
    internal_date < since
}

/// The connection's time, from Gmail's own clock where the answer told it, to whole seconds as that
/// clock tells them.
pub fn anchor_time(server_time: Option<u64>, now: u64) -> u64 {
    server_time.unwrap_or(now) / 1_000 * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s04_a_message_accepted_before_the_connection_stays_out() {
        assert!(is_past(999, 1_000));
        assert!(!is_past(1_000, 1_000));
    }

    #[test]
    fn s04_the_anchor_is_gmails_clock_not_the_hosts() {
        assert_eq!(anchor_time(Some(5_000), 9_999), 5_000);
        assert_eq!(anchor_time(None, 9_999), 9_000);
    }
}
