//! S14: people in CC and BCC are shown on the message; no contact is created for them. A BCC list is
//! only ever shown for mail the user sent: a received copy may carry `Bcc` too.

use crate::{
    contract::Direction,
    mail::{Envelope, Mailbox},
};

/// The BCC list to show.
pub fn visible_bcc(envelope: &Envelope, direction: Direction) -> &[Mailbox] {
    match direction {
        Direction::Outbound => &envelope.bcc,
        Direction::Inbound => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mail::parse_mailboxes;

    #[test]
    fn s14_a_bcc_list_is_shown_only_for_mail_the_user_sent() {
        let envelope = Envelope {
            bcc: parse_mailboxes("boss@example.com"),
            ..Envelope::default()
        };
        assert_eq!(visible_bcc(&envelope, Direction::Outbound).len(), 1);
        assert!(visible_bcc(&envelope, Direction::Inbound).is_empty());
    }
}
