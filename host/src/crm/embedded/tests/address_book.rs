use super::*;
use crate::contract::{Person, PersonOutcome};

fn person(key: &str, name: &str, addresses: &[&str]) -> Person {
    Person {
        key: key.into(),
        name: name.into(),
        addresses: addresses.iter().map(|&address| address.into()).collect(),
    }
}

/// Puts one person and answers the contact's id.
async fn put(crm: &EmbeddedCrm, person: Person) -> String {
    match crm.put_contacts(&scope(), &[person]).await.unwrap().as_slice() {
        [PersonOutcome::Stored(id)] => id.clone(),
        other => panic!("{other:?}"),
    }
}

async fn read(crm: &EmbeddedCrm, id: &str) -> Contact {
    crm.contact(&tenant(), id).await.unwrap()
}

#[tokio::test]
async fn s08_a_person_becomes_a_contact_once_and_follows_the_address_book() {
    let crm = crm().await;
    let before = crm
        .list_contacts(&tenant(), Paging::default())
        .await
        .unwrap()
        .len();
    let id = put(&crm, person("people/c1", "Ada", &["ada@example.com"])).await;
    let again = put(
        &crm,
        person("people/c1", "Ada L.", &["ada@new.example", "ada@example.com"]),
    )
    .await;
    assert_eq!(id, again);
    let ada = read(&crm, &id).await;
    assert_eq!(ada.name, "Ada L.");
    assert_eq!(ada.addresses, ["ada@new.example", "ada@example.com"]);
    let after = crm
        .list_contacts(&tenant(), Paging::default())
        .await
        .unwrap()
        .len();
    assert_eq!(after, before + 1);
}

#[tokio::test]
async fn s08_a_contact_that_was_there_stays_as_people_made_it_and_gains_addresses() {
    let crm = crm().await;
    let bob = contact(&crm, "Bob", &["bob@example.com"]).await;
    let known = read(&crm, &bob).await;
    let addresses = ["BOB@example.com", "bob@home.example"];
    assert_eq!(put(&crm, person("people/c2", "Robert", &addresses)).await, bob);
    let gained = read(&crm, &bob).await;
    assert_eq!(gained.name, known.name);
    assert_eq!(gained.addresses.last().unwrap(), "bob@home.example");
    assert_eq!(gained.addresses.len(), known.addresses.len() + 1);
    crm.remove_contacts(&scope(), &["people/c2".into()])
        .await
        .unwrap();
    assert_eq!(read(&crm, &bob).await, gained);
}

#[tokio::test]
async fn s08_who_left_the_address_book_goes_unless_there_is_mail() {
    let crm = crm().await;
    let unused = put(&crm, person("people/c1", "", &["ada@example.com"])).await;
    assert_eq!(read(&crm, &unused).await.name, "ada@example.com");
    let used = put(&crm, person("people/c2", "Eve", &["eve@example.com"])).await;
    crm.put_messages(&scope(), &[message("k1", &used)]).await.unwrap();
    let keys = [
        "people/c1".to_owned(),
        "people/c2".to_owned(),
        "people/c3".to_owned(),
    ];
    for _ in 0..2 {
        crm.remove_contacts(&scope(), &keys).await.unwrap();
    }
    let gone = crm.contact(&tenant(), &unused).await;
    assert_eq!(gone.unwrap_err(), CrmError::NotFound);
    assert_eq!(read(&crm, &used).await.name, "Eve");
}

#[tokio::test]
async fn s08_another_accounts_persons_are_not_removed() {
    let crm = crm().await;
    let id = put(&crm, person("people/c1", "Ada", &["ada@example.com"])).await;
    let other = Scope {
        account: "another account".into(),
        ..scope()
    };
    crm.remove_contacts(&other, &["people/c1".into()]).await.unwrap();
    assert_eq!(read(&crm, &id).await.name, "Ada");
}

#[tokio::test]
async fn s08_a_person_beyond_the_limits_is_refused_alone() {
    let crm = crm().await;
    let long = person("people/c1", &"x".repeat(2_000), &["ada@example.com"]);
    let fine = person("people/c2", "Eve", &["eve@example.com"]);
    let outcomes = crm.put_contacts(&scope(), &[long, fine]).await.unwrap();
    assert!(matches!(outcomes[0], PersonOutcome::Refused(_)));
    assert!(matches!(outcomes[1], PersonOutcome::Stored(_)));
}

#[tokio::test]
async fn s16_what_a_contact_does_not_get_is_told_address_by_address() {
    let crm = crm().await;
    let made = |name: &str, addresses: &[&str], created_at| NewContact {
        name: name.into(),
        addresses: addresses.iter().map(|&address| address.into()).collect(),
        created_at: Some(created_at),
        ..NewContact::default()
    };
    let mut ids = Vec::new();
    for contact in [
        made("Third", &["ann.lee@gmail.com", "own@x.example"], 30),
        made("First", &["AnnLee@GoogleMail.com", "d.ot@x.example"], 10),
        made(
            "Second",
            &["ann@b\u{fc}cher.example", "annlee+news@gmail.com"],
            20,
        ),
        made("Fourth", &["Ann@xn--bcher-kva.example", "dot@x.example"], 40),
    ] {
        ids.push(crm.create_contact(&tenant(), contact).await.unwrap());
    }
    let mut contacts = Vec::new();
    for id in &ids {
        contacts.push(read(&crm, id).await);
    }
    let outranked = crm.outranked(&tenant(), &contacts).await.unwrap();
    let told = |lost: &Vec<Outranked>| -> Vec<(String, String)> {
        let each = lost.iter();
        each.map(|lost| (lost.address.clone(), lost.winner.name.clone()))
            .collect()
    };
    let of = |address: &str, winner: &str| vec![(address.to_owned(), winner.to_owned())];
    assert_eq!(told(&outranked[0]), of("ann.lee@gmail.com", "First"));
    // A tag makes it another address, and dots do but at Gmail.
    assert_eq!((told(&outranked[1]), told(&outranked[2])), (vec![], vec![]));
    assert_eq!(told(&outranked[3]), of("Ann@xn--bcher-kva.example", "Second"));
}
