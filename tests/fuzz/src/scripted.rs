//! A world whose every answer a fuzzer decides: statuses, header fields, JSON that is almost Gmail's, contacts, grants,
//! and what lies in the storage under the component's own keys. Waiting takes no time.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream;
use secrecy::SecretString;
use twinbox_host::{
    body::Body,
    capability::{Capabilities, Line, LogSink},
    clock::Clock,
    contract::Field,
    egress::{Denial, Failure, FailureKind, Http, Request, RequestBudget, Response},
    quota::{Class, Penalty, Quota, QuotaError},
    random::SeededRandom,
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::{Sharing, SharingError, Standing},
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

use crate::Choices;

mod crm;
mod gmail;

/// The mailbox.
pub(crate) const ME: &str = "me@acme.example";
/// The contact.
const ANN: &str = "ann@client.example";

/// The world. Decisions are taken from the fuzzer's bytes in the order in which somebody asks.
pub(crate) struct Scripted {
    bytes: Vec<u8>,
    /// How much more seldom than in the wildest world something goes wrong.
    calm: usize,
    used: Mutex<usize>,
    keys: Mutex<BTreeMap<String, Entry>>,
    time: AtomicU64,
    /// Request lines, in order.
    pub(crate) requests: Mutex<Vec<String>>,
}

impl Scripted {
    pub(crate) fn new(bytes: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            bytes: bytes.to_vec(),
            calm: [1, 4, 20, 100][usize::from(bytes.first().copied().unwrap_or_default()) % 4],
            used: Mutex::new(1),
            keys: Mutex::default(),
            time: AtomicU64::new(1_790_000_000_000),
            requests: Mutex::default(),
        })
    }

    /// What a pass gets of it.
    pub(crate) fn capabilities(self: &Arc<Self>) -> Capabilities {
        let connection = ConnectionId::new("c");
        let scope = Scope {
            tenant: TenantId::new("t"),
            user: UserId::new("u"),
            connection: connection.clone(),
            account: "account".into(),
        };
        Capabilities {
            store: self.clone(),
            vault: self.clone(),
            crm: self.clone(),
            quota: self.clone(),
            sharing: self.clone(),
            clock: self.clone(),
            random: Arc::new(SeededRandom::new(1)),
            http: self.clone(),
            log: self.clone(),
            ..Capabilities::denying(scope, Lease { connection, fence: 1 })
        }
    }

    /// How a tenant stands with a contact.
    fn standing(&self) -> Result<Standing, SharingError> {
        self.decide(|choices| match choices.below(16) {
            0 => Err(SharingError::Unavailable("scripted".into())),
            1 => Err(SharingError::Left),
            2 | 3 => Ok(Standing::Released(choices.number())),
            4..8 => Ok(Standing::Kept),
            _ => Ok(Standing::Open),
        })
    }

    /// Decides something with the next bytes.
    pub(crate) fn decide<T>(&self, decide: impl FnOnce(&mut Choices<'_>) -> T) -> T {
        let mut used = lock(&self.used);
        let mut choices = Choices::new(self.bytes.get(*used..).unwrap_or_default()).calm(self.calm);
        let decided = decide(&mut choices);
        *used = (self.bytes.len() - choices.rest().len()).max(*used);
        decided
    }

    /// Decides on a text.
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is of one lifetime, the decision of any"
    )]
    pub(crate) fn text(&self) -> String {
        self.decide(|choices| choices.text())
    }

    /// Once in so many times, when bytes are left: a world without decisions works.
    fn fails(&self, times: usize) -> bool {
        self.decide(|choices| choices.once_in(times))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Http for Scripted {
    async fn send(&self, _: &Scope, budget: &RequestBudget, request: Request) -> Result<Response, Failure> {
        budget.take()?;
        lock(&self.requests).push(format!("{} {}", request.method, request.url));
        // Whoever streams is read to the end, or not.
        if self.fails(16) {
            return Err(self.decide(failure));
        }
        let _ = request.body.collect(64 << 20).await;
        let body = self.decide(|choices| gmail::answer(&request.url, choices));
        let status = self.decide(|choices| {
            if choices.once_in(12) {
                *choices.pick(&[
                    &400_u16, &401, &403, &404, &409, &410, &429, &500, &503, &304, &0, &999,
                ])
            } else {
                200
            }
        });
        let headers = self.decide(|choices| {
            let mut headers = choices.list(3, |choices| Field {
                name: choices.text(),
                value: choices.text(),
            });
            let date = choices.pick(&[
                "Mon, 21 Sep 2026 14:13:20 GMT",
                "x",
                "Fri, 31 Dec 9999999 99:99:99",
                "",
            ]);
            headers.push(Field {
                name: "date".into(),
                value: date.to_owned(),
            });
            if choices.once_in(3) {
                let wait = choices.pick(&[
                    "1",
                    "0",
                    "-1",
                    "99999999999999999999",
                    "Mon, 21 Sep 2026 14:13:20 GMT",
                    "x",
                ]);
                headers.push(Field {
                    name: "retry-after".into(),
                    value: wait.to_owned(),
                });
            }
            headers
        });
        let length = self.decide(|choices| (!choices.once_in(4)).then_some(body.len() as u64));
        let inline = usize::try_from(request.inline_limit).unwrap_or(usize::MAX);
        let body = if body.len() > inline || self.fails(20) {
            let parts: Vec<_> = body
                .chunks(1_000)
                .map(|part| Ok(Bytes::copy_from_slice(part)))
                .collect();
            Body::Stream(Box::pin(stream::iter(parts)))
        } else {
            Body::Inline(body.into())
        };
        Ok(Response {
            status,
            headers,
            body,
            length,
        })
    }
}

fn failure(choices: &mut Choices<'_>) -> Failure {
    let kind = match choices.below(8) {
        0 => FailureKind::Denied(Denial::RequestLimit),
        1 => FailureKind::ReconnectNeeded,
        2 => FailureKind::CredentialUnavailable,
        3 => FailureKind::Dns,
        4 => FailureKind::Protocol,
        5 => FailureKind::Timeout,
        6 => FailureKind::Interrupted,
        _ => FailureKind::Other(choices.text()),
    };
    Failure {
        kind,
        request_sent: choices.yes(),
        retryable: choices.yes(),
    }
}

#[async_trait]
impl Store for Scripted {
    async fn get(&self, _: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        if self.fails(60) {
            return Err(StoreError::Unavailable(self.text()));
        }
        let mut entries: Vec<_> = keys.iter().map(|key| self.held(key)).collect();
        if self.fails(60) {
            entries.truncate(self.decide(|choices| choices.below(3)));
        }
        Ok(entries)
    }

    async fn scan(
        &self,
        _: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let keys: Vec<String> = lock(&self.keys)
            .keys()
            .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .cloned()
            .collect();
        let limit = limit as usize;
        let entries = keys.iter().take(limit).filter_map(|key| self.held(key)).collect();
        Ok(Page {
            entries,
            more: keys.len() > limit || self.fails(60),
        })
    }

    async fn commit(
        &self,
        _: &Lease,
        expected: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        match self.decide(|choices| if choices.once_in(20) { choices.below(4) } else { 0 }) {
            1 => return Err(CommitError::Fenced),
            2 => return Err(StoreError::Unavailable("x".into()).into()),
            3 => return Err(StoreError::OverLimit("x".into()).into()),
            _ => {}
        }
        let mut keys = lock(&self.keys);
        if expected
            .iter()
            .any(|e| keys.get(&e.key).map(|entry| entry.version) != e.version)
        {
            return Err(CommitError::Stale(
                expected.iter().map(|e| keys.get(&e.key).cloned()).collect(),
            ));
        }
        for change in changes {
            let version = keys.get(&change.key).map_or(0, |entry| entry.version) + 1;
            match &change.value {
                Some(value) => drop(keys.insert(
                    change.key.clone(),
                    Entry {
                        key: change.key.clone(),
                        version,
                        value: value.clone(),
                    },
                )),
                None => drop(keys.remove(&change.key)),
            }
        }
        Ok(())
    }

    async fn acquire(&self, _: &ConnectionId, _: u64, _: u64) -> Result<Option<Lease>, StoreError> {
        Ok(None)
    }

    async fn renew(&self, _: &Lease, _: u64) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn release(&self, _: &Lease) -> Result<(), StoreError> {
        Ok(())
    }
}

impl Scripted {
    /// What is stored, or what somebody has made of it.
    fn held(&self, key: &str) -> Option<Entry> {
        let mut entry = lock(&self.keys).get(key).cloned()?;
        if self.fails(24) {
            entry.value = self.decide(|choices| {
                choices.damaged(entry.value, &[b"{}", b"null", b"18446744073709551615", b"\"\""])
            });
        }
        Some(entry)
    }
}

#[async_trait]
impl Vault for Scripted {
    async fn grant(&self, _: &ConnectionId) -> Result<Grant, VaultError> {
        if self.fails(24) {
            return Err(VaultError::ReconnectNeeded);
        }
        Ok(self.decide(|choices| Grant {
            subject: choices.text(),
            email: if choices.once_in(8) {
                choices.text()
            } else {
                ME.to_owned()
            },
            scopes: if choices.once_in(8) {
                choices.list(3, Choices::text)
            } else {
                vec!["https://www.googleapis.com/auth/gmail.modify".to_owned()]
            },
        }))
    }

    async fn access_token(&self, _: &ConnectionId, _: Freshness) -> Result<SecretString, VaultError> {
        Err(VaultError::NoGrant)
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(if self.fails(2) {
            Holders::Others
        } else {
            Holders::Last
        })
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        if self.fails(8) {
            Err(VaultError::Sealed)
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Quota for Scripted {
    async fn acquire(&self, _: &Scope, _: u32, _: Class) -> Result<(), QuotaError> {
        if self.fails(100) {
            return Err(self.decide(|choices| match choices.below(2) {
                0 => QuotaError::WaitUntil(choices.number()),
                _ => QuotaError::Refused(choices.text()),
            }));
        }
        Ok(())
    }

    fn report(&self, _: &Scope, _: Penalty) {}

    fn in_flight(&self, _: &Scope) -> u32 {
        self.decide(|choices| {
            if choices.once_in(4) {
                choices.pick(&[&0_u32, &1, &u32::MAX]).to_owned()
            } else {
                8
            }
        })
    }
}

#[async_trait]
impl Sharing for Scripted {
    async fn claim(&self, _: &Scope, _: &str) -> Result<Standing, SharingError> {
        self.standing()
    }

    async fn standings(&self, _: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        // Sometimes one too few.
        let number = self.decide(|choices| addresses.len().saturating_sub(choices.once_in(8).into()));
        (0..number).map(|_| self.standing()).collect()
    }

    async fn release(&self, _: &Scope, _: &str) -> Result<(), SharingError> {
        self.standing().map(drop)
    }

    async fn join(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
    }

    async fn leave(&self, _: &Scope) -> Result<(), SharingError> {
        Ok(())
    }
}

#[async_trait]
impl Clock for Scripted {
    fn now(&self) -> u64 {
        self.time.fetch_add(1, Ordering::SeqCst)
    }

    async fn sleep(&self, milliseconds: u64) {
        self.time.fetch_add(milliseconds.min(1 << 40), Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

impl LogSink for Scripted {
    fn write(&self, _: &Scope, _: Line) {}
}
