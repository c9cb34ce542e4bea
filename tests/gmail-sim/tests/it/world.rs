//! A small world with a manual clock, and requests that read well.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use axum::http::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use gmail_sim::{Behaviour, Clock, Config, Delivered, Delivery, MessageView, Sim};
use serde_json::{Value, json};

pub(crate) const START: i64 = 1_790_000_000_000;
pub(crate) const ANNA: &str = "anna@acme.test";
pub(crate) const BEN: &str = "ben@acme.test";
pub(crate) const MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";
pub(crate) const FULL: &str = "https://mail.google.com/";
pub(crate) const CONTACTS: &str = "https://www.googleapis.com/auth/contacts.readonly";

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) time: Arc<AtomicI64>,
    pub(crate) token: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) response: Response<Bytes>,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(self.response.body())
            .unwrap_or_else(|_| panic!("{} {:?}", self.status, self.response.body()))
    }

    /// The body, or `null` if it is no JSON.
    pub(crate) fn json_or_null(&self) -> Value {
        serde_json::from_slice(self.response.body()).unwrap_or_default()
    }

    pub(crate) fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{:?}", self.response.body());
        self.json()
    }

    /// Status, reason and message of a refusal.
    pub(crate) fn refusal(&self) -> (u16, String, String) {
        let error = &self.json()["error"];
        assert_eq!(error["code"], self.status);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (
            self.status,
            text(&error["errors"][0]["reason"]),
            text(&error["message"]),
        )
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn behaving(change: impl FnOnce(&mut Behaviour)) -> Self {
        let world = Self::new();
        world.sim.set_behaviour(change);
        world
    }

    pub(crate) fn with(config: Config) -> Self {
        let (clock, time) = Clock::manual(START);
        let sim = Sim::new(Config { clock, ..config });
        sim.create_user(ANNA, "Anna Adams");
        sim.create_user(BEN, "Ben Brown");
        let token = sim.issue_token(ANNA, &[FULL, CONTACTS]).unwrap().access_token;
        Self { sim, time, token }
    }

    pub(crate) fn advance(&self, ms: i64) {
        self.time.fetch_add(ms, Ordering::SeqCst);
    }

    /// A request with Anna's token; paths without a slash are under `/gmail/v1/users/me/`.
    pub(crate) fn call(&self, verb: &str, path: &str, body: Value) -> Answer {
        let token = self.token.clone();
        self.call_as(&token, verb, path, body)
    }

    pub(crate) fn call_as(&self, token: &str, verb: &str, path: &str, body: Value) -> Answer {
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/gmail/v1/users/me/{path}")
        };
        let body = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let mut request = Request::builder()
            .method(verb)
            .uri(path)
            .header("host", "sim.test");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.raw(request.body(body).unwrap())
    }

    pub(crate) fn raw(&self, request: Request<Bytes>) -> Answer {
        let response = self.sim.handle(request);
        Answer {
            status: response.status().as_u16(),
            response,
        }
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.call("GET", path, Value::Null)
    }

    pub(crate) fn post(&self, path: &str, body: Value) -> Answer {
        self.call("POST", path, body)
    }

    pub(crate) fn arrive(&self, text: &str) -> Delivered {
        self.sim.deliver(&Delivery::new(ANNA, text.to_owned())).unwrap()
    }

    pub(crate) fn send(&self, text: &str) -> Answer {
        self.post("messages/send", json!({"raw": URL_SAFE.encode(text)}))
    }

    pub(crate) fn history_id(&self) -> String {
        self.get("profile").ok()["historyId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn mailbox(&self, email: &str) -> Vec<MessageView> {
        self.sim.mailbox(email).unwrap().messages
    }
}

pub(crate) fn raw(text: &str) -> Value {
    json!({"raw": URL_SAFE.encode(text)})
}

/// The text of a message field that is base64url.
pub(crate) fn decoded(value: &Value) -> String {
    String::from_utf8(URL_SAFE.decode(value.as_str().unwrap()).unwrap()).unwrap()
}

pub(crate) fn ids(list: &Value) -> Vec<String> {
    list.as_array()
        .map(|items| {
            items
                .iter()
                .map(|item| item["id"].as_str().unwrap().to_owned())
                .collect()
        })
        .unwrap_or_default()
}
