//! HTML that is safe to show inside a CRM page (T07).
//!
//! ammonia (html5ever) decides what is safe, from a list of what is allowed. Around it stands what it cannot know: limits
//! before the parser ([`super::prefilter`]), a value check for every attribute that is kept, CSS included, and blocked
//! remote images after it. An `http(s)` image loses its `src` to `data-remote-src`, so that nothing is fetched before the
//! reader asks; `cid:` stays for the caller to resolve. A few classes and ids of quotations survive for [`super::fold`].

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use ammonia::{Builder, UrlRelative};

use super::html::{Tag, Token, Tokens};
use super::prefilter::prefilter;
use super::style::filter_style;
use super::text::cut_at_boundary;

/// The largest input looked at, in bytes; the rest is cut off, and the result says so.
pub const MAX_HTML_BYTES: usize = 2 * 1024 * 1024;
/// The largest `data:` image kept, in bytes of its URL.
pub const MAX_DATA_IMAGE_BYTES: usize = 256 * 1024;
/// The longest link kept, in bytes.
const MAX_URL_BYTES: usize = 8 * 1024;

/// Sanitised HTML: the only kind of HTML that may leave the component.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeHtml {
    /// The HTML: a fragment, well-formed, to be put into a container element.
    pub html: String,
    /// How many images were blocked because they would be fetched from elsewhere.
    pub remote_images: usize,
    /// The input was larger than [`MAX_HTML_BYTES`] and was cut.
    pub cut: bool,
    /// The input was nested too deeply or had too many elements: some formatting is missing, the text is complete.
    pub simplified: bool,
}

/// The sanitiser. Make one and keep it: building its tables costs more than a small mail.
pub struct Sanitiser {
    builder: Builder<'static>,
}

impl std::fmt::Debug for Sanitiser {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Sanitiser")
    }
}

impl Default for Sanitiser {
    fn default() -> Self {
        Self::new()
    }
}

impl Sanitiser {
    /// A sanitiser with Twinbox's rules.
    pub fn new() -> Self {
        let mut builder = Builder::default();
        builder
            .tags(ALLOWED_TAGS.iter().copied().collect())
            .clean_content_tags(super::html::HIDDEN.iter().copied().collect())
            .generic_attributes(HashSet::from(["align", "dir", "lang", "style", "title"]))
            .tag_attributes(tag_attributes())
            .allowed_classes(
                QUOTE_TAGS
                    .iter()
                    .map(|tag| (*tag, QUOTE_CLASSES.iter().copied().collect()))
                    .collect(),
            )
            .url_schemes(HashSet::from(["http", "https", "mailto", "tel", "cid", "data"]))
            .url_relative(UrlRelative::Deny)
            .link_rel(Some("noopener noreferrer nofollow"))
            .set_tag_attribute_value("a", "target", "_blank")
            .attribute_filter(checked_value);
        Self { builder }
    }

    /// Makes `html` safe. Never fails: what is not allowed is left out, its text stays (but for scripts, styles and the
    /// title).
    pub fn clean(&self, html: &str) -> SafeHtml {
        let within = cut_at_boundary(html, MAX_HTML_BYTES);
        let cut = within.len() < html.len();
        let limited = prefilter(within);
        let clean = self.builder.clean(&limited.html).to_string();
        let (html, remote_images) = finish(clean);
        SafeHtml {
            html,
            remote_images,
            cut,
            simplified: limited.simplified,
        }
    }
}

/// Elements that are kept.
pub(super) const ALLOWED_TAGS: &[&str] = &[
    "a",
    "abbr",
    "address",
    "b",
    "bdi",
    "bdo",
    "big",
    "blockquote",
    "br",
    "caption",
    "center",
    "cite",
    "code",
    "col",
    "colgroup",
    "dd",
    "del",
    "dfn",
    "div",
    "dl",
    "dt",
    "em",
    "font",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "ins",
    "kbd",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strike",
    "strong",
    "sub",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "tt",
    "u",
    "ul",
    "var",
    "wbr",
];

/// Elements that may carry a quotation's class or id.
const QUOTE_TAGS: &[&str] = &["blockquote", "div"];
/// Classes by which mail programs mark quotations.
pub(super) const QUOTE_CLASSES: &[&str] = &[
    "gmail_quote",
    "gmail_attr",
    "yahoo_quoted",
    "moz-cite-prefix",
    "protonmail_quote",
    "zmail_extra",
];
/// Ids by which mail programs mark where the history begins.
pub(super) const QUOTE_IDS: &[&str] = &[
    "divRplyFwdMsg",
    "appendonsend",
    "mail-editor-reference-message-container",
];

fn tag_attributes() -> HashMap<&'static str, HashSet<&'static str>> {
    let cell = [
        "bgcolor", "colspan", "height", "nowrap", "rowspan", "valign", "width",
    ];
    let row = ["bgcolor", "height", "valign"];
    HashMap::from([
        ("a", HashSet::from(["href"])),
        ("blockquote", HashSet::from(["type"])),
        ("col", HashSet::from(["span", "width"])),
        ("colgroup", HashSet::from(["span", "width"])),
        ("div", HashSet::from(["id"])),
        ("font", HashSet::from(["color", "face", "size"])),
        ("hr", HashSet::from(["color", "size", "width"])),
        ("img", HashSet::from(["alt", "border", "height", "src", "width"])),
        ("ol", HashSet::from(["start", "type"])),
        (
            "table",
            HashSet::from([
                "bgcolor",
                "border",
                "cellpadding",
                "cellspacing",
                "height",
                "width",
            ]),
        ),
        ("tbody", HashSet::from(row)),
        ("td", HashSet::from(cell)),
        ("tfoot", HashSet::from(row)),
        ("th", HashSet::from(cell)),
        ("thead", HashSet::from(row)),
        ("tr", HashSet::from(row)),
        ("ul", HashSet::from(["type"])),
    ])
}

/// The value with which an allowed attribute is kept, if any.
fn checked_value<'v>(element: &str, attribute: &str, value: &'v str) -> Option<Cow<'v, str>> {
    match attribute {
        "href" => safe_link(value),
        "src" => safe_image(value),
        "style" => Some(filter_style(value))
            .filter(|style| !style.is_empty())
            .map(Cow::Owned),
        "class" => value
            .split_ascii_whitespace()
            .any(|class| QUOTE_CLASSES.contains(&class))
            .then_some(Cow::Borrowed(value)),
        "id" => QUOTE_IDS.contains(&value).then_some(Cow::Borrowed(value)),
        "type" if element == "blockquote" => value
            .eq_ignore_ascii_case("cite")
            .then_some(Cow::Borrowed("cite")),
        "alt" | "title" => Some(Cow::Borrowed(cut_at_boundary(value, 1_000))),
        "rel" | "target" => Some(Cow::Borrowed(value)),
        _ => is_plain(value).then_some(Cow::Borrowed(value)),
    }
}

/// A measure, a colour, a keyword, a list of fonts.
fn is_plain(value: &str) -> bool {
    value.len() <= 200
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b" #%.,+-_'*".contains(&b))
}

fn safe_link(value: &str) -> Option<Cow<'_, str>> {
    let url = url_text(value);
    let safe = ["http", "https", "mailto", "tel"].contains(&scheme(&url)?.as_str());
    (safe && url.len() <= MAX_URL_BYTES).then_some(url)
}

fn safe_image(value: &str) -> Option<Cow<'_, str>> {
    let url = url_text(value);
    let safe = match scheme(&url)?.as_str() {
        "http" | "https" | "cid" => url.len() <= MAX_URL_BYTES,
        "data" => url.len() <= MAX_DATA_IMAGE_BYTES && is_data_image(&url),
        _ => false,
    };
    safe.then_some(url)
}

/// The URL as a browser reads it: control characters and spaces around it, tabs and line breaks in it do not count
/// (<https://url.spec.whatwg.org/#concept-basic-url-parser>).
fn url_text(value: &str) -> Cow<'_, str> {
    let trimmed = value.trim_matches(|c: char| c <= ' ');
    if trimmed.contains(['\t', '\n', '\r']) {
        Cow::Owned(trimmed.replace(['\t', '\n', '\r'], ""))
    } else {
        Cow::Borrowed(trimmed)
    }
}

fn scheme(url: &str) -> Option<String> {
    let (scheme, _) = url.split_once(':')?;
    let valid = scheme
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (valid && scheme.len() <= 20).then(|| scheme.to_ascii_lowercase())
}

/// A bitmap in base64. SVG is not one: it can hold scripts.
fn is_data_image(url: &str) -> bool {
    let Some((head, data)) = url.split_once(',') else {
        return false;
    };
    let kinds = ["png", "jpeg", "jpg", "gif", "webp"];
    kinds
        .iter()
        .any(|kind| head.eq_ignore_ascii_case(&format!("data:image/{kind};base64")))
        && data
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b' ' | b'%'))
}

/// Takes the `src` of remote images away, and gives `<pre>` the line break back that the serialiser leaves out and the
/// next parser would take from the text (HTML standard, section 13.3). The input is html5ever's own output: attributes
/// are `name="value"` with every quotation mark inside a value escaped, so ` src="` can only be the attribute.
fn finish(html: String) -> (String, usize) {
    const SOURCE: &str = " src=\"";
    let mut remote_images = 0;
    let edits: Vec<(usize, usize, &str)> = Tokens::new(&html)
        .filter_map(|token| match token {
            Token::Start(tag) if tag.is("img") && is_remote(&tag) => {
                let at = tag.at + tag.raw.find(SOURCE)?;
                remote_images += 1;
                Some((at, SOURCE.len(), " data-remote-src=\""))
            }
            Token::Start(tag) if tag.is("pre") && html.get(tag.end()..)?.starts_with('\n') => {
                Some((tag.end(), 0, "\n"))
            }
            _ => None,
        })
        .collect();
    if edits.is_empty() {
        return (html, 0);
    }
    let mut finished = String::with_capacity(html.len() + edits.len() * 12);
    let mut from = 0;
    for (at, length, replacement) in edits {
        finished.push_str(html.get(from..at).unwrap_or_default());
        finished.push_str(replacement);
        from = at + length;
    }
    finished.push_str(html.get(from..).unwrap_or_default());
    (finished, remote_images)
}

fn is_remote(image: &Tag<'_>) -> bool {
    image
        .attribute("src")
        .and_then(scheme)
        .is_some_and(|scheme| scheme == "http" || scheme == "https")
}
