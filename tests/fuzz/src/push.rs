//! Push notifications: the host reads any bytes as a notification or not at all, and an envelope in every form that
//! Gmail's take as what it was made of; what a notification says to the component (`trigger.push`) changes nothing but
//! when it comes again: it only says that a pass should start, and is never a cursor.

use gmail_sim::{Behaviour, Notification, PushData, PushHistoryId};
use twinbox_host::{
    contract::{Report, Trigger},
    push,
};

use crate::{
    Choices,
    exports::{LIMITS, plugin, runtime},
    scripted::Scripted,
};

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    check_read(bytes);
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
    assert_eq!(
        pushed.requests, asked.requests,
        "{history_id:?} made a difference"
    );
    // A notification that is ahead of its history has the next pass come soon.
    let sooner = pushed.report.next.or(asked.report.next);
    let asked = Report {
        next: sooner,
        ..asked.report
    };
    let pushed = Report {
        next: sooner,
        ..pushed.report
    };
    assert_eq!(pushed, asked, "{history_id:?} made a difference");
}

fn check_envelope(choices: &mut Choices<'_>) {
    let notification = Notification {
        email_address: format!("{}@example.com", choices.number()),
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
    let read = push::Notification::read(envelope.as_bytes()).expect("a notification");
    assert_eq!(read.address, notification.email_address);
    assert_eq!(read.history_id, notification.history_id.to_string());
}

/// What is read of any bytes can be written into a row and a log.
fn check_read(bytes: &[u8]) {
    if let Ok(read) = push::Notification::read(bytes) {
        assert!(read.address.len() <= 320 && !read.address.contains(char::is_control));
        assert!(read.history_id.len() <= 32 && read.history_id.bytes().all(|byte| byte.is_ascii_digit()));
    }
}

/// What a pass said and asked for.
struct Ran {
    report: Report,
    requests: Vec<String>,
}

/// Runs a pass in a world of these bytes.
fn pass(world: &[u8], trigger: &Trigger) -> Ran {
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
        let requests = world.requests.lock().expect("no panic").clone();
        Ran { report, requests }
    })
}
