use std::time::Instant;

use axum::{
    body::Body,
    http::{Request, header},
};
use tower::ServiceExt;

use super::*;
use crate::web::{PUSH_PATH, push_router};

fn push_of(history_id: &str) -> Trigger {
    Trigger::Push(history_id.into())
}

#[tokio::test]
async fn push_is_written_down_before_it_is_answered_and_wakes_all_connections_of_the_mailbox() {
    let setting = Setting::new().await;
    setting
        .put(connection("another", "d", "A.N.N@googlemail.com"))
        .await;
    setting.put(connection("t", "bob", "bob@gmail.com")).await;
    assert_eq!(setting.push("ann@gmail.com", 1_000).await, PushAnswer::Done);
    for id in ["c", "d"] {
        let announced = setting.row(id).await.announced;
        assert_eq!(announced.waiting.as_deref(), Some("1000"));
        assert!(announced.is_alive(NOW));
    }
    assert_eq!(setting.row("bob").await.announced, Announced::default());
    let woken = [
        ("c".to_owned(), push_of("1000")),
        ("d".to_owned(), push_of("1000")),
    ];
    assert_eq!(setting.woken(), woken);
    assert_eq!(setting.receiver.counts().accepted, 1);
}

#[tokio::test]
async fn push_that_came_while_another_wrote_the_row_is_not_lost_and_nor_is_the_other() {
    let setting = Setting::new().await;
    setting.store.overtaken.store(true, Ordering::SeqCst);
    assert_eq!(setting.push(ANN, 1_000).await, PushAnswer::Done);
    let row = setting.row("c").await;
    assert_eq!(row.announced.waiting.as_deref(), Some("1000"));
    assert_eq!(row.failures, 1);
}

#[tokio::test]
async fn push_for_an_unknown_mailbox_is_acknowledged_ignored_and_counted() {
    let setting = Setting::new().await;
    let mut ended = connection("t", "ended", "zoe@gmail.com");
    ended.status = ConnectionStatus::Disconnected;
    setting.put(ended).await;
    let written = setting.store.written();
    for address in ["nobody@gmail.com", "zoe@gmail.com"] {
        assert_eq!(setting.push(address, 1_000).await, PushAnswer::Done);
    }
    let counts = setting.receiver.counts();
    assert_eq!((counts.unknown_mailbox, counts.accepted), (2, 0));
    assert_eq!(setting.store.written(), written);
    assert!(setting.woken().is_empty());
}

#[tokio::test]
async fn push_duplicates_out_of_order_and_late_ones_are_harmless() {
    let setting = Setting::new().await;
    for history_id in [1_000, 1_000, 998, 1_001, 999, 1_001] {
        assert_eq!(setting.push(ANN, history_id).await, PushAnswer::Done);
    }
    let row = setting.row("c").await;
    assert_eq!(row.announced.waiting.as_deref(), Some("1001"), "the newest");
    assert_eq!(setting.woken().len(), 2);
    let counts = setting.receiver.counts();
    assert_eq!((counts.accepted, counts.repeated), (2, 4));
    assert_eq!(
        setting.store.written(),
        1 + 2,
        "Ann's connection, and what is new"
    );
    setting.advance(7 * 24 * 3_600_000);
    assert_eq!(setting.push(ANN, 900).await, PushAnswer::Done);
    assert_eq!(
        setting.woken(),
        [("c".to_owned(), push_of("900"))],
        "one look, no more"
    );
}

#[tokio::test]
async fn push_ids_may_be_numbers_or_text() {
    let setting = Setting::new().await;
    assert_eq!(setting.push(ANN, 9_876_543_210_u64).await, PushAnswer::Done);
    assert_eq!(setting.push(ANN, "9876543211").await, PushAnswer::Done);
    assert_eq!(
        setting.row("c").await.announced.waiting.as_deref(),
        Some("9876543211")
    );
}

#[tokio::test]
async fn push_that_cannot_be_read_is_acknowledged_and_counted_so_that_it_does_not_come_for_ever() {
    let setting = Setting::new().await;
    let authorization = setting.authorization(None);
    for body in [
        "",
        "{}",
        "[1]",
        r#"{"message":{"data":"aGVsbG8="}}"#,
        r#"{"message":{"data":"%"}}"#,
    ] {
        let answer = setting.request(authorization.as_deref(), body).await;
        assert_eq!(answer, PushAnswer::Done, "{body}");
    }
    assert_eq!(setting.receiver.counts().unreadable, 5);
    assert!(setting.woken().is_empty());
}

#[tokio::test]
async fn push_comes_again_when_the_store_does_not_answer() {
    let setting = Setting::new().await;
    setting.store.set_down(true);
    assert_eq!(setting.push(ANN, 1_000).await, PushAnswer::Unavailable);
    assert!(setting.woken().is_empty());
    setting.store.set_down(false);
    assert_eq!(setting.push(ANN, 1_000).await, PushAnswer::Done);
    assert_eq!(setting.receiver.counts().unavailable, 1);
    assert_eq!(setting.woken().len(), 1);
}

#[tokio::test]
async fn push_while_the_user_has_to_connect_again_is_kept() {
    let setting = Setting::new().await;
    let mut waiting = connection("t", "w", "wim@gmail.com");
    waiting.status = ConnectionStatus::NeedsReconnect;
    setting.put(waiting).await;
    assert_eq!(setting.push("wim@gmail.com", 5).await, PushAnswer::Done);
    assert_eq!(setting.row("w").await.announced.waiting.as_deref(), Some("5"));
}

/// The endpoint as it is mounted.
async fn post(setting: Setting, requests: Vec<(Option<String>, Body)>) -> (Vec<u16>, Arc<PushReceiver>) {
    let receiver = Arc::new(setting.receiver);
    let router = push_router(receiver.clone());
    let mut statuses = Vec::new();
    for (authorization, body) in requests {
        // Pub/Sub has no cookie, no origin, and any host.
        let mut request = Request::post(PUSH_PATH).header(header::HOST, "10.1.2.3");
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        let answer = router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        statuses.push(answer.status().as_u16());
    }
    (statuses, receiver)
}

#[tokio::test]
async fn push_endpoint_answers_200_401_or_503() {
    let setting = Setting::new().await;
    let good = setting.authorization(None);
    let forged = setting.authorization(Some(TokenFlaw::WrongKey));
    let body = || Body::from(envelope(ANN, 1_000));
    let large = Body::from(vec![b'x'; BODY_LIMIT + 1]);
    let requests = vec![
        (good.clone(), body()),
        (forged, body()),
        (None, body()),
        (good.clone(), large),
    ];
    let store = setting.store.clone();
    let (statuses, receiver) = post(setting, requests).await;
    assert_eq!(statuses, [200, 401, 401, 200]);
    assert_eq!(receiver.counts().unreadable, 1, "the large one");
    store.set_down(true);
    let request = Request::post(PUSH_PATH).header(header::AUTHORIZATION, good.unwrap());
    let answer = push_router(receiver)
        .oneshot(request.body(Body::from(envelope(ANN, 2_000))).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status(), 503);
}

#[tokio::test]
async fn push_body_of_an_unproved_sender_is_not_read() {
    let setting = Setting::new().await;
    let never = || Body::from_stream(futures_util::stream::pending::<std::io::Result<bytes::Bytes>>());
    let forged = setting.authorization(Some(TokenFlaw::WrongAudience));
    let answers = post(setting, vec![(forged, never()), (None, never())]);
    let answers = tokio::time::timeout(Duration::from_secs(5), answers).await;
    assert_eq!(answers.expect("an answer").0, [401, 401]);
}

#[tokio::test]
async fn push_is_answered_within_100_ms() {
    let setting = Setting::new().await;
    assert_eq!(setting.push(ANN, 1).await, PushAnswer::Done, "the keys are there");
    let authorization = setting.authorization(None);
    for history_id in 2..30 {
        let body = envelope(ANN, history_id);
        let began = Instant::now();
        assert_eq!(
            setting.request(authorization.as_deref(), &body).await,
            PushAnswer::Done
        );
        assert!(
            began.elapsed() < Duration::from_millis(100),
            "{:?}",
            began.elapsed()
        );
    }
}
