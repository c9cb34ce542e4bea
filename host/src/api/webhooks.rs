//! Who is told of what happens.

use axum::{Extension, Json, http::StatusCode};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    extract::{At, Body},
    idempotency::ToldOnce,
    problem::{Problem, Refused, Unchanged},
};
use crate::{
    web::{Desk, Failure, for_administrators},
    webhooks::{Endpoint, LONGEST_URL},
};

/// An address that is told of events.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Webhook {
    /// Its id.
    id: String,
    /// Where events are sent.
    url: String,
    /// When it was made.
    created_at: u64,
    /// When it took an event last.
    answered_at: Option<u64>,
    /// Since when it takes none.
    failing_since: Option<u64>,
    /// Why it took none.
    error: Option<String>,
    /// Whether it was given up, after five days or because it asked for that; a ping begins again.
    given_up: bool,
    /// Events that wait for it.
    waiting: u64,
}

impl From<Endpoint> for Webhook {
    fn from(endpoint: Endpoint) -> Self {
        Self {
            id: endpoint.id,
            url: endpoint.url,
            created_at: endpoint.created_at,
            answered_at: endpoint.answered_at,
            failing_since: endpoint.failing_since,
            error: endpoint.error,
            given_up: endpoint.is_given_up,
            waiting: endpoint.waiting,
        }
    }
}

/// The tenant's webhooks.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Webhooks {
    /// The oldest first.
    webhooks: Vec<Webhook>,
}

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WebhookToMake {
    /// Where events are sent, with `https://`.
    #[schema(max_length = 2000)]
    url: String,
}

/// A webhook that was made.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Made {
    /// The webhook.
    webhook: Webhook,
    /// What its events are signed with. It is told here alone.
    secret: String,
}

/// Who is told of what happens in the tenant.
#[utoipa::path(get, operation_id = "listWebhooks", path = "/webhooks", tag = "webhooks",
    responses((status = 200, body = Webhooks), Refused))]
pub(super) async fn list(desk: Desk) -> Result<Json<Webhooks>, Problem> {
    for_administrators(&desk)?;
    let all = desk.webhooks()?.list(&desk.tenant).await.map_err(Failure::from)?;
    Ok(Json(Webhooks {
        webhooks: all.into_iter().map(Into::into).collect(),
    }))
}

/// Tells an address of whatever happens from now on: `message.created`, `message.updated`, `connection.changed`. Signed as
/// Standard Webhooks says (<https://www.standardwebhooks.com>); at least once, in order; tried again for five days.
#[utoipa::path(post, operation_id = "createWebhook", path = "/webhooks", tag = "webhooks", request_body = WebhookToMake,
    responses((status = 201, body = Made), Unchanged))]
pub(super) async fn create(
    desk: Desk,
    Body(wanted): Body<WebhookToMake>,
) -> Result<(StatusCode, Extension<ToldOnce>, Json<Made>), Problem> {
    for_administrators(&desk)?;
    if wanted.url.len() > LONGEST_URL {
        return Err(Problem::invalid(
            "The address is too long.",
            "2,000 bytes are the most.",
        ));
    }
    let (webhook, secret) = desk.add_webhook(&wanted.url).await?;
    let made = Made {
        webhook: webhook.into(),
        secret: secret.expose_secret().to_owned(),
    };
    Ok((StatusCode::CREATED, Extension(ToldOnce), Json(made)))
}

/// Ends a webhook; what waits for it goes with it.
#[utoipa::path(delete, operation_id = "deleteWebhook", path = "/webhooks/{webhook}", tag = "webhooks",
    params(("webhook" = String, Path)), responses((status = 204), Unchanged))]
pub(super) async fn remove(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    for_administrators(&desk)?;
    let removed = desk.webhooks()?.remove(&desk.tenant, &id).await;
    removed.map_err(Failure::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a webhook the event `ping`, and begins again where it was given up.
#[utoipa::path(post, operation_id = "pingWebhook", path = "/webhooks/{webhook}/ping", tag = "webhooks",
    params(("webhook" = String, Path)), responses((status = 202), Unchanged))]
pub(super) async fn ping(desk: Desk, At(id): At<String>) -> Result<StatusCode, Problem> {
    for_administrators(&desk)?;
    let now = desk.connections.now();
    let pinged = desk.webhooks()?.ping(&desk.tenant, &id, now).await;
    pinged.map_err(Failure::from)?;
    Ok(StatusCode::ACCEPTED)
}
