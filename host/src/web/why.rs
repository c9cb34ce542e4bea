//! Why a message is in the CRM, or is not (T02): the rule in people's words, and what it looked at.

use axum::extract::Path;
use maud::{Markup, html};

use super::{
    Desk,
    compose::present,
    escape::segment,
    failure::Failure,
    layout::{Section, time},
};
use crate::{
    contract::{Explanation, Field, Outcome, Subject},
    crm::StoredMessage,
    scope::ConnectionId,
};

/// `GET /messages/{id}/why`.
pub(super) async fn page(desk: Desk, Path(id): Path<String>) -> Result<Markup, Failure> {
    let stored = present(&desk, &id).await?;
    let explanation = explained(&desk, &stored).await;
    let message = &stored.message;
    let main = html! {
        main.narrow {
            h1 { "Why this message is here" }
            p { strong { (message.subject) } " · " (time(message.received_at)) }
            p { (in_words(&message.rule, Verdict::Here)) " " span.badge { "Rule " (message.rule) } }
            @match &explanation {
                Some(explanation) => (details(explanation)),
                None => p.muted { "The mailbox cannot be asked for more right now." },
            }
            p {
                a.button href={ "/conversations/" (segment(&message.contact_id)) "#message-" (segment(&id)) } { "Back" }
            }
        }
    };
    Ok(desk.page("Why this message is here", Section::Conversations, &main))
}

/// What the connection's ledger says of the message; nothing where it cannot be asked, or does not know it.
pub(crate) async fn explained(desk: &Desk, stored: &StoredMessage) -> Option<Explanation> {
    let id = stored.message.message_id.clone()?;
    let connection: &ConnectionId = &stored.connection;
    let found = desk.connections.explain(connection, Subject::MessageId(id)).await;
    let is_it = |explanation: &Explanation| matches!(&explanation.outcome, Outcome::Delivered(contact) if *contact == stored.message.contact_id);
    found.ok()?.into_iter().find(is_it)
}

fn details(explanation: &Explanation) -> Markup {
    html! {
        h2 { "What was looked at" }
        dl.people {
            // The rule's meaning stands above, in the reader's words.
            @for input in explanation.inputs.iter().filter(|input| input.name != "meaning") {
                dt { (label(&input.name)) } dd { (value(input)) }
            }
            dt { "Decided" } dd { (time(explanation.decided_at)) ", by version " (explanation.version) }
        }
    }
}

/// What a rule did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Here,
    KeptOut,
}

/// A rule in one sentence, as it concerns the reader.
pub(super) fn in_words(rule: &str, verdict: Verdict) -> &'static str {
    match (rule, verdict) {
        ("S04", _) => "It is older than the connection, and such mail stays where it is.",
        ("S10", Verdict::Here) => "It came from a contact.",
        ("S10", Verdict::KeptOut) => "Nobody in it is a contact.",
        ("S11", _) => "It was sent from the mailbox to a contact.",
        ("S12", _) => "It was forwarded to a contact, which counts as sent.",
        ("S13", _) => "A contact wrote it to somebody else, with the mailbox among the recipients.",
        ("S15", _) => "It belongs to the first of its recipients who is a contact.",
        ("S16", _) => "Several contacts have this address; the one that was created first gets the mail.",
        ("S18", _) => "The BCC address was among its recipients.",
        ("S20", _) => "It was written here.",
        ("S22", _) => "It was written here, as bulk mail.",
        ("S30", _) => "The contact is assigned to somebody else.",
        ("S31", _) => "The contact was answered from another CRM account, which keeps them from then on.",
        ("S32", _) => "It was sent from another CRM account and is logged there alone.",
        ("T06", _) => "What is to be kept private keeps it out.",
        (_, Verdict::Here) => "A rule of the sync brought it.",
        (_, Verdict::KeptOut) => "A rule of the sync keeps it out.",
    }
}

/// What an input of a rule is called.
fn label(name: &str) -> String {
    let mut words = name.replace('-', " ");
    if let Some(first) = words.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    words
}

fn value(input: &Field) -> Markup {
    let is_time = matches!(
        input.name.as_str(),
        "received-at" | "connected-at" | "released-at"
    );
    match input.value.parse() {
        Ok(at) if is_time => time(at),
        Ok(_) | Err(_) => html! { (input.value) },
    }
}
