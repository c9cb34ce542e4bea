use super::raw;
use crate::mail::{Envelope, Mailbox, message_ids};
use proptest::prelude::*;

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn s10_an_envelope_is_the_same_from_gmails_fields_and_from_raw_bytes() {
    let pairs = [
        ("Received", "from x by y; Mon, 1 Jan 2024 00:00:00 +0000"),
        (
            "Authentication-Results",
            "mx.google.com;\r\n       dkim=pass header.i=@example.com;\r\n       spf=pass",
        ),
        ("Authentication-Results", "other.example; dkim=fail"),
        ("From", "=?utf-8?Q?Ann_Ex=C3=A4mple?= <Ann@Example.com>"),
        ("To", "Bob <bob@example.net>,\r\n carol@example.net"),
        ("Cc", "Dan <dan@example.net>"),
        ("Subject", "=?utf-8?B?SGVsbG8=?= =?utf-8?B?IFfDtnJsZA==?="),
        ("Date", "Fri, 21 Nov 1997 09:55:06 -0600"),
        ("Message-ID", "<1234@local.machine.example>"),
        ("In-Reply-To", "<3456@example.net>"),
        ("References", "<1@example.net>\r\n <3456@example.net>"),
        ("List-Id", "The List <list.Example.com>"),
        ("Auto-Submitted", "auto-replied; owner-email=\"x\""),
        (
            "Content-Type",
            "multipart/report; report-type=delivery-status; boundary=b",
        ),
        ("X-Failed-Recipients", "gone@example.org"),
    ];
    let lines: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    lines.extend(["", "body"]);

    let envelope = Envelope::from_headers(&fields(&pairs));

    assert_eq!(envelope, Envelope::from_raw(&raw(&lines)));
    insta::assert_json_snapshot!(envelope);
}

#[test]
fn s20_message_ids_are_found_in_broken_headers() {
    assert_eq!(message_ids("<a@b>"), ["a@b"]);
    assert_eq!(message_ids("<a@b> (comment) <c@d>"), ["a@b", "c@d"]);
    assert_eq!(message_ids("a@b"), ["a@b"]);
    assert_eq!(message_ids("<a-very-long\r\n -id@b>"), ["a-very-long-id@b"]);
    assert_eq!(message_ids("<a@b"), ["a@b"]);
    assert_eq!(message_ids("Your message of Monday"), Vec::<String>::new());
    assert_eq!(message_ids("opaque-id-1"), ["opaque-id-1"]);
    assert_eq!(message_ids(""), Vec::<String>::new());
    assert_eq!(message_ids("<>"), Vec::<String>::new());
}

#[test]
fn s20_absent_headers_are_absent() {
    let envelope = Envelope::from_headers(&fields(&[("X-Nothing", "here")]));
    assert_eq!(envelope, Envelope::default());
}

#[test]
fn s10_the_sender_header_stands_in_for_a_missing_from() {
    let envelope = Envelope::from_headers(&fields(&[("Sender", "Ann <ann@example.com>")]));
    assert_eq!(envelope.sender, Some(Mailbox::named("Ann", "ann@example.com")));
    let envelope = Envelope::from_headers(&fields(&[
        ("Sender", "x@example.com"),
        ("From", "ann@example.com"),
    ]));
    assert_eq!(envelope.sender, Some(Mailbox::bare("ann@example.com")));
}

#[test]
fn s10_nul_bytes_do_not_reach_a_subject() {
    let envelope = Envelope::from_raw(b"Subject: a\0b =?utf-8?Q?c=00d?=\r\n\r\n");
    assert_eq!(envelope.subject, "ab cd");
}

#[test]
fn s10_a_long_multibyte_subject_is_cut_between_characters() {
    let envelope = Envelope::from_headers(&fields(&[("Subject", &"ö".repeat(3_000))]));
    assert_eq!(envelope.subject.chars().count(), 2_000);
}

#[test]
fn s10_a_subject_in_another_charset_is_decoded() {
    let envelope = Envelope::from_raw(b"Subject: =?iso-2022-jp?B?GyRCJDMkcyRLJEEkTxsoQg==?=\r\n\r\n");
    assert_eq!(envelope.subject, "こんにちは");
}

#[test]
fn s20_of_many_references_the_root_and_the_newest_are_kept() {
    let ids: Vec<String> = (0..500).map(|i| format!("<{i}@x>")).collect();
    let envelope = Envelope::from_headers(&fields(&[("References", &ids.join(" "))]));
    assert_eq!(envelope.references.len(), 200);
    assert_eq!(envelope.references.first().unwrap(), "0@x");
    assert_eq!(envelope.references.get(1).unwrap(), "301@x");
    assert_eq!(envelope.references.last().unwrap(), "499@x");
}

#[test]
fn s04_an_impossible_date_is_no_date() {
    for date in ["", "yesterday", "Fri, 41 Foo 1997 99:55:06 -0600"] {
        assert_eq!(
            Envelope::from_headers(&fields(&[("Date", date)])).date_ms,
            None,
            "{date}"
        );
    }
    let date = Envelope::from_headers(&fields(&[("Date", "Thu, 01 Jan 1970 01:00:01 +0100")])).date_ms;
    assert_eq!(date, Some(1_000));
}

#[test]
fn a_header_value_cannot_bring_another_header() {
    let envelope = Envelope::from_headers(&fields(&[
        ("Subject", "a\r\nBcc: evil@example.com"),
        ("X\r\nTo", "x@example.com"),
    ]));
    assert_eq!((envelope.bcc, envelope.to), (Vec::new(), Vec::new()));
}

proptest! {
    #[test]
    fn fields_and_raw_agree_whatever_they_hold(
        names in prop::collection::vec(prop::sample::select(Envelope::HEADER_NAMES), 1..8),
        values in prop::collection::vec("[ -~äö€]{0,60}", 8),
    ) {
        let pairs: Vec<(String, String)> =
            names.iter().zip(&values).map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let lines: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let raw = format!("{}\r\n", lines.concat());
        prop_assert_eq!(Envelope::from_headers(&pairs), Envelope::from_raw(raw.as_bytes()));
    }

    #[test]
    fn any_bytes_make_an_envelope(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let envelope = Envelope::from_raw(&bytes);
        prop_assert!(!envelope.subject.chars().any(char::is_control));
    }
}
