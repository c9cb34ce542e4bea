//! Input made to exhaust the stack, the memory or the time. The stack is smaller than what a native test has by default,
//! so anything that recurses with the input's depth dies here.

use std::fmt::Write as _;

use crate::mail::html::{Token, Tokens};
use crate::mail::{Sanitiser, fold_html, parse, parse_mailboxes, quoted_from, to_text};

fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(192 * 1024)
        .spawn(work)
        .unwrap()
        .join()
        .unwrap();
}

/// How deep the elements nest.
fn depth(html: &str) -> usize {
    let (mut deepest, mut depth) = (0_usize, 0_usize);
    for token in Tokens::new(html) {
        match token {
            Token::Start(tag) if !["br", "hr", "img", "wbr", "col"].contains(&tag.name) => {
                depth += 1;
            }
            Token::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

#[test]
fn nested_attached_messages_do_not_use_the_stack() {
    on_a_small_stack(|| {
        let mut raw = b"Subject: x\r\n".to_vec();
        raw.extend(b"Content-Type: message/rfc822\r\n\r\n".repeat(60_000));
        raw.extend(b"end");
        let parsed = parse(&raw).unwrap();
        assert_eq!(parsed.attachments.len(), 1);
    });
}

#[test]
fn nested_multiparts_do_not_use_the_stack_and_lose_nothing() {
    on_a_small_stack(|| {
        let mut raw = String::from("Subject: x\r\n");
        for i in 0..3_000 {
            write!(
                raw,
                "Content-Type: multipart/mixed; boundary=b{i}\r\n\r\n--b{i}\r\n"
            )
            .unwrap();
        }
        raw.push_str("\r\ninnermost");
        let parsed = parse(raw.as_bytes()).unwrap();
        assert_eq!(parsed.attachments.len(), 1);
        assert!(parsed.attachments[0].size > 100_000);
    });
}

#[test]
fn nested_comments_and_groups_in_addresses_do_not_use_the_stack() {
    on_a_small_stack(|| {
        parse_mailboxes(&"(".repeat(300_000));
        parse_mailboxes(&"a:".repeat(300_000));
        parse_mailboxes(&"<".repeat(300_000));
    });
}

#[test]
fn t07_nested_html_is_limited_and_keeps_its_text() {
    on_a_small_stack(|| {
        let sanitiser = Sanitiser::new();
        for open in [
            "<div>",
            "<b>",
            "<table><tr><td>",
            "<blockquote type=cite>",
            "<font color=red>",
            "<ul><li>",
            "<li><dd>",
            "<a href=x>",
            "<svg>",
            "<select><style><input>",
        ] {
            let html = format!("{}innermost", open.repeat(50_000));
            let safe = sanitiser.clean(&html);
            if !open.contains("style") {
                assert!(safe.html.contains("innermost"), "{open}");
            }
            assert!(depth(&safe.html) <= 1_000, "{open}");
            assert!(depth(&fold_html(safe).html) <= 1_001, "{open}");
            to_text(&html);
        }
    });
}

#[test]
fn t07_reopened_formatting_cannot_multiply() {
    let fonts: Vec<String> = (0..5_000).map(|i| format!("<font size={i}>")).collect();
    let fonts = fonts.concat();
    let html = format!("{fonts}{}", "<p>x".repeat(200_000));
    let safe = Sanitiser::new().clean(&html);
    assert!(safe.simplified);
    assert!(safe.html.len() < 20_000_000, "{}", safe.html.len());
    assert_eq!(safe.html.matches('x').count(), 200_000);
}

#[test]
fn t07_many_elements_and_attributes_are_limited() {
    let sanitiser = Sanitiser::new();
    let attributes = format!("<p {}>text", "a=1 ".repeat(400_000));
    assert!(sanitiser.clean(&attributes).simplified);
    let elements = "<br>".repeat(500_000);
    assert!(sanitiser.clean(&elements).simplified);
}

#[test]
fn t07_input_over_the_limit_is_cut_and_said_so() {
    let safe = Sanitiser::new().clean(&"ä".repeat(2 * 1024 * 1024));
    assert!(safe.cut);
    assert_eq!(safe.html.len(), 2 * 1024 * 1024);
}

#[test]
fn white_space_in_a_tag_takes_linear_time() {
    // With the square of its size this took minutes.
    let html = format!("<a b{}=x>text", " ".repeat(1_000_000));
    assert_eq!(to_text(&html), "text");
    Sanitiser::new().clean(&html);
}

#[test]
fn comments_and_unfinished_tags_take_linear_time() {
    for piece in [
        "<!-- -->", "<!--", "<a b=\"", "</", "<", "<script>", "<!", "&", "> ", "On 1\n", "--\n",
    ] {
        let html = piece.repeat(400_000 / piece.len());
        to_text(&html);
        Sanitiser::new().clean(&html);
        quoted_from(&html);
    }
}
