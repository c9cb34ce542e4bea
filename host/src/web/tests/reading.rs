use super::*;

#[tokio::test]
async fn the_list_and_the_conversation_show_delivered_mail_escaped() {
    let site = Site::new().await;
    site.put(message("k1", &site.bob)).await;
    let list = site.get("/").await;
    assert_eq!(list.status, StatusCode::OK);
    for text in [
        "Bob &lt;b&gt;",
        "Hello &amp; &lt;welcome&gt;",
        "How are you?",
        ">1</span>",
        "2026-03-01T09:30:00Z",
    ] {
        assert!(list.text.contains(text), "{text}");
    }
    let page = site.get(&format!("/conversations/{}", site.bob)).await.text;
    for text in [
        "bob@example.com",
        "ann@example.com",
        "carl@example.com",
        "Hello &amp; &lt;welcome&gt;",
        "SPF pass",
        "DMARC fail",
        "<summary>Quoted history</summary><div class=\"text\">&gt; old text</div>",
        "value=\"Re: Hello &amp; &lt;welcome&gt;\"",
        "name=\"to\" value=\"bob@example.com\"",
    ] {
        assert!(page.contains(text), "{text} is not in {page}");
    }
    assert!(!page.contains("<b>"));
}

#[tokio::test]
async fn the_list_is_searched_by_contact_and_keeps_what_is_looked_for() {
    let site = Site::new().await;
    site.put(message("k1", &site.bob)).await;
    let found = site.get("/?find=bob%40example").await.text;
    assert!(found.contains("How are you?") && found.contains("name=\"find\" value=\"bob@example\""));
    let by_subject = site.get("/?find=AND%20nobody").await.text;
    assert!(!by_subject.contains("How are you?"), "{by_subject}");
    let by_subject = site.get("/?find=%26%20%3CWelcome").await.text;
    assert!(by_subject.contains("How are you?"), "{by_subject}");
    let nobody = site.get("/?find=%22%3Cb%3E").await.text;
    assert!(
        nobody.contains("No contact and no subject here has that."),
        "{nobody}"
    );
    assert!(nobody.contains("value=\"&quot;&lt;b&gt;\"") && !nobody.contains("How are you?"));
}

#[tokio::test]
async fn s16_of_contacts_with_one_address_the_one_that_gets_the_mail_is_named() {
    let site = Site::new().await;
    let later = NewContact {
        name: "Robert".into(),
        addresses: vec!["BOB@example.com".into()],
        created_at: Some(NOW + 1),
        ..NewContact::default()
    };
    site.crm.create_contact(&TenantId::new("t"), later).await.unwrap();
    let page = site.get("/contacts").await.text;
    let (before, after) = page.split_once("Same address as").unwrap();
    assert!(before.contains("Robert"));
    assert!(after.contains("Bob &lt;b&gt;</a>, who was created first") && !after.contains("Same address as"));
}

#[tokio::test]
async fn contacts_are_found_by_name_and_shown_in_parts() {
    let site = Site::new().await;
    let contacts = (0..150).map(|number| NewContact {
        name: format!("Person {number}"),
        addresses: vec![format!("p{number}@many.example")],
        created_at: Some(NOW + number),
        ..NewContact::default()
    });
    let tenant = TenantId::new("t");
    site.crm
        .import_contacts(&tenant, contacts.collect())
        .await
        .unwrap();
    let first = site.get("/contacts").await.text;
    assert!(
        first.contains("Person 98<") && !first.contains("Person 99<"),
        "{first}"
    );
    assert!(first.contains("href=\"/contacts?page=1&amp;find=\""), "{first}");
    let second = site.get("/contacts?page=1").await.text;
    assert!(
        second.contains("Person 149<") && !second.contains(">After<"),
        "{second}"
    );
    let found = site.get("/contacts?find=p149@MANY").await.text;
    assert!(
        found.contains("Person 149<") && !found.contains("Person 14<"),
        "{found}"
    );
    assert!(
        site.get("/contacts?find=zoe")
            .await
            .text
            .contains("Nobody is called that.")
    );
}

#[tokio::test]
async fn t07_a_body_has_no_script_and_blocks_remote_images_until_asked() {
    let site = Site::new().await;
    let mut mail = message("k1", &site.bob);
    mail.content.html = Some(
        "<p onclick=\"x()\">Hi<script>alert(1)</script></p><img data-remote-src=\"https://t.example/p.gif\">\
         <img src=\"cid:logo@x\">"
            .into(),
    );
    mail.attachments = vec![Attachment {
        content_id: Some("logo@x".into()),
        disposition: Disposition::Inline,
        ..attachment("0.1", "logo.png", "image/png", 3)
    }];
    let id = site.put(mail).await;
    let page = site.get(&format!("/conversations/{}", site.bob)).await.text;
    let frame = page.split_once("<iframe").unwrap().1.split('>').next().unwrap();
    assert!(
        frame.contains("sandbox=\"") && !frame.contains("allow-scripts"),
        "{frame}"
    );
    assert!(page.contains("?images=show"));

    let blocked = site.get(&format!("/messages/{id}/body")).await;
    let policy = blocked.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'"));
    assert!(policy.contains("sandbox") && !policy.contains("allow-scripts"));
    assert!(!blocked.text.contains("script") && !blocked.text.contains("onclick"));
    assert!(
        blocked
            .text
            .contains("<img data-remote-src=\"https://t.example/p.gif\">")
    );
    assert!(!blocked.text.contains(" src=\"https:"));
    assert!(
        blocked
            .text
            .contains(&format!("<img src=\"/messages/{id}/parts/0.1\">"))
    );

    let shown = site.get(&format!("/messages/{id}/body?images=show")).await;
    assert!(shown.text.contains("<img src=\"https://t.example/p.gif\">"));
    assert!(
        shown
            .header(header::CONTENT_SECURITY_POLICY)
            .contains("img-src 'self' data: https: http:")
    );
    assert!(!shown.text.contains("script"));
}

#[tokio::test]
async fn an_attachment_is_a_download_and_only_a_plain_image_is_shown() {
    let site = Site::new().await;
    let mut mail = message("k1", &site.bob);
    mail.attachments = vec![
        attachment("1", "page.html", "text/html", 4),
        attachment("2", "photo.png", "image/png", 4),
        attachment("3", "drawing.svg", "image/svg+xml", 4),
        attachment("4", "later.pdf", "application/pdf", 4),
    ];
    let id = site.put(mail.clone()).await;
    for attachment in mail.attachments.iter().take(3) {
        let bytes = crate::body::Body::Inline("<b/>".into());
        site.crm
            .put_attachment(&scope("t", "ann", "c"), "k1", attachment, bytes)
            .await
            .unwrap();
    }
    for (part, kind, how) in [
        (
            "1",
            "application/octet-stream",
            "attachment; filename=\"page.html\"",
        ),
        ("2", "image/png", "inline; filename=\"photo.png\""),
        (
            "3",
            "application/octet-stream",
            "attachment; filename=\"drawing.svg\"",
        ),
    ] {
        let answer = site.get(&format!("/messages/{id}/parts/{part}")).await;
        assert_eq!(answer.text, "<b/>");
        assert_eq!(answer.header(header::CONTENT_TYPE), kind);
        assert!(answer.header(header::CONTENT_DISPOSITION).starts_with(how));
        assert_eq!(answer.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert!(answer.header(header::CONTENT_SECURITY_POLICY).contains("sandbox"));
    }
    assert_eq!(
        site.get(&format!("/messages/{id}/parts/4")).await.status,
        StatusCode::NOT_FOUND
    );
    let page = site.get(&format!("/conversations/{}", site.bob)).await.text;
    assert!(page.contains("later.pdf <span class=\"muted\">4 bytes, on its way"));
}

#[tokio::test]
async fn s17_a_mark_is_set_and_the_sync_is_told() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    let answer = site
        .post(&format!("/messages/{id}/mark"), &[("as", "read")])
        .await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let stored = site.crm.message(&TenantId::new("t"), &id).await.unwrap();
    assert!(!stored.message.flags.unread);
    assert_eq!(
        *site.links.woken.lock().unwrap(),
        [(ConnectionId::new("c"), Trigger::CrmChange)]
    );
    let odd = site.post(&format!("/messages/{id}/mark"), &[("as", "odd")]).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn s17_marks_that_are_set_at_once_do_not_undo_each_other() {
    let site = Site::new().await;
    let id = site.put(message("k1", &site.bob)).await;
    let mark = |r#as: &'static str| {
        let (site, path) = (&site, format!("/messages/{id}/mark"));
        async move { site.post(&path, &[("as", r#as)]).await }
    };
    tokio::join!(mark("starred"), mark("archived"), mark("read"));
    let flags = site
        .crm
        .message(&TenantId::new("t"), &id)
        .await
        .unwrap()
        .message
        .flags;
    assert_eq!((flags.starred, flags.archived, flags.unread), (true, true, false));
}

#[tokio::test]
async fn s17_marking_all_read_changes_nothing_else() {
    let site = Site::new().await;
    let tenant = TenantId::new("t");
    let mut ids = Vec::new();
    for number in 0..450 {
        ids.push(site.put(message(&format!("k{number}"), &site.bob)).await);
    }
    let archived = Marks {
        archived: Some(true),
        ..Marks::default()
    };
    site.crm.set_marks(&tenant, &ids[3], archived).await.unwrap();
    site.post(&format!("/conversations/{}/read", site.bob), &[]).await;
    assert_eq!(site.crm.counts(&tenant).await.unwrap().unread, 0);
    let kept = site.crm.message(&tenant, &ids[3]).await.unwrap().message.flags;
    assert!(kept.archived && !kept.unread);
}

#[tokio::test]
async fn a_page_of_connections_hears_that_one_was_written() {
    use futures_util::StreamExt;
    let site = Site::new().await;
    let asked = request("GET", "/events", "").body(Body::empty()).unwrap();
    let response = site.router.clone().oneshot(asked).await.unwrap();
    let _ = site.registry.put(&connection("other", "zoe", "z")).await.unwrap();
    let _ = site.registry.put(&connection("t", "ann", "c")).await.unwrap();
    let mut events = response.into_body().into_data_stream();
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(
        String::from_utf8(first.to_vec()).unwrap(),
        "event: connection\ndata: {}\n\n"
    );
}

#[tokio::test]
async fn a_live_page_hears_of_its_own_tenant_only() {
    use futures_util::StreamExt;
    let site = Site::new().await;
    let eve = contact(&site.crm, "other", "Eve", "eve@example.com").await;
    let asked = request("GET", "/events", "").body(Body::empty()).unwrap();
    let response = site.router.clone().oneshot(asked).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
    put(&site.crm, "other", message("k0", &eve)).await;
    site.put(message("k1", &site.bob)).await;
    let mut events = response.into_body().into_data_stream();
    let first = events.next().await.unwrap().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    assert!(first.contains(&site.bob) && !first.contains(&eve), "{first}");
}
