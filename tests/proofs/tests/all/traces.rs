//! `[telemetry]` on a real process: what reaches a collector, and what must not.

use std::{
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use gmail_sim::Delivery;
use serde_json::Value;

use crate::site::{ME, PATIENCE, Site};

const CONTACT: &str = "ann@known.example";
const SUBJECT: &str = "Quarterly figures";
const BODY: &str = "The lighthouse is painted";
const KEY: &str = "collector-key-3141";

#[tokio::test(flavor = "multi_thread")]
async fn spans_arrive_nested_until_the_end_and_hold_no_token_address_subject_or_body() {
    let collector = Collector::start().await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&secret, KEY).unwrap();
    let mut site = Site::start(&collector.table(secret.path())).await;
    let fields = [("name", "Ann"), ("addresses", CONTACT)];
    site.post("/contacts", "/contacts", &fields).await;
    let consent_page = site.begins().await;
    site.comes_back(consent_page).await;
    let mail = format!(
        "From: Ann <{CONTACT}>\r\nTo: {ME}\r\nSubject: {SUBJECT}\r\nMessage-ID: <1@known.example>\r\n\r\n{BODY}.\r\n"
    );
    site.sim.deliver(&Delivery::new(ME, mail)).unwrap();
    site.shows(SUBJECT).await;
    // The last of all, so that nothing but the end of the program can have sent it.
    let last = site.send(site.client.get(format!("{}/compose", site.origin)));
    assert!(last.await.status().is_success());
    site.ends();

    let spans = collector.spans();
    let text = collector.text();
    for secret in [
        ME,
        CONTACT,
        SUBJECT,
        BODY,
        KEY,
        "known.example",
        "ya29.",
        "Bearer",
    ] {
        assert!(!text.contains(secret), "{secret} is in a trace");
    }
    assert_eq!(
        *collector.keys.lock().unwrap(),
        vec![KEY.to_owned(); collector.batches()]
    );
    let inbound = spans
        .iter()
        .find(|span| span.value("http.route") == "/compose")
        .unwrap();
    assert_eq!(
        (inbound.name(), inbound.value("http.response.status_code")),
        ("inbound", "200".into())
    );

    let fetched = spans
        .iter()
        .find(|span| span.value("url.template") == "/gmail/v1/users/me/messages/{}")
        .expect("the message was fetched");
    assert_eq!(fetched.name(), "request");
    assert_eq!(fetched.value("http.request.method"), "GET");
    assert_eq!(fetched.value("server.address"), "gmail.googleapis.com");
    assert_eq!(fetched.value("http.response.status_code"), "200");
    let stored = spans
        .iter()
        .find(|span| span.value("call") == "put-messages")
        .unwrap();
    assert_eq!((stored.name(), stored.value("result")), ("crm", "done".into()));
    for child in [fetched, stored] {
        let pass = spans
            .iter()
            .find(|span| span.0["spanId"] == child.0["parentSpanId"])
            .unwrap();
        assert_eq!((pass.name(), pass.value("result")), ("pass", "done".into()));
        assert!(!pass.value("trigger").is_empty() && !pass.value("plugin.version").is_empty());
    }
}

impl Site {
    async fn shows(&self, text: &str) {
        let since = Instant::now();
        loop {
            let page = self.send(self.client.get(format!("{}/", self.origin))).await;
            if page.text().await.unwrap().contains(text) {
                return;
            }
            assert!(since.elapsed() < PATIENCE, "{text} does not arrive");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// As a service manager ends it.
    fn ends(&mut self) {
        let id = self.server.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert!(self.server.wait().unwrap().success());
    }
}

/// A span as the collector got it.
struct Span(Value);

impl Span {
    fn name(&self) -> &str {
        self.0["name"].as_str().unwrap()
    }

    /// An attribute as text; empty if there is none.
    fn value(&self, key: &str) -> String {
        let attributes = self.0["attributes"].as_array().into_iter().flatten();
        let found = attributes.into_iter().find(|attribute| attribute["key"] == key);
        let value = found.and_then(|attribute| attribute["value"].as_object()?.values().next());
        match value {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => String::new(),
        }
    }
}

/// A collector that keeps what it gets (OTLP/HTTP with JSON).
#[derive(Clone, Default)]
struct Collector {
    address: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    keys: Arc<Mutex<Vec<String>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self {
            address: listener.local_addr().unwrap().to_string(),
            ..Self::default()
        };
        let app = Router::new()
            .route("/v1/traces", post(take))
            .with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        collector
    }

    /// The table of the configuration.
    fn table(&self, key: &Path) -> String {
        format!(
            "[telemetry]\nendpoint = \"http://{}/v1/traces\"\nprotocol = \"http/json\"\n\
             header = \"x-key\"\nheader_file = \"{}\"\n",
            self.address,
            key.display()
        )
    }

    fn batches(&self) -> usize {
        self.bodies.lock().unwrap().len()
    }

    fn text(&self) -> String {
        self.bodies.lock().unwrap().iter().map(Value::to_string).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock().unwrap();
        let list = |value: &Value, key: &str| value[key].as_array().cloned().unwrap_or_default();
        let resources = bodies.iter().flat_map(|body| list(body, "resourceSpans"));
        let scopes = resources.flat_map(|resource| list(&resource, "scopeSpans"));
        scopes.flat_map(|scope| list(&scope, "spans")).map(Span).collect()
    }
}

async fn take(
    State(collector): State<Collector>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Json<Value> {
    collector
        .keys
        .lock()
        .unwrap()
        .push(headers["x-key"].to_str().unwrap().to_owned());
    collector.bodies.lock().unwrap().push(body);
    Json(serde_json::json!({}))
}
