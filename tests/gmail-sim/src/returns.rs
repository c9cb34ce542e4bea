//! What comes back to the sender: mail to oneself, and the notice that a message did not arrive.
//!
//! Both may come later than the answer ([`crate::Behaviour`]). A notice goes into the thread of its message, as
//! multipart/report. Source: facts 1.2 and 1.12; RFC 3464.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::headers::rfc2822;
use crate::labels::{INBOX, UNREAD};
use crate::later::Later;
use crate::mailbox::NewMessage;
use crate::message::Parsed;
use crate::transport::new_message_id;
use crate::world::{World, receive};

/// Why a message comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Bounce {
    /// The recipient's address does not exist.
    NoSuchAddress(String),
    /// The sender has sent too much.
    SendingLimit,
}

/// A message comes back, at once or later.
pub(crate) fn send_back(world: &mut World, key: &str, sent: u64, why: Bounce) {
    let item = Later::Bounce {
        key: key.to_owned(),
        sent,
        why,
    };
    put_off(world, world.behaviour.bounce_delay_ms, "bounce_delay_ms", item);
}

/// Mail to oneself arrives, at once or later.
pub(crate) fn send_to_self(world: &mut World, key: &str, sent: u64, copy: Bytes) {
    let item = Later::ToSelf {
        key: key.to_owned(),
        sent,
        copy,
    };
    put_off(
        world,
        world.behaviour.self_delivery_delay_ms,
        "self_delivery_delay_ms",
        item,
    );
}

/// Mail to oneself arrives: the sent message gets the inbox's labels, unless it is gone or the two are kept apart.
pub(crate) fn deliver_to_self(world: &mut World, key: &str, sent: u64, copy: Bytes) {
    let (moment, merges) = (world.moment(), world.behaviour.merge_self_sent);
    let Some(account) = world.accounts.get_mut(key) else {
        return;
    };
    account.hits.add("merge_self_sent");
    let arrived = [INBOX.to_owned(), UNREAD.to_owned()];
    if merges && account.messages.contains_key(&sent) {
        account.relabel(sent, &arrived, &[], moment);
    } else {
        receive(account, copy, arrived.into_iter().collect(), moment.now, moment);
    }
}

/// The notice that a message did not arrive, in its thread (RFC 3464).
pub(crate) fn bounce(world: &mut World, key: &str, sent: u64, why: &Bounce) {
    let moment = world.moment();
    let Some(account) = world.accounts.get_mut(key) else {
        return;
    };
    let Some(stored) = account.messages.get(&sent) else {
        return;
    };
    let (thread, parsed) = (stored.thread, Arc::clone(&stored.parsed));
    let original = parsed.message_id.clone().unwrap_or_default();
    let subject = &parsed.subject;
    let everybody = parsed.to.iter().chain(&parsed.cc).chain(&parsed.bcc);
    let (recipients, headline, text, status) = match why {
        Bounce::NoSuchAddress(recipient) => (
            vec![recipient.clone()],
            "Address not found",
            format!(
                "Your message wasn't delivered to {recipient} because the address couldn't be found, or is unable to \
                 receive mail."
            ),
            "5.1.1",
        ),
        Bounce::SendingLimit => (
            everybody.map(|mailbox| mailbox.address.clone()).collect(),
            "Message not sent",
            "You have reached a limit for sending mail. Your message was not sent.".to_owned(),
            "5.4.5",
        ),
    };
    let id = new_message_id(&mut account.rng).replace("mail.gmail.com", "mx.google.com");
    let report = |recipient: &String| {
        format!("Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: {status}\r\n")
    };
    let reports = recipients.iter().map(report).collect::<Vec<_>>().join("\r\n");
    let mail = format!(
        "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\nTo: {to}\r\nSubject: Delivery Status Notification \
         (Failure)\r\nMessage-ID: {id}\r\nDate: {date}\r\nAuto-Submitted: auto-replied\r\nX-Failed-Recipients: \
         {failed}\r\nReferences: <{original}>\r\nIn-Reply-To: <{original}>\r\nMIME-Version: 1.0\r\nContent-Type: \
         multipart/report; report-type=delivery-status; boundary=\"bounce\"\r\n\r\n--bounce\r\nContent-Type: text/plain; \
         charset=UTF-8\r\n\r\n** {headline} **\r\n\r\n{text}\r\n\r\n--bounce\r\nContent-Type: \
         message/delivery-status\r\n\r\nReporting-MTA: dns; googlemail.com\r\n\r\n{reports}\r\n--bounce\r\nContent-Type: \
         text/rfc822-headers\r\n\r\nMessage-ID: <{original}>\r\nSubject: {subject}\r\n\r\n--bounce--\r\n",
        to = account.email,
        date = rfc2822(moment.now),
        failed = recipients.join(", "),
    );
    let new = NewMessage {
        parsed: Arc::new(Parsed::new(Bytes::from(mail))),
        labels: BTreeSet::from([INBOX.to_owned(), UNREAD.to_owned()]),
        thread: Some(thread),
        internal_date: moment.now,
    };
    account.insert(new, moment);
}

fn put_off(world: &mut World, delay_ms: i64, switch: &'static str, item: Later) {
    let delay_ms = delay_ms.max(0);
    world.hits.when(switch, delay_ms > 0);
    let due = world.steady().saturating_add(delay_ms);
    world.agenda.add(due, item);
}
