//! What the simulator costs in process: a new world, a mailbox, and typical requests. `cargo run -p gmail-sim --example cost`

use std::time::Instant;

use axum::http::Request;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use bytes::Bytes;
use gmail_sim::{Clock, Config, Delivery, FaultPlan, Sim};

const MAIL: &str = "https://mail.google.com/";
const ANNA: &str = "anna@acme.test";

fn main() {
    measure("a new simulator", 10_000, || drop(world()));
    measure("with a mailbox and a token", 2_000, || drop(mailbox()));
    let (sim, token) = mailbox();
    let mail = format!(
        "From: c@client.test\nTo: {ANNA}\nSubject: hi\n\n{}",
        "hello ".repeat(500)
    );
    let delivery = Delivery::new(ANNA, mail.clone());
    let mut id = String::new();
    measure("a delivery of 3 kB", 500, || {
        id = sim
            .deliver(&delivery)
            .map(|delivered| delivered.id)
            .unwrap_or_default();
    });
    let start = sim.mailbox(ANNA).map_or(0, |view| view.history_id);
    sim.deliver(&delivery);
    let get = |path: &str| {
        let request = Request::get(format!("/gmail/v1/users/me/{path}"))
            .header("authorization", format!("Bearer {token}"))
            .body(Bytes::new());
        request
            .map(|request| sim.handle(request))
            .map(|answer| answer.status())
    };
    let requests = || {
        measure("getProfile", 2_000, || drop(get("profile")));
        measure("history.list, one record", 2_000, || {
            drop(get(&format!("history?startHistoryId={start}")));
        });
        measure("messages.list, 100 of them", 500, || drop(get("messages")));
        measure("messages.get, full, 3 kB", 1_000, || {
            drop(get(&format!("messages/{id}")));
        });
        measure("messages.get, raw, 3 kB", 1_000, || {
            drop(get(&format!("messages/{id}?format=raw")));
        });
    };
    requests();
    let body = Bytes::from(format!(r#"{{"raw": "{}"}}"#, URL_SAFE.encode(mail)));
    measure("messages.send, 3 kB", 300, || {
        let request = Request::post("/gmail/v1/users/me/messages/send")
            .header("authorization", format!("Bearer {token}"))
            .body(body.clone());
        drop(request.map(|request| sim.handle(request)));
    });
    println!("under a plan that never strikes:");
    sim.set_fault_plan(Some(FaultPlan::new(1, 0)));
    requests();
}

fn world() -> Sim {
    let (clock, _) = Clock::manual(1_790_000_000_000);
    Sim::new(Config {
        clock,
        ..Config::default()
    })
}

fn mailbox() -> (Sim, String) {
    let sim = world();
    sim.create_user(ANNA, "Anna Adams");
    let tokens = sim.issue_token(ANNA, &[MAIL]);
    (sim, tokens.map(|tokens| tokens.access_token).unwrap_or_default())
}

fn measure(what: &str, times: u32, mut work: impl FnMut()) {
    let begun = Instant::now();
    for _ in 0..times {
        work();
    }
    let each = begun.elapsed() / times;
    println!("{what:32} {each:>12.2?}");
}
