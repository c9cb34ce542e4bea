//! What can be done with a conversation: thinking again, answering everybody, forwarding, privacy, and asking why.

use super::*;
use crate::{
    body::Body as Bytes,
    contract::{Field, Outbound, Outcome},
};

const UNDO: Duration = Duration::from_secs(10);

impl Site {
    async fn free_to_go(&self) -> Vec<Outbound> {
        self.crm.next_outbound(&scope("t", "ann", "c"), 10).await.unwrap()
    }

    /// Writes a mail to Bob; the path of the page it is on.
    async fn write(&self) -> String {
        let fields = [
            ("csrf", self.csrf.as_str()),
            ("key", "0123456789abcdef"),
            ("contact", &self.bob),
            ("to", "bob@example.com"),
            ("subject", "Hasty"),
            ("text", "Too quick"),
        ];
        let answer = self.send(&fields, &[]).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer
            .header(header::LOCATION)
            .split('#')
            .next()
            .unwrap()
            .to_owned()
    }

    async fn written(&self) -> String {
        let tenant = TenantId::new("t");
        let messages = self
            .crm
            .conversation(&tenant, &self.bob, crate::crm::Paging::default())
            .await;
        messages.unwrap().pop().unwrap().id
    }
}

#[tokio::test]
async fn mail_is_held_back_for_as_long_as_it_can_be_undone() {
    let site = Site::with_undo(UNDO).await;
    let place = site.write().await;
    let page = site.get(&place).await.text;
    assert!(page.contains("Undo") && page.contains("Send it now"), "{page}");
    assert!(site.free_to_go().await.is_empty());
    site.clock.advance(9_999);
    assert!(site.free_to_go().await.is_empty());
    site.clock.advance(1);
    assert_eq!(site.free_to_go().await.len(), 1);
}

#[tokio::test]
async fn mail_that_is_undone_never_goes_and_can_be_written_again() {
    let site = Site::with_undo(UNDO).await;
    let place = site.write().await;
    let id = site.written().await;
    site.post(&format!("/messages/{id}/cancel"), &[]).await;
    site.clock.advance(60_000);
    assert!(site.free_to_go().await.is_empty());
    let page = site.get(&place).await.text;
    assert!(page.contains("Withdrawn before it was sent"), "{page}");
    let again = site.get(&format!("{place}?again={id}")).await.text;
    assert!(again.contains(">\nToo quick</textarea>"), "{again}");
}

#[tokio::test]
async fn mail_that_is_sent_now_does_not_wait() {
    let site = Site::with_undo(UNDO).await;
    site.write().await;
    let id = site.written().await;
    site.post(&format!("/messages/{id}/send"), &[]).await;
    assert_eq!(site.free_to_go().await.len(), 1);
    let woken = site.links.woken.lock().unwrap().clone();
    assert_eq!(woken, [(ConnectionId::new("c"), Trigger::Outbound)]);
}

#[tokio::test]
async fn an_answer_to_all_goes_to_everybody_but_oneself() {
    let site = Site::new().await;
    let to = ["ann@example.com", "Carl@example.com", "bob@example.com"].map(mailbox);
    let cc = ["carl@example.com", "dora@example.com"].map(mailbox);
    let id = site
        .put(Message {
            to: to.into(),
            cc: cc.into(),
            ..message("k1", &site.bob)
        })
        .await;
    let all = site
        .get(&format!("/conversations/{}?answer-all={id}", site.bob))
        .await
        .text;
    assert_eq!(value_of(&all, "to"), "bob@example.com");
    assert_eq!(value_of(&all, "cc"), "Carl@example.com, dora@example.com");
    let one = site
        .get(&format!("/conversations/{}?answer={id}", site.bob))
        .await
        .text;
    assert_eq!(value_of(&one, "cc"), "");
    assert_eq!(value_of(&one, "reply"), id);
    let elsewhere = site
        .get(&format!("/conversations/{}?answer={id}", "nobody"))
        .await;
    assert_eq!(elsewhere.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn s12_a_message_is_forwarded_with_its_attachments() {
    let site = Site::new().await;
    let offer = attachment("2", "offer.pdf", "application/pdf", 5);
    let id = site
        .put(Message {
            attachments: vec![offer.clone()],
            ..message("k1", &site.bob)
        })
        .await;
    let bytes = Bytes::Inline(axum::body::Bytes::from_static(b"hello"));
    site.crm
        .put_attachment(&scope("t", "ann", "c"), "k1", &offer, bytes)
        .await
        .unwrap();
    let form = site.get(&format!("/compose?forward={id}")).await.text;
    assert!(
        form.contains("Forwarded message") && form.contains("How are you?"),
        "{form}"
    );
    assert_eq!(value_of(&form, "subject"), "Fwd: Hello &amp; &lt;welcome&gt;");
    let fields = [
        ("csrf", site.csrf.as_str()),
        ("key", "0123456789abcdef"),
        ("contact", &site.bob),
        ("forwards", &id),
        ("carries", "on"),
        ("to", "eve@example.com"),
        ("subject", "Fwd: Hello"),
        ("text", "See below"),
    ];
    let sent = site.send(&fields, &[("more.txt", b"more")]).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.text);
    let mail = site.free_to_go().await.remove(0);
    let names: Vec<&str> = mail.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["more.txt", "offer.pdf"]);
    let body = site
        .crm
        .open_attachment(&scope("t", "ann", "c"), &mail.id, &mail.attachments[1].id)
        .await;
    assert_eq!(body.unwrap().collect(100).await.unwrap(), b"hello".as_slice());
}

#[tokio::test]
async fn s33_another_tenants_message_cannot_be_forwarded_or_asked_about() {
    let site = Site::new().await;
    let bob = contact(&site.crm, "other", "Bob", "bob@example.com").await;
    let foreign = put(&site.crm, "other", message("k1", &bob)).await;
    for path in [
        format!("/compose?forward={foreign}"),
        format!("/messages/{foreign}/why"),
        format!("/conversations/{}?answer={foreign}", site.bob),
    ] {
        assert_eq!(site.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn t06_a_conversation_is_switched_private_and_open_on_its_own_page() {
    let site = Site::new().await;
    let path = format!("/conversations/{}", site.bob);
    for (to, said) in [("private", "Open again"), ("open", "Make private")] {
        let answer = site.post(&format!("{path}/secrecy"), &[("as", to)]).await;
        assert_eq!(answer.header(header::LOCATION), path);
        assert!(site.get(&path).await.text.contains(said), "{to}");
    }
    let odd = site.post(&format!("{path}/secrecy"), &[("as", "secret")]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

fn explained(outcome: Outcome, rule: &str, inputs: &[(&str, &str)]) -> Explanation {
    Explanation {
        id: "g1".into(),
        outcome,
        rule: rule.into(),
        inputs: inputs
            .iter()
            .map(|&(name, value)| Field {
                name: name.into(),
                value: value.into(),
            })
            .collect(),
        decided_at: NOW,
        version: "0.1.0".into(),
    }
}

#[tokio::test]
async fn t02_a_message_says_which_rule_brought_it_and_what_the_rule_looked_at() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    let delivered = Outcome::Delivered(site.bob.clone());
    *site.links.explained.lock().unwrap() =
        vec![explained(delivered, "S10", &[("address", "bob@example.com")])];
    let page = site.get(&format!("/messages/{id}/why")).await.text;
    for said in [
        "Rule S10",
        "It came from a contact",
        "Address",
        "bob@example.com",
        "version 0.1.0",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let asked = site.links.asked.lock().unwrap().clone();
    assert_eq!(asked, [Subject::MessageId("<1@example.com>".into())]);
}

#[tokio::test]
async fn t06_a_dry_run_is_asked_for_and_says_what_would_be_synced_and_why() {
    let site = Site::new().await;
    let untouched = site.get("/settings/preview?connection=c").await.text;
    assert!(!untouched.contains("would be synced</h2>"), "{untouched}");
    assert!(site.links.asked.lock().unwrap().is_empty());
    *site.links.explained.lock().unwrap() = vec![
        explained(
            Outcome::Delivered(site.bob.clone()),
            "S10",
            &[("subject", "Offer"), ("sender", "bob@example.com")],
        ),
        explained(
            Outcome::Excluded("T06".into()),
            "T06",
            &[("subject", "Law"), ("never-sync", "law.example")],
        ),
    ];
    let page = site.get("/settings/preview?connection=c&days=7").await.text;
    for said in [
        "1 of 2 messages would be synced",
        "Offer",
        "Kept out",
        "law.example",
    ] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let asked = site.links.asked.lock().unwrap().clone();
    let since = NOW - 7 * 24 * 3_600_000;
    assert_eq!(asked, [Subject::Preview(PreviewRange { since, most: 100 })]);
}

#[tokio::test]
async fn t08_a_sending_domain_is_judged_with_the_record_to_publish() {
    let site = Site::new().await;
    let page = site.get("/settings/domain?domain=ann@example.com").await.text;
    assert!(
        page.contains("To put right") && page.contains("v=spf1 include:_spf.google.com ~all"),
        "{page}"
    );
    let wrong = site.get("/settings/domain?domain=nowhere").await;
    assert_eq!(wrong.status, StatusCode::OK);
    assert!(
        wrong.text.contains("is not the name of a domain"),
        "{}",
        wrong.text
    );
}

#[tokio::test]
async fn images_among_the_attachments_are_shown_and_svg_is_not() {
    let site = Site::new().await;
    let parts = [("2", "a.png", "image/png"), ("3", "b.svg", "image/svg+xml")];
    let attachments = parts.map(|(part, name, kind)| attachment(part, name, kind, 3));
    let id = site
        .put(Message {
            attachments: attachments.to_vec(),
            ..message("k1", &site.bob)
        })
        .await;
    for attachment in attachments {
        let bytes = Bytes::Inline(axum::body::Bytes::from_static(b"abc"));
        site.crm
            .put_attachment(&scope("t", "ann", "c"), "k1", &attachment, bytes)
            .await
            .unwrap();
    }
    let page = site.get(&format!("/conversations/{}", site.bob)).await.text;
    assert!(
        page.contains(&format!("<img src=\"/messages/{id}/parts/2\"")),
        "{page}"
    );
    assert!(
        !page.contains(&format!("<img src=\"/messages/{id}/parts/3\"")),
        "{page}"
    );
}
