//! Quoted history is folded, never removed (T07).
//!
//! In HTML the quotation's container goes into `<details class="quoted">`, closed until the reader opens it; in plain
//! text the caller is told where the history begins. Folded is only what is history and nothing else: where somebody
//! answers between the lines of a quotation, the quotation is the context and stays open; a message that consists of a
//! quotation alone (a forward) is not folded at all. Works on sanitised HTML, which is well-formed.

use super::html::{Tag, Token, Tokens};
use super::quotes::{Attribution, attribution, forwarded_marker, header_block, original_marker};
use super::sanitise::SafeHtml;

/// What a fold begins with: the caller's style sheet finds it by its class.
pub const FOLD_START: &str = "<details class=\"quoted\"><summary>Quoted text</summary>";
/// What a fold ends with.
pub const FOLD_END: &str = "</details>";

/// Folds the quoted history of sanitised HTML. Nothing is removed: without [`FOLD_START`] and [`FOLD_END`] the result is
/// the input.
#[must_use]
pub fn fold_html(safe: SafeHtml) -> SafeHtml {
    let regions = regions_to_fold(&safe.html);
    if regions.is_empty() {
        return safe;
    }
    let mut html =
        String::with_capacity(safe.html.len() + regions.len() * (FOLD_START.len() + FOLD_END.len()));
    let mut from = 0;
    for region in regions {
        html.push_str(safe.html.get(from..region.start).unwrap_or_default());
        html.push_str(FOLD_START);
        html.push_str(safe.html.get(region.start..region.end).unwrap_or_default());
        html.push_str(FOLD_END);
        from = region.end;
    }
    html.push_str(safe.html.get(from..).unwrap_or_default());
    SafeHtml { html, ..safe }
}

/// The byte offset in plain text at which the quoted history begins, up to the end of the text; `None` when there is
/// nothing to fold. The offset is the beginning of a line. Replies between quoted lines stay visible.
pub fn quoted_from(text: &str) -> Option<usize> {
    let lines = lines_of(text);
    let content = lines.iter().rposition(|line| !line.is_blank())? + 1;
    let lines = lines.get(..content)?;
    let start = first_history_line(lines)?;
    let start = lines.get(start)?.at;
    // Nothing of the sender's own above it: what is quoted is the message.
    (!text.get(..start)?.trim().is_empty()).then_some(start)
}

struct Line<'a> {
    at: usize,
    text: &'a str,
}

impl Line<'_> {
    fn is_blank(&self) -> bool {
        self.text.trim().is_empty()
    }

    fn is_quoted(&self) -> bool {
        self.text.trim_start().starts_with('>')
    }
}

fn lines_of(text: &str) -> Vec<Line<'_>> {
    let mut at = 0;
    text.split_inclusive('\n')
        .map(|text| {
            let line = Line { at, text };
            at += text.len();
            line
        })
        .collect()
}

fn first_history_line(lines: &[Line<'_>]) -> Option<usize> {
    // From here to the end all lines are quoted or blank.
    let trailing = lines
        .iter()
        .rposition(|line| !line.is_quoted() && !line.is_blank())
        .map_or(0, |last| last + 1);
    for (i, line) in lines.iter().enumerate() {
        if line.is_quoted() || line.is_blank() {
            continue;
        }
        let rest: Vec<&str> = lines
            .iter()
            .skip(i)
            .take(8)
            .map(|line| line.text.trim())
            .collect();
        if forwarded_marker(line.text) {
            return None;
        }
        if original_marker(line.text) || header_block(&rest) {
            return Some(with_rule_above(lines, i));
        }
        let Some(Attribution { lines: length }) = attribution(&rest) else {
            continue;
        };
        let after = i + length;
        let quoted = lines
            .get(after..)?
            .iter()
            .find(|line| !line.is_blank())
            .is_some_and(Line::is_quoted);
        if !quoted || after >= trailing {
            return Some(i);
        }
        // Quoted with `>` and answered below: not history alone.
    }
    let first = (trailing..lines.len()).find(|i| lines.get(*i).is_some_and(Line::is_quoted))?;
    Some(first)
}

/// Outlook draws a rule of underscores above its header block.
fn with_rule_above(lines: &[Line<'_>], at: usize) -> usize {
    let above = lines
        .get(..at)
        .and_then(|above| above.iter().rposition(|line| !line.is_blank()));
    match above {
        Some(i)
            if lines.get(i).is_some_and(|line| {
                line.text.trim().len() >= 10 && line.text.trim().bytes().all(|b| b == b'_')
            }) =>
        {
            i
        }
        _ => at,
    }
}

#[derive(Clone, Copy, Debug)]
struct Region {
    start: usize,
    end: usize,
    /// Somebody's text stands between quotations inside it, or it is a forward.
    keep_open: bool,
    /// There is something to see between the region before (or the beginning) and this one.
    visible_before: bool,
}

fn regions_to_fold(html: &str) -> Vec<Region> {
    let (regions, visible_after) = find_regions(html);
    let own_text = visible_after || regions.iter().any(|region| region.visible_before);
    if !own_text {
        return Vec::new();
    }
    let mut merged: Vec<Region> = Vec::new();
    for region in regions {
        match merged.last_mut() {
            Some(last) if !region.visible_before => {
                last.end = region.end;
                last.keep_open |= region.keep_open;
            }
            _ => merged.push(region),
        }
    }
    if merged.len() > 1 {
        // Answers between the quotations: only what trails behind the last answer is history.
        merged = if visible_after {
            Vec::new()
        } else {
            merged.split_off(merged.len() - 1)
        };
    }
    merged.retain(|region| !region.keep_open);
    merged
}

/// How a region ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    /// With its own element.
    Element,
    /// With the element that holds it.
    Parent,
}

struct Current {
    start: usize,
    depth: usize,
    until: Until,
    quotes: usize,
    seen_quote: bool,
    keep_open: bool,
    text: String,
}

#[derive(Default)]
struct Finder {
    regions: Vec<Region>,
    depth: usize,
    current: Option<Current>,
    visible: bool,
    /// Start and depth of a `moz-cite-prefix` whose quotation should follow.
    prefix: Option<(usize, usize)>,
}

fn find_regions(html: &str) -> (Vec<Region>, bool) {
    let mut finder = Finder::default();
    for token in Tokens::new(html) {
        match token {
            Token::Text(text) => finder.text(text),
            Token::Start(tag) if is_void(&tag) => {
                if tag.is("img") {
                    finder.text("image");
                }
            }
            Token::Start(tag) => finder.start(&tag),
            Token::End(tag) => finder.end(&tag),
            Token::Markup => {}
        }
    }
    finder.close(html.len());
    (finder.regions, finder.visible)
}

impl Finder {
    fn text(&mut self, text: &str) {
        if text.trim().is_empty() || text.trim() == "&nbsp;" {
            return;
        }
        match &mut self.current {
            Some(current) => {
                if current.seen_quote && current.quotes == 0 {
                    current.keep_open = true;
                }
                if current.text.len() < 200 {
                    current.text.push_str(text);
                }
            }
            None => match self.prefix {
                Some((_, depth)) if self.depth > depth => {}
                _ => {
                    self.visible |= self.prefix.take().is_some();
                    self.visible = true;
                }
            },
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        if self.current.is_none() {
            self.open(tag);
        }
        if let Some(current) = &mut self.current
            && tag.is("blockquote")
        {
            current.quotes += 1;
            current.seen_quote = true;
        }
        self.depth += 1;
    }

    fn open(&mut self, tag: &Tag<'_>) {
        let has_class = |class: &str| {
            tag.attribute("class")
                .is_some_and(|classes| classes.split_ascii_whitespace().any(|c| c == class))
        };
        let is_quote = tag.is("blockquote")
            && (tag.attribute("type").is_some() || has_class("gmail_quote") || has_class("protonmail_quote"));
        let start = match self.prefix {
            Some((start, depth)) if depth == self.depth && tag.is("blockquote") => {
                Some((start, Until::Element))
            }
            _ if is_quote => Some((tag.at, Until::Element)),
            _ if ["gmail_quote", "yahoo_quoted", "protonmail_quote", "zmail_extra"]
                .iter()
                .any(|class| has_class(class)) =>
            {
                Some((tag.at, Until::Element))
            }
            _ if tag.attribute("id").is_some() => Some((tag.at, Until::Parent)),
            _ => None,
        };
        match start {
            Some((start, until)) => {
                self.prefix = None;
                self.current = Some(Current {
                    start,
                    depth: self.depth,
                    until,
                    quotes: 0,
                    seen_quote: false,
                    keep_open: false,
                    text: String::new(),
                });
            }
            None if has_class("moz-cite-prefix") => {
                self.visible |= self.prefix.replace((tag.at, self.depth)).is_some();
            }
            None => {
                // An element after the prefix that is no quotation: the prefix was text like any other.
                if self.prefix.is_some_and(|(_, depth)| self.depth <= depth) {
                    self.prefix = None;
                    self.visible = true;
                }
            }
        }
    }

    fn end(&mut self, tag: &Tag<'_>) {
        self.depth = self.depth.saturating_sub(1);
        let Some(current) = &mut self.current else {
            return;
        };
        if tag.is("blockquote") {
            current.quotes = current.quotes.saturating_sub(1);
        }
        match current.until {
            Until::Element if self.depth == current.depth => self.close(tag.end()),
            Until::Parent if self.depth < current.depth => self.close(tag.at),
            _ => {}
        }
    }

    fn close(&mut self, end: usize) {
        if let Some(current) = self.current.take() {
            let keep_open =
                current.keep_open || (current.until == Until::Element && forwarded_marker(&current.text));
            self.regions.push(Region {
                start: current.start,
                end,
                keep_open,
                visible_before: std::mem::take(&mut self.visible),
            });
        }
        if self.prefix.take().is_some() {
            self.visible = true;
        }
    }
}

fn is_void(tag: &Tag<'_>) -> bool {
    ["br", "col", "hr", "img", "wbr"].iter().any(|name| tag.is(name))
}
