use super::raw;
use crate::mail::{
    Attachment, Disposition, GmailBody, GmailPart, ParseError, Parsed, Source, from_full, parse,
    parse_in_place,
};
use proptest::prelude::*;

fn parsed(lines: &[&str]) -> Parsed {
    parse(&raw(lines)).unwrap()
}

fn listed(parsed: &Parsed) -> Vec<(&str, &str, &str, Disposition)> {
    parsed
        .attachments
        .iter()
        .map(|a| {
            (
                a.part_id.as_str(),
                a.file_name.as_str(),
                a.media_type.as_str(),
                a.disposition,
            )
        })
        .collect()
}

fn content(attachment: &Attachment) -> &[u8] {
    match &attachment.source {
        Source::Inline(bytes) => bytes,
        Source::InPlace(_) | Source::Remote { .. } => panic!("not here"),
    }
}

const NESTED: &[&str] = &[
    "From: ann@example.com",
    "Subject: Nested",
    "MIME-Version: 1.0",
    "Content-Type: multipart/mixed; boundary=mix",
    "",
    "preamble",
    "--mix",
    "Content-Type: multipart/related; boundary=\"rel\"",
    "",
    "--rel",
    "Content-Type: multipart/alternative; boundary=alt",
    "",
    "--alt",
    "Content-Type: text/plain; charset=utf-8",
    "Content-Transfer-Encoding: quoted-printable",
    "",
    "caf=C3=A9",
    "--alt",
    "Content-Type: text/html; charset=iso-8859-1",
    "Content-Transfer-Encoding: quoted-printable",
    "",
    "<p>caf=E9 <img src=3D\"cid:logo@x\"></p>",
    "--alt--",
    "--rel",
    "Content-Type: image/png",
    "Content-ID: <logo@x>",
    "Content-Transfer-Encoding: base64",
    "",
    "iVBORw==",
    "--rel--",
    "--mix",
    "Content-Type: text/plain; name=notes.txt",
    "Content-Disposition: attachment; filename=\"=?utf-8?Q?n=C3=B6tes.txt?=\"",
    "",
    "attached text",
    "--mix",
    "Content-Type: message/rfc822",
    "",
    "Subject: inner",
    "Content-Type: multipart/mixed; boundary=inner",
    "",
    "--inner",
    "",
    "inner text",
    "--inner--",
    "--mix--",
    "epilogue",
];

#[test]
fn s19_a_nested_message_gives_text_html_and_attachments_by_path() {
    let parsed = parsed(NESTED);
    assert_eq!(parsed.text.as_deref(), Some("café"));
    assert_eq!(
        parsed.html.as_deref(),
        Some("<p>café <img src=\"cid:logo@x\"></p>")
    );
    assert_eq!(
        listed(&parsed),
        [
            ("0.1", "image.png", "image/png", Disposition::Inline),
            ("1", "nötes.txt", "text/plain", Disposition::Attachment),
            ("2", "message.eml", "message/rfc822", Disposition::Attachment),
        ]
    );
    assert_eq!(parsed.attachments[0].content_id.as_deref(), Some("logo@x"));
    assert_eq!(content(&parsed.attachments[0]), b"\x89PNG");
    assert_eq!(content(&parsed.attachments[1]), b"attached text");
    assert!(content(&parsed.attachments[2]).starts_with(b"Subject: inner"));
    assert!(content(&parsed.attachments[2]).ends_with(b"--inner--"));
}

fn part(
    id: &str,
    mime: &str,
    headers: &[(&str, &str)],
    data: Option<&[u8]>,
    parts: Vec<GmailPart>,
) -> GmailPart {
    GmailPart {
        part_id: id.to_owned(),
        mime_type: mime.to_owned(),
        headers: headers
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        body: GmailBody {
            data: data.map(<[u8]>::to_vec),
            ..GmailBody::default()
        },
        parts,
        ..GmailPart::default()
    }
}

/// [`NESTED`] as Gmail's `format=full` gives it, the attachments by reference.
fn nested_payload() -> GmailPart {
    let remote = |mut part: GmailPart, name: &str, size: u64| {
        part.filename = name.to_owned();
        part.body.attachment_id = Some("remote-id".to_owned());
        part.body.size = size;
        part
    };
    let alternative = part(
        "0.0",
        "multipart/alternative",
        &[],
        None,
        vec![
            part(
                "0.0.0",
                "text/plain",
                &[("Content-Type", "text/plain; charset=utf-8")],
                Some("café".as_bytes()),
                vec![],
            ),
            part(
                "0.0.1",
                "text/html",
                &[("Content-Type", "text/html; charset=iso-8859-1")],
                Some(b"<p>caf\xe9 <img src=\"cid:logo@x\"></p>"),
                vec![],
            ),
        ],
    );
    let related = part(
        "0",
        "multipart/related",
        &[],
        None,
        vec![
            alternative,
            remote(
                part("0.1", "image/png", &[("Content-ID", "<logo@x>")], None, vec![]),
                "",
                4,
            ),
        ],
    );
    part(
        "",
        "multipart/mixed",
        &[
            ("From", "ann@example.com"),
            ("Subject", "Nested"),
            ("Content-Type", "multipart/mixed; boundary=mix"),
        ],
        None,
        vec![
            related,
            remote(
                part(
                    "1",
                    "text/plain",
                    &[("Content-Disposition", "attachment")],
                    None,
                    vec![],
                ),
                "nötes.txt",
                13,
            ),
            remote(
                part(
                    "2",
                    "message/rfc822",
                    &[],
                    None,
                    vec![part("2.0", "text/plain", &[], Some(b"inner text"), vec![])],
                ),
                "message.eml",
                94,
            ),
        ],
    )
}

#[test]
fn s19_gmails_payload_tree_gives_the_same_as_the_raw_message() {
    let full = from_full(nested_payload()).unwrap();
    let raw = parsed(NESTED);

    assert_eq!(
        (&full.text, &full.html, &full.envelope),
        (&raw.text, &raw.html, &raw.envelope)
    );
    assert_eq!(listed(&full), listed(&raw));
    assert!(full.attachments.iter().all(|a| a.source
        == Source::Remote {
            attachment_id: "remote-id".to_owned()
        }));
    assert_eq!(
        full.attachments.iter().map(|a| a.size).collect::<Vec<_>>(),
        [4, 13, 94]
    );
}

#[test]
fn s10_a_plain_message_is_text_alone() {
    let parsed = parsed(&["Subject: x", "", "line one", "line two"]);
    assert_eq!(parsed.text.as_deref(), Some("line one\nline two"));
    assert_eq!((parsed.html, parsed.attachments), (None, Vec::new()));
}

#[test]
fn s10_text_is_made_from_html_where_there_is_none() {
    let html = "<html><head><title>T</title><style>p{}</style></head><body><p>One &amp; two</p><div>Three<br>Four</div>\
                <ul><li>a<li>b</ul><blockquote>quoted</blockquote></body></html>";
    let parsed = parsed(&["Content-Type: text/html", "", html]);
    assert_eq!(parsed.html.as_deref(), Some(html));
    assert_eq!(
        parsed.text.as_deref(),
        Some("One & two\n\nThree\nFour\n\n- a\n- b\n\n> quoted")
    );
}

#[test]
fn s10_an_unknown_charset_does_not_stop_a_message() {
    for charset in ["utf-8*fr", "x-unknown", "\"\"", "us-ascii"] {
        let mut message = format!("Content-Type: text/plain; charset={charset}\r\n\r\n").into_bytes();
        message.extend("häuser".as_bytes());
        assert_eq!(
            parse(&message).unwrap().text.as_deref(),
            Some("häuser"),
            "{charset}"
        );
    }
    let message = b"Content-Type: text/plain; charset=x-unknown\r\n\r\nh\xe4user";
    assert_eq!(parse(message).unwrap().text.as_deref(), Some("häuser"));
    let message = b"Content-Type: text/plain; charset=shift_jis\r\n\r\n\x82\xb1\x82\xf1";
    assert_eq!(parse(message).unwrap().text.as_deref(), Some("こん"));
}

#[test]
fn s10_damaged_encodings_give_what_can_be_read() {
    let quoted = parsed(&["Content-Transfer-Encoding: quoted-printable", "", "a=zzb=3Dc ="]);
    assert_eq!(quoted.text.as_deref(), Some("a=zzb=c ="));
    let base64 = parsed(&["Content-Transfer-Encoding: base64", "", "aGVs*bG8="]);
    assert_eq!(base64.text.as_deref(), Some("hello"));
}

#[test]
fn s10_a_multipart_without_its_boundary_is_shown_as_text() {
    let parsed = parsed(&[
        "Content-Type: multipart/mixed; boundary=gone",
        "",
        "still readable",
    ]);
    assert_eq!(parsed.text.as_deref(), Some("still readable"));
}

#[test]
fn s10_a_missing_closing_boundary_loses_nothing() {
    let parsed = parsed(&[
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "",
        "first",
        "--b",
        "Content-Type: image/gif",
        "",
        "GIF",
    ]);
    assert_eq!(parsed.text.as_deref(), Some("first"));
    assert_eq!(content(&parsed.attachments[0]), b"GIF");
}

#[test]
fn s10_boundaries_that_begin_alike_are_told_apart() {
    let parsed = parsed(&[
        "Content-Type: multipart/mixed; boundary=b",
        "",
        "--b",
        "Content-Type: multipart/alternative; boundary=b-1",
        "",
        "--b-1",
        "",
        "plain",
        "--b-1",
        "Content-Type: text/html",
        "",
        "<b>rich</b>",
        "--b-1--",
        "--b--",
    ]);
    assert_eq!(
        (parsed.text.as_deref(), parsed.html.as_deref()),
        (Some("plain"), Some("<b>rich</b>"))
    );
}

#[test]
fn s19_calendar_parts_and_digests_are_attachments() {
    let invitation = parsed(&[
        "Content-Type: multipart/alternative; boundary=b",
        "",
        "--b",
        "",
        "come",
        "--b",
        "Content-Type: text/calendar; method=REQUEST",
        "",
        "BEGIN:VCALENDAR",
        "--b--",
    ]);
    assert_eq!(invitation.text.as_deref(), Some("come"));
    assert_eq!(
        listed(&invitation),
        [("1", "invitation.ics", "text/calendar", Disposition::Attachment)]
    );

    let digest = parsed(&[
        "Content-Type: multipart/digest; boundary=b",
        "",
        "--b",
        "",
        "Subject: one",
        "",
        "x",
        "--b",
        "",
        "Subject: two",
        "",
        "y",
        "--b--",
    ]);
    assert_eq!(
        listed(&digest),
        [
            ("0", "message.eml", "message/rfc822", Disposition::Attachment),
            ("1", "message.eml", "message/rfc822", Disposition::Attachment),
        ]
    );
}

#[test]
fn s19_file_names_are_safe() {
    let name = |value: &str| {
        let line = format!("Content-Disposition: attachment; filename=\"{value}\"");
        parsed(&["Content-Type: application/pdf", &line, "", "x"]).attachments[0]
            .file_name
            .clone()
    };
    assert_eq!(name("../../etc/passwd"), "passwd");
    assert_eq!(name("C:\\\\temp\\\\a.pdf"), "a.pdf");
    assert_eq!(name("..."), "document.pdf");
    assert_eq!(name("a<b>.pdf"), "a_b_.pdf");
    let long = name(&format!("{}.pdf", "x".repeat(400)));
    assert!(long.chars().count() == 200 && long.ends_with("x.pdf"), "{long}");
}

#[test]
fn s10_only_size_is_a_reason_to_refuse() {
    assert_eq!(parse(b""), Err(ParseError::NoHeaders));
    let many = "--b\r\n\r\nx\r\n".repeat(2_500);
    let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{many}--b--");
    assert_eq!(parse(message.as_bytes()), Err(ParseError::TooManyParts));
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn any_mime_like_text_is_parsed_without_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "Content-Type: multipart/mixed; boundary=b\r\n", "Content-Type: multipart/alternative; boundary=\"c\"\n", "Content-Type: message/rfc822\r\n",
        "Content-Transfer-Encoding: base64\r\n", "Content-Transfer-Encoding: quoted-printable\n", "Content-Type: text/html; charset=gbk\r\n",
        "Content-Disposition: attachment; filename*0*=utf-8''%E2%82; filename*1=x\r\n", "\r\n", "\n", "--b\r\n", "--b--\r\n", "--c\n", "--c--", "=E", "=\r\n",
        "<p>&#x110000;</p>", "aGVsbG8", "\u{0}\u{ff}", " folded", "To: a:b:;,<", "Subject: =?utf-8?Q?=", "Date: 99\r\n",
    ]), 0..40)) {
        let _ = parse(pieces.concat().as_bytes());
    }
}

#[test]
fn s19_attachments_in_place_are_what_they_are_when_decoded() {
    let base64 = "QUJD\r\nREVG\r\n".repeat(20_000);
    let quoted = "a=3Db=\r\nc\r\n".repeat(20_000);
    let raw = format!(
        "From: a@b.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nText\r\n\
         --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n{base64}\r\n\
         --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}\r\n\
         --b\r\nContent-Type: image/png\r\n\r\nplain\r\n--b--\r\n"
    );
    let placed = parse_in_place(raw.as_bytes()).unwrap();
    assert_eq!(placed.text.as_deref(), Some("Text"));
    let whole = parse(raw.as_bytes()).unwrap();
    for (placed, whole) in placed.attachments.iter().zip(&whole.attachments).skip(1) {
        let Source::InPlace(place) = &placed.source else {
            panic!("{placed:?}");
        };
        let parts: Vec<Vec<u8>> = place.read(raw.as_bytes()).collect();
        assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= 1 << 17));
        let bytes = parts.concat();
        assert_eq!(bytes.len() as u64, placed.size);
        assert_eq!(bytes, content(whole));
    }
    assert_eq!(placed.attachments[0].size, 20_000 * 6);
}

#[test]
fn s18_text_that_is_too_long_to_be_kept_beside_the_message_is_refused() {
    let raw = format!("From: a@b.example\r\n\r\n{}", "x".repeat(3 << 20));
    assert!(matches!(
        parse_in_place(raw.as_bytes()),
        Err(ParseError::TooLarge { .. })
    ));
}
