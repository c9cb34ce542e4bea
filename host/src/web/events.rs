//! `GET /events`: tells the page that something has changed (server-sent events, HTML 9.2).
//!
//! An event says which contact it is about and nothing else; the page fetches itself anew. Only
//! events of the reader's tenant are passed on. A slow reader that missed some gets one that is about
//! everything.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::broadcast::error::RecvError;

use super::{Desk, connections::Trouble, failure::Failure};
use crate::{crm::CrmEvent, scope::TenantId};

/// How often a line is sent while nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// How long a stream lasts. Browsers ask again by themselves, and have to be signed in then.
const LASTS: Duration = Duration::from_mins(15);

pub(super) async fn stream(
    desk: Desk,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let permit = desk.site.live.clone().try_acquire_owned().map_err(|_| {
        Failure::new(
            StatusCode::SERVICE_UNAVAILABLE,
            Trouble::new(
                "rate-limited",
                "Too many pages are open.",
                "Close some; this one still works, without refreshing itself.",
            ),
        )
    })?;
    let start = (desk.crm.subscribe(), desk.tenant, permit);
    let events = stream::unfold(start, |(mut receiver, tenant, permit)| async move {
        loop {
            let about = match receiver.recv().await {
                Ok(event) => match contact_of(&event, &tenant) {
                    Some(about) => about,
                    None => continue,
                },
                Err(RecvError::Lagged(_)) => String::new(),
                Err(RecvError::Closed) => return None,
            };
            let data = serde_json::json!({ "contact": about }).to_string();
            return Some((
                Ok(Event::default().event("changed").data(data)),
                (receiver, tenant, permit),
            ));
        }
    });
    let events = events.take_until(Box::pin(tokio::time::sleep(LASTS)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The contact a tenant's event is about; `None` when the pages do not change.
fn contact_of(event: &CrmEvent, tenant: &TenantId) -> Option<String> {
    match event {
        CrmEvent::MessageStored {
            tenant: of, contact, ..
        }
        | CrmEvent::MessageUpdated {
            tenant: of, contact, ..
        } if of == tenant => Some(contact.clone()),
        _ => None,
    }
}
