//! S12: forwarded mail is treated as sent. Only its name in an explanation differs.

use crate::mail::Envelope;

/// The prefix by which a sent message forwards another: Gmail and most clients write one before the subject, in the
/// language of the user.
pub fn prefix(envelope: &Envelope) -> Option<&'static str> {
    let subject = envelope.subject.trim_start().to_lowercase();
    [
        "fwd:", "fw:", "wg:", "tr:", "rv:", "i:", "enc:", "doorst:", "vs:", "vb:", "转发:", "転送:",
    ]
    .into_iter()
    .find(|prefix| subject.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use crate::rules::{Rule, testing::*};

    #[test]
    fn s12_forwarded_mail_is_treated_as_sent() {
        let ann = contact("ann", "ann@client.example");
        let mut mail = envelope(OWN, "ann@client.example", "");
        mail.subject = "Fwd: Offer".to_owned();
        assert_eq!(
            delivered_to(&decide_with(&summary(&["SENT"]), &mail, &[ann])),
            Some(("ann", Rule::S12))
        );
    }
}
