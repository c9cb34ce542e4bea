//! T08: what Gmail found out about the sender, from its own `Authentication-Results` (RFC 8601) and nobody else's.
//!
//! The field stands in the message, and so may any number of forged ones. A receiver puts its own on top, so only the
//! topmost one is looked at, and only if the name it begins with is Gmail's, to the letter. Comments and quoted strings
//! in it repeat what the sender chose: nothing in them counts, and a result that is there twice is none.

use crate::{contract::Authentication, mail::Envelope};

/// The name Gmail signs its results with.
const GMAIL: &str = "mx.google.com";

/// Gmail's verdict; `None` where the topmost field is not Gmail's.
pub fn authentication(envelope: &Envelope) -> Option<Authentication> {
    let field = without_comments(envelope.authentication_results.as_deref()?);
    let mut parts = field.split(';');
    // The name may be followed by a version, which is 1 (section 2.2).
    let mut server = parts.next()?.split_ascii_whitespace();
    if !server.next()?.eq_ignore_ascii_case(GMAIL) || server.next().is_some_and(|version| version != "1") {
        return None;
    }
    let results: Vec<(String, String)> = parts.filter_map(result).collect();
    let of = |method: &'static str| {
        let found = move |(name, word): &&(String, String)| name == method && !word.is_empty();
        results.iter().filter(found).map(|(_, word)| word.clone())
    };
    // Gmail gives SPF and DMARC once. Of several signatures the first is shown.
    let once = |method| {
        let mut found = of(method);
        found.next().filter(|_| found.next().is_none())
    };
    Some(Authentication {
        spf: once("spf"),
        dkim: of("dkim").next(),
        dmarc: once("dmarc"),
    })
}

/// `dkim=pass` of `dkim=pass header.i=@example.com`; a method may have a version (`dkim/1`).
fn result(part: &str) -> Option<(String, String)> {
    let (method, rest) = part.split_once('=')?;
    let method = method.split('/').next()?.trim().to_ascii_lowercase();
    let word = rest.trim_start().chars().take_while(char::is_ascii_alphabetic);
    Some((method, word.collect::<String>().to_ascii_lowercase()))
}

/// The field with its comments, which may be nested, and the content of its quoted strings left out (RFC 5322, section
/// 3.2). What is not closed goes on to the end.
fn without_comments(field: &str) -> String {
    let mut kept = String::with_capacity(field.len());
    let (mut depth, mut quoted) = (0_usize, false);
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if depth > 0 || quoted => {
                characters.next();
            }
            '"' if depth == 0 => {
                quoted = !quoted;
                kept.push('"');
            }
            _ if quoted => {}
            '(' => {
                depth += 1;
                kept.push(' ');
            }
            ')' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            _ => kept.push(c),
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(field: &str) -> Option<[Option<String>; 3]> {
        let envelope = Envelope {
            authentication_results: Some(field.to_owned()),
            ..Envelope::default()
        };
        authentication(&envelope).map(|found| [found.spf, found.dkim, found.dmarc])
    }

    fn words(words: [&str; 3]) -> [Option<String>; 3] {
        words.map(|word| (!word.is_empty()).then(|| word.to_owned()))
    }

    #[test]
    fn t08_gmails_results_are_shown() {
        let field = "mx.google.com; dkim=pass header.i=@example.com header.s=s1 header.b=AbC; arc=pass (i=1 spf=pass dmarc=fail); \
                     spf=softfail (google.com: domain of transitioning ann@example.com does not designate 192.0.2.1 as permitted \
                     sender) smtp.mailfrom=ann@example.com; dmarc=none (p=NONE sp=NONE dis=NONE) header.from=example.com";
        assert_eq!(of(field), Some(words(["softfail", "pass", "none"])));
        assert_eq!(
            of("MX.google.com 1 ; DKIM/1 = Pass ; x"),
            Some(words(["", "pass", ""]))
        );
        assert_eq!(of("mx.google.com; none"), Some(words(["", "", ""])));
        assert_eq!(
            of("mx.google.com; dkim=fail; dkim=pass"),
            Some(words(["", "fail", ""]))
        );
    }

    #[test]
    fn t08_another_servers_results_are_nobodys() {
        for field in [
            "",
            ";",
            "evil.example; dkim=pass",
            "mx.google.com.evil.example; dkim=pass",
            "mx.google.com-evil; dkim=pass",
            "mx.google.com evil; dkim=pass",
            "(mx.google.com) evil.example; dkim=pass",
            "\"mx.google.com\"; dkim=pass",
            "dkim=pass; mx.google.com",
        ] {
            assert_eq!(of(field), None, "{field}");
        }
    }

    #[test]
    fn t08_what_the_sender_chose_is_no_result() {
        for (field, found) in [
            (
                "mx.google.com; spf=fail (domain of a; dmarc=pass b) smtp.mailfrom=x",
                ["fail", "", ""],
            ),
            (
                "mx.google.com; spf=fail (a (b; dmarc=pass) \\) ; dmarc=pass) ; dmarc=fail",
                ["fail", "", "fail"],
            ),
            (
                "mx.google.com; spf=fail smtp.mailfrom=\"a; dmarc=pass \\\"; spf=pass\"@x; dmarc=fail",
                ["fail", "", "fail"],
            ),
            // A comment that the sender managed to close: what is there twice does not count.
            (
                "mx.google.com; spf=fail (of a) ; dmarc=pass (b) smtp.mailfrom=x; dmarc=fail",
                ["fail", "", ""],
            ),
            (
                "mx.google.com; spf=fail (never closed; dmarc=pass",
                ["fail", "", ""],
            ),
            (
                "mx.google.com; spf=fail smtp.mailfrom=\"never closed; dmarc=pass",
                ["fail", "", ""],
            ),
        ] {
            assert_eq!(of(field), Some(words(found)), "{field}");
        }
    }

    #[test]
    fn t08_a_field_below_the_topmost_does_not_count() {
        let message = |fields: &[&str]| {
            let lines = fields
                .iter()
                .map(|field| format!("Authentication-Results: {field}\r\n"));
            let message = lines.collect::<Vec<_>>().concat() + "From: a@example.com\r\n\r\nbody";
            authentication(&Envelope::from_raw(message.as_bytes()))
        };
        let forged = "mx.google.com; dmarc=pass; spf=pass; dkim=pass";
        let found = message(&["mx.google.com; dmarc=fail", forged]).unwrap();
        assert_eq!((found.dmarc.as_deref(), found.spf), (Some("fail"), None));
        assert_eq!(message(&["other.example; dmarc=fail", forged]), None);
        assert_eq!(message(&["", forged]), None);
        assert_eq!(message(&[]), None);
    }
}
