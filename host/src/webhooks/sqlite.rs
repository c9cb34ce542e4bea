//! Addresses and their events in SQLite. All processes with the same database share them.

use rusqlite::{Connection as Sql, OptionalExtension, Row};
use secrecy::{ExposeSecret, SecretString};

use super::{
    Due, Endpoint, Event, LONGEST_URL, MOST_ENDPOINTS, WebhookError, schema::MIGRATIONS,
    signature::new_secret,
};
use crate::{hex::hex, scope::TenantId, sqlite::Database};

/// Webhooks in a database. Clones are the same ones.
#[derive(Clone, Debug)]
pub struct Webhooks {
    database: Database,
}

impl Webhooks {
    /// Webhooks in the database that the embedded CRM and the registry are in, which were there before.
    pub fn new(database: Database) -> Result<Self, WebhookError> {
        database.migrate("webhooks", MIGRATIONS)?;
        Ok(Self { database })
    }

    /// Tells this address of whatever happens in the tenant from now on. The secret is not told again.
    pub async fn add(
        &self,
        tenant: &TenantId,
        url: &str,
        now: u64,
    ) -> Result<(Endpoint, SecretString), WebhookError> {
        if url.len() > LONGEST_URL {
            return Err(WebhookError::Refused("the address is too long".to_owned()));
        }
        let (tenant, url) = (tenant.clone(), url.to_owned());
        let id = format!("wh_{}", hex(&rand::random::<[u8; 16]>()));
        let secret = new_secret();
        let kept = secret.clone();
        let added = self.database.write(move |sql| {
            let count: usize = sql.query_row(
                "SELECT count(*) FROM webhook_endpoint WHERE tenant = ?1",
                [tenant.as_str()],
                |row| row.get(0),
            )?;
            if count >= MOST_ENDPOINTS {
                let why = format!("there are {MOST_ENDPOINTS} webhooks already");
                return Err(WebhookError::Refused(why));
            }
            sql.execute(
                "INSERT INTO webhook_endpoint (id, tenant, url, secret, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
                (&id, tenant.as_str(), &url, kept.expose_secret(), now),
            )?;
            one(sql, &tenant, &id)
        });
        Ok((added.await?, secret))
    }

    /// The tenant's addresses, the oldest first.
    pub async fn list(&self, tenant: &TenantId) -> Result<Vec<Endpoint>, WebhookError> {
        let tenant = tenant.clone();
        self.database
            .call(move |sql| {
                let mut statement = sql.prepare_cached(&format!("{SELECT} ORDER BY created_at, id"))?;
                let rows = statement.query_map([tenant.as_str()], endpoint)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// Ends an address; what waits for it goes with it.
    pub async fn remove(&self, tenant: &TenantId, id: &str) -> Result<(), WebhookError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .write(move |sql| {
                let removed = sql.execute(
                    "DELETE FROM webhook_endpoint WHERE tenant = ?1 AND id = ?2",
                    (tenant.as_str(), id),
                )?;
                if removed == 0 {
                    Err(WebhookError::NotFound)
                } else {
                    Ok(())
                }
            })
            .await
    }

    /// Sends an address an event that says nothing, and begins to try again where it was given up.
    pub async fn ping(&self, tenant: &TenantId, id: &str, now: u64) -> Result<(), WebhookError> {
        let (tenant, id) = (tenant.clone(), id.to_owned());
        self.database
            .write(move |sql| {
                one(sql, &tenant, &id)?;
                sql.execute(
                    "UPDATE webhook_endpoint SET given_up = 0, retry_at = 0, failing_since = NULL WHERE id = ?1",
                    [&id],
                )?;
                sql.execute(
                    "INSERT INTO webhook_event (id, endpoint, kind, at, data)
                     VALUES ('evt_' || lower(hex(randomblob(16))), ?1, 'ping', ?2, '{}')",
                    (&id, now),
                )?;
                Ok(())
            })
            .await
    }

    /// The next event of each address that is to be asked now, of so many at most.
    pub(crate) async fn due(&self, now: u64, most: u32) -> Result<Vec<Due>, WebhookError> {
        self.database
            .call(move |sql| {
                let mut statement = sql.prepare_cached(
                    "SELECT endpoint.id, endpoint.url, endpoint.secret, endpoint.failing_since,
                            event.id, event.kind, event.at, event.data, event.attempts
                     FROM webhook_endpoint endpoint JOIN webhook_event event ON event.sequence =
                        (SELECT min(sequence) FROM webhook_event WHERE endpoint = endpoint.id)
                     WHERE endpoint.given_up = 0 AND endpoint.retry_at <= ?1
                     ORDER BY event.sequence LIMIT ?2",
                )?;
                let rows = statement.query_map((now, most), due)?;
                Ok(rows.collect::<Result<_, _>>()?)
            })
            .await
    }

    /// The address took the event.
    pub(crate) async fn taken(&self, due: &Due, now: u64) -> Result<(), WebhookError> {
        let (endpoint, event) = (due.endpoint.clone(), due.event.id.clone());
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE webhook_endpoint SET answered_at = ?2, failing_since = NULL, error = NULL, retry_at = 0
                     WHERE id = ?1",
                    (&endpoint, now),
                )?;
                forget(sql, &endpoint, &event)
            })
            .await
    }

    /// The address did not take the event, and is asked again then.
    pub(crate) async fn put_off(
        &self,
        due: &Due,
        now: u64,
        again: u64,
        error: &str,
    ) -> Result<(), WebhookError> {
        let (endpoint, event, error) = (due.endpoint.clone(), due.event.id.clone(), error.to_owned());
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE webhook_endpoint SET failing_since = coalesce(failing_since, ?2), error = ?3, retry_at = ?4
                     WHERE id = ?1",
                    (&endpoint, now, error, again),
                )?;
                sql.execute(
                    "UPDATE webhook_event SET attempts = attempts + 1 WHERE endpoint = ?1 AND id = ?2",
                    (endpoint, event),
                )?;
                Ok(())
            })
            .await
    }

    /// The event is not sent any more; those after it are.
    pub(crate) async fn skip(&self, due: &Due) -> Result<(), WebhookError> {
        let (endpoint, event) = (due.endpoint.clone(), due.event.id.clone());
        self.database
            .write(move |sql| forget(sql, &endpoint, &event))
            .await
    }

    /// Nothing is sent to the address any more, until somebody asks for a ping.
    pub(crate) async fn give_up(&self, due: &Due, now: u64, error: &str) -> Result<(), WebhookError> {
        let (endpoint, error) = (due.endpoint.clone(), error.to_owned());
        self.database
            .write(move |sql| {
                sql.execute(
                    "UPDATE webhook_endpoint SET given_up = 1, failing_since = coalesce(failing_since, ?2), error = ?3
                     WHERE id = ?1",
                    (&endpoint, now, error),
                )?;
                sql.execute("DELETE FROM webhook_event WHERE endpoint = ?1", [endpoint])?;
                Ok(())
            })
            .await
    }
}

fn forget(sql: &Sql, endpoint: &str, event: &str) -> Result<(), WebhookError> {
    sql.execute(
        "DELETE FROM webhook_event WHERE endpoint = ?1 AND id = ?2",
        (endpoint, event),
    )?;
    Ok(())
}

const SELECT: &str = "SELECT id, tenant, url, created_at, answered_at, failing_since, error, given_up,
    (SELECT count(*) FROM webhook_event WHERE endpoint = webhook_endpoint.id)
    FROM webhook_endpoint WHERE tenant = ?1";

fn one(sql: &Sql, tenant: &TenantId, id: &str) -> Result<Endpoint, WebhookError> {
    let found = sql
        .prepare_cached(&format!("{SELECT} AND id = ?2"))?
        .query_row((tenant.as_str(), id), endpoint)
        .optional()?;
    found.ok_or(WebhookError::NotFound)
}

fn endpoint(row: &Row<'_>) -> rusqlite::Result<Endpoint> {
    Ok(Endpoint {
        id: row.get(0)?,
        tenant: TenantId::new(row.get::<_, String>(1)?),
        url: row.get(2)?,
        created_at: row.get(3)?,
        answered_at: row.get(4)?,
        failing_since: row.get(5)?,
        error: row.get(6)?,
        is_given_up: row.get(7)?,
        waiting: row.get(8)?,
    })
}

fn due(row: &Row<'_>) -> rusqlite::Result<Due> {
    Ok(Due {
        endpoint: row.get(0)?,
        url: row.get(1)?,
        secret: row.get::<_, String>(2)?.into(),
        failing_since: row.get(3)?,
        event: Event {
            id: row.get(4)?,
            kind: row.get(5)?,
            at: row.get(6)?,
            data: row.get(7)?,
            attempts: row.get(8)?,
        },
    })
}
