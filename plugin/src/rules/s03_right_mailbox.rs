//! S03: the granted address must equal the mailbox's own; connecting another than the one asked for is
//! said plainly.

use crate::{
    contract::{AddressMismatch, Problem},
    mail::normalise,
};

/// Whether two spellings name the same mailbox. Gmail ignores dots and knows `googlemail.com`.
pub fn same(a: &str, b: &str) -> bool {
    match (normalise(a), normalise(b)) {
        (Some(a), Some(b)) => a.key() == b.key(),
        _ => false,
    }
}

/// Refuses a mailbox that is not the granted one, or not the one the user asked for.
pub fn check(expected: Option<&str>, granted: &str, mailbox: &str) -> Result<(), Problem> {
    let wrong = |expected: &str| {
        Err(Problem::WrongMailbox(AddressMismatch {
            expected: expected.to_owned(),
            found: mailbox.to_owned(),
        }))
    };
    match expected {
        Some(expected) if !same(expected, mailbox) => wrong(expected),
        _ if !same(granted, mailbox) => wrong(granted),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s03_another_mailbox_than_the_one_asked_for_is_refused() {
        assert!(check(Some("a@example.com"), "b@example.com", "b@example.com").is_err());
        assert!(check(None, "a@example.com", "b@example.com").is_err());
        assert_eq!(
            check(Some("A@Example.com"), "a@example.com", "a@example.com"),
            Ok(())
        );
    }

    #[test]
    fn s03_googlemail_and_dots_name_the_same_mailbox() {
        assert_eq!(
            check(
                Some("john.doe@googlemail.com"),
                "johndoe@gmail.com",
                "johndoe@gmail.com"
            ),
            Ok(())
        );
    }
}
