//! The ports over the contract's imports.

use std::future::Future;

use wit_bindgen::{StreamReader, StreamWriter};

use super::bindings::{
    twinbox::sync::{
        clock,
        crm::{self, CrmError},
        http::{self, Body, Credential, Streamed},
        log, oauth, quota, random, sharing, storage,
    },
    wit_stream,
};
use super::{
    Attachment, Change, ChangePage, Class, CommitError, Contact, Entry, Expectation, Features, Field,
    Granted, Level, Message, MessageUpdate, OauthError, Outbound, OutboundOutcome, Page, Penalty, Person,
    PersonOutcome, PutOutcome, QuotaError, SharingError, Standing, StorageError, UpdateOutcome,
};
use crate::ports;

/// Bytes read from a stream at a time.
const CHUNK: usize = 64 * 1024;
/// The longest attachment of mail to send that comes whole, in bytes.
const ATTACHMENT_INLINE_LIMIT: u64 = 256 * 1024;

/// The outside, as the contract's imports supply it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Imports;

impl ports::Source for StreamReader<u8> {
    async fn next(&mut self) -> Option<Vec<u8>> {
        let (_, bytes) = self.read(Vec::with_capacity(CHUNK)).await;
        (!bytes.is_empty()).then_some(bytes)
    }
}

impl ports::Sink for StreamWriter<u8> {
    async fn write(&mut self, bytes: Vec<u8>) -> Result<(), ports::Closed> {
        let left = self.write_all(bytes).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(ports::Closed)
        }
    }
}

fn incoming(body: Body) -> ports::Incoming<StreamReader<u8>> {
    match body {
        Body::Empty => ports::Incoming::Whole(Vec::new()),
        Body::Inline(bytes) => ports::Incoming::Whole(bytes),
        Body::Streamed(streamed) => ports::Incoming::Stream(streamed.bytes),
    }
}

/// The first `most` bytes of a body. Room is made once where the length is known: two halves of a mail of 36 MB
/// would not fit beside each other.
#[cfg(target_family = "wasm")]
pub(crate) async fn whole(body: Body, most: usize) -> Vec<u8> {
    let mut streamed = match body {
        Body::Empty => return Vec::new(),
        Body::Inline(bytes) => return bytes,
        Body::Streamed(streamed) => streamed,
    };
    let length = streamed.length.and_then(|length| usize::try_from(length).ok());
    let mut bytes = Vec::with_capacity(length.unwrap_or_default().min(most));
    while let Some(part) = ports::Source::next(&mut streamed.bytes).await {
        let room = most.saturating_sub(bytes.len()).min(part.len());
        bytes.extend_from_slice(&part[..room]);
        if bytes.len() == most {
            break;
        }
    }
    bytes
}

fn inline(bytes: Vec<u8>) -> Body {
    if bytes.is_empty() {
        Body::Empty
    } else {
        Body::Inline(bytes)
    }
}

fn outgoing(request: ports::Request, body: impl FnOnce(Vec<u8>) -> Body) -> http::Request {
    let content_type = request.content_type.map(|value| Field {
        name: "content-type".to_owned(),
        value,
    });
    http::Request {
        method: request.method.to_owned(),
        url: request.url,
        headers: content_type.into_iter().collect(),
        body: body(request.body),
        credential: Credential::Mailbox,
        inline_limit: request.inline_limit,
    }
}

async fn send(request: http::Request) -> Result<ports::Response<StreamReader<u8>>, ports::Failure> {
    match http::send(request).await {
        Ok(response) => Ok(ports::Response {
            status: response.status,
            headers: response
                .headers
                .into_iter()
                .map(|field| (field.name, field.value))
                .collect(),
            body: incoming(response.body),
        }),
        Err(failure) => Err(ports::Failure {
            kind: failure.kind,
            request_sent: failure.request_sent,
            retryable: failure.retryable,
        }),
    }
}

impl ports::Http for Imports {
    type Source = StreamReader<u8>;
    type Sink = StreamWriter<u8>;

    async fn send(&self, request: ports::Request) -> Result<ports::Response<Self::Source>, ports::Failure> {
        send(outgoing(request, inline)).await
    }

    fn send_streamed(
        &self,
        request: ports::Request,
        length: u64,
    ) -> (
        Self::Sink,
        impl Future<Output = Result<ports::Response<Self::Source>, ports::Failure>>,
    ) {
        let (writer, bytes) = wit_stream::new();
        let request = outgoing(request, |_| {
            Body::Streamed(Streamed {
                bytes,
                length: Some(length),
            })
        });
        (writer, send(request))
    }
}

impl ports::Storage for Imports {
    async fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Entry>>, StorageError> {
        storage::get(keys).await
    }

    async fn scan(&self, prefix: &str, after: Option<String>, limit: u32) -> Result<Page, StorageError> {
        storage::scan(prefix.to_owned(), after, limit).await
    }

    async fn commit(&self, expectations: Vec<Expectation>, changes: Vec<Change>) -> Result<(), CommitError> {
        storage::commit(expectations, changes).await
    }
}

impl ports::Oauth for Imports {
    async fn grant(&self) -> Result<Granted, OauthError> {
        oauth::grant().await
    }

    async fn release(&self, parting: Vec<ports::Request>) -> Result<(), OauthError> {
        oauth::release(
            parting
                .into_iter()
                .map(|request| outgoing(request, inline))
                .collect(),
        )
        .await
    }
}

impl ports::Crm for Imports {
    type Source = StreamReader<u8>;
    type Sink = StreamWriter<u8>;

    fn supported(&self) -> Features {
        crm::supported()
    }

    fn user(&self) -> String {
        crm::user()
    }

    async fn find_contacts(&self, addresses: Vec<String>) -> Result<Vec<Contact>, CrmError> {
        crm::find_contacts(addresses).await
    }

    async fn put_contacts(&self, persons: Vec<Person>) -> Result<Vec<PersonOutcome>, CrmError> {
        crm::put_contacts(persons).await
    }

    async fn remove_contacts(&self, keys: Vec<String>) -> Result<(), CrmError> {
        crm::remove_contacts(keys).await
    }

    async fn put_messages(&self, messages: Vec<Message>) -> Result<Vec<PutOutcome>, CrmError> {
        crm::put_messages(messages).await
    }

    async fn find_messages(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, CrmError> {
        crm::find_messages(keys).await
    }

    async fn update_messages(&self, updates: Vec<MessageUpdate>) -> Result<Vec<UpdateOutcome>, CrmError> {
        crm::update_messages(updates).await
    }

    async fn put_attachment(
        &self,
        message_key: &str,
        attachment: Attachment,
        content: Vec<u8>,
    ) -> Result<PutOutcome, CrmError> {
        crm::put_attachment(message_key.to_owned(), attachment, inline(content)).await
    }

    fn put_attachment_streamed(
        &self,
        message_key: &str,
        attachment: Attachment,
    ) -> (Self::Sink, impl Future<Output = Result<PutOutcome, CrmError>>) {
        let (writer, bytes) = wit_stream::new();
        let length = Some(attachment.size);
        let body = Body::Streamed(Streamed { bytes, length });
        (
            writer,
            crm::put_attachment(message_key.to_owned(), attachment, body),
        )
    }

    async fn open_attachment(
        &self,
        outbound_id: &str,
        attachment_id: &str,
    ) -> Result<ports::Incoming<Self::Source>, CrmError> {
        let id = attachment_id.to_owned();
        crm::open_attachment(outbound_id.to_owned(), id, ATTACHMENT_INLINE_LIMIT)
            .await
            .map(incoming)
    }

    async fn changes(&self, cursor: Option<String>, limit: u32) -> Result<ChangePage, CrmError> {
        crm::changes(cursor, limit).await
    }

    async fn next_outbound(&self, limit: u32) -> Result<Vec<Outbound>, CrmError> {
        crm::next_outbound(limit).await
    }

    async fn report_outbound(&self, id: &str, outcome: OutboundOutcome) -> Result<(), CrmError> {
        crm::report_outbound(id.to_owned(), outcome).await
    }
}

impl ports::Sharing for Imports {
    async fn claim(&self, address: &str) -> Result<Standing, SharingError> {
        sharing::claim(address.to_owned()).await
    }

    async fn standings(&self, addresses: Vec<String>) -> Result<Vec<Standing>, SharingError> {
        sharing::standings(addresses).await
    }

    async fn release_contact(&self, address: &str) -> Result<(), SharingError> {
        sharing::release(address.to_owned()).await
    }
}

impl ports::Quota for Imports {
    async fn acquire(&self, units: u32, class: Class) -> Result<(), QuotaError> {
        quota::acquire(units, class).await
    }

    fn report(&self, penalty: Penalty) {
        quota::report(penalty);
    }

    fn in_flight(&self) -> u32 {
        quota::in_flight()
    }
}

impl ports::Clock for Imports {
    fn now(&self) -> u64 {
        clock::now()
    }

    async fn sleep(&self, milliseconds: u64) {
        clock::sleep(milliseconds).await;
    }
}

impl ports::Random for Imports {
    fn bytes(&self, length: u32) -> Vec<u8> {
        random::bytes(length)
    }
}

impl ports::Log for Imports {
    fn write(&self, level: Level, message: &str, fields: Vec<Field>) {
        log::write(level, message, &fields);
    }
}
