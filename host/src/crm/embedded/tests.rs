use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::*;
use crate::{
    clock::ManualClock,
    contract::{
        Content, Deferral, Direction, Disposition, Flags, Mailbox, OutboundKind, Problem, Sent, WhenLimited,
    },
    scope::UserId,
};

mod address_book;
mod attachments;
mod conversations;
mod outbound;
mod privacy;

const NOW: u64 = 1_700_000_000_000;
const READ: Flags = Flags {
    unread: false,
    starred: false,
    archived: false,
    trashed: false,
};

/// A CRM with the tenants `t` and `other`, each with the user `ann`.
async fn crm() -> EmbeddedCrm {
    let database = Database::in_memory().unwrap();
    let crm = EmbeddedCrm::with_clock(database, Arc::new(ManualClock::at(NOW))).unwrap();
    for name in ["t", "other"] {
        crm.create_tenant(&TenantId::new(name), name).await.unwrap();
        crm.create_user(&TenantId::new(name), &UserId::new("ann"), "Ann")
            .await
            .unwrap();
    }
    crm
}

fn tenant() -> TenantId {
    TenantId::new("t")
}

fn scope() -> Scope {
    Scope {
        tenant: tenant(),
        user: UserId::new("ann"),
        connection: ConnectionId::new("c"),
        account: "sub".into(),
    }
}

fn stranger() -> Scope {
    Scope {
        tenant: TenantId::new("other"),
        ..scope()
    }
}

async fn contact(crm: &EmbeddedCrm, name: &str, addresses: &[&str]) -> String {
    let contact = NewContact {
        name: name.into(),
        addresses: addresses.iter().map(|address| (*address).to_owned()).collect(),
        ..NewContact::default()
    };
    crm.create_contact(&tenant(), contact).await.unwrap()
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox {
        name: None,
        address: address.into(),
    }
}

fn message(key: &str, contact: &str) -> Message {
    Message {
        key: key.into(),
        thread: "thread".into(),
        contact_id: contact.into(),
        direction: Direction::Inbound,
        message_id: Some("<1@example.com>".into()),
        subject: "Hello".into(),
        sender: mailbox("bob@example.com"),
        reply_to: Vec::new(),
        to: vec![mailbox("ann@example.com")],
        cc: Vec::new(),
        bcc: Vec::new(),
        received_at: NOW,
        dated_at: None,
        content: Content {
            text: "How  are\nyou?\n> quoted".into(),
            quoted_at: Some(14),
            html: None,
            truncated: false,
        },
        attachments: Vec::new(),
        flags: Flags { unread: true, ..READ },
        authentication: None,
        rule: "S10".into(),
    }
}

fn attachment(part: &str, size: usize) -> Attachment {
    Attachment {
        part: part.into(),
        name: "photo.png".into(),
        media_type: "image/png".into(),
        size: size as u64,
        content_id: None,
        disposition: Disposition::Attached,
    }
}

fn mail(contact: &str) -> NewOutbound {
    NewOutbound {
        tenant: tenant(),
        user: UserId::new("ann"),
        connection: ConnectionId::new("c"),
        contact: contact.into(),
        thread: None,
        in_reply_to: None,
        sender: None,
        to: vec![mailbox("bob@example.com")],
        cc: Vec::new(),
        bcc: Vec::new(),
        subject: "Offer".into(),
        text: "Here it is".into(),
        html: None,
        attachments: Vec::new(),
        when_limited: WhenLimited::Fail,
        kind: OutboundKind::OneToOne,
        hold: std::time::Duration::ZERO,
        idempotency_key: None,
        request_digest: None,
    }
}

fn sent(key: &str) -> OutboundOutcome {
    OutboundOutcome::Sent(Sent {
        key: key.into(),
        thread: "new thread".into(),
        message_id: Some("<written-by-provider@example.com>".into()),
        sender: Some(mailbox("ann@example.com")),
        at: NOW + 5,
    })
}

/// Puts one message and answers its id.
async fn put(crm: &EmbeddedCrm, message: Message) -> String {
    match crm.put_messages(&scope(), &[message]).await.unwrap().remove(0) {
        PutOutcome::Stored(id) => id,
        other => panic!("{other:?}"),
    }
}

/// Bytes in odd pieces that do not fit the chunks.
fn pieces(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes
        .chunks(100_001)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    Body::Stream(Box::pin(stream::iter(pieces)))
}

async fn conversation(crm: &EmbeddedCrm, contact: &str) -> Vec<StoredMessage> {
    crm.conversation(&tenant(), contact, Paging::default())
        .await
        .unwrap()
}
