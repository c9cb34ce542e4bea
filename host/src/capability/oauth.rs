//! `oauth`: what the user granted. No token ever passes here.

use std::time::Duration;

use wasmtime::{Result, component::Accessor};

use super::{ANSWER_WITHIN, Context, Imports, http::lifted, taken, within};
use crate::{
    contract::imports::{http::Request, oauth as wit},
    vault::{Holders, VaultError},
};

/// The most requests of a parting, and how long all of them may take: disconnecting does not wait
/// for a provider.
const PARTING: usize = 8;
const PARTING_WITHIN: Duration = Duration::from_secs(20);

impl wit::Host for Context {}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn grant(accessor: &Accessor<T, Self>) -> Result<Result<wit::Granted, wit::OauthError>> {
        let to = taken(accessor);
        let grant = within(ANSWER_WITHIN, late, to.vault.grant(&to.scope.connection)).await;
        Ok(grant
            .map(|grant| wit::Granted {
                subject: grant.subject,
                email: grant.email,
                scopes: grant.scopes,
            })
            .map_err(|why| error(&why)))
    }

    async fn release(
        accessor: &Accessor<T, Self>,
        parting: Vec<Request>,
    ) -> Result<Result<(), wit::OauthError>> {
        let to = taken(accessor);
        let budget = accessor.with(|mut access| access.get().requests.clone());
        let mut last = Vec::new();
        for request in parting.into_iter().take(PARTING) {
            last.push(lifted(accessor, request)?);
        }
        let holders = within(ANSWER_WITHIN, late, to.vault.holders(&to.scope.connection)).await;
        if matches!(holders, Ok(Holders::Last)) {
            let sending = async {
                for request in last {
                    // S06: the answers are ignored, the token goes either way.
                    let _ = to.http.send(&to.scope, &budget, request).await;
                }
            };
            let _ = tokio::time::timeout(PARTING_WITHIN, sending).await;
        }
        match within(ANSWER_WITHIN, late, to.vault.release(&to.scope.connection)).await {
            Ok(()) | Err(VaultError::NoGrant) => Ok(Ok(())),
            Err(why) => Ok(Err(error(&why))),
        }
    }
}

pub(super) fn late() -> VaultError {
    VaultError::Unavailable("no answer in time".into())
}

fn error(error: &VaultError) -> wit::OauthError {
    match error {
        VaultError::ReconnectNeeded | VaultError::NoGrant => wit::OauthError::ReconnectNeeded,
        VaultError::Unavailable(why) => wit::OauthError::Unavailable(why.clone()),
        VaultError::Sealed => wit::OauthError::Other(error.to_string()),
    }
}
