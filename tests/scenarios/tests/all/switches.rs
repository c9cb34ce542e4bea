//! What Gmail does not promise: the same end whatever it does. Each switch of the simulator is turned
//! by itself; quota is enforced by both of Google's tables.

use gmail_sim::{
    Behaviour, HistoryLabels, HistoryOrder, PushData, PushHistoryId, QuotaRefusal, Table, ThreadRule,
};
use scenarios::{ANN, File, QuotaRule, Setup, bytes_of};
use twinbox_host::{contract::Direction, crm::Delivery};

macro_rules! switches {
    ($($name:ident: $($member:ident = $value:expr),+;)*) => {
        $(#[tokio::test]
        async fn $name() {
            ends_the_same(|gmail| { $(gmail.$member = $value;)+ }).await;
        })*
    };
}

switches! {
    as_it_usually_is: base64_padding = true;
    message_ids_are_kept: rewrite_message_id = false;
    fields_of_our_own_are_dropped: keep_own_fields = false;
    fields_of_our_own_and_ids_are_lost: keep_own_fields = false, rewrite_message_id = true, draft_send_keeps_id = false;
    senders_are_kept: rewrite_from = false;
    the_senders_copy_has_no_bcc: sender_keeps_bcc = false;
    a_bcc_recipient_sees_themselves: bcc_recipient_sees_self = true;
    threads_join_by_subject: thread_rule = ThreadRule::SameSubject;
    threads_join_by_id: thread_rule = ThreadRule::IdAlone;
    threads_join_without_an_id: send_threads_without_id = true;
    mail_to_oneself_is_two_messages: merge_self_sent = false;
    a_sent_draft_keeps_its_id: draft_send_keeps_id = true;
    base64_has_no_padding: base64_padding = false;
    attachment_ids_stay: attachment_ids_change = false;
    header_words_stay_encoded: decode_header_words = false;
    no_trace_fields: add_trace_headers = false;
    history_labels_are_those_of_the_change: history_labels = HistoryLabels::AtChange;
    history_has_no_labels: history_labels = HistoryLabels::Absent;
    history_is_shuffled: history_order = HistoryOrder::Shuffled;
    history_comes_twice: history_duplicates = true;
    history_has_empty_pages: history_empty_pages = true;
    history_has_one_kind_a_record: history_grouped = false;
    history_ids_are_far_apart: history_gap = 1_000_000_000_000;
    history_lags: history_lag_ms = 5_000;
    searches_lag: search_lag_ms = 60_000;
    deleting_after_a_send_fails: delete_after_draft_send_fails_ms = 60_000;
    quota_is_refused_with_429: quota_refusal = QuotaRefusal::TooManyRequests;
    unknown_fields_are_ignored: unknown_field_refused = false;
    revoking_ends_all: revoke_ends_all_grants = true;
    pushed_ids_are_text: push_history_id = PushHistoryId::String, push_data = PushData::UrlSafe, push_duplicates = true;
    text_comes_as_attachments: text_as_attachment_above = Some(3);
    history_is_reversed: history_order = HistoryOrder::Reversed;
    pages_of_history_are_swapped: history_order = HistoryOrder::PagesSwapped;
    quiet_history_ids_expire: history_quiet_ids_expire = true;
    imports_change_their_id: import_id_changes = true;
    batches_are_shuffled: batch_shuffled = true;
    batches_are_too_much_at_once: batch_concurrent = Some(2);
    mail_to_oneself_is_late: self_delivery_delay_ms = 2_000;
    answers_are_not_compressed: gzip_answers = false;
    few_requests_at_once: concurrent_requests = Some(2);
    answers_are_slow: latency_ms = 20;
}

/// Mail both ways with everything a message can have; the end must be as if nothing was uncertain.
async fn ends_the_same(change: impl FnOnce(&mut Behaviour)) {
    let world = Setup::default().behaviour(change).connected().await;
    let ann = world.mailbox(ANN);
    let (image, paper) = (bytes_of(3_001), bytes_of(40_002));
    let first = world
        .mail()
        .subject("=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
        .text("Hello")
        .carrying(File::attached("a.png", "image/png", image.clone()));
    ann.send(&first.raw()).await;
    world.tick(1_000);
    world.mail().from("stranger@x.example").arrives();
    world.settle().await;

    let hello = world.only_message(ANN).await;
    assert_eq!(
        world.attachment(&hello, &hello.message.attachments[0].part).await,
        image
    );
    let id = world
        .reply(&hello)
        .to_only(ANN)
        .bcc("boss@acme.example")
        .text("Reply")
        .carrying(File::attached("b.pdf", "application/pdf", paper))
        .queued()
        .await;
    world.settle().await;
    world.tick(1_000);
    let received = ann.inbox().pop().unwrap();
    let second = world
        .mail()
        .subject("Re: =?utf-8?q?Gr=C3=BC=C3=9Fe?=")
        .text("Thanks");
    ann.send(&second.answering(received.message_id().unwrap()).raw())
        .await;
    world
        .mail()
        .from_me()
        .to(ANN)
        .subject("Another")
        .text("From Gmail")
        .is_sent_from_gmail()
        .await;
    world.settle().await;
    world.settle().await;

    let conversation: Vec<(String, String, Direction)> = world
        .conversation(ANN)
        .await
        .into_iter()
        .map(|stored| {
            let message = stored.message;
            (
                message.subject,
                message.content.text.trim().to_owned(),
                message.direction,
            )
        })
        .collect();
    let row = |subject: &str, text: &str, direction| (subject.to_owned(), text.to_owned(), direction);
    assert_eq!(
        conversation,
        [
            row("Grüße", "Hello", Direction::Inbound),
            row("Re: Grüße", "Reply", Direction::Outbound),
            row("Re: Grüße", "Thanks", Direction::Inbound),
            row("Another", "From Gmail", Direction::Outbound),
        ]
    );
    assert_eq!(world.delivery(&id).await, Delivery::Sent);
    assert_eq!(world.gmail().sent().len(), 2);
    assert_eq!(world.gmail().drafts(), 0);
    assert_eq!(ann.inbox().len(), 2);
    assert_eq!(world.sim().outside().len(), 1);
    let report = world.assert_all_accounted_for().await;
    assert!(report.quarantined.is_empty(), "{report:?}");
}

#[tokio::test]
async fn quota_enforced_by_the_old_table_is_kept_to() {
    stays_within(Table::Old, "old", 2_000).await;
}

#[tokio::test]
async fn quota_enforced_by_the_new_table_is_kept_to() {
    stays_within(Table::New, "new", 300).await;
}

/// More mail than a minute's quota pays for: everything comes, and Gmail never has to refuse.
async fn stays_within(table: Table, name: &str, messages: usize) {
    let world = Setup::default()
        .quota(QuotaRule::Enforced(table))
        .settings(&format!(r#"{{"quota-table": "{name}"}}"#))
        .connected()
        .await;
    for number in 0..messages {
        world.mail().subject(&format!("Mail {number}")).arrives();
    }
    // All at once, as far as quota is concerned.
    world.settle().await;
    let refused: u64 = world
        .sim()
        .stats()
        .by_status
        .iter()
        .filter(|(status, _)| matches!(status, 403 | 429))
        .map(|(_, count)| count)
        .sum();
    assert_eq!(refused, 0);
    world.assert_all_accounted_for().await;
    assert_eq!(world.counts().await.messages, messages as u64);
}
