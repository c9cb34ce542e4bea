use gmail_sim::{Fault, FaultKind, PullSubscription, Server, service_account_key};

use super::*;

/// A subscription in which notifications of Ann's mailbox wait, and who pulls from it.
struct Pulling {
    setting: Setting,
    server: Server,
    puller: Puller,
}

impl Pulling {
    async fn new() -> Self {
        let setting = Setting::new().await;
        let sim = &setting.sim;
        sim.create_user(ANN, "Ann");
        sim.set_pull(Some(PullSubscription {
            name: SUBSCRIPTION.into(),
            service_account: ROBOT.into(),
        }));
        let server = Server::start(sim.clone()).await.unwrap();
        let puller = puller(&setting, &server, ROBOT);
        let pulling = Self {
            setting,
            server,
            puller,
        };
        pulling.watch().await;
        pulling
    }

    /// Begins a watch, which announces itself.
    async fn watch(&self) {
        let scope = "https://www.googleapis.com/auth/gmail.modify";
        let token = self.setting.sim.issue_token(ANN, &[scope]).unwrap();
        let url = format!("{}/gmail/v1/users/me/watch", self.server.origin());
        let answer = reqwest::Client::new()
            .post(url)
            .bearer_auth(token.access_token)
            .json(&json!({"topicName": "projects/p/topics/t"}))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200);
    }
}

fn puller(setting: &Setting, server: &Server, account: &str) -> Puller {
    let clock: Arc<dyn Clock> = Arc::new(setting.clock.clone());
    let key = service_account_key(account, &server.origin());
    let account = ServiceAccount::from_key_file(&key.into(), clock.clone()).unwrap();
    let config = PullConfig {
        origin: server.origin(),
        ..PullConfig::new(SUBSCRIPTION.into())
    };
    let inbox = Inbox::new(setting.store.clone(), clock, setting.woken.clone());
    Puller::new(config, account, inbox).unwrap()
}

#[tokio::test]
async fn push_is_pulled_written_down_and_acknowledged() {
    let pulling = Pulling::new().await;
    let pulled = pulling.puller.pull(100).await.unwrap();
    assert_eq!((pulled.messages, pulled.acknowledged), (1, 1));
    assert!(pulling.setting.row("c").await.announced.waiting.is_some());
    assert_eq!(pulling.setting.woken().len(), 1);
    assert_eq!(pulling.setting.sim.unacknowledged(), 0);
    pulling.setting.advance(60_000);
    assert_eq!(pulling.puller.pull(100).await.unwrap(), Pulled::default());
    assert_eq!(pulling.puller.counts().accepted, 1);
    assert_eq!(
        pulling.setting.sim.stats().oauth["/token"],
        1,
        "the token is kept"
    );
}

#[tokio::test]
async fn push_pulled_while_the_store_is_down_is_not_acknowledged_and_comes_again() {
    let pulling = Pulling::new().await;
    pulling.setting.store.set_down(true);
    assert_eq!(pulling.puller.pull(100).await, Err(PullError::Store));
    assert_eq!(pulling.setting.sim.unacknowledged(), 1);
    pulling.setting.store.set_down(false);
    pulling.setting.advance(10_000);
    assert_eq!(pulling.puller.pull(100).await.unwrap().acknowledged, 1);
    assert!(pulling.setting.row("c").await.announced.waiting.is_some());
}

#[tokio::test]
async fn push_whose_acknowledgement_is_lost_comes_again_and_is_harmless() {
    let pulling = Pulling::new().await;
    let fault = Fault::next("pubsub.acknowledge", FaultKind::BackendBefore(503));
    pulling.setting.sim.inject(fault);
    assert!(matches!(
        pulling.puller.pull(100).await,
        Err(PullError::Pubsub(_))
    ));
    assert_eq!(pulling.setting.woken().len(), 1);
    pulling.setting.advance(10_000);
    assert_eq!(pulling.puller.pull(100).await.unwrap().acknowledged, 1);
    assert!(pulling.setting.woken().is_empty());
    assert_eq!(pulling.puller.counts().repeated, 1);
}

#[tokio::test]
async fn push_token_of_the_service_account_is_renewed_before_its_end_and_when_it_is_refused() {
    let pulling = Pulling::new().await;
    let tokens = || pulling.setting.sim.stats().oauth["/token"];
    pulling.puller.pull(1).await.unwrap();
    pulling.setting.advance(3_600_000 - 61_001);
    pulling.puller.pull(1).await.unwrap();
    assert_eq!(tokens(), 1);
    pulling.setting.advance(1);
    pulling.puller.pull(1).await.unwrap();
    assert_eq!(tokens(), 2);
    // Google's clock alone: its token is refused before we expect it.
    pulling.setting.time.fetch_add(3_600_000, Ordering::SeqCst);
    assert!(pulling.puller.pull(1).await.is_err());
    pulling.puller.pull(1).await.unwrap();
    assert_eq!(tokens(), 3);
}

#[tokio::test]
async fn push_is_not_pulled_by_an_account_that_may_not() {
    let pulling = Pulling::new().await;
    let other = puller(
        &pulling.setting,
        &pulling.server,
        "other@p.iam.gserviceaccount.com",
    );
    let refused = other.pull(100).await.unwrap_err();
    assert_eq!(refused, PullError::Pubsub("status 403".into()));
    assert_eq!(pulling.setting.sim.unacknowledged(), 0);
}

#[tokio::test]
async fn push_is_pulled_again_and_again_also_after_failures() {
    let pulling = Pulling::new().await;
    let fault = Fault::next("pubsub.pull", FaultKind::BackendBefore(503));
    pulling.setting.sim.inject(fault);
    let Pulling {
        setting,
        server,
        puller,
    } = pulling;
    let task = tokio::spawn(async move { puller.run().await });
    let came = async {
        while setting.woken().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), came)
        .await
        .expect("a wake");
    task.abort();
    drop(server);
}

#[test]
fn push_key_files_that_are_none_are_refused_without_their_text() {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW));
    let good: Value = serde_json::from_str(&service_account_key(ROBOT, "http://localhost")).unwrap();
    let with = |name: &str, value: Value| {
        let mut file = good.clone();
        file[name] = value;
        file.to_string()
    };
    for file in [
        String::new(),
        "{}".into(),
        with("type", json!("authorized_user")),
        with("private_key", json!("TOP SECRET")),
        with("token_uri", json!("nowhere")),
    ] {
        let error = ServiceAccount::from_key_file(&file.into(), clock.clone()).unwrap_err();
        assert!(matches!(error, ServiceAccountError::KeyFile(_)));
        assert!(!error.to_string().contains("SECRET"));
    }
    let account = ServiceAccount::from_key_file(&good.to_string().into(), clock).unwrap();
    assert!(!format!("{account:?}").contains("PRIVATE"));
}
