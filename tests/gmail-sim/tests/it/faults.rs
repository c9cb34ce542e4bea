//! Each kind of fault on order: when it strikes, what it says, what has happened.

use axum::http::Request;
use bytes::Bytes;
use gmail_sim::{Clock, Config, Fault, FaultKind, Limits, PushEndpoint, Quota, Sim, Table, TokenFlaw, Wire};
use serde_json::{Value, json};

use crate::world::{ANNA, Answer, BEN, START, World, ids, raw};

const TOPIC: &str = "projects/p/topics/t";
const LETTER: &str = "To: out@client.test\nSubject: x\n\nhello";

/// A fault that strikes the next request it applies to.
fn struck(kind: FaultKind) -> World {
    let world = World::new();
    world.sim.inject(Fault::soon(kind));
    world
}

/// Something of everything that can be struck; what comes of it is not looked at.
pub(crate) fn everything(world: &World) {
    world.post("watch", json!({"topicName": TOPIC}));
    let history = world.get("profile").json_or_null()["historyId"].clone();
    world.advance(1_000);
    let arrived = world.arrive("Subject: =?utf-8?q?h=C3=A9?=\nContent-Type: text/plain\n\nhello");
    world.get("messages?q=hello");
    world.get(&format!("messages/{}", arrived.id));
    world.post("messages/import", raw("Subject: old\n\nx"));
    let history = history.as_str().unwrap_or("1").to_owned();
    world.get(&format!("history?startHistoryId={history}"));
    world.post(
        &format!("messages/{}/modify", arrived.id),
        json!({"addLabelIds": ["STARRED"], "removeLabelIds": ["UNREAD"]}),
    );
    world.get(&format!("history?startHistoryId={history}"));
    world.send(LETTER);
    world.get("/v1/people/me/connections?personFields=names");
    refresh(world);
    world.get("/oauth2/v3/certs");
    world.advance(1_000);
    world.arrive("Subject: another\n\nhello");
    world.sim.take_notifications();
}

pub(crate) fn refresh(world: &World) -> Answer {
    let tokens = world.sim.issue_token(ANNA, &[crate::world::FULL]).unwrap();
    let form = format!(
        "client_id=twinbox-demo&client_secret=twinbox-demo-secret&grant_type=refresh_token&refresh_token={}",
        tokens.refresh_token
    );
    world.raw(Request::post("/token").body(Bytes::from(form)).unwrap())
}

#[test]
fn every_kind_waits_for_what_it_applies_to_strikes_once_and_is_counted() {
    for kind in FaultKind::ALL {
        let world = struck(*kind);
        everything(&world);
        assert_eq!(
            world.sim.faults_hit().get(kind.name()),
            Some(&1),
            "{}",
            kind.name()
        );
        let waiting = world.sim.waiting_faults();
        assert!(waiting.is_empty(), "{waiting:?}");
    }
}

#[test]
fn refusals_have_the_status_reason_and_words_of_gmail() {
    let quota = "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute";
    let cases: &[(FaultKind, u16, &str, &str)] = &[
        (
            FaultKind::BackendBefore(500),
            500,
            "backendError",
            "Backend Error",
        ),
        (
            FaultKind::BackendBefore(504),
            504,
            "backendError",
            "Backend Error",
        ),
        (
            FaultKind::PreconditionFailed,
            400,
            "failedPrecondition",
            "Precondition check failed.",
        ),
        (
            FaultKind::MailServiceOff,
            400,
            "failedPrecondition",
            "Mail service not enabled",
        ),
        (FaultKind::Unauthorized, 401, "authError", "Request had invalid"),
        (
            FaultKind::InsufficientScope,
            403,
            "insufficientPermissions",
            "Request had insufficient",
        ),
        (
            FaultKind::DelegationDenied,
            403,
            "forbidden",
            "Delegation denied for anna@acme.test",
        ),
        (
            FaultKind::AccessNotConfigured,
            403,
            "accessNotConfigured",
            "Gmail API has not been used",
        ),
        (
            FaultKind::DomainPolicy,
            403,
            "domainPolicy",
            "The domain administrators have disabled Gmail apps.",
        ),
        (
            FaultKind::DailyLimit,
            403,
            "dailyLimitExceeded",
            "Daily Limit Exceeded",
        ),
        (FaultKind::QuotaExceeded, 403, "quotaExceeded", "Quota exceeded."),
        (
            FaultKind::UserQuota,
            403,
            "rateLimitExceeded",
            &format!("{quota} per user'"),
        ),
        (
            FaultKind::ProjectQuota,
            403,
            "rateLimitExceeded",
            &format!("{quota}' of service"),
        ),
        (
            FaultKind::RateForbidden,
            403,
            "rateLimitExceeded",
            "Rate Limit Exceeded",
        ),
        (
            FaultKind::RateLimited,
            403,
            "userRateLimitExceeded",
            "User Rate Limit Exceeded",
        ),
        (
            FaultKind::QuotaTooMany,
            429,
            "rateLimitExceeded",
            &format!("{quota} per user'"),
        ),
        (
            FaultKind::UserRateTooMany,
            429,
            "userRateLimitExceeded",
            "User Rate Limit Exceeded",
        ),
        (
            FaultKind::ResourceExhausted,
            429,
            "rateLimitExceeded",
            "Resource has been exhausted (e.g. check quota).",
        ),
        (
            FaultKind::Concurrent,
            429,
            "rateLimitExceeded",
            "Too many concurrent requests for user",
        ),
        (
            FaultKind::RetryAfter(1_500),
            429,
            "rateLimitExceeded",
            "User-rate limit exceeded.  Retry after 2026-09-21T14:13:21.500Z",
        ),
    ];
    for (kind, status, reason, text) in cases {
        let world = struck(*kind);
        let (found, why, message) = world.get("profile").refusal();
        assert_eq!((found, why.as_str()), (*status, *reason), "{kind:?}");
        assert!(message.starts_with(text), "{kind:?}: {message}");
        assert_eq!(world.get("profile").status, 200);
    }
    let world = struck(FaultKind::MailSending(0));
    assert_eq!(world.get("profile").status, 200);
    assert!(world.send(LETTER).refusal().2.ends_with("Z (Mail sending)"));
    assert!(world.sim.outside().is_empty());
    for (kind, status) in [(FaultKind::NotFound, 404), (FaultKind::Gone, 410)] {
        let world = struck(kind);
        let id = world.arrive("Subject: x\n\ny").id;
        assert_eq!(world.get(&format!("messages/{id}")).status, status);
        assert_eq!(world.get(&format!("messages/{id}")).status, 200);
    }
    for (kind, status) in [(FaultKind::TopicForbidden, 403), (FaultKind::TopicMissing, 404)] {
        let answer = struck(kind).post("watch", json!({"topicName": TOPIC}));
        let (found, _, message) = answer.refusal();
        assert_eq!(found, status);
        assert!(message.starts_with("Error sending test message to Cloud PubSub"));
    }
}

#[test]
fn a_mailbox_is_blocked_for_a_time_altogether_or_for_sending_only() {
    let world = struck(FaultKind::Blocked(60_000));
    let until = "User-rate limit exceeded.  Retry after 2026-09-21T14:14:20.000Z";
    assert_eq!(world.get("profile").refusal().2, until);
    world.advance(59_999);
    assert_eq!(world.get("labels").refusal().2, until);
    world
        .sim
        .set_behaviour(|behaviour| behaviour.block_renewal_ms = 1_000);
    assert_eq!(world.get("labels").status, 429);
    world.advance(999);
    assert_eq!(world.get("labels").status, 429, "it was renewed");
    world.advance(1_000);
    assert_eq!(world.get("labels").status, 200);
    let world = struck(FaultKind::SendingBlocked(60_000));
    assert!(world.send(LETTER).refusal().2.ends_with("(Mail sending)"));
    assert_eq!(world.send(LETTER).status, 429);
    assert_eq!(world.get("profile").status, 200);
    world.advance(60_000);
    assert_eq!(world.send(LETTER).status, 200);
}

#[test]
fn a_time_to_wait_can_stand_in_the_header_in_seconds_or_as_a_date() {
    for (kind, expected) in [
        (FaultKind::RetryAfterSeconds(1_001), "2"),
        (FaultKind::RetryAfterDate(2_000), "Mon, 21 Sep 2026 14:13:22 GMT"),
    ] {
        let answer = struck(kind).get("profile");
        assert_eq!(answer.status, 429);
        assert_eq!(answer.response.headers()["retry-after"], expected);
    }
}

#[test]
fn pages_come_instead_of_json_before_or_after_the_effect() {
    for (kind, status, effect) in [
        (FaultKind::Html, 502, 0),
        (FaultKind::HtmlUnavailable, 503, 0),
        (FaultKind::HtmlBadRequest, 400, 0),
        (FaultKind::HtmlAfter, 502, 1),
        (FaultKind::BackendBefore(503), 503, 0),
        (FaultKind::BackendAfter(503), 503, 1),
    ] {
        let world = struck(kind);
        let answer = world.send(LETTER);
        assert_eq!(answer.status, status);
        let is_page = answer.response.body().starts_with(b"<!DOCTYPE html>");
        assert_eq!(is_page, kind.name().starts_with("html"), "{kind:?}");
        assert_eq!(world.sim.outside().len(), effect, "{kind:?}");
    }
}

#[test]
fn a_connection_is_cut_or_silent_before_or_after_send_draft_send_and_modify() {
    let cases = [
        (FaultKind::DropBefore, Wire::Dropped, false),
        (FaultKind::DropAfter, Wire::Dropped, true),
        (FaultKind::SilentBefore, Wire::Silent, false),
        (FaultKind::SilentAfter, Wire::Silent, true),
        (FaultKind::CutBody(5), Wire::CutAt(5), true),
        (FaultKind::TruncatedBody(5), Wire::Truncated(5), true),
        (
            FaultKind::SlowBody(8, 3),
            Wire::Slow {
                chunk: 8,
                per_chunk_ms: 3,
            },
            true,
        ),
    ];
    for (kind, wire, effect) in cases {
        let world = World::new();
        let draft = world.post("drafts", json!({"message": raw(LETTER)})).ok();
        let id = world.arrive("Subject: x\n\ny").id;
        world.sim.inject(Fault {
            times: 3,
            ..Fault::soon(kind)
        });
        let answers = [
            world.send(LETTER),
            world.post("drafts/send", json!({"id": draft["id"]})),
            world.post(
                &format!("messages/{id}/modify"),
                json!({"addLabelIds": ["STARRED"]}),
            ),
        ];
        for answer in &answers {
            assert_eq!(Wire::of(&answer.response), Some(wire));
            let arrived = answer.response.body().len();
            match wire {
                Wire::Dropped | Wire::Silent => assert_eq!(arrived, 0),
                Wire::CutAt(at) | Wire::Truncated(at) => assert_eq!(arrived, at),
                Wire::Slow { .. } => assert!(arrived > 8),
            }
        }
        let sent = world.sim.outside().len();
        let starred = world
            .mailbox(ANNA)
            .iter()
            .filter(|message| message.has("STARRED"))
            .count();
        assert_eq!((sent, starred), if effect { (2, 1) } else { (0, 0) }, "{kind:?}");
    }
}

#[test]
fn an_answer_is_never_cut_behind_its_end() {
    for kind in [FaultKind::CutBody(1_000_000), FaultKind::TruncatedBody(1_000_000)] {
        let whole = World::new().get("labels").response.body().len();
        let answer = struck(kind).get("labels");
        assert_eq!(answer.response.body().len(), whole - 1);
    }
    let id_of = |world: &World| world.arrive("Subject: x\n\ny").id;
    let world = struck(FaultKind::CutBody(3));
    let id = id_of(&world);
    let empty = world.call("DELETE", &format!("messages/{id}"), Value::Null);
    assert_eq!(Wire::of(&empty.response), Some(Wire::CutAt(0)));
}

#[test]
fn what_happens_to_the_connection_of_one_call_happens_to_its_batch() {
    let world = struck(FaultKind::DropAfter);
    world.sim.clear_faults();
    world.sim.inject(Fault::next("getProfile", FaultKind::DropAfter));
    let body = "--b\nContent-Type: application/http\n\nGET /gmail/v1/users/me/profile HTTP/1.1\n\n\n--b--\n";
    let batch = || {
        let request = Request::post("/batch/gmail/v1")
            .header("authorization", format!("Bearer {}", world.token))
            .header("content-type", "multipart/mixed; boundary=b");
        world.raw(request.body(Bytes::from(body)).unwrap())
    };
    assert_eq!(Wire::of(&batch().response), Some(Wire::Dropped));
    world.sim.inject(Fault::next("batch", FaultKind::Html));
    assert_eq!(batch().status, 502);
    assert_eq!(batch().status, 200);
}

#[test]
fn a_storm_refuses_its_requests_whatever_their_token_and_then_is_over() {
    let world = struck(FaultKind::UnauthorizedStorm(3));
    assert_eq!(world.get("profile").status, 401);
    let fresh = refresh(&world).ok()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(world.call_as(&fresh, "GET", "profile", Value::Null).status, 401);
    let ben = world
        .sim
        .issue_token(BEN, &[crate::world::FULL])
        .unwrap()
        .access_token;
    assert_eq!(world.call_as(&ben, "GET", "profile", Value::Null).status, 200);
    assert_eq!(world.get("labels").status, 401);
    assert_eq!(world.get("profile").status, 200);
    let hits = world.sim.faults_hit();
    assert_eq!((hits["unauthorized-storm"], hits["unauthorized"]), (1, 2));
}

#[test]
fn a_message_can_be_accepted_and_come_back() {
    let world = struck(FaultKind::SentButBounced);
    world
        .sim
        .set_behaviour(|behaviour| behaviour.bounce_delay_ms = 5_000);
    let sent = world
        .send("To: ben@acme.test, out@client.test\nSubject: x\n\nhello")
        .ok();
    assert!(world.sim.outside().is_empty());
    assert!(world.mailbox(BEN).is_empty());
    assert_eq!(world.mailbox(ANNA).len(), 1);
    world.advance(5_000);
    let mail = world.mailbox(ANNA);
    assert_eq!(mail.len(), 2);
    assert_eq!(mail[1].thread_id, sent["threadId"].as_str().unwrap());
    let notice = String::from_utf8(mail[1].raw.to_vec()).unwrap();
    assert!(notice.contains("You have reached a limit for sending mail"));
    assert!(notice.contains("Final-Recipient: rfc822; ben@acme.test"));
    world.send("To: ben@acme.test\nSubject: x\n\nhello").ok();
    assert_eq!(world.mailbox(BEN).len(), 1);
}

#[test]
fn a_refused_send_does_not_lose_the_next_one() {
    let world = struck(FaultKind::SentButBounced);
    assert_eq!(world.send("Subject: to nobody\n\nhello").status, 400);
    world.send(LETTER).ok();
    assert_eq!(world.sim.outside().len(), 1);
}

#[test]
fn over_the_daily_limit_sends_bounce_for_a_while_before_they_are_refused() {
    let mut world = World::with(Config {
        limits: Limits {
            sends_per_day: Some(1),
            ..Limits::default()
        },
        ..Config::default()
    });
    world
        .sim
        .set_behaviour(|behaviour| behaviour.sending_limit_delay_ms = 60_000);
    world.send(LETTER).ok();
    world.send(LETTER).ok();
    assert_eq!(world.sim.outside().len(), 1);
    world.advance(60_000);
    assert!(world.send(LETTER).refusal().2.ends_with("(Mail sending)"));
    world.advance(24 * 3_600_000);
    world.token = world
        .sim
        .issue_token(ANNA, &[crate::world::FULL])
        .unwrap()
        .access_token;
    world.send(LETTER).ok();
    assert_eq!(world.sim.outside().len(), 2);
    assert_eq!(world.sim.faults_hit()["sending_limit_delay_ms"], 1);
}

#[test]
fn all_history_can_expire_and_the_next_profile_is_a_good_start() {
    let world = struck(FaultKind::HistoryExpired);
    let id = world.arrive("Subject: x\n\ny").id;
    let newest = world.get(&format!("messages/{id}?format=minimal")).ok();
    let list = |start: &Value| world.get(&format!("history?startHistoryId={}", start.as_str().unwrap()));
    assert_eq!(list(&newest["historyId"]).status, 404);
    let anchor = world.get("profile").ok()["historyId"].clone();
    assert_eq!(list(&anchor).status, 200);
    assert_eq!(list(&newest["historyId"]).status, 404);
    world.arrive("Subject: x\n\ny");
    assert_eq!(ids(&list(&anchor).ok()["history"]).len(), 1);
}

#[test]
fn one_page_of_history_is_twisted_and_the_next_is_not() {
    let world = World::new();
    let start = world.history_id();
    for n in 0..4 {
        world.arrive(&format!("Subject: {n}\n\ny"));
    }
    let page = |query: &str| world.get(&format!("history?startHistoryId={start}{query}")).ok();
    let page_again = || page("");
    let plain = page("");
    let order = ids(&plain["history"]);
    let twisted = |kind| {
        world.sim.inject(Fault::soon(kind));
        let page = page("");
        assert_eq!(ids(&page_again()["history"]), order);
        page
    };
    let empty = twisted(FaultKind::HistoryEmptyPage);
    assert!(empty.get("history").is_none());
    let token = empty["nextPageToken"].as_str().unwrap();
    assert_eq!(ids(&page(&format!("&pageToken={token}"))["history"]), order);
    let mut shuffled = ids(&twisted(FaultKind::HistoryShuffled)["history"]);
    shuffled.sort();
    let mut sorted = order.clone();
    sorted.sort();
    assert_eq!(shuffled, sorted);
    assert_eq!(
        ids(&twisted(FaultKind::HistoryPagesSwapped)["history"]),
        order,
        "one page"
    );
    world.sim.inject(Fault::soon(FaultKind::HistoryPagesSwapped));
    let mut pages = vec![page("&maxResults=1")];
    while let Some(token) = pages.last().unwrap()["nextPageToken"].as_str() {
        let next = page(&format!("&maxResults=1&pageToken={token}"));
        pages.push(next);
    }
    let swapped: Vec<String> = pages.iter().flat_map(|page| ids(&page["history"])).collect();
    assert_eq!(
        swapped,
        [&order[1], &order[0], &order[2], &order[3]].map(String::clone)
    );
    assert_eq!(ids(&twisted(FaultKind::HistoryRepeated)["history"]).len(), 8);
    let bare = twisted(FaultKind::HistoryLabelsAbsent);
    assert!(
        bare["history"][0]["messagesAdded"][0]["message"]
            .get("labelIds")
            .is_none()
    );
    let lagging = twisted(FaultKind::HistoryLag(1_000));
    assert!(lagging.get("history").is_none());
    assert_eq!(lagging["historyId"], start);
}

#[test]
fn one_search_lags_and_one_import_answers_another_id() {
    let world = World::new();
    world.arrive("Subject: needle\n\ny");
    world.sim.inject(Fault::soon(FaultKind::SearchLag(1_000)));
    assert!(ids(&world.get("messages?q=needle").ok()["messages"]).is_empty());
    assert_eq!(ids(&world.get("messages?q=needle").ok()["messages"]).len(), 1);
    world.sim.inject(Fault::soon(FaultKind::ImportIdChanged));
    let imported = world.post("messages/import", raw("Subject: old\n\nx")).ok();
    let id = imported["id"].as_str().unwrap();
    assert_eq!(world.get(&format!("messages/{id}")).status, 404);
    assert_eq!(world.mailbox(ANNA).len(), 2);
}

#[test]
fn grants_die_by_fault_and_the_token_endpoint_refuses_by_fault() {
    for kind in [
        FaultKind::PasswordChanged,
        FaultKind::ConsentWithdrawn,
        FaultKind::AccessTokensExpired,
    ] {
        let world = struck(kind);
        assert_eq!(world.get("profile").status, 200);
        assert_eq!(world.get("profile").status, 401);
        let grants = world.sim.mailbox(ANNA).unwrap().grants;
        assert_eq!(grants, usize::from(kind == FaultKind::AccessTokensExpired));
    }
    for (kind, status, error) in [
        (FaultKind::InvalidGrant, 400, "invalid_grant"),
        (FaultKind::InvalidRapt, 400, "invalid_grant"),
        (FaultKind::InvalidClient, 401, "invalid_client"),
    ] {
        let world = struck(kind);
        let answer = refresh(&world);
        assert_eq!((answer.status, &answer.json()["error"]), (status, &json!(error)));
        let rapt = answer.json().get("error_subtype").is_some();
        assert_eq!(rapt, kind == FaultKind::InvalidRapt);
        assert_eq!(refresh(&world).status, 200);
    }
}

#[test]
fn the_projects_minute_and_day_are_limits_of_all_its_users_together() {
    let limits = |minute, day| Limits {
        project_units_per_minute: minute,
        project_units_per_day: day,
        ..Limits::default()
    };
    let two_users = |limits| {
        let world = World::with(Config {
            quota: Quota::Enforce(Table::New),
            limits,
            ..Config::default()
        });
        let ben = world
            .sim
            .issue_token(BEN, &[crate::world::FULL])
            .unwrap()
            .access_token;
        (world, ben)
    };
    let (world, ben) = two_users(limits(2, None));
    world.get("profile").ok();
    world.call_as(&ben, "GET", "profile", Value::Null).ok();
    let (status, reason, message) = world.get("profile").refusal();
    assert_eq!((status, reason.as_str()), (403, "rateLimitExceeded"));
    assert!(message.contains("'Queries per minute' of"));
    world.advance(60_000);
    world.get("profile").ok();
    let (world, ben) = two_users(limits(100, Some(1)));
    world.get("profile").ok();
    let refused = world.call_as(&ben, "GET", "profile", Value::Null).refusal();
    assert_eq!((refused.0, refused.1.as_str()), (403, "dailyLimitExceeded"));
}

#[test]
fn a_notification_can_be_lost_late_double_or_preceded_by_a_forgery() {
    let watched = |kind| {
        let world = World::new();
        world.post("watch", json!({"topicName": TOPIC})).ok();
        world.sim.take_notifications();
        world.sim.inject(Fault::soon(kind));
        world.advance(1_000);
        world.arrive("Subject: x\n\ny");
        world
    };
    assert!(watched(FaultKind::PushLost).sim.take_notifications().is_empty());

    let world = watched(FaultKind::PushLate(30_000));
    world.advance(1_000);
    world.arrive("Subject: later\n\ny");
    let first = world.sim.take_notifications();
    assert_eq!(first.len(), 1);
    assert_eq!(world.sim.next_due_ms(), Some(START + 1_000 + 30_000));
    world.advance(30_000);
    let second = world.sim.take_notifications();
    assert_eq!(second.len(), 1);
    assert!(second[0].history_id < first[0].history_id);

    let world = watched(FaultKind::PushDuplicate(500));
    let first = world.sim.take_notifications();
    world.advance(500);
    assert_eq!(world.sim.take_notifications(), first);

    for (kind, flaw) in [
        (FaultKind::PushWrongKey, TokenFlaw::WrongKey),
        (FaultKind::PushUnknownKey, TokenFlaw::UnknownKey),
        (FaultKind::PushUnsigned, TokenFlaw::Unsigned),
        (FaultKind::PushWrongAudience, TokenFlaw::WrongAudience),
        (FaultKind::PushWrongEmail, TokenFlaw::WrongEmail),
        (FaultKind::PushUnverifiedEmail, TokenFlaw::UnverifiedEmail),
        (FaultKind::PushWrongIssuer, TokenFlaw::WrongIssuer),
        (FaultKind::PushExpired, TokenFlaw::Expired),
        (FaultKind::PushNotYetValid, TokenFlaw::NotYetValid),
        (FaultKind::PushWithoutToken, TokenFlaw::Missing),
    ] {
        let pushed = watched(kind).sim.take_notifications();
        assert_eq!(
            pushed.iter().map(|one| one.flaw).collect::<Vec<_>>(),
            [Some(flaw), None]
        );
    }
}

#[test]
fn notifications_can_be_taken_as_the_requests_of_pubsub() {
    let world = World::new();
    world.post("watch", json!({"topicName": TOPIC})).ok();
    world.sim.inject(Fault::soon(FaultKind::PushWithoutToken));
    world.advance(1_000);
    world.arrive("Subject: x\n\ny");
    let endpoint = endpoint();
    let pushes = world.sim.take_pushes(&endpoint);
    assert_eq!(pushes.len(), 3);
    let bearers: Vec<_> = pushes
        .iter()
        .map(|push| push.headers().get("authorization"))
        .collect();
    assert!(bearers[0].is_some() && bearers[0] == bearers[2] && bearers[1].is_none());
    for push in &pushes {
        assert_eq!(push.uri(), "http://x.test/push");
        let body: Value = serde_json::from_slice(push.body()).unwrap();
        assert_eq!(body["subscription"], "projects/p/subscriptions/s");
    }
    assert!(world.sim.take_pushes(&endpoint).is_empty());
    let token = world.sim.push_token(&endpoint, None);
    world.advance(600_000);
    assert_ne!(
        world.sim.push_token(&endpoint, None),
        token,
        "it is made anew now and then"
    );
}

fn endpoint() -> PushEndpoint {
    PushEndpoint {
        url: "http://x.test/push".into(),
        audience: "aud".into(),
        service_account: "push@p.test".into(),
        subscription: "projects/p/subscriptions/s".into(),
    }
}

#[test]
fn a_rotated_key_is_published_with_the_last_one() {
    let (clock, _) = Clock::manual(START);
    let sim = Sim::new(Config {
        clock,
        ..Config::default()
    });
    let key_ids = || {
        let answer = sim.handle(Request::get("/oauth2/v3/certs").body(Bytes::new()).unwrap());
        let keys: Value = serde_json::from_slice(answer.body()).unwrap();
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    let endpoint = endpoint();
    let first = sim.push_token(&endpoint, None).unwrap();
    assert_eq!(key_ids().len(), 1);
    sim.rotate_keys();
    let rotated = key_ids();
    assert_eq!(rotated.len(), 2);
    assert_ne!(sim.push_token(&endpoint, None).unwrap(), first);
    sim.inject(Fault::soon(FaultKind::KeysRotated));
    assert_eq!(key_ids()[1], rotated[0]);
    assert_eq!(sim.push_token(&endpoint, Some(TokenFlaw::Missing)), None);
}
