use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{Router, middleware::from_fn, routing::post};
use tokio::sync::Notify;
use tower::ServiceExt;

use super::*;
use crate::{
    clock::ManualClock,
    scope::{TenantId, UserId},
    sqlite::Database,
};

/// An hour, ms.
const HOUR: u64 = 3_600_000;

/// Something that is done by a request, and how often it was.
struct Work {
    done: Arc<AtomicUsize>,
    router: Router,
    clock: ManualClock,
    database: Database,
}

impl Work {
    /// Work that waits to be let go on, after its effect.
    fn waiting_for(go_on: Option<Arc<Notify>>) -> Self {
        let (done, clock) = (Arc::new(AtomicUsize::new(0)), ManualClock::at(1_772_357_400_000));
        let database = Database::in_memory().unwrap();
        let people = People::with_clock(database.clone(), Arc::new(clock.clone())).unwrap();
        let count = done.clone();
        let work = move || async move {
            count.fetch_add(1, Ordering::SeqCst);
            if let Some(go_on) = go_on {
                go_on.notified().await;
            }
            "done"
        };
        let person = Person::everybody(TenantId::new("t"), UserId::new("ann"));
        let router = Router::new().route("/api/v1/contacts", post(work)).layer(from_fn(
            move |request: Request, next: Next| {
                let (people, person) = (people.clone(), person.clone());
                async move { remembered(&people, &person, "k", request, next).await }
            },
        ));
        Self {
            done,
            router,
            clock,
            database,
        }
    }

    async fn ask(&self) -> StatusCode {
        let request = Request::post("/api/v1/contacts").body(Body::empty());
        self.router
            .clone()
            .oneshot(request.unwrap())
            .await
            .unwrap()
            .status()
    }

    fn done(&self) -> usize {
        self.done.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn what_a_dying_process_did_and_did_not_note_is_not_done_again_however_late_it_is_asked_for() {
    let work = Work::waiting_for(None);
    assert_eq!(work.ask().await, StatusCode::OK);
    work.database
        .call_blocking(|sql| sql.execute("UPDATE people_request SET status = NULL", []))
        .unwrap();
    for _ in 0..3 {
        assert_eq!(work.ask().await, StatusCode::CONFLICT);
        work.clock.advance(24 * HOUR);
    }
    assert_eq!(work.done(), 1);
}

#[tokio::test]
async fn an_answer_is_given_again_for_a_day() {
    let work = Work::waiting_for(None);
    for done in [1, 1] {
        assert_eq!(work.ask().await, StatusCode::OK);
        assert_eq!(work.done(), done);
    }
    work.clock.advance(25 * HOUR);
    assert_eq!(work.ask().await, StatusCode::OK);
    assert_eq!(work.done(), 2);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_request_to_be_done_and_noted() {
    let go_on = Arc::new(Notify::new());
    let work = Work::waiting_for(Some(go_on.clone()));
    let gone = tokio::time::timeout(std::time::Duration::from_millis(100), work.ask()).await;
    assert!(gone.is_err());
    assert_eq!(work.ask().await, StatusCode::CONFLICT);
    go_on.notify_one();
    while work.ask().await != StatusCode::OK {
        tokio::task::yield_now().await;
    }
    assert_eq!(work.done(), 1);
}
