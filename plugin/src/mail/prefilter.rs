//! What stands between a mail's HTML and the HTML parser: limits.
//!
//! html5ever and ammonia do not recurse, but they can be made to work and to remember without end: every open `<font>` is
//! opened again in each later paragraph, so some kilobytes become gigabytes of tree, and scope checks walk the stack of
//! open elements for each tag. So one linear pass follows the open elements as the HTML standard does (section 13.2.6.4.7,
//! roughly and never to less), and leaves out the tags that go too far; the text always stays. Elements that the
//! sanitiser would take away are left out here already: it is the cheaper place, and without foreign and raw-text elements
//! both tokenizers agree. This is no security filter: what passes here is sanitised afterwards.

use std::collections::BTreeMap;

use super::html::{HIDDEN, Tag, Token, Tokens};
use super::sanitise::ALLOWED_TAGS;

/// The deepest nesting that is kept.
pub(super) const MAX_OPEN: usize = 100;
/// What the whole document may cost, in elements the parser has to make (about 200 bytes each).
const MAX_COST: usize = 150_000;
/// The most attributes of one tag that are kept.
const MAX_ATTRIBUTES: usize = 32;

/// The most `&` that are kept: html5ever's time grows with the square of their number (0.40: 2 s for 200,000).
const MAX_AMPERSANDS: usize = 30_000;

/// HTML within limits.
pub(super) struct Limited {
    pub(super) html: String,
    /// Tags were left out because of a limit.
    pub(super) simplified: bool,
}

pub(super) fn prefilter(html: &str) -> Limited {
    let mut filter = Filter {
        out: String::with_capacity(html.len()),
        open: Vec::new(),
        dropped: BTreeMap::new(),
        cost: 0,
        ampersands: 0,
        simplified: false,
    };
    let mut tokens = Tokens::new(html);
    while let Some(token) = tokens.next() {
        match token {
            Token::Text(text) => filter.text(text),
            Token::Start(tag) => {
                if let Some(hidden) = HIDDEN.iter().find(|hidden| tag.is(hidden)) {
                    tokens.skip_raw(hidden);
                } else {
                    filter.start(&tag);
                }
            }
            Token::End(tag) => filter.end(&tag),
            Token::Markup => {}
        }
    }
    Limited {
        html: filter.out,
        simplified: filter.simplified,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Has no content, or is closed by the next of its kind at the latest: does not nest.
    Flat,
    /// Rows and row groups: nest through their table alone.
    Row,
    Cell,
    Table,
    /// Opened again after a block that closed it (the standard's "formatting" category).
    Formatting,
    /// List items and definitions: one closes the one before.
    Item,
    Block,
}

struct Open {
    name: &'static str,
    kind: Kind,
    cost: usize,
}

struct Filter {
    out: String,
    open: Vec<Open>,
    /// Start tags left out, whose end tags are to be left out too.
    dropped: BTreeMap<&'static str, usize>,
    cost: usize,
    ampersands: usize,
    simplified: bool,
}

impl Filter {
    fn text(&mut self, text: &str) {
        if !text.trim_ascii().is_empty() {
            self.cost = self.cost.saturating_add(1 + self.reopening());
        }
        if self.too_many_ampersands(text) {
            return self.out.extend(text.chars().filter(|c| !matches!(c, '&' | '<')));
        }
        // A `<` that opens no tag must not become one beside a tag that is left out.
        match text.strip_suffix('<').or_else(|| text.strip_suffix("</")) {
            Some(before) => {
                self.out.push_str(before);
                self.out.push_str("&lt;");
                self.out.push_str(&text[before.len() + 1..]);
            }
            None => self.out.push_str(text),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        let Some(name) = allowed(tag) else {
            // Where a block is left out, words must not run together.
            return self.separate(tag);
        };
        let kind = kind(name);
        let attributes = tag.attributes().take(MAX_ATTRIBUTES + 1).count();
        let weight = 1 + attributes.min(MAX_ATTRIBUTES) / 3;
        self.close_implied(name, kind);
        self.cost = self.cost.saturating_add(weight + self.reopening());
        let nests = !matches!(kind, Kind::Flat | Kind::Row);
        if self.cost > MAX_COST || (nests && self.open.len() >= MAX_OPEN) {
            self.simplified = true;
            if nests {
                *self.dropped.entry(name).or_default() += 1;
            }
            return self.separate(tag);
        }
        if nests {
            self.open.push(Open {
                name,
                kind,
                cost: weight,
            });
        }
        if attributes > MAX_ATTRIBUTES || self.too_many_ampersands(tag.raw) {
            self.simplified = true;
            self.out.push('<');
            self.out.push_str(name);
            self.out.push('>');
        } else {
            self.out.push_str(tag.raw);
        }
    }

    fn end(&mut self, tag: &Tag<'_>) {
        let Some(name) = allowed(tag) else {
            return self.separate(tag);
        };
        if let Some(count) = self.dropped.get_mut(name).filter(|count| **count > 0) {
            *count -= 1;
            return self.separate(tag);
        }
        let kind = kind(name);
        match kind {
            Kind::Flat => {}
            Kind::Row => self.close_cell(),
            _ => {
                let Some(at) = self.open.iter().rposition(|open| open.name == name) else {
                    return;
                };
                self.close(at, kind);
            }
        }
        if self.cost <= MAX_COST {
            self.cost += 1;
            self.out.push_str("</");
            self.out.push_str(name);
            self.out.push('>');
        } else {
            self.simplified = true;
        }
    }

    /// Closes `open[at]` and, unless a table lies between, everything in it; formatting elements stay open in the sense
    /// that the parser opens them again.
    fn close(&mut self, at: usize, kind: Kind) {
        let above = self.open.get(at + 1..).unwrap_or_default();
        match kind {
            Kind::Formatting => {
                self.open.remove(at);
            }
            Kind::Cell => self.open.truncate(at),
            Kind::Table => {
                if let Some(cell) = above.iter().position(|open| open.kind == Kind::Cell) {
                    self.open.truncate(at + 1 + cell);
                }
                self.keep_formatting_above(at);
            }
            _ if above
                .iter()
                .any(|open| matches!(open.kind, Kind::Table | Kind::Cell)) => {}
            _ => self.keep_formatting_above(at),
        }
    }

    fn keep_formatting_above(&mut self, at: usize) {
        let above = self.open.split_off(at);
        self.open.extend(
            above
                .into_iter()
                .skip(1)
                .filter(|open| open.kind == Kind::Formatting),
        );
    }

    /// What a start tag closes by itself.
    fn close_implied(&mut self, name: &'static str, kind: Kind) {
        match kind {
            Kind::Row | Kind::Cell => self.close_cell(),
            Kind::Item => {
                let same = |open: &Open| open.kind == Kind::Item && (open.name == "li") == (name == "li");
                if self.open.last().is_some_and(same) {
                    self.open.pop();
                }
            }
            Kind::Formatting if name == "a" => {
                if let Some(at) = self
                    .open
                    .iter()
                    .rposition(|open| open.name == "a" || open.kind == Kind::Cell)
                    && self.open.get(at).is_some_and(|open| open.name == "a")
                {
                    self.open.remove(at);
                }
            }
            _ => {}
        }
    }

    fn close_cell(&mut self) {
        let innermost = self
            .open
            .iter()
            .rposition(|open| matches!(open.kind, Kind::Cell | Kind::Table));
        if let Some(at) =
            innermost.filter(|at| self.open.get(*at).is_some_and(|open| open.kind == Kind::Cell))
        {
            self.open.truncate(at);
        }
    }

    fn too_many_ampersands(&mut self, raw: &str) -> bool {
        self.ampersands += raw.bytes().filter(|b| *b == b'&').count();
        self.simplified |= self.ampersands > MAX_AMPERSANDS;
        self.ampersands > MAX_AMPERSANDS
    }

    /// What the parser may have to open again before the next element or text.
    fn reopening(&self) -> usize {
        self.open
            .iter()
            .filter(|open| open.kind == Kind::Formatting)
            .map(|open| open.cost)
            .sum()
    }

    fn separate(&mut self, tag: &Tag<'_>) {
        if !is_inline(tag.name) && !self.out.ends_with(|c: char| c.is_ascii_whitespace()) {
            self.out.push('\n');
        }
    }
}

/// The listed name of an allowed element.
fn allowed(tag: &Tag<'_>) -> Option<&'static str> {
    ALLOWED_TAGS.iter().copied().find(|name| tag.is(name))
}

fn kind(name: &str) -> Kind {
    match name {
        "br" | "hr" | "img" | "wbr" | "col" | "p" => Kind::Flat,
        "tr" | "tbody" | "thead" | "tfoot" | "colgroup" => Kind::Row,
        "td" | "th" | "caption" => Kind::Cell,
        "table" => Kind::Table,
        "a" | "b" | "big" | "code" | "em" | "font" | "i" | "s" | "small" | "strike" | "strong" | "tt"
        | "u" => Kind::Formatting,
        "li" | "dd" | "dt" => Kind::Item,
        _ => Kind::Block,
    }
}

fn is_inline(name: &str) -> bool {
    name.contains(':')
        || [
            "a", "abbr", "acronym", "b", "bdi", "bdo", "big", "cite", "code", "del", "dfn", "em", "font",
            "i", "ins", "kbd", "label", "mark", "nobr", "q", "s", "samp", "small", "span", "strike",
            "strong", "sub", "sup", "time", "tt", "u", "var",
        ]
        .iter()
        .any(|inline| name.eq_ignore_ascii_case(inline))
}
