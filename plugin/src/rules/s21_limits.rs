//! S21: 500 messages per day per mailbox (rolling 24 hours; 2,000 for Workspace) and 25 MB per message,
//! checked before anything is sent. Attachments count as they are encoded.

use crate::contract::{Problem, SizeExcess};

/// The window of the daily limit, in milliseconds.
pub const WINDOW: u64 = 24 * 3_600_000;
/// The most messages of a consumer mailbox in 24 hours.
pub const CONSUMER_MESSAGES: u32 = 500;
/// The largest message, in bytes, encoded: 25 MB as Gmail counts them.
pub const LARGEST_MESSAGE: u64 = 25 * 1024 * 1024;

/// Refuses a message that is too large.
pub fn check_size(size: u64) -> Result<(), Problem> {
    if size > LARGEST_MESSAGE {
        return Err(Problem::TooLarge(SizeExcess {
            size,
            limit: LARGEST_MESSAGE,
        }));
    }
    Ok(())
}

/// When sending works again, if it does not now. `sent` are the times of what the mailbox sent in the
/// window, ascending.
pub fn blocked_until(sent: &[u64], limit: u32) -> Option<u64> {
    let over = sent.len().checked_sub(limit as usize)?;
    // One more may go as soon as so many have left the window that fewer than `limit` are in it.
    sent.get(over).map(|time| time + WINDOW)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s21_twenty_five_megabytes_pass_and_one_byte_more_does_not() {
        assert_eq!(check_size(LARGEST_MESSAGE), Ok(()));
        let excess = SizeExcess {
            size: LARGEST_MESSAGE + 1,
            limit: LARGEST_MESSAGE,
        };
        assert_eq!(check_size(LARGEST_MESSAGE + 1), Err(Problem::TooLarge(excess)));
    }

    #[test]
    fn s21_the_limit_says_when_it_works_again() {
        assert_eq!(blocked_until(&[10, 20], 3), None);
        assert_eq!(blocked_until(&[10, 20, 30], 3), Some(10 + WINDOW));
        assert_eq!(blocked_until(&[10, 20, 30, 40], 3), Some(20 + WINDOW));
    }
}
