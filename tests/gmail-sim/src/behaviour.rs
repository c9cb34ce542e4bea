//! The switches: what Gmail does but does not promise, or what reports disagree about.
//!
//! The default of each is what was seen most often on live Gmail. A client has to work with every setting. Grades in
//! the documentation: [D] discovery document, [G] Google's pages, [L] seen live by somebody, [U] unconfirmed.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use crate::oauth::TokenFlaw;

/// Seven days in milliseconds.
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
/// An hour in milliseconds.
const HOUR_MS: i64 = 3600 * 1000;

/// A switch, for tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The member of [`Behaviour`].
    pub name: &'static str,
    /// How sure it is: D, G, L, U.
    pub grade: &'static str,
    /// What it does.
    pub what: &'static str,
}

macro_rules! switches {
    ($($name:ident: $of:ty = $default:expr, [$($other:expr),*], $grade:literal, $what:literal;)*) => {
        /// One setting for each behaviour that is uncertain or can be varied.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Behaviour {
            $(
                #[doc = concat!($what, " [", $grade, "].")]
                pub $name: $of
            ),*
        }

        impl Default for Behaviour {
            fn default() -> Self {
                Self { $($name: $default),* }
            }
        }

        impl Behaviour {
            /// Every switch.
            pub const SWITCHES: &'static [Switch] = &[
                $(Switch { name: stringify!($name), grade: $grade, what: $what }),*
            ];

            /// Settings by seed: each switch stays at its default or, as often, gets one of its other settings. Those
            /// that only slow the server down, and those that end a grant, stay.
            pub fn drawn(seed: u64) -> Self {
                let mut rng = StdRng::seed_from_u64(seed);
                let mut drawn = Self::default();
                $({
                    let others: &[$of] = &[$($other),*];
                    let turned = rng.random_bool(0.5);
                    if let Some(other) = others.choose(&mut rng).filter(|_| turned) {
                        drawn.$name = other.clone();
                    }
                })*
                drawn
            }
        }
    };
}

switches! {
    rewrite_message_id: bool = true, [false], "L", "API sends get a new `Message-ID` at mail.gmail.com";
    keep_own_fields: bool = true, [false], "U", "API sends keep the `X-` fields they were given";
    rewrite_from: bool = true, [false], "L", "a `From` that is no accepted send-as becomes the default address";
    sender_keeps_bcc: bool = true, [false], "U", "the sender's copy in SENT keeps its `Bcc` header";
    bcc_recipient_sees_self: bool = false, [true], "L", "a Bcc recipient's own copy says `Bcc: <self>`";
    thread_rule: ThreadRule = ThreadRule::Strict, [ThreadRule::SameSubject, ThreadRule::IdAlone], "D",
        "what a sent message needs to join the thread it names: references and subject, `same-subject`, `id-alone`";
    send_threads_without_id: bool = false, [true], "U",
        "a send without `threadId` still joins a thread by references and subject";
    merge_self_sent: bool = true, [false], "L", "mail to oneself is one message with SENT and INBOX, not two";
    draft_send_keeps_id: bool = false, [true], "L", "`drafts.send` keeps the draft's message id instead of a new one";
    base64_padding: bool = true, [false], "L", "base64url data ends in `=`";
    text_as_attachment_above: Option<usize> = None, [Some(1_000)], "D",
        "text parts of more bytes than this come by `attachmentId` instead of in `data`";
    attachment_ids_change: bool = true, [false], "U", "attachment ids differ from one get to the next";
    decode_header_words: bool = true, [false], "U", "RFC 2047 words in `payload.headers` are decoded";
    add_trace_headers: bool = true, [false], "L",
        "arriving mail gets `Delivered-To`, `Received` and `Authentication-Results`";
    history_labels: HistoryLabels = HistoryLabels::Current, [HistoryLabels::AtChange, HistoryLabels::Absent], "G",
        "which labels a message in history shows: `current`, `at-change`, `absent`";
    history_order: HistoryOrder = HistoryOrder::Chronological, [
        HistoryOrder::Shuffled, HistoryOrder::Reversed, HistoryOrder::PagesSwapped
    ], "L",
        "order of the records: `chronological`, in the answer `shuffled` or `reversed`, or `pages-swapped`";
    history_duplicates: bool = false, [true], "L", "each record comes twice";
    history_empty_pages: bool = false, [true], "L",
        "every page with records is preceded by an empty one with a `nextPageToken`";
    history_grouped: bool = true, [false], "L",
        "an operation that changes several things leaves one record with several kinds, otherwise one each";
    history_retention_ms: i64 = WEEK_MS, [3 * HOUR_MS], "G",
        "how long a history id stays valid: about a week, sometimes hours";
    history_quiet_ids_expire: bool = false, [true], "L",
        "on a quiet mailbox the newest message's `historyId` expires too; getProfile and watch make a new one";
    history_gap: u64 = 40, [1, 1_000_000], "D", "largest step between two history ids";
    history_lag_ms: i64 = 0, [5_000], "L", "how long a change stays out of `history.list` although it was pushed";
    search_lag_ms: i64 = 0, [60_000], "L", "how long a new message stays out of what `q` finds";
    batch_shuffled: bool = false, [true], "G", "the answers of a batch come in random order";
    batch_concurrent: Option<usize> = None, [Some(20)], "L",
        "calls of a batch beyond this many are 429 \"Too many concurrent requests for user\"";
    import_id_changes: bool = false, [true], "L", "the id that import answers is not the final one";
    delete_after_draft_send_fails_ms: i64 = 0, [10_000], "L",
        "for how long `messages.delete` of a message just sent from a draft answers 500";
    quota_refusal: QuotaRefusal = QuotaRefusal::Forbidden, [QuotaRefusal::TooManyRequests], "L",
        "how a spent minute is refused: `forbidden` (403) or `too-many-requests` (429)";
    block_renewal_ms: i64 = 0, [10_000], "L",
        "a request while a mailbox is blocked puts the end off to at least this far from now";
    sending_limit_delay_ms: i64 = 0, [300_000], "G",
        "how long after the daily sending limit sends are still answered 200, and bounce";
    bounce_delay_ms: i64 = 0, [30_000], "L", "how much later than the 200 a bounce arrives";
    self_delivery_delay_ms: i64 = 0, [2_000], "L", "how much later mail to oneself gets INBOX and UNREAD";
    unknown_field_refused: bool = true, [false], "U", "an unknown name in `fields` is refused with 400";
    refresh_token_lifetime_ms: Option<i64> = None, [], "G",
        "refresh tokens die after this long: 7 days for an app in testing";
    refresh_tokens_per_account: usize = 100, [], "G",
        "live refresh tokens for an account and client; one more kills the oldest";
    revoke_ends_all_grants: bool = false, [true], "U",
        "revoking one token ends every grant of that client for that account";
    push_history_id: PushHistoryId = PushHistoryId::Number, [PushHistoryId::String], "L",
        "how the pushed `historyId` is written: `number` or `string`";
    push_data: PushData = PushData::Standard, [PushData::UrlSafe], "U",
        "alphabet of the pushed `message.data`: `standard`, or `url-safe` and not padded";
    push_rate_limited: bool = true, [false], "G", "notifications beyond one a second for a mailbox are dropped";
    push_duplicates: bool = false, [true], "G", "each notification is delivered twice";
    push_delay_ms: i64 = 0, [2_000], "G", "each notification is this late";
    push_jitter_ms: i64 = 0, [20_000], "G",
        "each notification is up to this much later still, by seed: they come out of order";
    push_reordered: bool = false, [true], "G", "notifications that wait together are handed out in random order";
    push_lost_per_mille: u16 = 0, [100], "G", "of a thousand notifications, how many never come";
    push_forged: Option<TokenFlaw> = None, [
        Some(TokenFlaw::WrongKey), Some(TokenFlaw::WrongAudience), Some(TokenFlaw::WrongEmail),
        Some(TokenFlaw::WrongIssuer), Some(TokenFlaw::Expired)
    ], "G",
        "before each notification comes a forged one: `wrong-key`, `unknown-key`, `unsigned`, `wrong-audience`, \
         `wrong-email`, `unverified-email`, `wrong-issuer`, `expired`, `not-yet-valid`, `missing`";
    stop_lag_ms: i64 = 0, [120_000], "G", "how long after `stop` changes are still pushed";
    gzip_answers: bool = true, [false], "G",
        "server only: gzip for a client that accepts it and has `gzip` in its User-Agent";
    latency_ms: u64 = 0, [], "-", "server only: waits before it answers";
    concurrent_requests: Option<usize> = None, [], "U",
        "server only: requests of one token in work at once; one more is 429";
    contacts_sync_token_lifetime_ms: i64 = WEEK_MS, [3 * HOUR_MS], "G",
        "how long the sync tokens of the contacts stay valid after the full sync";
    contacts_sync_renews: bool = false, [true], "U", "a sync with a sync token counts as a full sync for that";
    contacts_sync_token_refusal: SyncTokenRefusal = SyncTokenRefusal::FailedPrecondition, [
        SyncTokenRefusal::InvalidArgument, SyncTokenRefusal::Gone
    ], "L",
        "how an expired sync token is refused: 400 `failed-precondition`, 400 `invalid-argument`, 410 `gone`";
    contacts_page_token_lifetime_ms: i64 = 24 * HOUR_MS, [60_000], "U",
        "how long a page token of the contacts stays valid";
    contacts_full_syncs_per_minute: Option<u64> = None, [Some(1)], "G",
        "first pages of a full sync of contacts in any minute of a user; one more is 429";
    contacts_lag_ms: i64 = 0, [180_000], "G", "how long a change of a contact stays out of what a sync lists";
    contacts_errors_listed: bool = false, [true], "L", "refusals of the People API have `errors` as Gmail's have";
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
    /// Newest first within the page.
    Reversed,
    /// The second page comes before the first, the fourth before the third.
    PagesSwapped,
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

/// How an expired sync token is refused; the message and the reason of the details are always the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyncTokenRefusal {
    /// 400 `FAILED_PRECONDITION`, domain `googleapis.com`.
    FailedPrecondition,
    /// 400 `INVALID_ARGUMENT`, domain `people.googleapis.com`.
    InvalidArgument,
    /// 410, as earlier versions of the reference and Google's own sample have it.
    Gone,
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
