//! What the host's way out really sent: the request lines, as the simulator saw them.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use twinbox_host::egress::{ClientError, HttpClient, Outgoing, ReqwestClient, Response};

/// The real client, with a list of what passed it.
pub(crate) struct Wire {
    client: ReqwestClient,
    lines: Mutex<Vec<String>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        Self {
            client: ReqwestClient::new().expect("a client"),
            lines: Mutex::default(),
        }
    }

    /// `GET /gmail/v1/users/me/…`, in order, since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn send(&self, request: Outgoing) -> Result<Response, ClientError> {
        let query = request.url.query().map(|query| format!("?{query}"));
        let line = format!(
            "{} {}{}",
            request.method,
            request.url.path(),
            query.unwrap_or_default()
        );
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line);
        self.client.send(request).await
    }
}
