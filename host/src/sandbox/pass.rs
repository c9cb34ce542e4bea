//! One pass: a fresh store, a fresh instance, one call, and an end that says why.

use std::{sync::Arc, time::Instant};

use wasmtime::{
    Engine, Store, UpdateDeadline,
    component::{ComponentNamedList, Instance, InstancePre, Lift, Lower, StreamReader},
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
        AuditMode, AuditReport, Connected, Explanation, Export, Exports, IngestedMail, Outcome,
        PluginManifest, Problem, Report, SettingsError, Subject, Trigger, imports::http,
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
    program: Arc<Program>,
    capabilities: Capabilities,
    limits: Limits,
}

/// A component, compiled and linked.
pub(crate) struct Program {
    pub(super) pre: InstancePre<Guest>,
    pub(super) exports: Exports,
}

impl Pass {
    pub(super) fn new(
        sandbox: Arc<Sandbox>,
        program: Arc<Program>,
        capabilities: Capabilities,
        limits: Limits,
    ) -> Self {
        Self {
            sandbox,
            program,
            capabilities,
            limits,
        }
    }

    /// Asks what the component is; fails when one of its exports is not of the contract.
    pub(super) async fn manifest(self) -> Ended<PluginManifest> {
        self.call(async |program, store, instance| {
            program.exports.check(&mut *store, instance)?;
            answer(&program.exports.manifest, store, instance, ()).await
        })
        .await
    }

    /// Checks settings without doing anything.
    pub async fn validate_settings(self, settings: String) -> Ended<Result<(), Vec<SettingsError>>> {
        self.call(async |program, store, instance| {
            answer(&program.exports.validate_settings, store, instance, (settings,)).await
        })
        .await
    }

    /// Begins a connection.
    pub async fn connect(
        self,
        expected_address: Option<String>,
        settings: String,
    ) -> Ended<Result<Connected, Problem>> {
        self.call(async |program, store, instance| {
            answer(
                &program.exports.connect,
                store,
                instance,
                (expected_address, settings),
            )
            .await
        })
        .await
    }

    /// Runs one bounded pass.
    pub async fn run(self, trigger: Trigger, settings: String) -> Ended<Report> {
        self.call(async |program, store, instance| {
            answer(&program.exports.run, store, instance, (trigger, settings)).await
        })
        .await
    }

    /// Takes in a message of `size` bytes that came to the BCC address; `received_at` in ms since the epoch.
    pub async fn ingest(
        self,
        recipient: String,
        raw: Body,
        size: u64,
        received_at: u64,
        settings: String,
    ) -> Ended<Result<Outcome, Problem>> {
        self.call(async |program, store, instance| {
            let raw = match raw {
                Body::Empty => http::Body::Empty,
                Body::Inline(bytes) => http::Body::Inline(bytes.into()),
                Body::Stream(stream) => {
                    // One that breaks ends the pass: half a mail is not taken for a whole one.
                    let bytes = StreamReader::new(&mut *store, Producer::new(stream, None))?;
                    let length = Some(size);
                    http::Body::Streamed(http::Streamed { bytes, length })
                }
            };
            let mail = IngestedMail {
                recipient,
                raw,
                received_at,
            };
            answer(&program.exports.ingest, store, instance, (mail, settings)).await
        })
        .await
    }

    /// Compares the mailbox with the ledger.
    pub async fn audit(self, mode: AuditMode, settings: String) -> Ended<Result<AuditReport, Problem>> {
        self.call(async |program, store, instance| {
            answer(&program.exports.audit, store, instance, (mode, settings)).await
        })
        .await
    }

    /// Says which rule decided, or would decide.
    pub async fn explain(
        self,
        subject: Subject,
        settings: String,
    ) -> Ended<Result<Vec<Explanation>, Problem>> {
        self.call(async |program, store, instance| {
            answer(&program.exports.explain, store, instance, (subject, settings)).await
        })
        .await
    }

    /// Ends a connection.
    pub async fn disconnect(self) -> Ended<Result<(), Problem>> {
        self.call(async |program, store, instance| {
            answer(&program.exports.disconnect, store, instance, ()).await
        })
        .await
    }

    /// Waits for a turn, makes an instance, calls it, and drops it with its store.
    async fn call<R>(
        self,
        call: impl AsyncFnOnce(&Program, &mut Store<Guest>, Instance) -> wasmtime::Result<R>,
    ) -> Ended<R> {
        let Self {
            sandbox,
            program,
            capabilities,
            limits,
        } = self;
        let turn = match sandbox.turn().await {
            Ok(turn) => turn,
            Err(busy) => {
                return Ended {
                    result: Err(busy),
                    usage: Usage::default(),
                };
            }
        };
        let began = Instant::now();
        let requests = Arc::new(RequestBudget::new(limits.requests));
        let context = Context::new(capabilities, requests.clone());
        let mut store = store(sandbox.engine(), context, &limits, began);
        let answer = async {
            let instance =
                program.pre.instantiate_async(&mut store).await.map_err(|error| {
                    why(&error).unwrap_or_else(|| PassError::Component(format!("{error:#}")))
                })?;
            call(&program, &mut store, instance)
                .await
                .map_err(|error| why(&error).unwrap_or_else(|| PassError::Trapped(in_short(&error))))
        };
        // Outside of `run_concurrent`: a timer inside would not fire while the guest computes.
        let result = tokio::time::timeout(limits.wall, answer)
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
}

/// A store for one pass.
fn store(engine: &Engine, context: Context, limits: &Limits, began: Instant) -> Store<Guest> {
    let guest = Guest {
        context,
        limiter: Limiter::new(limits),
        stopwatch: Stopwatch::new(limits, began),
    };
    let mut store = Store::new(engine, guest);
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
    store.set_hostcall_fuel(limits.call_data);
    store.set_max_component_handles(limits.handles);
    if let Some(table) = store.concurrent_resource_table() {
        table.set_max_capacity(limits.handles);
    }
    store
}

/// What an instance answers.
async fn answer<P, R>(
    export: &Export<P, R>,
    store: &mut Store<Guest>,
    instance: Instance,
    params: P,
) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: Send + Sync + 'static,
    (R,): ComponentNamedList + Lift,
{
    let function = export.of(&mut *store, instance)?;
    let (answer,) = store
        .run_concurrent(async |accessor| function.call_concurrent(accessor, params).await)
        .await??;
    Ok(answer)
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
