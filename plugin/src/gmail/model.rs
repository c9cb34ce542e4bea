//! Gmail's JSON, as far as the plugin reads it. 64-bit integers are strings on the wire.

use base64::{
    Engine, alphabet, engine::DecodePaddingMode, engine::GeneralPurpose, engine::GeneralPurposeConfig,
};
use serde::{Deserialize, Deserializer, de::Error};

use crate::mail::{GmailBody, GmailPart};

/// Gmail pads base64url in some answers and not in others: take both.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// `users.getProfile`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// The mailbox's address.
    pub email_address: String,
    /// The history id now: the anchor.
    pub history_id: String,
    /// Gmail's clock when it answered (the `Date` header), ms since the epoch.
    #[serde(skip)]
    pub server_time: Option<u64>,
}

/// A message's ids.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageRef {
    /// The message's id.
    pub id: String,
    /// Its thread's id.
    pub thread_id: String,
}

/// One page of `messages.list`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListPage {
    /// Newest first. No key when empty.
    #[serde(default)]
    pub messages: Vec<MessageRef>,
    /// For the next page.
    pub next_page_token: Option<String>,
}

/// One page of `history.list`. May hold no record and announce another page all the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryPage {
    /// In order, as documented; not to be relied on.
    #[serde(default)]
    pub history: Vec<HistoryRecord>,
    /// For the next page.
    pub next_page_token: Option<String>,
    /// The mailbox's history id now: the cursor after the last page.
    pub history_id: String,
}

/// One record, which may hold changes of several kinds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRecord {
    /// Its id, a decimal number of 64 bits: later changes have greater ones.
    #[serde(default)]
    pub id: String,
    /// Messages that appeared.
    #[serde(default)]
    pub messages_added: Vec<HistoryMessage>,
    /// Messages that were deleted, not trashed.
    #[serde(default)]
    pub messages_deleted: Vec<HistoryMessage>,
    /// Labels that were added.
    #[serde(default)]
    pub labels_added: Vec<LabelChange>,
    /// Labels that were removed.
    #[serde(default)]
    pub labels_removed: Vec<LabelChange>,
}

/// A message in a record.
#[derive(Clone, Debug, Deserialize)]
pub struct HistoryMessage {
    /// Which.
    pub message: HistoryRef,
}

/// A change of labels in a record.
#[derive(Clone, Debug, Deserialize)]
pub struct LabelChange {
    /// Which message.
    pub message: HistoryRef,
}

/// A message's ids and, usually, its labels as they are at the time of reading.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HistoryRef {
    /// The message's id.
    pub id: String,
    /// Its thread's id.
    pub thread_id: String,
    /// Its labels, when the answer has them.
    pub label_ids: Option<Vec<String>>,
}

/// What every format of `messages.get` has.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The message's id.
    pub id: String,
    /// Its thread's id.
    pub thread_id: String,
    /// Its labels.
    #[serde(default)]
    pub label_ids: Vec<String>,
    /// When Gmail accepted it, ms since the epoch.
    #[serde(default, deserialize_with = "number")]
    pub internal_date: u64,
    /// Roughly its size in bytes.
    #[serde(default)]
    pub size_estimate: u64,
    /// The last history record that changed it.
    #[serde(default, deserialize_with = "number")]
    pub history_id: u64,
}

/// Which folders a listing looks into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    /// All of them.
    All,
    /// All but spam and trash.
    AllButSpamAndTrash,
    /// Those with this label.
    Labelled(&'static str),
}

impl Summary {
    /// Whether it has this label.
    pub fn has(&self, label: &str) -> bool {
        self.label_ids.iter().any(|known| known == label)
    }
}

/// `messages.get` with `format=metadata`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Metadata {
    /// Ids, labels, time, size.
    #[serde(flatten)]
    pub summary: Summary,
    /// The headers.
    #[serde(default)]
    payload: Payload,
}

impl Metadata {
    /// Name and value of the header fields, as they stand in the message.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.payload
            .headers
            .iter()
            .map(|field| (field.name.clone(), field.value.clone()))
            .collect()
    }

    /// The first header field of this name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self
            .payload
            .headers
            .iter()
            .find(|field| field.name.eq_ignore_ascii_case(name))?;
        Some(&field.value)
    }
}

/// `messages.get` with `format=full`.
pub struct FullMessage {
    /// Ids, labels, time, size.
    pub summary: Summary,
    /// The payload tree.
    pub payload: GmailPart,
}

#[derive(Deserialize)]
pub(super) struct FullAnswer {
    #[serde(flatten)]
    summary: Summary,
    #[serde(default)]
    payload: Payload,
}

impl From<FullAnswer> for FullMessage {
    fn from(answer: FullAnswer) -> Self {
        Self {
            summary: answer.summary,
            payload: answer.payload.into_part(),
        }
    }
}

/// `messages.get` with `format=raw`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawAnswer<'a> {
    id: String,
    thread_id: String,
    #[serde(default)]
    label_ids: Vec<String>,
    #[serde(default, deserialize_with = "number")]
    internal_date: u64,
    #[serde(default)]
    size_estimate: u64,
    #[serde(default, deserialize_with = "number")]
    history_id: u64,
    #[serde(borrow)]
    raw: std::borrow::Cow<'a, str>,
}

impl RawAnswer<'_> {
    pub(super) fn decode(self) -> Option<(Summary, Vec<u8>)> {
        let bytes = BASE64URL.decode(self.raw.as_bytes()).ok()?;
        let summary = Summary {
            id: self.id,
            thread_id: self.thread_id,
            label_ids: self.label_ids,
            internal_date: self.internal_date,
            size_estimate: self.size_estimate,
            history_id: self.history_id,
        };
        Some((summary, bytes))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Payload {
    part_id: String,
    mime_type: String,
    filename: String,
    headers: Vec<HeaderField>,
    body: PayloadBody,
    parts: Vec<Payload>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct HeaderField {
    name: String,
    value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PayloadBody {
    attachment_id: Option<String>,
    size: u64,
    data: Option<String>,
}

impl Payload {
    /// Recursion is bounded: `serde_json` refuses JSON nested deeper than 128.
    fn into_part(self) -> GmailPart {
        GmailPart {
            part_id: self.part_id,
            mime_type: self.mime_type,
            filename: self.filename,
            headers: self
                .headers
                .into_iter()
                .map(|field| (field.name, field.value))
                .collect(),
            body: GmailBody {
                attachment_id: self.body.attachment_id,
                size: self.body.size,
                data: self.body.data.and_then(|data| BASE64URL.decode(data).ok()),
            },
            parts: self.parts.into_iter().map(Self::into_part).collect(),
        }
    }
}

/// A draft.
#[derive(Clone, Debug, Deserialize)]
pub struct Draft {
    /// The draft's id, which stays when it is edited.
    pub id: String,
    /// Its message now.
    pub message: MessageRef,
}

#[derive(Default, Deserialize)]
pub(super) struct DraftList {
    #[serde(default)]
    pub(super) drafts: Vec<Draft>,
}

#[derive(Default, Deserialize)]
pub(super) struct ThreadAnswer {
    #[serde(default)]
    pub(super) messages: Vec<Metadata>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendAsList {
    #[serde(default)]
    pub(super) send_as: Vec<SendAs>,
}

/// An address the mailbox may send from.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SendAs {
    /// The address.
    pub send_as_email: String,
    /// The name shown with it.
    #[serde(default)]
    pub display_name: String,
    /// The account's own address.
    #[serde(default)]
    pub is_primary: bool,
    /// `accepted` or `pending`; absent on the primary one.
    pub verification_status: Option<String>,
}

impl SendAs {
    /// Whether Gmail keeps it as the sender; another one it replaces silently.
    pub fn is_accepted(&self) -> bool {
        self.is_primary || self.verification_status.as_deref() == Some("accepted")
    }
}

/// What `users.watch` answers.
#[derive(Debug, Deserialize)]
pub(super) struct Watching {
    /// When it ends, ms since the epoch.
    #[serde(deserialize_with = "number")]
    pub(super) expiration: u64,
}

fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Text(String),
        Plain(u64),
    }
    match Number::deserialize(deserializer)? {
        Number::Text(text) => text.parse().map_err(D::Error::custom),
        Number::Plain(number) => Ok(number),
    }
}
