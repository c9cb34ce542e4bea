//! Drafts are not mail until they are sent.

use scenarios::{ANN, World};

#[tokio::test]
async fn autosaves_of_a_draft_are_never_logged() {
    let world = World::connected().await;
    let draft = world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Unfinished")
        .is_drafted_in_gmail()
        .await;
    world.sync().await;
    for _ in 0..5 {
        let again = world.mail().from_me().to(ANN).subject("Unfinished").raw();
        world.gmail().update_draft(&draft, &again).await;
        world.sync().await;
    }
    assert_eq!(world.conversation(ANN).await.len(), 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn a_draft_that_is_sent_from_gmail_is_logged_once() {
    for keeps_id in [false, true] {
        let setup = scenarios::Setup::default().behaviour(|gmail| gmail.draft_send_keeps_id = keeps_id);
        let world = setup.connected().await;
        let draft = world
            .mail()
            .from_me()
            .to(ANN)
            .subject("Finished")
            .is_drafted_in_gmail()
            .await;
        world.sync().await;
        world.gmail().send_draft(&draft).await;
        world.sync().await;
        world.sync().await;
        assert_eq!(world.subjects(ANN).await, ["Finished"], "keeps id: {keeps_id}");
        assert_eq!(world.mailbox(ANN).inbox().len(), 1);
        world.assert_all_accounted_for().await;
    }
}

#[tokio::test]
async fn a_draft_in_a_contacts_thread_does_not_disturb_it() {
    let world = World::connected().await;
    let mail = world.mail().subject("Offer").arrives();
    world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Re: Offer")
        .answering(&mail.message_id)
        .is_drafted_in_gmail()
        .await;
    world.sync().await;
    let offer = world.only_message(ANN).await;
    world.reply(&offer).queued().await;
    world.sync().await;
    assert_eq!(world.subjects(ANN).await, ["Offer", "Re: Offer"]);
    assert_eq!(world.gmail().drafts(), 1);
    assert_eq!(world.gmail().sent()[0].thread_id, mail.thread);
}
