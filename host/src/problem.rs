//! What went wrong, in words: a stable code, a sentence that says what happened and one that says
//! what to do. Pages, the command line and the API take their words from here and nowhere else.
//!
//! The codes are the cases of `problem` in `wit/types.wit` and never change. Text of a provider is
//! quoted, shortened and without control characters; times are UTC.

use std::fmt;

use serde::Serialize;
use time::{OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

use crate::{
    contract::Problem,
    vault::{Lasting, Limit},
};

/// The most characters of somebody else's text that are quoted.
const QUOTE_LIMIT: usize = 300;

/// A problem in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Described {
    /// Stable, in kebab case, as in the contract.
    pub code: &'static str,
    /// What happened, one sentence.
    pub happened: String,
    /// What to do, one sentence.
    pub advice: String,
}

/// As the command line prints it: two sentences and the code.
impl fmt::Display for Described {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [{}]", self.happened, self.advice, self.code)
    }
}

/// The code of a problem, as in the contract.
pub fn code(problem: &Problem) -> &'static str {
    match problem {
        Problem::ScopeMissing(_) => "scope-missing",
        Problem::WrongMailbox(_) => "wrong-mailbox",
        Problem::ReconnectNeeded => "reconnect-needed",
        Problem::NotConnected => "not-connected",
        Problem::MailboxUnavailable(_) => "mailbox-unavailable",
        Problem::DailyLimit(_) => "daily-limit",
        Problem::TooLarge(_) => "too-large",
        Problem::AliasNotAccepted(_) => "alias-not-accepted",
        Problem::RecipientInvalid(_) => "recipient-invalid",
        Problem::MessageRefused(_) => "message-refused",
        Problem::RateLimited(_) => "rate-limited",
        Problem::ProviderUnavailable(_) => "provider-unavailable",
        Problem::CrmUnavailable(_) => "crm-unavailable",
        Problem::StorageUnavailable(_) => "storage-unavailable",
        Problem::Superseded => "superseded",
        Problem::PluginOverBudget(_) => "plugin-over-budget",
        Problem::SettingsInvalid(_) => "settings-invalid",
        Problem::Other(_) => "other",
    }
}

/// A problem in words.
pub fn describe(problem: &Problem) -> Described {
    Described {
        code: code(problem),
        happened: happened(problem),
        advice: advice(problem).to_owned(),
    }
}

/// A problem of a connection in words, with what is known of how long its grant lasted (S07).
pub fn describe_with(problem: &Problem, lasting: &Lasting) -> Described {
    let mut described = describe(problem);
    if let (Problem::ReconnectNeeded, Some(limit)) = (problem, lasting.ended_by()) {
        (described.happened, described.advice) = match limit {
            Limit::Testing => (
                "Google ended this connection's access seven days after consent: the publishing status of the \
                 OAuth app is “Testing”, and refresh tokens of such an app last 7 days."
                    .into(),
                "Connect the mailbox again for another 7 days; for longer, publish the app in the Google Cloud \
                 console (OAuth consent screen, Audience, “Publish app”) and then connect again. Nothing is lost."
                    .into(),
            ),
            Limit::TimeLimited => (
                "This connection's access was given for a limited time, which is over.".into(),
                "Connect the mailbox again in the settings; nothing is lost, and queued mail is sent afterwards."
                    .into(),
            ),
        };
    }
    described
}

/// Until when a grant lasts that has not ended yet, if that is known; a sentence or two.
pub fn access_text(lasting: &Lasting) -> Option<String> {
    let (None, Some(until), Some(limit)) = (lasting.lost_at, lasting.until, lasting.limit()) else {
        return None;
    };
    let until = utc_text(until);
    Some(match limit {
        Limit::Testing => format!(
            "Access lasts until {until}: the publishing status of the OAuth app is “Testing”, in which Google \
             ends it after 7 days. Publish the app and connect again, or connect again each week."
        ),
        Limit::TimeLimited => {
            format!("Access was given until {until}. Connect again before then to go on.")
        }
    })
}

/// A time for people: `2026-03-01 09:30 UTC`. Milliseconds since the epoch.
pub fn utc_text(milliseconds: u64) -> String {
    let text = moment(milliseconds).and_then(|moment| {
        moment
            .format(format_description!("[year]-[month]-[day] [hour]:[minute] UTC"))
            .ok()
    });
    text.unwrap_or_else(|| "an unknown time".to_owned())
}

/// A time for programs (RFC 3339): `2026-03-01T09:30:00Z`; empty if it has none. Milliseconds since
/// the epoch.
pub fn utc_rfc3339(milliseconds: u64) -> String {
    moment(milliseconds)
        .and_then(|moment| moment.replace_nanosecond(0).ok())
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// A size for people, in units of 1024² bytes as Gmail counts them, rounded up so that what is over
/// a limit never looks as if it were not.
pub fn size_text(bytes: u64) -> String {
    const KILO: u64 = 1 << 10;
    const MEGA: u64 = 1 << 20;
    match bytes {
        0..KILO => format!("{bytes} bytes"),
        KILO..MEGA => format!("{} kB", bytes.div_ceil(KILO)),
        _ => {
            let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(MEGA));
            format!("{}.{} MB", tenths / 10, tenths % 10)
        }
    }
}

fn happened(problem: &Problem) -> String {
    match problem {
        Problem::ScopeMissing(scopes) if scopes.is_empty() => {
            "Access was not granted to everything that is needed.".into()
        }
        Problem::ScopeMissing(scopes) => {
            let missing: Vec<_> = scopes.iter().map(|scope| permission(scope)).collect();
            format!("Permission was not given to {}.", missing.join("; to "))
        }
        Problem::WrongMailbox(found) => format!(
            "{} was connected, but {} was asked for.",
            or(&found.found, "Another mailbox"),
            or(&found.expected, "another mailbox")
        ),
        Problem::ReconnectNeeded => {
            "The mailbox no longer accepts this connection: its access was revoked or has expired.".into()
        }
        Problem::NotConnected => "No mailbox is connected.".into(),
        Problem::MailboxUnavailable(text) => with_quote("The account's mailbox cannot be used", text),
        Problem::DailyLimit(until) => format!(
            "The mailbox has sent as many messages as it may in 24 hours; it can send again from {}.",
            utc_text(*until)
        ),
        Problem::TooLarge(excess) => format!(
            "The message is {} as it would be sent, and the mailbox accepts {}.",
            size_text(excess.size),
            size_text(excess.limit)
        ),
        Problem::AliasNotAccepted(address) => format!(
            "The mailbox does not accept {} as a sender.",
            or(address, "this address")
        ),
        Problem::RecipientInvalid(address) if address.trim().is_empty() => {
            "The message has no recipient.".into()
        }
        Problem::RecipientInvalid(address) => {
            format!("“{}” cannot be used as a recipient's address.", quoted(address))
        }
        Problem::MessageRefused(text) => with_quote("The mail provider refused the message", text),
        Problem::RateLimited(until) => format!("The mail provider asked to wait until {}.", utc_text(*until)),
        Problem::ProviderUnavailable(text) => with_quote("The mail provider did not answer properly", text),
        Problem::CrmUnavailable(text) => with_quote("The CRM did not answer properly", text),
        Problem::StorageUnavailable(text) => with_quote("Twinbox could not reach its own storage", text),
        Problem::Superseded => {
            "Another run took this connection over; this one has written nothing more.".into()
        }
        Problem::PluginOverBudget(text) => with_quote(
            "The sync was stopped because it went over a limit of its sandbox",
            text,
        ),
        Problem::SettingsInvalid(text) => with_quote("The settings are not valid", text),
        Problem::Other(text) => with_quote("Something went wrong", text),
    }
}

fn advice(problem: &Problem) -> &'static str {
    match problem {
        Problem::ScopeMissing(_) => {
            "Connect again and leave every box on the consent page ticked; until then nothing is connected."
        }
        Problem::WrongMailbox(_) => {
            "Connect again and choose the right account, or ask for the other address."
        }
        Problem::ReconnectNeeded => {
            "Connect the mailbox again in the settings; nothing is lost, and queued mail is sent afterwards."
        }
        Problem::NotConnected => "Connect a mailbox in the settings.",
        Problem::MailboxUnavailable(_) => {
            "Ask the account's administrator to turn Gmail and its API on, then connect again."
        }
        Problem::DailyLimit(_) => {
            "Send it after that time, or choose “send when possible” and it goes out by itself."
        }
        Problem::TooLarge(_) => {
            "Remove attachments, or share large files by a link; attachments grow by about a third when they are sent."
        }
        Problem::AliasNotAccepted(_) => {
            "Send from the connected address, or add and confirm the alias in Gmail under “Send mail as”."
        }
        Problem::RecipientInvalid(_) => "Correct the recipients and send the message again.",
        Problem::MessageRefused(_) => "Change the message as the provider's answer says, and send it again.",
        Problem::RateLimited(_) | Problem::ProviderUnavailable(_) | Problem::CrmUnavailable(_) => {
            "There is nothing to do: it is tried again by itself."
        }
        Problem::StorageUnavailable(_) => {
            "Check that its disk has room and can be written; the work is tried again by itself."
        }
        Problem::Superseded => "There is nothing to do: the other run carries on.",
        Problem::PluginOverBudget(_) => {
            "It is tried again by itself; if it happens again, tell the operator, who can see the limits in the log."
        }
        Problem::SettingsInvalid(_) => "Correct the settings and save them again.",
        Problem::Other(_) => "Try again; if it happens again, tell the operator and give this code.",
    }
}

/// What a scope of Google's permits, in words
/// (<https://developers.google.com/workspace/gmail/api/auth/scopes>).
fn permission(scope: &str) -> String {
    let words = match scope
        .strip_prefix("https://www.googleapis.com/auth/")
        .unwrap_or(scope)
    {
        "gmail.modify" => "read, write and send mail in Gmail",
        "gmail.readonly" => "read mail in Gmail",
        "gmail.send" => "send mail with Gmail",
        "gmail.labels" => "see and change Gmail's labels",
        "gmail.metadata" => "see the headers of mail in Gmail",
        "gmail.settings.basic" => "see Gmail's settings",
        "contacts.readonly" => "see the contacts of the account",
        "userinfo.email" | "email" => "see the account's address",
        "userinfo.profile" | "profile" => "see the account's name",
        "openid" => "know which account it is",
        _ => return format!("use “{}”", quoted(scope)),
    };
    words.to_owned()
}

fn with_quote(sentence: &str, text: &str) -> String {
    let text = quoted(text);
    if text.is_empty() {
        format!("{sentence}.")
    } else {
        format!("{sentence}: “{text}”.")
    }
}

fn or(text: &str, fallback: &str) -> String {
    let text = quoted(text);
    if text.is_empty() {
        fallback.to_owned()
    } else {
        text
    }
}

/// Somebody else's text on one line, shortened, without what could change the text around it.
pub(crate) fn quoted(text: &str) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    let turns_text =
        |c: &char| matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let line: String = text
        .chars()
        .filter(|c| !turns_text(c))
        .map(visible)
        .take(QUOTE_LIMIT + 1)
        .collect();
    let line = line.trim();
    match line.char_indices().nth(QUOTE_LIMIT) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line.trim_end_matches('.').to_owned(),
    }
}

fn moment(milliseconds: u64) -> Option<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{AddressMismatch, SizeExcess};

    const UNTIL: u64 = 1_772_357_400_000;

    fn every_case() -> Vec<Problem> {
        let text = || "quota exceeded".to_owned();
        vec![
            Problem::ScopeMissing(vec!["https://www.googleapis.com/auth/gmail.modify".into()]),
            Problem::WrongMailbox(AddressMismatch {
                expected: "ann@example.com".into(),
                found: "bob@example.com".into(),
            }),
            Problem::ReconnectNeeded,
            Problem::NotConnected,
            Problem::MailboxUnavailable(text()),
            Problem::DailyLimit(UNTIL),
            Problem::TooLarge(SizeExcess {
                size: (25 << 20) + 1,
                limit: 25 << 20,
            }),
            Problem::AliasNotAccepted("sales@example.com".into()),
            Problem::RecipientInvalid("nobody".into()),
            Problem::MessageRefused(text()),
            Problem::RateLimited(UNTIL),
            Problem::ProviderUnavailable(text()),
            Problem::CrmUnavailable(text()),
            Problem::StorageUnavailable(text()),
            Problem::Superseded,
            Problem::PluginOverBudget(text()),
            Problem::SettingsInvalid(text()),
            Problem::Other(text()),
        ]
    }

    /// The cases of `problem` as the contract spells them, in its order.
    fn cases_of_the_contract() -> Vec<&'static str> {
        let wit = include_str!("../../wit/types.wit");
        let (_, variant) = wit.split_once("variant problem {").unwrap();
        let (cases, _) = variant.split_once('}').unwrap();
        cases
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with("///"))
            .map(|line| line.split(['(', ',']).next().unwrap())
            .collect()
    }

    #[test]
    fn every_code_is_the_name_of_its_case_in_the_contract() {
        let codes: Vec<_> = every_case().iter().map(code).collect();
        assert_eq!(codes, cases_of_the_contract());
    }

    #[test]
    fn every_case_says_in_a_sentence_what_happened_and_in_another_what_to_do() {
        for problem in every_case() {
            let Described { happened, advice, .. } = describe(&problem);
            for sentence in [&happened, &advice] {
                assert!(sentence.ends_with('.'), "{sentence}");
                assert!(sentence.len() > 20, "{sentence}");
                assert!(
                    sentence
                        .chars()
                        .next()
                        .is_some_and(|c| c.is_uppercase() || c == '“')
                        || sentence.contains('@'),
                    "{sentence}"
                );
            }
            assert_ne!(happened, advice);
        }
    }

    #[test]
    fn s07_an_app_in_testing_is_recognised_and_explained_before_and_after_the_end() {
        const WEEK: u64 = 7 * 86_400_000;
        let mut lasting = Lasting {
            granted_at: Some(UNTIL - WEEK),
            until: Some(UNTIL),
            lost_at: None,
        };
        let ahead = access_text(&lasting).unwrap();
        assert!(
            ahead.contains("until 2026-03-01 09:30 UTC") && ahead.contains("“Testing”"),
            "{ahead}"
        );
        let plain = describe(&Problem::ReconnectNeeded);
        assert_eq!(describe_with(&Problem::ReconnectNeeded, &lasting), plain);
        lasting.lost_at = Some(UNTIL);
        let ended = describe_with(&Problem::ReconnectNeeded, &lasting);
        assert_eq!(ended.code, "reconnect-needed");
        assert!(
            ended.happened.contains("“Testing”") && ended.happened.contains("7 days"),
            "{ended}"
        );
        assert!(ended.advice.contains("Publish app") && ended.advice.contains("onnect the mailbox again"));
        assert_eq!(access_text(&lasting), None);
        assert_eq!(
            describe_with(&Problem::NotConnected, &lasting),
            describe(&Problem::NotConnected)
        );
        assert_eq!(access_text(&Lasting::default()), None);
    }

    #[test]
    fn s21_the_limit_says_in_utc_when_it_works_again() {
        let described = describe(&Problem::DailyLimit(UNTIL));
        assert!(described.happened.contains("2026-03-01 09:30 UTC"), "{described}");
        assert_eq!(utc_rfc3339(UNTIL + 999), "2026-03-01T09:30:00Z");
    }

    #[test]
    fn s21_what_is_over_the_limit_by_a_byte_looks_larger_than_the_limit() {
        let described = describe(&Problem::TooLarge(SizeExcess {
            size: (25 << 20) + 1,
            limit: 25 << 20,
        }));
        assert!(described.happened.contains("25.1 MB") && described.happened.contains("25.0 MB"));
    }

    #[test]
    fn s02_a_missing_scope_is_named_in_words() {
        let described = describe(&Problem::ScopeMissing(vec![
            "https://www.googleapis.com/auth/gmail.modify".into(),
            "https://example.com/other".into(),
        ]));
        assert_eq!(
            described.happened,
            "Permission was not given to read, write and send mail in Gmail; to use “https://example.com/other”."
        );
    }

    #[test]
    fn a_providers_text_is_one_short_line() {
        let text = format!("line\r\nbreak \u{202e}{}", "x".repeat(1_000));
        let described = describe(&Problem::Other(text));
        assert!(!described.happened.contains(['\n', '\r', '\u{202e}']));
        assert!(described.happened.chars().count() < QUOTE_LIMIT + 50);
    }

    #[test]
    fn a_time_out_of_range_is_no_panic() {
        assert_eq!(utc_text(u64::MAX), "an unknown time");
        assert_eq!(utc_rfc3339(u64::MAX), "");
    }

    #[test]
    fn the_command_line_prints_both_sentences_and_the_code() {
        assert_eq!(
            describe(&Problem::NotConnected).to_string(),
            "No mailbox is connected. Connect a mailbox in the settings. [not-connected]"
        );
    }
}
