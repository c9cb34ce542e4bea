use super::{mime, text::StandIns};

const MAIL: &str = "Received: from mx.secret.example by gw; Mon, 1 Jan 2026 10:00:00 +0000\r\n\
From: =?utf-8?B?w4RubiBTZWNyZXQ=?= <ann.secret@client.example>\r\n\
To: \"Mia, Secret\" <mia@acme.example>,\r\n Bob Secret <bob+tag@other.example>\r\n\
Subject: =?utf-8?Q?A_secret_gr=C3=BC=C3=9Fe?= of Secret Corp\r\n\
Message-ID: <secretid@client.example>\r\n\
In-Reply-To: Message from Ann Hidden <ann.secret@client.example> of \"Monday\" <id1@client.example>\r\n\
MIME-Version: 1.0\r\n\
Content-Type: multipart/mixed; boundary=\"b1\"\r\n\r\n\
secret preamble\r\n\
--b1\r\n\
Content-Type: text/plain; charset=utf-8\r\n\
Content-Transfer-Encoding: quoted-printable\r\n\r\n\
A secret gr=C3=BC=C3=9Fe that goes on for a while =\r\nand on, for ann.secret@client.example.\r\n\
--b1\r\n\
Content-Type: text/html\r\n\r\n\
<p class=\"gmail_quote\" title='secret'>secret &amp; <a href=\"https://secret.example/secret?a=1\">x</a>\
<img src=\"cid:pic1\"></p>\r\n\
--b1\r\n\
Content-Type: application/pdf; name=\"secret plan.pdf\"\r\n\
Content-Disposition: attachment; filename*=UTF-8''secret%20gr%C3%BC.pdf\r\n\
Content-Transfer-Encoding: base64\r\n\r\n\
c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0\r\nc2VjcmV0AA==\r\n\
--b1--\r\n\
secret epilogue\r\n";

fn redacted(mail: &str) -> String {
    String::from_utf8(mime::mail(mail.as_bytes(), &StandIns::new())).unwrap()
}

#[test]
fn t05_a_redacted_mail_keeps_its_structure_line_by_line() {
    let changed = redacted(MAIL);
    let lengths = |text: &str| text.split('\n').map(str::len).collect::<Vec<_>>();
    assert_eq!(lengths(&changed), lengths(MAIL));
    for kept in [
        "--b1--",
        "boundary=\"b1\"",
        "charset=utf-8",
        "@client.example",
        "class=\"gmail_quote\"",
        "cid:pic1",
        "&amp;",
        ".pdf\"",
        "=?utf-8?B?",
        "=?utf-8?Q?",
    ] {
        assert!(changed.contains(kept), "{kept} is gone: {changed}");
    }
}

#[test]
fn t05_a_redacted_delivery_report_still_reports() {
    let report = "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n\
--b\r\nContent-Type: text/plain\r\n\r\nSecret words\r\n\
--b\r\nContent-Type: message/delivery-status\r\n\r\n\
Reporting-MTA: dns; mx.secret.example\r\n\r\n\
Final-Recipient: rfc822; ann.secret@client.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\
Diagnostic-Code: smtp; 550 the secret user\r\n is unknown\r\n\
--b\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <secretid@acme.example>\r\nSubject: Secret\r\n--b--\r\n";
    let changed = redacted(report);
    assert!(!changed.to_lowercase().contains("secret"), "{changed}");
    for kept in [
        "\r\nReporting-MTA: dns;",
        "\r\nFinal-Recipient: rfc822; ",
        "@client.example\r\nAction: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp;",
        "\r\nMessage-ID: <",
        "\r\nSubject: ",
    ] {
        assert!(changed.contains(kept), "{kept} is gone: {changed}");
    }
    assert_eq!(changed.len(), report.len());
}

#[test]
fn t05_a_redacted_mail_says_nothing_of_what_was_written() {
    let changed = redacted(MAIL).to_lowercase();
    let received = changed.split("\r\n").next().unwrap();
    assert!(!received.contains("secret"), "{received}");
    for gone in [
        "ann.secret",
        "bob+tag",
        "c2vjcmv0",
        "secretid",
        "hidden",
        "secret plan",
        "secret%20",
        "w4rubibtzwnyzxq",
        "gr=c3=bc",
        "gr%c3%bc",
        " secret ",
        ">secret",
        "secret?",
    ] {
        assert!(!changed.contains(gone), "{gone} is there: {changed}");
    }
}

#[test]
fn t05_one_address_has_one_stand_in_wherever_it_stands() {
    let stand_ins = StandIns::new();
    let one = stand_ins.in_addresses("ann.secret@client.example");
    assert_eq!(
        stand_ins.in_addresses("Ann.Secret@Client.example").to_lowercase(),
        one
    );
    assert!(
        stand_ins
            .in_prose("see ann.secret@client.example!")
            .contains(&one)
    );
    assert_ne!(stand_ins.in_addresses("ann.secret@other.example"), one);
    let tagged = stand_ins.in_addresses("ann.secret+list@client.example");
    assert!(
        tagged.starts_with(one.split('@').next().unwrap()),
        "{tagged} {one}"
    );
    assert_ne!(StandIns::new().in_addresses("ann.secret@client.example"), one);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_mail_of_any_bytes_keeps_its_length(raw in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(mime::mail(&raw, &StandIns::new()).len(), raw.len());
        }

        #[test]
        fn a_mail_of_any_lines_keeps_its_length(
            lines in proptest::collection::vec("(Content-Type: multipart/mixed; boundary=b|--b|--b--||Subject: .{0,20}|Content-Transfer-Encoding: (base64|quoted-printable)|=?utf-8?[qb]?.{0,9}?=|<a .{0,20}>.{0,9})", 0..30)
        ) {
            let mail = lines.join("\r\n");
            prop_assert_eq!(mime::mail(mail.as_bytes(), &StandIns::new()).len(), mail.len());
        }

        #[test]
        fn text_and_html_keep_their_length(text in ".{0,200}") {
            let stand_ins = StandIns::new();
            prop_assert_eq!(stand_ins.in_prose(&text).len(), text.len());
            prop_assert_eq!(stand_ins.in_html(&text).len(), text.len());
            prop_assert_eq!(stand_ins.in_addresses(&text).len(), text.len());
        }
    }
}
