//! S01 to S06: how a connection begins and ends.

use std::time::Duration;

use gmail_sim::{Decision, Delivery, FaultKind};
use scenarios::{ANN, ME, Setup, World};
use twinbox_host::{
    HostError,
    accounts::ConnectError,
    contract::Problem,
    crm::Delivery as CrmDelivery,
    store::{ConnectionStatus, Put},
};

#[tokio::test]
async fn s01_sync_starts_by_itself_after_consent() {
    let mut world = Setup::default().unconnected().await;
    let connection = world.connect().await.unwrap();
    assert_eq!(connection.address, ME);
    assert_eq!(connection.status, ConnectionStatus::Active);
    assert!(connection.next_run_at.is_some_and(|next| next <= world.now()));
    world.mail().subject("Hello").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
}

#[tokio::test]
async fn s02_a_box_left_unticked_leaves_nothing_half_connected() {
    let mut world = Setup::default().unconnected().await;
    let refused = world.consent(ME, Decision::Only(Vec::new()), Some(ME)).await;
    let problem = refused.unwrap_err().problem();
    assert!(
        matches!(problem, Problem::ScopeMissing(scopes) if scopes.iter().any(|scope| scope.ends_with("gmail.modify")))
    );
    assert!(world.connections().await.is_empty());
    assert_eq!(world.gmail().view().grants, 0);
}

#[tokio::test]
async fn s02_asking_again_after_a_refusal_connects() {
    let mut world = Setup::default().unconnected().await;
    world
        .consent(ME, Decision::Only(Vec::new()), Some(ME))
        .await
        .unwrap_err();
    world.connect().await.unwrap();
    world.mail().subject("Hello").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
}

#[tokio::test]
async fn s01_a_user_who_says_no_is_not_connected() {
    let mut world = Setup::default().unconnected().await;
    let declined = world.consent(ME, Decision::Deny, Some(ME)).await;
    assert!(matches!(declined, Err(ConnectError::Consent(_))));
    assert!(world.connections().await.is_empty());
}

#[tokio::test]
async fn s03_another_mailbox_than_the_one_asked_for_is_refused() {
    let mut world = Setup::default().unconnected().await;
    let refused = world.consent(ANN, Decision::All, Some(ME)).await;
    let problem = refused.unwrap_err().problem();
    assert!(
        matches!(problem, Problem::WrongMailbox(mismatch) if mismatch.expected == ME && mismatch.found == ANN)
    );
    assert!(world.connections().await.is_empty());
    assert_eq!(world.mailbox(ANN).view().grants, 0);
}

#[tokio::test]
async fn s04_mail_from_before_the_connection_stays_out() {
    let mut world = Setup::default().unconnected().await;
    world.mail().subject("Before").arrives();
    world.tick(60_000);
    world.connect().await.unwrap();
    world.mail().subject("After").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["After"]);
}

#[tokio::test]
async fn s04_a_reply_in_an_old_thread_comes_in_and_its_older_siblings_do_not() {
    let mut world = Setup::default().unconnected().await;
    let old = world.mail().subject("Offer").arrives();
    world.tick(60_000);
    world.connect().await.unwrap();
    let new = world
        .mail()
        .subject("Re: Offer")
        .answering(&old.message_id)
        .arrives();
    assert_eq!(new.thread, old.thread);
    world.gmail().label(&old.id, &["STARRED"], &["UNREAD"]).await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Re: Offer"]);
    assert_eq!(world.rule(&old.id).await, "S04");
}

#[tokio::test]
async fn s04_old_mail_that_is_imported_or_restored_stays_out() {
    let mut world = Setup::default().unconnected().await;
    let trashed = world
        .mail()
        .subject("In the trash")
        .labelled(&["TRASH"])
        .arrives();
    world.tick(60_000);
    world.connect().await.unwrap();
    let old = world
        .mail()
        .subject("Imported")
        .header("Date", "Mon, 01 Jan 2024 10:00:00 +0000");
    let imported = world.gmail().import(&old.raw()).await;
    world.gmail().untrash(&trashed.id).await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, Vec::<String>::new());
    assert_eq!(world.rule(&imported).await, "S04");
    assert_eq!(world.rule(&trashed.id).await, "S04");
}

#[tokio::test]
async fn s06_after_a_disconnect_later_mail_is_ignored_and_what_was_synced_stays() {
    let world = World::connected().await;
    world.mail().subject("Kept").arrives();
    world.sync().await;
    world.disconnect().await;
    world.mail().subject("Ignored").arrives();
    let refused = world.pass().await;
    assert!(matches!(refused, Err(HostError::Refused(Problem::NotConnected))));
    assert_eq!(world.subjects(ANN).await, ["Kept"]);
    assert_eq!(world.gmail().view().grants, 0, "nobody else needs the grant");
}

#[tokio::test]
async fn s06_the_token_is_revoked_only_when_no_other_tenant_needs_it() {
    // The setting in which a revocation too early would end the other tenant's sync.
    let setup = Setup::default().behaviour(|gmail| gmail.revoke_ends_all_grants = true);
    let home = setup.connected().await;
    let mut rival = home.in_another_tenant("rival").await;
    rival.connect().await.unwrap();
    home.disconnect().await;
    assert!(home.gmail().view().grants > 0);
    assert_eq!(rival.sync().await.report.problem, None);
    rival.disconnect().await;
    assert_eq!(home.gmail().view().grants, 0);
}

#[tokio::test]
async fn s06_a_disconnect_that_a_crash_cut_short_is_finished_at_the_next_start() {
    let mut world = World::connected().await;
    let mut row = world.connection_row().await;
    row.status = ConnectionStatus::Disconnected;
    let written = world.host().parts().registry.put(&row).await.unwrap();
    assert_eq!(written, Put::Written);
    world.restart().await;
    assert!(
        world.gmail().view().grants > 0,
        "the host died before it gave the grant up"
    );
    assert_eq!(world.host().finish_disconnects().await.unwrap(), 1);
    assert_eq!(world.gmail().view().grants, 0);
    assert_eq!(world.host().finish_disconnects().await.unwrap(), 0);
}

#[tokio::test]
async fn s06_a_disconnect_while_the_mailbox_is_connected_again_is_the_last_word() {
    let mut world = World::connected().await;
    let registry = world.host().parts().registry.clone();
    let mut row = world.connection_row().await;
    // The first thing that a disconnect does; for the rest it waits until the mailbox is connected.
    world.before_request("/profile", async move {
        row.status = ConnectionStatus::Disconnected;
        assert_eq!(registry.put(&row).await.unwrap(), Put::Written);
    });
    let problem = world.connect().await.unwrap_err().problem();
    assert_eq!(problem, Problem::NotConnected);
    assert_eq!(
        world.connection_row().await.status,
        ConnectionStatus::Disconnected
    );
    assert_eq!(
        world.host().finish_disconnects().await.unwrap(),
        0,
        "its grant is given up"
    );
    // It can be connected anew.
    world.connect().await.unwrap();
    world.mail().subject("Anew").arrives();
    world.settle().await;
    assert_eq!(world.subjects(ANN).await, ["Anew"]);
}

#[tokio::test]
async fn s06_disconnecting_twice_is_no_error() {
    let world = World::connected().await;
    world.disconnect().await;
    world.disconnect().await;
    assert_eq!(
        world.connection_row().await.status,
        ConnectionStatus::Disconnected
    );
}

#[tokio::test]
async fn s07_a_withdrawn_grant_asks_for_a_reconnect_which_brings_what_was_missed() {
    let mut world = World::connected().await;
    world.sim().withdraw_consent(ME);
    world.mail().subject("Meanwhile").arrives();
    assert_eq!(world.sync().await.report.problem, Some(Problem::ReconnectNeeded));
    assert_eq!(
        world.connection_row().await.status,
        ConnectionStatus::NeedsReconnect
    );
    world.connect().await.unwrap();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Meanwhile"]);
    assert_eq!(world.connections().await.len(), 1);
}

#[tokio::test]
async fn s07_an_access_token_that_expired_is_renewed_without_a_word() {
    let world = World::connected().await;
    world.sim().expire_access_tokens(ME);
    world.mail().subject("Hello").arrives();
    assert_eq!(world.sync().await.report.problem, None);
    assert_eq!(world.subjects(ANN).await, ["Hello"]);
}

#[tokio::test]
async fn s05_another_address_brings_new_mail_and_leaves_what_was_synced() {
    let other = "other@example.com";
    let mut world = World::connected().await;
    world.sim().create_user(other, "Mia");
    world.mail().subject("Old address").arrives();
    world.sync().await;
    world.consent(other, Decision::All, Some(other)).await.unwrap();
    world.mail().subject("After the change").arrives();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Old address"]);
    assert_eq!(world.connection_row().await.address, other);
    let active = world
        .connections()
        .await
        .into_iter()
        .filter(|connection| connection.status == ConnectionStatus::Active)
        .count();
    assert_eq!(active, 1);
    assert_eq!(world.gmail().view().grants, 0, "nobody needs the former mailbox");
}

#[tokio::test]
async fn s05_mail_to_the_new_address_comes_in() {
    let other = "other@example.com";
    let mut world = World::connected().await;
    world.sim().create_user(other, "Mia");
    world.consent(other, Decision::All, Some(other)).await.unwrap();
    let raw = world.mail().subject("At the new address").raw();
    let raw = String::from_utf8(raw).unwrap().replace(ME, other);
    world.sim().deliver(&Delivery::new(other, raw)).unwrap();
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["At the new address"]);
}

#[tokio::test]
async fn s05_a_host_that_died_while_the_address_was_changed_leaves_one_mailbox() {
    let other = "other@example.com";
    let mut world = World::connected().await;
    world.sim().create_user(other, "Mia");
    let before = world.connection_row().await;
    world.tick(1_000);
    world.consent(other, Decision::All, Some(other)).await.unwrap();
    // As it is when the host dies between the two: the former one was not ended.
    let mut former = world.connection_row_of(&before.scope.connection).await;
    former.status = ConnectionStatus::Active;
    let registry = &world.host().parts().registry;
    assert_eq!(registry.put(&former).await.unwrap(), Put::Written);
    world.tick(61 * 60_000);
    let found = world.accounts().finish_what_was_cut_short().await.unwrap();
    assert_eq!((found.changes, found.consents), (1, 0));
    let connections = world.connections().await;
    let active = connections
        .iter()
        .filter(|one| one.status == ConnectionStatus::Active);
    let addresses: Vec<&str> = active.map(|one| one.address.as_str()).collect();
    assert_eq!(addresses, [other]);
}

#[tokio::test]
async fn s01_a_consent_whose_host_died_is_given_back() {
    let mut world = Setup::default().unconnected().await;
    world.fault("getProfile", FaultKind::SilentBefore);
    let died = tokio::time::timeout(Duration::from_millis(500), world.connect()).await;
    assert!(died.is_err(), "it did not wait for the profile");
    assert!(world.connections().await.is_empty());
    assert_eq!(world.gmail().view().grants, 1);
    let early = world.accounts().finish_what_was_cut_short().await.unwrap();
    assert_eq!(early.consents, 0, "somebody may be at it");
    world.tick(61 * 60_000);
    let found = world.accounts().finish_what_was_cut_short().await.unwrap();
    assert_eq!(found.consents, 1);
    assert_eq!(world.gmail().view().grants, 0);
}

#[tokio::test]
async fn s07_connecting_again_waits_for_the_pass_that_is_under_way() {
    let mut world = World::connected().await;
    let id = world.connection_row().await.scope.connection;
    let now = world.now();
    let store = world.host().parts().store.clone();
    store.acquire(&id, now, now + 5_000).await.unwrap().unwrap();
    world.sim().withdraw_consent(ME);
    let connection = world.connect().await.unwrap();
    assert_eq!(connection.status, ConnectionStatus::Active);
    assert!(world.now() >= now + 5_000);
}

#[tokio::test]
async fn s07_mail_that_was_queued_waits_for_the_reconnect_and_goes_once() {
    let mut world = World::connected().await;
    world.sim().withdraw_consent(ME);
    let queued = world.letter(ANN).await.queued().await;
    assert_eq!(world.sync().await.report.problem, Some(Problem::ReconnectNeeded));
    assert_eq!(world.delivery(&queued).await, CrmDelivery::Queued);
    world.connect().await.unwrap();
    world.settle().await;
    assert_eq!(world.delivery(&queued).await, CrmDelivery::Sent);
    let sent = world.gmail().view().messages;
    assert_eq!(sent.len(), 1, "{sent:?}");
}

#[tokio::test]
async fn s07_failures_of_the_token_endpoint_that_pass_never_disconnect() {
    for kind in [
        FaultKind::BackendBefore(503),
        FaultKind::Html,
        FaultKind::InvalidClient,
        FaultKind::DropBefore,
    ] {
        let world = World::connected().await;
        world.sim().expire_access_tokens(ME);
        world.mail().subject("Hello").arrives();
        for _ in 0..3 {
            world.fault("token", kind);
        }
        let ran = world.pass().await.unwrap();
        assert!(
            !matches!(ran.report.problem, None | Some(Problem::ReconnectNeeded)),
            "{kind:?}: {:?}",
            ran.report.problem
        );
        assert_eq!(
            world.connection_row().await.status,
            ConnectionStatus::Active,
            "{kind:?}"
        );
        world.sim().clear_faults();
        world.settle().await;
        assert_eq!(world.subjects(ANN).await, ["Hello"], "{kind:?}");
    }
}

#[tokio::test]
async fn s07_an_app_in_testing_is_explained_on_the_page_before_and_after_its_seven_days() {
    const DAY: u64 = 86_400_000;
    let week = i64::try_from(7 * DAY).unwrap();
    let setup = Setup::default().behaviour(|gmail| gmail.refresh_token_lifetime_ms = Some(week));
    let mut world = setup.connected().await;
    let pages = world.pages().await;
    let settings = async || pages.browser().get("/settings").await.text;
    let ahead = settings().await;
    assert!(ahead.contains("Access lasts until 2026-09-28"), "{ahead}");
    assert!(ahead.contains("“Testing”") && !ahead.contains("reconnect-needed"));
    world.tick(7 * DAY);
    world.mail().subject("Meanwhile").arrives();
    assert_eq!(world.sync().await.report.problem, Some(Problem::ReconnectNeeded));
    let after = settings().await;
    for text in [
        "reconnect-needed",
        "seven days after consent",
        "Publish app",
        "Connect again",
    ] {
        assert!(after.contains(text), "{text}: {after}");
    }
    assert!(!after.contains("Access lasts until"));
    world.connect().await.unwrap();
    let again = settings().await;
    assert!(again.contains("Access lasts until 2026-10-05"), "{again}");
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Meanwhile"]);
}
