//! S18: delivery notices are news of the message they are about, wherever they are; one about a BCC address is nobody's
//! failure.

use gmail_sim::HistoryOrder;
use scenarios::{ANN, ME, Mail, Setup, World};
use twinbox_host::contract::{Undelivered, UndeliveredKind};

async fn world() -> World {
    Setup::default().with_bcc_addresses().connected().await
}

/// Gmail finds a new message a minute after it came.
async fn slow_to_be_searched() -> World {
    let setup = Setup::default().with_bcc_addresses();
    let setup = setup.behaviour(|gmail| gmail.search_lag_ms = 60_000);
    setup.connected().await
}

/// A mail to Ann that the user sends with the address in Bcc.
async fn to_ann(world: &World) -> Mail<'_> {
    let bcc = world.bcc_address().await;
    world.mail().from_me().to(&format!("Ann <{ANN}>")).bcc(&bcc)
}

#[tokio::test]
async fn s18_a_notice_about_the_address_is_no_failure_and_one_about_a_recipient_is_shown() {
    let world = Setup::default()
        .with_bcc_addresses()
        .contact("Bob", &["bob@client.example"])
        .connected()
        .await;
    let bcc = world.bcc_address().await;
    world.sim().bounce(&bcc);
    to_ann(&world).await.is_sent_from_gmail().await;
    world.settle().await;
    let stored = world.only_message("Ann").await;
    assert_eq!(stored.undelivered, []);
    assert_eq!(world.gmail().inbox().len(), 1, "Gmail's notice");
    let notice = world.gmail().inbox()[0].id.clone();
    let explained = world.explain(&notice).await;
    assert_eq!(explained.rule, "S18");
    let about = explained.inputs.iter().find(|input| input.name == "notice-about");
    let original = stored.message.message_id.clone().unwrap();
    assert_eq!(about.map(|input| format!("<{}>", input.value)), Some(original));

    world.sim().bounce("gone@client.example");
    let both = format!("{ANN}, gone@client.example");
    world
        .mail()
        .from_me()
        .to(&both)
        .subject("Both")
        .is_sent_from_gmail()
        .await;
    world.settle().await;
    let messages = world.conversation("Ann").await;
    assert_eq!(messages.len(), 2, "the notice is no message");
    let failed = &messages[1].undelivered;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].recipient.as_str(), failed[0].kind),
        ("gone@client.example", UndeliveredKind::Failed)
    );
    assert_eq!(failed[0].status, "5.1.1");

    world.sim().bounce("bob@client.example");
    let id = world.letter("bob@client.example").await.queued().await;
    world.settle().await;
    let sent = world.message(&id).await;
    assert_eq!(sent.undelivered.len(), 1, "of mail from the CRM too");
    assert_eq!(world.conversation("Bob").await.len(), 1);
}

/// A notice as Gmail writes it in another language.
fn localised(recipient: &str, action: &str, original: &str) -> Vec<u8> {
    format!(
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\nTo: {ME}\r\nSubject: Re: Offer\r\n\
         References: {original}\r\nIn-Reply-To: {original}\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: \
         multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n** Zustellung \
         unvollst\u{e4}ndig **\r\n\r\n--c--\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; \
         googlemail.com\r\n\r\nFinal-Recipient: rfc822; {recipient}\r\nAction: {action}\r\nStatus: 4.4.1\r\n\
         Diagnostic-Code: smtp; wird\r\n noch versucht\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: \
         {original}\r\nSubject: x\r\n\r\nText\r\n--b--\r\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn s18_notices_are_known_by_their_structure_in_whatever_language() {
    let world = world().await;
    let bcc = world.bcc_address().await;
    // The simulator threads by the subject, which says nothing of a notice.
    to_ann(&world).await.subject("Offer").is_sent_from_gmail().await;
    world.sync().await;
    let sent = world.gmail().sent().remove(0);
    let original = world.only_message("Ann").await.message.message_id.unwrap();
    let arrives = |raw: Vec<u8>| {
        world.tick(1_000);
        world.sim().deliver(&gmail_sim::Delivery::new(ME, raw)).unwrap()
    };
    let delayed = arrives(localised(&bcc, "delayed", &original));
    assert_eq!(delayed.thread_id, sent.thread_id, "Gmail puts it there");
    world.settle().await;
    assert_eq!(world.rule(&delayed.id).await, "S18");
    assert_eq!(world.only_message("Ann").await.undelivered, []);
    // Twice, and of somebody who was never written to.
    for recipient in [ANN, ANN, "never@x.example"] {
        arrives(localised(recipient, "delayed", &original));
    }
    world.settle().await;
    let late = world.only_message("Ann").await.undelivered;
    assert_eq!(late.len(), 1, "{late:?}");
    assert_eq!(
        (late[0].recipient.as_str(), late[0].kind),
        (ANN, UndeliveredKind::Delayed)
    );
    assert_eq!(late[0].diagnostic, "wird noch versucht");
    arrives(localised(ANN, "failed", &original));
    arrives(localised(ANN, "delayed", &original));
    world.settle().await;
    let failed = world.only_message("Ann").await.undelivered;
    assert_eq!(
        (failed.len(), failed[0].kind),
        (1, UndeliveredKind::Failed),
        "what is final stays"
    );
}

#[tokio::test]
async fn s18_a_notice_finds_mail_that_came_to_the_address_alone() {
    let world = world().await;
    let (post, bcc) = (world.post().await, world.bcc_address().await);
    let letter = world.mail().from_me().to(ANN).subject("From elsewhere");
    let raw = letter.header("Message-ID", "<elsewhere@corp.example>").raw();
    post.bring(&bcc, &raw).await;
    assert_eq!(world.takes_in().await, 1);
    // Of the address itself, of somebody who was not written to, and of Ann.
    for recipient in [bcc.as_str(), "never@x.example", ANN] {
        let notice = localised(recipient, "failed", "<elsewhere@corp.example>");
        world
            .sim()
            .deliver(&gmail_sim::Delivery::new(ME, notice))
            .unwrap();
    }
    world.settle().await;
    assert!(world.gmail().sent().is_empty(), "the mailbox has no copy");
    let failed = world.only_message("Ann").await.undelivered;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(
        (failed[0].recipient.as_str(), failed[0].kind),
        (ANN, UndeliveredKind::Failed)
    );
}

#[tokio::test]
async fn s18_a_notice_that_overtakes_the_draft_it_is_about_waits_for_it() {
    let setup = Setup::default().behaviour(|gmail| {
        // Only then the ledger knows the message, as a draft.
        gmail.draft_send_keeps_id = true;
        gmail.history_order = HistoryOrder::PagesSwapped;
    });
    let world = setup.connected().await;
    let other = world.mail().arrives();
    let letter = world.mail().from_me().to(ANN).subject("Offer");
    let draft = letter.is_drafted_in_gmail().await;
    world.settle().await;
    world.gmail().send_draft(&draft).await;
    let sent = world.gmail().sent().remove(0);
    let raw = String::from_utf8(sent.raw.to_vec()).unwrap();
    let original = raw.lines().find_map(|line| line.strip_prefix("Message-ID: "));
    // The notice is on the second page of history, which comes first.
    world.gmail().stars_by_turns(&other.id, 600);
    let notice = localised(ANN, "failed", original.unwrap());
    world
        .sim()
        .deliver(&gmail_sim::Delivery::new(ME, notice))
        .unwrap();
    world.settle().await;
    let conversation = world.conversation("Ann").await;
    let offer = conversation
        .iter()
        .find(|stored| stored.message.subject == "Offer")
        .unwrap();
    assert_eq!(offer.undelivered.len(), 1, "{offer:?}");
    assert_eq!(offer.undelivered[0].recipient, ANN);
}

/// What another server than Gmail's says of Ann, in a thread of its own.
struct Notice {
    /// A field of the status beside those of RFC 3464.
    of_status: String,
    /// What it gives back of the message.
    returned: String,
}

impl Notice {
    fn of_the_message(original: &str) -> Self {
        Self {
            of_status: String::new(),
            returned: format!("Subject: x\r\nMessage-ID: {original}\r\n"),
        }
    }

    /// Its id.
    fn arrives(&self, world: &World) -> String {
        world.tick(1_000);
        let Self { of_status, returned } = self;
        let raw = format!(
            "From: MAILER-DAEMON@mx.client.example\r\nTo: {ME}\r\nSubject: Undelivered Mail Returned to Sender\r\n\
             Auto-Submitted: auto-replied\r\nContent-Type: multipart/report; report-type=delivery-status; \
             boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nSorry.\r\n--b\r\nContent-Type: \
             message/delivery-status\r\n\r\nReporting-MTA: dns; mx.client.example\r\n{of_status}\r\nFinal-Recipient: \
             rfc822; {ANN}\r\nAction: failed\r\nStatus: 5.2.2\r\nDiagnostic-Code: smtp; 552 full\r\n\r\n--b\r\n\
             Content-Type: text/rfc822-headers\r\n\r\n{returned}\r\n--b--\r\n"
        );
        let delivered = world
            .sim()
            .deliver(&gmail_sim::Delivery::new(ME, raw.into_bytes()));
        delivered.expect("a mailbox").id
    }
}

/// Mail to Ann from Gmail: its Message-ID, as others got it.
async fn sent_to_ann(world: &World) -> String {
    let id = to_ann(world).await.subject("Offer").is_sent_from_gmail().await;
    let sent = world
        .gmail()
        .view()
        .messages
        .into_iter()
        .find(|sent| sent.id == id);
    let raw = String::from_utf8_lossy(&sent.unwrap().raw).into_owned();
    let field = raw.lines().find_map(|line| line.strip_prefix("Message-ID: "));
    field.unwrap().to_owned()
}

async fn undelivered(world: &World) -> Vec<Undelivered> {
    world.only_message("Ann").await.undelivered
}

/// Notices whose message is still looked for.
async fn looked_for(world: &World) -> usize {
    let rows = world.storage().await;
    rows.iter().filter(|(key, _)| key.contains("notice/")).count()
}

#[tokio::test]
async fn s18_a_notice_in_a_thread_of_its_own_is_shown_on_the_message_that_it_gives_back() {
    let world = world().await;
    let original = sent_to_ann(&world).await;
    world.settle().await;
    let notice = Notice::of_the_message(&original).arrives(&world);
    world.settle().await;
    let failed = undelivered(&world).await;
    assert_eq!(failed.len(), 1);
    assert_eq!(
        (failed[0].recipient.as_str(), failed[0].status.as_str()),
        (ANN, "5.2.2")
    );
    assert_eq!(world.rule(&notice).await, "S18");
    let about = world.input(&notice, "notice-about").await.unwrap();
    assert_eq!(format!("<{about}>"), original);
    assert_eq!(looked_for(&world).await, 0);
    world.assert_all_accounted_for().await;
}

#[tokio::test]
async fn s18_a_notice_that_gives_nothing_back_but_names_its_message_is_shown_there() {
    let world = world().await;
    let original = sent_to_ann(&world).await;
    world.settle().await;
    let notice = Notice {
        of_status: format!("Original-Message-ID: {original}\r\n"),
        returned: "Subject: x\r\n".to_owned(),
    };
    notice.arrives(&world);
    world.settle().await;
    assert_eq!(undelivered(&world).await.len(), 1);
}

#[tokio::test]
async fn s18_a_notice_about_mail_from_the_crm_is_shown_on_it_also_outside_its_thread() {
    for rewrites in [true, false] {
        let setup = Setup::default().behaviour(|gmail| gmail.rewrite_message_id = rewrites);
        let world = setup.connected().await;
        let id = world.letter(ANN).await.queued().await;
        world.settle().await;
        let raw = String::from_utf8_lossy(&world.gmail().sent()[0].raw).into_owned();
        let original = raw
            .lines()
            .find_map(|line| line.strip_prefix("Message-ID: "))
            .unwrap();
        Notice::of_the_message(original).arrives(&world);
        world.settle().await;
        assert_eq!(
            world.message(&id).await.undelivered.len(),
            1,
            "rewritten: {rewrites}"
        );
    }
}

#[tokio::test]
async fn s18_a_message_that_a_search_does_not_find_yet_is_looked_for_again() {
    let world = slow_to_be_searched().await;
    let original = sent_to_ann(&world).await;
    Notice::of_the_message(&original).arrives(&world);
    world.sync().await;
    assert_eq!(undelivered(&world).await, []);
    assert_eq!(looked_for(&world).await, 1);
    world.settle().await;
    assert_eq!(undelivered(&world).await.len(), 1);
    assert_eq!(looked_for(&world).await, 0);
}

#[tokio::test]
async fn s18_a_notice_about_somebody_in_bcc_waits_for_gmails_copy_whatever_came_to_the_address() {
    let world = slow_to_be_searched().await;
    let bcc = world.bcc_address().await;
    let blind = format!("{bcc}, gone@client.example");
    let mail = world.mail().from_me().to(ANN).bcc(&blind);
    mail.is_sent_from_gmail().await;
    let copy = world.left_for(&bcc).pop().unwrap();
    world.post().await.bring(&bcc, &copy).await;
    assert_eq!(world.takes_in().await, 1);
    world.sync().await;
    let original = world.only_message("Ann").await.message.message_id.unwrap();
    let notice = localised("gone@client.example", "failed", &original);
    let delivery = gmail_sim::Delivery::new(ME, notice);
    world.sim().deliver(&delivery).unwrap();
    world.sync().await;
    assert_eq!(looked_for(&world).await, 1);
    world.settle().await;
    let failed = undelivered(&world).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0].recipient, "gone@client.example");
    assert_eq!(looked_for(&world).await, 0);
}

#[tokio::test]
async fn s18_a_notice_about_a_message_that_nobody_sent_changes_nothing_and_is_forgotten_in_the_end() {
    let world = world().await;
    sent_to_ann(&world).await;
    world.settle().await;
    let notice = Notice::of_the_message("<never@sent.example>").arrives(&world);
    world.sync().await;
    assert_eq!(looked_for(&world).await, 1);
    assert_eq!(world.rule(&notice).await, "S18");
    world.settle().await;
    assert_eq!(looked_for(&world).await, 0);
    assert_eq!(undelivered(&world).await, []);
}

#[tokio::test]
async fn s10_a_receipt_is_no_notice_and_its_body_is_not_fetched() {
    let world = world().await;
    world.requests();
    let receipt = format!(
        "From: stranger@x.example\r\nTo: {ME}\r\nSubject: Read\r\nContent-Type: multipart/report; \
         report-type=disposition-notification; boundary=b\r\n\r\n--b--\r\n"
    );
    world.tick(1_000);
    let receipt = world
        .sim()
        .deliver(&gmail_sim::Delivery::new(ME, receipt.into_bytes()));
    world.settle().await;
    assert_eq!(world.rule(&receipt.unwrap().id).await, "S10");
    let gets = world.requests();
    assert!(!gets.iter().any(|line| line.contains("format=raw")), "{gets:?}");
}
