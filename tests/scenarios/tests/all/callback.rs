//! What comes back from the consent page, from whomever: either a mailbox is connected, or a page says what
//! happened and nothing of it remains.

use gmail_sim::Decision;
use reqwest::Url;
use scenarios::{ANN, Browser, ME, Page, Pages, Setup, World};

/// A world in which nothing is connected, its pages, and a browser that has pressed Connect.
struct Waiting {
    world: World,
    pages: Pages,
    browser: Browser,
    consent_page: Url,
}

impl Waiting {
    async fn new() -> Self {
        let world = Setup::default().unconnected().await;
        let pages = world.pages().await;
        let browser = pages.browser();
        let consent_page = browser.connects(ME).await;
        Self {
            world,
            pages,
            browser,
            consent_page,
        }
    }

    fn state(&self) -> String {
        parameter(self.consent_page.query().unwrap(), "state")
    }

    /// The query of a user who says yes to everything.
    async fn yes(&self) -> String {
        self.world.decides(&self.consent_page, ME, Decision::All).await
    }

    async fn comes_back(&self, query: &str) -> Page {
        self.browser.comes_back(query).await
    }

    /// The page says what happened and what to do, and offers to begin anew; nothing is connected.
    async fn assert_refused(&self, page: &Page, said: &str) {
        assert_eq!(page.status, 400, "{}", page.text);
        for text in [said, "class=\"code\"", "action=\"/oauth/connect\""] {
            assert!(page.text.contains(text), "{text}: {}", page.text);
        }
        assert!(self.world.connections().await.is_empty());
        assert_eq!(self.world.sealed().await.grants, 0);
    }

    /// And what was refused does not stand in the way of the right way.
    async fn assert_connects_now(&self) {
        let consent_page = self.browser.connects(ME).await;
        let query = self.world.decides(&consent_page, ME, Decision::All).await;
        let page = self.browser.comes_back(&query).await;
        assert_eq!(page.location.as_deref(), Some("/settings"), "{}", page.text);
        assert_eq!(self.world.connections().await.len(), 1);
        assert_eq!(self.world.sealed().await.grants, 1);
    }
}

fn parameter(query: &str, wanted: &str) -> String {
    let url = Url::parse(&format!("http://x/?{query}")).unwrap();
    let found = url.query_pairs().find(|(name, _)| name == wanted);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

const NOT_UNDER_WAY: &str = "not under way in this browser";

#[tokio::test]
async fn s01_a_yes_that_comes_back_to_its_browser_connects_the_mailbox() {
    let waiting = Waiting::new().await;
    let query = waiting.yes().await;
    let page = waiting.comes_back(&query).await;
    assert_eq!(page.location.as_deref(), Some("/settings"), "{}", page.text);
    assert_eq!(waiting.world.sealed().await.grants, 1);
    assert_eq!(waiting.world.sealed().await.flows, 0);
}

#[tokio::test]
async fn s01_a_state_that_was_never_given_is_refused() {
    let waiting = Waiting::new().await;
    let code = parameter(&waiting.yes().await, "code");
    for state in ["state=made-up&", "state=&", "", "state=%00%ff&"] {
        let page = waiting.comes_back(&format!("{state}code={code}")).await;
        waiting.assert_refused(&page, NOT_UNDER_WAY).await;
    }
    waiting.assert_connects_now().await;
}

#[tokio::test]
async fn s01_a_state_is_used_once_and_what_it_connected_stays() {
    let waiting = Waiting::new().await;
    let query = waiting.yes().await;
    waiting.comes_back(&query).await;
    let before = waiting.world.connections().await;
    let page = waiting.comes_back(&query).await;
    assert_eq!(page.status, 400);
    assert!(page.text.contains(NOT_UNDER_WAY), "{}", page.text);
    assert_eq!(waiting.world.connections().await, before);
    assert_eq!(waiting.world.sealed().await.grants, 1);
    assert_eq!(waiting.world.gmail().view().grants, 1);
}

#[tokio::test]
async fn s01_another_browser_cannot_finish_what_this_one_began() {
    let waiting = Waiting::new().await;
    let query = waiting.yes().await;
    let stranger = waiting.pages.browser();
    let page = stranger.comes_back(&query).await;
    waiting.assert_refused(&page, NOT_UNDER_WAY).await;
    let busy = waiting.pages.browser();
    busy.connects(ME).await;
    let page = busy.comes_back(&query).await;
    waiting.assert_refused(&page, NOT_UNDER_WAY).await;
    waiting.assert_connects_now().await;
}

#[tokio::test]
async fn s01_a_code_that_was_given_to_another_sign_in_is_refused() {
    let waiting = Waiting::new().await;
    let attacker = waiting.pages.browser();
    let theirs = attacker.connects(ANN).await;
    let code = parameter(&waiting.world.decides(&theirs, ANN, Decision::All).await, "code");
    let page = waiting
        .comes_back(&format!("state={}&code={code}", waiting.state()))
        .await;
    waiting.assert_refused(&page, "invalid_grant").await;
    assert_eq!(waiting.world.mailbox(ANN).view().grants, 0);
    waiting.assert_connects_now().await;
}

#[tokio::test]
async fn s01_a_code_that_nobody_gave_is_refused() {
    for code in ["made-up", "%3Cscript%3E", "4%2F0A"] {
        let waiting = Waiting::new().await;
        let page = waiting
            .comes_back(&format!("state={}&code={code}", waiting.state()))
            .await;
        waiting.assert_refused(&page, "invalid_grant").await;
        assert!(!page.text.contains("<script>"));
    }
}

#[tokio::test]
async fn s01_a_no_is_said_to_be_one_and_the_consent_page_s_reasons_are_explained() {
    let waiting = Waiting::new().await;
    let query = waiting
        .world
        .decides(&waiting.consent_page, ME, Decision::Deny)
        .await;
    assert!(query.contains("error=access_denied"));
    let page = waiting.comes_back(&query).await;
    waiting.assert_refused(&page, "access was declined").await;
    for (error, said) in [
        ("admin_policy_enforced", "administrator to trust this app"),
        ("org_internal", "accounts of its own organisation"),
        ("server_error", "the provider refused: server_error"),
    ] {
        let consent_page = waiting.browser.connects(ME).await;
        let state = parameter(consent_page.query().unwrap(), "state");
        let page = waiting.comes_back(&format!("state={state}&error={error}")).await;
        waiting.assert_refused(&page, said).await;
    }
    waiting.assert_connects_now().await;
}

#[tokio::test]
async fn s01_an_error_is_text_of_anybody_and_is_never_part_of_the_page() {
    for error in [
        "%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E",
        "your%20account%20is%20locked%2C%20call%20%2B1%20555",
        "%E2%80%AEdenied",
        "",
    ] {
        let waiting = Waiting::new().await;
        let page = waiting
            .comes_back(&format!("state={}&error={error}", waiting.state()))
            .await;
        waiting.assert_refused(&page, "unknown_error").await;
        for text in ["alert(", "onerror", "account is locked", "\u{202e}"] {
            assert!(!page.text.contains(text), "{text}");
        }
    }
}

#[tokio::test]
async fn s01_a_callback_that_is_no_answer_of_the_consent_page_is_refused() {
    let waiting = Waiting::new().await;
    let (state, query) = (waiting.state(), waiting.yes().await);
    let long = "x".repeat(5 << 10);
    for query in [
        String::new(),
        format!("state={state}"),
        format!("state={state}&code={long}"),
        format!("{query}&scope={long}"),
    ] {
        let page = waiting.comes_back(&query).await;
        waiting.assert_refused(&page, NOT_UNDER_WAY).await;
    }
    // What says both yes and no is a no.
    let consent_page = waiting.browser.connects(ME).await;
    let query = waiting.world.decides(&consent_page, ME, Decision::All).await;
    let page = waiting.comes_back(&format!("{query}&error=access_denied")).await;
    waiting.assert_refused(&page, "access was declined").await;
    waiting.assert_connects_now().await;
}

#[tokio::test]
async fn s02_s03_a_consent_that_does_not_fit_leaves_nothing_behind() {
    for (account, decision, said) in [
        (ME, Decision::Only(Vec::new()), "scope-missing"),
        (ANN, Decision::All, "wrong-mailbox"),
    ] {
        let waiting = Waiting::new().await;
        let query = waiting
            .world
            .decides(&waiting.consent_page, account, decision)
            .await;
        let page = waiting.comes_back(&query).await;
        waiting.assert_refused(&page, said).await;
        assert_eq!(waiting.world.mailbox(account).view().grants, 0);
        waiting.assert_connects_now().await;
    }
}
