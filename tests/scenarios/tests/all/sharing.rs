//! S30 to S33: several CRM accounts on one Gmail mailbox.

use scenarios::{ANN, CrmFault, Setup, World};
use twinbox_host::{
    contract::{AuditMode, Explanation, Flags, Subject},
    crm::Delivery,
    privacy::AssignedUsers,
    store::{ConnectionStatus, Put},
    trace::Step,
};

const BOB: &str = "bob@other.example";

async fn sync_all(worlds: &[&World]) {
    for world in worlds {
        world.sync().await;
    }
}

#[tokio::test]
async fn s30_everyone_who_has_the_contact_sees_the_first_mail() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let mut stranger = home.in_another_tenant("stranger").await;
    stranger.connect().await.unwrap();
    let first = home.mail().subject("Hello").arrives();
    sync_all(&[&home, &rival, &stranger]).await;
    assert_eq!(home.subjects(ANN).await, ["Hello"]);
    assert_eq!(rival.subjects(ANN).await, ["Hello"]);
    assert_eq!(stranger.rule(&first.id).await, "S10");
    assert_eq!(stranger.counts().await.messages, 0);
}

#[tokio::test]
async fn s30_mail_goes_to_the_user_the_contact_is_assigned_to_and_of_nobodys_to_anyone() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let tom = rival.colleague("tom").await;
    rival.assign(ANN, Some("tom")).await;
    let first = home.mail().subject("For Tom").arrives();
    sync_all(&[&home, &rival]).await;
    assert_eq!(home.subjects(ANN).await, ["For Tom"], "nobody's there");
    assert!(tom.subjects(ANN).await.is_empty());
    assert_eq!(rival.rule(&first.id).await, "S30");

    rival.assign(ANN, Some("rival")).await;
    home.mail().subject("For the rival").arrives();
    sync_all(&[&rival]).await;
    assert_eq!(rival.subjects(ANN).await, ["For the rival"]);
    rival.assign(ANN, None).await;
    home.mail().subject("For anyone").arrives();
    sync_all(&[&rival]).await;
    assert_eq!(rival.subjects(ANN).await, ["For the rival", "For anyone"]);
}

#[tokio::test]
async fn s30_the_filter_can_be_set_to_any_user() {
    let setup = Setup::default().settings(r#"{"assigned-users": "any"}"#);
    let home = setup.connected().await;
    home.colleague("tom").await;
    home.assign(ANN, Some("tom")).await;
    home.mail().subject("For Tom").arrives();
    home.sync().await;
    assert_eq!(home.subjects(ANN).await, ["For Tom"]);
}

#[tokio::test]
async fn s30_the_user_has_the_last_word_on_whose_contacts_are_synced_whatever_is_set_later() {
    let setup = Setup::default().settings(r#"{"assigned-users": "any"}"#);
    let home = setup.connected().await;
    home.colleague("tom").await;
    home.assign(ANN, Some("tom")).await;
    home.keeps_out(|chosen| chosen.assigned_users = Some(AssignedUsers::Own))
        .await
        .unwrap();
    let toms = home.mail().subject("For Tom").arrives();
    home.sync().await;
    assert_eq!(home.rule(&toms.id).await, "S30");
    home.host().set_settings("{}").await.unwrap();
    home.keeps_out(|chosen| chosen.assigned_users = Some(AssignedUsers::Any))
        .await
        .unwrap();
    home.host().set_settings(r#"{"daily-limit": 7}"#).await.unwrap();
    home.mail().subject("For Tom too").arrives();
    home.sync().await;
    assert_eq!(home.subjects(ANN).await, ["For Tom too"]);
}

#[tokio::test]
async fn s30_s31_a_dry_run_says_whose_mail_it_would_be() {
    let home = World::connected().await;
    home.colleague("tom").await;
    let rival = home.sharing("rival").await;
    home.mail().subject("Hello").arrives();
    let rules = async |world: &World| -> Vec<String> {
        let found = world.preview(10, None).await;
        found.into_iter().map(|explanation| explanation.rule).collect()
    };
    assert_eq!(rules(&home).await, ["S10"]);
    home.assign(ANN, Some("tom")).await;
    assert_eq!(rules(&home).await, ["S30"]);
    home.assign(ANN, None).await;
    rival.writes_to(ANN).await;
    home.tick(2_000);
    home.mail().subject("For the rival").arrives();
    assert!(rules(&home).await.contains(&"S31".to_owned()));
}

#[tokio::test]
async fn s30_who_comes_late_sees_what_came_before_the_reply_as_well_and_sees_that_it_is_over() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.mail().subject("First").arrives();
    home.sync().await;
    home.writes_to(ANN).await;
    home.mail().subject("Second").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["First"]);
    assert_eq!(rival.released(ANN).await, ["First"]);
}

#[tokio::test]
async fn s31_the_one_who_replies_keeps_the_contact() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let third = home.sharing("third").await;
    home.mail().subject("First").arrives();
    sync_all(&[&home, &rival, &third]).await;
    let first = home.only_message(ANN).await;
    home.reply(&first).queued().await;
    sync_all(&[&home, &rival, &third]).await;
    for other in [&rival, &third] {
        assert_eq!(other.subjects(ANN).await, ["First"]);
        assert_eq!(other.released(ANN).await, ["First"]);
    }
    let second = home.mail().subject("Second").arrives();
    sync_all(&[&home, &rival, &third]).await;
    assert_eq!(home.subjects(ANN).await, ["First", "Re: First", "Second"]);
    assert!(home.released(ANN).await.is_empty());
    for other in [&rival, &third] {
        assert_eq!(other.subjects(ANN).await, ["First"]);
        assert_eq!(other.rule(&second.id).await, "S31");
        let report = other.assert_all_accounted_for().await;
        assert!(report.excluded.iter().any(|rule| rule.rule == "S31"));
    }
    let told = rival.explain_all(Subject::Contact(ANN.to_owned())).await;
    assert!(told.iter().any(|told| told.rule == "S31"));
    let held = told.iter().find(|told| told.rule == "S10").unwrap();
    assert!(held.inputs.iter().any(|input| input.name == "released"));
}

#[tokio::test]
async fn s31_a_reply_written_in_gmail_itself_is_everyones_and_keeps_nobody() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.mail()
        .from_me()
        .to(ANN)
        .subject("By hand")
        .is_sent_from_gmail()
        .await;
    home.mail().subject("Answer").arrives();
    sync_all(&[&home, &rival]).await;
    for world in [&home, &rival] {
        assert_eq!(world.subjects(ANN).await, ["By hand", "Answer"]);
        assert!(world.released(ANN).await.is_empty());
    }
}

#[tokio::test]
async fn s31_who_writes_too_late_is_logged_and_keeps_nothing() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.writes_to(ANN).await;
    let late = rival.writes_to(ANN).await;
    assert_eq!(rival.delivery(&late).await, Delivery::Sent);
    home.mail().subject("Answer").arrives();
    sync_all(&[&home, &rival]).await;
    assert_eq!(
        home.conversation(ANN).await.len(),
        2,
        "its own letter and the answer"
    );
    assert_eq!(rival.conversation(ANN).await.len(), 1, "its own letter");
}

#[tokio::test]
async fn s31_all_addresses_of_the_contact_are_kept() {
    let setup = Setup::default().contact("Bob", &[BOB, "bob@home.example"]);
    let home = setup.connected().await;
    let rival = home.sharing("rival").await;
    rival.create_contact(contact("Robert", "bob@home.example")).await;
    home.writes_to(BOB).await;
    home.mail()
        .from("bob@home.example")
        .subject("From home")
        .arrives();
    sync_all(&[&home, &rival]).await;
    assert_eq!(home.conversation("Bob").await.len(), 2);
    assert!(rival.conversation("Robert").await.is_empty());
}

#[tokio::test]
async fn s31_of_a_released_contact_no_body_is_fetched_and_no_change_is_carried() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let first = home.mail().subject("First").arrives();
    sync_all(&[&home, &rival]).await;
    home.writes_to(ANN).await;
    rival.sync().await;
    home.requests();

    home.mail()
        .subject("Re: First")
        .answering(&first.message_id)
        .arrives();
    rival.sync().await;
    let gets: Vec<String> = home.requests();
    let gets: Vec<&String> = gets.iter().filter(|line| line.contains("/messages/")).collect();
    assert_eq!(gets.len(), 1, "{gets:?}");
    assert!(gets[0].contains("format=metadata"), "{gets:?}");

    let held = rival.only_message(ANN).await;
    rival.gmail().label(&first.id, &["STARRED"], &[]).await;
    let trashed = Flags {
        trashed: true,
        ..held.message.flags
    };
    rival.marks(&held, trashed).await;
    sync_all(&[&rival, &home]).await;
    assert!(!rival.gmail().labels(&first.id).contains(&"TRASH".to_owned()));
    assert!(!rival.only_message(ANN).await.message.flags.starred);
    let own = home.conversation(ANN).await;
    assert!(
        own.iter().any(|message| message.message.flags.starred),
        "S17 goes on there"
    );
}

#[tokio::test]
async fn s31_a_long_conversation_is_marked_page_by_page_and_goes_on_where_it_was_interrupted() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    for number in 0..450 {
        home.mail().subject(&format!("Mail {number}")).arrives();
    }
    rival.sync().await;
    home.writes_to(ANN).await;
    rival.crm_fault(CrmFault::FailUpdate(1));
    assert!(rival.pass().await.unwrap().report.problem.is_some());
    let released = released_in(&rival).await;
    assert_eq!(released, 200, "one page of three");
    rival.sync().await;
    assert_eq!(released_in(&rival).await, 450);
}

#[tokio::test]
async fn s31_when_the_tenant_that_keeps_it_disconnects_new_mail_comes_to_all_again() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let third = home.sharing("third").await;
    home.writes_to(ANN).await;
    let missed = home.mail().subject("Missed").arrives();
    sync_all(&[&home, &rival, &third]).await;
    home.disconnect().await;
    home.mail().subject("Again").arrives();
    sync_all(&[&rival, &third]).await;
    for world in [&rival, &third] {
        assert_eq!(world.subjects(ANN).await, ["Again"]);
        assert!(world.released(ANN).await.is_empty());
        assert_eq!(
            world.rule(&missed.id).await,
            "S31",
            "what was missed stays out, and this is why"
        );
        let healed = world.audit(AuditMode::Heal).await;
        assert_eq!((healed.missing.len(), healed.healed), (0, 0));
    }
    rival.writes_to(ANN).await;
    home.mail().subject("Kept anew").arrives();
    sync_all(&[&rival, &third]).await;
    assert_eq!(third.subjects(ANN).await, ["Again"]);
    assert_eq!(third.released(ANN).await, ["Again"]);
    assert_eq!(rival.conversation(ANN).await.len(), 3);
}

#[tokio::test]
async fn s31_a_disconnect_that_a_crash_cut_short_frees_the_contact_when_it_is_finished() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.writes_to(ANN).await;
    let mut row = home.connection_row().await;
    row.status = ConnectionStatus::Disconnected;
    let written = home.host().parts().registry.put(&row).await.unwrap();
    assert_eq!(written, Put::Written);
    home.mail().subject("Before").arrives();
    rival.sync().await;
    home.host().finish_disconnects().await.unwrap();
    home.mail().subject("After").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["After"]);
}

#[tokio::test]
async fn s31_a_contact_that_is_given_to_another_user_is_free() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.writes_to(ANN).await;
    home.colleague("tom").await;
    home.assign(ANN, Some("tom")).await;
    home.sync().await;
    home.mail().subject("After").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["After"]);
}

#[tokio::test]
async fn s31_a_contact_that_is_deleted_in_the_crm_is_free() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.writes_to(ANN).await;
    home.delete_contact(ANN).await;
    home.sync().await;
    home.mail().subject("After").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["After"]);
}

#[tokio::test]
async fn s31_two_users_of_one_tenant_have_a_message_once_and_keep_the_contact_together() {
    let home = World::connected().await;
    let rival = home.sharing("rival").await;
    let mut tom = home.colleague("tom").await;
    tom.connect().await.unwrap();
    home.mail().subject("First").arrives();
    sync_all(&[&home, &tom, &rival]).await;
    assert_eq!(home.subjects(ANN).await, ["First"], "the first in");
    home.writes_to(ANN).await;
    home.mail().subject("Second").arrives();
    sync_all(&[&tom, &home, &rival]).await;
    assert_eq!(
        home.conversation(ANN).await.len(),
        3,
        "both mails and the letter, each once"
    );
    assert_eq!(rival.subjects(ANN).await, ["First"]);
    // Whoever is left of the tenant goes on keeping it.
    home.disconnect().await;
    home.mail().subject("Third").arrives();
    sync_all(&[&tom, &rival]).await;
    assert_eq!(tom.conversation(ANN).await.len(), 4);
    assert_eq!(rival.subjects(ANN).await, ["First"]);
    tom.disconnect().await;
    home.mail().subject("Fourth").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["First", "Fourth"]);
}

#[tokio::test]
async fn s31_connecting_again_keeps_what_was_kept_and_another_mailbox_frees_it() {
    let mut home = World::connected().await;
    let rival = home.sharing("rival").await;
    home.writes_to(ANN).await;
    home.connect().await.unwrap();
    home.mail().subject("After connecting again").arrives();
    rival.sync().await;
    assert!(rival.subjects(ANN).await.is_empty());

    let elsewhere = "mia@elsewhere.example";
    home.sim().create_user(elsewhere, "Mia");
    let consent = home.consent(elsewhere, gmail_sim::Decision::All, None).await;
    consent.unwrap();
    home.mail().subject("After the address was updated").arrives();
    rival.sync().await;
    assert_eq!(rival.subjects(ANN).await, ["After the address was updated"]);
}

#[tokio::test]
async fn s32_mail_sent_from_one_crm_is_logged_there_alone() {
    for rewrites in [true, false] {
        let setup = Setup::default().behaviour(|gmail| gmail.rewrite_message_id = rewrites);
        let home = setup.connected().await;
        let rival = home.sharing("rival").await;
        home.writes_to(ANN).await;
        let sent = home.gmail().sent().remove(0);
        sync_all(&[&rival, &home]).await;
        assert_eq!(home.conversation(ANN).await.len(), 1);
        assert!(rival.conversation(ANN).await.is_empty());
        assert_eq!(rival.rule(&sent.id).await, "S32");
    }
}

#[tokio::test]
async fn s32_neither_to_a_contact_in_copy_nor_to_one_that_another_tenant_keeps() {
    let home = Setup::default().contact("Bob", &[BOB]).connected().await;
    let rival = home.sharing("rival").await;
    rival.create_contact(contact("Robert", BOB)).await;
    rival.writes_to(BOB).await;
    home.letter(ANN).await.cc(BOB).queued().await;
    home.letter("Bob").await.to_only(BOB).queued().await;
    sync_all(&[&home, &rival]).await;
    assert_eq!(rival.conversation("Robert").await.len(), 1, "its own");
    home.mail().from(BOB).subject("From Bob").arrives();
    sync_all(&[&home, &rival]).await;
    assert_eq!(
        rival.conversation("Robert").await.len(),
        2,
        "Bob is kept there all the same"
    );
    assert_eq!(home.conversation("Bob").await.len(), 1);
}

#[tokio::test]
async fn s33_nothing_a_plugin_is_told_names_another_tenant() {
    let home = Setup::default().recorded().connected().await;
    let rival = home.sharing("rival").await;
    home.mail().subject("First").arrives();
    sync_all(&[&home, &rival]).await;
    let first = home.only_message(ANN).await;
    home.reply(&first).queued().await;
    home.sync().await;
    home.mail().subject("Second").arrives();
    rival.sync().await;
    let secrets: Vec<String> = home
        .connections()
        .await
        .into_iter()
        .filter(|connection| connection.scope.tenant.as_str() == "home")
        .flat_map(|connection| [connection.scope.connection.to_string(), "\"home\"".to_owned()])
        .chain(home.tokens())
        .collect();
    assert!(secrets.len() > 2);
    let mut looked_at = 0;
    for trace in home.traces() {
        if trace.header.scope.tenant.as_str() != "rival" {
            continue;
        }
        looked_at += 1;
        let told = serde_json::to_string(&trace.steps).unwrap();
        for secret in &secrets {
            assert!(
                !told.contains(secret.as_str()),
                "a pass of the rival was told {secret}"
            );
        }
    }
    assert!(looked_at > 2);
}

/// What the host was asked in the tenant's passes since the last call, in order.
fn questions(world: &World, tenant: &str) -> Vec<String> {
    let traces = world.traces().into_iter();
    let own = traces.filter(|trace| trace.header.scope.tenant.as_str() == tenant);
    own.flat_map(|trace| trace.steps)
        .filter_map(|step| match step {
            Step::Asked { function, .. } | Step::Called { function, .. } => Some(function),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn s33_a_pass_takes_the_same_way_whether_or_not_another_tenant_is_there() {
    let mut ways = Vec::new();
    for others in [0, 2] {
        let home = Setup::default().recorded().connected().await;
        let mut worlds = Vec::new();
        for number in 0..others {
            worlds.push(home.sharing(&format!("other-{number}")).await);
        }
        home.traces();
        home.mail().subject("First").arrives();
        home.writes_to(ANN).await;
        for world in &worlds {
            world.sync().await;
        }
        home.mail().subject("Second").arrives();
        home.sync().await;
        ways.push(questions(&home, "home"));
    }
    assert!(ways[0].iter().any(|function| function == "sharing.standings"));
    assert_eq!(ways[0], ways[1]);
}

fn contact(name: &str, address: &str) -> twinbox_host::crm::NewContact {
    twinbox_host::crm::NewContact {
        name: name.to_owned(),
        addresses: vec![address.to_owned()],
        ..Default::default()
    }
}

/// How many messages of Ann the ledger knows to be marked as released.
async fn released_in(world: &World) -> usize {
    let explained = world.explain_all(Subject::Contact(ANN.to_owned())).await;
    let is_released = |told: &&Explanation| told.inputs.iter().any(|input| input.name == "released");
    explained.iter().filter(is_released).count()
}
