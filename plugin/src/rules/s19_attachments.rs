//! S19: attachments and inline images come along, up to Gmail's limits. How a message is fetched
//! depends on its size, so that a 25 MB mail passes in 64 MiB of memory.

/// Up to this size a message is fetched whole, in bytes.
pub const RAW_LIMIT: u64 = 2 * 1024 * 1024;
/// Up to this size several messages are held at the same time, in bytes.
pub const SMALL_LIMIT: u64 = 256 * 1024;

/// How to fetch a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// Whole, several at a time.
    Small,
    /// Whole, by itself.
    Whole,
    /// Structure and text, then each attachment as a stream.
    Parts,
}

/// How to fetch a message of about this size.
pub fn fetch(size_estimate: u64) -> Fetch {
    if size_estimate <= SMALL_LIMIT {
        Fetch::Small
    } else if size_estimate <= RAW_LIMIT {
        Fetch::Whole
    } else {
        Fetch::Parts
    }
}

/// The longest answer that holds a raw message of `size` bytes: base64 and the JSON around it.
pub fn answer_limit(size: u64) -> u64 {
    size / 3 * 4 + 64 * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s19_only_messages_above_two_mebibytes_come_in_parts() {
        assert_eq!(fetch(0), Fetch::Small);
        assert_eq!(fetch(SMALL_LIMIT + 1), Fetch::Whole);
        assert_eq!(fetch(RAW_LIMIT), Fetch::Whole);
        assert_eq!(fetch(RAW_LIMIT + 1), Fetch::Parts);
    }
}
