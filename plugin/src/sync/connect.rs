//! S01 to S04: a connection begins. The anchor is stored before anything is listed, so that nothing
//! can fall between the anchor and the first listing.

use super::aliases;
use crate::{
    contract::{Connected, Expectation, OauthError, Problem},
    gmail::{Gmail, GmailError, SCOPE_MODIFY},
    ledger::{self, CONNECTION, ConnectionRow, ConnectionState},
    people,
    ports::Host,
    rules::{s03_right_mailbox, s04_no_past_mail},
    settings,
};

/// The scope that includes all others.
const SCOPE_FULL: &str = "https://mail.google.com/";

/// Connects, or confirms a connection that is there. A connected mailbox keeps its anchor, so that a
/// reconnect (S07) catches up from where it stopped.
pub async fn connect<H: Host>(
    host: &H,
    expected: Option<&str>,
    settings: &str,
) -> Result<Connected, Problem> {
    let settings = settings::require(settings)?;
    let grant = host.grant().await.map_err(oauth_problem)?;
    if !grant
        .scopes
        .iter()
        .any(|scope| scope == SCOPE_MODIFY || scope == SCOPE_FULL)
    {
        return Err(Problem::ScopeMissing(vec![SCOPE_MODIFY.to_owned()]));
    }
    if settings.google_contacts && !people::is_granted(&grant.scopes) {
        return Err(Problem::ScopeMissing(vec![people::SCOPE.to_owned()]));
    }
    let gmail = Gmail::new(host, settings.quota_table);
    let profile = gmail.profile().await.map_err(GmailError::into_problem)?;
    s03_right_mailbox::check(expected, &grant.email, &profile.email_address)?;
    // What is not read now, the first pass reads.
    let aliases = gmail.send_as().await.ok();
    let aliases = aliases.map(|all| aliases::accepted(all, host.now()));

    let stored = ledger::read::<ConnectionRow>(host, CONNECTION).await?;
    if let Some((row, _)) = &stored
        && row.state == ConnectionState::Active
        && s03_right_mailbox::same(&row.address, &profile.email_address)
    {
        // A watch may have ended with the old grant.
        let row = ConnectionRow {
            watch: None,
            aliases: aliases.or_else(|| row.aliases.clone()),
            ..row.clone()
        };
        store(host, stored.as_ref(), &row).await?;
        return Ok(Connected {
            address: row.address,
            since: row.since,
        });
    }
    let row = ConnectionRow {
        state: ConnectionState::Active,
        address: profile.email_address,
        since: s04_no_past_mail::anchor_time(profile.server_time, host.now()),
        cursor: profile.history_id,
        page: None,
        gap: None,
        stuck: None,
        watch: None,
        crm_cursor: None,
        aliases,
        retract: None,
    };
    store(host, stored.as_ref(), &row).await?;
    Ok(Connected {
        address: row.address,
        since: row.since,
    })
}

/// Stores the connection over what was stored, if that is not the same.
async fn store<H: Host>(
    host: &H,
    stored: Option<&(ConnectionRow, u64)>,
    row: &ConnectionRow,
) -> Result<(), Problem> {
    if stored.is_some_and(|(stored, _)| stored == row) {
        return Ok(());
    }
    let expectation = Expectation {
        key: CONNECTION.to_owned(),
        version: stored.map(|(_, version)| *version),
    };
    let change = ledger::put(CONNECTION.to_owned(), row)?;
    ledger::commit(host, vec![expectation], vec![change]).await
}

/// What a missing grant means to people.
pub(super) fn oauth_problem(error: OauthError) -> Problem {
    match error {
        OauthError::ReconnectNeeded => Problem::ReconnectNeeded,
        OauthError::Unavailable(message) | OauthError::Other(message) => {
            Problem::ProviderUnavailable(message)
        }
    }
}
