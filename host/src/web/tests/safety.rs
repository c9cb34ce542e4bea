use super::*;

#[tokio::test]
async fn a_form_without_the_sessions_token_is_refused() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    let path = format!("/messages/{id}/delete");
    let kind = "application/x-www-form-urlencoded";
    for (cookie, body) in [
        (site.cookie.as_str(), String::new()),
        (site.cookie.as_str(), "csrf=AAAA".into()),
        ("", format!("csrf={}", site.csrf)),
        ("twinbox_session=another", format!("csrf={}", site.csrf)),
    ] {
        let request = request("POST", &path, cookie).header(header::CONTENT_TYPE, kind);
        let answer = site.request(request, Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    let stored = site.crm.message(&TenantId::new("t"), &id).await.unwrap();
    assert!(!stored.deleted);
    for fields in [
        vec![("text", "x")],
        vec![("csrf", "wrong")],
        vec![("text", "x"), ("csrf", site.csrf.as_str())],
        vec![],
    ] {
        assert_eq!(site.send(&fields, &[]).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn every_form_of_the_site_is_refused_without_a_token() {
    let site = Site::new().await;
    let kind = "application/x-www-form-urlencoded";
    for path in [
        "/contacts",
        "/messages/m/mark",
        "/messages/m/delete",
        "/messages/m/cancel",
        "/conversations/c/read",
        "/settings/sync",
        "/settings/disconnect",
        "/oauth/connect",
    ] {
        let request = request("POST", path, &site.cookie).header(header::CONTENT_TYPE, kind);
        let answer = site.request(request, Body::from("connection=c")).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(site.links.begun.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_form_from_another_site_is_refused_whatever_it_holds() {
    let site = Site::new().await;
    let kind = "application/x-www-form-urlencoded";
    for (name, value) in [
        ("origin", "https://evil.example"),
        ("origin", "null"),
        ("origin", "http://localhost:9999"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        let request = request("POST", "/contacts", &site.cookie)
            .header(header::CONTENT_TYPE, kind)
            .header(name, value);
        let body = format!("csrf={}&addresses=x@example.com", site.csrf);
        let answer = site.request(request, Body::from(body)).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{name}: {value}");
    }
}

#[tokio::test]
async fn a_foreign_host_gets_nothing() {
    let site = Site::new().await;
    site.put(message("k1", &site.bob)).await;
    for (host, status) in [
        ("evil.example", StatusCode::MISDIRECTED_REQUEST),
        ("localhost.evil.example:8080", StatusCode::MISDIRECTED_REQUEST),
        ("localhost@evil.example", StatusCode::BAD_REQUEST),
    ] {
        let request = Request::builder().uri("/").header(header::HOST, host);
        let answer = site.request(request, Body::empty()).await;
        assert_eq!(answer.status, status, "{host}");
        assert!(!answer.text.contains("Bob"));
    }
    let people = People::new(Database::in_memory().unwrap()).unwrap();
    let ann = Person::everybody(TenantId::new("t"), UserId::new("ann"));
    let state = WebState::new(site.crm.clone(), people, site.links.clone())
        .open_to(ann)
        .at(Url::parse("https://crm.example.com").unwrap());
    let site = Site {
        router: router(state),
        ..site
    };
    let asked = Request::builder()
        .uri("/")
        .header(header::HOST, "crm.example.com");
    let answer = site.request(asked, Body::empty()).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header(header::SET_COOKIE).contains("; Secure"));
    assert!(
        answer
            .header(header::SET_COOKIE)
            .starts_with("__Host-twinbox_session=")
    );
}

#[tokio::test]
async fn s33_nothing_of_another_tenant_is_reachable() {
    let site = Site::new().await;
    let eve = contact(&site.crm, "other", "Eve", "eve@example.com").await;
    let mut mail = message("k1", &eve);
    mail.content.html = Some("<p>secret</p>".into());
    let id = put(&site.crm, "other", mail).await;
    site.links
        .list
        .lock()
        .unwrap()
        .push(connection("other", "ann", "theirs"));
    site.links
        .list
        .lock()
        .unwrap()
        .push(connection("t", "zoe", "zoes"));
    for path in [
        format!("/conversations/{eve}"),
        format!("/messages/{id}/body"),
        format!("/messages/{id}/parts/1"),
        format!("/compose?contact={eve}"),
        format!("/conversations/{}?again={id}", site.bob),
        "/settings/disconnect?connection=theirs".into(),
        "/settings/disconnect?connection=zoes".into(),
    ] {
        let answer = site.get(&path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert!(!answer.text.contains("secret") && !answer.text.contains("Eve"));
    }
    assert!(!site.get("/").await.text.contains("Eve"));
    for path in [
        format!("/messages/{id}/mark"),
        format!("/messages/{id}/delete"),
        format!("/messages/{id}/cancel"),
        format!("/conversations/{eve}/read"),
        "/settings/disconnect".into(),
        "/settings/sync".into(),
    ] {
        let answer = site
            .post(&path, &[("as", "read"), ("connection", "theirs")])
            .await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
    for (contact, reply) in [(eve.as_str(), ""), (site.bob.as_str(), id.as_str())] {
        let fields = [
            ("csrf", site.csrf.as_str()),
            ("key", "0123456789abcdef"),
            ("contact", contact),
            ("reply", reply),
            ("to", "x@example.com"),
        ];
        assert_eq!(site.send(&fields, &[]).await.status, StatusCode::NOT_FOUND);
    }
    assert!(site.links.woken.lock().unwrap().is_empty());
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let site = Site::new().await;
    for path in [
        "/",
        "/contacts",
        "/settings",
        "/nowhere",
        "/assets/style.css",
        "/assets/live.js",
    ] {
        let answer = site.get(path).await;
        let policy = answer.header(header::CONTENT_SECURITY_POLICY);
        assert!(policy.starts_with("default-src 'none'"), "{path}");
        assert!(!policy.contains("unsafe"), "{path}");
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(answer.header(header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(answer.header(header::REFERRER_POLICY), "same-origin");
        assert!(
            !answer.text.contains("<script>") && !answer.text.contains("style=\""),
            "{path}"
        );
    }
    let missing = site.get("/nowhere").await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    assert!(missing.text.contains("There is nothing here"));
    let asked = Request::builder()
        .uri("/healthz")
        .header(header::HOST, "10.0.0.7");
    assert_eq!(site.request(asked, Body::empty()).await.text, "ok");
}
