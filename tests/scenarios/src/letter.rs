//! Mail that the user writes in the CRM.

use twinbox_host::{
    body::Body,
    contract::{Mailbox, OutboundKind, WhenLimited},
    crm::{NewAttachment, NewOutbound, StoredMessage},
};

use crate::{File, World};

/// A letter to be queued.
#[must_use]
pub struct Letter<'w> {
    world: &'w World,
    new: NewOutbound,
}

impl<'w> Letter<'w> {
    pub(crate) async fn to(world: &'w World, who: &str) -> Self {
        let contact = world.contact_id(who).await;
        let number = world.next_number();
        Self::new(world, contact)
            .subject(&format!("Letter {number}"))
            .to_only(who)
    }

    pub(crate) fn answering(world: &'w World, message: &StoredMessage) -> Self {
        let answered = &message.message;
        let mut letter = Self::new(world, answered.contact_id.clone());
        letter.new.thread = Some(answered.thread.clone());
        letter.new.in_reply_to = Some(answered.key.clone());
        letter
            .subject(&format!("Re: {}", answered.subject))
            .to_only(&answered.sender.address)
    }

    fn new(world: &'w World, contact: String) -> Self {
        let new = NewOutbound {
            tenant: world.seat.tenant.clone(),
            user: world.seat.user.clone(),
            connection: world.connection_id().clone(),
            contact,
            thread: None,
            in_reply_to: None,
            sender: None,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            subject: String::new(),
            text: "Written in the CRM.".to_owned(),
            html: None,
            attachments: Vec::new(),
            when_limited: WhenLimited::Fail,
            kind: OutboundKind::OneToOne,
            hold: std::time::Duration::ZERO,
            idempotency_key: None,
            request_digest: None,
        };
        Self { world, new }
    }

    /// Sets the only recipient.
    pub fn to_only(mut self, address: &str) -> Self {
        self.new.to = vec![mailbox(address)];
        self
    }

    /// Adds a recipient in copy.
    pub fn cc(mut self, address: &str) -> Self {
        self.new.cc.push(mailbox(address));
        self
    }

    /// Adds a recipient in blind copy.
    pub fn bcc(mut self, address: &str) -> Self {
        self.new.bcc.push(mailbox(address));
        self
    }

    /// Sets the sender.
    pub fn from(mut self, address: &str) -> Self {
        self.new.sender = Some(mailbox(address));
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: &str) -> Self {
        subject.clone_into(&mut self.new.subject);
        self
    }

    /// Sets the text.
    pub fn text(mut self, text: &str) -> Self {
        text.clone_into(&mut self.new.text);
        self
    }

    /// Adds HTML beside the text.
    pub fn html(mut self, html: &str) -> Self {
        self.new.html = Some(html.to_owned());
        self
    }

    /// Adds a file.
    pub fn carrying(mut self, file: File) -> Self {
        let attachment = NewAttachment {
            name: file.name,
            media_type: file.media_type,
            content_id: file.content_id,
            disposition: file.disposition,
        };
        let body = Body::Inline(file.bytes.into());
        self.new.attachments.push((attachment, body));
        self
    }

    /// Sends when possible, if the day is full.
    pub fn waiting_at_the_limit(mut self) -> Self {
        self.new.when_limited = WhenLimited::Wait;
        self
    }

    /// Sets what kind of mail it is.
    pub fn kind(mut self, kind: OutboundKind) -> Self {
        self.new.kind = kind;
        self
    }

    /// Gives the request a key of its own.
    pub fn idempotency_key(mut self, key: &str) -> Self {
        self.new.idempotency_key = Some(key.to_owned());
        self
    }

    /// The user presses Send: it waits for the next pass; its id in the CRM.
    pub async fn queued(self) -> String {
        self.world.tick(1_000);
        let queued = self.world.platform.crm.queue_outbound(self.new).await;
        queued.expect("a queue")
    }
}

fn mailbox(address: &str) -> Mailbox {
    Mailbox {
        name: None,
        address: address.to_owned(),
    }
}
