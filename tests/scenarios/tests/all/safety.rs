//! T07: what is safe to show.

use scenarios::{ANN, World};

#[tokio::test]
async fn t07_active_content_does_not_reach_the_crm() {
    let world = World::connected().await;
    let html = "<p onclick=\"steal()\">Hello</p><script>steal()</script>\
                <a href=\"javascript:steal()\">x</a><iframe src=\"https://evil.example\"></iframe>\
                <form action=\"https://evil.example\"><input name=p></form><style>p{background:url(https://evil.example/a)}</style>";
    world.mail().html(html).arrives();
    world.sync().await;
    let safe = world.only_message(ANN).await.message.content.html.unwrap();
    assert!(safe.contains("Hello"));
    for wrong in [
        "script",
        "onclick",
        "javascript",
        "steal",
        "iframe",
        "<form",
        "<input",
        "evil.example",
    ] {
        assert!(!safe.contains(wrong), "{wrong} in {safe}");
    }
}

#[tokio::test]
async fn t07_remote_images_are_blocked_until_the_reader_asks() {
    let world = World::connected().await;
    world
        .mail()
        .html("<p>Hi <img src=\"https://track.example/p.gif?u=1\"></p>")
        .arrives();
    world.sync().await;
    let safe = world.only_message(ANN).await.message.content.html.unwrap();
    assert!(
        safe.contains("data-remote-src=\"https://track.example/p.gif?u=1\""),
        "{safe}"
    );
    assert!(!safe.contains(" src=\"https://"), "{safe}");
}

#[tokio::test]
async fn t07_quoted_history_is_folded_and_never_removed() {
    let world = World::connected().await;
    let text = "My answer.\r\n\r\nOn Mon, 1 Sep 2025 at 10:00, Mia <mia@acme.example> wrote:\r\n> The question?\r\n> More.\r\n";
    let html = "<div>My answer.</div><div class=\"gmail_quote\"><div class=\"gmail_attr\">On Mon, Mia wrote:</div>\
                <blockquote>The question?</blockquote></div>";
    world.mail().text(text).html(html).arrives();
    world.sync().await;
    let content = world.only_message(ANN).await.message.content;
    let quoted_at = content.quoted_at.unwrap() as usize;
    assert_eq!(content.text[..quoted_at].trim(), "My answer.");
    assert!(content.text[quoted_at..].contains("The question?"));
    let html = content.html.unwrap();
    let folded = html.find("<details").unwrap();
    assert!(html.find("My answer.").unwrap() < folded);
    assert!(html.find("The question?").unwrap() > folded);
}

#[tokio::test]
async fn t07_bytes_that_are_no_text_do_no_harm() {
    let world = World::connected().await;
    world
        .mail()
        .subject("NUL \u{0} and =?utf-8?q?=00?=")
        .text("a\u{0}b")
        .arrives();
    world.mail().header("Date", "a long time ago").arrives();
    world.mail().header("Content-Language", "\u{1b}[31m").arrives();
    world.sync().await;
    let report = world.assert_all_accounted_for().await;
    assert_eq!(report.delivered, 3, "{report:?}");
    for stored in world.conversation(ANN).await {
        assert!(!stored.message.subject.contains('\u{0}'));
        assert!(!stored.message.content.text.contains('\u{0}'));
    }
}
