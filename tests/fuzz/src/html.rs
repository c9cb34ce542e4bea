//! HTML of a mail, made safe to show (T07): what comes out is read by another tokenizer than the one that the limits
//! before and the blocking after the sanitiser use, and none of it can do anything.

use std::{cell::RefCell, fmt::Write as _};

use html5ever::{
    tendril::StrTendril,
    tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer},
};
use twinbox_plugin::mail::{
    SafeHtml, Sanitiser,
    fold::{FOLD_END, FOLD_START},
    fold_html, to_text,
};

use self::words::{ALLOWED, ATTRIBUTES, NAMES, TOKENS, VALUES};
use crate::Choices;

mod words;

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let html = input(&mut choices);
    check(&html);
    if choices.yes() {
        check_well_formed(&mut choices);
    }
}

/// HTML as nobody would write it by accident.
pub fn input(choices: &mut Choices<'_>) -> String {
    let mut html = String::new();
    while !choices.is_over() && html.len() < 20_000 {
        match choices.below(8) {
            0..=3 => html.push_str(&tag(choices)),
            4 => html.push_str(&choices.text()),
            5 => {
                let piece = choices.pick(TOKENS);
                html.push_str(&piece.repeat(1 + choices.below(30)));
            }
            6 if choices.once_in(8) => {
                return String::from_utf8_lossy(&choices.damaged(html.into_bytes(), &[])).into_owned();
            }
            _ => html.push_str(choices.pick(TOKENS)),
        }
    }
    html
}

fn tag(choices: &mut Choices<'_>) -> String {
    let mut tag = format!(
        "<{}{}",
        if choices.once_in(4) { "/" } else { "" },
        choices.pick(NAMES)
    );
    for _ in 0..choices.below(4) {
        let space = choices.pick(&[" ", " ", "\n", "/", "\t", "\u{c}"]);
        let (name, value) = (choices.pick(ATTRIBUTES), choices.pick(VALUES));
        let value = match choices.below(5) {
            0 => format!("='{value}'"),
            1 => format!("={value}"),
            2 => String::new(),
            3 => format!(" = \"{value}\""),
            _ => format!("=\"{value}\""),
        };
        tag.extend([space, name, &value]);
    }
    tag.push_str(choices.pick(&[">", ">", ">", "/>", " >", ""]));
    tag
}

/// What holds of any HTML.
pub fn check(html: &str) {
    let safe = clean(html);
    let tags = tags(&safe.html);
    for tag in &tags {
        check_tag(tag, &safe.html);
    }
    let blocked = tags
        .iter()
        .flat_map(|tag| &tag.attrs)
        .filter(|attribute| &*attribute.name.local == "data-remote-src");
    assert_eq!(blocked.count(), safe.remote_images, "{}", safe.html);
    check_again(&safe);
    check_fold(&safe);
    let text = to_text(html);
    assert!(
        !text.contains(|c: char| c.is_ascii_control() && c != '\n'),
        "{text:?}"
    );
    assert!(
        text.len() <= 41 * html.len() + 100,
        "{} bytes of text out of {}",
        text.len(),
        html.len()
    );
}

fn clean(html: &str) -> SafeHtml {
    thread_local! { static SANITISER: Sanitiser = Sanitiser::new(); }
    SANITISER.with(|sanitiser| sanitiser.clean(html))
}

/// Well-formed HTML loses no word, and is not changed by being sanitised again.
fn check_well_formed(choices: &mut Choices<'_>) {
    const ATTRIBUTES: &[&str] = &[
        "",
        " style=\"color:red\"",
        " onclick='x'",
        " class=gmail_quote",
        " title=\"a&quot;<b>\"",
    ];
    const NAMES: &[&str] = &[
        "div",
        "b",
        "span",
        "blockquote",
        "font",
        "center",
        "i",
        "section",
        "x-y",
    ];
    let mut html = String::new();
    let mut words = 0;
    let mut open = Vec::new();
    for _ in 0..choices.below(60) {
        match choices.below(4) {
            0 => {
                let name = choices.pick(NAMES);
                html.extend(["<", name, choices.pick(ATTRIBUTES), ">"]);
                open.push(name);
            }
            1 => html.extend(open.pop().into_iter().flat_map(|name| ["</", name, ">"])),
            2 => html.push_str(choices.pick(&[
                "<br>",
                "<img src=cid:a>",
                "<img src=\"https://a.example/b?c&amp;d\">",
                "<hr>",
                "&lt;",
                "\n",
            ])),
            _ => {
                let _ = write!(html, "word{words}end ");
                words += 1;
            }
        }
    }
    html.extend(open.into_iter().rev().flat_map(|name| ["</", name, ">"]));
    let (safe, text) = (clean(&html), to_text(&html));
    for word in (0..words).map(|number| format!("word{number}end")) {
        assert!(
            safe.html.contains(&word),
            "{word} is lost of {html}: {}",
            safe.html
        );
        assert!(text.contains(&word), "{word} is lost of {html}: {text}");
    }
    assert_eq!(clean(&unblocked(&safe.html)).html, safe.html, "{html}");
}

fn check_tag(tag: &Tag, html: &str) {
    let name = &*tag.name;
    assert!(ALLOWED.contains(&name), "<{name}> in {html}");
    for attribute in &tag.attrs {
        let (attribute, value) = (&*attribute.name.local, &*attribute.value);
        assert!(!attribute.starts_with("on"), "{attribute} in {html}");
        let scheme: String = value
            .chars()
            .take_while(|c| *c != ':')
            .collect::<String>()
            .to_lowercase();
        let is_safe = match attribute {
            "href" => name == "a" && ["http", "https", "mailto", "tel"].contains(&scheme.as_str()),
            "src" => name == "img" && (scheme == "cid" || is_bitmap(value)),
            "data-remote-src" => name == "img" && ["http", "https"].contains(&scheme.as_str()),
            "style" => is_safe_style(value),
            "target" => value == "_blank",
            "rel" => value.contains("noopener"),
            "class" | "id" => name == "div" || name == "blockquote",
            "align" | "alt" | "bgcolor" | "border" | "cellpadding" | "cellspacing" | "color" | "colspan"
            | "dir" | "face" | "height" | "lang" | "nowrap" | "rowspan" | "size" | "span" | "start"
            | "title" | "type" | "valign" | "width" => true,
            _ => false,
        };
        assert!(is_safe, "<{name} {attribute}={value:?}> in {html}");
    }
}

/// As CSS reads it: no escape, comment or function that could fetch or place anything.
fn is_safe_style(style: &str) -> bool {
    let style = style.to_lowercase();
    ![
        "url",
        "expression",
        "import",
        "\\",
        "/*",
        "position",
        "behavior",
        "binding",
        "image",
        "<",
        "@",
        "//",
    ]
    .iter()
    .any(|word| style.contains(word))
}

fn is_bitmap(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    ["png", "jpeg", "jpg", "gif", "webp"]
        .iter()
        .any(|kind| value.starts_with(&format!("data:image/{kind};base64,")))
}

/// What was sanitised says the same when it is sanitised again, and is as safe: text that is broken in structure may
/// change its structure with every parser that reads it (HTML standard, section 13.3), its words do not.
fn check_again(safe: &SafeHtml) {
    if safe.cut || safe.simplified {
        return;
    }
    let again = clean(&unblocked(&safe.html));
    for tag in tags(&again.html) {
        check_tag(&tag, &again.html);
    }
    // A mark at the beginning is taken away by every parser.
    let words = |html: &str| text(html).trim_start_matches('\u{feff}').to_owned();
    assert_eq!(words(&again.html), words(&safe.html));
}

/// The images' sources in their places again; in an attribute's value a `>` is escaped.
fn unblocked(html: &str) -> String {
    let mut images = html.split("<img");
    let mut unblocked = images.next().unwrap_or_default().to_owned();
    for image in images {
        let (attributes, after) = image.split_once('>').expect("an end of the tag");
        let attributes = attributes.replace(" data-remote-src=\"", " src=\"");
        unblocked.extend(["<img", &attributes, ">", after]);
    }
    unblocked
}

/// Folding adds its element, around whole elements, and takes nothing away.
fn check_fold(safe: &SafeHtml) {
    let folded = fold_html(safe.clone());
    assert_eq!(
        folded.html.replace(FOLD_START, "").replace(FOLD_END, ""),
        safe.html
    );
    let mut open: Vec<String> = Vec::new();
    for tag in tags(&folded.html) {
        let name = tag.name.to_string();
        if ["br", "col", "hr", "img", "wbr"].contains(&name.as_str()) {
            continue;
        }
        match tag.kind {
            TagKind::StartTag => open.push(name),
            TagKind::EndTag => assert_eq!(open.pop(), Some(name), "{}", folded.html),
        }
    }
    assert_eq!(open, Vec::<String>::new(), "{}", folded.html);
}

fn tags(html: &str) -> Vec<Tag> {
    tokens(html).0
}

fn text(html: &str) -> String {
    tokens(html).1
}

/// Tags and text of HTML in which no element's content is raw, so that they need no tree.
fn tokens(html: &str) -> (Vec<Tag>, String) {
    #[derive(Default)]
    struct Sink(RefCell<(Vec<Tag>, String)>);

    impl TokenSink for Sink {
        type Handle = ();

        fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
            match token {
                Token::TagToken(tag) => self.0.borrow_mut().0.push(tag),
                Token::CharacterTokens(text) => self.0.borrow_mut().1.push_str(&text),
                Token::CommentToken(text) => panic!("a comment: {text}"),
                Token::DoctypeToken(_) => panic!("a doctype"),
                _ => {}
            }
            TokenSinkResult::Continue
        }
    }

    let input = BufferQueue::default();
    input.push_back(StrTendril::from(html));
    let tokenizer = Tokenizer::new(Sink::default(), html5ever::tokenizer::TokenizerOpts::default());
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.0.into_inner()
}
