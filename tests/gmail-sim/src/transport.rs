//! How mail travels: what Gmail does to a message that is sent, and what each recipient gets.
//!
//! Sending rewrites `Message-ID` and an unaccepted `From`, keeps `Bcc` in the sender's copy only, and delivers to every
//! mailbox here at once; everybody else's copy goes to the outside outbox. Source: facts 0.3 and 1.12.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use rand::Rng;

use crate::behaviour::{Behaviour, ThreadRule};
use crate::errors::ApiError;
use crate::headers::{Editable, mailbox, rfc2822};
use crate::labels::{INBOX, SENT, UNREAD};
use crate::mailbox::{Account, NewMessage};
use crate::message::{Mailbox, Parsed};
use crate::moment::Moment;
use crate::returns::{Bounce, send_back, send_to_self};
use crate::world::{OutsideMail, World, canonical, receive};

/// A day in milliseconds.
const DAY_MS: i64 = 24 * 3600 * 1000;

/// A message handed to send.
pub(crate) struct Outgoing {
    pub(crate) raw: Bytes,
    pub(crate) thread: Option<u64>,
    /// The draft it was.
    pub(crate) draft: Option<u64>,
}

/// Whether a message that is accepted reaches anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Delivered,
    /// Answered 200, filed in SENT, and bounced.
    Lost,
}

/// Who a sent message goes to.
struct Envelope<'a> {
    /// Key of the sender's account.
    key: &'a str,
    /// The sender's copy.
    sent: u64,
    recipients: &'a BTreeSet<String>,
    /// Those in `Bcc`.
    blind: &'a [Mailbox],
}

/// Sends a message from an account; the answer is the id of the sender's copy.
pub(crate) fn send(world: &mut World, key: &str, outgoing: &Outgoing) -> Result<u64, ApiError> {
    let moment = world.moment();
    check_size(&outgoing.raw, world.limits.send_bytes)?;
    let asked = Parsed::new(outgoing.raw.clone());
    let recipients = recipients(&asked, world.limits.recipients)?;
    let project = world.clients.first().map_or(0, |client| client.project);
    let sends_per_day = world.limits.sends_per_day;
    let behaviour = world.behaviour.clone();
    let lost = std::mem::take(&mut world.next_send_is_lost);
    let account = world.accounts.get_mut(key).ok_or_else(ApiError::not_found)?;
    check_thread(account, outgoing.thread)?;
    let delay = behaviour.sending_limit_delay_ms;
    let fate = match check_sending(account, moment, sends_per_day, delay)? {
        Fate::Delivered if lost => Fate::Lost,
        fate => fate,
    };
    let mut mail = prepare(account, &asked, project, &behaviour, moment.now);
    let sent = file_sent(account, &mail, outgoing, &behaviour, moment);
    account.sent_at.push_back(moment.now);
    if fate == Fate::Lost {
        send_back(world, key, sent, Bounce::SendingLimit);
        world.publish();
        world.settle();
        return Ok(sent);
    }
    mail.remove("Bcc");
    let envelope = Envelope {
        key,
        sent,
        recipients: &recipients,
        blind: &asked.bcc,
    };
    hand_over(world, &envelope, &mail, moment);
    world.publish();
    world.settle();
    Ok(sent)
}

/// The thread a draft or sent message goes into, out of the one it names.
pub(crate) fn joined_thread(
    account: &Account,
    parsed: &Parsed,
    named: Option<u64>,
    behaviour: &Behaviour,
) -> Option<u64> {
    match named {
        Some(thread) => {
            let rule = behaviour.thread_rule;
            let joins = account.may_join(parsed, thread, rule);
            let decided = !joins || rule != ThreadRule::Strict;
            account.hits.when("thread_rule", decided);
            joins.then_some(thread)
        }
        None if behaviour.send_threads_without_id => {
            let thread = account.thread_by_references(parsed);
            account.hits.when("send_threads_without_id", thread.is_some());
            thread
        }
        None => None,
    }
}

/// Refuses a thread that is not in the mailbox.
pub(crate) fn check_thread(account: &Account, thread: Option<u64>) -> Result<(), ApiError> {
    match thread {
        Some(thread) if !account.threads.contains_key(&thread) => Err(ApiError::not_found()),
        _ => Ok(()),
    }
}

/// Refuses a message that is too large.
pub(crate) fn check_size(raw: &[u8], limit: usize) -> Result<(), ApiError> {
    if raw.len() > limit {
        Err(ApiError::too_large(limit))
    } else {
        Ok(())
    }
}

/// A message with the headers that Gmail's own servers add when it arrives.
pub(crate) fn arriving(raw: &[u8], recipient: &str, now: i64, trace: bool) -> Vec<u8> {
    let mut mail = Editable::new(raw);
    if trace {
        add_trace(&mut mail, recipient, now);
    }
    mail.to_bytes()
}

/// Fills in `From` and `Date` of a draft, as Gmail does when it is saved.
pub(crate) fn complete(account: &Account, raw: &[u8], now: i64) -> Bytes {
    let mut mail = Editable::new(raw);
    let (name, address) = account.default_sender();
    mail.set_if_absent("From", &mailbox(name, address));
    mail.set_if_absent("Date", &rfc2822(now));
    mail.set_if_absent("MIME-Version", "1.0");
    Bytes::from(mail.to_bytes())
}

/// A new `Message-ID` in Gmail's style, with brackets.
pub(crate) fn new_message_id(rng: &mut impl Rng) -> String {
    let mut random = || rng.random_range(0..u64::MAX);
    format!("<CA{:016X}{:012x}@mail.gmail.com>", random(), random() >> 16)
}

fn recipients(parsed: &Parsed, limit: usize) -> Result<BTreeSet<String>, ApiError> {
    for (name, list) in [("To", &parsed.to), ("Cc", &parsed.cc), ("Bcc", &parsed.bcc)] {
        if list.iter().any(|mailbox| !plausible(&mailbox.address)) {
            return Err(ApiError::invalid(format!("Invalid {name} header")));
        }
    }
    let all: BTreeSet<String> = parsed
        .to
        .iter()
        .chain(&parsed.cc)
        .chain(&parsed.bcc)
        .map(|mailbox| mailbox.address.clone())
        .collect();
    if all.is_empty() {
        return Err(ApiError::invalid("Recipient address required"));
    }
    if all.len() > limit {
        return Err(ApiError::invalid("Too many recipients"));
    }
    Ok(all)
}

fn plausible(address: &str) -> bool {
    let parts = address.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !address.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// Refuses a mailbox that has sent too much. For a while after the daily limit the refusal is not seen in the answer:
/// "you can't assume that a 200 response means the email was successfully sent".
fn check_sending(
    account: &mut Account,
    moment: Moment,
    per_day: Option<usize>,
    delay_ms: i64,
) -> Result<Fate, ApiError> {
    let now = moment.now;
    while account.sent_at.front().is_some_and(|at| *at <= now - DAY_MS) {
        account.sent_at.pop_front();
    }
    let full = per_day.is_some_and(|limit| account.sent_at.len() >= limit);
    let until = match (account.sending_blocked_until, full) {
        (Some(until), _) if until > now => until,
        (_, true) if delay_ms > 0 => {
            let met_at = *account.sending_limit_met_at.get_or_insert(moment.steady);
            if moment.steady < met_at.saturating_add(delay_ms) {
                account.hits.add("sending_limit_delay_ms");
                return Ok(Fate::Lost);
            }
            account.sent_at.front().map_or(now, |first| first + DAY_MS)
        }
        (_, true) => account.sent_at.front().map_or(now, |first| first + DAY_MS),
        _ => {
            account.sending_limit_met_at = None;
            return Ok(Fate::Delivered);
        }
    };
    Err(ApiError::too_many(format!(
        "{} (Mail sending)",
        crate::fault::retry_after_text(until)
    )))
}

/// The message as it leaves: Gmail's headers filled in or rewritten, `Bcc` still there.
fn prepare(account: &mut Account, asked: &Parsed, project: u64, behaviour: &Behaviour, now: i64) -> Editable {
    let mut mail = Editable::new(&asked.raw);
    let accepted = asked
        .from
        .first()
        .is_some_and(|from| account.accepted_sender(&from.address).is_some());
    let rewritten = !asked.from.is_empty() && !accepted && behaviour.rewrite_from;
    if asked.from.is_empty() || account.hits.when("rewrite_from", rewritten) {
        let (name, address) = account.default_sender();
        mail.set("From", &mailbox(name, address));
    }
    if !behaviour.keep_own_fields && mail.remove_own() {
        account.hits.add("keep_own_fields");
    }
    mail.set_if_absent("Date", &rfc2822(now));
    mail.set_if_absent("MIME-Version", "1.0");
    let id = new_message_id(&mut account.rng);
    if account
        .hits
        .when("rewrite_message_id", behaviour.rewrite_message_id)
    {
        mail.set("Message-ID", &id);
    } else {
        mail.set_if_absent("Message-ID", &id);
    }
    mail.prepend(
        "Received",
        &format!(
            "from {project} named unknown by gmailapi.google.com with HTTPREST; {}",
            rfc2822(now)
        ),
    );
    mail
}

/// Puts the sender's copy into SENT, in place of the draft it was.
fn file_sent(
    account: &mut Account,
    mail: &Editable,
    outgoing: &Outgoing,
    behaviour: &Behaviour,
    moment: Moment,
) -> u64 {
    let mut own = Editable::new(&mail.to_bytes());
    account.hits.when("sender_keeps_bcc", own.get("Bcc").is_some());
    if !behaviour.sender_keeps_bcc {
        own.remove("Bcc");
    }
    let parsed = Parsed::new(Bytes::from(own.to_bytes()));
    let draft = outgoing
        .draft
        .and_then(|draft| account.drafts.get(&draft).copied());
    let draft_thread = draft
        .and_then(|message| account.messages.get(&message))
        .map(|stored| stored.thread);
    if let (Some(message), true) = (draft, behaviour.draft_send_keeps_id) {
        account.hits.add("draft_send_keeps_id");
        account.drafts.retain(|_, of| *of != message);
        account.become_sent(message, Arc::new(parsed), moment);
        return message;
    }
    let thread = match draft_thread {
        Some(thread) => Some(thread),
        None => joined_thread(account, &parsed, outgoing.thread, behaviour),
    };
    let new = NewMessage {
        parsed: Arc::new(parsed),
        labels: BTreeSet::from([SENT.to_owned()]),
        thread,
        internal_date: moment.now,
    };
    match draft {
        Some(message) => {
            let (id, _) = account.replace(message, new, moment);
            if let Some(stored) = account.messages.get_mut(&id) {
                stored.sent_from_draft_at = Some(moment.steady);
            }
            id
        }
        None => account.insert(new, moment).0,
    }
}

/// Delivers to every envelope recipient, to each mailbox once.
fn hand_over(world: &mut World, envelope: &Envelope<'_>, mail: &Editable, moment: Moment) {
    let (key, sent, recipients) = (envelope.key, envelope.sent, envelope.recipients);
    let sender = world
        .accounts
        .get(key)
        .map(|account| account.email.clone())
        .unwrap_or_default();
    let raw = mail.to_bytes();
    let mut reached = BTreeSet::new();
    for recipient in recipients {
        if world.bouncing.contains(&canonical(recipient)) {
            send_back(world, key, sent, Bounce::NoSuchAddress(recipient.clone()));
            continue;
        }
        let Some(target) = world.find_account(recipient) else {
            world.outside.push(OutsideMail {
                at: moment.now,
                sender: sender.clone(),
                recipient: recipient.clone(),
                raw: Bytes::from(raw.clone()),
            });
            continue;
        };
        if !reached.insert(target.clone()) {
            continue;
        }
        let behaviour = &world.behaviour;
        let mut copy = Editable::new(&raw);
        if behaviour.bcc_recipient_sees_self
            && envelope.blind.iter().any(|mailbox| mailbox.address == *recipient)
        {
            world.hits.add("bcc_recipient_sees_self");
            copy.set("Bcc", recipient);
        }
        if world.hits.when("add_trace_headers", behaviour.add_trace_headers) {
            add_trace(&mut copy, recipient, moment.now);
        }
        let copy = Bytes::from(copy.to_bytes());
        if target == key {
            send_to_self(world, key, sent, copy);
        } else if let Some(account) = world.accounts.get_mut(&target) {
            let labels = BTreeSet::from([INBOX.to_owned(), UNREAD.to_owned()]);
            receive(account, copy, labels, moment.now, moment);
        }
    }
}

fn add_trace(mail: &mut Editable, recipient: &str, now: i64) {
    let from = mail.get("From").unwrap_or_default();
    let from = Parsed::new(Bytes::from(format!("From: {from}\r\n\r\n")));
    let domain = from
        .from
        .first()
        .and_then(|mailbox| {
            mailbox
                .address
                .rsplit_once('@')
                .map(|(_, domain)| domain.to_owned())
        })
        .unwrap_or_else(|| "unknown.invalid".to_owned());
    if mail.get("Authentication-Results").is_none() {
        mail.prepend(
            "Authentication-Results",
            &format!(
                "mx.google.com; dkim=pass header.i=@{domain}; spf=pass smtp.mailfrom={domain}; dmarc=pass \
                 header.from={domain}"
            ),
        );
    }
    mail.prepend(
        "Received",
        &format!("by mx.google.com with ESMTPS; {}", rfc2822(now)),
    );
    mail.prepend("Delivered-To", recipient);
}
