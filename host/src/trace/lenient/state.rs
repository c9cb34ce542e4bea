//! What such a world answers of rows and grants.

use async_trait::async_trait;
use secrecy::SecretString;

use super::{Lenient, NO_ANSWER, Question, page_of, rows::Row};
use crate::{
    capability::Denying,
    scope::ConnectionId,
    store::{Change, CommitError, Entry, Expectation, Lease, Page, Store, StoreError},
    vault::{Freshness, Grant, Holders, Vault, VaultError},
};

#[async_trait]
impl Store for Lenient {
    async fn get(&self, of: &ConnectionId, keys: &[String]) -> Result<Vec<Option<Entry>>, StoreError> {
        if let Some(Err(error)) = self.same_result::<Vec<Option<Entry>>, _>(&Question::get(keys)) {
            return Err(error);
        }
        let mut entries = Vec::with_capacity(keys.len());
        for key in keys {
            let known = self.rows().get(key);
            let entry = match known {
                Row::Held(entry) => Some(entry),
                Row::Absent => None,
                Row::Unknown => self.row(of, key).await?,
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn scan(
        &self,
        of: &ConnectionId,
        prefix: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page, StoreError> {
        let question = Question::scan(prefix, after, limit);
        let is_known = match self.same_result::<Page, _>(&question) {
            Some(Err(error)) => return Err(error),
            Some(Ok(_)) => true,
            None => self.rows().is_scanned(prefix),
        };
        if !is_known {
            match self.live() {
                Some(live) => {
                    let page = live.store.scan(of, prefix, after, limit).await?;
                    let mut rows = self.rows();
                    for entry in page.entries {
                        rows.read(entry.key.clone(), Some(entry));
                    }
                }
                None => self.note("storage.scan", prefix, "the rows that are known otherwise"),
            }
        }
        Ok(page_of(self.rows().scan(prefix, after), limit))
    }

    async fn commit(
        &self,
        _: &Lease,
        expectations: &[Expectation],
        changes: &[Change],
    ) -> Result<(), CommitError> {
        let question = Question::commit(expectations, changes);
        if let Some(Err(error)) = self.same_result::<(), _>(&question) {
            return Err(error);
        }
        self.rows().commit(expectations, changes)
    }

    async fn acquire(&self, of: &ConnectionId, now: u64, until: u64) -> Result<Option<Lease>, StoreError> {
        Store::acquire(&Denying, of, now, until).await
    }

    async fn renew(&self, lease: &Lease, until: u64) -> Result<bool, StoreError> {
        Denying.renew(lease, until).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        Store::release(&Denying, lease).await
    }
}

impl Lenient {
    async fn row(&self, of: &ConnectionId, key: &String) -> Result<Option<Entry>, StoreError> {
        // What the live pass wrote is not what was there before it.
        let live = if self.rows().is_written(key) {
            None
        } else {
            self.live()
        };
        let Some(live) = live else {
            self.note("storage.get", key, "no row");
            return Ok(None);
        };
        let read = live.store.get(of, std::slice::from_ref(key)).await?;
        let entry = read.into_iter().next().flatten();
        self.rows().read(key.clone(), entry.clone());
        Ok(entry)
    }
}

#[async_trait]
impl Vault for Lenient {
    async fn grant(&self, of: &ConnectionId) -> Result<Grant, VaultError> {
        if let Some(result) = self.same_result(&Question::grant()) {
            return result;
        }
        if let Some(grant) = &self.facts.grant {
            return Ok(grant.clone());
        }
        if let Some(live) = self.live() {
            return live.vault.grant(of).await;
        }
        self.note("oauth.grant", "", NO_ANSWER);
        Err(VaultError::Unavailable(NO_ANSWER.to_owned()))
    }

    /// There is no token in a trace.
    async fn access_token(
        &self,
        of: &ConnectionId,
        freshness: Freshness,
    ) -> Result<SecretString, VaultError> {
        Denying.access_token(of, freshness).await
    }

    async fn holders(&self, _: &ConnectionId) -> Result<Holders, VaultError> {
        Ok(if self.facts.has_parted {
            Holders::Last
        } else {
            Holders::Others
        })
    }

    async fn release(&self, _: &ConnectionId) -> Result<(), VaultError> {
        self.same_result(&Question::release()).unwrap_or(Ok(()))
    }
}
