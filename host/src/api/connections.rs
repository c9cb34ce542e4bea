//! Links to mailboxes, and who asks.

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    extract::{At, Body},
    problem::{Problem, Refused, Unchanged},
    types::{Connection, Page},
};
use crate::{
    accounts,
    choices::{Choices, GOOGLE_CONTACTS, Wanted},
    contract::Trigger,
    store,
    vault::{Callback, Lasting},
    web::{
        Desk, Trouble, bound, daily_limit, expected_address, own_connection, own_connections, random_text,
        sent_today,
    },
};

/// Whom a token acts for.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Me {
    /// The tenant.
    tenant: String,
    /// The user.
    user: String,
    /// What they are called.
    name: String,
    /// `user` or `admin`.
    role: String,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MailboxToConnect {
    /// The mailbox that is meant; another one is refused.
    #[serde(default)]
    address: Option<String>,
    /// Brings the contacts of the Google account as well.
    #[serde(default)]
    google_contacts: bool,
}

/// A consent that has begun.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Consent {
    /// The page to send a browser to.
    page: String,
    /// What finishes it, together with what the browser comes back with. Lasts ten minutes.
    flow: String,
}

/// What the browser came back with: members of the callback's query.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CameBack {
    /// The `flow` it began with.
    flow: String,
    /// `state` of the query.
    state: String,
    /// `code` of the query.
    #[serde(default)]
    code: Option<String>,
    /// `error` of the query.
    #[serde(default)]
    error: Option<String>,
}

/// A user of the tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct User {
    /// Its id.
    id: String,
    /// What they are called.
    name: String,
}

/// What is ticked, and what can be.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Chosen {
    /// Brings the contacts of the Google account.
    google_contacts: bool,
    /// The choices that the component at work offers.
    offered: Vec<String>,
}

/// What a mailbox has sent from here.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sends {
    /// Messages of the last 24 hours.
    sent: u32,
    /// Of so many at most; absent: as many as the provider allows.
    limit: Option<u64>,
}

/// What is ticked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ticked {
    /// Brings the contacts of the Google account.
    google_contacts: bool,
}

/// Whom the token acts for.
#[utoipa::path(get, operation_id = "getMe", path = "/me", tag = "connections", responses((status = 200, body = Me), Refused))]
pub(super) async fn me(desk: Desk) -> Json<Me> {
    let person = &desk.entered.person;
    Json(Me {
        tenant: person.tenant.as_str().to_owned(),
        user: person.user.as_str().to_owned(),
        name: person.name.clone(),
        role: person.role.as_str().to_owned(),
    })
}

/// The users of the tenant, whom contacts can be assigned to.
#[utoipa::path(get, operation_id = "listUsers", path = "/users", tag = "contacts",
    responses((status = 200, body = Page<User>), Refused))]
pub(super) async fn users(desk: Desk) -> Result<Json<Page<User>>, Problem> {
    let users = desk.crm.list_users(&desk.tenant).await?.into_iter();
    let entries = users.map(|(id, name)| User {
        id: id.as_str().to_owned(),
        name,
    });
    Ok(Json(Page {
        entries: entries.collect(),
        next: None,
    }))
}

/// The user's connections, ended ones included.
#[utoipa::path(get, operation_id = "listConnections", path = "/connections", tag = "connections",
    responses((status = 200, body = Page<Connection>), Refused))]
pub(super) async fn list(desk: Desk) -> Result<Json<Page<Connection>>, Problem> {
    let audits = desk.connections.audits(&desk.tenant).await?;
    let mut entries = Vec::new();
    for connection in own_connections(&desk).await? {
        let id = connection.scope.connection.clone();
        let lasting = desk.connections.lasting(&id).await;
        entries.push(Connection::new(connection, &lasting, audits.get(&id)));
    }
    Ok(Json(Page { entries, next: None }))
}

/// Begins to connect a mailbox. A browser that comes back to the server's own callback is finished with
/// `finish`.
#[utoipa::path(post, operation_id = "beginConnection", path = "/connections", tag = "connections", request_body = MailboxToConnect,
    responses((status = 201, body = Consent), Unchanged))]
pub(super) async fn begin(
    desk: Desk,
    Body(asked): Body<MailboxToConnect>,
) -> Result<(StatusCode, Json<Consent>), Problem> {
    let wanted = Wanted {
        address: expected_address(asked.address.as_deref().unwrap_or_default())?,
        choices: Choices::ticked(asked.google_contacts.then_some(GOOGLE_CONTACTS)),
    };
    let flow = random_text();
    let session = bound(&desk, &flow);
    let begun = desk
        .connections
        .begin(&desk.tenant, &desk.user, &session, wanted)
        .await?;
    let page = begun.into();
    Ok((StatusCode::CREATED, Json(Consent { page, flow })))
}

/// Finishes it. On a refusal nothing half-connected remains.
#[utoipa::path(post, operation_id = "finishConnection", path = "/connections/finish", tag = "connections", request_body = CameBack,
    responses((status = 201, body = Connection), Unchanged))]
pub(super) async fn finish(
    desk: Desk,
    Body(back): Body<CameBack>,
) -> Result<(StatusCode, Json<Connection>), Problem> {
    let callback = match (back.code, back.error) {
        (_, Some(error)) => Callback::Error(error),
        (Some(code), None) => Callback::Code(code.into()),
        (None, None) => {
            return Err(Problem::invalid(
                "Neither a code nor an error came back.",
                "Give one member of the callback's query.",
            ));
        }
    };
    let session = bound(&desk, &back.flow);
    let connection = desk.connections.finish(&back.state, &session, callback).await?;
    Ok((
        StatusCode::CREATED,
        Json(Connection::new(connection, &Lasting::default(), None)),
    ))
}

/// Asks for a pass now.
#[utoipa::path(post, operation_id = "syncConnection", path = "/connections/{connection}/sync", tag = "connections",
    params(("connection" = String, Path)), responses((status = 202), Unchanged))]
pub(super) async fn sync(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let connection = own_connection(&desk, &id).await?;
    desk.connections
        .wake(&connection.scope.connection, Trigger::Manual);
    Ok(StatusCode::ACCEPTED)
}

/// Ends a connection; its messages stay. Idempotent.
#[utoipa::path(post, operation_id = "disconnectConnection", path = "/connections/{connection}/disconnect", tag = "connections",
    params(("connection" = String, Path)), responses((status = 204), Unchanged))]
pub(super) async fn disconnect(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    let connection = own_connection(&desk, &id).await?;
    desk.connections.disconnect(&connection.scope.connection).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What is ticked for a connection.
#[utoipa::path(get, operation_id = "getChoices", path = "/connections/{connection}/choices", tag = "connections",
    params(("connection" = String, Path)), responses((status = 200, body = Chosen), Refused))]
pub(super) async fn chosen(desk: Desk, At(id): At<String>) -> Result<Json<Chosen>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    let offers = desk.connections.offers().await;
    let choices = Choices::of(&offers, &connection.settings);
    let offered = offers.into_iter().map(|offer| offer.setting.replace('-', "_"));
    Ok(Json(Chosen {
        google_contacts: choices.has(GOOGLE_CONTACTS),
        offered: offered.collect(),
    }))
}

/// How much a mailbox has sent from here, of what it may in a day.
#[utoipa::path(get, operation_id = "getSends", path = "/connections/{connection}/sends", tag = "connections",
    params(("connection" = String, Path)), responses((status = 200, body = Sends), Refused))]
pub(super) async fn sends(desk: Desk, At(id): At<String>) -> Result<Json<Sends>, Problem> {
    let connection = own_connection(&desk, &id).await?;
    Ok(Json(Sends {
        sent: sent_today(&desk, &connection).await?,
        limit: daily_limit(&connection),
    }))
}

/// Changes what is ticked. 409 when the grant does not cover it: connect again with it.
#[utoipa::path(put, operation_id = "chooseForConnection", path = "/connections/{connection}/choices", tag = "connections",
    params(("connection" = String, Path)), request_body = Ticked, responses((status = 204), Unchanged))]
pub(super) async fn choose(
    desk: Desk,
    At(id): At<String>,
    Body(ticked): Body<Ticked>,
) -> Result<StatusCode, Problem> {
    let store::Connection { scope, .. } = own_connection(&desk, &id).await?;
    let choices = Choices::ticked(ticked.google_contacts.then_some(GOOGLE_CONTACTS));
    match desk.connections.choose(&scope.connection, &choices).await? {
        accounts::Chosen::Done => Ok(StatusCode::NO_CONTENT),
        accounts::Chosen::ConsentNeeded => Err(Problem::new(
            StatusCode::CONFLICT,
            Trouble::new(
                "consent-needed",
                "The user has not consented to this yet.",
                "Connect the mailbox again with this choice.",
            ),
        )),
    }
}
