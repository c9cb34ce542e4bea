//! The page of what is kept out (T06).

use super::*;

#[tokio::test]
async fn t06_lists_are_saved_line_by_line_and_shown_again() {
    let site = Site::new().await;
    let lists = [
        ("connection", "c"),
        ("never-sync", "bob@x.example\r\n\r\n law.example "),
        ("internal-domains", "corp.example"),
    ];
    let saved = site.post("/settings/privacy", &lists).await;
    assert_eq!(saved.header(header::LOCATION), "/settings/privacy?connection=c");
    let settings = site.links.list.lock().unwrap()[0].settings.clone();
    let lists = Privacy::of(&settings);
    assert_eq!(lists.never_sync, ["bob@x.example", "law.example"]);
    assert_eq!(lists.internal_domains, Some(vec!["corp.example".to_owned()]));
    let page = site.get("/settings/privacy?connection=c").await.text;
    assert!(page.contains("bob@x.example\nlaw.example"), "{page}");
}

#[tokio::test]
async fn s30_whose_contacts_are_synced_is_the_users_to_choose() {
    let site = Site::new().await;
    let chosen = || {
        let settings = site.links.list.lock().unwrap()[0].settings.clone();
        Privacy::of(&settings).assigned_users
    };
    let page = site.get("/settings/privacy?connection=c").await.text;
    assert!(
        page.contains("As usual here: Contacts assigned to me or to nobody"),
        "{page}"
    );
    for (word, whose) in [
        ("any", Some(AssignedUsers::Any)),
        ("own", Some(AssignedUsers::Own)),
        ("", None),
    ] {
        let form = [("connection", "c"), ("assigned-users", word)];
        site.post("/settings/privacy", &form).await;
        assert_eq!(chosen(), whose);
        let page = site.get("/settings/privacy?connection=c").await.text;
        assert!(page.contains(&format!("value=\"{word}\" selected")), "{page}");
        let all = site.get("/settings").await.text;
        let told = all.contains("Mail of all contacts comes in");
        assert_eq!(told, whose == Some(AssignedUsers::Any), "{all}");
    }
}

#[tokio::test]
async fn t06_a_conversation_is_made_private_by_address_and_opened_again() {
    let site = Site::new().await;
    let contact = NewContact {
        name: "Zoe".into(),
        addresses: vec!["zoe@z.example".into()],
        ..NewContact::default()
    };
    let id = site
        .crm
        .create_contact(&TenantId::new("t"), contact)
        .await
        .unwrap();
    let private = [("connection", "c"), ("address", "ZOE@z.example")];
    site.post("/settings/privacy/contact", &private).await;
    let page = site.get("/settings/privacy?connection=c").await.text;
    assert!(page.contains("Zoe") && page.contains("Open again"), "{page}");
    let open = [("connection", "c"), ("open", id.as_str())];
    site.post("/settings/privacy/contact", &open).await;
    let page = site.get("/settings/privacy?connection=c").await.text;
    assert!(!page.contains("Open again"), "{page}");
}

#[tokio::test]
async fn t06_taking_out_what_came_before_is_asked_for_by_itself() {
    let site = Site::new().await;
    site.post("/settings/privacy/retract", &[("connection", "c")])
        .await;
    let woken = site.links.woken.lock().unwrap().clone();
    assert_eq!(woken, [(ConnectionId::new("c"), Trigger::Retract)]);
}
