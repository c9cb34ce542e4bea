//! A recorded pass holds no token, and says what happened in an order that replays.

use twinbox_host::{
    capability::{RECORDED_BYTES, Recorder, TooLarge},
    contract::Trigger,
    trace::Step,
};

use crate::harness::{NEWER_TOKEN, TOKEN, World, probe, tight};

async fn recorded(world: &World, commands: &[&str]) -> Vec<Step> {
    let recorder = Recorder::new(RECORDED_BYTES);
    for text in commands {
        let capabilities = world.capabilities().recorded(&recorder);
        let pass = probe().await.pass(capabilities, tight());
        let pass = recorder.drive(pass.run(Trigger::Manual, (*text).into()));
        pass.await.result.unwrap();
    }
    recorder.take().unwrap()
}

fn asked(steps: &[Step]) -> Vec<&str> {
    steps
        .iter()
        .filter_map(|step| match step {
            Step::Asked { function, .. } | Step::Called { function, .. } => Some(function.as_str()),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn t05_a_recorded_pass_holds_what_was_said_and_no_token() {
    let world = World::new("t");
    let steps = recorded(
        &world,
        &[
            "http-mailbox https://mail.example/401",
            "grant",
            "store key value",
            "http-header x-goog-api-key https://mail.example/",
            "http https://mail.example/?access_token=ya29.in-an-address",
        ],
    )
    .await;
    let text = serde_json::to_string(&steps).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains(NEWER_TOKEN));
    assert!(!text.contains("ya29.in-an-address"));
    assert!(text.contains("\"inline\":\"hello\""));
    assert_eq!(
        asked(&steps),
        [
            "http.send",
            "oauth.grant",
            "storage.get",
            "storage.commit",
            "http.send",
            "http.send"
        ]
    );
}

#[tokio::test]
async fn t05_a_streamed_body_is_recorded_in_its_parts() {
    let steps = recorded(
        &World::new("t"),
        &["echo-stream https://mail.example/size/300000"],
    )
    .await;
    let given: usize = steps
        .iter()
        .map(|step| match step {
            Step::Given { part, .. } => part.0.len(),
            _ => 0,
        })
        .sum();
    let taken: u64 = steps
        .iter()
        .map(|step| match step {
            Step::Taken { length, .. } => *length,
            _ => 0,
        })
        .sum();
    assert_eq!((given, taken), (300_000, 300_000));
}

#[tokio::test]
async fn t05_a_question_that_was_never_answered_is_recorded_as_dropped() {
    let steps = recorded(&World::new("t"), &["abandon https://mail.example/hang"]).await;
    assert!(
        matches!(steps.last(), Some(Step::Dropped { call: 0 })),
        "{steps:?}"
    );
}

#[tokio::test]
async fn t05_a_recording_over_its_limit_is_given_up_and_the_pass_is_not() {
    let recorder = Recorder::new(100_000);
    let world = World::new("t");
    let capabilities = world.capabilities().recorded(&recorder);
    let pass = probe().await.pass(capabilities, tight());
    let command = "echo-stream https://mail.example/size/300000".to_owned();
    let ended = recorder.drive(pass.run(Trigger::Manual, command)).await;
    ended.result.unwrap();
    assert_eq!(recorder.take(), Err(TooLarge { limit: 100_000 }));
    assert_eq!(*world.crm.stored.lock().unwrap(), [300_000]);
}
