//! The simulator on a socket: HTTP/1.1 over [`crate::Sim::handle`], and the delivery of pushes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::Sim;
use crate::errors::ApiError;
use crate::gzip;
use crate::wire::{self, Wire};

/// Largest request body: an import of the largest message, and its metadata.
const MAX_BODY: usize = 160 * 1024 * 1024;
/// First and largest wait before a push is repeated.
const PUSH_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));
/// How often it is looked whether a late notification is due.
const LATE_POLL: Duration = Duration::from_millis(20);
/// How often a push is tried.
const PUSH_TRIES: u32 = 8;

/// A running server on a free port of 127.0.0.1. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    /// Starts a server.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start(sim: Sim) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = serve(sim, listener).await {
                tracing::error!(%error, "the simulator stopped");
            }
        });
        Ok(Self { address, task })
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves a simulator until the future is dropped, and posts its notifications if a push endpoint is set.
///
/// # Errors
/// When the listener fails.
pub async fn serve(sim: Sim, listener: TcpListener) -> std::io::Result<()> {
    let front = Front {
        sim: sim.clone(),
        busy: Arc::default(),
    };
    let router = Router::new().fallback(answer).with_state(front);
    tokio::select! {
        served = axum::serve(listener, router) => served,
        () = deliver_pushes(sim) => Ok(()),
    }
}

#[derive(Clone)]
struct Front {
    sim: Sim,
    /// Requests in work, by bearer token.
    busy: Arc<Mutex<BTreeMap<String, usize>>>,
}

async fn answer(State(front): State<Front>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, MAX_BODY).await else {
        return ApiError::too_large(MAX_BODY).response().map(Body::from);
    };
    let request = Request::from_parts(parts, body);
    if request.uri().path().starts_with("/sim/") {
        return front.sim.handle(request).map(Body::from);
    }
    let packs = gzip::is_wanted(request.headers());
    let mut response = front.in_turn(request).await;
    if packs && front.sim.behaviour().gzip_answers && Wire::of(&response).is_none_or(Wire::is_whole) {
        let packed = gzip::deflate(&mut response);
        front.sim.lock().hits.when("gzip_answers", packed);
    }
    wire::send(response).await
}

impl Front {
    /// Waits as long as the behaviour says; refuses when the mailbox has too many requests in work.
    async fn in_turn(&self, request: Request<Bytes>) -> Response<Bytes> {
        let behaviour = self.sim.behaviour();
        let token = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let token = token.to_owned();
        let Some(_place) = self.enter(token, behaviour.concurrent_requests) else {
            self.sim.lock().hits.add("concurrent_requests");
            return ApiError::concurrent().response();
        };
        if behaviour.latency_ms > 0 {
            self.sim.lock().hits.add("latency_ms");
            tokio::time::sleep(Duration::from_millis(behaviour.latency_ms)).await;
        }
        self.sim.handle(request)
    }

    /// A place among the requests in work; `None` if there is none left.
    fn enter(&self, token: String, most: Option<usize>) -> Option<Place> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let count = busy.entry(token.clone()).or_default();
        if most.is_some_and(|most| *count >= most) {
            return None;
        }
        *count += 1;
        Some(Place {
            token,
            busy: Arc::clone(&self.busy),
        })
    }
}

/// A request in work. It is given back when the request ends, also when its client goes away.
struct Place {
    token: String,
    busy: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = busy.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                busy.remove(&self.token);
            }
        }
    }
}

/// Posts notifications as Pub/Sub does: at least once, each again until it is accepted.
async fn deliver_pushes(sim: Sim) {
    loop {
        // Late ones come without a request to wake anybody, by the simulator's clock.
        let waits = sim.next_due_ms().is_some();
        tokio::select! {
            () = sim.pushed.notified() => {}
            () = tokio::time::sleep(LATE_POLL), if waits => {}
        }
        while let Some(endpoint) = sim.push() {
            let pushes = sim.take_pushes(&endpoint);
            if pushes.is_empty() {
                break;
            }
            for push in pushes {
                tokio::spawn(post(push));
            }
        }
    }
}

async fn post(push: Request<Bytes>) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let Ok(client) = reqwest::Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
    else {
        return;
    };
    let mut wait = PUSH_BACKOFF.0;
    for _ in 0..PUSH_TRIES {
        let Ok(request) = reqwest::Request::try_from(push.clone()) else {
            return;
        };
        let sent = client.execute(request).await;
        match sent {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => tracing::info!(status = %response.status(), "push refused"),
            Err(error) => tracing::info!(error = %error.without_url(), "push not delivered"),
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(PUSH_BACKOFF.1);
    }
}
