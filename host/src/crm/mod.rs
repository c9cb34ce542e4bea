//! The CRM: contacts, conversations, mail to send. A platform implements [`Crm`] and takes the
//! defaults for the rest.

use async_trait::async_trait;

use crate::{
    body::Body,
    contract::{
        Attachment, ChangePage, Contact, Features, Message, MessageUpdate, Outbound, OutboundOutcome, Person,
        PersonOutcome, PutOutcome, UpdateOutcome,
    },
    scope::Scope,
};

mod embedded;

pub use embedded::{
    Conversation, Counts, CrmEvent, Delivery, EmbeddedCrm, Hour, Imported, Marks, NewAttachment, NewContact,
    NewOutbound, Outranked, Paging, Secrecy, StoredMessage,
};

/// Why the CRM did not answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum CrmError {
    /// Not now. Whether anything was stored is unknown.
    #[error("the CRM is not available: {0}")]
    Unavailable(String),
    /// Asked to wait until then, ms since the epoch.
    #[error("the CRM asks to wait until {0}")]
    RateLimited(u64),
    /// There is no such thing.
    #[error("the CRM has no such thing")]
    NotFound,
    /// This platform lacks the feature.
    #[error("the CRM lacks this feature")]
    Unsupported,
    /// Refused; why.
    #[error("the CRM refused: {0}")]
    Refused(String),
}

/// What a platform supplies; see `wit/crm.wit` for what each call means to the guest. The scope says
/// for which tenant and connection; an implementation answers with nothing of another tenant.
#[async_trait]
pub trait Crm: Send + Sync {
    /// What this platform can do.
    fn features(&self) -> Features;

    /// All contacts of the tenant that have one of these addresses, in any case. It may answer with more of what may be
    /// the same mailbox: the sync decides what is the same.
    async fn find_contacts(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Contact>, CrmError>;

    /// Puts persons of the user's address book, in order; an outcome each (S08). Unsupported unless
    /// [`Features::address_book`] says otherwise.
    async fn put_contacts(&self, _: &Scope, _: &[Person]) -> Result<Vec<PersonOutcome>, CrmError> {
        Err(CrmError::Unsupported)
    }

    /// The persons with these keys left the address book. Idempotent.
    async fn remove_contacts(&self, _: &Scope, _: &[String]) -> Result<(), CrmError> {
        Err(CrmError::Unsupported)
    }

    /// Puts messages, in order; an outcome each. Idempotent by key.
    async fn put_messages(&self, scope: &Scope, messages: &[Message]) -> Result<Vec<PutOutcome>, CrmError>;

    /// The CRM's ids of messages with these keys.
    async fn find_messages(&self, scope: &Scope, keys: &[String]) -> Result<Vec<Option<String>>, CrmError>;

    /// Updates messages, in order; an outcome each. Idempotent.
    async fn update_messages(
        &self,
        scope: &Scope,
        updates: &[MessageUpdate],
    ) -> Result<Vec<UpdateOutcome>, CrmError>;

    /// Puts the bytes of an attachment of the message with this key: all of them or none. Idempotent
    /// by key and part.
    async fn put_attachment(
        &self,
        scope: &Scope,
        message_key: &str,
        attachment: &Attachment,
        content: Body,
    ) -> Result<PutOutcome, CrmError>;

    /// The bytes of an attachment of mail to send.
    async fn open_attachment(
        &self,
        scope: &Scope,
        outbound_id: &str,
        attachment_id: &str,
    ) -> Result<Body, CrmError>;

    /// What was done in the CRM to messages of this connection since `cursor`.
    async fn changes(&self, scope: &Scope, cursor: Option<&str>, limit: u32) -> Result<ChangePage, CrmError>;

    /// Mail of this connection that waits to be sent, oldest first.
    async fn next_outbound(&self, scope: &Scope, limit: u32) -> Result<Vec<Outbound>, CrmError>;

    /// What became of it. Idempotent.
    async fn report_outbound(
        &self,
        scope: &Scope,
        id: &str,
        outcome: &OutboundOutcome,
    ) -> Result<(), CrmError>;
}
