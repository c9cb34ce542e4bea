//! Calls of the host with arbitrary values, made of bytes that a fuzzer gives.
//!
//! The bytes are read as decisions, one after the other, and when they are used up the calls end. So the same bytes
//! make the same calls, and a fuzzer that changes a byte changes one decision.

use std::{future::Future, pin::pin, task::Poll};

use crate::{
    bindings::{
        twinbox::sync::{
            clock, crm,
            http::{self, Body, Credential, Request, Streamed},
            log,
            messages::{
                Attachment, Authentication, Content, Direction, Disposition, Flags, Message, MessageUpdate,
                OutboundOutcome, Person, Undelivered, UndeliveredKind,
            },
            oauth, quota, random, sharing, storage,
            types::{Field, Mailbox, Problem},
        },
        wit_stream,
    },
    drain,
};

/// Makes the calls that the bytes ask for; how many.
pub(crate) async fn calls(bytes: Vec<u8>) -> String {
    let mut choices = Choices { bytes, at: 0 };
    let mut made = 0;
    while !choices.is_over() && made < 200 {
        let kind = choices.below(22);
        let patience = choices.below(4);
        let mut call = pin!(call(kind, &mut choices));
        if patience == 0 {
            // Walks away after one look.
            std::future::poll_fn(|context| {
                let _ = call.as_mut().poll(context);
                Poll::Ready(())
            })
            .await;
        } else {
            call.await;
        }
        made += 1;
    }
    format!("{made} calls")
}

async fn call(kind: usize, choices: &mut Choices) {
    match kind {
        0..=3 => {
            if let Ok(response) = http::send(request(choices)).await {
                drain(response.body).await;
            }
        }
        4 => drop(storage::get(list(choices, Choices::key)).await),
        5 => {
            let after = choices.option(Choices::key);
            let (prefix, limit) = (choices.key(), choices.number32());
            drop(storage::scan(prefix, after, limit).await);
        }
        6 | 7 => {
            let expectations = list(choices, |c| storage::Expectation {
                key: c.key(),
                version: c.option(Choices::number),
            });
            let changes = list(choices, |c| storage::Change {
                key: c.key(),
                value: c.option(Choices::bytes),
            });
            drop(storage::commit(expectations, changes).await);
        }
        8 => drop(oauth::grant().await),
        9 => drop(oauth::release(list(choices, request)).await),
        10 => drop(crm::find_contacts(list(choices, Choices::text)).await),
        11 => drop(crm::put_messages(list(choices, message)).await),
        12 => {
            let persons = list(choices, |c| Person {
                key: c.text(),
                name: c.text(),
                addresses: list(c, Choices::text),
            });
            drop(crm::put_contacts(persons).await);
            drop(crm::remove_contacts(list(choices, Choices::text)).await);
        }
        13 => drop(crm::find_messages(list(choices, Choices::text)).await),
        14 => {
            let updates = list(choices, |c| MessageUpdate {
                key: c.text(),
                flags: c.option(flags),
                deleted: c.yes(),
                released: c.yes(),
                retracted: c.option(Choices::text),
                undelivered: list(c, |c| Undelivered {
                    recipient: c.text(),
                    kind: if c.yes() {
                        UndeliveredKind::Failed
                    } else {
                        UndeliveredKind::Delayed
                    },
                    status: c.text(),
                    diagnostic: c.text(),
                }),
            });
            drop(crm::update_messages(updates).await);
        }
        15 => {
            let (key, attachment) = (choices.text(), attachment(choices));
            drop(crm::put_attachment(key, attachment, body(choices)).await);
        }
        16 => {
            let (outbound, id, limit) = (choices.text(), choices.text(), choices.number());
            if let Ok(body) = crm::open_attachment(outbound, id, limit).await {
                drain(body).await;
            }
        }
        17 => {
            let cursor = choices.option(Choices::text);
            drop(crm::changes(cursor, choices.number32()).await);
        }
        18 => {
            drop(crm::next_outbound(choices.number32()).await);
            let id = choices.text();
            let outcome = match choices.below(2) {
                0 => OutboundOutcome::Failed(Problem::Other(choices.text())),
                _ => OutboundOutcome::Unconfirmed(Problem::RateLimited(choices.number())),
            };
            drop(crm::report_outbound(id, outcome).await);
        }
        19 => {
            drop(sharing::claim(choices.text()).await);
            drop(sharing::standings(list(choices, Choices::text)).await);
            drop(sharing::release(choices.text()).await);
            drop(crm::user());
        }
        20 => {
            let class = [
                quota::Class::Send,
                quota::Class::Live,
                quota::Class::Backfill,
                quota::Class::Audit,
            ];
            drop(quota::acquire(choices.number32(), class[choices.below(4)]).await);
            quota::report(match choices.below(4) {
                0 => quota::Penalty::MailboxUntil(choices.number()),
                1 => quota::Penalty::SendingUntil(choices.number()),
                2 => quota::Penalty::ProjectUntil(choices.number()),
                _ => quota::Penalty::Concurrency,
            });
            quota::in_flight();
        }
        _ => {
            let levels = [
                log::Level::Debug,
                log::Level::Info,
                log::Level::Warning,
                log::Level::Error,
            ];
            log::write(levels[choices.below(4)], &choices.text(), &list(choices, field));
            clock::now();
            clock::sleep(choices.number()).await;
            // More is a trap, which ends the pass: `random` in the tests of the sandbox.
            random::bytes(choices.number32().min(4_096));
        }
    }
}

fn request(c: &mut Choices) -> Request {
    const METHODS: [&str; 8] = ["GET", "POST", "PUT", "DELETE", "get", "CONNECT", "", "G\r\nET"];
    const URLS: [&str; 14] = [
        "https://mail.example/",
        "https://mail.example/size/100000",
        "https://mail.example/unsized/3000",
        "https://mail.example/short/5000",
        "https://mail.example/401",
        "https://mail.example/redirect",
        "https://inside.example/",
        "https://other.example/",
        "https://mail.example:443/a?b#c",
        "https://mail.example./",
        "https://user:password@mail.example/",
        "https://[::ffff:169.254.169.254]/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
    ];
    let url = match c.below(4) {
        0 => c.text(),
        1 => format!("https://mail.example/{}", c.text()),
        _ => URLS[c.below(URLS.len())].to_owned(),
    };
    Request {
        method: METHODS[c.below(METHODS.len())].to_owned(),
        url,
        headers: list(c, field),
        body: body(c),
        credential: if c.yes() {
            Credential::Mailbox
        } else {
            Credential::None
        },
        inline_limit: c.number(),
    }
}

fn body(c: &mut Choices) -> Body {
    match c.below(4) {
        0 => Body::Empty,
        1 => Body::Inline(c.bytes()),
        _ => {
            let (mut writer, bytes) = wit_stream::new::<u8>();
            let (content, length) = (c.bytes(), c.option(Choices::number));
            if c.yes() {
                wit_bindgen::spawn_local(async move {
                    writer.write_all(content).await;
                });
            }
            Body::Streamed(Streamed { bytes, length })
        }
    }
}

fn field(c: &mut Choices) -> Field {
    const NAMES: [&str; 8] = [
        "accept",
        "Authorization",
        "host",
        "cookie",
        "x-a\r\nx-b",
        "content-length",
        "Transfer-Encoding",
        "te",
    ];
    let name = if c.yes() {
        c.text()
    } else {
        NAMES[c.below(NAMES.len())].to_owned()
    };
    Field {
        name,
        value: c.text(),
    }
}

fn message(c: &mut Choices) -> Message {
    Message {
        key: c.text(),
        thread: c.text(),
        contact_id: c.text(),
        direction: if c.yes() {
            Direction::Inbound
        } else {
            Direction::Outbound
        },
        message_id: c.option(Choices::text),
        subject: c.text(),
        sender: mailbox(c),
        reply_to: list(c, mailbox),
        to: list(c, mailbox),
        cc: list(c, mailbox),
        bcc: list(c, mailbox),
        received_at: c.number(),
        dated_at: c.option(Choices::number),
        content: Content {
            text: c.text(),
            quoted_at: c.option(Choices::number32),
            html: c.option(Choices::text),
            truncated: c.yes(),
        },
        attachments: list(c, attachment),
        flags: flags(c),
        authentication: c.option(|c| Authentication {
            spf: c.option(Choices::text),
            dkim: c.option(Choices::text),
            dmarc: c.option(Choices::text),
        }),
        rule: c.text(),
    }
}

fn mailbox(c: &mut Choices) -> Mailbox {
    Mailbox {
        name: c.option(Choices::text),
        address: c.text(),
    }
}

fn flags(c: &mut Choices) -> Flags {
    Flags {
        unread: c.yes(),
        starred: c.yes(),
        archived: c.yes(),
        trashed: c.yes(),
    }
}

fn attachment(c: &mut Choices) -> Attachment {
    Attachment {
        part: c.text(),
        name: c.text(),
        media_type: c.text(),
        size: c.number(),
        content_id: c.option(Choices::text),
        disposition: if c.yes() {
            Disposition::Attached
        } else {
            Disposition::Inline
        },
    }
}

/// Mostly short, sometimes longer than any list may be.
fn list<T>(c: &mut Choices, mut item: impl FnMut(&mut Choices) -> T) -> Vec<T> {
    let length = match c.below(16) {
        0 => 1_001,
        length => length % 4,
    };
    (0..length).map(|_| item(c)).collect()
}

struct Choices {
    bytes: Vec<u8>,
    at: usize,
}

impl Choices {
    fn is_over(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// The next byte; 0 when there is none left.
    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn option<T>(&mut self, some: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.yes().then(|| some(self))
    }

    /// Small, or at the edge of something.
    fn number(&mut self) -> u64 {
        const EDGES: [u64; 8] = [0, 1, 1 << 20, 1 << 31, 1 << 32, 1 << 63, u64::MAX - 1, u64::MAX];
        match self.byte() {
            edge @ 0..=63 => EDGES[usize::from(edge) % 8],
            _ => u64::from(self.byte()) << self.below(24),
        }
    }

    fn number32(&mut self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// Mostly short, sometimes large.
    fn bytes(&mut self) -> Vec<u8> {
        match self.below(12) {
            0 => vec![self.byte(); 70_000],
            length => (0..length).map(|_| self.byte()).collect(),
        }
    }

    fn text(&mut self) -> String {
        const TEXTS: [&str; 12] = [
            "",
            "c",
            "ann@client.example",
            "m1",
            "../../etc/passwd",
            "'; drop table messages; --",
            "\0",
            "a\r\nb: c",
            "\u{202e}\u{feff}",
            "%00%2e%2e",
            "{\"a\":[",
            "𝒳\u{10ffff}",
        ];
        match self.below(4) {
            0 => String::from_utf8_lossy(&self.bytes()).into_owned(),
            _ => TEXTS[self.below(TEXTS.len())].to_owned(),
        }
    }

    fn key(&mut self) -> String {
        match self.below(4) {
            0 => "k".repeat(self.below(200) * 4),
            1 => "theirs-c/secret".to_owned(),
            _ => self.text(),
        }
    }
}
