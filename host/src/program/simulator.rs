//! The Gmail that the demo talks to: one in this process, or one that is running already. Driven
//! through its admin calls, so that both are the same.

use std::collections::HashMap;

use reqwest::{Client, redirect::Policy};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::failure::Failure;
use crate::vault::Endpoints;

/// A Gmail simulator.
pub(super) struct Simulator {
    origin: String,
    client: Client,
    /// Keeps the one in this process alive.
    _server: Option<gmail_sim::Server>,
}

/// What the simulator counted.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub(super) struct Usage {
    /// Requests to the API.
    pub(super) requests: u64,
    /// Quota units.
    pub(super) units: u64,
}

impl Simulator {
    /// The one at `origin`, or a new one.
    pub(super) async fn start(origin: Option<String>) -> Result<Self, Failure> {
        let (origin, server) = if let Some(origin) = origin {
            (origin.trim_end_matches('/').to_owned(), None)
        } else {
            let sim = gmail_sim::Sim::new(gmail_sim::Config::default());
            let server = gmail_sim::Server::start(sim).await?;
            (server.origin(), Some(server))
        };
        crate::tls::install();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .map_err(unreachable)?;
        Ok(Self {
            origin,
            client,
            _server: server,
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// Where its OAuth endpoints are.
    pub(super) fn endpoints(&self) -> Endpoints {
        let at = |path: &str| format!("{}{path}", self.origin);
        Endpoints {
            authorize: at("/o/oauth2/v2/auth"),
            token: at("/token"),
            revoke: at("/revoke"),
            jwks: at("/oauth2/v3/certs"),
            userinfo: at("/v1/userinfo"),
            ..Endpoints::default()
        }
    }

    /// Makes a mailbox, if there is none with this address.
    pub(super) async fn create_user(&self, address: &str, name: &str) -> Result<(), Failure> {
        let user = json!({ "email": address, "displayName": name });
        self.post("users", user).await.map(drop)
    }

    /// Puts these people into a mailbox's address book, if it is empty.
    pub(super) async fn fill_address_book(
        &self,
        mailbox: &str,
        people: &[(&str, &str)],
    ) -> Result<(), Failure> {
        let url = format!("{}/sim/contacts/{mailbox}", self.origin);
        let answer = self.client.get(url).send().await.map_err(unreachable)?;
        let book: Value = answer.json().await.map_err(unreachable)?;
        if book.as_array().is_some_and(|known| !known.is_empty()) {
            return Ok(());
        }
        for (name, address) in people {
            let person = json!({ "email": mailbox, "name": name, "addresses": [address] });
            self.post("contacts", person).await?;
        }
        Ok(())
    }

    /// Mail from outside arrives; the same key again does nothing.
    pub(super) async fn deliver(&self, mailbox: &str, key: &str, raw: Vec<u8>) -> Result<(), Failure> {
        let url = format!("{}/sim/deliver", self.origin);
        let request = self
            .client
            .post(url)
            .query(&[("mailbox", mailbox), ("key", key)])
            .body(raw);
        request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(unreachable)
            .map(drop)
    }

    /// What it counted so far.
    pub(super) async fn usage(&self) -> Result<Usage, Failure> {
        let answer = self
            .client
            .get(format!("{}/sim/stats", self.origin))
            .send()
            .await
            .map_err(unreachable)?;
        let stats: Stats = answer.json().await.map_err(unreachable)?;
        Ok(Usage {
            requests: stats.requests,
            units: stats.units.values().sum(),
        })
    }

    /// The user says yes on the consent page: follows it to where it sends the browser back.
    pub(super) async fn consent(&self, page: Url, mailbox: &str) -> Result<Url, Failure> {
        let consent = json!({ "mode": "all", "account": mailbox });
        let url = format!("{}/sim/consent", self.origin);
        self.client
            .put(url)
            .json(&consent)
            .send()
            .await
            .map_err(unreachable)?;
        let answer = self.client.get(page).send().await.map_err(unreachable)?;
        let location = answer
            .headers()
            .get("location")
            .and_then(|value| value.to_str().ok());
        location.and_then(|url| Url::parse(url).ok()).ok_or_else(|| {
            Failure::new(
                "consent",
                "the simulator did not send the browser back",
                "Start it with --auto-consent.",
            )
        })
    }

    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        let url = format!("{}/sim/{path}", self.origin);
        let answer = self.client.post(url).json(&body).send().await;
        let answer = answer
            .and_then(reqwest::Response::error_for_status)
            .map_err(unreachable)?;
        answer.json().await.map_err(unreachable)
    }
}

#[derive(Deserialize)]
struct Stats {
    requests: u64,
    /// By mailbox.
    units: HashMap<String, u64>,
}

fn unreachable(error: reqwest::Error) -> Failure {
    Failure::new(
        "simulator",
        error.without_url(),
        "Check that the simulator runs at the origin given by --gmail.",
    )
}
