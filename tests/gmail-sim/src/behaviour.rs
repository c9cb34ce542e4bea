//! The switches: what Gmail does but does not promise, or what reports disagree about.
//!
//! The default of each is what was seen most often on live Gmail. A client has to work with every setting. Grades in
//! the documentation: [D] discovery document, [G] Google's pages, [L] seen live by somebody, [U] unconfirmed.

use serde::{Deserialize, Serialize};

/// Seven days in milliseconds.
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;

/// One setting for each behaviour that is uncertain or can be varied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent switches; every combination is legal"
)]
pub struct Behaviour {
    /// A message sent through the API gets a new `Message-ID` at mail.gmail.com [L].
    pub rewrite_message_id: bool,
    /// A `From` that is no accepted send-as is replaced by the default address [L].
    pub rewrite_from: bool,
    /// The sender's copy keeps its `Bcc` header [U].
    pub sender_keeps_bcc: bool,
    /// A Bcc recipient's own copy says `Bcc: <self>` [L].
    pub bcc_recipient_sees_self: bool,
    /// What a sent message needs to join the thread it names [D].
    pub thread_rule: ThreadRule,
    /// A sent message without `threadId` still joins a thread by its references and subject [U].
    pub send_threads_without_id: bool,
    /// Mail to oneself is one message with SENT and INBOX; otherwise two messages [L].
    pub merge_self_sent: bool,
    /// `drafts.send` keeps the draft's message id (label DRAFT becomes SENT) instead of a new one [L: new].
    pub draft_send_keeps_id: bool,
    /// base64url data ends in `=` [L: both seen].
    pub base64_padding: bool,
    /// Attachment ids differ from one get to the next [U].
    pub attachment_ids_change: bool,
    /// Encoded words (RFC 2047) in `payload.headers` are decoded [U].
    pub decode_header_words: bool,
    /// Arriving mail gets `Delivered-To`, `Received` and `Authentication-Results` [L].
    pub add_trace_headers: bool,
    /// Which labels a message in history shows [G].
    pub history_labels: HistoryLabels,
    /// Order of the records in an answer [D: chronological, L: not always].
    pub history_order: HistoryOrder,
    /// Each record comes twice [L].
    pub history_duplicates: bool,
    /// Every page with records is preceded by an empty one with a `nextPageToken` [L].
    pub history_empty_pages: bool,
    /// An operation that changes several things gives one record with several kinds; otherwise one each [L].
    pub history_grouped: bool,
    /// How long a history id stays valid, in milliseconds [G: about a week, sometimes hours].
    pub history_retention_ms: i64,
    /// Largest step between two history ids [D: random gaps].
    pub history_gap: u64,
    /// How long a change stays invisible to `history.list` although it was pushed, in milliseconds [L].
    pub history_lag_ms: i64,
    /// How long a new message stays invisible to `q`, in milliseconds [L].
    pub search_lag_ms: i64,
    /// The id that import answers is not the final one [L].
    pub import_id_changes: bool,
    /// For how long `messages.delete` of a message just sent from a draft answers 500, in milliseconds [L].
    pub delete_after_draft_send_fails_ms: i64,
    /// How a spent per-minute quota is refused [L: both].
    pub quota_refusal: QuotaRefusal,
    /// An unknown name in `fields` is refused with 400 [U].
    pub unknown_field_refused: bool,
    /// Refresh tokens die after this many milliseconds: 7 days for an app in testing [G].
    pub refresh_token_lifetime_ms: Option<i64>,
    /// Live refresh tokens per account and client; one more kills the oldest [G: 100].
    pub refresh_tokens_per_account: usize,
    /// Revoking one token ends every grant of that client for that account [U].
    pub revoke_ends_all_grants: bool,
    /// How the pushed `historyId` is written [L: number, G: string].
    pub push_history_id: PushHistoryId,
    /// Alphabet of the pushed `message.data` [U].
    pub push_data: PushData,
    /// Notifications beyond one a second for a mailbox are dropped [G].
    pub push_rate_limited: bool,
    /// Each notification is delivered twice (Pub/Sub is at-least-once) [G].
    pub push_duplicates: bool,
    /// How long the server waits before it answers, in milliseconds. The library answers at once.
    pub latency_ms: u64,
    /// Requests of one mailbox the server works on at once; one more is refused with 429 [U: 50].
    pub concurrent_requests: Option<usize>,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            rewrite_message_id: true,
            rewrite_from: true,
            sender_keeps_bcc: true,
            bcc_recipient_sees_self: false,
            thread_rule: ThreadRule::Strict,
            send_threads_without_id: false,
            merge_self_sent: true,
            draft_send_keeps_id: false,
            base64_padding: true,
            attachment_ids_change: true,
            decode_header_words: true,
            add_trace_headers: true,
            history_labels: HistoryLabels::Current,
            history_order: HistoryOrder::Chronological,
            history_duplicates: false,
            history_empty_pages: false,
            history_grouped: true,
            history_retention_ms: WEEK_MS,
            history_gap: 40,
            history_lag_ms: 0,
            search_lag_ms: 0,
            import_id_changes: false,
            delete_after_draft_send_fails_ms: 0,
            quota_refusal: QuotaRefusal::Forbidden,
            unknown_field_refused: true,
            refresh_token_lifetime_ms: None,
            refresh_tokens_per_account: 100,
            revoke_ends_all_grants: false,
            push_history_id: PushHistoryId::Number,
            push_data: PushData::Standard,
            push_rate_limited: true,
            push_duplicates: false,
            latency_ms: 0,
            concurrent_requests: None,
        }
    }
}

/// What a sent message needs, beside `threadId`, to join that thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ThreadRule {
    /// References to a message of the thread and its subject.
    Strict,
    /// The thread's subject.
    SameSubject,
    /// Nothing.
    IdAlone,
}

/// Which labels a message in history shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryLabels {
    /// Those it has when the history is read; those it last had if it is deleted.
    Current,
    /// Those it had when the change was made.
    AtChange,
    /// None at all: only `id` and `threadId`.
    Absent,
}

/// Order of the records in one answer of `history.list`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryOrder {
    /// By id, as documented.
    Chronological,
    /// Shuffled within the page.
    Shuffled,
}

/// How a spent per-minute quota is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuotaRefusal {
    /// 403 `rateLimitExceeded`.
    Forbidden,
    /// 429 `rateLimitExceeded`.
    TooManyRequests,
}

/// How the pushed `historyId` is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushHistoryId {
    /// A JSON number.
    Number,
    /// A JSON string.
    String,
}

/// Alphabet of the pushed `message.data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushData {
    /// `+/`, padded.
    Standard,
    /// `-_`, not padded.
    UrlSafe,
}
