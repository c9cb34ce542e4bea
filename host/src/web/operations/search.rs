//! What the ledgers of a tenant's connections say of a message or a contact (T02).

use maud::{Markup, html};

use crate::{
    contract::{Explanation, Outcome},
    explained::subjects,
    store::Connection,
    web::{
        Desk,
        connections::Trouble,
        escape::segment,
        failure::described,
        layout::time,
        why::{Verdict, in_words},
    },
};

/// Connections that a search asks at most: each runs the component once.
const ASKED: usize = 20;
/// Messages that a search shows at most.
const SHOWN: usize = 100;
/// The longest text to search for, bytes.
pub(super) const TEXT_LIMIT: usize = 1_000;

pub(super) fn form(find: &str) -> Markup {
    html! {
        form.write method="get" action="/operations" {
            label {
                "A message's id at the provider, its Message-ID, or a contact's address"
                input type="search" name="find" value=(find) maxlength=(TEXT_LIMIT) required;
            }
            p { button.primary { "Look it up" } }
        }
    }
}

/// What a connection's ledger says, or why it cannot be asked.
pub(crate) struct Hit<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) found: Result<Vec<Explanation>, Trouble>,
}

/// Asks the ledgers of connections.
pub(crate) async fn look_up<'c>(desk: &Desk, connections: &'c [Connection], find: &str) -> Vec<Hit<'c>> {
    let mut hits = Vec::new();
    for connection in connections.iter().take(ASKED) {
        let found = look_up_in(desk, connection, find).await;
        hits.push(Hit { connection, found });
    }
    hits
}

/// What a connection's ledger says, by the likeliest meaning of the text that it says something of.
pub(crate) async fn look_up_in(
    desk: &Desk,
    connection: &Connection,
    find: &str,
) -> Result<Vec<Explanation>, Trouble> {
    for subject in subjects(find) {
        let found = desk
            .connections
            .explain(&connection.scope.connection, subject)
            .await?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

pub(super) fn hits(hits: &[Hit<'_>]) -> Markup {
    html! {
        section aria-label="Found" {
            @for hit in hits {
                h3 { (hit.connection.address) }
                @match &hit.found {
                    Err(trouble) => (described(trouble)),
                    Ok(found) if found.is_empty() => p.muted { "Neither the mailbox nor the ledger has it." },
                    Ok(found) => ul.plain { @for explanation in found.iter().take(SHOWN) { (line(explanation)) } },
                }
            }
        }
    }
}

pub(super) fn line(explanation: &Explanation) -> Markup {
    let (class, outcome, verdict) = match &explanation.outcome {
        Outcome::Delivered(_) => ("good", "Delivered".to_owned(), Verdict::Here),
        Outcome::Excluded(_) => ("open", "Kept out".to_owned(), Verdict::KeptOut),
        Outcome::Gone => ("open", "Gone before it was read".to_owned(), Verdict::KeptOut),
        Outcome::Quarantined(why) => ("bad", format!("Set aside: {why}"), Verdict::KeptOut),
        Outcome::Missing => (
            "bad",
            "Missing; the next pass brings it".to_owned(),
            Verdict::KeptOut,
        ),
    };
    html! {
        li {
            span class={ "badge " (class) } { (outcome) } " " code { (explanation.id) } " "
            span.muted { (time(explanation.decided_at)) ", version " (explanation.version) }
            br;
            (in_words(&explanation.rule, verdict)) " Rule " (explanation.rule) "."
            @if let Outcome::Delivered(contact) = &explanation.outcome {
                " " a href={ "/conversations/" (segment(contact)) } { "Conversation" }
            }
            details {
                summary { "What was looked at" }
                dl.people { @for input in &explanation.inputs { dt { (input.name) } dd { (input.value) } } }
            }
        }
    }
}
