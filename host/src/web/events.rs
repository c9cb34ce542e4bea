//! `GET /events`: tells the page that something has changed (server-sent events, HTML 9.2).
//!
//! `changed` says which contact it is about, `connection` that something about a mailbox is new, and neither says more;
//! the page fetches itself anew. Only events of the reader's tenant are passed on. A slow reader that missed some gets
//! one that is about everything.

use std::{convert::Infallible, time::Duration};

use axum::{
    http::StatusCode,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::{
    OwnedSemaphorePermit,
    broadcast::{self, error::RecvError},
};

use super::{Desk, connections::Trouble, failure::Failure};
use crate::{crm::CrmEvent, scope::TenantId, store::ToldRegistry};

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
    let start = Reader {
        mail: desk.crm.subscribe(),
        connections: desk.site.registry.as_ref().map(ToldRegistry::subscribe),
        tenant: desk.tenant,
        _permit: permit,
    };
    let events = stream::unfold(start, |mut reader| async move {
        let event = reader.next().await?;
        Some((Ok(event), reader))
    });
    let events = events.take_until(Box::pin(tokio::time::sleep(LASTS)));
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// A page that is open.
struct Reader {
    mail: broadcast::Receiver<CrmEvent>,
    connections: Option<broadcast::Receiver<TenantId>>,
    tenant: TenantId,
    _permit: OwnedSemaphorePermit,
}

impl Reader {
    /// What the page has to know next; `None` when nothing will come any more.
    async fn next(&mut self) -> Option<Event> {
        loop {
            let connections = async {
                match &mut self.connections {
                    Some(connections) => connections.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                event = self.mail.recv() => {
                    let about = match event {
                        Ok(event) => contact_of(&event, &self.tenant),
                        Err(RecvError::Lagged(_)) => Some(String::new()),
                        Err(RecvError::Closed) => return None,
                    };
                    if let Some(about) = about {
                        let data = serde_json::json!({ "contact": about }).to_string();
                        return Some(Event::default().event("changed").data(data));
                    }
                }
                tenant = connections => match tenant {
                    Ok(tenant) if tenant != self.tenant => {}
                    Ok(_) | Err(RecvError::Lagged(_)) => return Some(Event::default().event("connection").data("{}")),
                    Err(RecvError::Closed) => self.connections = None,
                },
            }
        }
    }
}

/// The contact a tenant's event is about, nothing if it is about many; `None` when the pages do not change.
fn contact_of(event: &CrmEvent, tenant: &TenantId) -> Option<String> {
    match event {
        CrmEvent::MessageStored {
            tenant: of, contact, ..
        }
        | CrmEvent::MessageUpdated {
            tenant: of, contact, ..
        } if of == tenant => Some(contact.clone()),
        CrmEvent::ContactsChanged { tenant: of } if of == tenant => Some(String::new()),
        _ => None,
    }
}
