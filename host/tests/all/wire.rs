//! The real client on real sockets, and how fast things are.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, http::HeaderMap, routing};
use tokio::net::TcpListener;
use twinbox_host::{
    body::Body,
    contract::Trigger,
    egress::{
        Credential, Denial, Egress, Failure, FailureKind, Grants, Http, Origin, Outlet, Policy, Request,
        RequestBudget, StandIns,
    },
};

use crate::harness::{TOKEN, Tokens, World, probe, scope, tight};

const REAL: &str = "https://mail.example";

fn get(path: &str) -> Request {
    Request {
        method: "GET".into(),
        url: format!("{REAL}{path}"),
        headers: Vec::new(),
        body: Body::Empty,
        length: None,
        credential: Credential::None,
        inline_limit: 1 << 20,
    }
}

/// An outlet whose granted origin is answered at this port of this machine.
fn outlet(port: u16) -> Outlet {
    let grants = Grants::parse([REAL]).unwrap();
    let stand_in = Origin::parse(&format!("http://127.0.0.1:{port}")).unwrap();
    let stand_ins = StandIns::default().with(Origin::parse(REAL).unwrap(), stand_in);
    let egress = Arc::new(Egress::new(grants.clone()).unwrap().stand_ins(stand_ins));
    let policy = Policy {
        manifest: grants.clone(),
        credential: grants.clone(),
        tenant: grants,
    };
    egress.outlet(policy, Arc::new(Tokens))
}

async fn server() -> u16 {
    let routes = Router::new()
        .route("/hello", routing::get(|| async { "hello" }))
        .route(
            "/bearer",
            routing::get(|headers: HeaderMap| async move {
                headers["authorization"].to_str().unwrap().to_owned()
            }),
        )
        .route(
            "/moved",
            routing::get(|| async { (axum::http::StatusCode::FOUND, [("location", "/hello")]) }),
        )
        .route("/large", routing::get(|| async { vec![7; 3 << 20] }))
        .route(
            "/count",
            routing::post(|body: Bytes| async move { body.len().to_string() }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    port
}

async fn text(outlet: &Outlet, request: Request) -> Result<(u16, String), Failure> {
    let budget = RequestBudget::new(1);
    let response = outlet.send(&scope("t"), &budget, request).await?;
    let bytes = response.body.collect(8 << 20).await.unwrap();
    Ok((response.status, String::from_utf8(bytes.to_vec()).unwrap()))
}

#[tokio::test]
async fn a_stand_in_answers_for_the_origin_that_was_asked() {
    let outlet = outlet(server().await);
    assert_eq!(text(&outlet, get("/hello?q=1")).await, Ok((200, "hello".into())));
    assert_eq!(text(&outlet, get("/moved")).await, Ok((302, String::new())));
    let with_credential = Request {
        credential: Credential::Mailbox,
        ..get("/bearer")
    };
    assert_eq!(
        text(&outlet, with_credential).await,
        Ok((200, format!("Bearer {TOKEN}")))
    );
}

#[tokio::test]
async fn bodies_are_inline_up_to_the_limit_and_streams_above_it() {
    let outlet = outlet(server().await);
    let budget = RequestBudget::new(10);
    let response = outlet.send(&scope("t"), &budget, get("/large")).await.unwrap();
    assert!(matches!(response.body, Body::Stream(_)));
    assert_eq!(response.length, Some(3 << 20));
    assert_eq!(response.body.collect(8 << 20).await.unwrap().len(), 3 << 20);
    let parts = futures_util::stream::iter((0..30).map(|_| Ok(Bytes::from(vec![1; 10_000]))));
    let body = Body::Stream(Box::pin(parts));
    let post = Request {
        method: "POST".into(),
        body,
        length: Some(300_000),
        ..get("/count")
    };
    assert_eq!(text(&outlet, post).await, Ok((200, "300000".into())));
}

#[tokio::test]
async fn what_never_left_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failure = text(&outlet(port), get("/hello")).await.unwrap_err();
    assert_eq!(failure, Failure::unsent(FailureKind::Connect));
    assert!(failure.retryable);
}

#[tokio::test]
async fn a_connection_that_breaks_after_the_request_may_have_been_served() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut bytes = [0; 16];
            tokio::io::AsyncReadExt::read_exact(&mut socket, &mut bytes)
                .await
                .unwrap();
        }
    });
    let post = Request {
        method: "POST".into(),
        ..get("/hello")
    };
    let failure = text(&outlet(port), post).await.unwrap_err();
    assert!(failure.request_sent, "{failure:?}");
}

#[tokio::test]
async fn without_a_stand_in_this_machine_is_not_reached() {
    let port = server().await;
    let origin = format!("http://127.0.0.1:{port}");
    let grants = Grants::parse([&origin]).unwrap();
    let policy = Policy {
        manifest: grants.clone(),
        credential: Grants::default(),
        tenant: grants.clone(),
    };
    let outlet = Arc::new(Egress::new(grants).unwrap()).outlet(policy, Arc::new(Tokens));
    let request = Request {
        url: format!("{origin}/hello"),
        ..get("")
    };
    assert_eq!(text(&outlet, request).await, Err(Denial::Address.into()));
}

/// `cargo test --release … -- --ignored --nocapture` prints the figures.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_fast_the_way_out_is() {
    let outlet = Arc::new(outlet(server().await));
    let began = Instant::now();
    let workers = (0..32).map(|_| {
        let outlet = outlet.clone();
        tokio::spawn(async move {
            for _ in 0..200 {
                text(&outlet, get("/hello")).await.unwrap();
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
    println!("{:.0} requests/s", 6_400.0 / began.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn how_fast_a_pass_is() {
    let plugin = probe().await;
    let capabilities = World::new("t").capabilities();
    let mut times = Vec::new();
    for _ in 0..3_000 {
        let began = Instant::now();
        let pass = plugin.pass(capabilities.clone(), tight());
        pass.run(Trigger::Manual, "nop".into()).await.result.unwrap();
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].max(Duration::from_nanos(1));
    println!(
        "instantiate + run + drop: p1 {:?} p50 {:?} p99 {:?}",
        at(1),
        at(50),
        at(99)
    );
}
