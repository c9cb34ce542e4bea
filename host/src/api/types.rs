//! What answers are made of. Names of their own, so that the contract with the component may change
//! without the API.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    audit::AuditStanding,
    contract,
    crm::{self, StoredMessage},
    problem::describe,
    store::{self, ConnectionStatus},
    vault::Lasting,
    web::{Trouble, kind_name, safe_html},
};

/// A part of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Page<T> {
    /// Its entries.
    pub(super) entries: Vec<T>,
    /// The `offset` of the next part; absent: this was the last.
    pub(super) next: Option<u32>,
}

/// A person whose mail is synced.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Contact {
    /// Its id.
    pub(super) id: String,
    /// Display name; empty when there is none.
    pub(super) name: String,
    /// Its addresses.
    pub(super) addresses: Vec<String>,
    /// When it was created.
    pub(super) created_at: u64,
    /// The user it is assigned to; absent: anyone's.
    pub(super) assigned_user: Option<String>,
    /// Whether its conversation is private: none of its mail comes in.
    pub(super) private: bool,
}

impl From<contract::Contact> for Contact {
    fn from(contact: contract::Contact) -> Self {
        Self {
            id: contact.id,
            name: contact.name,
            addresses: contact.addresses,
            created_at: contact.created_at,
            assigned_user: contact.assigned_user,
            private: contact.private,
        }
    }
}

/// An address whose mail another contact gets.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outranked {
    /// The address, as this contact has it.
    address: String,
    /// Id of the contact that was created first and gets the mail.
    winner: String,
}

/// A contact, and what it does not get.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ContactEntry {
    #[serde(flatten)]
    contact: Contact,
    /// Its addresses that a contact has too that was created before it.
    outranked: Vec<Outranked>,
}

impl ContactEntry {
    /// The contact with what it does not get.
    pub(super) fn new(contact: contract::Contact, outranked: Vec<crm::Outranked>) -> Self {
        let of = |outranked: crm::Outranked| Outranked {
            address: outranked.address,
            winner: outranked.winner.id,
        };
        Self {
            contact: contact.into(),
            outranked: outranked.into_iter().map(of).collect(),
        }
    }
}

/// The messages with a contact, in short.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Conversation {
    /// The contact.
    contact: Contact,
    /// When its last message was accepted or queued.
    last_message_at: u64,
    /// Subject of the last message.
    subject: String,
    /// How the text of the last message begins.
    snippet: String,
    /// Messages that were not read yet.
    unread: u64,
    /// All messages that were not deleted.
    messages: u64,
}

impl From<crm::Conversation> for Conversation {
    fn from(conversation: crm::Conversation) -> Self {
        Self {
            contact: conversation.contact.into(),
            last_message_at: conversation.last_message_at,
            subject: conversation.subject,
            snippet: conversation.snippet,
            unread: conversation.unread,
            messages: conversation.messages,
        }
    }
}

/// A name and an address.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mailbox {
    /// The name; absent when there is none.
    name: Option<String>,
    /// The address; empty for mail that waits to be sent from the connected one.
    address: String,
}

impl From<contract::Mailbox> for Mailbox {
    fn from(mailbox: contract::Mailbox) -> Self {
        Self {
            name: mailbox.name,
            address: mailbox.address,
        }
    }
}

/// Which way a message went.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Direction {
    /// To the user.
    Inbound,
    /// From the user.
    Outbound,
}

/// How a message left.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It came from the mailbox.
    Mailbox,
    /// It waits to be sent.
    Queued,
    /// It waits until a time, for a reason.
    Deferred,
    /// It was sent.
    Sent,
    /// It was not sent, and will not be.
    Failed,
    /// Whether it was sent cannot be established.
    Unconfirmed,
    /// It was withdrawn before it was sent.
    Cancelled,
}

/// How a message left, and why it did not.
#[derive(Debug, Serialize, ToSchema)]
struct Delivery {
    state: State,
    /// When it is tried again, where it waits.
    until: Option<u64>,
    /// Why it was not sent.
    problem: Option<Reason>,
}

/// Something that went wrong.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Reason {
    /// Stable, in kebab case.
    code: String,
    /// What happened, one sentence.
    happened: String,
    /// What to do, one sentence.
    advice: String,
}

impl From<&contract::Problem> for Reason {
    fn from(problem: &contract::Problem) -> Self {
        let described = describe(problem);
        Self {
            code: described.code.to_owned(),
            happened: described.happened,
            advice: described.advice,
        }
    }
}

impl From<Trouble> for Reason {
    fn from(trouble: Trouble) -> Self {
        Self {
            code: trouble.code.to_owned(),
            happened: trouble.happened,
            advice: trouble.advice,
        }
    }
}

impl From<crm::Delivery> for Delivery {
    fn from(delivery: crm::Delivery) -> Self {
        let plain = |state| Self {
            state,
            until: None,
            problem: None,
        };
        let because = |state, problem: &contract::Problem| Self {
            problem: Some(problem.into()),
            ..plain(state)
        };
        match delivery {
            crm::Delivery::Mailbox => plain(State::Mailbox),
            crm::Delivery::Queued => plain(State::Queued),
            crm::Delivery::Sent => plain(State::Sent),
            crm::Delivery::Cancelled => plain(State::Cancelled),
            crm::Delivery::Failed(problem) => because(State::Failed, &problem),
            crm::Delivery::Unconfirmed(problem) => because(State::Unconfirmed, &problem),
            crm::Delivery::Deferred(deferral) => Self {
                until: Some(deferral.until),
                ..because(State::Deferred, &deferral.problem)
            },
        }
    }
}

/// A file of a message.
#[derive(Debug, Serialize, ToSchema)]
struct Attachment {
    /// Names it within the message.
    part: String,
    /// File name; empty when the mail gave none.
    name: String,
    /// Media type, as the sender claims.
    media_type: String,
    /// Bytes.
    size: u64,
    /// Whether its bytes are here.
    stored: bool,
}

/// What the mailbox's provider found out about the sender: `pass`, `fail`, `none`, …
#[derive(Debug, Serialize, ToSchema)]
struct Authentication {
    /// RFC 7208.
    spf: Option<String>,
    /// RFC 6376.
    dkim: Option<String>,
    /// RFC 7489.
    dmarc: Option<String>,
}

/// A message of a conversation.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "JSON that programs read: a member for each mark, and mail's own name for its id"
)]
pub(super) struct Message {
    /// Its id.
    pub(super) id: String,
    /// The contact whose conversation it is in.
    contact: String,
    /// The connection it came or goes through.
    connection: String,
    /// Which way it went.
    direction: Direction,
    /// Message-ID of the mail with its brackets; absent when it has none yet.
    message_id: Option<String>,
    /// Subject; empty when there is none.
    subject: String,
    /// From.
    from: Mailbox,
    /// Reply-To.
    reply_to: Vec<Mailbox>,
    /// To.
    to: Vec<Mailbox>,
    /// Cc.
    cc: Vec<Mailbox>,
    /// Bcc; only of mail the user sent.
    bcc: Vec<Mailbox>,
    /// When the provider accepted it, or when it was queued.
    received_at: u64,
    /// What its Date says.
    dated_at: Option<u64>,
    /// Plain text.
    text: String,
    /// Where quoted history begins in the text, in bytes of UTF-8.
    quoted_at: Option<u32>,
    /// Sanitised HTML: nothing active; addresses of remote images in `data-remote-src`.
    html: Option<String>,
    /// Whether the end was cut off.
    truncated: bool,
    /// Files.
    attachments: Vec<Attachment>,
    /// Not read yet.
    unread: bool,
    /// Starred.
    starred: bool,
    /// Not in the inbox.
    archived: bool,
    /// In the trash.
    trashed: bool,
    /// What is known of the sender.
    authentication: Option<Authentication>,
    /// The rule that linked it, such as `S10`.
    rule: String,
    /// How it left.
    delivery: Delivery,
    /// Which way mail goes that is written here: `one-to-one`, `bulk` or `workflow`; absent for mail of the mailbox.
    kind: Option<&'static str>,
    /// Until when mail that is written here is held back, so that it can be withdrawn; absent: it is not.
    held_until: Option<u64>,
    /// Recipients that it has not reached, as far as that is known.
    undelivered: Vec<Undelivered>,
    /// Deleted at the provider or here.
    deleted: bool,
    /// The contact is no longer synced here.
    released: bool,
}

impl From<StoredMessage> for Message {
    fn from(stored: StoredMessage) -> Self {
        let html = safe_html(&stored);
        let message = stored.message;
        let list = |list: Vec<contract::Mailbox>| list.into_iter().map(Into::into).collect();
        let attachments = message.attachments.into_iter().map(|attachment| Attachment {
            stored: stored.stored_parts.contains(&attachment.part),
            part: attachment.part,
            name: attachment.name,
            media_type: attachment.media_type,
            size: attachment.size,
        });
        Self {
            id: stored.id,
            contact: message.contact_id,
            connection: stored.connection.as_str().to_owned(),
            direction: match message.direction {
                contract::Direction::Inbound => Direction::Inbound,
                contract::Direction::Outbound => Direction::Outbound,
            },
            message_id: message.message_id,
            subject: message.subject,
            from: message.sender.into(),
            reply_to: list(message.reply_to),
            to: list(message.to),
            cc: list(message.cc),
            bcc: list(message.bcc),
            received_at: message.received_at,
            dated_at: message.dated_at,
            text: message.content.text,
            quoted_at: message.content.quoted_at,
            html,
            truncated: message.content.truncated,
            attachments: attachments.collect(),
            unread: message.flags.unread,
            starred: message.flags.starred,
            archived: message.flags.archived,
            trashed: message.flags.trashed,
            authentication: message.authentication.map(|found| Authentication {
                spf: found.spf,
                dkim: found.dkim,
                dmarc: found.dmarc,
            }),
            rule: message.rule,
            delivery: stored.delivery.into(),
            kind: stored.kind.map(kind_name),
            held_until: stored.held_until,
            undelivered: stored.undelivered.into_iter().map(Into::into).collect(),
            deleted: stored.deleted,
            released: stored.released,
        }
    }
}

/// What becomes of a copy that was not handed over.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum UndeliveredKind {
    /// It is not tried again.
    Failed,
    /// It is late, and still being tried.
    Delayed,
}

/// A recipient that a message has not reached.
#[derive(Debug, Serialize, ToSchema)]
struct Undelivered {
    /// The address.
    recipient: String,
    /// Whether that is final.
    kind: UndeliveredKind,
    /// Enhanced status code of RFC 3463, or the server's; empty when there is none.
    status: String,
    /// What the recipient's server said, on one line; empty when that is not known.
    diagnostic: String,
}

impl From<contract::Undelivered> for Undelivered {
    fn from(found: contract::Undelivered) -> Self {
        Self {
            recipient: found.recipient,
            kind: match found.kind {
                contract::UndeliveredKind::Failed => UndeliveredKind::Failed,
                contract::UndeliveredKind::Delayed => UndeliveredKind::Delayed,
            },
            status: found.status,
            diagnostic: found.diagnostic,
        }
    }
}

/// How a connection is.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
enum Status {
    /// Consent was given; it has not begun.
    Connecting,
    /// It syncs.
    Active,
    /// Its user has to connect it again.
    NeedsReconnect,
    /// It was ended.
    Disconnected,
}

/// What the last audit that did not fail found.
#[derive(Debug, Serialize, ToSchema)]
struct Audit {
    /// When it ended.
    at: u64,
    /// Messages the mailbox listed.
    listed: u32,
    /// Delivered.
    delivered: u32,
    /// Excluded by a rule.
    excluded: u32,
    /// Gone from the mailbox.
    gone: u32,
    /// Put aside after an error.
    quarantined: u32,
    /// Without a row in the ledger.
    missing: u32,
    /// Brought in by audits since the connection.
    healed: u64,
}

/// A link from a user to a mailbox.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connection {
    /// Its id.
    pub(super) id: String,
    /// Whose it is.
    user: String,
    /// The mailbox.
    address: String,
    /// How it is.
    status: Status,
    /// Since when.
    created_at: u64,
    /// When the last pass ended.
    last_run_at: Option<u64>,
    /// When the next one is.
    next_run_at: Option<u64>,
    /// Passes that failed since the last one that did not.
    failures: u32,
    /// What is wrong with it.
    problem: Option<Reason>,
    /// Until when access lasts, if that is known.
    access_until: Option<u64>,
    /// What the last audit found.
    audit: Option<Audit>,
    /// Why the last audit failed, if it did.
    audit_problem: Option<Reason>,
}

impl Connection {
    pub(super) fn new(
        connection: store::Connection,
        lasting: &Lasting,
        audit: Option<&AuditStanding>,
    ) -> Self {
        let found = audit.and_then(|audit| Some((audit.last.as_ref()?, audit.healed)));
        Self {
            id: connection.scope.connection.as_str().to_owned(),
            user: connection.scope.user.as_str().to_owned(),
            address: connection.address,
            status: match connection.status {
                ConnectionStatus::Connecting => Status::Connecting,
                ConnectionStatus::Active => Status::Active,
                ConnectionStatus::NeedsReconnect => Status::NeedsReconnect,
                ConnectionStatus::Disconnected => Status::Disconnected,
            },
            created_at: connection.created_at,
            last_run_at: connection.last_run_at,
            next_run_at: connection.next_run_at,
            failures: connection.failures,
            problem: connection.problem.as_ref().map(Into::into),
            access_until: lasting.until,
            audit: found.map(|((at, findings), healed)| Audit {
                at: *at,
                listed: findings.listed,
                delivered: findings.delivered,
                excluded: findings.excluded_in_all(),
                gone: findings.gone,
                quarantined: findings.quarantined,
                missing: findings.missing,
                healed,
            }),
            audit_problem: audit.and_then(|audit| audit.problem.as_ref()).map(Into::into),
        }
    }
}
