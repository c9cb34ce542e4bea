//! What the plugin needs from outside, as small traits. The component implements them with the
//! contract's imports ([`crate::contract::Imports`]); tests and the native benchmark with their own.
//!
//! Streams appear here as a [`Source`] to read and a [`Sink`] to write, so that nothing else knows how
//! the contract moves them.

use std::future::Future;

use crate::contract::{
    Attachment, Change, ChangePage, Class, CommitError, Contact, CrmError, Entry, Expectation, FailureKind,
    Features, Field, Granted, Level, Message, MessageUpdate, OauthError, Outbound, OutboundOutcome, Page,
    Penalty, Person, PersonOutcome, PutOutcome, QuotaError, SharingError, Standing, StorageError,
    UpdateOutcome,
};

/// Bytes that come.
pub trait Source {
    /// The next bytes, never none; `None` at the end, also at an early one.
    fn next(&mut self) -> impl Future<Output = Option<Vec<u8>>>;
}

/// Where bytes go.
pub trait Sink {
    /// Hands the bytes over, as fast as the other side takes them. `Err` when it takes no more.
    fn write(&mut self, bytes: Vec<u8>) -> impl Future<Output = Result<(), Closed>>;
}

/// The other side takes no more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Bytes that came.
pub enum Incoming<S> {
    /// All at once.
    Whole(Vec<u8>),
    /// Too many for that.
    Stream(S),
}

/// A request that carries the mailbox credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: &'static str,
    /// Absolute URL.
    pub url: String,
    /// `Content-Type`, when there is a body.
    pub content_type: Option<String>,
    /// The body, unless it is streamed beside the request.
    pub body: Vec<u8>,
    /// An answer of at most so many bytes comes whole.
    pub inline_limit: u64,
}

/// An answer.
pub struct Response<S> {
    /// HTTP status code.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Incoming<S>,
}

impl<S> Response<S> {
    /// The first header field of this name (lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

/// A request that brought no answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// Whether the server may have seen the request.
    pub request_sent: bool,
    /// Whether the same request may succeed later.
    pub retryable: bool,
}

/// `twinbox:sync/http`.
pub trait Http {
    /// A streamed answer.
    type Source: Source;
    /// A streamed request.
    type Sink: Sink;

    /// Makes a request.
    fn send(&self, request: Request) -> impl Future<Output = Result<Response<Self::Source>, Failure>>;

    /// Makes a request whose body of exactly `length` bytes is written to the sink meanwhile. Dropping
    /// the sink early makes the request fail.
    fn send_streamed(
        &self,
        request: Request,
        length: u64,
    ) -> (
        Self::Sink,
        impl Future<Output = Result<Response<Self::Source>, Failure>>,
    );
}

/// `twinbox:sync/storage`.
pub trait Storage {
    /// The entries of these keys, in the order asked.
    fn get(&self, keys: Vec<String>) -> impl Future<Output = Result<Vec<Option<Entry>>, StorageError>>;

    /// Entries under `prefix` after `after`.
    fn scan(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: u32,
    ) -> impl Future<Output = Result<Page, StorageError>>;

    /// All changes or none.
    fn commit(
        &self,
        expectations: Vec<Expectation>,
        changes: Vec<Change>,
    ) -> impl Future<Output = Result<(), CommitError>>;
}

/// `twinbox:sync/oauth`.
pub trait Oauth {
    /// The grant of this connection.
    fn grant(&self) -> impl Future<Output = Result<Granted, OauthError>>;

    /// Gives the grant up; the host makes the parting requests if nobody else needs it.
    fn release(&self, parting: Vec<Request>) -> impl Future<Output = Result<(), OauthError>>;
}

/// `twinbox:sync/crm`.
pub trait Crm {
    /// A streamed attachment of mail to send.
    type Source: Source;
    /// A streamed attachment of mail that came.
    type Sink: Sink;

    /// What this platform can do.
    fn supported(&self) -> Features;

    /// The connected user, as [`Contact::assigned_user`] names them.
    fn user(&self) -> String;

    /// All contacts with one of these addresses.
    fn find_contacts(&self, addresses: Vec<String>) -> impl Future<Output = Result<Vec<Contact>, CrmError>>;

    /// Puts persons of the address book, an outcome each.
    fn put_contacts(
        &self,
        persons: Vec<Person>,
    ) -> impl Future<Output = Result<Vec<PersonOutcome>, CrmError>>;

    /// These persons left the address book.
    fn remove_contacts(&self, keys: Vec<String>) -> impl Future<Output = Result<(), CrmError>>;

    /// Puts messages, an outcome each.
    fn put_messages(&self, messages: Vec<Message>)
    -> impl Future<Output = Result<Vec<PutOutcome>, CrmError>>;

    /// The CRM's ids of messages with these keys.
    fn find_messages(&self, keys: Vec<String>)
    -> impl Future<Output = Result<Vec<Option<String>>, CrmError>>;

    /// Updates messages, an outcome each.
    fn update_messages(
        &self,
        updates: Vec<MessageUpdate>,
    ) -> impl Future<Output = Result<Vec<UpdateOutcome>, CrmError>>;

    /// Puts an attachment whose bytes are at hand.
    fn put_attachment(
        &self,
        message_key: &str,
        attachment: Attachment,
        content: Vec<u8>,
    ) -> impl Future<Output = Result<PutOutcome, CrmError>>;

    /// Puts an attachment whose `attachment.size` bytes are written to the sink meanwhile. Dropping the
    /// sink early leaves nothing.
    fn put_attachment_streamed(
        &self,
        message_key: &str,
        attachment: Attachment,
    ) -> (Self::Sink, impl Future<Output = Result<PutOutcome, CrmError>>);

    /// The bytes of an attachment of mail to send.
    fn open_attachment(
        &self,
        outbound_id: &str,
        attachment_id: &str,
    ) -> impl Future<Output = Result<Incoming<Self::Source>, CrmError>>;

    /// What people did since `cursor`, the oldest first; without one, nothing but where that is now.
    fn changes(
        &self,
        cursor: Option<String>,
        limit: u32,
    ) -> impl Future<Output = Result<ChangePage, CrmError>>;

    /// Mail that waits to be sent.
    fn next_outbound(&self, limit: u32) -> impl Future<Output = Result<Vec<Outbound>, CrmError>>;

    /// What became of it.
    fn report_outbound(
        &self,
        id: &str,
        outcome: OutboundOutcome,
    ) -> impl Future<Output = Result<(), CrmError>>;
}

/// `twinbox:sync/sharing`. Addresses are [`address_key`](crate::rules::address_key)s.
pub trait Sharing {
    /// Takes a contact unless it is kept already; the standing after it.
    fn claim(&self, address: &str) -> impl Future<Output = Result<Standing, SharingError>>;

    /// Standings, in the order asked.
    fn standings(&self, addresses: Vec<String>) -> impl Future<Output = Result<Vec<Standing>, SharingError>>;

    /// This connection keeps the contact no longer.
    fn release_contact(&self, address: &str) -> impl Future<Output = Result<(), SharingError>>;
}

/// `twinbox:sync/quota`.
pub trait Quota {
    /// Waits for a turn of so many units.
    fn acquire(&self, units: u32, class: Class) -> impl Future<Output = Result<(), QuotaError>>;

    /// Tells the host what the provider said.
    fn report(&self, penalty: Penalty);

    /// How many requests may be in flight now.
    fn in_flight(&self) -> u32;
}

/// `twinbox:sync/clock`.
pub trait Clock {
    /// Milliseconds since the Unix epoch, UTC.
    fn now(&self) -> u64;

    /// Waits.
    fn sleep(&self, milliseconds: u64) -> impl Future<Output = ()>;
}

/// `twinbox:sync/random`.
pub trait Random {
    /// Secure random bytes.
    fn bytes(&self, length: u32) -> Vec<u8>;
}

/// `twinbox:sync/log`.
pub trait Log {
    /// Writes one line.
    fn write(&self, level: Level, message: &str, fields: Vec<Field>);
}

/// All ports at once.
pub trait Host: Http + Storage + Oauth + Crm + Sharing + Quota + Clock + Random + Log {}

impl<T: Http + Storage + Oauth + Crm + Sharing + Quota + Clock + Random + Log> Host for T {}
