//! What a client meets on the socket: cut, truncated, slow and silent answers, and gzip.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use gmail_sim::{Config, Fault, FaultKind, Server, Sim};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

const ANNA: &str = "anna@acme.test";

struct Line {
    sim: Sim,
    server: Server,
    token: String,
    client: Client,
}

impl Line {
    async fn open() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sim = Sim::new(Config::default());
        sim.create_user(ANNA, "Anna");
        let server = Server::start(sim.clone()).await.unwrap();
        let token = sim
            .issue_token(ANNA, &["https://mail.google.com/"])
            .unwrap()
            .access_token;
        let client = Client::builder().no_gzip().build().unwrap();
        Self {
            sim,
            server,
            token,
            client,
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        let url = format!("{}/gmail/v1/users/me/{path}", self.server.origin());
        self.client.get(url).bearer_auth(&self.token)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        let url = format!("{}/gmail/v1/users/me/{path}", self.server.origin());
        self.client.post(url).bearer_auth(&self.token)
    }
}

#[tokio::test]
async fn a_silent_request_times_out_before_or_after_its_effect() {
    for (kind, made) in [(FaultKind::SilentBefore, false), (FaultKind::SilentAfter, true)] {
        let line = Line::open().await;
        line.sim.inject(Fault::soon(kind));
        let create = || line.post("labels").json(&json!({"name": "n"}));
        let error = create()
            .timeout(Duration::from_millis(300))
            .send()
            .await
            .unwrap_err();
        assert!(error.is_timeout());
        let again = create().send().await.unwrap().status();
        assert_eq!(again == 409, made, "{kind:?}: {again}");
    }
}

#[tokio::test]
async fn a_body_is_cut_after_its_first_bytes() {
    let line = Line::open().await;
    line.sim.inject(Fault::soon(FaultKind::CutBody(30)));
    let mut response = line.get("labels").send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut arrived = Vec::new();
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => arrived.extend_from_slice(&chunk),
            Ok(None) => panic!("the body ended as if it were whole"),
            Err(error) => break error,
        }
    };
    assert_eq!(arrived.len(), 30);
    assert!(error.is_body() || error.is_decode(), "{error:?}");
}

#[tokio::test]
async fn a_truncated_body_ends_as_if_it_were_whole() {
    let line = Line::open().await;
    line.sim.inject(Fault::soon(FaultKind::TruncatedBody(30)));
    let body = line.get("labels").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(body.len(), 30);
    assert!(serde_json::from_slice::<Value>(&body).is_err());
}

#[tokio::test]
async fn a_slow_body_comes_whole_in_its_time() {
    let line = Line::open().await;
    line.sim.inject(Fault::soon(FaultKind::SlowBody(100, 50)));
    let begun = Instant::now();
    let body = line.get("profile").send().await.unwrap().bytes().await.unwrap();
    let chunks = u32::try_from(body.len().div_ceil(100)).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(50) * chunks);
    assert_eq!(
        serde_json::from_slice::<Value>(&body).unwrap()["emailAddress"],
        ANNA
    );
}

#[tokio::test]
async fn gzip_is_taken_always_and_given_to_who_asks_twice() {
    let line = Line::open().await;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(br#"{"name": "packed"}"#).unwrap();
    let created = line
        .post("labels")
        .header("content-encoding", "gzip")
        .body(encoder.finish().unwrap());
    assert_eq!(created.send().await.unwrap().status(), 200);
    let broken = line.post("labels").header("content-encoding", "gzip").body("{}");
    assert_eq!(broken.send().await.unwrap().status(), 400);

    let asks = |agent: &str| {
        line.get("labels")
            .header("accept-encoding", "gzip")
            .header("user-agent", agent)
            .send()
    };
    let plain = asks("curl").await.unwrap();
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.bytes().await.unwrap();
    let packed = asks("client (gzip)").await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut unpacked = Vec::new();
    GzDecoder::new(packed.as_ref())
        .read_to_end(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    assert!(packed.len() < plain.len());
    assert_eq!(line.sim.faults_hit()["gzip_answers"], 1);
    line.sim.set_behaviour(|behaviour| behaviour.gzip_answers = false);
    let off = asks("client (gzip)").await.unwrap();
    assert!(off.headers().get("content-encoding").is_none());
}
