//! Mail made to exhaust whoever reads it, through the real component in its sandbox: each message ends delivered or
//! quarantined with a reason, the messages around it are delivered whole, and the ledger accounts for all.

use std::fmt::Write as _;

use gmail_sim::Delivery;
use scenarios::{ANN, ME, World};
use twinbox_host::contract::Outcome;

/// How deep parts nest, and how deep elements do.
const PARTS: usize = 10_000;
const ELEMENTS: usize = 100_000;

/// What may become of such a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    Quarantined,
}

/// Delivers the messages with an ordinary one before, between and after them; each has to end as it is said.
async fn end_as_said(messages: Vec<(&str, Vec<u8>, Fate)>) {
    let world = World::connected().await;
    let mut ordinary = Vec::new();
    let mut hostile = Vec::new();
    for (name, raw, fate) in messages {
        ordinary.push(
            world
                .mail()
                .subject(&format!("Before {name}"))
                .text("Whole.")
                .arrives()
                .id,
        );
        world.tick(1_000);
        let delivered = world.sim().deliver(&Delivery::new(ME, raw)).unwrap();
        hostile.push((name, delivered.id, fate));
    }
    ordinary.push(world.mail().subject("After all").text("Whole.").arrives().id);
    let ran = world.sync().await;
    assert_eq!(ran.report.problem, None);
    for (name, id, fate) in &hostile {
        let ended = match world.explain(id).await.outcome {
            Outcome::Delivered(_) => Fate::Delivered,
            Outcome::Quarantined(reason) if !reason.is_empty() => Fate::Quarantined,
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(ended, *fate, "{name}");
    }
    let conversation = world.conversation(ANN).await;
    for id in &ordinary {
        let stored = conversation
            .iter()
            .find(|stored| stored.message.key.ends_with(id.as_str()));
        assert_eq!(stored.unwrap().message.content.text.trim(), "Whole.", "{id}");
    }
    let report = world.assert_all_accounted_for().await;
    assert_eq!(report.listed as usize, ordinary.len() + hostile.len());
    let quarantined = hostile
        .iter()
        .filter(|(_, _, fate)| *fate == Fate::Quarantined)
        .count();
    assert_eq!(report.quarantined.len(), quarantined, "{report:?}");
    assert_eq!(report.delivered as usize, conversation.len(), "{report:?}");
}

/// A message from Ann with this after its first fields.
fn message(rest: &str) -> Vec<u8> {
    format!("From: Ann <{ANN}>\r\nTo: {ME}\r\nSubject: Hostile\r\nMIME-Version: 1.0\r\n{rest}").into_bytes()
}

fn html(html: &str) -> Vec<u8> {
    message(&format!("Content-Type: text/html; charset=utf-8\r\n\r\n{html}"))
}

/// So many multiparts in one another, closed or not.
fn multiparts(depth: usize, closed: bool) -> String {
    let mut raw = String::new();
    for level in 0..depth {
        let _ = write!(
            raw,
            "Content-Type: multipart/mixed; boundary=\"b{level}\"\r\n\r\n--b{level}\r\n"
        );
    }
    raw.push_str("Content-Type: text/plain\r\n\r\ninnermost\r\n");
    if closed {
        for level in (0..depth).rev() {
            let _ = write!(raw, "--b{level}--\r\n");
        }
    }
    raw
}

#[tokio::test]
async fn t01_ten_thousand_nested_parts_harm_nobody() {
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(PARTS);
    let mixed = (0..PARTS / 2)
        .map(|level| {
            format!(
                "Content-Type: message/rfc822\r\n\r\nSubject: {level}\r\n\
                 Content-Type: multipart/alternative; boundary=b{level}\r\n\r\n--b{level}\r\n"
            )
        })
        .collect::<Vec<String>>()
        .concat();
    let one_boundary = "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n".repeat(PARTS);
    let siblings = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}",
        "--b\r\n\r\nx\r\n".repeat(PARTS)
    );
    end_as_said(vec![
        ("multiparts", message(&multiparts(PARTS, true)), Fate::Delivered),
        (
            "multiparts left open",
            message(&multiparts(PARTS, false)),
            Fate::Delivered,
        ),
        (
            "attached messages",
            message(&(messages + "Subject: innermost\r\n\r\nx")),
            Fate::Delivered,
        ),
        ("both in turn", message(&(mixed + "\r\nx")), Fate::Delivered),
        (
            "multiparts of one boundary",
            message(&(one_boundary + "\r\nx\r\n--b--\r\n")),
            Fate::Quarantined,
        ),
        ("siblings", message(&siblings), Fate::Quarantined),
    ])
    .await;
}

#[tokio::test]
async fn t07_a_hundred_thousand_nested_elements_harm_nobody() {
    let nested = |open: &str, close: &str| {
        html(&format!(
            "{}innermost{}",
            open.repeat(ELEMENTS),
            close.repeat(ELEMENTS)
        ))
    };
    end_as_said(vec![
        ("blocks", nested("<div>", "</div>"), Fate::Delivered),
        ("formatting", nested("<b>", ""), Fate::Delivered),
        (
            "fonts reopened",
            html(&format!(
                "{}{}",
                "<font size=1>".repeat(ELEMENTS / 10),
                "<p>x".repeat(ELEMENTS)
            )),
            Fate::Delivered,
        ),
        ("tables", nested("<table><td>", ""), Fate::Delivered),
        (
            "quotations",
            nested("<blockquote type=cite>", "</blockquote>"),
            Fate::Delivered,
        ),
        ("foreign elements", nested("<svg><math>", ""), Fate::Delivered),
        (
            "white space in a tag",
            html(&format!("<a b{}=x>innermost", " ".repeat(1 << 20))),
            Fate::Delivered,
        ),
        ("ampersands", html(&"&".repeat(ELEMENTS)), Fate::Delivered),
        ("comments", html(&"<!--".repeat(ELEMENTS)), Fate::Delivered),
    ])
    .await;
}

#[tokio::test]
async fn t01_giant_headers_and_lines_harm_nobody() {
    let fields = (0..50_000)
        .map(|number| format!("X-Field-{number}: {number}\r\n"))
        .collect::<Vec<String>>()
        .concat();
    let addresses = (0..20_000)
        .map(|number| format!("a{number}@b.example,\r\n "))
        .collect::<Vec<String>>()
        .concat();
    let references = (0..20_000)
        .map(|number| format!("<{number}@b.example>\r\n "))
        .collect::<Vec<String>>()
        .concat();
    let words = "=?utf-8?q?a?=\r\n ".repeat(30_000);
    let quoted = (0..2_000)
        .map(|depth| format!("{} line\r\n", ">".repeat(depth)))
        .collect::<Vec<String>>()
        .concat();
    let plain = "Content-Type: text/plain\r\n\r\nText";
    end_as_said(vec![
        ("fields", message(&(fields + plain)), Fate::Delivered),
        (
            "addresses",
            message(&format!("Cc: {addresses}x@b.example\r\n{plain}")),
            Fate::Delivered,
        ),
        (
            "references",
            message(&format!("References: {references}<x@b.example>\r\n{plain}")),
            Fate::Delivered,
        ),
        (
            "encoded words",
            message(&format!("Comments: {words}x\r\n{plain}")),
            Fate::Delivered,
        ),
        (
            "comments in addresses",
            message(&format!("Cc: {}x@b.example\r\n{plain}", "(".repeat(300_000))),
            Fate::Delivered,
        ),
        (
            "groups",
            message(&format!("Cc: {}\r\n{plain}", "a:".repeat(100_000))),
            Fate::Delivered,
        ),
        (
            "one line",
            message(&format!(
                "Content-Type: text/plain\r\n\r\n{}",
                "x".repeat(1_500_000)
            )),
            Fate::Delivered,
        ),
        (
            "quotations",
            message(&format!("Content-Type: text/plain\r\n\r\n{quoted}")),
            Fate::Delivered,
        ),
        (
            "parameters",
            message(&format!(
                "Content-Type: text/plain{}\r\n\r\nText",
                "; a=b".repeat(50_000)
            )),
            Fate::Delivered,
        ),
    ])
    .await;
}
