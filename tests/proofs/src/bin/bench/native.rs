//! The plugin's own code without wasm: its ports over [`Memory`], with the time spent in them taken out,
//! as the sandbox takes out the time spent in the host.

use std::{
    cell::Cell,
    future::{Future, ready},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use twinbox_host::clock::{Clock as _, SystemClock};
use twinbox_plugin::{
    contract::{
        Attachment, Change, ChangePage, Class, CommitError, Contact, CrmError, Entry, Expectation, Features,
        Field, Granted, Level, Message, MessageUpdate, OauthError, Outbound, OutboundOutcome, Page, Penalty,
        Person, PersonOutcome, PutOutcome, QuotaError, Report, SharingError, Standing, StorageError, Trigger,
        UpdateOutcome,
    },
    ports, sync,
};

use crate::memory::{MAILBOX, Memory, Put};
use proofs::world::SCOPE;

/// Runs one pass; its report and the time the plugin itself took.
pub(crate) async fn run(memory: &Arc<Memory>) -> (Report, Duration) {
    let native = Native {
        memory: memory.clone(),
        outside: Cell::default(),
    };
    let began = Instant::now();
    let report = sync::run(&native, Trigger::Manual, "").await;
    (report, began.elapsed().saturating_sub(native.outside.get()))
}

struct Native {
    memory: Arc<Memory>,
    /// Time in the ports.
    outside: Cell<Duration>,
}

impl Native {
    fn outside<T>(&self, work: impl FnOnce(&Memory) -> T) -> T {
        let began = Instant::now();
        let result = work(&self.memory);
        self.outside.set(self.outside.get() + began.elapsed());
        result
    }
}

/// No stream: all mail of the comparison comes whole.
struct Whole;

impl ports::Source for Whole {
    async fn next(&mut self) -> Option<Vec<u8>> {
        None
    }
}

impl ports::Sink for Whole {
    async fn write(&mut self, _: Vec<u8>) -> Result<(), ports::Closed> {
        Ok(())
    }
}

impl ports::Http for Native {
    type Source = Whole;
    type Sink = Whole;

    async fn send(&self, request: ports::Request) -> Result<ports::Response<Whole>, ports::Failure> {
        Ok(self.outside(|memory| {
            let content_type = request.content_type.as_deref();
            let body = Bytes::from(request.body);
            let (status, headers, body) = memory.answer(request.method, &request.url, content_type, body);
            ports::Response {
                status,
                headers,
                body: ports::Incoming::Whole(body.to_vec()),
            }
        }))
    }

    fn send_streamed(
        &self,
        request: ports::Request,
        _: u64,
    ) -> (
        Whole,
        impl Future<Output = Result<ports::Response<Whole>, ports::Failure>>,
    ) {
        (Whole, self.send(request))
    }
}

impl ports::Storage for Native {
    async fn get(&self, keys: Vec<String>) -> Result<Vec<Option<Entry>>, StorageError> {
        Ok(self.outside(|memory| {
            keys.into_iter()
                .map(|key| {
                    let (version, value) = memory.read(&key)?;
                    Some(Entry { key, version, value })
                })
                .collect()
        }))
    }

    async fn scan(&self, prefix: &str, after: Option<String>, limit: u32) -> Result<Page, StorageError> {
        Ok(self.outside(|memory| {
            let (found, more) = memory.range(prefix, after.as_deref(), limit);
            let entries = found
                .into_iter()
                .map(|(key, version, value)| Entry { key, version, value });
            Page {
                entries: entries.collect(),
                more,
            }
        }))
    }

    async fn commit(&self, expected: Vec<Expectation>, changes: Vec<Change>) -> Result<(), CommitError> {
        self.outside(|memory| {
            let expected = expected
                .iter()
                .map(|expected| (expected.key.as_str(), expected.version));
            let changes = changes.into_iter().map(|change| (change.key, change.value));
            if memory.change(expected, changes) {
                Ok(())
            } else {
                Err(CommitError::Fenced)
            }
        })
    }
}

impl ports::Oauth for Native {
    async fn grant(&self) -> Result<Granted, OauthError> {
        Ok(Granted {
            subject: "account".to_owned(),
            email: MAILBOX.to_owned(),
            scopes: vec![SCOPE.to_owned()],
        })
    }

    async fn release(&self, _: Vec<ports::Request>) -> Result<(), OauthError> {
        Ok(())
    }
}

impl ports::Crm for Native {
    type Source = Whole;
    type Sink = Whole;

    fn supported(&self) -> Features {
        Features {
            server_idempotency: true,
            deltas: false,
            attachments: true,
            edit_after_log: true,
            outbound: false,
            address_book: false,
            body_limit: 1 << 20,
            subject_limit: 998,
        }
    }

    fn user(&self) -> String {
        "user".to_owned()
    }

    async fn find_contacts(&self, addresses: Vec<String>) -> Result<Vec<Contact>, CrmError> {
        Ok(self.outside(|memory| {
            let found = memory.find(&addresses).into_iter().map(|contact| Contact {
                id: contact.id,
                name: contact.name,
                addresses: contact.addresses,
                created_at: contact.created_at,
                assigned_user: contact.assigned_user,
                private: contact.private,
            });
            found.collect()
        }))
    }

    async fn put_messages(&self, messages: Vec<Message>) -> Result<Vec<PutOutcome>, CrmError> {
        Ok(self.outside(|memory| {
            let put = messages.into_iter().map(|message| {
                memory.note(Put {
                    key: message.key.clone(),
                    subject: message.subject,
                    text: message.content.text,
                    html: message.content.html,
                });
                PutOutcome::Stored(message.key)
            });
            put.collect()
        }))
    }

    async fn put_contacts(&self, _: Vec<Person>) -> Result<Vec<PersonOutcome>, CrmError> {
        Err(CrmError::Unsupported)
    }

    async fn remove_contacts(&self, _: Vec<String>) -> Result<(), CrmError> {
        Err(CrmError::Unsupported)
    }

    async fn find_messages(&self, keys: Vec<String>) -> Result<Vec<Option<String>>, CrmError> {
        Ok(vec![None; keys.len()])
    }

    async fn update_messages(&self, updates: Vec<MessageUpdate>) -> Result<Vec<UpdateOutcome>, CrmError> {
        Ok(updates.iter().map(|_| UpdateOutcome::Done).collect())
    }

    async fn put_attachment(&self, key: &str, _: Attachment, _: Vec<u8>) -> Result<PutOutcome, CrmError> {
        Ok(PutOutcome::Stored(key.to_owned()))
    }

    fn put_attachment_streamed(
        &self,
        key: &str,
        _: Attachment,
    ) -> (Whole, impl Future<Output = Result<PutOutcome, CrmError>>) {
        (Whole, ready(Ok(PutOutcome::Stored(key.to_owned()))))
    }

    async fn open_attachment(&self, _: &str, _: &str) -> Result<ports::Incoming<Whole>, CrmError> {
        Err(CrmError::NotFound)
    }

    async fn changes(&self, _: Option<String>, _: u32) -> Result<ChangePage, CrmError> {
        Err(CrmError::Unsupported)
    }

    async fn next_outbound(&self, _: u32) -> Result<Vec<Outbound>, CrmError> {
        Ok(Vec::new())
    }

    async fn report_outbound(&self, _: &str, _: OutboundOutcome) -> Result<(), CrmError> {
        Ok(())
    }
}

impl ports::Sharing for Native {
    async fn claim(&self, _: &str) -> Result<Standing, SharingError> {
        Ok(Standing::Kept)
    }

    async fn standings(&self, addresses: Vec<String>) -> Result<Vec<Standing>, SharingError> {
        Ok(vec![Standing::Open; addresses.len()])
    }

    async fn release_contact(&self, _: &str) -> Result<(), SharingError> {
        Ok(())
    }
}

impl ports::Quota for Native {
    async fn acquire(&self, _: u32, _: Class) -> Result<(), QuotaError> {
        Ok(())
    }

    fn report(&self, _: Penalty) {}

    fn in_flight(&self) -> u32 {
        8
    }
}

impl ports::Clock for Native {
    fn now(&self) -> u64 {
        self.outside(|_| SystemClock.now())
    }

    async fn sleep(&self, _: u64) {}
}

impl ports::Random for Native {
    fn bytes(&self, length: u32) -> Vec<u8> {
        vec![7; length as usize]
    }
}

impl ports::Log for Native {
    fn write(&self, _: Level, _: &str, _: Vec<Field>) {}
}
