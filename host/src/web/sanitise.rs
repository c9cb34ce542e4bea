//! The body of a message as it is put into its frame.
//!
//! The HTML was sanitised before it came here (T07). It is still somebody else's: it is taken apart
//! and written anew from what is allowed below, so that nothing else can come out, whatever comes in.
//! `cid:` images become the message's own parts; remote images stay blocked unless the reader asked.

use super::{
    escape::{escape_into, segment},
    markup::{Tag, Token, after_end_of, parse, split, starts_with},
};
use crate::contract::Attachment;

/// Whether images from elsewhere are fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RemoteImages {
    /// Nothing is fetched from elsewhere.
    Blocked,
    /// The reader asked for them.
    Shown,
}

/// A body, and how many of its images are remote.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SafeBody {
    /// Markup for within `<body>`.
    pub(super) html: String,
    /// Images that are (or would be) fetched from elsewhere.
    pub(super) remote_images: usize,
}

/// What a body refers to.
pub(super) struct Context<'a> {
    /// The message.
    pub(super) message: &'a str,
    /// Its parts.
    pub(super) attachments: &'a [Attachment],
    /// Whether images from elsewhere are fetched.
    pub(super) images: RemoteImages,
}

/// Writes a body anew.
pub(super) fn safe_body(html: &str, context: &Context<'_>) -> SafeBody {
    let mut body = SafeBody {
        html: String::with_capacity(html.len() + 256),
        remote_images: 0,
    };
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let (text, markup) = rest.split_at(at);
        body.text(text);
        rest = match parse(markup) {
            Token::Text(length) => {
                let (text, after) = split(markup, length);
                body.text(text);
                after
            }
            Token::Nothing(length) => split(markup, length).1,
            Token::End(name, length) => {
                if is_allowed(&name) && !is_in(VOID, &name) {
                    body.html.push_str("</");
                    body.html.push_str(&name);
                    body.html.push('>');
                }
                split(markup, length).1
            }
            Token::Start(tag, length) => {
                let after = split(markup, length).1;
                if is_in(HIDDEN, &tag.name) {
                    after_end_of(after, &tag.name)
                } else {
                    body.start(&tag, context);
                    after
                }
            }
        };
    }
    body.text(rest);
    body
}

/// Elements that are written. The same kinds as the component keeps.
const ALLOWED: &str = "a abbr address b bdi bdo big blockquote br caption center cite code col colgroup dd del details \
     dfn div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q s samp small span \
     strike strong sub summary sup table tbody td tfoot th thead tr tt u ul var wbr";
/// Those of them that have no end.
const VOID: &str = "br col hr img wbr";
/// Elements whose content is not text for readers.
const HIDDEN: &str =
    "script style title textarea template iframe noembed noframes noscript object xmp svg math";
/// Attributes that are written as they are.
const PLAIN: &str = "align alt bgcolor border cellpadding cellspacing class color cols colspan dir face height lang \
     open reversed rowspan size span start style title type valign width";

impl SafeBody {
    /// Text keeps its references: what is a reference in HTML stays one.
    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '<' => self.html.push_str("&lt;"),
                '>' => self.html.push_str("&gt;"),
                '\0' => {}
                c => self.html.push(c),
            }
        }
    }

    fn start(&mut self, tag: &Tag, context: &Context<'_>) {
        if !is_allowed(&tag.name) {
            return;
        }
        self.html.push('<');
        self.html.push_str(&tag.name);
        for (name, value) in &tag.attributes {
            if is_in(PLAIN, name) {
                self.attribute(name, value);
            }
        }
        match tag.name.as_str() {
            "a" => self.link(tag),
            "img" => self.image(tag, context),
            _ => {}
        }
        self.html.push('>');
    }

    fn link(&mut self, tag: &Tag) {
        let href = tag.attribute("href").map(str::trim).filter(|href| {
            ["http:", "https:", "mailto:", "tel:"]
                .iter()
                .any(|scheme| starts_with(href, scheme))
        });
        if let Some(href) = href {
            self.attribute("href", href);
            self.html
                .push_str(" target=\"_blank\" rel=\"noopener noreferrer nofollow\"");
        }
    }

    fn image(&mut self, tag: &Tag, context: &Context<'_>) {
        let source = tag
            .attribute("src")
            .filter(|source| !source.is_empty())
            .or_else(|| tag.attribute("data-remote-src"))
            .unwrap_or_default()
            .trim();
        if starts_with(source, "cid:") {
            if let Some(part) = part_of(source.get(4..).unwrap_or_default(), context.attachments) {
                let path = format!("/messages/{}/parts/{}", segment(context.message), segment(part));
                self.attribute("src", &path);
            }
        } else if starts_with(source, "data:image/") {
            self.attribute("src", source);
        } else if starts_with(source, "http:") || starts_with(source, "https:") {
            self.remote_images += 1;
            match context.images {
                RemoteImages::Shown => self.attribute("src", source),
                RemoteImages::Blocked => self.attribute("data-remote-src", source),
            }
        }
    }

    fn attribute(&mut self, name: &str, value: &str) {
        self.html.push(' ');
        self.html.push_str(name);
        self.html.push_str("=\"");
        escape_into(&mut self.html, value);
        self.html.push('"');
    }
}

fn is_allowed(name: &str) -> bool {
    is_in(ALLOWED, name)
}

fn is_in(list: &str, name: &str) -> bool {
    list.split(' ').any(|known| known == name)
}

/// The part that a `cid:` names; it may be percent-encoded (RFC 2392).
fn part_of<'a>(content_id: &str, attachments: &'a [Attachment]) -> Option<&'a str> {
    let decoded = percent_decoded(content_id);
    attachments
        .iter()
        .find(|attachment| {
            attachment
                .content_id
                .as_deref()
                .is_some_and(|id| id == content_id || id == decoded)
        })
        .map(|attachment| attachment.part.as_str())
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() {
            after.get(2..).unwrap_or_default()
        } else {
            after
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::contract::Disposition;

    fn clean(html: &str, images: RemoteImages) -> SafeBody {
        let attachments = [Attachment {
            part: "0.1".into(),
            name: "logo.png".into(),
            media_type: "image/png".into(),
            size: 4,
            content_id: Some("logo@x".into()),
            disposition: Disposition::Inline,
        }];
        let context = Context {
            message: "m1",
            attachments: &attachments,
            images,
        };
        safe_body(html, &context)
    }

    fn blocked(html: &str) -> String {
        clean(html, RemoteImages::Blocked).html
    }

    #[test]
    fn t07_what_is_allowed_stays_as_it_was() {
        let html = "<p style=\"color:red\">a &amp; b &lt;c&gt; é</p><details class=\"quoted\"><summary>…</summary>old</details>";
        assert_eq!(blocked(html), html);
    }

    #[test]
    fn t07_a_script_never_comes_out() {
        for evil in [
            "<script>alert(1)</script>",
            "<ScRiPt src=//x.example/a.js></sCrIpT >",
            "<svg onload=alert(1)><script>1</script></svg>",
            "<img src=x onerror=alert(1)>",
            "<p onclick='alert(1)'>x</p>",
            "<a href=\"javascript:alert(1)\">x</a>",
            "<a href=\"java&#115;cript:alert(1)\">x</a>",
            "<iframe src=https://x.example></iframe><object data=x></object><embed src=x>",
            "<style>@import 'x'</style><link rel=stylesheet href=x><base href=//x.example><meta http-equiv=refresh content=0>",
            "<form action=/send><input><button>x</button></form>",
            "<script",
            "<p/onclick=alert(1)//>x",
            "<p title='\"><script>alert(1)</script>'>x</p>",
        ] {
            let out = blocked(evil);
            for word in [
                "<script",
                "<svg",
                "onerror=\"",
                "onclick=\"",
                "onload",
                "javascript:",
                "<iframe",
                "<object",
                "<embed",
                "<style",
                "<link",
                "<base",
                "<meta",
                "<form",
                "<input",
                "<button",
            ] {
                assert!(!out.contains(word), "{evil} became {out}");
            }
        }
    }

    #[test]
    fn t07_remote_images_are_fetched_only_when_asked() {
        let html =
            "<img src=\"https://t.example/a.gif\"><img data-remote-src='http://t.example/b.gif?x=1&amp;y=2'>";
        let safe = clean(html, RemoteImages::Blocked);
        assert_eq!(
            safe.html,
            "<img data-remote-src=\"https://t.example/a.gif\"><img data-remote-src=\"http://t.example/b.gif?x=1&amp;y=2\">"
        );
        assert_eq!(safe.remote_images, 2);
        let shown = clean(html, RemoteImages::Shown);
        assert_eq!(
            shown.html,
            "<img src=\"https://t.example/a.gif\"><img src=\"http://t.example/b.gif?x=1&amp;y=2\">"
        );
    }

    #[test]
    fn t07_an_image_of_the_mail_comes_from_the_message_itself() {
        assert_eq!(
            blocked("<img src=\"cid:logo@x\">"),
            "<img src=\"/messages/m1/parts/0.1\">"
        );
        assert_eq!(
            blocked("<img src=\"cid:logo%40x\">"),
            "<img src=\"/messages/m1/parts/0.1\">"
        );
        assert_eq!(blocked("<img src=\"cid:other\" alt=x>"), "<img alt=\"x\">");
        assert_eq!(blocked("<img src=\"/settings\">"), "<img>");
    }

    #[test]
    fn a_link_opens_elsewhere_and_tells_nothing() {
        assert_eq!(
            blocked("<a href=https://x.example/?a=1&amp;b>x</a>"),
            "<a href=\"https://x.example/?a=1&amp;b\" target=\"_blank\" rel=\"noopener noreferrer nofollow\">x</a>"
        );
    }

    proptest! {
        #[test]
        fn whatever_comes_in_only_allowed_tags_come_out(
            html in "([<>/=\"' &;#a-z!-]|<script|onload=|src=|</|<img |href=|javascript:|é){0,60}"
        ) {
            let once = blocked(&html);
            for piece in once.split('<').skip(1) {
                let name: String = piece
                    .trim_start_matches('/')
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect();
                prop_assert!(is_allowed(&name), "{html} became {once}");
            }
            // What came out is not changed by doing it again.
            prop_assert_eq!(&blocked(&once), &once);
        }
    }
}
