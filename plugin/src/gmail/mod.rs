//! What Gmail says: typed calls and typed errors. The only module that knows its URLs, JSON and
//! error envelopes. Sources: Google's discovery document of the Gmail API v1 and its guides on
//! errors, uploads and quota (<https://developers.google.com/workspace/gmail/api/reference/rest>).

mod client;
mod draft;
mod error;
mod model;
mod units;

pub use client::{Gmail, RawMessage, Tally};
pub use draft::{Upload, UploadError};
pub(crate) use error::classify;
pub use error::{GmailError, Outcome, RateScope};
pub use model::{
    Draft, Folders, FullMessage, HistoryMessage, HistoryPage, HistoryRecord, HistoryRef, LabelChange,
    ListPage, MessageRef, Metadata, Profile, SendAs, Summary,
};
pub use units::UnitTable;

/// Where the API is.
pub const API_ORIGIN: &str = "https://gmail.googleapis.com";

/// The one scope that lets the plugin read, send, follow history and change labels.
pub const SCOPE_MODIFY: &str = "https://www.googleapis.com/auth/gmail.modify";

/// Label ids of the system labels, which equal their names.
pub mod label {
    /// Sent by the user.
    pub const SENT: &str = "SENT";
    /// Not sent yet.
    pub const DRAFT: &str = "DRAFT";
    /// Taken for spam.
    pub const SPAM: &str = "SPAM";
    /// In the trash.
    pub const TRASH: &str = "TRASH";
    /// A chat, not mail.
    pub const CHAT: &str = "CHAT";
    /// In the inbox; without it a message is archived.
    pub const INBOX: &str = "INBOX";
    /// Not read yet.
    pub const UNREAD: &str = "UNREAD";
    /// Starred.
    pub const STARRED: &str = "STARRED";
}
