//! A pass between its lease and its end: which component runs it, with what, and who is told of it.

use std::{pin::Pin, sync::Arc};

use super::{Host, HostError};
use crate::{
    capability::{Capabilities, Recorder, TooLarge},
    egress::{Grants, Policy},
    release::release_of,
    sandbox::{Ended, Pass, Plugin},
    scope::Scope,
    spans,
    store::Lease,
    trace::{CONTRACT, Call, End, FORMAT, Header, Redaction, Returned, Trace, VERSION},
};

/// What is left to do when a pass has ended.
pub(super) struct Turn {
    recording: Option<(Arc<Recorder>, Header)>,
    /// The candidate that rehearses it, and what may be read for that.
    candidate: Option<(Arc<Plugin>, Capabilities)>,
    is_for_caller: bool,
    is_for_witness: bool,
}

impl Turn {
    /// Runs the pass, in the way its recording needs. On the heap: a pass is a large future.
    pub(super) fn drive<'t, F>(&'t self, pass: F) -> Pin<Box<dyn Future<Output = F::Output> + Send + 't>>
    where
        F: Future + Send + 't,
    {
        match &self.recording {
            Some((recorder, _)) => Box::pin(recorder.drive(pass)),
            None => Box::pin(pass),
        }
    }
}

impl Host {
    /// A pass of the version that is chosen now. The lease is given back if there is none.
    pub(super) async fn turn(
        &self,
        scope: Scope,
        lease: Lease,
        call: Call,
    ) -> Result<(Pass, Turn), HostError> {
        let turn = self.turn_of(scope, lease.clone(), call, None).await;
        if turn.is_err() {
            self.give_back(&lease).await;
        }
        turn
    }

    /// The same, recorded for the caller up to so many bytes.
    pub(super) async fn turn_of(
        &self,
        scope: Scope,
        lease: Lease,
        call: Call,
        limit: Option<usize>,
    ) -> Result<(Pass, Turn), HostError> {
        let parts = &self.parts;
        let chosen = parts.plugins.chosen().await;
        spans::chose(&chosen.current.manifest().version);
        let plain = self.capabilities(scope, lease, &chosen.current)?;
        let witnessed = parts.witness.as_ref().and_then(|witness| witness.wants(&call));
        // Only what a schedule does is rehearsed: the rest is a person's, and rare.
        let rehearsed = match (&chosen.candidate, &call) {
            (Some(_), Call::Run { .. }) => Some(crate::release::REHEARSED_BYTES),
            _ => None,
        };
        let limits = parts.limits.capped_by(&chosen.current.manifest().budget);
        let recording = limit.max(witnessed).max(rehearsed).map(|bytes| {
            let header = Header {
                format: FORMAT.to_owned(),
                version: VERSION,
                contract: CONTRACT.to_owned(),
                plugin: release_of(&chosen.current),
                scope: plain.scope.clone(),
                limits,
                call,
                recorded_at: parts.clock.now(),
                redaction: Redaction::None,
            };
            (Recorder::new(bytes), header)
        });
        let candidate = match (chosen.candidate, rehearsed) {
            (Some(candidate), Some(_)) => Some((candidate, plain.clone())),
            _ => None,
        };
        let capabilities = match &recording {
            Some((recorder, _)) => plain.recorded(recorder),
            None => plain,
        };
        let pass = chosen.current.pass(capabilities, parts.limits);
        let turn = Turn {
            recording,
            candidate,
            is_for_caller: limit.is_some(),
            is_for_witness: witnessed.is_some(),
        };
        Ok((pass, turn))
    }

    /// A pass of the version that is chosen now, of which no trace is made.
    pub(super) async fn unrecorded(&self, scope: Scope, lease: Lease) -> Result<Pass, HostError> {
        let chosen = self.parts.plugins.chosen().await;
        let capabilities = self.capabilities(scope, lease, &chosen.current)?;
        Ok(chosen.current.pass(capabilities, self.parts.limits))
    }

    /// Tells those who want to know how the pass ended; its trace, if the caller wanted it.
    pub(super) async fn end<T: Returned>(
        &self,
        turn: Turn,
        ended: &Ended<T>,
    ) -> Option<Result<Trace, TooLarge>> {
        self.parts.quota.keep().await;
        let (recorder, header) = turn.recording?;
        let trace = recorder.take().map(|steps| Trace {
            header,
            steps,
            end: End::of(&ended.result),
        });
        if let (Some(witness), true) = (&self.parts.witness, turn.is_for_witness) {
            witness.saw(trace.as_ref().map_err(|error| *error)).await;
        }
        let Some((candidate, live)) = turn.candidate else {
            return turn.is_for_caller.then_some(trace);
        };
        let returned = turn.is_for_caller.then(|| trace.clone());
        if let Some(store) = self.parts.plugins.store() {
            self.shadow.follow(store, candidate, trace, live);
        }
        returned
    }

    fn capabilities(&self, scope: Scope, lease: Lease, plugin: &Plugin) -> Result<Capabilities, HostError> {
        let parts = &self.parts;
        let manifest = plugin.manifest();
        let grants = |origins: &[String]| {
            Grants::parse(origins).map_err(|error| HostError::Manifest(error.to_string()))
        };
        let policy = Policy {
            manifest: grants(&manifest.origins)?,
            credential: grants(&manifest.credential_origins)?,
            tenant: parts.tenant_grants.clone(),
        };
        let outlet = parts.egress.outlet(policy, parts.vault.clone());
        Ok(Capabilities {
            scope,
            lease,
            store: parts.store.clone(),
            vault: parts.vault.clone(),
            crm: parts.crm.clone(),
            quota: parts.quota.clone(),
            sharing: parts.sharing.clone(),
            clock: parts.clock.clone(),
            random: parts.random.clone(),
            http: Arc::new(outlet),
            log: parts.log.clone(),
        })
    }
}
