//! What people do in Gmail and write to it, outside of Twinbox.

use std::collections::BTreeSet;

use axum::http;
use base64::{Engine as _, engine::general_purpose::URL_SAFE};
use bytes::Bytes;
use gmail_sim::{Contact, Delivery, MessageView, Sim};
use serde_json::{Value, json};

use crate::plan::{
    Act, Answer, BodyKind, BookAct, Folder, Mail, Place, Shape, Spelling, Verdict, Way, Writing,
};

/// Where Gmail publishes what happens.
pub(crate) const TOPIC: &str = "projects/twinbox/topics/gmail";
/// Scope of a person who uses Gmail.
const EVERYTHING: &str = "https://mail.google.com/";
/// When the month of [`START`](crate::world::START) began, s since the epoch.
const SEPTEMBER: u64 = 1_788_220_800;
/// How old an imported message is, ms.
const OLD: u64 = 3 * 24 * 3_600_000;

/// What arriving mail says of its sender (T08): nothing, in Gmail's name, in another server's, or in Gmail's below what Gmail
/// says itself.
const AUTHENTICATION: [Option<&str>; 5] = [
    None,
    Some("mx.google.com; spf=fail\r\nAuthentication-Results: mx.google.com; spf=pass; dkim=pass; dmarc=pass"),
    Some(
        "mx.google.com; dkim=pass header.i=@out.example; spf=softfail smtp.mailfrom=out.example; dmarc=fail",
    ),
    Some("mx.google.com; spf=pass smtp.mailfrom=out.example"),
    Some("mx.out.example; dkim=pass; spf=pass; dmarc=pass"),
];

/// The people and what only they know.
pub(crate) struct People {
    sim: Sim,
    shape: Shape,
    tokens: Vec<Option<String>>,
    serial: u32,
    topics: BTreeSet<(usize, u32)>,
}

/// What a person's act did to a message, for the model.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// It left for good.
    Deleted(Box<MessageView>),
    /// Its labels changed.
    Relabelled(String),
    /// A draft was made of it, or it is one no more.
    Other,
}

impl People {
    pub(crate) fn new(sim: Sim, shape: Shape) -> Self {
        let tokens = vec![None; shape.mailboxes];
        Self {
            sim,
            shape,
            tokens,
            serial: 0,
            topics: BTreeSet::new(),
        }
    }

    /// A number nothing else has; it is in the text of a message, so that the message is known anywhere.
    pub(crate) fn serial(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// Mail comes from outside; its id.
    pub(crate) fn deliver(&mut self, mail: &Mail, now: u64) -> Option<String> {
        let owner = Shape::mailbox(mail.mailbox);
        let others = mail.others.iter().map(|person| self.shape.address(*person));
        let others: Vec<String> = others.collect();
        let (to, cc) = match mail.place {
            Place::To => ([vec![owner.clone()], others].concat(), Vec::new()),
            Place::Cc => (others, vec![owner.clone()]),
            Place::Bcc => (others, Vec::new()),
        };
        let is_first = self.topics.insert((mail.mailbox, mail.topic));
        let head = Head {
            from: match mail.spelling {
                Spelling::Plain => self.shape.address(mail.from),
                Spelling::Tagged => self.shape.address(mail.from).replace('@', "+news@"),
            },
            to,
            cc,
            bcc: None,
            subject: topic(mail.topic, is_first),
            message_id: if is_first {
                root(mail.mailbox, mail.topic)
            } else {
                format!("<{}@out.example>", self.serial + 1)
            },
            reference: (!is_first).then(|| root(mail.mailbox, mail.topic)),
            authentication: AUTHENTICATION[self.serial as usize % AUTHENTICATION.len()],
            at: match mail.folder {
                Folder::Imported => now - OLD,
                Folder::Inbox | Folder::Spam => now,
            },
        };
        let serial = self.serial();
        let raw = write(&head, serial, mail.body);
        let labels = match mail.folder {
            Folder::Inbox => None,
            Folder::Spam => Some(vec!["SPAM".to_owned(), "UNREAD".to_owned()]),
            Folder::Imported => {
                let message = json!({"raw": URL_SAFE.encode(raw), "labelIds": ["INBOX"]});
                let path = "messages/import?internalDateSource=dateHeader";
                self.call(mail.mailbox, "POST", path, &message);
                return None;
            }
        };
        let delivered = self.sim.deliver(&Delivery {
            mailbox: owner,
            raw: raw.into(),
            at: None,
            key: None,
            labels,
        });
        delivered.map(|delivered| delivered.id)
    }

    /// Notifications of a mailbox are published from now on.
    pub(crate) fn watch(&mut self, mailbox: usize) {
        let topic = json!({ "topicName": TOPIC });
        self.call(mailbox, "POST", "watch", &topic);
    }

    /// The owner of a mailbox does something to the address book.
    pub(crate) fn change_book(&mut self, mailbox: usize, act: BookAct, pick: usize) {
        let owner = Shape::mailbox(mailbox);
        let book = self.sim.contacts(&owner).unwrap_or_default();
        let name = format!("Person {pick}");
        let address = format!("b{pick}@book.example");
        if act == BookAct::Add {
            self.sim.add_contact(&owner, &Contact::new(&name, &[&address]));
            return;
        }
        let Some(somebody) = book.get(pick.checked_rem(book.len()).unwrap_or_default()) else {
            return;
        };
        let (id, mut contact) = (somebody.resource_name.as_str(), somebody.contact.clone());
        match act {
            BookAct::Add => {}
            BookAct::Rename => contact.name = Some(name),
            BookAct::Readdress => contact.addresses.insert(0, address),
            BookAct::Unaddress => contact.addresses.clear(),
            BookAct::Merge => {
                let other = &book[(pick / 7) % book.len()].resource_name;
                if other != id {
                    self.sim.merge_contacts(&owner, id, other);
                }
                return;
            }
            BookAct::Delete => {
                self.sim.delete_contact(&owner, id);
                return;
            }
        }
        self.sim.update_contact(&owner, id, &contact);
    }

    /// The owner of a mailbox sends mail.
    pub(crate) fn send(&mut self, mailbox: usize, to: &[usize], cc: &[usize], writing: Writing, now: u64) {
        let serial = self.serial();
        let head = self.letter(mailbox, to, cc, writing, serial, now);
        let raw = URL_SAFE.encode(write(&head, serial, BodyKind::Plain));
        self.call(mailbox, "POST", "messages/send", &json!({"raw": raw}));
    }

    /// The owner of a mailbox sends mail with this address in Bcc; what left for it, if anything did.
    pub(crate) fn log(&mut self, mailbox: usize, logged: &ToLog<'_>, now: u64) -> Option<Bytes> {
        let serial = self.serial();
        let mut head = self.letter(mailbox, logged.to, logged.cc, Writing::New, serial, now);
        if logged.way == Way::Elsewhere {
            if self.shape.aliases.contains(&mailbox) {
                head.from = Shape::alias(mailbox);
            }
            return Some(write(&head, serial, logged.body).into());
        }
        let people = logged.bcc.iter().map(|person| self.shape.address(*person));
        let blind: Vec<String> = people.chain([logged.address.to_owned()]).collect();
        head.bcc = Some(blind.join(", "));
        let before = self.sim.outside().len();
        let raw = URL_SAFE.encode(write(&head, serial, logged.body));
        self.call(mailbox, "POST", "messages/send", &json!({"raw": raw}));
        let left = self.sim.outside().into_iter().skip(before);
        let mut copies = left.filter(|copy| copy.recipient == logged.address);
        copies.next_back().map(|copy| copy.raw)
    }

    /// A server says of one of the messages that were sent that it was not handed over; the notice's id.
    pub(crate) fn notice(
        &mut self,
        mailbox: usize,
        pick: usize,
        recipient: &str,
        verdict: Verdict,
        answer: Answer,
    ) -> Option<String> {
        let owner = Shape::mailbox(mailbox);
        let view = self.sim.mailbox(&owner)?;
        let sent: Vec<&MessageView> = view
            .messages
            .iter()
            .filter(|message| message.has("SENT"))
            .collect();
        let original = sent.get(pick.checked_rem(sent.len())?)?;
        let raw = String::from_utf8_lossy(&original.raw);
        let (id, subject) = (field(&raw, "Message-ID")?, field(&raw, "Subject")?);
        let notice = notice(&owner, recipient, &id, &subject, verdict, answer, self.serial());
        let delivered = self.sim.deliver(&Delivery {
            mailbox: owner,
            raw: notice.into(),
            at: None,
            key: None,
            labels: None,
        });
        delivered.map(|delivered| delivered.id)
    }

    /// The owner of a mailbox does something to one of its messages.
    pub(crate) fn act(&mut self, mailbox: usize, act: Act, pick: usize, now: u64) -> Option<Done> {
        let view = self.sim.mailbox(&Shape::mailbox(mailbox))?;
        let drafts: Vec<&(String, String)> = view
            .drafts
            .iter()
            .filter(|(_, message)| is_own_draft(&view.messages, message))
            .collect();
        let draft = (!drafts.is_empty()).then(|| drafts[pick % drafts.len()].0.clone());
        match (act, draft) {
            (Act::Draft, _) => {
                let raw = self.draft(mailbox, now);
                self.call(mailbox, "POST", "drafts", &json!({"message": {"raw": raw}}));
                return Some(Done::Other);
            }
            (Act::Redraft, Some(draft)) => {
                let raw = self.draft(mailbox, now);
                self.call(
                    mailbox,
                    "PUT",
                    &format!("drafts/{draft}"),
                    &json!({"message": {"raw": raw}}),
                );
                return Some(Done::Other);
            }
            (Act::SendDraft, Some(draft)) => {
                self.call(mailbox, "POST", "drafts/send", &json!({"id": draft}));
                return Some(Done::Other);
            }
            _ => {}
        }
        let mail: Vec<&MessageView> = view
            .messages
            .iter()
            .filter(|message| !message.has("DRAFT"))
            .collect();
        if mail.is_empty() {
            return None;
        }
        let message = mail[pick % mail.len()].clone();
        let path = |verb: &str| format!("messages/{}/{verb}", message.id);
        let relabel = |add: &[&str], remove: &[&str]| json!({"addLabelIds": add, "removeLabelIds": remove});
        let none = json!({});
        let (verb, path, body) = match act {
            Act::Read => ("POST", path("modify"), relabel(&[], &["UNREAD"])),
            Act::Unread => ("POST", path("modify"), relabel(&["UNREAD"], &[])),
            Act::Star => ("POST", path("modify"), relabel(&["STARRED"], &[])),
            Act::Archive => ("POST", path("modify"), relabel(&[], &["INBOX"])),
            Act::Spam => ("POST", path("modify"), relabel(&["SPAM"], &["INBOX"])),
            Act::NotSpam if message.has("SPAM") => ("POST", path("modify"), relabel(&["INBOX"], &["SPAM"])),
            Act::Trash => ("POST", path("trash"), none),
            Act::Untrash => ("POST", path("untrash"), none),
            Act::Delete => ("DELETE", format!("messages/{}", message.id), none),
            _ => return None,
        };
        self.call(mailbox, verb, &path, &body);
        // Whatever the answer says, or if none came: a request that failed may have taken effect all the same.
        let is_there =
            |view: &gmail_sim::MailboxView| view.messages.iter().any(|known| known.id == message.id);
        if act == Act::Delete && self.sim.mailbox(&view.email).is_some_and(|view| is_there(&view)) {
            return None;
        }
        Some(if act == Act::Delete {
            Done::Deleted(Box::new(message))
        } else {
            Done::Relabelled(message.id)
        })
    }

    fn draft(&mut self, mailbox: usize, now: u64) -> String {
        let serial = self.serial();
        let to = serial as usize % self.shape.people;
        let head = self.letter(mailbox, &[to], &[], Writing::New, serial, now);
        URL_SAFE.encode(write(&head, serial, BodyKind::Plain))
    }

    fn letter(
        &self,
        mailbox: usize,
        to: &[usize],
        cc: &[usize],
        writing: Writing,
        serial: u32,
        now: u64,
    ) -> Head {
        let address = |person: &usize| self.shape.address(*person);
        Head {
            from: Shape::mailbox(mailbox),
            to: to.iter().map(address).collect(),
            cc: cc.iter().map(address).collect(),
            bcc: None,
            subject: match writing {
                Writing::New => format!("Written in Gmail {serial}"),
                Writing::Forward => format!("Fwd: News {serial}"),
            },
            message_id: format!("<own-{serial}@corp.example>"),
            reference: None,
            authentication: None,
            at: now,
        }
    }

    /// A request of the mailbox's owner; the status.
    fn call(&mut self, mailbox: usize, verb: &str, path: &str, body: &Value) -> u16 {
        for _ in 0..2 {
            let sim = &self.sim;
            let token = self.tokens[mailbox].get_or_insert_with(|| {
                let issued = sim.issue_token(&Shape::mailbox(mailbox), &[EVERYTHING]);
                issued.map(|tokens| tokens.access_token).unwrap_or_default()
            });
            let request = http::Request::builder()
                .method(verb)
                .uri(format!("https://gmail.googleapis.com/gmail/v1/users/me/{path}"))
                .header("authorization", format!("Bearer {token}"))
                .header("content-type", "application/json")
                .body(Bytes::from(body.to_string()));
            #[expect(clippy::expect_used, reason = "all of its parts are written here")]
            let status = self.sim.handle(request.expect("a request")).status().as_u16();
            if status != 401 {
                return status;
            }
            self.tokens[mailbox] = None;
        }
        401
    }
}

/// Drafts of the user, not of the CRM.
fn is_own_draft(messages: &[MessageView], id: &str) -> bool {
    messages
        .iter()
        .find(|message| message.id == id)
        .and_then(|message| message.subject())
        .is_some_and(|subject| subject.starts_with("Written in Gmail"))
}

/// Mail that is to be logged by a BCC address.
pub(crate) struct ToLog<'l> {
    pub(crate) to: &'l [usize],
    pub(crate) cc: &'l [usize],
    /// In Bcc beside the address.
    pub(crate) bcc: &'l [usize],
    pub(crate) address: &'l str,
    pub(crate) body: BodyKind,
    pub(crate) way: Way,
}

/// The head of a message.
struct Head {
    from: String,
    to: Vec<String>,
    cc: Vec<String>,
    bcc: Option<String>,
    subject: String,
    message_id: String,
    reference: Option<String>,
    authentication: Option<&'static str>,
    at: u64,
}

fn topic(number: u32, is_first: bool) -> String {
    if is_first {
        format!("Topic {number}")
    } else {
        format!("Re: Topic {number}")
    }
}

fn root(mailbox: usize, topic: u32) -> String {
    format!("<topic-{topic}-{mailbox}@out.example>")
}

/// The value of a header field that is on one line.
pub(crate) fn field(raw: &str, name: &str) -> Option<String> {
    let lines = raw.lines();
    let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    values.next().map(|value| value.trim().to_owned())
}

/// A notice as another server than Gmail's writes it (RFC 3464).
fn notice(
    owner: &str,
    recipient: &str,
    original: &str,
    subject: &str,
    verdict: Verdict,
    answer: Answer,
    serial: u32,
) -> Vec<u8> {
    let (subject_of_notice, references) = match answer {
        Answer::InThread => (
            format!("Re: {subject}"),
            format!("References: {original}\r\nIn-Reply-To: {original}\r\n"),
        ),
        Answer::Elsewhere => ("Undelivered Mail Returned to Sender".to_owned(), String::new()),
    };
    let (action, status) = match verdict {
        Verdict::Failed => ("failed", "5.1.1"),
        Verdict::Delayed => ("delayed", "4.4.1"),
    };
    format!(
        "From: Mail Delivery System <mailer-daemon@mx.example>\r\nTo: {owner}\r\nSubject: {subject_of_notice}\r\n\
         Message-ID: <notice-{serial}@mx.example>\r\n{references}MIME-Version: 1.0\r\nContent-Type: multipart/report; \
         report-type=delivery-status; boundary=n\r\n\r\n--n\r\nContent-Type: text/plain\r\n\r\nNicht zugestellt\r\n--n\r\n\
         Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; \
         {recipient}\r\nAction: {action}\r\nStatus: {status}\r\n\r\n--n\r\nContent-Type: text/rfc822-headers\r\n\r\n\
         Subject: {subject}\r\nMessage-ID: {original}\r\n\r\n--n--\r\n"
    )
    .into_bytes()
}

/// The mark by which a message is known anywhere.
pub(crate) fn mark(serial: u32) -> String {
    format!("SERIAL-{serial}.")
}

/// The mark in a message or its text.
pub(crate) fn mark_in(text: &str) -> Option<&str> {
    let start = text.find("SERIAL-")?;
    let end = text[start..].find('.')?;
    Some(&text[start..=start + end])
}

fn write(head: &Head, serial: u32, body: BodyKind) -> Vec<u8> {
    let mark = mark(serial);
    let mut text = format!(
        "From: Somebody <{}>\r\nSubject: {}\r\nMessage-ID: {}\r\nDate: {}\r\nMIME-Version: 1.0\r\n",
        head.from,
        head.subject,
        head.message_id,
        date(head.at)
    );
    for (name, list) in [("To", &head.to), ("Cc", &head.cc)] {
        if !list.is_empty() {
            text.extend([name, ": ", &list.join(", "), "\r\n"]);
        }
    }
    if let Some(bcc) = &head.bcc {
        text.extend(["Bcc: ", bcc, "\r\n"]);
    }
    if let Some(reference) = &head.reference {
        text.extend(["In-Reply-To: ", reference, "\r\nReferences: ", reference, "\r\n"]);
    }
    if let Some(results) = head.authentication {
        text.extend(["Authentication-Results: ", results, "\r\n"]);
    }
    let content = match body {
        BodyKind::Plain => {
            format!("Content-Type: text/plain; charset=utf-8\r\n\r\nGr\u{fc}\u{df}e {mark}\r\n")
        }
        BodyKind::Html => format!(
            "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{mark}\r\n\
             --b\r\nContent-Type: text/html\r\n\r\n<p onclick=x()>{mark}</p><script>x()</script>\r\n--b--\r\n"
        ),
        BodyKind::Attachment => format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{mark}\r\n\
             --b\r\nContent-Type: application/octet-stream\r\nContent-Disposition: attachment; filename=a.bin\r\n\r\n\
             bytes of {mark}\r\n--b--\r\n"
        ),
        BodyKind::Broken => format!(
            "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n{mark}\r\n\
             --b\r\nContent-Type: text/html; charset=\"no such\r\nContent-Transfer-Encoding: base64\r\n\r\n=Z!"
        ),
    };
    text.push_str(&content);
    text.into_bytes()
}

/// RFC 5322, for a time in the month of [`START`](crate::world::START), which is September 2026.
fn date(at: u64) -> String {
    let seconds = at / 1_000 - SEPTEMBER;
    let (day, hours) = (seconds / 86_400 + 1, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    format!("{day:02} Sep 2026 {hours:02}:{minutes:02}:{seconds:02} +0000")
}
