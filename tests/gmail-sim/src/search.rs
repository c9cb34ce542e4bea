//! Gmail's search language, as far as API clients use it.
//!
//! `from: to: cc: bcc: subject: label: in: is: has: filename: rfc822msgid: after: before: newer: older: newer_than:
//! older_than: larger: smaller: category:`, words, "phrases", `-`, `OR`, `{…}` and parentheses. Dates are UTC days. Source: Gmail help,
//! "Refine searches in Gmail". An unknown operator is searched as words.

use std::collections::BTreeMap;

use time::{Date, Month, PrimitiveDateTime, Time};

use crate::labels::{DRAFT, INBOX, Label, SENT, SPAM, TRASH, UNREAD};
use crate::mailbox::Stored;
use crate::message::Mailbox;

/// Deepest nesting of parentheses.
const MAX_DEPTH: usize = 32;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A parsed query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Query {
    All(Vec<Query>),
    Any(Vec<Query>),
    Not(Box<Query>),
    MessageId(String),
    After(i64),
    Before(i64),
    Person(Field, String),
    Subject(String),
    /// By label id or name.
    Label(String),
    Anywhere,
    Read,
    Attachment,
    Filename(String),
    Larger(usize),
    Smaller(usize),
    Words(String),
}

/// Which addresses a person is looked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    From,
    /// To, Cc and Bcc, as Gmail does.
    To,
    Cc,
    Bcc,
}

impl Query {
    /// Parses a query; anything is a query.
    pub(crate) fn parse(text: &str, now: i64) -> Self {
        let tokens = tokens(text);
        let mut rest = tokens.as_slice();
        parse_group(&mut rest, now, 0)
    }

    /// Whether a message matches. `labels` gives names to ids.
    pub(crate) fn matches(&self, stored: &Stored, labels: &BTreeMap<String, Label>) -> bool {
        let mail = &stored.parsed;
        match self {
            Self::All(terms) => terms.iter().all(|term| term.matches(stored, labels)),
            Self::Any(terms) => terms.iter().any(|term| term.matches(stored, labels)),
            Self::Not(term) => !term.matches(stored, labels),
            Self::MessageId(id) => mail.message_id.as_deref() == Some(id),
            Self::After(ms) => stored.internal_date >= *ms,
            Self::Before(ms) => stored.internal_date < *ms,
            Self::Person(Field::From, who) => names(&mail.from, who),
            Self::Person(Field::To, who) => {
                names(&mail.to, who) || names(&mail.cc, who) || names(&mail.bcc, who)
            }
            Self::Person(Field::Cc, who) => names(&mail.cc, who),
            Self::Person(Field::Bcc, who) => names(&mail.bcc, who),
            Self::Subject(words) => contains_words(&mail.subject.to_lowercase(), words),
            Self::Label(wanted) => stored.labels.iter().any(|id| is_label(id, labels, wanted)),
            Self::Anywhere => true,
            Self::Read => !stored.labels.contains(UNREAD),
            Self::Attachment => mail.has_attachment,
            Self::Filename(name) => mail.root.any(&|part| part.filename.to_lowercase().contains(name)),
            Self::Larger(size) => mail.raw.len() > *size,
            Self::Smaller(size) => mail.raw.len() < *size,
            Self::Words(words) => contains_words(&mail.searchable(), words),
        }
    }

    /// Whether the query itself asks for spam or trash, so that they are not hidden.
    pub(crate) fn reaches_hidden(&self) -> bool {
        match self {
            Self::All(terms) | Self::Any(terms) => terms.iter().any(Self::reaches_hidden),
            Self::Anywhere => true,
            Self::Label(name) => name == "spam" || name == "trash",
            _ => false,
        }
    }

    /// The Message-ID that every match must have, for the index.
    pub(crate) fn message_id(&self) -> Option<&str> {
        match self {
            Self::MessageId(id) => Some(id),
            Self::All(terms) => terms.iter().find_map(Self::message_id),
            _ => None,
        }
    }
}

/// Splits at blanks, outside quotes; brackets and a leading minus are tokens of their own.
fn tokens(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for c in text.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.push(c);
            }
            c if quoted => word.push(c),
            '-' if word.is_empty() => out.push("-".to_owned()),
            '(' | ')' | '{' | '}' => {
                flush(&mut word, &mut out);
                out.push(c.to_string());
            }
            c if c.is_whitespace() => flush(&mut word, &mut out),
            c => word.push(c),
        }
    }
    flush(&mut word, &mut out);
    out
}

fn flush(word: &mut String, out: &mut Vec<String>) {
    if !word.is_empty() {
        out.push(std::mem::take(word));
    }
}

/// Terms up to a closing bracket or the end; `OR` binds its two neighbours.
fn parse_group(rest: &mut &[String], now: i64, depth: usize) -> Query {
    let mut all: Vec<Query> = Vec::new();
    let mut or_next = false;
    while let Some((token, after)) = rest.split_first() {
        if token == ")" || token == "}" {
            break;
        }
        if token == "OR" || token == "AND" {
            *rest = after;
            or_next = token == "OR" && !all.is_empty();
            continue;
        }
        let term = parse_term(rest, now, depth);
        match all.pop() {
            Some(Query::Any(mut terms)) if or_next => {
                terms.push(term);
                all.push(Query::Any(terms));
            }
            Some(previous) if or_next => all.push(Query::Any(vec![previous, term])),
            previous => all.extend(previous.into_iter().chain([term])),
        }
        or_next = false;
    }
    Query::All(all)
}

fn parse_term(rest: &mut &[String], now: i64, depth: usize) -> Query {
    let Some((token, after)) = rest.split_first() else {
        return Query::All(Vec::new());
    };
    *rest = after;
    match token.as_str() {
        _ if depth > MAX_DEPTH => Query::Words(token.to_lowercase()),
        "-" => Query::Not(Box::new(parse_term(rest, now, depth + 1))),
        "(" => {
            let group = parse_group(rest, now, depth + 1);
            *rest = rest.split_first().map_or(*rest, |(_, after)| after);
            group
        }
        "{" => {
            let group = parse_group(rest, now, depth + 1);
            *rest = rest.split_first().map_or(*rest, |(_, after)| after);
            match group {
                Query::All(terms) => Query::Any(terms),
                other => other,
            }
        }
        word => match word.split_once(':') {
            Some((operator, "")) if rest.first().is_some_and(|next| next == "(") => {
                parse_operator_group(operator, rest, now, depth)
            }
            Some((operator, value)) if !operator.starts_with('"') => operator_term(operator, value, now),
            _ => Query::Words(clean(word)),
        },
    }
}

/// `subject:(dinner movie)`: the operator applies to each word.
fn parse_operator_group(operator: &str, rest: &mut &[String], now: i64, depth: usize) -> Query {
    fn apply(operator: &str, query: Query, now: i64) -> Query {
        match query {
            Query::All(terms) => {
                Query::All(terms.into_iter().map(|term| apply(operator, term, now)).collect())
            }
            Query::Any(terms) => {
                Query::Any(terms.into_iter().map(|term| apply(operator, term, now)).collect())
            }
            Query::Not(term) => Query::Not(Box::new(apply(operator, *term, now))),
            Query::Words(words) => operator_term(operator, &words, now),
            other => other,
        }
    }
    let group = parse_term(rest, now, depth + 1);
    apply(operator, group, now)
}

fn operator_term(operator: &str, value: &str, now: i64) -> Query {
    let text = clean(value);
    match operator.to_ascii_lowercase().as_str() {
        "rfc822msgid" => Query::MessageId(value.trim_matches(['<', '>', '"']).to_owned()),
        "after" | "newer" => date_ms(&text).map_or(Query::Words(text), Query::After),
        "before" | "older" => date_ms(&text).map_or(Query::Words(text), Query::Before),
        "newer_than" => span_ms(&text).map_or(Query::Words(text), |span| Query::After(now - span)),
        "older_than" => span_ms(&text).map_or(Query::Words(text), |span| Query::Before(now - span)),
        "from" => Query::Person(Field::From, text),
        "to" => Query::Person(Field::To, text),
        "cc" => Query::Person(Field::Cc, text),
        "bcc" => Query::Person(Field::Bcc, text),
        "subject" => Query::Subject(text),
        "label" => Query::Label(text),
        "category" => Query::Label(format!("category_{text}")),
        "in" => match text.as_str() {
            "anywhere" => Query::Anywhere,
            "draft" | "drafts" => Query::Label(DRAFT.to_lowercase()),
            "sent" => Query::Label(SENT.to_lowercase()),
            "inbox" => Query::Label(INBOX.to_lowercase()),
            "trash" => Query::Label(TRASH.to_lowercase()),
            "spam" => Query::Label(SPAM.to_lowercase()),
            _ => Query::Label(text),
        },
        "is" => match text.as_str() {
            "read" => Query::Read,
            _ => Query::Label(text),
        },
        "has" if text == "attachment" => Query::Attachment,
        "filename" => Query::Filename(text),
        "larger" | "size" => bytes(&text).map_or(Query::Words(text), Query::Larger),
        "smaller" => bytes(&text).map_or(Query::Words(text), Query::Smaller),
        _ => Query::Words(format!("{} {text}", operator.to_lowercase())),
    }
}

fn clean(value: &str) -> String {
    value.replace('"', "").to_lowercase()
}

/// A day as `2026/11/23`, `2026-11-23` or `11/23/2026`, or seconds since the epoch.
fn date_ms(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let numbers: Vec<i32> = text
        .split(['/', '-'])
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let [first, second, third] = numbers.as_slice() else {
        return None;
    };
    let (year, month, day) = if *first > 31 {
        (*first, *second, *third)
    } else {
        (*third, *first, *second)
    };
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(year, month, u8::try_from(day).ok()?).ok()?;
    PrimitiveDateTime::new(date, Time::MIDNIGHT)
        .assume_utc()
        .unix_timestamp()
        .checked_mul(1000)
}

/// `3d`, `2m`, `1y`, `5h`.
fn span_ms(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok()?;
    let each = match unit {
        'h' => DAY_MS / 24,
        'd' => DAY_MS,
        'm' => 30 * DAY_MS,
        'y' => 365 * DAY_MS,
        _ => return None,
    };
    count.checked_mul(each)
}

fn bytes(text: &str) -> Option<usize> {
    let (digits, factor) = match text.strip_suffix('k').map(|rest| (rest, 1024)) {
        Some(found) => found,
        None => text
            .strip_suffix('m')
            .map_or((text, 1), |rest| (rest, 1024 * 1024)),
    };
    digits.parse::<usize>().ok()?.checked_mul(factor)
}

fn names(mailboxes: &[Mailbox], who: &str) -> bool {
    let who = who.trim_matches(['<', '>']);
    if who == "me" {
        return false;
    }
    mailboxes.iter().any(|mailbox| {
        mailbox.address == who
            || contains_words(&mailbox.address, who)
            || contains_words(&mailbox.name.to_lowercase(), who)
    })
}

fn is_label(id: &str, labels: &BTreeMap<String, Label>, wanted: &str) -> bool {
    let dashed = |name: &str| name.to_lowercase().replace([' ', '/'], "-");
    id.eq_ignore_ascii_case(wanted)
        || labels
            .get(id)
            .is_some_and(|label| dashed(&label.name) == dashed(wanted))
}

/// Whether the words stand in the text next to each other, as whole words. Both are lower case.
fn contains_words(text: &str, words: &str) -> bool {
    let normal = |text: &str| {
        let words: Vec<&str> = text
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        format!(" {} ", words.join(" "))
    };
    let words = normal(words);
    words.trim().is_empty() || normal(text).contains(&words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_negation_and_or_are_understood() {
        let query = Query::parse("from:a@b.c -in:inbox {x y} \"a phrase\" after:1700000000", 0);
        assert_eq!(
            query,
            Query::All(vec![
                Query::Person(Field::From, "a@b.c".into()),
                Query::Not(Box::new(Query::Label("inbox".into()))),
                Query::Any(vec![Query::Words("x".into()), Query::Words("y".into())]),
                Query::Words("a phrase".into()),
                Query::After(1_700_000_000_000),
            ])
        );
        assert_eq!(
            Query::parse("a OR b c", 0),
            Query::All(vec![
                Query::Any(vec![Query::Words("a".into()), Query::Words("b".into())]),
                Query::Words("c".into()),
            ])
        );
    }

    #[test]
    fn dates_are_read_in_each_spelling() {
        for text in ["2023/11/14", "2023-11-14", "11/14/2023", "1699920000"] {
            assert_eq!(date_ms(text), Some(1_699_920_000_000), "{text}");
        }
        assert_eq!(date_ms("yesterday"), None);
        assert_eq!(date_ms("2023/13/01"), None);
    }

    #[test]
    fn words_match_whole_words_only() {
        assert!(contains_words("the offer, number 7", "offer number"));
        assert!(!contains_words("the offers", "offer"));
    }

    #[test]
    fn no_query_is_too_deep() {
        for open in ["(", "{", "-", "subject:("] {
            Query::parse(&open.repeat(20_000), 0);
        }
    }
}
