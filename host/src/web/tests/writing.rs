use super::*;
use crate::{
    contract::{Deferral, Outbound},
    crm::Paging,
};

const KEY: &str = "0123456789abcdef";

impl Site {
    async fn queued(&self) -> Vec<Outbound> {
        self.crm.next_outbound(&scope("t", "ann", "c"), 10).await.unwrap()
    }

    /// The fields of an answer to a message.
    fn answer<'a>(&'a self, reply: &'a str, text: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("csrf", &self.csrf),
            ("key", KEY),
            ("reply", reply),
            ("contact", &self.bob),
            ("to", "Bob <bob@example.com>"),
            ("cc", "carl@example.com"),
            ("bcc", "dora@example.com"),
            ("subject", "Re: Hello"),
            ("text", text),
            ("limited", "wait"),
        ]
    }
}

#[tokio::test]
async fn s23_an_answer_is_queued_once_however_often_its_form_is_sent() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    let fields = site.answer(&id, "Fine\r\nthanks");
    let big = vec![7; 700_000];
    let files: &[(&str, &[u8])] = &[("dir\\offer.pdf", &big), ("empty.pdf", b""), ("", b"")];
    let first = site.send(&fields, files).await;
    let second = site.send(&fields, files).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER, "{}", first.text);
    let queued = site.queued().await;
    let [mail] = queued.as_slice() else {
        panic!("{queued:?}")
    };
    let place = format!("/conversations/{}#message-{}", site.bob, mail.id);
    assert_eq!(first.header(header::LOCATION), place);
    assert_eq!(second.header(header::LOCATION), place);
    assert_eq!(mail.thread.as_deref(), Some("thread-1"));
    assert_eq!(mail.in_reply_to.as_deref(), Some("k1"));
    assert_eq!(mail.to[0].name.as_deref(), Some("Bob"));
    assert_eq!(mail.cc, [mailbox("carl@example.com")]);
    assert_eq!(mail.bcc, [mailbox("dora@example.com")]);
    assert_eq!(mail.text, "Fine\nthanks");
    assert_eq!(mail.when_limited, WhenLimited::Wait);
    let files: Vec<_> = mail
        .attachments
        .iter()
        .map(|file| (file.name.as_str(), file.size, file.media_type.as_str()))
        .collect();
    assert_eq!(
        files,
        [
            ("offer.pdf", 700_000, "application/pdf"),
            ("empty.pdf", 0, "application/pdf")
        ]
    );
    let body = site
        .crm
        .open_attachment(&scope("t", "ann", "c"), &mail.id, &mail.attachments[0].id)
        .await
        .unwrap();
    assert_eq!(body.collect(1 << 20).await.unwrap(), big);
    let woken = site.links.woken.lock().unwrap();
    assert!(
        woken
            .iter()
            .all(|woken| *woken == (ConnectionId::new("c"), Trigger::Outbound))
    );
    assert!(!woken.is_empty());
}

#[tokio::test]
async fn s23_another_text_under_a_used_key_is_not_taken_for_sent() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    site.send(&site.answer(&id, "one"), &[]).await;
    let second = site.send(&site.answer(&id, "two"), &[]).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    assert!(second.text.contains("form-used") && second.text.contains(">\ntwo</textarea>"));
    assert_ne!(value_of(&second.text, "key"), KEY);
    assert_eq!(site.queued().await.len(), 1);
}

#[tokio::test]
async fn s23_a_file_or_a_kind_that_is_another_makes_another_letter() {
    let site = Site::new().await;
    let fields = site.answer("", "text");
    let first = site.send(&fields, &[("offer.pdf", b"one")]).await;
    assert_eq!(first.status, StatusCode::SEE_OTHER);
    let again = site.send(&fields, &[("offer.pdf", b"one")]).await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    let mended = site.send(&fields, &[("offer.pdf", b"two")]).await;
    assert_eq!(mended.status, StatusCode::CONFLICT);
    let mut bulk = fields.clone();
    bulk.push(("kind", "bulk"));
    let bulk = site.send(&bulk, &[("offer.pdf", b"one")]).await;
    assert_eq!(bulk.status, StatusCode::CONFLICT);
    assert_eq!(site.queued().await.len(), 1);
}

#[tokio::test]
async fn s15_a_letter_without_a_contact_belongs_to_the_first_recipient_who_is_one() {
    let site = Site::new().await;
    let letter = |to: &'static str| {
        [
            ("csrf", site.csrf.as_str()),
            ("key", KEY),
            ("contact", ""),
            ("to", to),
            ("text", "hi"),
        ]
    };
    let nobody = site.send(&letter("zoe@example.com"), &[]).await;
    assert_eq!(nobody.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(nobody.text.contains("no recipient is one"), "{}", nobody.text);
    let sent = site.send(&letter("zoe@example.com, BOB@example.com"), &[]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert_eq!(site.queued().await[0].contact_id, site.bob);
}

#[tokio::test]
async fn s22_bulk_mail_that_is_written_again_stays_bulk_mail_and_keeps_its_files() {
    let site = Site::new().await;
    let mut fields = site.answer("", "text");
    fields.push(("kind", "bulk"));
    site.send(&fields, &[("offer.pdf", b"one")]).await;
    let conversation = format!("/conversations/{}", site.bob);
    let page = site.get(&conversation).await.text;
    let id = page
        .split("id=\"message-")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    site.post(&format!("/messages/{id}/cancel"), &[]).await;
    let again = site.get(&format!("{conversation}?again={id}")).await.text;
    assert!(again.contains("value=\"bulk\" selected"), "{again}");
    assert!(
        again.contains(&format!("name=\"forwards\" value=\"{id}\"")),
        "{again}"
    );
    assert!(again.contains("name=\"carries\" value=\"on\" checked"), "{again}");
}

#[tokio::test]
async fn a_contact_beyond_the_list_can_still_be_written_to() {
    let site = Site::new().await;
    let contacts = (0..600).map(|number| NewContact {
        name: format!("Person {number}"),
        addresses: vec![format!("p{number}@many.example")],
        created_at: Some(number),
        ..NewContact::default()
    });
    let tenant = TenantId::new("t");
    let made = site
        .crm
        .import_contacts(&tenant, contacts.collect())
        .await
        .unwrap();
    let Some(Imported::Added(last)) = made.last() else {
        panic!("{made:?}");
    };
    let page = site.get(&format!("/compose?contact={last}")).await.text;
    assert!(
        page.contains(&format!("value=\"{last}\" selected")),
        "the last one is missing"
    );
    assert!(page.contains(&format!(
        "name=\"place\" autocomplete=\"off\" value=\"new:{last}\""
    )));
}

#[tokio::test]
async fn a_form_that_comes_back_keeps_the_place_of_its_draft() {
    let site = Site::new().await;
    let mut fields = site.answer("", "text");
    fields.push(("place", "answer:7"));
    for field in &mut fields {
        if field.0 == "to" {
            field.1 = "nobody";
        }
    }
    let back = site.send(&fields, &[]).await.text;
    assert!(
        back.contains("value=\"answer:7\"") && back.contains("data-filled"),
        "{back}"
    );
}

#[tokio::test]
async fn s21_files_over_25_mb_are_refused_with_the_draft_kept() {
    let site = Site::new().await;
    let files: &[(&str, &[u8])] = &[("a.bin", &vec![0; 13 << 20]), ("b.bin", &vec![0; (12 << 20) + 1])];
    let answer = site.send(&site.answer("", "my long text"), files).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(answer.text.contains("too-large") && answer.text.contains("my long text"));
    assert!(site.queued().await.is_empty());
}

#[tokio::test]
async fn a_wrong_recipient_brings_the_form_back() {
    let site = Site::new().await;
    let mut fields = site.answer("", "text");
    for field in &mut fields {
        if field.0 == "to" {
            field.1 = "bob@example.com, nobody";
        }
    }
    let answer = site.send(&fields, &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("recipient-invalid") && answer.text.contains("“nobody”"));
    assert!(site.queued().await.is_empty());
}

#[tokio::test]
async fn without_a_mailbox_there_is_no_form_and_nothing_is_queued() {
    let site = Site::new().await;
    site.links.list.lock().unwrap().clear();
    let page = site.get(&format!("/conversations/{}", site.bob)).await.text;
    assert!(!page.contains("action=\"/send\"") && page.contains("/settings"));
    let answer = site.send(&site.answer("", "text"), &[]).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text.contains("not-connected"));
}

#[tokio::test]
async fn what_became_of_sent_mail_is_said_with_what_to_do() {
    let site = Site::new().await;
    let page = async || site.get(&format!("/conversations/{}", site.bob)).await.text;
    site.send(&site.answer("", "text"), &[]).await;
    let id = site.queued().await[0].id.clone();
    assert!(page().await.contains("Waits to be sent."));
    let report = async |outcome| {
        site.crm
            .report_outbound(&scope("t", "ann", "c"), &id, &outcome)
            .await
            .unwrap();
        page().await
    };
    let deferred = report(OutboundOutcome::Deferred(Deferral {
        until: NOW,
        problem: Problem::DailyLimit(NOW),
    }))
    .await;
    assert!(deferred.contains("2026-03-01 09:30 UTC") && deferred.contains("daily-limit"));
    let unconfirmed = report(OutboundOutcome::Unconfirmed(Problem::ProviderUnavailable(
        "x".into(),
    )))
    .await;
    assert!(unconfirmed.contains("It is not known whether this was sent"));
    let failed = report(OutboundOutcome::Failed(Problem::AliasNotAccepted(
        "a@example.com".into(),
    )))
    .await;
    assert!(failed.contains("alias-not-accepted") && failed.contains("Write it again"));
    let again = site
        .get(&format!("/conversations/{}?again={id}", site.bob))
        .await
        .text;
    assert!(again.contains(">\ntext</textarea>") && again.contains("value=\"dora@example.com\""));
}

#[tokio::test]
async fn mail_that_waits_can_be_withdrawn() {
    let site = Site::new().await;
    site.send(&site.answer("", "text"), &[]).await;
    let id = site.queued().await[0].id.clone();
    let answer = site.post(&format!("/messages/{id}/cancel"), &[]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert!(site.queued().await.is_empty());
}

#[tokio::test]
async fn a_contact_is_added_and_can_be_written_to() {
    let site = Site::new().await;
    let answer = site
        .post("/contacts", &[("name", "Zoe"), ("addresses", "zoe@example.com")])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let contacts = site
        .crm
        .list_contacts(&TenantId::new("t"), Paging::default())
        .await
        .unwrap();
    let zoe = contacts.iter().find(|contact| contact.name == "Zoe").unwrap();
    let sent = site
        .send(
            &[
                ("csrf", &site.csrf),
                ("key", KEY),
                ("contact", &zoe.id),
                ("text", "hi"),
            ],
            &[],
        )
        .await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    assert_eq!(site.queued().await[0].to, [mailbox("zoe@example.com")]);
}
