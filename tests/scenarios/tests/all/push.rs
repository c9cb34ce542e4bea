//! Push: Gmail's simulator posts, or is asked, and mail is in the CRM although nobody polls. Time stands still, so
//! that a poll is never due by itself.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use axum::Router;
use gmail_sim::{PullSubscription, PushEndpoint, TokenFlaw, service_account_key};
use scenarios::{ANN, ME, Setup, World};
use tokio::{net::TcpListener, sync::oneshot};
use twinbox_host::{
    contract::Trigger,
    crm::Delivery as CrmDelivery,
    crm::NewContact,
    push::{Inbox, Notification, PullConfig, Puller, PushReceiver, Received, ServiceAccount, TrustedSender},
    schedule::{LocalSchedule, Polling, Schedule},
    scope::ConnectionId,
    store::ConnectionStatus,
    vault::Endpoints,
    web::{PUSH_PATH, push_router},
};

const ROBOT: &str = "push@p.iam.gserviceaccount.com";
const SUBSCRIPTION: &str = "projects/p/subscriptions/s";
/// Longer than any test.
const NEVER: Duration = Duration::from_hours(1);
/// As long as a busy machine needs.
const SOON: Duration = Duration::from_secs(20);

/// The schedule of a host that dies before it does anything.
struct Dead;

impl Schedule for Dead {
    fn wake(&self, _: &ConnectionId, _: Trigger) {}
}

/// A schedule that would poll in an hour.
fn schedule(world: &World) -> Arc<LocalSchedule> {
    let polling = Polling {
        interval: NEVER,
        jitter: Duration::from_millis(1),
        pushed: NEVER,
    };
    LocalSchedule::start(world.host().clone(), polling)
}

fn inbox(world: &World, schedule: Arc<dyn Schedule>) -> Inbox {
    let parts = world.host().parts();
    Inbox::new(parts.registry.clone(), parts.clock.clone(), schedule)
}

/// A world that has looked at its mailbox just now, whose Gmail posts to an endpoint.
async fn pushed(schedule: impl FnOnce(&World) -> Arc<dyn Schedule>) -> (World, Arc<PushReceiver>) {
    let world = World::connected().await;
    world.sync().await;
    watch(&world).await;
    let receiver = listen(&world, schedule(&world)).await;
    (world, receiver)
}

/// From now on Gmail posts to an endpoint.
async fn listen(world: &World, schedule: Arc<dyn Schedule>) -> Arc<PushReceiver> {
    let endpoints = Endpoints {
        jwks: format!("{}/oauth2/v3/certs", world.origin()),
        ..Endpoints::default()
    };
    let clock = world.host().parts().clock.clone();
    let sender = TrustedSender::new(&endpoints, "ours".into(), ROBOT.into(), clock).unwrap();
    let receiver = PushReceiver::new(inbox(world, schedule), sender);
    let receiver = Arc::new(receiver.of_subscription(SUBSCRIPTION.into()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}{PUSH_PATH}", listener.local_addr().unwrap());
    let router: Router = push_router(receiver.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    world.sim().take_notifications();
    world.tick(2_000);
    world.sim().set_push(Some(PushEndpoint {
        url,
        audience: "ours".into(),
        service_account: ROBOT.into(),
        subscription: SUBSCRIPTION.into(),
    }));
    receiver
}

async fn watch(world: &World) {
    let scope = "https://www.googleapis.com/auth/gmail.modify";
    let token = world.sim().issue_token(ME, &[scope]).unwrap();
    let answer = reqwest::Client::new()
        .post(format!("{}/gmail/v1/users/me/watch", world.origin()))
        .bearer_auth(token.access_token)
        .json(&serde_json::json!({"topicName": "projects/p/topics/t"}))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let began = Instant::now();
    while !holds().await {
        assert!(began.elapsed() < SOON, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_subjects(world: &World, expected: &[&str]) {
    until("the mail is in the CRM", async || {
        world.subjects(ANN).await == expected
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_brings_mail_although_nobody_polls() {
    let (world, receiver) = pushed(|world| schedule(world)).await;
    world.mail().subject("One").arrives();
    until_subjects(&world, &["One"]).await;
    world.tick(2_000);
    world.mail().subject("Two").arrives();
    until_subjects(&world, &["One", "Two"]).await;
    until("nothing waits", async || {
        world.connection_row().await.announced.waiting.is_none()
    })
    .await;
    assert_eq!(receiver.counts().accepted, 2);
    world.assert_all_accounted_for().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_forged_beside_each_true_one_does_nothing() {
    for flaw in TokenFlaw::ALL {
        let (world, receiver) = pushed(|world| schedule(world)).await;
        world.sim().set_behaviour(|behaviour| {
            behaviour.push_forged = Some(*flaw);
            behaviour.push_duplicates = true;
        });
        world.mail().subject("True").arrives();
        until_subjects(&world, &["True"]).await;
        let refused = async || receiver.counts().refused.values().sum::<u64>() > 0;
        until("the forged one is refused", refused).await;
        assert_eq!(receiver.counts().accepted, 1, "{flaw:?}");
        assert_eq!(world.counts().await.messages, 1);
    }
}

#[tokio::test]
async fn what_was_asked_for_while_an_audit_was_under_way_is_done_after_it() {
    let world = World::connected().await;
    world.sync().await;
    let id = world.connection_row().await.scope.connection;
    let (store, now) = (world.host().parts().store.clone(), world.now());
    let lease = store.acquire(&id, now, now + 600_000).await.unwrap().unwrap();
    let queued = world.letter(ANN).await.queued().await;
    let schedule = schedule(&world);
    schedule.wake(&id, Trigger::Outbound);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(world.delivery(&queued).await, CrmDelivery::Queued);
    store.release(&lease).await.unwrap();
    until("the mail is sent", async || {
        world.delivery(&queued).await == CrmDelivery::Sent
    })
    .await;
}

#[tokio::test]
async fn push_that_was_answered_is_looked_at_after_a_crash() {
    let (world, receiver) = pushed(|_| Arc::new(Dead)).await;
    world.mail().subject("One").arrives();
    until("it is answered", async || receiver.counts().accepted == 1).await;
    assert_eq!(world.subjects(ANN).await, Vec::<String>::new());
    assert!(world.connection_row().await.announced.waiting.is_some());
    // The next process has not heard of it, and no poll is due.
    let _schedule = schedule(&world);
    until_subjects(&world, &["One"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_is_answered_while_a_pass_is_under_way_and_gets_one_of_its_own() {
    let world = World::connected().await;
    world.sync().await;
    let inbox = inbox(&world, schedule(&world));
    let (free, freed) = oneshot::channel::<()>();
    let (begun, began) = oneshot::channel::<()>();
    world.before_request("/messages/", async move {
        begun.send(()).unwrap();
        let _ = freed.await;
    });
    let notify = async |history_id: &str| {
        let notification = Notification {
            address: ME.to_uppercase(),
            history_id: history_id.into(),
        };
        let before = Instant::now();
        assert_eq!(inbox.take(&notification).await.unwrap(), Received::Accepted);
        before.elapsed()
    };
    world.mail().subject("One").arrives();
    notify("900000001").await;
    began.await.unwrap();
    world.mail().subject("Two").arrives();
    let took = notify("900000002").await;
    assert!(took < Duration::from_millis(100), "{took:?}");
    free.send(()).unwrap();
    until_subjects(&world, &["One", "Two"]).await;
    until("nothing waits", async || {
        world.connection_row().await.announced.waiting.is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_is_pulled_where_nobody_can_post() {
    let world = World::connected().await;
    world.sync().await;
    world.sim().set_pull(Some(PullSubscription {
        name: SUBSCRIPTION.into(),
        service_account: ROBOT.into(),
    }));
    watch(&world).await;
    world.tick(2_000);
    let clock = world.host().parts().clock.clone();
    let key = service_account_key(ROBOT, world.origin());
    let account = ServiceAccount::from_key_file(&key.into(), clock).unwrap();
    let config = PullConfig {
        origin: world.origin().to_owned(),
        pause: Duration::from_millis(10),
        ..PullConfig::new(SUBSCRIPTION.into())
    };
    let schedule = schedule(&world);
    let puller = Puller::new(config, account, inbox(&world, schedule.clone())).unwrap();
    let pulling = tokio::spawn(async move { puller.run().await });
    world.mail().subject("One").arrives();
    until_subjects(&world, &["One"]).await;
    until("all is acknowledged", async || world.sim().unacknowledged() == 0).await;
    pulling.abort();
}

#[tokio::test]
async fn push_is_not_believed_any_more_once_a_poll_finds_what_it_did_not_announce() {
    let world = World::connected().await;
    world.sync().await;
    let inbox = inbox(&world, Arc::new(Dead));
    let notification = Notification {
        address: ME.into(),
        history_id: "900000001".into(),
    };
    inbox.take(&notification).await.unwrap();
    let run = async |trigger: Trigger| {
        let id = world.connection_row().await.scope.connection;
        world.host().run(&id, trigger).await.unwrap();
        world.connection_row().await.announced.is_alive(world.now())
    };
    world.mail().subject("One").arrives();
    assert!(run(Trigger::Push("900000001".into())).await);
    world.tick(600_000);
    assert!(run(Trigger::Schedule).await, "there is nothing to find");
    world.mail().subject("Two").arrives();
    assert!(
        run(Trigger::Manual).await,
        "a person was faster than push: no sign"
    );
    world.mail().subject("Three").arrives();
    assert!(!run(Trigger::Schedule).await);
    world.tick(1_000);
    inbox.take(&notification).await.unwrap();
    assert!(
        world.connection_row().await.announced.is_alive(world.now()),
        "it was only late"
    );
    assert_eq!(world.subjects(ANN).await, ["One", "Two", "Three"]);
}

#[tokio::test]
async fn push_after_a_disconnect_is_ignored() {
    let world = World::connected().await;
    world.disconnect().await;
    let inbox = inbox(&world, Arc::new(Dead));
    let notification = Notification {
        address: ME.into(),
        history_id: "1".into(),
    };
    assert_eq!(inbox.take(&notification).await.unwrap(), Received::UnknownMailbox);
    assert_eq!(world.connection_row().await.announced.waiting, None);
}

/// How often Gmail was asked to stop, and Google to revoke, since the world began.
fn partings(requests: &[String], world: &World) -> (usize, u64) {
    let stops = requests.iter().filter(|line| line.ends_with("/users/me/stop"));
    let revoked = world.sim().stats().oauth.get("/revoke").copied();
    (stops.count(), revoked.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s06_watch_and_grant_end_with_the_last_tenant_of_the_mailbox_and_not_before() {
    // The setting in which a revocation too early would end the other tenant's sync.
    let setup = Setup::default()
        .settings(r#"{"push-topic": "projects/p/topics/t"}"#)
        .behaviour(|gmail| gmail.revoke_ends_all_grants = true);
    let home = setup.connected().await;
    let mut rival = home.in_another_tenant("rival").await;
    let ann = NewContact {
        name: "Ann".into(),
        addresses: vec![ANN.into()],
        ..NewContact::default()
    };
    rival.create_contact(ann).await;
    rival.connect().await.unwrap();
    home.sync().await;
    rival.sync().await;
    let receiver = listen(&home, schedule(&home)).await;
    home.mail().subject("To both").arrives();
    until_subjects(&home, &["To both"]).await;
    until_subjects(&rival, &["To both"]).await;

    home.disconnect().await;
    let mut requests = home.requests();
    assert_eq!(partings(&requests, &home), (0, 0));
    assert_eq!(home.gmail().view().watches.len(), 1);
    home.tick(2_000);
    home.mail().subject("To one").arrives();
    until_subjects(&rival, &["To both", "To one"]).await;
    until("it came by push", async || receiver.counts().accepted == 2).await;
    assert_eq!(home.subjects(ANN).await, ["To both"]);
    assert_eq!(rival.connection_row().await.status, ConnectionStatus::Active);

    rival.disconnect().await;
    requests.extend(home.requests());
    assert_eq!(partings(&requests, &home), (1, 1));
    assert!(home.gmail().view().watches.is_empty());
    assert_eq!(home.gmail().view().grants, 0);
    home.disconnect().await;
    rival.disconnect().await;
    requests.extend(home.requests());
    assert_eq!(partings(&requests, &home), (1, 1), "nothing is left to end");
}

#[tokio::test]
async fn settings_of_the_platform_reach_connections_that_were_made_before() {
    let world = World::connected().await;
    let settings = r#"{"daily-limit":1000}"#;
    assert_eq!(world.host().set_settings(settings).await.unwrap(), 1);
    assert_eq!(world.host().set_settings(settings).await.unwrap(), 0);
    assert_eq!(world.connection_row().await.settings, settings);
    world.sync().await;
    world.disconnect().await;
    assert_eq!(world.host().set_settings("{}").await.unwrap(), 0, "it has ended");
}
