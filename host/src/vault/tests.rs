use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock::{Clock, ManualClock},
    sqlite::{Database, Durability},
};

mod consent;
mod hosts;
mod rotation;
mod tokens;

const NOW: u64 = 1_700_000_000_000;
const MAIL: &str = "https://www.googleapis.com/auth/gmail.modify";
const CLIENT_SECRET: &str = "client-secret-value";

/// What the provider answers, and what it was asked.
struct World {
    status: StatusCode,
    answer: Value,
    asked: Vec<HashMap<String, String>>,
    revoked: Vec<String>,
    revoke_status: StatusCode,
}

/// A provider on a local port and a vault that uses it.
struct Setting {
    vault: OAuthVault,
    database: Database,
    clock: ManualClock,
    world: Arc<Mutex<World>>,
    provider: Provider,
}

impl Setting {
    async fn new() -> Self {
        let keys = SealingKeys::new(SealingKey::from_bytes(&[7; 32]), Vec::new());
        Self::over(Database::in_memory().unwrap(), keys).await
    }

    async fn over(database: Database, keys: impl Into<KeyRing>) -> Self {
        let world = Arc::new(Mutex::new(World {
            status: StatusCode::OK,
            answer: json!({"access_token": "access-2", "token_type": "Bearer", "expires_in": 3599}),
            asked: Vec::new(),
            revoked: Vec::new(),
            revoke_status: StatusCode::OK,
        }));
        let router = Router::new()
            .route("/token", post(token))
            .route("/revoke", post(revoke))
            .with_state(Arc::clone(&world));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let endpoints = Endpoints {
            token: format!("{origin}/token"),
            revoke: format!("{origin}/revoke"),
            ..Endpoints::default()
        };
        let config = ClientConfig {
            client_id: "client".into(),
            client_secret: CLIENT_SECRET.into(),
            redirect_uri: "http://127.0.0.1:1/oauth/callback".into(),
            scopes: vec!["openid".into(), "email".into(), MAIL.into()],
        };
        let clock = ManualClock::at(NOW);
        let provider = Provider::new(endpoints, config).unwrap();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let vault = OAuthVault::new(database.clone(), keys, provider.clone(), shared).unwrap();
        Self {
            vault,
            database,
            clock,
            world,
            provider,
        }
    }

    /// The vault of another process over a database, with the same provider and time.
    fn another_host(&self, database: Database, keys: impl Into<KeyRing>) -> OAuthVault {
        OAuthVault::new(
            database,
            keys,
            self.provider.clone(),
            Arc::new(self.clock.clone()),
        )
        .unwrap()
    }

    fn answers(&self, status: StatusCode, answer: Value) {
        let mut world = self.world.lock().unwrap();
        world.status = status;
        world.answer = answer;
    }

    fn asked(&self) -> usize {
        self.world.lock().unwrap().asked.len()
    }

    fn revoked(&self) -> Vec<String> {
        self.world.lock().unwrap().revoked.clone()
    }

    /// Stores a grant of the account `sub` whose access token is `access-1` and lasts an hour.
    async fn connected(&self, connection: &str) -> ConnectionId {
        let connection = ConnectionId::new(connection);
        self.vault.adopt(&connection, grant_tokens("sub")).await.unwrap();
        connection
    }
}

fn grant_tokens(subject: &str) -> Tokens {
    Tokens {
        grant: Grant {
            subject: subject.into(),
            email: "ann@gmail.com".into(),
            scopes: vec![MAIL.into()],
        },
        access: "access-1".into(),
        refresh: "refresh-1".into(),
        expires_at: NOW + 3_600_000,
        lasts_until: None,
    }
}

async fn token(
    State(world): State<Arc<Mutex<World>>>,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    // Long enough for callers to pile up.
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    let mut world = world.lock().unwrap();
    world.asked.push(form);
    let body = world.answer.to_string();
    (world.status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

async fn revoke(
    State(world): State<Arc<Mutex<World>>>,
    Form(form): Form<HashMap<String, String>>,
) -> StatusCode {
    let mut world = world.lock().unwrap();
    world.revoked.push(form["token"].clone());
    world.revoke_status
}
