//! The embedded CRM's pages: conversations, writing mail, connecting a mailbox.
//!
//! Rendered on the server, usable without JavaScript, nothing loaded from elsewhere. Who may open the
//! pages is decided in front of them: they listen on a loopback address, or behind a proxy that
//! authenticates. What they defend against themselves: other sites ([`guard`]: Host, Origin, CSRF
//! token), mail ([`sanitise`], a sandboxed frame with a policy of its own), and other tenants (every
//! call names the state's tenant; no id from a request is used without it).
//!
//! ```text
//! GET  /  /conversations/{contact}  /compose  /contacts  /settings  /settings/disconnect
//! GET  /messages/{id}/body  /messages/{id}/parts/{part}  /events  /metrics  /healthz  /assets/…
//! POST /send  /contacts  /messages/{id}/mark|delete|cancel  /conversations/{contact}/read
//! POST /settings/sync  /settings/disconnect  /oauth/connect        GET /oauth/callback
//! ```
//!
//! Where push is configured, [`push_router`] is merged with them: `POST /push/gmail`, for Pub/Sub alone.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use tokio::sync::Semaphore;
use url::Url;

use crate::{
    crm::EmbeddedCrm,
    scope::{TenantId, UserId},
};

mod addresses;
mod assets;
mod compose;
mod connections;
mod contacts;
mod conversations;
mod events;
mod failure;
mod guard;
mod html;
mod layout;
mod markup;
mod message;
mod metrics;
mod oauth;
mod parts;
mod push;
mod sanitise;
mod send;
mod settings;
mod upload;

pub use connections::{Connections, Trouble};
pub use push::{PUSH_PATH, push_router};

/// The longest form without files, in bytes.
const FORM_LIMIT: usize = 64 << 10;
/// Live pages at once.
const LIVE_PAGES: usize = 64;

/// What the pages are about. Clones are the same state.
#[derive(Clone)]
pub struct WebState {
    /// Where conversations are.
    pub crm: EmbeddedCrm,
    /// Whose they are. The pages show nothing of another tenant.
    pub tenant: TenantId,
    /// Who looks at them and writes.
    pub user: UserId,
    /// The links to mailboxes.
    pub connections: Arc<dyn Connections>,
    /// Where people reach the pages, if that is not a loopback name: its host is accepted in `Host`,
    /// and with `https` cookies are for secure connections alone.
    pub public: Option<Url>,
    keys: Arc<guard::Keys>,
    live: Arc<Semaphore>,
}

impl WebState {
    /// Pages for one user of one tenant, reachable by loopback names.
    pub fn new(crm: EmbeddedCrm, tenant: TenantId, user: UserId, connections: Arc<dyn Connections>) -> Self {
        Self {
            crm,
            tenant,
            user,
            connections,
            public: None,
            keys: Arc::new(guard::Keys::random()),
            live: Arc::new(Semaphore::new(LIVE_PAGES)),
        }
    }

    /// The same pages, reachable by the host of this address too.
    #[must_use]
    pub fn at(mut self, public: Url) -> Self {
        self.public = Some(public);
        self
    }
}

impl std::fmt::Debug for WebState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebState")
            .field("tenant", &self.tenant)
            .field("user", &self.user)
            .field("public", &self.public.as_ref().map(Url::as_str))
            .finish_non_exhaustive()
    }
}

/// All pages.
pub fn router(state: WebState) -> Router {
    let pages = Router::new()
        .route("/", get(conversations::list))
        .route("/conversations/{contact}", get(conversations::one))
        .route("/conversations/{contact}/read", post(conversations::mark_read))
        .route("/compose", get(compose::page))
        .route("/contacts", get(contacts::list).post(contacts::create))
        .route("/messages/{id}/body", get(parts::body))
        .route("/messages/{id}/parts/{part}", get(parts::part))
        .route("/messages/{id}/mark", post(message::mark))
        .route("/messages/{id}/delete", post(message::delete))
        .route("/messages/{id}/cancel", post(message::cancel))
        .route("/settings", get(settings::page))
        .route("/settings/sync", post(settings::sync))
        .route("/settings/contacts", post(settings::contacts))
        .route(
            "/settings/disconnect",
            get(settings::confirm_disconnect).post(settings::disconnect),
        )
        .route("/oauth/connect", post(oauth::connect))
        .route("/oauth/callback", get(oauth::callback))
        .route("/events", get(events::stream))
        .route("/metrics", get(metrics::page))
        .layer(DefaultBodyLimit::max(FORM_LIMIT));
    let writing = Router::new()
        .route("/send", post(send::send))
        .layer(DefaultBodyLimit::max(send::REQUEST_LIMIT));
    pages
        .merge(writing)
        .merge(assets::routes())
        .fallback(failure::no_such_page)
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(state)
}

#[cfg(test)]
mod tests;
