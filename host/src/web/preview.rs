//! A dry run (T06): what the rules would make of the mailbox's newest mail, by its headers alone. Nothing is written.

use std::collections::HashMap;

use axum::extract::Query;
use maud::{Markup, html};

use super::{
    Desk,
    escape::segment,
    failure::Failure,
    layout::Section,
    settings::{id_field, own},
    why::{Verdict, in_words},
};
use crate::{
    contract::{Explanation, Outcome, PreviewRange},
    explained::{input, wish},
    store::Connection,
};

/// Messages of one dry run at most: each costs one request.
const MOST: u32 = 100;
/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;
/// The choices of how far back it looks, in days.
const DAYS: [u64; 3] = [1, 7, 30];

/// `GET /settings/preview`. `days` is how far back it looks; without it nothing is looked at yet.
pub(super) async fn page(
    desk: Desk,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Markup, Failure> {
    let connection = own(&desk, query.get("connection").map_or("", String::as_str)).await?;
    let days = query.get("days").and_then(|days| days.parse().ok());
    let days = days.filter(|days| DAYS.contains(days));
    let found = match days {
        Some(days) => {
            let range = PreviewRange {
                since: desk.connections.now().saturating_sub(days * DAY),
                most: MOST,
            };
            let id = &connection.scope.connection;
            Some(desk.connections.preview(id, range).await?)
        }
        None => None,
    };
    let main = html! {
        main.narrow {
            h1 { "What would be synced of " (connection.address) }
            p {
                "The rules look at the newest mail as if it came now, at most " (MOST) " messages. Only headers are read, "
                "nothing is written."
            }
            (range_form(&connection, days))
            @if let Some(found) = &found { (outcome(found)) }
            p { a.button href={ "/settings/privacy?connection=" (segment(connection.scope.connection.as_str())) } { "Privacy" } }
        }
    };
    Ok(desk.page("Preview", Section::Settings, &main))
}

fn range_form(connection: &Connection, chosen: Option<u64>) -> Markup {
    let name = |days| match days {
        1 => "the last day",
        7 => "the last week",
        _ => "the last 30 days",
    };
    html! {
        form.write method="get" action="/settings/preview" {
            (id_field(connection))
            label {
                "Mail of"
                select name="days" {
                    @for days in DAYS {
                        option value=(days) selected[chosen.unwrap_or(DAYS[1]) == days] { (name(days)) }
                    }
                }
            }
            p { button.primary { "Look" } }
        }
    }
}

fn outcome(found: &[Explanation]) -> Markup {
    let synced = found.iter().filter(|explanation| is_synced(explanation)).count();
    html! {
        section aria-label="Outcome" {
            h2 { (synced) " of " (found.len()) " messages would be synced" }
            ul.plain { @for explanation in found { (line(explanation)) } }
        }
    }
}

fn line(explanation: &Explanation) -> Markup {
    let (class, word, verdict) = if is_synced(explanation) {
        ("good", "Synced", Verdict::Here)
    } else {
        ("open", "Kept out", Verdict::KeptOut)
    };
    let subject = match input(explanation, "subject") {
        "" => "(no subject)",
        subject => subject,
    };
    html! {
        li {
            span class={ "badge " (class) } { (word) } " " strong { (subject) } " " span.muted { (input(explanation, "sender")) }
            br;
            span.muted {
                (in_words(&explanation.rule, verdict))
                @if let Some((_, matched)) = wish(explanation) { " It matches “" (matched) "”." }
                " Rule " (explanation.rule) "."
            }
        }
    }
}

fn is_synced(explanation: &Explanation) -> bool {
    matches!(explanation.outcome, Outcome::Delivered(_))
}
