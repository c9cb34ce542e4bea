//! Reading, labelling, listing, searching; who may, and at what price.

use axum::http::Request;
use bytes::Bytes;
use gmail_sim::{Config, Delivery, Fault, FaultKind, MailService, Quota, QuotaRefusal, Table, Wire};
use serde_json::{Value, json};

use crate::world::{ANNA, MODIFY, START, World, decoded, ids};

const OFFER: &str = "From: Carl <carl@client.test>\nTo: anna@acme.test\nCc: dora@client.test\nSubject: The offer\nMessage-ID: <o1@client.test>\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\nprice & terms\n--b\nContent-Type: text/plain; name=n.txt\nContent-Disposition: attachment; filename=n.txt\n\ntiny\n--b--\n";

#[test]
fn a_message_is_answered_in_all_four_formats() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    let minimal = world.get(&format!("messages/{id}?format=minimal")).ok();
    assert_eq!(minimal["labelIds"], json!(["INBOX", "UNREAD"]));
    assert_eq!(minimal["snippet"], "price &amp; terms");
    assert_eq!(minimal["internalDate"], START.to_string());
    assert!(minimal.get("payload").is_none() && minimal.get("raw").is_none());
    let raw = decoded(&world.get(&format!("messages/{id}?format=raw")).ok()["raw"]);
    assert!(raw.contains("Subject: The offer\r\n") && raw.contains("Delivered-To: anna@acme.test\r\n"));
    let metadata = world
        .get(&format!(
            "messages/{id}?format=metadata&metadataHeaders=subject&metadataHeaders=From"
        ))
        .ok();
    assert_eq!(metadata["payload"]["headers"].as_array().unwrap().len(), 2);
    let full = world.get(&format!("messages/{id}")).ok();
    assert_eq!(full["payload"]["partId"], "");
    assert_eq!(
        decoded(&full["payload"]["parts"][0]["body"]["data"]),
        "price & terms"
    );
    let attached = &full["payload"]["parts"][1]["body"];
    assert!(attached.get("data").is_none());
    let attachment = attached["attachmentId"].as_str().unwrap();
    let got = world.get(&format!("messages/{id}/attachments/{attachment}")).ok();
    assert_eq!(
        (decoded(&got["data"]).as_str(), &got["size"]),
        ("tiny", &json!(4))
    );
    let again = world.get(&format!("messages/{id}")).ok();
    assert_ne!(
        again["payload"]["parts"][1]["body"]["attachmentId"]
            .as_str()
            .unwrap(),
        attachment
    );
}

#[test]
fn a_delivery_with_the_same_key_changes_nothing() {
    let world = World::new();
    let delivery = Delivery {
        key: Some("k".into()),
        ..Delivery::new(ANNA, OFFER)
    };
    let first = world.sim.deliver(&delivery).unwrap();
    let before = world.history_id();
    assert_eq!(world.sim.deliver(&delivery).unwrap(), first);
    assert_eq!((world.mailbox(ANNA).len(), world.history_id()), (1, before));
    assert!(
        world
            .sim
            .deliver(&Delivery::new("nobody@acme.test", "x"))
            .is_none()
    );
}

#[test]
fn replies_are_threaded_by_references_and_subject_together() {
    let world = World::new();
    let first = world.arrive(OFFER);
    let reply = "From: carl@client.test\nSubject: Re: The offer\nIn-Reply-To: <o1@client.test>\n\nx";
    assert_eq!(world.arrive(reply).thread_id, first.thread_id);
    assert_ne!(
        world.arrive(&reply.replace("offer", "bill")).thread_id,
        first.thread_id
    );
    assert_ne!(
        world.arrive("Subject: Re: The offer\n\nx").thread_id,
        first.thread_id
    );
    let thread = world.get(&format!("threads/{}", first.thread_id)).ok();
    assert_eq!(thread["messages"].as_array().unwrap().len(), 2);
    assert_eq!(world.get("threads").ok()["threads"].as_array().unwrap().len(), 3);
}

#[test]
fn lists_are_newest_first_and_paged_without_gaps() {
    let world = World::new();
    let mut sent: Vec<String> = (0..7)
        .map(|n| {
            world.advance(1000);
            world.arrive(&format!("Subject: n{n}\n\nx")).id
        })
        .collect();
    sent.reverse();
    for list in ["messages", "threads"] {
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("{list}?maxResults=3{token}")).ok();
            seen.extend(ids(&page[list]));
            match page["nextPageToken"].as_str() {
                Some(next) => token = format!("&pageToken={next}"),
                None => break,
            }
        }
        assert_eq!(seen, sent, "{list}");
    }
    assert_eq!(
        world.get("messages?q=nothing").ok(),
        json!({"resultSizeEstimate": 0})
    );
    assert_eq!(world.get("messages?pageToken=%C3%A4%C3%A4").status, 400);
}

#[test]
fn search_understands_gmails_operators() {
    let world = World::new();
    let offer = world.arrive(OFFER).id;
    let label = world.post("labels", json!({"name": "Big deals"})).ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    world
        .post(
            &format!("messages/{offer}/modify"),
            json!({"addLabelIds": ["STARRED", label]}),
        )
        .ok();
    world.advance(10_000);
    let other = world
        .arrive("From: x@y.test\nTo: anna@acme.test\nSubject: News\n\noffers today")
        .id;
    let spam = world.arrive("Subject: spam\n\nspam").id;
    world
        .post(
            &format!("messages/{spam}/modify"),
            json!({"addLabelIds": ["SPAM"]}),
        )
        .ok();
    let seconds = START / 1000;
    let cases: &[(&str, &[&str])] = &[
        ("rfc822msgid:o1@client.test", &[&offer]),
        ("rfc822msgid:<o1@client.test>", &[&offer]),
        ("from:carl@client.test", &[&offer]),
        ("from:carl", &[&offer]),
        ("to:anna@acme.test", &[&other, &offer]),
        ("cc:dora@client.test", &[&offer]),
        ("bcc:dora@client.test", &[]),
        ("subject:offer", &[&offer]),
        ("subject:(the offer)", &[&offer]),
        ("offer", &[&offer]),
        ("-offer", &[&other]),
        ("\"price terms\"", &[&offer]),
        ("label:big-deals", &[&offer]),
        ("is:starred is:unread", &[&offer]),
        ("has:attachment", &[&offer]),
        ("filename:n.txt", &[&offer]),
        ("in:spam", &[&spam]),
        ("in:anywhere spam", &[&spam]),
        ("in:sent OR in:draft", &[]),
        (&format!("after:{}", seconds + 5), &[&other]),
        (&format!("before:{}", seconds + 5), &[&offer]),
        ("newer_than:1d -is:starred", &[&other]),
        ("after:2026/01/01 {subject:news subject:offer}", &[&other, &offer]),
    ];
    for (q, wanted) in cases {
        let q: String = url::form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let found = ids(&world.get(&format!("messages?q={q}")).ok()["messages"]);
        assert_eq!(found, *wanted, "{q}");
    }
    assert_eq!(
        ids(&world.get("messages?includeSpamTrash=true").ok()["messages"]).len(),
        3
    );
    assert_eq!(ids(&world.get("messages?labelIds=SPAM").ok()["messages"]), [spam]);
}

#[test]
fn a_search_lags_while_labels_do_not() {
    let world = World::behaving(|behaviour| behaviour.search_lag_ms = 5000);
    world.arrive(OFFER);
    assert!(ids(&world.get("messages?q=offer").ok()["messages"]).is_empty());
    assert_eq!(
        ids(&world.get("messages?labelIds=INBOX").ok()["messages"]).len(),
        1
    );
    world.advance(5000);
    assert_eq!(ids(&world.get("messages?q=offer").ok()["messages"]).len(), 1);
}

#[test]
fn labels_are_made_counted_renamed_and_deleted() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    let label = world.post("labels", json!({"name": "CRM"})).ok()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(world.post("labels", json!({"name": "crm"})).status, 409);
    assert_eq!(world.post("labels", json!({"name": "inbox"})).status, 400);
    world
        .post(&format!("messages/{id}/modify"), json!({"addLabelIds": [label]}))
        .ok();
    let counted = world.get(&format!("labels/{label}")).ok();
    assert_eq!(
        (&counted["messagesTotal"], &counted["threadsUnread"]),
        (&json!(1), &json!(1))
    );
    let renamed = world
        .call("PATCH", &format!("labels/{label}"), json!({"name": "Twinbox"}))
        .ok();
    assert_eq!(renamed["name"], "Twinbox");
    assert!(
        world.get("labels").ok()["labels"]
            .as_array()
            .unwrap()
            .iter()
            .all(|l| l.get("messagesTotal").is_none())
    );
    assert_eq!(
        world
            .call("DELETE", &format!("labels/{label}"), Value::Null)
            .status,
        204
    );
    assert_eq!(world.call("DELETE", "labels/INBOX", Value::Null).status, 400);
    assert!(!world.mailbox(ANNA)[0].has(&label));
}

#[test]
fn trash_untrash_delete_and_batches_do_what_they_say() {
    let world = World::new();
    let (one, two) = (world.arrive(OFFER).id, world.arrive(OFFER).id);
    world.post(&format!("messages/{one}/trash"), Value::Null).ok();
    assert_eq!(
        ids(&world.get("messages").ok()["messages"]),
        std::slice::from_ref(&two)
    );
    world.post(&format!("messages/{one}/untrash"), Value::Null).ok();
    assert!(!world.mailbox(ANNA)[0].has("TRASH"));
    let both = json!({"ids": [one, two], "removeLabelIds": ["UNREAD"], "addLabelIds": ["STARRED"]});
    assert_eq!(world.post("messages/batchModify", both).status, 204);
    assert!(
        world
            .mailbox(ANNA)
            .iter()
            .all(|message| message.has("STARRED") && !message.has("UNREAD"))
    );
    assert_eq!(
        world
            .call("DELETE", &format!("messages/{one}"), Value::Null)
            .status,
        204
    );
    assert_eq!(world.get(&format!("messages/{one}")).refusal().0, 404);
    assert_eq!(
        world.post("messages/batchDelete", json!({"ids": [two]})).status,
        204
    );
    assert!(world.mailbox(ANNA).is_empty());
}

#[test]
fn what_gmail_refuses_is_refused_in_gmails_words() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    let modify = format!("messages/{id}/modify");
    let cases = [
        (
            world.get("messages/xyz"),
            400,
            "invalidArgument",
            "Invalid id value",
        ),
        (
            world.get("messages/0000000000000001"),
            404,
            "notFound",
            "Requested entity was not found.",
        ),
        (
            world.post(&modify, json!({"addLabelIds": ["SENT"]})),
            400,
            "invalidArgument",
            "Invalid label: SENT",
        ),
        (
            world.post(&modify, json!({"addLabelIds": ["Label_9"]})),
            400,
            "invalidArgument",
            "Invalid label: Label_9",
        ),
        (
            world.post(&modify, json!({})),
            400,
            "invalidArgument",
            "No label add or removes specified",
        ),
        (
            world.get("messages?labelIds=NOPE"),
            400,
            "invalidArgument",
            "Invalid label: NOPE",
        ),
        (
            world.get("profile?fields=nonsense"),
            400,
            "invalidParameter",
            "Invalid field selection nonsense",
        ),
        (
            world.get(&format!("threads/{id}?format=raw")),
            400,
            "badRequest",
            "Invalid value at 'format', \"raw\"",
        ),
        (
            world.get("/gmail/v1/users/ben@acme.test/profile"),
            403,
            "forbidden",
            "Delegation denied for anna@acme.test",
        ),
        (
            world.post("messages/send", json!({})),
            400,
            "invalidArgument",
            "'raw' RFC822 payload message string or uploading message via /upload/* URL required",
        ),
    ];
    for (answer, status, reason, message) in cases {
        assert_eq!(answer.refusal(), (status, reason.to_owned(), message.to_owned()));
    }
    assert_eq!(world.get("nonsense").status, 404);
}

#[test]
fn tokens_are_checked_for_life_and_scope() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    assert_eq!(
        world.call_as("", "GET", "profile", Value::Null).refusal().1,
        "required"
    );
    assert_eq!(
        world.call_as("bad", "GET", "profile", Value::Null).refusal().1,
        "authError"
    );
    let modify = world.sim.issue_token(ANNA, &[MODIFY]).unwrap().access_token;
    let refused = world.call_as(&modify, "DELETE", &format!("messages/{id}"), Value::Null);
    assert_eq!(refused.refusal().1, "insufficientPermissions");
    assert_eq!(
        refused.json()["error"]["details"][0]["reason"],
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
    );
    let only = |name: &str| {
        let scope = format!("https://www.googleapis.com/auth/gmail.{name}");
        world
            .sim
            .issue_token(ANNA, &[scope.as_str()])
            .unwrap()
            .access_token
    };
    let metadata = only("metadata");
    assert_eq!(
        world
            .call_as(&metadata, "GET", "messages?q=x", Value::Null)
            .status,
        403
    );
    assert_eq!(
        world
            .call_as(&metadata, "GET", &format!("messages/{id}"), Value::Null)
            .status,
        403
    );
    assert_eq!(
        world
            .call_as(
                &metadata,
                "GET",
                &format!("messages/{id}?format=metadata"),
                Value::Null
            )
            .status,
        200
    );
    assert_eq!(
        world.call_as(&only("send"), "GET", "profile", Value::Null).status,
        403
    );
    world.advance(3_600_000);
    assert_eq!(world.get("profile").refusal().1, "authError");
}

#[test]
fn partial_answers_and_pretty_printing_are_as_asked() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    let answer = world.get(&format!(
        "messages/{id}?fields=id,payload(headers/name,parts/partId)&prettyPrint=false"
    ));
    let value = answer.ok();
    assert_eq!(value.as_object().unwrap().len(), 2);
    assert_eq!(
        value["payload"]["parts"],
        json!([{"partId": "0"}, {"partId": "1"}])
    );
    assert!(!answer.response.body().contains(&b'\n'));
    assert!(world.get("profile").response.body().contains(&b'\n'));
}

#[test]
fn an_enforced_quota_refuses_the_minute_that_is_spent() {
    let world = World::with(Config {
        quota: Quota::Enforce(Table::New),
        ..Config::default()
    });
    let id = world.arrive(OFFER).id;
    let get = || world.get(&format!("messages/{id}?format=minimal"));
    assert!((0..300).all(|_| get().status == 200));
    let (status, reason, message) = get().refusal();
    assert_eq!((status, reason.as_str()), (403, "rateLimitExceeded"));
    assert!(message.contains("'Queries per minute per user'"));
    world
        .sim
        .set_behaviour(|behaviour| behaviour.quota_refusal = QuotaRefusal::TooManyRequests);
    assert_eq!(get().refusal().0, 429);
    assert_eq!(world.sim.stats().units[ANNA], 6000);
    world.advance(60_000);
    assert_eq!(get().status, 200);
    assert_eq!(world.sim.stats().by_method["messages.get"], 303);
}

#[test]
fn the_price_lists_are_those_of_the_facts() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/facts/quota.json");
    let Ok(text) = std::fs::read(path) else {
        eprintln!("SKIPPED: {path} is not there, the price lists are not compared");
        return;
    };
    let facts: Value = serde_json::from_slice(&text).unwrap();
    for (method, units) in facts["units"].as_object().unwrap() {
        assert_eq!(Table::Old.units_of(method), units[0].as_u64(), "{method}");
        if let Some(new) = units[1].as_u64() {
            assert_eq!(Table::New.units_of(method), Some(new), "{method}");
        }
    }
}

#[test]
fn faults_strike_before_or_after_the_effect() {
    let world = World::new();
    let send = || world.send("To: out@client.test\nSubject: x\n\nhello");
    world
        .sim
        .inject(Fault::next("messages.send", FaultKind::BackendBefore(503)));
    assert_eq!(send().refusal().1, "backendError");
    assert!(world.sim.outside().is_empty());
    world
        .sim
        .inject(Fault::next("messages.send", FaultKind::DropAfter));
    assert_eq!(Wire::of(&send().response), Some(Wire::Dropped));
    assert_eq!(world.sim.outside().len(), 1);
    world
        .sim
        .inject(Fault::next("messages.send", FaultKind::RetryAfter(1000)));
    assert!(
        send()
            .refusal()
            .2
            .starts_with("User-rate limit exceeded.  Retry after 20")
    );
    world
        .sim
        .inject(Fault::next("messages.send", FaultKind::RateLimited));
    assert_eq!(send().refusal().1, "userRateLimitExceeded");
    world.sim.inject(Fault::next("getProfile", FaultKind::Html));
    assert!(
        world
            .get("profile")
            .response
            .body()
            .starts_with(b"<!DOCTYPE html>")
    );
    world.sim.set_mail_enabled(ANNA, MailService::Off);
    assert_eq!(world.get("profile").refusal().2, "Mail service not enabled");
}

#[test]
fn a_batch_answers_each_call_for_itself() {
    let world = World::new();
    let id = world.arrive(OFFER).id;
    let body = format!(
        "--b\nContent-Type: application/http\nContent-ID: <a + 1>\n\nGET /gmail/v1/users/me/messages/{id}?format=minimal \
         HTTP/1.1\nAccept: */*\n\n\n--b\nContent-Type: application/http\nContent-ID: <a + 2>\n\nPOST \
         /gmail/v1/users/me/messages/{id}/modify HTTP/1.1\nContent-Type: application/json\n\n{{\"addLabelIds\": \
         [\"NOPE\"]}}\n--b--\n"
    );
    for path in ["/batch", "/batch/gmail/v1"] {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {}", world.token))
            .header("content-type", "multipart/mixed; boundary=\"b\"")
            .body(Bytes::from(body.clone()))
            .unwrap();
        let answer = world.raw(request);
        let text = String::from_utf8(answer.response.body().to_vec()).unwrap();
        assert_eq!(answer.status, 200);
        assert!(
            text.contains("Content-ID: <response-a + 1>\r\n\r\nHTTP/1.1 200 OK"),
            "{text}"
        );
        assert!(
            text.contains("Content-ID: <response-a + 2>\r\n\r\nHTTP/1.1 400 Bad Request"),
            "{text}"
        );
    }
    assert_eq!(world.sim.stats().by_method["messages.modify"], 2);
}

#[test]
fn two_worlds_with_one_seed_answer_alike() {
    let run = || {
        let world = World::new();
        world.arrive(OFFER);
        world.send("To: ben@acme.test\nSubject: x\n\nhello");
        world.get("messages").response.body().clone()
    };
    assert_eq!(run(), run());
}
