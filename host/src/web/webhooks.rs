//! Who is told of what happens, for administrators.

use axum::response::Redirect;
use maud::{Markup, html};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Desk, WebState,
    failure::Failure,
    guard::{CheckedForm, Visitor},
    layout::{Section, time},
    operations::for_administrators,
};
use crate::webhooks::{Endpoint, Receivers, WebhookError, Webhooks};

/// What the pages need for webhooks.
#[derive(Clone)]
pub(super) struct Telling {
    pub(super) webhooks: Webhooks,
    pub(super) receivers: Receivers,
}

impl WebState {
    /// The same pages with webhooks.
    #[must_use]
    pub fn telling(mut self, webhooks: Webhooks, receivers: Receivers) -> Self {
        self.telling = Some(Telling { webhooks, receivers });
        self
    }
}

impl Desk {
    /// The webhooks, where there are any to be had.
    pub(crate) fn webhooks(&self) -> Result<&Webhooks, Failure> {
        let telling = self.site.telling.as_ref();
        telling
            .map(|telling| &telling.webhooks)
            .ok_or_else(Failure::not_found)
    }

    /// Tells an address of whatever happens from now on.
    pub(crate) async fn add_webhook(&self, url: &str) -> Result<(Endpoint, SecretString), Failure> {
        let telling = self.site.telling.as_ref().ok_or_else(Failure::not_found)?;
        let url = telling.receivers.check(url)?;
        let now = self.connections.now();
        let added = telling.webhooks.add(&self.tenant, url.as_str(), now).await?;
        Ok(added)
    }
}

impl From<WebhookError> for Failure {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::NotFound => Self::not_found(),
            WebhookError::Refused(why) => Self::invalid(
                format!("This webhook cannot be made: {why}."),
                "Give the https address of a server that takes events.",
            ),
            WebhookError::Database(_) => {
                tracing::warn!(%error, "webhooks");
                Self::storage_unavailable()
            }
        }
    }
}

/// The part of the operations page; nothing where there are no webhooks.
pub(super) async fn part(desk: &Desk, visitor: &Visitor) -> Result<Markup, Failure> {
    let Some(telling) = &desk.site.telling else {
        return Ok(Markup::default());
    };
    let all = telling.webhooks.list(&desk.tenant).await?;
    Ok(html! {
        h2 { "Webhooks" }
        p.muted {
            "Each of these addresses is told when a message comes, goes or changes, and when a mailbox is connected or has to "
            "be. Events are signed as " a href="https://www.standardwebhooks.com" rel="noreferrer" { "Standard Webhooks" } " says."
        }
        @for endpoint in &all { (card(endpoint, visitor)) }
        form.write method="post" action="/operations/webhooks" {
            (visitor.field())
            label {
                "Address"
                input type="url" name="url" required maxlength="2000" placeholder="https://" autocapitalize="none" spellcheck="false";
            }
            p { button { "Add a webhook" } }
        }
    })
}

fn card(endpoint: &Endpoint, visitor: &Visitor) -> Markup {
    let (class, state) = match (endpoint.is_given_up, endpoint.failing_since, endpoint.answered_at) {
        (true, ..) => ("bad", "Given up"),
        (false, Some(_), _) => ("open", "Failing"),
        (false, None, Some(_)) => ("good", "Working"),
        (false, None, None) => ("open", "Nothing told yet"),
    };
    html! {
        div.card {
            h3 { code { (endpoint.url) } " " span class={ "badge " (class) } { (state) } }
            dl.people {
                dt { "Since" } dd { (time(endpoint.created_at)) }
                dt { "Took an event last" } dd { @if let Some(at) = endpoint.answered_at { (time(at)) } @else { "never" } }
                @if let Some(at) = endpoint.failing_since { dt { "Failing since" } dd { (time(at)) } }
                @if let Some(error) = &endpoint.error { dt { "Because" } dd { (error) } }
                @if endpoint.waiting > 0 { dt { "Events that wait" } dd { (endpoint.waiting) } }
            }
            div.row {
                form method="post" action="/operations/webhooks/ping" {
                    (visitor.field()) input type="hidden" name="webhook" value=(endpoint.id); button { "Send a ping" }
                }
                form method="post" action="/operations/webhooks/remove" {
                    (visitor.field()) input type="hidden" name="webhook" value=(endpoint.id); button.danger { "Remove" }
                }
            }
        }
    }
}

/// `POST /operations/webhooks`: makes one, and shows its secret, once.
pub(super) async fn add(desk: Desk, form: CheckedForm) -> Result<Markup, Failure> {
    for_administrators(&desk)?;
    let (endpoint, secret) = desk.add_webhook(form.text("url")).await?;
    let main = html! {
        main.narrow {
            h1 { "A new webhook" }
            p.state.good { code { (endpoint.url) } " is told of whatever happens from now on." }
            p { "Its events are signed with this secret. It is shown here alone; keep it where the receiver finds it." }
            p.row { code #webhook-secret { (secret.expose_secret()) } button type="button" data-copy="webhook-secret" hidden { "Copy" } }
            p { a.button href="/operations" { "Operations" } }
        }
    };
    Ok(desk.page("A new webhook", Section::Operations, &main))
}

/// `POST /operations/webhooks/ping`.
pub(super) async fn ping(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    for_administrators(&desk)?;
    let now = desk.connections.now();
    desk.webhooks()?
        .ping(&desk.tenant, form.text("webhook"), now)
        .await?;
    Ok(Redirect::to("/operations"))
}

/// `POST /operations/webhooks/remove`.
pub(super) async fn remove(desk: Desk, form: CheckedForm) -> Result<Redirect, Failure> {
    for_administrators(&desk)?;
    desk.webhooks()?
        .remove(&desk.tenant, form.text("webhook"))
        .await?;
    Ok(Redirect::to("/operations"))
}
