use super::{attachment, outgoing, written};
use crate::mail::{
    ComposeError, Disposition, Mailbox, Outgoing, OutgoingAttachment, Source, parse, references_for_reply,
    reply_subject, same_subject,
};
use proptest::prelude::*;

fn text(outgoing: &Outgoing, contents: &[Vec<u8>]) -> String {
    String::from_utf8(written(&outgoing.compose().unwrap(), contents)).unwrap()
}

#[test]
fn s20_a_plain_message() {
    insta::assert_snapshot!(text(&outgoing(), &[]));
}

#[test]
fn s20_a_reply_with_html_names_and_blind_copies() {
    let message = Outgoing {
        sender: Mailbox::named("Änne \"Ann\" Example", "ann@bücher.example"),
        to: vec![
            Mailbox::named("Example, Bob", "bob@example.net"),
            Mailbox::bare("carol@example.net"),
        ],
        cc: vec![Mailbox::named(
            "名前名前名前名前名前名前名前名前名前名前名前名前",
            "dan@example.org",
        )],
        bcc: vec![Mailbox::bare("eve@example.org")],
        subject: "Re: Angebot für die Ausstattung der Geschäftsräume in der Königstraße und weitere Fragen"
            .to_owned(),
        html: Some("<p>Grüße</p>".to_owned()),
        text: "Grüße\n.\nFrom here\n".to_owned(),
        in_reply_to: Some("<parent@example.net>".to_owned()),
        references: vec!["root@example.net".to_owned(), "parent@example.net".to_owned()],
        ..outgoing()
    };
    insta::assert_snapshot!(text(&message, &[]));
}

#[test]
fn s19_attachments_and_inline_images_have_their_places() {
    let message = Outgoing {
        html: Some("<p><img src=\"cid:logo@x\"></p>".to_owned()),
        attachments: vec![
            attachment("offer.pdf", 100),
            OutgoingAttachment {
                media_type: "image/png".to_owned(),
                content_id: Some("logo@x".to_owned()),
                disposition: Disposition::Inline,
                ..attachment("logo.png", 3)
            },
            attachment(
                "Prüfbericht über die Anlage im zweiten Obergeschoss, Teil 1.pdf",
                0,
            ),
        ],
        ..outgoing()
    };
    let contents = [vec![7; 100], vec![1, 2, 3], Vec::new()];
    insta::assert_snapshot!(text(&message, &contents));

    let parsed = parse(&written(&message.compose().unwrap(), &contents)).unwrap();
    let found: Vec<_> = parsed
        .attachments
        .iter()
        .map(|a| (a.file_name.as_str(), &a.source, a.disposition))
        .collect();
    assert_eq!(
        found,
        [
            (
                "logo.png",
                &Source::Inline(contents[1].clone()),
                Disposition::Inline
            ),
            (
                "offer.pdf",
                &Source::Inline(contents[0].clone()),
                Disposition::Attachment
            ),
            (
                "Prüfbericht über die Anlage im zweiten Obergeschoss, Teil 1.pdf",
                &Source::Inline(Vec::new()),
                Disposition::Attachment
            ),
        ]
    );
}

#[test]
fn s20_no_field_can_bring_another_header() {
    let evil = "x\r\nBcc: evil@example.com\r\n\r\nbody\0";
    let message = Outgoing {
        sender: Mailbox::named(evil, "ann@example.com"),
        to: vec![Mailbox::named(evil, "bob@example.net")],
        subject: evil.to_owned(),
        boundary_seed: evil.to_owned(),
        attachments: vec![OutgoingAttachment {
            media_type: evil.to_owned(),
            ..attachment(evil, 0)
        }],
        ..outgoing()
    };
    let parsed = parse(text(&message, &[Vec::new()]).as_bytes()).unwrap();
    assert_eq!(parsed.envelope.bcc, []);
    assert_eq!(parsed.envelope.subject, "x Bcc: evil@example.com body");
    assert_eq!(
        parsed.text.as_deref().map(str::trim),
        Some("Hello Bob,\nhere it is.")
    );
}

#[test]
fn s20_addresses_and_ids_that_are_none_are_refused() {
    for address in [
        "bob",
        "bob@x\r\nBcc: y@z",
        "bob <bob@example.net>",
        "bob@example.net, eve@example.org",
        "bób@example.net",
        "a\"b@example.net",
        "bob@exa\"mple.net",
        "=?utf-8?b?AAo=?=bob@example.net",
    ] {
        let message = Outgoing {
            to: vec![Mailbox::bare(address)],
            ..outgoing()
        };
        assert!(
            matches!(message.compose(), Err(ComposeError::Address { field: "To", .. })),
            "{address}"
        );
    }
    for id in ["", "a b@c", "a>\r\nBcc: <x@y", "ä@b"] {
        let message = Outgoing {
            in_reply_to: Some(id.to_owned()),
            ..outgoing()
        };
        assert_eq!(
            message.compose(),
            Err(ComposeError::MessageId { field: "In-Reply-To" }),
            "{id}"
        );
    }
    assert_eq!(
        Outgoing {
            to: Vec::new(),
            ..outgoing()
        }
        .compose(),
        Err(ComposeError::NoRecipient)
    );
    let many = vec![Mailbox::bare("a@example.com"); 501];
    assert_eq!(
        Outgoing {
            to: many,
            ..outgoing()
        }
        .compose(),
        Err(ComposeError::TooManyRecipients { count: 501 })
    );
}

#[test]
fn s20_a_boundary_never_occurs_in_the_text() {
    let message = Outgoing {
        text: "--=_a_seed1\n--=_a_seed1--\n".to_owned(),
        html: Some("<p>--=_a_seed1x</p>".to_owned()),
        ..outgoing()
    };
    let parsed = parse(text(&message, &[]).as_bytes()).unwrap();
    assert_eq!(
        parsed.text.as_deref().map(str::trim_end),
        Some("--=_a_seed1\n--=_a_seed1--")
    );
}

#[test]
fn s20_a_reply_has_one_prefix() {
    for (subject, reply) in [
        ("Offer", "Re: Offer"),
        ("Re: Offer", "Re: Offer"),
        ("RE: Offer", "RE: Offer"),
        ("AW: Offer", "AW: Offer"),
        ("Re[2]: Offer", "Re[2]: Offer"),
        ("回复：Offer", "回复：Offer"),
        ("Fwd: Offer", "Re: Fwd: Offer"),
        ("Note: Offer", "Re: Note: Offer"),
        ("", "Re:"),
    ] {
        assert_eq!(reply_subject(subject), reply);
    }
}

#[test]
fn s20_subjects_are_compared_as_threading_does() {
    assert!(same_subject("Re: AW: Offer", "fwd: offer"));
    assert!(same_subject("RE[3]: The  Offer ", "The Offer"));
    assert!(!same_subject("Offer", "Offer 2"));
    assert!(!same_subject("Re: Note: Offer", "Offer"));
}

#[test]
fn s20_references_grow_by_the_parent_and_stay_bounded() {
    let parent = ["a@x".to_owned(), "b@x".to_owned()];
    assert_eq!(
        references_for_reply(&parent, Some("<c@x>")),
        ["a@x", "b@x", "c@x"]
    );
    assert_eq!(references_for_reply(&parent, Some("b@x")), ["a@x", "b@x"]);
    assert_eq!(references_for_reply(&[], None), Vec::<String>::new());
    let many: Vec<String> = (0..300).map(|i| format!("{i}@x")).collect();
    let kept = references_for_reply(&many, Some("last@x"));
    assert_eq!(
        (kept.len(), kept[0].as_str(), kept[99].as_str()),
        (100, "0@x", "last@x")
    );
}

#[test]
fn s20_a_control_character_hides_no_white_space_from_the_end_of_a_subject() {
    assert_eq!(reply_subject("\u{1} Re: Offer \u{1}"), "Re: Offer");
    assert_eq!(reply_subject("\u{feff}\t Offer"), "Re: Offer");
}

proptest! {
    #[test]
    fn s21_the_size_is_exact_and_the_content_survives(
        subject in "\\PC{0,120}",
        name in "\\PC{0,60}",
        body in "[ -~\\näöü€]{0,300}",
        html in prop::option::of("[ -~\\näöü€]{0,300}"),
        files in prop::collection::vec(("[a-zé €\"\\\\]{1,80}", prop::collection::vec(any::<u8>(), 0..500), any::<bool>()), 0..4),
    ) {
        let message = Outgoing {
            sender: Mailbox::named(name.clone(), "ann@example.com"),
            subject: subject.clone(),
            text: body.clone(),
            html,
            attachments: files.iter().enumerate().map(|(i, (file_name, content, inline))| OutgoingAttachment {
                content_id: inline.then(|| format!("{i}@x")),
                disposition: if *inline { Disposition::Inline } else { Disposition::Attachment },
                ..attachment(file_name, content.len())
            }).collect(),
            ..outgoing()
        };
        let contents: Vec<Vec<u8>> = files.iter().map(|(_, content, _)| content.clone()).collect();
        let composed = message.compose().unwrap();
        let raw = written(&composed, &contents);
        prop_assert_eq!(raw.len() as u64, composed.size());
        for line in raw.split(|b| *b == b'\n') {
            prop_assert!(line.len() <= 999 && (line.is_empty() || line.ends_with(b"\r")), "{:?}", String::from_utf8_lossy(line));
        }

        let parsed = parse(&raw).unwrap();
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        prop_assert_eq!(squeezed(&parsed.envelope.subject), squeezed(&crate::mail::text::clean_line(&subject, 900)));
        let text = parsed.text.clone().unwrap_or_default();
        prop_assert_eq!(text.trim_end_matches('\n'), body.trim_end_matches('\n'));
        let mut sent = contents;
        let mut found: Vec<Vec<u8>> = parsed.attachments.into_iter().map(|a| match a.source {
            Source::Inline(bytes) => bytes,
            Source::InPlace(_) | Source::Remote { .. } => Vec::new(),
        }).collect();
        sent.sort();
        found.sort();
        prop_assert_eq!(found, sent);
    }
}

#[test]
fn s20_a_boundary_stays_short_whatever_the_text_holds() {
    let message = Outgoing {
        text: format!("_seed1{}", "x".repeat(3_000)),
        html: Some("_seed10 _seed11".to_owned()),
        ..outgoing()
    };
    let composed = text(&message, &[]);
    assert!(composed.contains("boundary=\"=_a_seed12\""), "{composed}");
}

#[test]
fn s20_a_reply_to_a_reply_has_its_subject() {
    let long = "x".repeat(2_000);
    let reply = reply_subject(&long);
    assert_eq!(reply.chars().count(), 900);
    assert_eq!(reply_subject(&reply), reply);
}
