//! Who may be meant by an address (S10), private contacts, and messages that are taken out again (T06).

use super::*;

async fn found(crm: &EmbeddedCrm, scope: &Scope, address: &str) -> Vec<String> {
    let found = crm.find_contacts(scope, &[address.to_owned()]).await.unwrap();
    found.into_iter().map(|contact| contact.name).collect()
}

#[tokio::test]
async fn s10_contacts_are_found_by_any_address_that_may_be_theirs() {
    let crm = crm().await;
    contact(&crm, "Ann", &["Ann.Lee@gmail.com"]).await;
    contact(&crm, "Cho", &["cho@b\u{fc}cher.example"]).await;
    for (asked, name) in [
        ("a.nnlee@GMAIL.com", "Ann"),
        ("annlee+crm@gmail.com", "Ann"),
        ("cho@xn--bcher-kva.example", "Cho"),
    ] {
        assert_eq!(found(&crm, &scope(), asked).await, [name], "{asked}");
        assert!(found(&crm, &stranger(), asked).await.is_empty());
    }
    assert!(found(&crm, &scope(), "lee@gmail.com").await.is_empty());
}

#[tokio::test]
async fn s10_addresses_from_before_the_index_are_found_after_it_is_made() {
    let database = Database::in_memory().unwrap();
    let crm = EmbeddedCrm::new(database.clone()).unwrap();
    crm.create_tenant(&tenant(), "t").await.unwrap();
    contact(&crm, "Ann", &["ann.lee@gmail.com"]).await;
    let forget =
        database.call(|sql| Ok::<_, CrmError>(sql.execute("UPDATE crm_address SET loose = NULL", [])?));
    forget.await.unwrap();
    let again = EmbeddedCrm::new(database).unwrap();
    assert_eq!(found(&again, &scope(), "annlee@gmail.com").await, ["Ann"]);
}

#[tokio::test]
async fn t06_a_contact_is_private_for_its_own_tenant_until_it_is_opened_again() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let elsewhere = crm
        .set_secrecy(&TenantId::new("other"), &bob, Secrecy::Private)
        .await;
    assert_eq!(elsewhere, Err(CrmError::NotFound));
    assert!(crm.private_contacts(&tenant()).await.unwrap().is_empty());
    crm.set_secrecy(&tenant(), &bob, Secrecy::Private).await.unwrap();
    assert!(
        crm.contact_with(&tenant(), "BOB@example.com")
            .await
            .unwrap()
            .private
    );
    assert_eq!(crm.private_contacts(&tenant()).await.unwrap().len(), 1);
    crm.set_secrecy(&tenant(), &bob, Secrecy::Open).await.unwrap();
    assert!(!crm.contact(&tenant(), &bob).await.unwrap().private);
}

#[tokio::test]
async fn t06_a_message_that_is_taken_out_leaves_nothing_behind() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let carried = attachment("1", 3);
    let with_file = Message {
        attachments: vec![carried.clone()],
        ..message("k", &bob)
    };
    let put = crm
        .put_messages(&scope(), &[with_file, message("other", &bob)])
        .await
        .unwrap();
    let PutOutcome::Stored(id) = &put[0] else {
        panic!("{put:?}");
    };
    let bytes = Body::Inline(Bytes::from_static(b"abc"));
    crm.put_attachment(&scope(), "k", &carried, bytes).await.unwrap();
    crm.set_marks(&tenant(), id, READ.into()).await.unwrap();
    let retraction = MessageUpdate {
        key: "k".into(),
        flags: None,
        deleted: false,
        released: false,
        retracted: Some("T06".into()),
        undelivered: Vec::new(),
    };
    let twice = [retraction.clone(), retraction];
    let elsewhere = crm.update_messages(&stranger(), &twice[..1]).await.unwrap();
    assert_eq!(elsewhere, [UpdateOutcome::Gone]);
    let outcomes = crm.update_messages(&scope(), &twice).await.unwrap();
    assert_eq!(outcomes, [UpdateOutcome::Done, UpdateOutcome::Gone]);
    assert_eq!(crm.message(&tenant(), id).await, Err(CrmError::NotFound));
    for table in ["crm_attachment", "crm_content", "crm_chunk", "crm_change"] {
        let count = crm.database.call(move |sql| {
            Ok::<u64, CrmError>(
                sql.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?,
            )
        });
        assert_eq!(count.await.unwrap(), 0, "{table}");
    }
    assert_eq!(crm.counts(&tenant()).await.unwrap().messages, 1);
}
