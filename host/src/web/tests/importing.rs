//! Contacts from a file, and whose they are.

use super::*;

const FILE: &[u8] = b"name,email,assigned-user\nAnn,ann@a.example,\nBob again,BOB@example.com,\nCarl,nowhere,\nDora,d@d.example,stranger\n";

#[tokio::test]
async fn a_file_of_contacts_is_taken_and_what_is_not_is_said_line_by_line() {
    let site = Site::new().await;
    let page = site
        .upload(
            "/contacts/import",
            &[("csrf", &site.csrf)],
            &[("contacts.csv", FILE)],
        )
        .await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for said in [
        "1 contacts were added",
        "1 were here already",
        "Line 4: nowhere is not an address.",
        "Line 5: the tenant has no such user.",
    ] {
        assert!(page.text.contains(said), "{said}: {}", page.text);
    }
    let list = site.get("/contacts").await.text;
    assert!(list.contains("ann@a.example") && !list.contains("Dora"), "{list}");
}

#[tokio::test]
async fn a_file_that_is_too_large_or_absent_is_refused() {
    let site = Site::new().await;
    let large = vec![b'a'; (5 << 20) + 1];
    let files: [&[(&str, &[u8])]; 2] = [&[("contacts.csv", &large)], &[]];
    for files in files {
        let page = site
            .upload("/contacts/import", &[("csrf", &site.csrf)], files)
            .await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", page.text);
    }
}

#[tokio::test]
async fn s30_a_contact_is_given_to_a_user_and_to_everybody_again() {
    let site = Site::new().await;
    let tenant = TenantId::new("t");
    for user in ["ann", "zoe"] {
        site.crm
            .create_user(&tenant, &UserId::new(user), user)
            .await
            .unwrap();
    }
    let path = format!("/contacts/{}/assign", site.bob);
    for (given, assigned) in [("zoe", Some("zoe")), ("", None)] {
        let answer = site.post(&path, &[("user", given)]).await;
        assert_eq!(answer.header(header::LOCATION), "/contacts");
        let bob = site.crm.contact(&tenant, &site.bob).await.unwrap();
        assert_eq!(bob.assigned_user.as_deref(), assigned);
    }
    let stranger = site.post(&path, &[("user", "stranger")]).await;
    assert_eq!(stranger.status, StatusCode::UNPROCESSABLE_ENTITY);
}
