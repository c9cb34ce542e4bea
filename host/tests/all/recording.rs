//! A recorded pass says what happened and holds no token.

use twinbox_host::{capability::Recorder, contract::Trigger};

use crate::harness::{NEWER_TOKEN, TOKEN, World, probe, tight};

async fn recorded(world: &World, commands: &[&str]) -> Vec<twinbox_host::capability::Event> {
    let recorder = Recorder::new();
    for text in commands {
        let capabilities = world.capabilities().recorded(&recorder);
        let pass = probe().await.pass(capabilities, tight());
        pass.run(Trigger::Manual, (*text).into()).await.result.unwrap();
    }
    recorder.events()
}

#[tokio::test]
async fn a_recorded_pass_holds_neither_token_nor_body() {
    let world = World::new("t");
    let events = recorded(
        &world,
        &[
            "http-mailbox https://mail.example/401",
            "grant",
            "store key value",
            "echo-stream https://mail.example/size/300000",
        ],
    )
    .await;
    let text = serde_json::to_string(&events).unwrap();
    assert!(!text.contains(TOKEN) && !text.contains(NEWER_TOKEN));
    assert!(!text.contains("hello"));
    let names: Vec<_> = events
        .iter()
        .map(|event| format!("{}.{}", event.interface, event.function))
        .collect();
    assert_eq!(
        names,
        [
            "http.send",
            "oauth.grant",
            "storage.get",
            "storage.commit",
            "http.send",
            "crm.put-attachment"
        ]
    );
    let answer = &events[0].result["ok"];
    assert_eq!(answer["status"], 200);
    assert_eq!(answer["body"]["length"], 5);
    assert_eq!(events[5].arguments["content"]["length"], 300_000);
}

#[tokio::test]
async fn events_are_numbered_in_the_order_of_their_delivery() {
    let events = recorded(&World::new("t"), &["requests 5 https://mail.example/"]).await;
    let delivered: Vec<_> = events.iter().map(|event| event.delivered).collect();
    assert_eq!(delivered, [0, 1, 2, 3, 4]);
    let text = serde_json::to_string(&events).unwrap();
    let again: Vec<twinbox_host::capability::Event> = serde_json::from_str(&text).unwrap();
    assert_eq!(again, events);
}

#[tokio::test]
async fn a_question_that_was_never_answered_leaves_no_event() {
    let events = recorded(&World::new("t"), &["abandon https://mail.example/hang"]).await;
    assert!(events.is_empty(), "{events:?}");
}
