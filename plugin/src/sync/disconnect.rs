//! S06: a connection ends. What was synced stays; the token goes only if nobody else needs it, which
//! the host alone knows.

use super::connect::oauth_problem;
use crate::{
    contract::{Expectation, Problem},
    gmail::API_ORIGIN,
    ledger::{self, CONNECTION, ConnectionRow, ConnectionState},
    ports::{Host, Request},
};

/// Ends the connection. Idempotent.
pub async fn disconnect<H: Host>(host: &H) -> Result<(), Problem> {
    if let Some((row, version)) = ledger::read::<ConnectionRow>(host, CONNECTION).await?
        && row.state == ConnectionState::Active
    {
        // Stored first: from here on no pass does anything, whatever happens to the grant.
        let row = ConnectionRow {
            state: ConnectionState::Disconnected,
            ..row
        };
        let expectation = Expectation {
            key: CONNECTION.to_owned(),
            version: Some(version),
        };
        ledger::commit(
            host,
            vec![expectation],
            vec![ledger::put(CONNECTION.to_owned(), &row)?],
        )
        .await?;
    }
    let stop_watch = Request {
        method: "POST",
        url: format!("{API_ORIGIN}/gmail/v1/users/me/stop"),
        content_type: None,
        body: Vec::new(),
        inline_limit: 64 * 1024,
    };
    match host.release(vec![stop_watch]).await.map_err(oauth_problem) {
        // A grant that is gone is given up already.
        Ok(()) | Err(Problem::ReconnectNeeded) => Ok(()),
        Err(problem) => Err(problem),
    }
}
