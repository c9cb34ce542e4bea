use super::*;
use crate::people::{NewPerson, NewToken, Role};
use secrecy::ExposeSecret;

const PASSWORD: &str = "correct horse battery";
const FORM: &str = "application/x-www-form-urlencoded";

/// Pages with accounts: Ann of `t` and Zoe of `other`, each with a contact.
pub(super) struct Office {
    pub(super) people: People,
    pub(super) crm: EmbeddedCrm,
    pub(super) links: Arc<Links>,
    router: Router,
    pub(super) bob: String,
    eve: String,
}

/// A browser with one cookie.
pub(super) struct Browser<'o> {
    office: &'o Office,
    cookie: String,
}

impl Office {
    pub(super) async fn new() -> Self {
        let database = Database::in_memory().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let crm = EmbeddedCrm::with_clock(database.clone(), clock).unwrap();
        let people = People::new(Database::in_memory().unwrap()).unwrap();
        for (tenant, user, role) in [("t", "ann", Role::User), ("other", "zoe", Role::Admin)] {
            crm.create_tenant(&TenantId::new(tenant), tenant).await.unwrap();
            let new = NewPerson {
                login: format!("{user}@example.com"),
                tenant: TenantId::new(tenant),
                user: UserId::new(user),
                name: user.into(),
                role,
                password: PASSWORD.into(),
            };
            people.add(new).await.unwrap();
        }
        let bob = contact(&crm, "t", "Bob", "bob@example.com").await;
        let eve = contact(&crm, "other", "Eve", "eve@example.com").await;
        let links = Arc::new(Links::default());
        let state = WebState::new(crm.clone(), people.clone(), links.clone());
        let state = telling(state, database);
        Self {
            people,
            crm,
            links,
            router: router(state),
            bob,
            eve,
        }
    }

    fn browser(&self) -> Browser<'_> {
        Browser {
            office: self,
            cookie: String::new(),
        }
    }

    pub(super) async fn signed_in(&self, login: &str) -> Browser<'_> {
        let mut browser = self.browser();
        let answer = browser.sign_in(login, PASSWORD, "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        browser
    }

    pub(super) async fn request(&self, request: axum::http::request::Builder, body: Body) -> Answer {
        let request = request.body(body).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 1 << 20).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

impl Browser<'_> {
    pub(super) async fn get(&mut self, path: &str) -> Answer {
        let answer = self
            .office
            .request(request("GET", path, &self.cookie), Body::empty())
            .await;
        self.keep(&answer);
        answer
    }

    /// Sends a form with the token of the page that has it.
    pub(super) async fn post(&mut self, page: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = value_of(&self.get(page).await.text, "csrf");
        let body = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", &csrf)
            .extend_pairs(fields)
            .finish();
        let asked = request("POST", path, &self.cookie).header(header::CONTENT_TYPE, FORM);
        let answer = self.office.request(asked, Body::from(body)).await;
        self.keep(&answer);
        answer
    }

    async fn sign_in(&mut self, login: &str, password: &str, next: &str) -> Answer {
        let fields = [("login", login), ("password", password), ("next", next)];
        self.post("/sign-in", "/sign-in", &fields).await
    }

    fn keep(&mut self, answer: &Answer) {
        if let Some(set) = answer.headers.get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            self.cookie = set.split(';').next().unwrap().to_owned();
        }
    }
}

#[tokio::test]
async fn without_a_session_every_page_leads_to_the_sign_in_and_back() {
    let office = Office::new().await;
    let mut browser = office.browser();
    for path in ["/", "/contacts", "/settings", "/compose", "/nowhere"] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert!(answer.header(header::LOCATION).starts_with("/sign-in?next=%2F"));
    }
    let place = format!("/conversations/{}", office.bob);
    let answer = browser
        .sign_in("Ann@Example.com ", PASSWORD, &format!("{place}?earlier=0"))
        .await;
    assert_eq!(answer.header(header::LOCATION), format!("{place}?earlier=0"));
    let page = browser.get(&place).await;
    assert!(page.status == StatusCode::OK && page.text.contains("Bob"));
    let again = browser.get("/sign-in?next=//evil.example").await;
    assert_eq!(again.header(header::LOCATION), "/");
}

#[tokio::test]
async fn without_a_session_nothing_is_done_and_nothing_is_read() {
    let office = Office::new().await;
    let id = put(&office.crm, "t", message("k1", &office.bob)).await;
    let mut browser = office.browser();
    for path in ["/events", "/metrics", "/messages/m/body", "/messages/m/parts/1"] {
        assert_eq!(browser.get(path).await.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in [
        format!("/messages/{id}/delete"),
        "/contacts".into(),
        "/send".into(),
        "/oauth/connect".into(),
        "/sign-out".into(),
        "/settings/password".into(),
    ] {
        let answer = browser
            .post("/sign-in", &path, &[("addresses", "x@example.com")])
            .await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path}");
    }
    assert!(
        !office
            .crm
            .message(&TenantId::new("t"), &id)
            .await
            .unwrap()
            .deleted
    );
    assert_eq!(office.crm.counts(&TenantId::new("t")).await.unwrap().contacts, 1);
}

#[tokio::test]
async fn signing_in_begins_a_new_session_and_signing_out_ends_it() {
    let office = Office::new().await;
    let mut browser = office.browser();
    browser.get("/sign-in").await;
    let before = browser.cookie.clone();
    let answer = browser.sign_in("ann@example.com", PASSWORD, "").await;
    assert!(
        answer
            .header(header::SET_COOKIE)
            .contains("; HttpOnly; SameSite=Lax")
    );
    let session = browser.cookie.clone();
    assert_ne!(before, session);

    let page = browser.get("/settings").await.text;
    assert!(page.contains("ann@example.com · user of t"), "{page}");
    let out = browser.post("/settings", "/sign-out", &[]).await;
    assert_eq!(out.header(header::LOCATION), "/sign-in");
    assert_eq!(out.header("clear-site-data"), "\"storage\"");
    let mut thief = Browser {
        office: &office,
        cookie: session,
    };
    assert_eq!(thief.get("/").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_wrong_password_is_refused_without_a_word_more_and_guessing_waits() {
    let office = Office::new().await;
    let mut browser = office.browser();
    for login in ["ann@example.com", "nobody@example.com"] {
        for _ in 0..5 {
            let answer = browser.sign_in(login, "a wrong password", "").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert!(answer.text.contains("sign-in-wrong") && !answer.text.contains("a wrong password"));
        }
        let answer = browser.sign_in(login, PASSWORD, "").await;
        assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.text.contains("rate-limited"));
    }
}

#[tokio::test]
async fn s33_two_tenants_on_one_server_see_nothing_of_each_other() {
    let office = Office::new().await;
    let id = put(&office.crm, "other", message("k1", &office.eve)).await;
    let mut list = office.links.list.lock().unwrap().clone();
    list.extend([connection("t", "ann", "anns"), connection("other", "zoe", "zoes")]);
    *office.links.list.lock().unwrap() = list;

    let mut ann = office.signed_in("ann@example.com").await;
    let mut zoe = office.signed_in("zoe@example.com").await;
    let theirs = format!("/conversations/{}", office.eve);
    assert_eq!(zoe.get(&theirs).await.status, StatusCode::OK);
    for path in [theirs, format!("/messages/{id}/body")] {
        assert_eq!(ann.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (browser, own, foreign) in [
        (&mut ann, "ann@example.com", "zoe@example.com"),
        (&mut zoe, "zoe@example.com", "ann@example.com"),
    ] {
        let settings = browser.get("/settings").await.text;
        assert!(settings.contains(own) && !settings.contains(foreign));
        let contacts = browser.get("/contacts").await.text;
        assert!(contacts.contains("Bob") != contacts.contains("Eve"));
    }
    let stolen = ann
        .post("/settings", "/settings/disconnect", &[("connection", "zoes")])
        .await;
    assert_eq!(stolen.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn s33_a_consent_that_somebody_else_began_in_this_browser_is_not_theirs_to_finish() {
    let office = Office::new().await;
    let mut ann = office.signed_in("ann@example.com").await;
    let begun = ann.post("/settings", "/oauth/connect", &[]).await;
    let flow = begun
        .header(header::SET_COOKIE)
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let zoe = office.signed_in("zoe@example.com").await;
    let back = |cookie: String| request("GET", "/oauth/callback?state=s&code=c", &cookie);
    let answer = office
        .request(back(format!("{}; {flow}", zoe.cookie)), Body::empty())
        .await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.text.contains("unknown-flow"));
}

#[tokio::test]
async fn another_password_needs_the_one_before_and_ends_other_sessions() {
    let office = Office::new().await;
    let mut here = office.signed_in("ann@example.com").await;
    let mut elsewhere = office.signed_in("ann@example.com").await;
    let change = |current, new| [("current", current), ("new", new)];
    let wrong = change("a wrong password", "another password");
    let answer = here.post("/settings", "/settings/password", &wrong).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let short = change(PASSWORD, "short");
    let answer = here.post("/settings", "/settings/password", &short).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let right = change(PASSWORD, "another password");
    let answer = here.post("/settings", "/settings/password", &right).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(here.get("/settings").await.status, StatusCode::OK);
    assert_eq!(elsewhere.get("/settings").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_token_opens_the_metrics_of_its_tenant_and_no_page() {
    let office = Office::new().await;
    office
        .links
        .list
        .lock()
        .unwrap()
        .push(connection("t", "ann", "anns"));
    let new = NewToken {
        login: "ann@example.com".into(),
        name: "prometheus".into(),
        expires_at: None,
    };
    let made = office.people.create_token(new).await.unwrap();
    let asked =
        |path, token: &str| request("GET", path, "").header(header::AUTHORIZATION, format!("Bearer {token}"));
    let token = made.secret.expose_secret();
    let answer = office.request(asked("/metrics", token), Body::empty()).await;
    assert!(answer.text.contains("connection=\"anns\""), "{}", answer.text);
    let answer = office
        .request(asked("/metrics", "twinbox_x"), Body::empty())
        .await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    let answer = office.request(asked("/contacts", token), Body::empty()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
}
