//! The switches by seed, and the count of what they decided.

use std::collections::BTreeSet;

use gmail_sim::{Behaviour, Config, TokenFlaw};
use serde_json::{Value, json};

use crate::faults::{everything, refresh};
use crate::world::{ANNA, FULL, World, raw};

const TOPIC: &str = "projects/p/topics/t";
const DAY: i64 = 24 * 3_600_000;

/// What `everything` leaves out.
fn the_rest(world: &World) {
    world.send(
        "From: x@other.test\nTo: anna@acme.test\nBcc: ben@acme.test\nX-Mailer: a CRM\nSubject: x\n\nhello",
    );
    world.sim.bounce("gone@client.test");
    let sent = world
        .send("To: gone@client.test\nSubject: y\n\nhello")
        .json_or_null();
    let thread = sent["threadId"].clone();
    let mut stray = raw("To: out@client.test\nSubject: other\n\nhello");
    stray["threadId"] = thread;
    world.post("messages/send", stray);
    let mail = world.mailbox(ANNA);
    let first = mail
        .iter()
        .find(|message| message.subject() == Some("y"))
        .unwrap();
    let own = first.message_id().unwrap();
    world.send(&format!(
        "To: out@client.test\nReferences: {own}\nSubject: y\n\nhello"
    ));
    let mixed =
        "Subject: z\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: image/png\n\nx\n--b--\n";
    let id = world.arrive(mixed).id;
    world.get(&format!("messages/{id}"));
    let long = world
        .arrive(&format!("Subject: long\n\n{}", "word ".repeat(400)))
        .id;
    world.get(&format!("messages/{long}"));
    batch(world, 25);
    world.get("profile?fields=nonsense");
    let draft = world
        .post("drafts", json!({"message": raw("To: out@client.test\n\nx")}))
        .json_or_null();
    let sent = world
        .post("drafts/send", json!({"id": draft["id"]}))
        .json_or_null();
    if let Some(id) = sent["id"].as_str() {
        world.call("DELETE", &format!("messages/{id}"), Value::Null);
    }
    world.sim.block_until(ANNA, Some(world.sim.now_ms() + 1_000));
    world.get("profile");
    world.sim.block_until(ANNA, None);
    world.post("stop", Value::Null);
    world.advance(1_000);
    world.arrive("Subject: late\n\nx");
    world.arrive("Subject: later\n\nx");
    world.advance(120_000);
    world.sim.take_notifications();
    world.post("watch", json!({"topicName": TOPIC}));
    world.advance(500);
    world.arrive("Subject: too soon\n\nx");
    for _ in 0..3 {
        world.advance(1_000);
        world.arrive("Subject: x\n\nx");
    }
    world.sim.take_notifications();
    crate::people::everything(world);
    world.advance(8 * DAY);
    let token = world.sim.issue_token(ANNA, &[FULL]).unwrap().access_token;
    world.call_as(&token, "GET", "history?startHistoryId=1", Value::Null);
    let revoke = axum::http::Request::post("/revoke");
    world.raw(revoke.body(format!("token={token}").into()).unwrap());
}

/// So many getProfile in a batch; their ids in the order of the answers, and how many of them were 200.
fn batch(world: &World, calls: usize) -> (Vec<String>, usize) {
    let call = "GET /gmail/v1/users/me/profile HTTP/1.1";
    let part = |n| format!("--b\nContent-Type: application/http\nContent-ID: <{n:02}>\n\n{call}\n\n\n");
    let body = (0..calls).map(part).collect::<Vec<_>>().concat();
    let request = axum::http::Request::post("/batch/gmail/v1")
        .header("authorization", format!("Bearer {}", world.token))
        .header("content-type", "multipart/mixed; boundary=b");
    let answer = world.raw(request.body((body + "--b--\n").into()).unwrap());
    let text = String::from_utf8(answer.response.body().to_vec()).unwrap();
    let ids = text.lines().filter_map(|line| line.strip_prefix("Content-ID: "));
    (
        ids.map(str::to_owned).collect(),
        text.matches("HTTP/1.1 200 OK").count(),
    )
}

#[test]
fn a_batch_can_be_shuffled_and_too_much_at_once() {
    let world = World::new();
    let (order, fine) = batch(&world, 25);
    assert!(order.is_sorted());
    assert_eq!((order.len(), fine), (25, 25));
    world.sim.set_behaviour(|behaviour| {
        behaviour.batch_shuffled = true;
        behaviour.batch_concurrent = Some(20);
    });
    let (mut shuffled, fine) = batch(&world, 25);
    assert!(!shuffled.is_sorted());
    shuffled.sort();
    assert_eq!((shuffled, fine), (order, 20));
    assert_eq!(world.sim.faults_hit()["batch_concurrent"], 5);
}

#[test]
fn large_text_can_come_as_an_attachment() {
    let world = World::behaving(|behaviour| behaviour.text_as_attachment_above = Some(10));
    let id = world.arrive("Subject: x\n\nlonger than ten").id;
    let body = world.get(&format!("messages/{id}")).ok()["payload"]["body"].clone();
    assert!(body.get("data").is_none());
    let part = body["attachmentId"].as_str().unwrap();
    let fetched = world.get(&format!("messages/{id}/attachments/{part}")).ok();
    assert_eq!(crate::world::decoded(&fetched["data"]), "longer than ten");
    let id = world.arrive("Subject: x\n\nshort").id;
    let body = world.get(&format!("messages/{id}")).ok()["payload"]["body"].clone();
    assert_eq!(crate::world::decoded(&body["data"]), "short");
}

#[test]
fn every_switch_that_can_decide_in_process_is_counted_under_some_seed() {
    let mut seen = BTreeSet::new();
    for seed in 0..40 {
        let world = World::with(Config {
            seed,
            behaviour: Behaviour::drawn(seed),
            ..Config::default()
        });
        everything(&world);
        the_rest(&world);
        seen.extend(world.sim.faults_hit().into_keys());
    }
    // The server's, those that end grants, and those of limits that are not reached here have tests of their own.
    let elsewhere = [
        "quota_refusal",
        "sending_limit_delay_ms",
        "refresh_token_lifetime_ms",
        "refresh_tokens_per_account",
        "gzip_answers",
        "latency_ms",
        "concurrent_requests",
    ];
    let missing: Vec<&str> = Behaviour::SWITCHES
        .iter()
        .map(|switch| switch.name)
        .filter(|name| !seen.contains(name) && !elsewhere.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn drawn_settings_depend_on_the_seed_alone_and_reach_every_alternative() {
    assert_eq!(Behaviour::drawn(5), Behaviour::drawn(5));
    let drawn: Vec<Behaviour> = (0..200).map(Behaviour::drawn).collect();
    let default = json!(Behaviour::default());
    let turned: BTreeSet<String> = drawn
        .iter()
        .flat_map(|behaviour| {
            let values = json!(behaviour);
            let values = values.as_object().unwrap().clone();
            values.into_iter().filter(|(name, value)| default[name] != *value)
        })
        .map(|(name, _)| name)
        .collect();
    let stays = [
        "refresh_token_lifetime_ms",
        "refresh_tokens_per_account",
        "latency_ms",
        "concurrent_requests",
    ];
    assert_eq!(turned.len(), Behaviour::SWITCHES.len() - stays.len());
    assert!(stays.iter().all(|name| !turned.contains(*name)));
    assert!(
        drawn
            .iter()
            .any(|one| one.push_forged == Some(TokenFlaw::Expired))
    );
}

#[test]
fn grants_that_age_or_are_too_many_are_counted_when_they_die() {
    let world = World::behaving(|behaviour| {
        behaviour.refresh_token_lifetime_ms = Some(7 * DAY);
        behaviour.refresh_tokens_per_account = 2;
    });
    world.sim.issue_token(ANNA, &[FULL]);
    assert_eq!(world.sim.mailbox(ANNA).unwrap().grants, 2);
    assert_eq!(refresh(&world).status, 200);
    let old = world.sim.issue_token(ANNA, &[FULL]).unwrap().refresh_token;
    world.advance(7 * DAY);
    let form = format!(
        "client_id=twinbox-demo&client_secret=twinbox-demo-secret&grant_type=refresh_token&refresh_token={old}"
    );
    let request = axum::http::Request::post("/token").body(form.into()).unwrap();
    assert_eq!(world.raw(request).json()["error"], "invalid_grant");
    let hits = world.sim.faults_hit();
    assert_eq!(
        (
            hits["refresh_token_lifetime_ms"],
            hits["refresh_tokens_per_account"]
        ),
        (1, 2)
    );
}

#[test]
fn on_a_quiet_mailbox_the_newest_messages_id_can_expire_while_the_profiles_is_good() {
    let world = World::behaving(|behaviour| behaviour.history_quiet_ids_expire = true);
    let id = world.arrive("Subject: x\n\ny").id;
    world.advance(8 * DAY);
    let token = world.sim.issue_token(ANNA, &[FULL]).unwrap().access_token;
    let get = |path: &str| world.call_as(&token, "GET", path, Value::Null);
    let newest = get(&format!("messages/{id}?format=minimal")).ok()["historyId"].clone();
    let list = |start: &Value| get(&format!("history?startHistoryId={}", start.as_str().unwrap())).status;
    assert_eq!(list(&newest), 404);
    let anchor = get("profile").ok()["historyId"].clone();
    assert_eq!(list(&anchor), 200);
    assert_eq!(get("profile").ok()["historyId"], anchor, "it is made once");
}

#[test]
fn notifications_can_be_late_out_of_order_and_lost_and_come_after_stop() {
    let watched = |change: &dyn Fn(&mut Behaviour)| {
        let world = World::behaving(|behaviour| {
            behaviour.push_rate_limited = false;
            change(behaviour);
        });
        world.post("watch", json!({"topicName": TOPIC})).ok();
        for _ in 0..20 {
            world.arrive("Subject: x\n\ny");
        }
        world
    };
    let order = |world: &World| {
        let taken = world.sim.take_notifications();
        taken.iter().map(|one| one.history_id).collect::<Vec<_>>()
    };
    let world = watched(&|behaviour| behaviour.push_delay_ms = 1_000);
    assert!(order(&world).is_empty());
    world.advance(1_000);
    assert!(order(&world).is_sorted());
    let world = watched(&|behaviour| behaviour.push_jitter_ms = 1_000);
    let early = order(&world).len();
    world.advance(1_000);
    let late = order(&world);
    assert_eq!(early + late.len(), 21);
    assert!(!late.is_sorted());
    assert!(!order(&watched(&|behaviour| behaviour.push_reordered = true)).is_sorted());
    let kept = order(&watched(&|behaviour| behaviour.push_lost_per_mille = 500)).len();
    assert!((3..19).contains(&kept), "{kept}");
    assert!(order(&watched(&|behaviour| behaviour.push_lost_per_mille = 1_000)).is_empty());
    let forged = watched(&|behaviour| behaviour.push_forged = Some(TokenFlaw::WrongKey));
    assert_eq!(order(&forged).len(), 42);

    let world = watched(&|behaviour| behaviour.stop_lag_ms = 60_000);
    order(&world);
    world.post("stop", Value::Null);
    world.arrive("Subject: x\n\ny");
    assert_eq!(order(&world).len(), 1);
    assert!(world.sim.mailbox(ANNA).unwrap().watches.is_empty());
    world.advance(60_000);
    world.arrive("Subject: x\n\ny");
    assert!(order(&world).is_empty());
}

#[test]
fn mail_to_oneself_can_arrive_a_moment_later_and_alone_if_the_sent_one_is_gone() {
    for deleted in [false, true] {
        let world = World::behaving(|behaviour| behaviour.self_delivery_delay_ms = 2_000);
        let sent = world.send("To: anna@acme.test\nSubject: x\n\nhello").ok();
        assert_eq!(sent["labelIds"], json!(["SENT"]));
        let id = sent["id"].as_str().unwrap();
        if deleted {
            world.call("DELETE", &format!("messages/{id}"), Value::Null);
        }
        world.advance(2_000);
        let mail = world.mailbox(ANNA);
        assert_eq!(mail.len(), 1);
        assert!(mail[0].has("INBOX"));
        assert_eq!((mail[0].id == id, mail[0].has("SENT")), (!deleted, !deleted));
    }
}
