//! `sharing`: who keeps a contact.

use wasmtime::{Result, component::Accessor};

use super::{ANSWER_WITHIN, Context, Imports, taken, within};
use crate::{
    contract::imports::sharing as wit,
    sharing::{SharingError, Standing},
};

impl wit::Host for Context {}

impl<T: Send + 'static> wit::HostWithStore<T> for Imports {
    async fn claim(
        accessor: &Accessor<T, Self>,
        contact_address: String,
    ) -> Result<Result<wit::Standing, wit::SharingError>> {
        let to = taken(accessor);
        let claim = to.sharing.claim(&to.scope, &contact_address);
        let claim = within(ANSWER_WITHIN, late, claim).await;
        Ok(claim.map(standing).map_err(error))
    }

    async fn standings(
        accessor: &Accessor<T, Self>,
        contact_addresses: Vec<String>,
    ) -> Result<Result<Vec<wit::Standing>, wit::SharingError>> {
        let to = taken(accessor);
        let standings = to.sharing.standings(&to.scope, &contact_addresses);
        let standings = within(ANSWER_WITHIN, late, standings).await;
        Ok(standings
            .map(|all| all.into_iter().map(standing).collect())
            .map_err(error))
    }

    async fn release(
        accessor: &Accessor<T, Self>,
        contact_address: String,
    ) -> Result<Result<(), wit::SharingError>> {
        let to = taken(accessor);
        let release = to.sharing.release(&to.scope, &contact_address);
        Ok(within(ANSWER_WITHIN, late, release).await.map_err(error))
    }
}

pub(super) fn late() -> SharingError {
    SharingError::Unavailable("no answer in time".into())
}

fn standing(standing: Standing) -> wit::Standing {
    match standing {
        Standing::Open => wit::Standing::Open,
        Standing::Kept => wit::Standing::Kept,
        Standing::Released(since) => wit::Standing::Released(since),
    }
}

fn error(error: SharingError) -> wit::SharingError {
    match error {
        SharingError::Unavailable(why) => wit::SharingError::Unavailable(why),
        error @ (SharingError::OverLimit(_) | SharingError::Left) => {
            wit::SharingError::Other(error.to_string())
        }
    }
}
