use super::*;
use crate::contract::AddressMismatch;

/// The cookie that the answer sets for the way to the consent page and back.
fn flow_cookie(answer: &Answer) -> String {
    let cookie = answer.header(header::SET_COOKIE);
    assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn s01_consent_begins_with_a_cookie_and_ends_in_the_settings() {
    let site = Site::new().await;
    site.links.list.lock().unwrap().clear();
    assert!(site.get("/settings").await.text.contains("Connect Gmail"));
    let begun = site
        .post("/oauth/connect", &[("address", "ann@example.com")])
        .await;
    assert_eq!(begun.status, StatusCode::SEE_OTHER);
    assert_eq!(
        begun.header(header::LOCATION),
        "https://accounts.example/consent?state=s"
    );
    let cookie = flow_cookie(&begun);
    let (session, wanted) = site.links.begun.lock().unwrap()[0].clone();
    let session = session.strip_prefix("t ann ").unwrap();
    assert_eq!(cookie, format!("twinbox_connect={session}"));
    assert_eq!(wanted.address.as_deref(), Some("ann@example.com"));
    assert_eq!(wanted.choices, Choices::default());

    let path = "/oauth/callback?state=s&code=c";
    let elsewhere = site.get(path).await;
    assert_eq!(elsewhere.status, StatusCode::BAD_REQUEST);
    assert!(elsewhere.text.contains("unknown-flow"));

    let back = site.request(request("GET", path, &cookie), Body::empty()).await;
    assert_eq!(back.status, StatusCode::SEE_OTHER, "{}", back.text);
    assert_eq!(back.header(header::LOCATION), "/settings");
    assert!(back.header(header::SET_COOKIE).contains("Max-Age=0"));
    assert!(site.get("/settings").await.text.contains("Connected"));
}

#[tokio::test]
async fn s02_a_refusal_names_what_is_missing_and_asks_again() {
    let site = Site::new().await;
    let begun = site.post("/oauth/connect", &[]).await;
    let scope = "https://www.googleapis.com/auth/gmail.modify".to_owned();
    *site.links.refusal.lock().unwrap() = Some(Problem::ScopeMissing(vec![scope]));
    let asked = request("GET", "/oauth/callback?state=s&code=c", &flow_cookie(&begun));
    let back = site.request(asked, Body::empty()).await;
    assert_eq!(back.status, StatusCode::BAD_REQUEST);
    for text in [
        "scope-missing",
        "read, write and send mail in Gmail",
        "action=\"/oauth/connect\"",
    ] {
        assert!(back.text.contains(text), "{text}");
    }
}

#[tokio::test]
async fn s03_the_wrong_mailbox_is_said_and_the_right_one_asked_for_again() {
    let site = Site::new().await;
    let begun = site
        .post("/oauth/connect", &[("address", "ann@example.com")])
        .await;
    *site.links.refusal.lock().unwrap() = Some(Problem::WrongMailbox(AddressMismatch {
        expected: "ann@example.com".into(),
        found: "bob@example.com".into(),
    }));
    let asked = request("GET", "/oauth/callback?state=s&code=c", &flow_cookie(&begun));
    let back = site.request(asked, Body::empty()).await.text;
    assert!(back.contains("bob@example.com was connected, but ann@example.com was asked for."));
    assert_eq!(value_of(&back, "address"), "ann@example.com");
}

#[tokio::test]
async fn s06_disconnecting_says_what_will_happen_and_then_does_it() {
    let site = Site::new().await;
    let asked = site.get("/settings/disconnect?connection=c").await.text;
    assert!(asked.contains("Messages that are here stay here"));
    let done = site.post("/settings/disconnect", &[("connection", "c")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    let page = site.get("/settings").await.text;
    assert!(page.contains("Connect Gmail") && page.contains("disconnected"));
}

#[tokio::test]
async fn s07_a_connection_that_needs_the_user_says_so_with_a_button() {
    let site = Site::new().await;
    site.links.list.lock().unwrap()[0].status = ConnectionStatus::NeedsReconnect;
    let page = site.get("/settings").await.text;
    assert!(page.contains("reconnect-needed") && page.contains("Connect again"));
    assert_eq!(value_of(&page, "address"), "ann@example.com");
    let conversation = site.get(&format!("/conversations/{}", site.bob)).await.text;
    assert!(conversation.contains("waits until it is") && conversation.contains("action=\"/send\""));
}

#[tokio::test]
async fn syncing_now_wakes_the_connection() {
    let site = Site::new().await;
    site.post("/settings/sync", &[("connection", "c")]).await;
    assert_eq!(
        *site.links.woken.lock().unwrap(),
        [(ConnectionId::new("c"), Trigger::Manual)]
    );
}

#[tokio::test]
async fn s08_contacts_are_asked_for_only_when_ticked_and_again_after_a_refusal() {
    let site = Site::new().await;
    site.links.list.lock().unwrap().clear();
    assert!(
        site.get("/settings")
            .await
            .text
            .contains("name=\"google-contacts\"")
    );
    let begun = site.post("/oauth/connect", &[("google-contacts", "on")]).await;
    let (_, wanted) = site.links.begun.lock().unwrap()[0].clone();
    assert_eq!(wanted.choices, Choices::ticked([GOOGLE_CONTACTS]));

    let scope = "https://www.googleapis.com/auth/contacts.readonly".to_owned();
    *site.links.refusal.lock().unwrap() = Some(Problem::ScopeMissing(vec![scope]));
    let asked = request("GET", "/oauth/callback?state=s&code=c", &flow_cookie(&begun));
    let back = site.request(asked, Body::empty()).await.text;
    assert!(back.contains("see the contacts of the account"), "{back}");
    assert_eq!(value_of(&back, "google-contacts"), "on");
}

#[tokio::test]
async fn s08_the_choice_changes_at_once_unless_it_needs_consent() {
    let site = Site::new().await;
    let off = site.post("/settings/contacts", &[("connection", "c")]).await;
    assert_eq!(off.header(header::LOCATION), "/settings");
    let on = [("connection", "c"), ("google-contacts", "on")];
    let asked = site.post("/settings/contacts", &on).await;
    assert_eq!(
        asked.header(header::LOCATION),
        "https://accounts.example/consent?state=s"
    );
    let (_, wanted) = site.links.begun.lock().unwrap()[0].clone();
    assert_eq!(wanted.address.as_deref(), Some("ann@example.com"));
    assert!(wanted.choices.has(GOOGLE_CONTACTS));
}
