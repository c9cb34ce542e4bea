//! Sending, drafts, and what arrives where.

use gmail_sim::{Config, Limits, Verification};
use serde_json::{Value, json};

use crate::world::{ANNA, BEN, World, decoded, raw};

fn text(world: &World, id: &str) -> String {
    decoded(&world.get(&format!("messages/{id}?format=raw")).ok()["raw"])
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_sent_message_arrives_in_every_mailbox_and_outside_without_bcc() {
    let world = World::new();
    let mail = "From: anna@acme.test\nTo: Ben <ben@acme.test>\nCc: c@client.test\nBcc: d@client.test\nSubject: hi\nMessage-ID: <mine@crm.test>\n\nx";
    let sent = world.send(mail).ok();
    assert_eq!(sent["labelIds"], json!(["SENT"]));
    let own = text(&world, &id(&sent));
    assert!(own.contains("Bcc: d@client.test\r\n") && own.contains("gmailapi.google.com with HTTPREST"));
    assert!(own.contains("@mail.gmail.com>") && !own.contains("mine@crm.test"));
    let arrived = &world.mailbox(BEN)[0];
    assert_eq!(arrived.labels, ["INBOX", "UNREAD"]);
    assert_ne!(arrived.id, id(&sent));
    assert_eq!(arrived.message_id(), world.mailbox(ANNA)[0].message_id());
    let outside = world.sim.outside();
    let recipients: Vec<&str> = outside.iter().map(|mail| mail.recipient.as_str()).collect();
    assert_eq!(recipients, ["c@client.test", "d@client.test"]);
    assert!(
        outside
            .iter()
            .all(|mail| !String::from_utf8_lossy(&mail.raw).contains("Bcc"))
    );
    assert!(!String::from_utf8_lossy(&arrived.raw).contains("Bcc"));
}

#[test]
fn message_id_from_and_bcc_rules_are_switches() {
    let world = World::behaving(|behaviour| {
        behaviour.rewrite_message_id = false;
        behaviour.rewrite_from = false;
        behaviour.keep_own_fields = false;
        behaviour.sender_keeps_bcc = false;
        behaviour.bcc_recipient_sees_self = true;
    });
    let mail =
        "From: x@else.test\nBcc: ben@acme.test\nx-mailer: CRM\nSubject: hi\nMessage-ID: <mine@crm.test>\n\nx";
    let own = text(&world, &id(&world.send(mail).ok()));
    assert!(
        !own.contains("CRM")
            && own.contains("From: x@else.test")
            && own.contains("<mine@crm.test>")
            && !own.contains("Bcc")
    );
    assert!(String::from_utf8_lossy(&world.mailbox(BEN)[0].raw).contains("Bcc: ben@acme.test"));
}

#[test]
fn a_from_that_is_no_accepted_alias_becomes_the_default() {
    let world = World::new();
    world
        .sim
        .add_send_as(ANNA, "sales@acme.test", "Sales", Verification::Accepted);
    world
        .sim
        .add_send_as(ANNA, "boss@acme.test", "Boss", Verification::Pending);
    for (from, wanted) in [
        ("From: sales@acme.test\n", "From: sales@acme.test\r\n"),
        ("From: boss@acme.test\n", "From: Anna Adams <anna@acme.test>\r\n"),
        ("", "From: Anna Adams <anna@acme.test>\r\n"),
    ] {
        let sent = world
            .send(&format!("{from}To: c@client.test\nSubject: s\n\nx"))
            .ok();
        assert!(text(&world, &id(&sent)).contains(wanted), "{from}");
    }
    let aliases = world.get("settings/sendAs").ok();
    assert_eq!(aliases["sendAs"][1]["verificationStatus"], "accepted");
    assert!(aliases["sendAs"][0].get("verificationStatus").is_none());
    assert_eq!(
        world.get("settings/sendAs/boss@acme.test").ok()["verificationStatus"],
        "pending"
    );
    assert_eq!(world.get("settings/sendAs/x@acme.test").status, 404);
}

#[test]
fn mail_to_oneself_is_one_message_unless_switched() {
    let world = World::new();
    let sent = world.send("To: anna@acme.test\nSubject: me\n\nx").ok();
    assert_eq!(sent["labelIds"], json!(["INBOX", "SENT", "UNREAD"]));
    assert_eq!(world.mailbox(ANNA).len(), 1);
    world
        .sim
        .set_behaviour(|behaviour| behaviour.merge_self_sent = false);
    world.send("To: anna@acme.test\nSubject: me\n\nx").ok();
    assert_eq!(world.mailbox(ANNA).len(), 3);
}

#[test]
fn a_reply_joins_its_thread_only_with_id_references_and_subject() {
    let world = World::new();
    let first = world.arrive("From: c@client.test\nSubject: Offer\nMessage-ID: <o@client.test>\n\nx");
    let send = |mail: &str, thread: Option<&str>| {
        let mut body = raw(mail);
        if let Some(thread) = thread {
            body["threadId"] = json!(thread);
        }
        world.post("messages/send", body)
    };
    let reply = "To: c@client.test\nSubject: Re: Offer\nIn-Reply-To: <o@client.test>\nReferences: <o@client.test>\n\nx";
    let thread = Some(first.thread_id.as_str());
    assert_eq!(send(reply, thread).ok()["threadId"], first.thread_id);
    assert_ne!(
        send(&reply.replace("Offer", "Other"), thread).ok()["threadId"],
        first.thread_id
    );
    assert_ne!(
        send("To: c@client.test\nSubject: Re: Offer\n\nx", thread).ok()["threadId"],
        first.thread_id
    );
    assert_ne!(send(reply, None).ok()["threadId"], first.thread_id);
    assert_eq!(send(reply, Some("0000000000000123")).status, 404);
}

#[test]
fn what_cannot_be_sent_is_refused() {
    let world = World::with(Config {
        limits: Limits {
            sends_per_day: Some(1),
            ..Limits::default()
        },
        ..Config::default()
    });
    assert_eq!(
        world.send("Subject: x\n\ny").refusal().2,
        "Recipient address required"
    );
    assert_eq!(
        world.send("To: nobody\nSubject: x\n\ny").refusal().2,
        "Invalid To header"
    );
    world.send("To: c@client.test\n\ny").ok();
    let (status, _, message) = world.send("To: c@client.test\n\ny").refusal();
    assert_eq!(status, 429);
    assert!(
        message.ends_with("(Mail sending)") && message.contains(".  Retry after "),
        "{message}"
    );
    assert_eq!(world.get("profile").status, 200, "only sending is blocked");
}

#[test]
fn a_bounce_comes_back_into_the_same_thread() {
    let world = World::new();
    world.sim.bounce("gone@client.test");
    let sent = world.send("To: gone@client.test\nSubject: hi\n\nx").ok();
    let notice = &world.mailbox(ANNA)[1];
    assert_eq!(notice.thread_id, sent["threadId"].as_str().unwrap());
    assert!(notice.from().unwrap().contains("mailer-daemon@googlemail.com"));
    assert!(world.sim.outside().is_empty());
}

#[test]
fn a_draft_keeps_its_id_while_its_message_changes_and_sending_replaces_it() {
    let world = World::new();
    let start = world.history_id();
    let draft = world
        .post(
            "drafts",
            json!({"message": raw("To: c@client.test\nSubject: d\n\n1")}),
        )
        .ok();
    let path = format!("drafts/{}", id(&draft));
    let updated = world
        .call(
            "PUT",
            &path,
            json!({"message": raw("To: c@client.test\nSubject: d\n\n2")}),
        )
        .ok();
    assert_eq!(id(&updated), id(&draft));
    assert_ne!(updated["message"]["id"], draft["message"]["id"]);
    assert_eq!(updated["message"]["threadId"], draft["message"]["threadId"]);
    assert_eq!(
        world.get("drafts").ok()["drafts"][0]["message"]["id"],
        updated["message"]["id"]
    );
    assert_eq!(world.get(&path).ok()["message"]["labelIds"], json!(["DRAFT"]));
    let sent = world.post("drafts/send", json!({"id": id(&draft)})).ok();
    assert_eq!(sent["labelIds"], json!(["SENT"]));
    assert_ne!(sent["id"], updated["message"]["id"]);
    assert_eq!(sent["threadId"], updated["message"]["threadId"]);
    assert_eq!((world.get(&path).status, world.mailbox(ANNA).len()), (404, 1));
    assert_eq!(world.post("drafts/send", json!({"id": id(&draft)})).status, 404);
    assert!(String::from_utf8_lossy(&world.sim.outside()[0].raw).ends_with("\r\n\r\n2"));
    let history = world.get(&format!("history?startHistoryId={start}")).ok()["history"].clone();
    assert_eq!(
        history[2]["messagesDeleted"][0]["message"]["id"],
        updated["message"]["id"]
    );
    assert_eq!(history[2]["messagesAdded"][0]["message"]["id"], sent["id"]);
}

#[test]
fn a_refused_draft_stays_and_can_be_sent_later() {
    let world = World::new();
    let draft = world
        .post("drafts", json!({"message": raw("Subject: d\n\n1")}))
        .ok();
    let send = || world.post("drafts/send", json!({"id": id(&draft)}));
    assert_eq!(send().refusal().2, "Recipient address required");
    assert_eq!(world.get(&format!("drafts/{}", id(&draft))).status, 200);
    assert_eq!(
        world
            .call("DELETE", &format!("drafts/{}", id(&draft)), Value::Null)
            .status,
        204
    );
    assert_eq!(send().status, 404);
}

#[test]
fn a_sent_draft_can_keep_its_message_id_and_can_refuse_deletion_for_a_while() {
    let world = World::behaving(|behaviour| {
        behaviour.draft_send_keeps_id = true;
        behaviour.delete_after_draft_send_fails_ms = 2000;
    });
    let draft = world
        .post(
            "drafts",
            json!({"message": raw("To: c@client.test\nSubject: d\n\n1")}),
        )
        .ok();
    let sent = world.post("drafts/send", json!({"id": id(&draft)})).ok();
    assert_eq!(
        (&sent["id"], &sent["labelIds"]),
        (&draft["message"]["id"], &json!(["SENT"]))
    );
    assert!(world.sim.mailbox(ANNA).unwrap().drafts.is_empty());
    let delete = || {
        world
            .call("DELETE", &format!("messages/{}", id(&sent)), Value::Null)
            .status
    };
    assert_eq!(delete(), 500);
    world.advance(2000);
    assert_eq!(delete(), 204);
}
