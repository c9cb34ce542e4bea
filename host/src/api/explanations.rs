//! Why mail is here, or is not (T02), and what would become of mail (T06).

use std::collections::BTreeMap;

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    asked::{Range, Sought},
    extract::{Asked, At},
    problem::{Problem, Refused},
};
use crate::{
    contract,
    web::{Desk, look_up_in, own_connection},
};

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Fate {
    /// It is here.
    Delivered,
    /// A rule keeps it out.
    Excluded,
    /// It was gone before it could be read.
    Gone,
    /// It could not be handled and is tried again.
    Quarantined,
    /// It is in the mailbox and nothing is known of it; the next pass brings it.
    Missing,
}

/// Something that a rule looked at.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Input {
    /// What it is.
    name: String,
    /// Times are milliseconds since the epoch.
    value: String,
}

/// Why a message is here, or is not.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanation {
    /// The provider's id of the message.
    id: String,
    /// What became of it.
    fate: Fate,
    /// The contact it was delivered to.
    contact: Option<String>,
    /// Why it could not be handled.
    reason: Option<String>,
    /// The rule that decided, such as `S10`; empty where none did.
    rule: String,
    /// What the rule looked at.
    inputs: Vec<Input>,
    /// When it was decided.
    decided_at: u64,
    /// Version of the component that decided.
    version: String,
}

impl From<contract::Explanation> for Explanation {
    fn from(explanation: contract::Explanation) -> Self {
        let (fate, contact, reason) = match explanation.outcome {
            contract::Outcome::Delivered(contact) => (Fate::Delivered, Some(contact), None),
            contract::Outcome::Excluded(_) => (Fate::Excluded, None, None),
            contract::Outcome::Gone => (Fate::Gone, None, None),
            contract::Outcome::Quarantined(reason) => (Fate::Quarantined, None, Some(reason)),
            contract::Outcome::Missing => (Fate::Missing, None, None),
        };
        let inputs = explanation.inputs.into_iter().map(|input| Input {
            name: input.name,
            value: input.value,
        });
        Self {
            id: explanation.id,
            fate,
            contact,
            reason,
            rule: explanation.rule,
            inputs: inputs.collect(),
            decided_at: explanation.decided_at,
            version: explanation.version,
        }
    }
}

/// Explanations of a connection's mail.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Explanations {
    /// One for each message that was found; none: it never came, or was deleted before it was seen.
    pub(super) explanations: Vec<Explanation>,
}

/// Why mail of a connection is here, or is not.
#[utoipa::path(get, operation_id = "explain", path = "/connections/{connection}/explanations", tag = "connections",
    params(("connection" = String, Path), Sought), responses((status = 200, body = Explanations), Refused))]
pub(super) async fn explain(
    desk: Desk,
    At(id): At<String>,
    Asked(sought): Asked<Sought>,
) -> Result<Json<Explanations>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    let found = look_up_in(&desk, &connection, sought.text()?).await?;
    let explanations = found.into_iter().map(Into::into).collect();
    Ok(Json(Explanations { explanations }))
}

/// What would be synced.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Preview {
    /// Each message, and what would become of it; its subject is among the inputs.
    messages: Vec<Explanation>,
    /// How many would be synced.
    synced: usize,
    /// How many each rule would keep out.
    excluded: BTreeMap<String, usize>,
}

/// A dry run: what the rules would make of the mailbox's newest mail if it came now. Headers alone are read, nothing is
/// written.
#[utoipa::path(get, operation_id = "preview", path = "/connections/{connection}/preview", tag = "connections",
    params(("connection" = String, Path), Range), responses((status = 200, body = Preview), Refused))]
pub(super) async fn preview(
    desk: Desk,
    At(id): At<String>,
    Asked(range): Asked<Range>,
) -> Result<Json<Preview>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    let range = range.until(desk.connections.now())?;
    let found = desk
        .connections
        .preview(&connection.scope.connection, range)
        .await?;
    let mut excluded: BTreeMap<String, usize> = BTreeMap::new();
    for explanation in &found {
        if let contract::Outcome::Excluded(rule) = &explanation.outcome {
            *excluded.entry(rule.clone()).or_default() += 1;
        }
    }
    Ok(Json(Preview {
        synced: found.len() - excluded.values().sum::<usize>(),
        messages: found.into_iter().map(Into::into).collect(),
        excluded,
    }))
}
