//! Push notifications. The host has no endpoint for them yet, so there is no parser of ours to attack; what there is:
//! the simulator's envelope says what it was made of, in every form that Gmail's take, and what a notification says to
//! the component (`trigger.push`) changes nothing: it only says that a pass should start, and is never a cursor.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use gmail_sim::{Behaviour, Notification, PushData, PushHistoryId};
use serde_json::Value;
use twinbox_host::contract::{Report, Trigger};

use crate::{
    Choices,
    exports::{LIMITS, plugin, runtime},
    scripted::Scripted,
};

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    check_envelope(&mut choices);
    let history_id = if choices.yes() {
        choices.text()
    } else {
        choices.number().to_string()
    };
    let world = choices.rest();
    let (pushed, asked) = (
        pass(world, &Trigger::Push(history_id.clone())),
        pass(world, &Trigger::Schedule),
    );
    assert_eq!(pushed, asked, "{history_id:?} made a difference");
}

fn check_envelope(choices: &mut Choices<'_>) {
    let notification = Notification {
        email_address: choices.text(),
        history_id: choices.number(),
        topic: choices.text(),
        message_id: choices.text(),
        published_at: choices.number().cast_signed(),
        flaw: None,
    };
    let behaviour = Behaviour {
        push_history_id: if choices.yes() {
            PushHistoryId::Number
        } else {
            PushHistoryId::String
        },
        push_data: if choices.yes() {
            PushData::Standard
        } else {
            PushData::UrlSafe
        },
        ..Behaviour::default()
    };
    let envelope = notification.envelope(&choices.text(), &behaviour).to_string();
    let envelope: Value = serde_json::from_str(&envelope).expect("JSON");
    let data = envelope["message"]["data"].as_str().expect("data");
    let data = STANDARD
        .decode(data)
        .or_else(|_| URL_SAFE_NO_PAD.decode(data))
        .expect("base64");
    let data: Value = serde_json::from_slice(&data).expect("JSON inside");
    assert_eq!(data["emailAddress"], notification.email_address);
    let id = &data["historyId"];
    let id = id.as_u64().or_else(|| id.as_str()?.parse().ok());
    assert_eq!(id, Some(notification.history_id));
}

/// What a pass said and asked for, in a world of these bytes.
fn pass(world: &[u8], trigger: &Trigger) -> (Report, Vec<String>) {
    let world = Scripted::new(world);
    runtime().block_on(async {
        let pass = || plugin().pass(world.capabilities(), LIMITS);
        let _ = pass()
            .connect(None, String::new())
            .await
            .result
            .expect("an answer");
        let report = pass()
            .run(trigger.clone(), String::new())
            .await
            .result
            .expect("a report");
        (report, world.requests.lock().expect("no panic").clone())
    })
}
