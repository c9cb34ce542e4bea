//! `message/delivery-status` (RFC 3464, RFC 6533): which recipients a message has not reached.
//!
//! Notices are known by this part alone. What they say to people is in any language.

use serde::{Deserialize, Serialize};

use super::{envelope::message_ids, text::clean_line};

/// Recipients kept of one notice.
const MAX_RECIPIENTS: usize = 100;
/// The longest text of a server that is kept, in characters.
const MAX_DIAGNOSTIC_CHARS: usize = 500;

/// A recipient that a message has not reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The address the sender wrote, or the one that it led to.
    pub recipient: String,
    /// Whether it is over; otherwise it is tried again.
    pub is_final: bool,
    /// Enhanced status code (RFC 3463); empty when there is none.
    pub status: String,
    /// What the recipient's server said, on one line; empty when that is not known.
    pub diagnostic: String,
}

/// The recipients that have not been reached, as a `message/delivery-status` says, at most
/// [`MAX_RECIPIENTS`]. Those that were are left out.
pub fn failures(status: &[u8]) -> Vec<Failure> {
    let text = String::from_utf8_lossy(status);
    let mut failures = Vec::new();
    let mut group = Group::default();
    let mut field = String::new();
    for line in text.lines().chain([""]) {
        if line.starts_with([' ', '\t']) && !field.is_empty() {
            field.push_str(line);
            continue;
        }
        group.take(&field);
        field.clear();
        if line.trim().is_empty() {
            failures.extend(std::mem::take(&mut group).failure());
        } else {
            field.push_str(line);
        }
    }
    failures.truncate(MAX_RECIPIENTS);
    failures
}

/// `Original-Message-ID`, without brackets: no field of RFC 3464, but some servers write it there as receipts have it
/// (RFC 8098, section 3.2.5).
pub fn original_message_id(status: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(status);
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let is_it = name.trim().eq_ignore_ascii_case("Original-Message-ID");
        is_it.then(|| value.to_owned())
    })?;
    message_ids(&value).into_iter().next()
}

/// The fields about one recipient.
#[derive(Default)]
struct Group {
    original: Option<String>,
    last: Option<String>,
    action: String,
    status: String,
    diagnostic: String,
}

impl Group {
    fn take(&mut self, field: &str) {
        let Some((name, value)) = field.split_once(':') else {
            return;
        };
        let name = name.trim();
        // `type; value`, where comments may follow a word.
        let typed = || value.split_once(';').map_or("", |(_, value)| value).trim();
        let word = || clean_line(value.split(['(', ';']).next().unwrap_or_default(), 40);
        if name.eq_ignore_ascii_case("Original-Recipient") {
            self.original = address(typed());
        } else if name.eq_ignore_ascii_case("Final-Recipient") {
            self.last = address(typed());
        } else if name.eq_ignore_ascii_case("Action") {
            self.action = word().to_ascii_lowercase();
        } else if name.eq_ignore_ascii_case("Status") {
            self.status = word();
        } else if name.eq_ignore_ascii_case("Diagnostic-Code") {
            self.diagnostic = clean_line(typed(), MAX_DIAGNOSTIC_CHARS);
        }
    }

    fn failure(self) -> Option<Failure> {
        let is_final = match self.action.as_str() {
            "failed" => true,
            "delayed" => false,
            _ => return None,
        };
        Some(Failure {
            recipient: self.original.or(self.last)?,
            is_final,
            status: self.status,
            diagnostic: self.diagnostic,
        })
    }
}

fn address(text: &str) -> Option<String> {
    let mut found = super::parse_mailboxes(text);
    (found.len() == 1).then(|| found.remove(0).address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s18_a_notice_is_read_by_its_structure() {
        let status = b"Reporting-MTA: dns; googlemail.com\r\nArrival-Date: x\r\n\r\nFinal-Recipient: rfc822; ann@a.example\r\n\
            Action: FAILED\r\nStatus: 5.1.1 (bad)\r\nDiagnostic-Code: smtp; 550-5.1.1 does\r\n not exist\r\n\r\n\
            Original-Recipient: rfc822;bob@b.example\r\nFinal-Recipient: rfc822; robert@c.example\r\nAction: delayed\r\n\
            Status: 4.4.1\r\n\r\nFinal-Recipient: rfc822; cy@c.example\r\nAction: delivered\r\n";
        let expected = [
            Failure {
                recipient: "ann@a.example".to_owned(),
                is_final: true,
                status: "5.1.1".to_owned(),
                diagnostic: "550-5.1.1 does not exist".to_owned(),
            },
            Failure {
                recipient: "bob@b.example".to_owned(),
                status: "4.4.1".to_owned(),
                ..Failure::default()
            },
        ];
        assert_eq!(failures(status), expected);
    }

    #[test]
    fn s18_the_message_that_a_notice_names_is_read() {
        let status = b"Reporting-MTA: dns; x\r\noriginal-message-id: <1@x.example>\r\n\r\nAction: failed\r\n";
        assert_eq!(original_message_id(status).as_deref(), Some("1@x.example"));
        assert_eq!(original_message_id(b"Original-Message-ID:\r\n"), None);
        assert_eq!(original_message_id(b"Action: failed"), None);
    }

    #[test]
    fn s18_what_names_no_address_or_no_action_says_nothing() {
        for status in [
            "",
            "Action: failed",
            "Final-Recipient: x400; /C=DE\n\nAction: failed",
            "\n\n: :\n",
        ] {
            assert_eq!(failures(status.as_bytes()), [], "{status:?}");
        }
    }
}
