//! S10 to S16: who the contact is, however addresses are written and whatever way mail takes.

use gmail_sim::Verification;
use scenarios::{ANN, ME, Setup, World};
use twinbox_host::contract::{Direction, Subject};

const BOB: &str = "bob@other.example";
const SALES: &str = "sales@acme.example";

/// A world without colleagues: every address counts as a stranger's or a contact's.
fn setup() -> Setup {
    Setup::default().settings(r#"{"internal-domains": []}"#)
}

#[tokio::test]
async fn s10_case_dots_googlemail_and_international_domains_are_no_matter() {
    let contacts = [
        ("Lee", "ann.lee@googlemail.com"),
        ("Cho", "Cho@B\u{fc}cher.example"),
        ("Dee", "dee@xn--mller-kva.example"),
    ];
    let setup = contacts
        .iter()
        .fold(setup(), |setup, (name, address)| setup.contact(name, &[address]));
    let world = setup.connected().await;
    for from in [
        "ANNLEE@gmail.com",
        "cho@xn--bcher-kva.example",
        "DEE@m\u{fc}ller.example",
    ] {
        world.mail().from(from).arrives();
    }
    world.sync().await;
    for (name, _) in contacts {
        assert_eq!(world.conversation(name).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn s10_a_tag_leads_to_the_plain_address_unless_a_contact_has_the_tag_itself() {
    let world = setup()
        .contact("Tag", &["ann+crm@client.example"])
        .connected()
        .await;
    world
        .mail()
        .from("ann+news@client.example")
        .subject("Tagged")
        .arrives();
    world
        .mail()
        .from("ann+crm@client.example")
        .subject("Exact")
        .arrives();
    world
        .mail()
        .from_me()
        .to("Ann+x@client.example")
        .subject("Sent")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Tagged", "Sent"]);
    assert_eq!(world.subjects("Tag").await, ["Exact"]);
}

#[tokio::test]
async fn s10_each_of_a_contacts_addresses_leads_to_the_contact() {
    let world = setup()
        .contact("Bob", &[BOB, "bob@home.example"])
        .connected()
        .await;
    world.mail().from(BOB).subject("Work").arrives();
    world.mail().from("bob@home.example").subject("Home").arrives();
    world.sync().await;
    assert_eq!(world.subjects("Bob").await, ["Work", "Home"]);
}

#[tokio::test]
async fn s16_duplicates_are_settled_across_spellings_and_the_explanation_names_who_lost() {
    let world = setup()
        .contact("First", &["j.doe@gmail.com"])
        .contact("Second", &["JDoe@googlemail.com"])
        .connected()
        .await;
    let mail = world.mail().from("jd.oe@gmail.com").arrives();
    world.sync().await;
    assert_eq!(world.conversation("First").await.len(), 1);
    assert_eq!(world.conversation("Second").await.len(), 0);
    assert!(world.input(&mail.id, "created-later").await.is_some());
}

#[tokio::test]
async fn s10_an_accepted_alias_is_the_user_and_a_pending_one_is_not() {
    let world = setup()
        .contact("Me by my alias", &[SALES])
        .contact("Pending", &["new@acme.example"])
        .unconnected()
        .await;
    world
        .sim()
        .add_send_as(ME, SALES, "Sales", Verification::Accepted);
    world
        .sim()
        .add_send_as(ME, "new@acme.example", "New", Verification::Pending);
    let mut world = world;
    world.connect().await.unwrap();
    let to = format!("{SALES}, {ANN}");
    world
        .mail()
        .from_me()
        .to(&to)
        .subject("Sent")
        .is_sent_from_gmail()
        .await;
    let own = world
        .mail()
        .from(SALES)
        .to("x@y.example")
        .subject("From my alias")
        .arrives();
    world.mail().to(SALES).subject("To my alias").arrives();
    world
        .mail()
        .from_me()
        .to("new@acme.example")
        .subject("Pending")
        .is_sent_from_gmail()
        .await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Sent", "To my alias"]);
    assert_eq!(world.conversation("Me by my alias").await.len(), 0);
    assert_eq!(world.conversation("Pending").await.len(), 1);
    assert_eq!(world.input(&own.id, "own-address").await.as_deref(), Some(SALES));
}

#[tokio::test]
async fn s10_aliases_are_read_once_a_day_and_not_for_each_message() {
    let world = setup().contact("Me by my alias", &[SALES]).connected().await;
    for _ in 0..3 {
        world.mail().arrives();
        world.sync().await;
    }
    let asked = |world: &World| {
        world
            .requests()
            .iter()
            .filter(|line| line.contains("/settings/sendAs"))
            .count()
    };
    assert_eq!(asked(&world), 0);
    world
        .sim()
        .add_send_as(ME, SALES, "Sales", Verification::Accepted);
    world.tick(25 * 3_600_000);
    world.mail().from_me().to(SALES).is_sent_from_gmail().await;
    world.sync().await;
    assert_eq!(asked(&world), 1);
    assert_eq!(world.conversation("Me by my alias").await.len(), 0);
}

#[tokio::test]
async fn s10_the_users_other_mailbox_is_the_user_and_no_other_tenant_is_told() {
    let mut world = setup()
        .contact("Me at home", &["mia@home.example"])
        .connected()
        .await;
    let other = world.in_another_tenant("elsewhere").await;
    world
        .consent("mia@home.example", gmail_sim::Decision::All, None)
        .await
        .unwrap();
    let lists = twinbox_host::privacy::Privacy::of(&world.connection_row().await.settings);
    assert_eq!(lists.own_addresses, [ME]);
    let mut other = other;
    other.connect().await.unwrap();
    let lists = twinbox_host::privacy::Privacy::of(&other.connection_row().await.settings);
    assert_eq!(lists.own_addresses, [""; 0]);
}

#[tokio::test]
async fn s10_who_has_mail_sent_for_them_is_found_in_reply_to() {
    let world = setup().connected().await;
    let form = world
        .mail()
        .from("forms@site.example")
        .header("Reply-To", ANN)
        .arrives();
    world.sync().await;
    assert_eq!(world.conversation(ANN).await.len(), 1);
    assert_eq!(world.input(&form.id, "in").await.as_deref(), Some("reply-to"));
}

#[tokio::test]
async fn s10_mail_of_a_contact_through_a_list_belongs_to_the_contact() {
    let world = setup().connected().await;
    let google = world
        .mail()
        .from("\"'Ann' via Sales\" <sales@lists.example>")
        .to("sales@lists.example")
        .header("X-Original-From", &format!("Ann <{ANN}>"))
        .header(
            "Mailing-list",
            "list sales@lists.example; contact sales+owners@lists.example",
        )
        .header("List-ID", "<sales.lists.example>")
        .arrives();
    let mailman = world
        .mail()
        .from("Ann via Sales <sales@lists.example>")
        .header("Reply-To", ANN)
        .header("List-Id", "<sales.lists.example>")
        .header("List-Post", "<mailto:sales@lists.example>")
        .arrives();
    world.sync().await;
    assert_eq!(world.conversation(ANN).await.len(), 2);
    assert_eq!(
        world.input(&google.id, "in").await.as_deref(),
        Some("original-from")
    );
    assert_eq!(world.input(&mailman.id, "in").await.as_deref(), Some("reply-to"));
}

#[tokio::test]
async fn s10_a_list_that_is_a_contact_has_what_strangers_write_to_it() {
    let world = setup()
        .contact("The list", &["sales@lists.example"])
        .connected()
        .await;
    let through_list = |from: &str| {
        world
            .mail()
            .from(from)
            .to("sales@lists.example")
            .header("List-Id", "<sales.lists.example>")
            .header("List-Post", "<mailto:sales@lists.example>")
            .arrives()
    };
    through_list("stranger@x.example");
    through_list(ANN);
    world.sync().await;
    assert_eq!(world.conversation("The list").await.len(), 1);
    assert_eq!(world.conversation(ANN).await.len(), 1);
}

#[tokio::test]
async fn s11_mail_to_oneself_has_no_conversation() {
    let world = setup().contact("Myself", &[ME]).connected().await;
    let id = world.mail().from_me().to(ME).is_sent_from_gmail().await;
    world.sync().await;
    assert_eq!(world.conversation("Myself").await.len(), 0);
    assert_eq!(world.rule(&id).await, "S11");
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn s15_copies_to_the_user_and_an_alias_are_one_message() {
    let world = setup().unconnected().await;
    world
        .sim()
        .add_send_as(ME, SALES, "Sales", Verification::Accepted);
    let mut world = world;
    world.connect().await.unwrap();
    world.mail().cc(SALES).subject("Once").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Once"]);
    assert_eq!(
        world.only_message(ANN).await.message.direction,
        Direction::Inbound
    );
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn s10_two_mails_with_one_message_id_are_both_kept_and_explained() {
    let world = setup().connected().await;
    let same = "<same@written.example>";
    world.mail().header("Message-ID", same).subject("One").arrives();
    world
        .mail()
        .header("Message-ID", same)
        .subject("Another")
        .arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["One", "Another"]);
    let explained = world.explain_all(Subject::MessageId(same.into())).await;
    assert_eq!(explained.len(), 2);
}

#[tokio::test]
async fn s10_mail_with_a_broken_message_id_or_none_is_kept() {
    let world = setup().connected().await;
    for id in ["", "no brackets, no sense", "<", "<>", "<a@b> <c@d>"] {
        world
            .mail()
            .header("Message-ID", id)
            .subject(&format!("Id {id}"))
            .arrives();
    }
    world.sync().await;
    assert_eq!(world.conversation(ANN).await.len(), 5);
    world.assert_all_accounted_for().await;
}
