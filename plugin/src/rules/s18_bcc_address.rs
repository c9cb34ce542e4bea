//! S18: what the user sends with the connection's BCC address in Bcc is logged to its primary recipient,
//! exactly once. It comes by the mailbox, at the address, or both: [`fingerprint`] and [`opening`] say
//! whether two copies are one mail. A Message-ID alone does not: some programs give many mails the same, and
//! some give none.
//!
//! Who knows the address may write to it, so what counts is `From`: the connected address or an alias that
//! Gmail accepted. That keeps out who answers to all where the address was put into Cc; it proves nothing
//! about somebody who knows the address and lies (docs/adr/0025).

use super::{Contacts, Decision, Evidence, NAMED, Own, Rule, address_key, input};
use crate::mail::{Envelope, Parsed};

/// How the local part of every BCC address begins.
const PREFIX: &str = "log-";
/// Characters of base32 after it (RFC 4648): 130 bits.
const SECRET: usize = 26;
/// Lines that [`opening`] looks at.
const LINES: usize = 32;

/// Whether mail to this address is logged rather than read: the connection's own, an earlier one, or that of
/// another connection of this platform. Nobody is shown it, and it is nobody's contact.
pub fn is_logging(address: &str, own: Option<&str>) -> bool {
    let Some((_, own_domain)) = own.and_then(|own| own.rsplit_once('@')) else {
        return false;
    };
    address.rsplit_once('@').is_some_and(|(local, domain)| {
        domain.trim_end_matches('.').eq_ignore_ascii_case(own_domain) && is_secret(local)
    }) || own.is_some_and(|own| own.eq_ignore_ascii_case(address))
}

fn is_secret(local: &str) -> bool {
    let (Some(prefix), Some(secret)) = (local.get(..PREFIX.len()), local.get(PREFIX.len()..)) else {
        return false;
    };
    let is_base32 = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'2'..=b'7');
    prefix.eq_ignore_ascii_case(PREFIX) && secret.len() == SECRET && secret.bytes().all(is_base32)
}

/// Takes such addresses out of the lists of recipients.
pub fn hide(envelope: &mut Envelope, own: Option<&str>) {
    if own.is_some() {
        for list in [&mut envelope.to, &mut envelope.cc, &mut envelope.bcc] {
            let before = list.len();
            list.retain(|mailbox| !is_logging(&mailbox.address, own));
            envelope.is_logged |= list.len() < before;
        }
    }
}

/// Whether the user wrote it, as far as `From` says. Of several authors one may be anybody.
pub fn is_by_user(envelope: &Envelope, own: &Own) -> bool {
    matches!(&envelope.from[..], [author] if own.has(&author.address))
}

/// Decides on mail that came to the BCC address: as on mail that the user sent, if the user wrote it. `contacts` holds
/// at least the contacts of [`addresses_that_matter`](super::addresses_that_matter).
pub fn decide(evidence: &Evidence<'_>, contacts: &Contacts) -> Decision {
    if !is_by_user(evidence.envelope, evidence.own) {
        let authors = evidence.envelope.from.iter().take(NAMED);
        let authors = authors.map(|author| input("author", &author.address));
        return Decision::Exclude(Rule::S18, authors.collect());
    }
    match super::decide(evidence, contacts) {
        Decision::Deliver {
            contact,
            address,
            direction,
            inputs,
            ..
        } => Decision::Deliver {
            contact,
            address,
            direction,
            rule: Rule::S18,
            inputs,
        },
        Decision::Exclude(Rule::S11 | Rule::S12, inputs) => Decision::Exclude(Rule::S18, inputs),
        excluded @ Decision::Exclude(..) => excluded,
    }
}

/// What all copies of one mail have in common and other mail has not, in hexadecimal: Message-ID, author,
/// date, subject and recipients. Bcc differs from copy to copy, and a footer may be put below the text of
/// what leaves the house; so of the text only [`opening`] counts. Where there is no Message-ID, all does.
pub fn fingerprint(mail: &Parsed) -> String {
    let envelope = &mail.envelope;
    let mut hash = Fnv::new();
    hash.field(envelope.message_id.as_deref().unwrap_or_default());
    hash.field(&envelope.date_ms.unwrap_or_default().to_string());
    for word in envelope.subject.split_whitespace() {
        hash.field(word);
    }
    for list in [&envelope.from, &envelope.to, &envelope.cc] {
        hash.field("");
        for mailbox in list {
            hash.field(&address_key(&mailbox.address).unwrap_or_default());
        }
    }
    if envelope.message_id.is_none() {
        for line in lines(mail) {
            hash.field(line);
        }
        for attachment in &mail.attachments {
            hash.field(&attachment.file_name);
            hash.field(&attachment.size.to_string());
        }
    }
    hash.hex()
}

/// How the text begins, a number for each line that says something.
pub fn opening(mail: &Parsed) -> Vec<u32> {
    let numbers = lines(mail).take(LINES).map(|line| {
        let mut hash = Fnv::new();
        for word in line.split_whitespace() {
            hash.field(word);
        }
        let folded = hash.0 ^ hash.0 >> 32;
        u32::try_from(folded & u64::from(u32::MAX)).unwrap_or_default()
    });
    numbers.collect()
}

/// Whether two texts may be one: the shorter is how the longer begins.
pub fn is_same_opening(one: &[u32], other: &[u32]) -> bool {
    one.iter().zip(other).all(|(one, other)| one == other)
}

/// A name for mail with this fingerprint that begins so.
pub fn name(fingerprint: &str, opening: &[u32]) -> String {
    let mut hash = Fnv::new();
    for line in opening {
        hash.field(&line.to_string());
    }
    format!("{fingerprint}{}", hash.hex())
}

/// The fingerprint in a [`name`].
pub fn fingerprint_in(name: &str) -> &str {
    name.get(..16).unwrap_or(name)
}

fn lines(mail: &Parsed) -> impl Iterator<Item = &str> {
    let text = mail.text.as_deref().unwrap_or_default();
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

/// FNV-1a, 64 bits (draft-eastlake-fnv): the same for ever, as stored fingerprints have to be. Whoever makes
/// two mails collide on purpose has to be the user.
struct Fnv(u64);

impl Fnv {
    fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    fn field(&mut self, text: &str) {
        // No byte of UTF-8 is 0xff: where a field ends cannot be forged.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn hex(&self) -> String {
        format!("{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        gmail::Summary,
        mail::parse,
        rules::{
            Privacy,
            testing::{OWN, SINCE, contact, delivered_to, envelope, summary},
        },
    };

    const BCC: &str = "log-abcdefghijklmnopqrstuvwx23@log.crm.example";

    fn mail(head: &str, text: &str) -> Parsed {
        parse(format!("{head}\r\n\r\n{text}").as_bytes()).unwrap()
    }

    fn decide_with(envelope: &Envelope, received_at: u64) -> Decision {
        let mut contacts = Contacts::default();
        contacts.add([contact("ann", "ann@a.example"), contact("log", BCC)]);
        let mut envelope = envelope.clone();
        hide(&mut envelope, Some(BCC));
        let summary = Summary {
            internal_date: received_at,
            ..summary(&["SENT"])
        };
        let evidence = Evidence {
            summary: &summary,
            envelope: &envelope,
            own: &Own::of([OWN, "sales@example.com"].into_iter()),
            privacy: &Privacy::default(),
            since: SINCE,
        };
        decide(&evidence, &contacts)
    }

    fn rule_against(decision: &Decision) -> Option<Rule> {
        match decision {
            Decision::Exclude(rule, _) => Some(*rule),
            Decision::Deliver { .. } => None,
        }
    }

    #[test]
    fn s18_mail_of_the_user_belongs_to_its_primary_recipient_and_never_to_the_bcc_address() {
        let to = format!("{BCC}, x@y.example, ann@a.example");
        let decision = decide_with(&envelope(OWN, &to, ""), SINCE);
        assert_eq!(delivered_to(&decision), Some(("ann", Rule::S18)));
        let alias = decide_with(&envelope("Sales@Example.com", "ann@a.example", ""), SINCE);
        assert_eq!(delivered_to(&alias), Some(("ann", Rule::S18)));
    }

    #[test]
    fn s18_mail_of_others_is_not_logged_and_neither_is_past_mail() {
        for from in ["ann@a.example", "", &format!("{OWN}, evil@x.example")] {
            let mail = envelope(from, "ann@a.example", "");
            assert_eq!(
                rule_against(&decide_with(&mail, SINCE)),
                Some(Rule::S18),
                "{from}"
            );
        }
        let past = decide_with(&envelope(OWN, "ann@a.example", ""), SINCE - 1);
        assert_eq!(rule_against(&past), Some(Rule::S04));
        let nobody = decide_with(&envelope(OWN, "x@y.example", ""), SINCE);
        assert_eq!(rule_against(&nobody), Some(Rule::S18));
    }

    #[test]
    fn s18_every_bcc_address_of_the_platform_is_known_by_its_form() {
        let other = "LOG-77777777777777777777777777@LOG.crm.example";
        for address in [BCC, other] {
            assert!(is_logging(address, Some(BCC)), "{address}");
        }
        let people = [
            "log-in@log.crm.example",
            "log-abcdefghijklmnopqrstuvwx23@x.example",
            "@",
            "",
        ];
        for address in people {
            assert!(!is_logging(address, Some(BCC)), "{address}");
        }
        assert!(!is_logging(BCC, None));
    }

    #[test]
    fn s18_copies_of_one_mail_are_one_whatever_was_added_on_the_way() {
        let head = "From: me@example.com\r\nTo: ann@a.example\r\nDate: Mon, 21 Sep 2026 10:00:00 +0000\r\nMessage-ID: <1@x>\r\n\
                    Subject: Offer";
        let sent = mail(&format!("{head}\r\nBcc: {BCC}"), "Dear Ann,\r\n\r\nhere it is.");
        let came = mail(
            &format!("Received: by x\r\nDKIM-Signature: v=1\r\n{head}"),
            "Dear Ann,\r\nhere it is.\r\n\r\nThis message is confidential.",
        );
        assert_eq!(fingerprint(&sent), fingerprint(&came));
        assert!(is_same_opening(&opening(&sent), &opening(&came)));
        let other = mail(head, "Dear Ann,\r\nhere it is not.");
        assert!(!is_same_opening(&opening(&sent), &opening(&other)));
        for (part, another) in [
            ("Offer", "Other"),
            ("<1@x>", "<2@x>"),
            ("ann@", "bob@"),
            ("10:00:00", "10:00:01"),
        ] {
            let other = mail(&head.replace(part, another), "Dear Ann,");
            assert_ne!(fingerprint(&sent), fingerprint(&other), "{another}");
        }
    }

    #[test]
    fn s18_mails_without_a_message_id_are_told_apart_by_all_they_say() {
        let head = "From: me@example.com\r\nTo: ann@a.example";
        let one = mail(head, "One\r\nTwo");
        assert_eq!(fingerprint(&one), fingerprint(&mail(head, "One\r\n\r\nTwo\r\n")));
        assert_ne!(fingerprint(&one), fingerprint(&mail(head, "One\r\nTwo\r\nThree")));
    }

    #[test]
    fn s18_a_name_gives_the_fingerprint_back() {
        let mail = mail("From: a@b.example", "x");
        let print = fingerprint(&mail);
        let name = name(&print, &opening(&mail));
        assert_eq!((name.len(), fingerprint_in(&name)), (32, print.as_str()));
    }
}
