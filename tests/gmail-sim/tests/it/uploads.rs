//! Uploads in their three ways, insert and import.

use axum::http::Request;
use bytes::Bytes;
use gmail_sim::{Config, Limits};
use serde_json::json;

use crate::world::{ANNA, Answer, START, World, raw};

const MAIL: &str = "To: c@client.test\nSubject: up\n\nhello";
const SEND: &str = "/upload/gmail/v1/users/me/messages/send";

fn upload(world: &World, verb: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut request = Request::builder()
        .method(verb)
        .uri(path)
        .header("authorization", format!("Bearer {}", world.token))
        .header("host", "sim.test");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    world.raw(request.body(Bytes::copy_from_slice(body)).unwrap())
}

#[test]
fn media_and_multipart_uploads_are_sent() {
    let world = World::new();
    for base in [SEND, "/resumable/upload/gmail/v1/users/me/messages/send"] {
        upload(
            &world,
            "POST",
            &format!("{base}?uploadType=media"),
            &[("content-type", "message/rfc822")],
            MAIL.as_bytes(),
        )
        .ok();
    }
    let body = format!(
        "--x\nContent-Type: application/json\n\n{{}}\n--x\nContent-Type: message/rfc822\n\n{MAIL}\n--x--"
    );
    let kind = [("content-type", "multipart/related; boundary=x")];
    upload(
        &world,
        "POST",
        &format!("{SEND}?uploadType=multipart"),
        &kind,
        body.as_bytes(),
    )
    .ok();
    assert_eq!(world.sim.outside().len(), 3);
    assert!(
        world
            .sim
            .outside()
            .iter()
            .all(|mail| mail.raw.ends_with(b"\r\n\r\nhello"))
    );
    assert_eq!(
        upload(
            &world,
            "POST",
            &format!("{SEND}?uploadType=multipart"),
            &kind,
            b"--x--"
        )
        .status,
        400
    );
    assert_eq!(
        upload(&world, "POST", &format!("{SEND}?uploadType=odd"), &[], b"").status,
        400
    );
}

#[test]
fn a_resumable_upload_survives_interruptions() {
    let world = World::new();
    let mail = format!("{MAIL}{}", "x".repeat(600_000));
    let begun = upload(
        &world,
        "POST",
        &format!("{SEND}?uploadType=resumable"),
        &[("x-upload-content-type", "message/rfc822")],
        b"{}",
    );
    let location = begun.response.headers()["location"].to_str().unwrap().to_owned();
    assert!(location.starts_with("http://sim.test/upload/"));
    let put = |range: &str, body: &[u8]| upload(&world, "PUT", &location, &[("content-range", range)], body);
    let (total, chunk) = (mail.len(), 256 * 1024);
    let first = put(
        &format!("bytes 0-{}/{total}", chunk - 1),
        &mail.as_bytes()[..chunk],
    );
    assert_eq!(
        (first.status, first.response.headers()["range"].to_str().unwrap()),
        (308, "bytes=0-262143")
    );
    assert_eq!(put(&format!("bytes */{total}"), b"").status, 308);
    assert_eq!(
        put(
            &format!("bytes {chunk}-{}/{total}", chunk + 9),
            &mail.as_bytes()[chunk..chunk + 10]
        )
        .status,
        400
    );
    let rest = put(
        &format!("bytes {chunk}-{}/{total}", total - 1),
        &mail.as_bytes()[chunk..],
    );
    assert_eq!(rest.ok()["labelIds"], json!(["SENT"]));
    assert_eq!(put(&format!("bytes */{total}"), b"").status, 404);
    assert_eq!(world.sim.stats().by_method["messages.send"], 1);
    assert_eq!(world.sim.stats().units[ANNA], 100);
    assert_eq!(world.sim.outside().len(), 1);
}

#[test]
fn messages_above_the_limits_are_too_large() {
    let limits = Limits {
        send_bytes: 1000,
        json_bytes: 2000,
        ..Limits::default()
    };
    let world = World::with(Config {
        limits,
        ..Config::default()
    });
    let big = format!("{MAIL}{}", "x".repeat(1000));
    assert_eq!(world.send(&big).status, 413);
    assert_eq!(world.send(&format!("{MAIL}{}", "x".repeat(3000))).status, 413);
    assert_eq!(
        upload(
            &world,
            "POST",
            &format!("{SEND}?uploadType=media"),
            &[],
            big.as_bytes()
        )
        .status,
        413
    );
    let length = [("x-upload-content-length", "1001")];
    assert_eq!(
        upload(
            &world,
            "POST",
            &format!("{SEND}?uploadType=resumable"),
            &length,
            b""
        )
        .status,
        413
    );
    assert!(world.sim.outside().is_empty());
}

#[test]
fn insert_is_dated_now_and_import_by_its_header() {
    let world = World::new();
    let mail = "Date: Tue, 14 Nov 2023 22:13:20 +0000\nSubject: old\nMessage-ID: <keep@me.test>\n\nx";
    let mut body = raw(mail);
    body["labelIds"] = json!(["INBOX"]);
    world.post("messages", body.clone()).ok();
    world.post("messages/import", body.clone()).ok();
    let dates: Vec<i64> = world
        .mailbox(ANNA)
        .iter()
        .map(|message| message.internal_date)
        .collect();
    assert_eq!(dates, [1_700_000_000_000, START]);
    assert!(
        world
            .mailbox(ANNA)
            .iter()
            .all(|message| message.message_id() == Some("<keep@me.test>"))
    );
    world
        .sim
        .set_behaviour(|behaviour| behaviour.import_id_changes = true);
    let answered = world.post("messages/import", body).ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.get(&format!("messages/{answered}")).status, 404);
    assert_eq!(world.mailbox(ANNA).len(), 3);
}
