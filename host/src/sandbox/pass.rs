//! One pass: a fresh store, a fresh instance, one call, and an end that says why.

use std::{sync::Arc, time::Instant};

use wasmtime::{
    Store, UpdateDeadline,
    component::{Accessor, StreamReader},
};

use super::{
    Limits, PassError, Refusal, Sandbox, Usage,
    limits::{Limiter, Stopwatch},
    refusal::refusal,
};
use crate::{
    body::Body,
    capability::{Capabilities, Context, Producer},
    contract::{
        AuditMode, AuditReport, Connected, Explanation, MailSync, MailSyncPre, Outcome, PluginManifest,
        Problem, Report, SettingsError, Subject, Trigger, exports::twinbox::sync::sync::IngestedMail,
        imports::http,
    },
    egress::RequestBudget,
};

/// The data of a pass's store.
pub(crate) struct Guest {
    context: Context,
    limiter: Limiter,
    stopwatch: Stopwatch,
}

impl Guest {
    pub(super) fn context(&mut self) -> &mut Context {
        &mut self.context
    }
}

/// How a pass ended.
#[derive(Debug)]
pub struct Ended<T> {
    /// What the guest answered, or why it did not.
    pub result: Result<T, PassError>,
    /// What it used.
    pub usage: Usage,
}

/// One call of one component for one connection. Each method uses the pass up.
pub struct Pass {
    sandbox: Arc<Sandbox>,
    pre: MailSyncPre<Guest>,
    capabilities: Capabilities,
    limits: Limits,
}

impl Pass {
    pub(super) fn new(
        sandbox: Arc<Sandbox>,
        pre: MailSyncPre<Guest>,
        capabilities: Capabilities,
        limits: Limits,
    ) -> Self {
        Self {
            sandbox,
            pre,
            capabilities,
            limits,
        }
    }

    pub(super) async fn manifest(self) -> Ended<PluginManifest> {
        self.call(async |guest, accessor| guest.twinbox_sync_sync().call_manifest(accessor).await)
            .await
    }

    /// Checks settings without doing anything.
    pub async fn validate_settings(self, settings: String) -> Ended<Result<(), Vec<SettingsError>>> {
        self.call(async |guest, accessor| {
            guest
                .twinbox_sync_sync()
                .call_validate_settings(accessor, settings)
                .await
        })
        .await
    }

    /// Begins a connection.
    pub async fn connect(
        self,
        expected_address: Option<String>,
        settings: String,
    ) -> Ended<Result<Connected, Problem>> {
        self.call(async |guest, accessor| {
            guest
                .twinbox_sync_sync()
                .call_connect(accessor, expected_address, settings)
                .await
        })
        .await
    }

    /// Runs one bounded pass.
    pub async fn run(self, trigger: Trigger, settings: String) -> Ended<Report> {
        self.call(async |guest, accessor| {
            guest
                .twinbox_sync_sync()
                .call_run(accessor, trigger, settings)
                .await
        })
        .await
    }

    /// Takes in a message that came to the BCC address; `received_at` in ms since the epoch.
    pub async fn ingest(
        self,
        recipient: String,
        raw: Body,
        received_at: u64,
        settings: String,
    ) -> Ended<Result<Outcome, Problem>> {
        self.call(async |guest, accessor| {
            let raw = match raw {
                Body::Empty => http::Body::Empty,
                Body::Inline(bytes) => http::Body::Inline(bytes.into()),
                Body::Stream(stream) => {
                    let producer = Producer::new(stream, None);
                    let bytes = accessor.with(|access| StreamReader::new(access, producer))?;
                    http::Body::Streamed(http::Streamed { bytes, length: None })
                }
            };
            let mail = IngestedMail {
                recipient,
                raw,
                received_at,
            };
            guest
                .twinbox_sync_sync()
                .call_ingest(accessor, mail, settings)
                .await
        })
        .await
    }

    /// Compares the mailbox with the ledger.
    pub async fn audit(self, mode: AuditMode, settings: String) -> Ended<Result<AuditReport, Problem>> {
        self.call(async |guest, accessor| {
            guest
                .twinbox_sync_sync()
                .call_audit(accessor, mode, settings)
                .await
        })
        .await
    }

    /// Says which rule decided.
    pub async fn explain(self, subject: Subject) -> Ended<Result<Vec<Explanation>, Problem>> {
        self.call(async |guest, accessor| guest.twinbox_sync_sync().call_explain(accessor, subject).await)
            .await
    }

    /// Ends a connection.
    pub async fn disconnect(self) -> Ended<Result<(), Problem>> {
        self.call(async |guest, accessor| guest.twinbox_sync_sync().call_disconnect(accessor).await)
            .await
    }

    /// Waits for a turn, makes an instance, calls it, and drops it with its store.
    async fn call<T>(
        self,
        call: impl AsyncFnOnce(&MailSync, &Accessor<Guest>) -> wasmtime::Result<T>,
    ) -> Ended<T> {
        let requests = Arc::new(RequestBudget::new(self.limits.requests));
        let turn = match self.sandbox.turn().await {
            Ok(turn) => turn,
            Err(busy) => {
                return Ended {
                    result: Err(busy),
                    usage: Usage::default(),
                };
            }
        };
        let began = Instant::now();
        let mut store = self.store(requests.clone());
        // Outside of `run_concurrent`: a timer inside would not fire while the guest computes.
        let result = tokio::time::timeout(self.limits.wall, self.answer(&mut store, call))
            .await
            .unwrap_or(Err(PassError::Refused(Refusal::WallClock)));
        let guest = store.data();
        let usage = Usage {
            guest_peak_bytes: guest.limiter.peak,
            cpu: guest.stopwatch.spent(),
            wall: began.elapsed(),
            requests: requests.made(),
        };
        // Before the store goes: whoever still reads a stream of this guest must not take the store's
        // end for the stream's.
        guest.context.over().set();
        drop(store);
        drop(turn);
        Ended { result, usage }
    }

    fn store(&self, requests: Arc<RequestBudget>) -> Store<Guest> {
        let guest = Guest {
            context: Context::new(self.capabilities.clone(), requests),
            limiter: Limiter::new(&self.limits),
            stopwatch: Stopwatch::new(self.limits.cpu),
        };
        let mut store = Store::new(self.sandbox.engine(), guest);
        store.limiter(|guest| &mut guest.limiter);
        store.call_hook(|mut store, hook| {
            store.data_mut().stopwatch.crossing(hook);
            Ok(())
        });
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| {
            store.data().stopwatch.check()?;
            // Others have their turn on this thread, and the timeout its chance.
            Ok(UpdateDeadline::Yield(1))
        });
        store.set_hostcall_fuel(self.limits.call_data);
        store.set_max_component_handles(self.limits.handles);
        if let Some(table) = store.concurrent_resource_table() {
            table.set_max_capacity(self.limits.handles);
        }
        store
    }

    async fn answer<T>(
        &self,
        store: &mut Store<Guest>,
        call: impl AsyncFnOnce(&MailSync, &Accessor<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, PassError> {
        let instance = self
            .pre
            .instantiate_async(&mut *store)
            .await
            .map_err(|error| why(&error).unwrap_or_else(|| PassError::Component(format!("{error:#}"))))?;
        store
            .run_concurrent(async |accessor| call(&instance, accessor).await)
            .await
            .and_then(|answer| answer)
            .map_err(|error| why(&error).unwrap_or_else(|| PassError::Trapped(in_short(&error))))
    }
}

/// The limit that an error stands for.
fn why(error: &wasmtime::Error) -> Option<PassError> {
    refusal(error).map(PassError::Refused)
}

/// Cause, then place, without a whole backtrace of a guest's choosing.
fn in_short(error: &wasmtime::Error) -> String {
    const LONGEST: usize = 1_000;
    let mut text = format!("{}; {error}", error.root_cause());
    text.truncate(text.floor_char_boundary(LONGEST));
    text
}
