//! S17: updates travel both ways. What both sides knew last decides what has changed where: only what
//! differs from it is carried over, so a change never goes back to where it came from, and two changes of
//! different things do not undo each other.

use crate::{contract::Flags, gmail::label};

/// What a change in the CRM asks of Gmail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Labels to add.
    pub add: Vec<&'static str>,
    /// Labels to remove.
    pub remove: Vec<&'static str>,
    /// Into the trash or out of it.
    pub trash: Option<Trash>,
}

/// Which way, by the trash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trash {
    /// Into it.
    Into,
    /// Out of it.
    OutOf,
}

impl Asked {
    /// Whether there is nothing to do: an echo.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// What to ask of Gmail, which has `known`, so that it has what the CRM `wants`.
pub fn asked(known: Flags, wants: Flags) -> Asked {
    let mut asked = Asked::default();
    let labels = [
        (label::UNREAD, known.unread, wants.unread),
        (label::STARRED, known.starred, wants.starred),
        (label::INBOX, !known.archived, !wants.archived),
    ];
    for (label, has, should_have) in labels {
        match (has, should_have) {
            (false, true) => asked.add.push(label),
            (true, false) => asked.remove.push(label),
            _ => {}
        }
    }
    asked.trash = match (known.trashed, wants.trashed) {
        (false, true) => Some(Trash::Into),
        (true, false) => Some(Trash::OutOf),
        _ => None,
    };
    asked
}

/// What somebody wants who saw `before` and made `wants` of it, now that the flags are `known`.
pub fn rebased(before: Flags, wants: Flags, known: Flags) -> Flags {
    let changed = bits(before) ^ bits(wants);
    from_bits(bits(known) & !changed | bits(wants) & changed)
}

/// Whether both sides changed the message without knowing of each other: the CRM `wished`, which together with what
/// Gmail had meanwhile `meant` something else, or became something else there (`None`: it was gone). Of one flag both
/// can only have made the same, as there are two values; of several, each side's change stays.
pub fn met(wished: Flags, meant: Flags, became: Option<Flags>) -> bool {
    // Into the trash Gmail takes other labels off by itself.
    meant != wished || became.is_none_or(|became| !wished.trashed && became != wished)
}

/// Flags as the ledger keeps them, one bit each.
pub fn bits(flags: Flags) -> u8 {
    [flags.unread, flags.starred, flags.archived, flags.trashed]
        .into_iter()
        .rev()
        .fold(0, |bits, flag| bits << 1 | u8::from(flag))
}

/// The flags that [`bits`] made a number of.
pub fn from_bits(bits: u8) -> Flags {
    let has = |number: u8| bits >> number & 1 == 1;
    Flags {
        unread: has(0),
        starred: has(1),
        archived: has(2),
        trashed: has(3),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: Flags = Flags {
        unread: true,
        starred: false,
        archived: false,
        trashed: false,
    };

    #[test]
    fn s17_what_was_read_and_archived_in_the_crm_loses_two_labels() {
        let wants = Flags {
            unread: false,
            archived: true,
            ..NEW
        };
        let expected = Asked {
            remove: vec![label::UNREAD, label::INBOX],
            ..Asked::default()
        };
        assert_eq!(asked(NEW, wants), expected);
    }

    #[test]
    fn s17_deleted_in_the_crm_is_trash_in_gmail_and_back() {
        let trashed = Flags { trashed: true, ..NEW };
        assert_eq!(asked(NEW, trashed).trash, Some(Trash::Into));
        assert_eq!(asked(trashed, NEW).trash, Some(Trash::OutOf));
    }

    #[test]
    fn s17_a_star_given_to_unread_mail_does_not_undo_that_it_was_read_meanwhile() {
        let starred = Flags { starred: true, ..NEW };
        let read = Flags { unread: false, ..NEW };
        let both = Flags {
            starred: true,
            ..read
        };
        assert_eq!(rebased(NEW, starred, read), both);
    }

    #[test]
    fn s17_changes_that_met_are_told_from_those_that_did_not() {
        let starred = Flags { starred: true, ..NEW };
        let read = Flags { unread: false, ..NEW };
        assert!(met(starred, read, Some(read)));
        assert!(met(starred, starred, Some(read)));
        assert!(met(starred, starred, None));
        assert!(!met(starred, starred, Some(starred)));
    }

    #[test]
    fn s17_an_echo_asks_for_nothing() {
        for flags in (0..16).map(from_bits) {
            assert!(asked(flags, flags).is_nothing());
            assert_eq!(from_bits(bits(flags)), flags);
        }
    }
}
