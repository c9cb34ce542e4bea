//! Who keeps a contact, in memory, with the guarantees of the real one, and a record of all that was claimed: by it the
//! model knows who should have what.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use twinbox_host::{
    clock::Clock,
    scope::{ConnectionId, Scope, TenantId},
    sharing::{Sharing, SharingError, Standing},
};

use super::Ports;
use crate::{
    plan::{Port, TrapKind},
    world::State,
};

/// Claims and who may make them.
#[derive(Default)]
pub(crate) struct SharingState {
    claims: BTreeMap<(String, String), Claim>,
    here: BTreeMap<ConnectionId, (String, TenantId)>,
    left: BTreeSet<ConnectionId>,
    /// Everything that was ever claimed, by account and address.
    pub(crate) reigns: BTreeMap<(String, String), Vec<Reign>>,
}

struct Claim {
    tenant: TenantId,
    since: u64,
    holders: BTreeSet<ConnectionId>,
}

/// A time in which a tenant kept a contact, ms since the epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reign {
    pub(crate) tenant: TenantId,
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
}

impl SharingState {
    fn standing(&self, scope: &Scope, address: &str) -> Standing {
        match self.claims.get(&(scope.account.clone(), address.to_owned())) {
            None => Standing::Open,
            Some(claim) if claim.tenant == scope.tenant => Standing::Kept,
            Some(claim) => Standing::Released(claim.since),
        }
    }

    fn join(&mut self, scope: &Scope) {
        self.left.remove(&scope.connection);
        let member = (scope.account.clone(), scope.tenant.clone());
        self.here.insert(scope.connection.clone(), member);
    }

    fn end(&mut self, key: &(String, String), now: u64) {
        self.claims.remove(key);
        if let Some(reign) = self.reigns.get_mut(key).and_then(|reigns| reigns.last_mut()) {
            reign.to = Some(now);
        }
    }
}

impl State {
    /// Writes a claim. Whoever writes over another one's was not to.
    fn take(&mut self, scope: &Scope, address: &str, since: u64) -> Standing {
        let key = (scope.account.clone(), address.to_owned());
        let owner = self.sharing.claims.get(&key).map(|claim| claim.tenant.clone());
        if owner.as_ref().is_some_and(|owner| *owner != scope.tenant) {
            self.violation("S31", format!("{address} is kept by two tenants"));
        }
        if owner.is_none() {
            self.coverage.hit("contact claimed");
            let reign = Reign {
                tenant: scope.tenant.clone(),
                from: since,
                to: None,
            };
            self.sharing.reigns.entry(key.clone()).or_default().push(reign);
        }
        let claim = self.sharing.claims.entry(key).or_insert_with(|| Claim {
            tenant: scope.tenant.clone(),
            since,
            holders: BTreeSet::new(),
        });
        claim.tenant = scope.tenant.clone();
        claim.holders.insert(scope.connection.clone());
        Standing::Kept
    }

    fn leave(&mut self, scope: &Scope) {
        let now = self.now;
        let sharing = &mut self.sharing;
        sharing.here.remove(&scope.connection);
        sharing.left.insert(scope.connection.clone());
        let own = (scope.account.clone(), scope.tenant.clone());
        let heir = sharing.here.iter().find(|(_, member)| **member == own);
        let heir = heir.map(|(connection, _)| connection.clone());
        let mut over = Vec::new();
        for (key, claim) in &mut sharing.claims {
            if claim.holders.remove(&scope.connection) {
                claim.holders.extend(heir.clone());
            }
            if claim.holders.is_empty() {
                over.push(key.clone());
            }
        }
        for key in over {
            self.coverage.hit("contact free again");
            self.sharing.end(&key, now);
        }
    }

    fn release(&mut self, scope: &Scope, address: &str) {
        let now = self.now;
        let key = (scope.account.clone(), address.to_owned());
        let Some(claim) = self.sharing.claims.get_mut(&key) else {
            return;
        };
        claim.holders.remove(&scope.connection);
        if claim.holders.is_empty() {
            self.sharing.end(&key, now);
        }
    }
}

impl Ports {
    async fn sharing<T>(
        &self,
        line: impl FnOnce() -> String,
        effect: impl FnOnce(&mut State) -> T,
    ) -> Result<T, SharingError> {
        self.world
            .turn(self.host, Port::Sharing, line, |world| effect(&mut world.lock()))
            .await
            .or_else(|_: TrapKind| SharingError::Unavailable("simulated".to_owned()))
    }
}

#[async_trait]
impl Sharing for Ports {
    async fn claim(&self, scope: &Scope, address: &str) -> Result<Standing, SharingError> {
        let line = || format!("{} claims {address}", scope.tenant);
        let host = self.host;
        self.sharing(line, |state| {
            if state.sharing.left.contains(&scope.connection) {
                state.coverage.hit("claim of one that had left");
                return Err(SharingError::Left);
            }
            if let standing @ Standing::Released(_) = state.sharing.standing(scope, address) {
                state.coverage.hit("contact claimed in vain");
                return Ok(standing);
            }
            let since = state.now.saturating_add_signed(state.skew[host]);
            Ok(state.take(scope, address, since))
        })
        .await?
    }

    async fn standings(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        let line = || format!("{} asks for {addresses:?}", scope.tenant);
        self.sharing(line, |state| {
            let standings = addresses
                .iter()
                .map(|address| state.sharing.standing(scope, address));
            standings.collect()
        })
        .await
    }

    async fn release(&self, scope: &Scope, address: &str) -> Result<(), SharingError> {
        let line = || format!("{} releases {address}", scope.tenant);
        self.sharing(line, |state| state.release(scope, address)).await
    }

    async fn join(&self, scope: &Scope) -> Result<(), SharingError> {
        let line = || format!("{} joins", scope.connection);
        self.sharing(line, |state| state.sharing.join(scope)).await
    }

    async fn leave(&self, scope: &Scope) -> Result<(), SharingError> {
        let line = || format!("{} leaves", scope.connection);
        self.sharing(line, |state| state.leave(scope)).await
    }
}

/// A deliberate bug: to look who keeps a contact and to take it are two things.
pub(crate) struct NotAtomic(pub(crate) Ports);

#[async_trait]
impl Sharing for NotAtomic {
    async fn claim(&self, scope: &Scope, address: &str) -> Result<Standing, SharingError> {
        let asked = self.0.standings(scope, &[address.to_owned()]).await?;
        if let Some(Standing::Released(since)) = asked.first() {
            return Ok(Standing::Released(*since));
        }
        // Long enough that others come in between.
        self.0.sleep(20_000).await;
        let line = || format!("{} takes {address}", scope.tenant);
        self.0
            .sharing(line, |state| {
                let since = state.now;
                state.take(scope, address, since)
            })
            .await
    }

    async fn standings(&self, scope: &Scope, addresses: &[String]) -> Result<Vec<Standing>, SharingError> {
        self.0.standings(scope, addresses).await
    }

    async fn release(&self, scope: &Scope, address: &str) -> Result<(), SharingError> {
        Sharing::release(&self.0, scope, address).await
    }

    async fn join(&self, scope: &Scope) -> Result<(), SharingError> {
        self.0.join(scope).await
    }

    async fn leave(&self, scope: &Scope) -> Result<(), SharingError> {
        self.0.leave(scope).await
    }
}
