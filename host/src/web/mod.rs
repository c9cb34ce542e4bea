//! The embedded CRM's pages: conversations, writing mail, connecting a mailbox.
//!
//! Rendered on the server, usable without JavaScript, nothing loaded from elsewhere. People sign in
//! ([`crate::people`]); who they are says whose tenant they see ([`desk`]), and no id from a request is
//! used without it. What else the pages defend against: other sites ([`guard`]: Host, Origin, CSRF token)
//! and mail ([`sanitise`], a sandboxed frame with a policy of its own).
//!
//! ```text
//! GET  /  /conversations/{contact}  /compose  /contacts  /settings  /settings/disconnect|preview|domain
//! GET  /messages/{id}/body|why  /messages/{id}/parts/{part}  /events  /metrics  /healthz  /assets/…
//! POST /contacts/import  /contacts/{contact}/assign
//! POST /send  /contacts  /messages/{id}/mark|delete|cancel|send  /conversations/{contact}/read|secrecy
//! POST /settings/sync|contacts|disconnect|password  /oauth/connect        GET /oauth/callback
//! GET  /operations  POST /operations/retry|webhooks  /operations/webhooks/ping|remove  (administrators)
//! GET  POST /sign-in  POST /sign-out
//! GET  /settings/privacy        POST /settings/privacy  /settings/privacy/contact|retract
//! ```
//!
//! Where push is configured, [`push_router`] is merged with them: `POST /push/gmail`, for Pub/Sub alone.

use std::{sync::Arc, time::Duration};

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
    people::{People, Person},
    push::Inbox,
    store::ToldRegistry,
};

mod addresses;
mod assets;
mod compose;
mod connections;
mod contacts;
mod conversations;
mod desk;
mod domain;
mod escape;
mod events;
mod failure;
mod guard;
mod import;
mod layout;
mod markup;
mod message;
mod metrics;
mod oauth;
mod operations;
mod outbox;
mod parts;
mod preview;
mod privacy;
mod push;
mod sanitise;
mod send;
mod settings;
mod sign_in;
mod upload;
mod webhooks;
mod why;

pub(crate) use addresses::parse as parse_addresses;
pub(crate) use compose::own_connections;
pub(crate) use conversations::mark_all_read;
pub(crate) use desk::{Desk, Entered};
pub(crate) use failure::Failure;
pub(crate) use guard::random_text;
pub(crate) use import::take as import_contacts;
pub(crate) use oauth::{bound, expected_address};
pub(crate) use operations::{administered, for_administrators, look_up, look_up_in, under_watch};
pub(crate) use outbox::{Letter, NotQueued, kind_name, queue, writers_key};
pub(crate) use parts::{part_of, safe_html};
pub(crate) use settings::{daily_limit, own as own_connection, sent_today};
pub(crate) use upload::Upload;

pub(crate) use why::explained;

pub use connections::{Connections, Trouble};
pub use push::{PUSH_PATH, push_router};

/// The longest form without files, in bytes.
const FORM_LIMIT: usize = 64 << 10;
/// How long somebody has to think again about a mail.
const UNDO: Duration = Duration::from_secs(10);
/// Live pages at once.
const LIVE_PAGES: usize = 512;

/// What the pages are about. Clones are the same state.
#[derive(Clone)]
pub struct WebState {
    /// Where conversations are.
    pub crm: EmbeddedCrm,
    /// Who may sign in.
    pub people: People,
    /// Who everybody is who has not signed in; absent: nobody. For demonstrations.
    pub everybody: Option<Person>,
    /// The links to mailboxes.
    pub connections: Arc<dyn Connections>,
    /// Where people reach the pages, if that is not a loopback name: its host is accepted in `Host`,
    /// and with `https` cookies are for secure connections alone.
    pub public: Option<Url>,
    /// How long mail that is sent from the pages is held back, so that it can be undone.
    pub undo: Duration,
    telling: Option<webhooks::Telling>,
    registry: Option<ToldRegistry>,
    heard: Option<Inbox>,
    keys: Arc<guard::Keys>,
    live: Arc<Semaphore>,
}

impl WebState {
    /// Pages for these people, reachable by loopback names.
    pub fn new(crm: EmbeddedCrm, people: People, connections: Arc<dyn Connections>) -> Self {
        Self {
            crm,
            people,
            everybody: None,
            connections,
            public: None,
            undo: UNDO,
            telling: None,
            registry: None,
            heard: None,
            keys: Arc::new(guard::Keys::random()),
            live: Arc::new(Semaphore::new(LIVE_PAGES)),
        }
    }

    /// The same pages, open: whoever has not signed in is this person. Only where everybody who reaches
    /// them may be.
    #[must_use]
    pub fn open_to(mut self, everybody: Person) -> Self {
        self.everybody = Some(everybody);
        self
    }

    /// The same pages, with those of connections live.
    #[must_use]
    pub fn watching(mut self, registry: ToldRegistry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The same pages, with metrics of what this takes.
    #[must_use]
    pub fn hearing(mut self, heard: Inbox) -> Self {
        self.heard = Some(heard);
        self
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
            .field("everybody", &self.everybody)
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
        .route(
            "/conversations/{contact}/secrecy",
            post(conversations::set_secrecy),
        )
        .route("/compose", get(compose::page))
        .route("/contacts", get(contacts::list).post(contacts::create))
        .route("/contacts/{contact}/assign", post(contacts::assign))
        .route("/messages/{id}/body", get(parts::body))
        .route("/messages/{id}/parts/{part}", get(parts::part))
        .route("/messages/{id}/mark", post(message::mark))
        .route("/messages/{id}/delete", post(message::delete))
        .route("/messages/{id}/cancel", post(message::cancel))
        .route("/messages/{id}/send", post(message::send_now))
        .route("/messages/{id}/why", get(why::page))
        .route("/settings", get(settings::page))
        .route("/sign-in", get(sign_in::page).post(sign_in::sign_in))
        .route("/sign-out", post(sign_in::sign_out))
        .route("/settings/password", post(sign_in::change_password))
        .route("/settings/sync", post(settings::sync))
        .route("/settings/contacts", post(settings::contacts))
        .route("/settings/privacy", get(privacy::page).post(privacy::save))
        .route("/settings/privacy/contact", post(privacy::contact))
        .route("/settings/privacy/retract", post(privacy::retract))
        .route("/settings/preview", get(preview::page))
        .route("/settings/domain", get(domain::page))
        .route("/settings/bcc", post(settings::rotate_bcc_address))
        .route(
            "/settings/disconnect",
            get(settings::confirm_disconnect).post(settings::disconnect),
        )
        .route("/oauth/connect", post(oauth::connect))
        .route("/oauth/callback", get(oauth::callback))
        .route("/operations", get(operations::page))
        .route("/operations/retry", post(operations::retry))
        .route("/operations/audit", post(operations::audit))
        .route("/operations/webhooks", post(webhooks::add))
        .route("/operations/webhooks/ping", post(webhooks::ping))
        .route("/operations/webhooks/remove", post(webhooks::remove))
        .route("/events", get(events::stream))
        .route("/metrics", get(metrics::page))
        .layer(DefaultBodyLimit::max(FORM_LIMIT));
    let writing = Router::new()
        .route("/send", post(send::send))
        .route("/contacts/import", post(import::import))
        .layer(DefaultBodyLimit::max(send::REQUEST_LIMIT));
    pages
        .merge(writing)
        .merge(assets::routes())
        .merge(crate::api::router(&state))
        .fallback(failure::no_such_page)
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .route("/healthz", get(|| async { "ok" }))
        .with_state(state)
}

#[cfg(test)]
mod tests;
