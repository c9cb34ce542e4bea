//! S30 to S32: several tenants on one mailbox. Standings are asked once for a group of messages; a contact is claimed
//! before the mail that claims it is sent; and what the CRM holds of a contact that was released is marked so, page by
//! page, each committed, so that an interruption repeats a page at most.

use super::{Pass, Step, matching::find_contacts, release, run::Progress};
use crate::{
    contract::{Change, Contact, Outbound, Problem, SharingError, Standing, Trigger},
    ledger::{
        self, CONTACTS, Fate, RELEASING, REVIEW, ReviewRow, ThreadRow, contact_key, held_key, held_prefix,
        releasing_key, row_key, storage_problem, thread_key,
    },
    ports::Host,
    rules::{
        self, AssignedUsers, Contacts, Decision, Evidence, Viewer, address_key, s30_everyone_first::sees,
        s31_who_replies_keeps,
    },
};

/// Most addresses of one question.
const ADDRESSES_AT_ONCE: usize = 1_000;
/// Addresses of one contact that are claimed at most.
const MOST_CLAIMED: usize = 100;
/// Messages whose release is told at a time.
const TOLD_AT_ONCE: u32 = 200;
/// Messages whose release is told in one pass.
const TOLD_PER_PASS: usize = 1_000;
/// Contacts looked at in one review.
const REVIEWED_AT_ONCE: u32 = 500;
/// How often the contacts are looked through, ms: whether those that are kept are still the user's, and whether others
/// were released without any mail that told of it.
const REVIEWED_EVERY: u64 = 15 * 60_000;

fn problem(error: SharingError) -> Problem {
    match error {
        SharingError::Unavailable(message) | SharingError::Other(message) => {
            Problem::StorageUnavailable(message)
        }
    }
}

/// What the rules of sharing look at, asked for once for a group of messages.
pub(super) struct View {
    user: String,
    whose: AssignedUsers,
    standings: Vec<(String, Standing)>,
}

impl View {
    /// Of messages with these addresses of contacts.
    pub(super) async fn of<H: Host>(pass: &Pass<'_, H>, addresses: &[String]) -> Step<Self> {
        Ok(Self {
            standings: standings(pass, addresses).await?,
            user: pass.host.user(),
            whose: pass.settings.whose(),
        })
    }

    /// What is left of a decision where others may have the mailbox too.
    pub(super) fn shared(&self, decision: Decision, evidence: &Evidence<'_>) -> Decision {
        let viewer = Viewer {
            user: &self.user,
            whose: self.whose,
            standings: &self.standings,
        };
        rules::shared(decision, evidence, &viewer)
    }

    /// The marks of contacts that are released and of which the CRM holds something: delivered now, or before.
    pub(super) async fn releasing<H: Host>(
        &self,
        pass: &Pass<'_, H>,
        delivered: &[String],
    ) -> Step<Vec<Change>> {
        releasing(pass, &self.standings, delivered).await
    }
}

/// Standings of these addresses, each with its address.
async fn standings<H: Host>(pass: &Pass<'_, H>, addresses: &[String]) -> Step<Vec<(String, Standing)>> {
    let mut standings = Vec::with_capacity(addresses.len());
    for asked in addresses.chunks(ADDRESSES_AT_ONCE) {
        let answer = pass.host.standings(asked.to_vec()).await.map_err(problem)?;
        standings.extend(asked.iter().cloned().zip(answer));
    }
    Ok(standings)
}

/// The addresses that mail from the CRM claims, and the rows that remember them.
pub(super) async fn to_claim<H: Host>(
    pass: &Pass<'_, H>,
    outbound: &Outbound,
) -> Step<(Vec<String>, Vec<Change>)> {
    let recipients = [&outbound.to, &outbound.cc, &outbound.bcc].into_iter().flatten();
    let mut recipients: Vec<String> = recipients.map(|mailbox| mailbox.address.clone()).collect();
    recipients.truncate(ADDRESSES_AT_ONCE);
    let found = find_contacts(pass, &recipients).await?;
    let Some(contact) = found.iter().find(|contact| contact.id == outbound.contact_id) else {
        return Ok((Vec::new(), Vec::new()));
    };
    let mut claims = s31_who_replies_keeps::claimed(contact, &recipients);
    claims.truncate(MOST_CLAIMED);
    // An address whose mail goes to another user is not this one's to keep.
    let mut contacts = Contacts::default();
    contacts.add(found.iter().cloned());
    claims.retain(|address| is_kept(pass, &contacts, address));
    let rows = claims.iter().filter_map(|address| contact_row(contact, address));
    let rows = rows.collect();
    Ok((claims, rows))
}

/// Claims a contact's addresses, as long as nobody else keeps it.
pub(super) async fn claim<H: Host>(pass: &Pass<'_, H>, addresses: &[String]) -> Step {
    for address in addresses {
        if pass.host.claim(address).await.map_err(problem)? != Standing::Kept {
            break;
        }
    }
    Ok(())
}

/// Whether mail of this address is brought to this user, who then may keep it.
fn is_kept<H: Host>(pass: &Pass<'_, H>, contacts: &Contacts, address: &str) -> bool {
    let owner = contacts.owner(address);
    owner.is_some_and(|owner| sees(&owner.contact, &pass.host.user(), pass.settings.whose()))
}

/// The row of one address of a contact.
pub(super) fn contact_row(contact: &Contact, address: &str) -> Option<Change> {
    let is_it = |spelling: &&String| address_key(spelling).as_deref() == Some(address);
    let spelling = contact.addresses.iter().find(is_it)?;
    ledger::put(contact_key(address), spelling).ok()
}

async fn releasing<H: Host>(
    pass: &Pass<'_, H>,
    standings: &[(String, Standing)],
    delivered: &[String],
) -> Step<Vec<Change>> {
    let mut marks = Vec::new();
    for (address, standing) in standings {
        if matches!(standing, Standing::Released(_))
            && (delivered.contains(address) || holds(pass, address).await?)
        {
            marks.push(ledger::mark(releasing_key(address)));
        }
    }
    Ok(marks)
}

async fn holds<H: Host>(pass: &Pass<'_, H>, address: &str) -> Step<bool> {
    let page = pass.host.scan(&held_prefix(address), None, 1).await;
    Ok(!page.map_err(storage_problem)?.entries.is_empty())
}

/// Tells the CRM what it holds of released contacts.
pub(super) async fn tell_released<H: Host>(pass: &Pass<'_, H>) -> Step<Progress> {
    let addresses = ledger::keys(pass.host, RELEASING, None).await?;
    let mut told = 0;
    for (address, standing) in standings(pass, &addresses).await? {
        // Whoever kept it may have given it up meanwhile.
        if !matches!(standing, Standing::Released(_)) {
            pass.commit(vec![ledger::remove(releasing_key(&address))]).await?;
            continue;
        }
        loop {
            if told >= TOLD_PER_PASS {
                return Ok(Progress::More);
            }
            let prefix = held_prefix(&address);
            let page = pass.host.scan(&prefix, None, TOLD_AT_ONCE).await;
            let page = page.map_err(storage_problem)?;
            let ids = page.entries.iter();
            let ids: Vec<String> = ids
                .filter_map(|entry| Some(entry.key.strip_prefix(&prefix)?.to_owned()))
                .collect();
            told += ids.len();
            let mut changes = told_rows(pass, &address, &ids).await?;
            if !page.more {
                changes.push(ledger::remove(releasing_key(&address)));
            }
            pass.commit(changes).await?;
            if !page.more {
                break;
            }
        }
    }
    Ok(Progress::Complete)
}

/// Tells the CRM that these messages are released; the rows that say so are to be committed.
async fn told_rows<H: Host>(pass: &Pass<'_, H>, address: &str, ids: &[String]) -> Step<Vec<Change>> {
    let rows = ledger::rows_of(pass.host, ids).await?;
    let updates = ids.iter().zip(&rows).map(|(id, row)| {
        let key = match row.as_ref().map(|row| &row.fate) {
            Some(Fate::Delivered(delivered)) => pass.key_of(id, delivered),
            _ => pass.message_key(id),
        };
        release(key)
    });
    let told = pass.tell_crm(updates.collect()).await?;
    pass.count(|counts| counts.updates_in += told);
    let mut changes = Vec::new();
    let mut threads: Vec<String> = Vec::new();
    for (id, row) in ids.iter().zip(rows) {
        changes.push(ledger::remove(held_key(address, id)));
        let Some(mut row) = row else { continue };
        if let Fate::Delivered(delivered) = &mut row.fate {
            delivered.released = true;
            changes.push(ledger::put(row_key(id), &row)?);
            threads.extend((!row.thread.is_empty()).then(|| thread_key(&row.thread)));
        }
    }
    // No body of theirs is fetched any more before the headers have said whose it is.
    threads.dedup();
    let rows = ledger::read_many::<ThreadRow>(pass.host, threads.clone()).await?;
    for (key, row) in threads.into_iter().zip(rows) {
        if let Some((row, _)) = row {
            let strangers = true;
            changes.push(ledger::put(key, &ThreadRow { strangers, ..row })?);
        }
    }
    Ok(changes)
}

/// Looks through the contacts, if it is time: gives up those that are kept and no longer this user's, and notes those
/// that were released.
pub(super) async fn review<H: Host>(pass: &Pass<'_, H>, trigger: &Trigger) -> Step {
    let row = ledger::read::<ReviewRow>(pass.host, REVIEW).await?;
    let row = row.map(|(row, _)| row).unwrap_or_default();
    let is_asked_for = matches!(trigger, Trigger::Manual | Trigger::Reconnected);
    if pass.host.now() < row.due_at && !is_asked_for {
        return Ok(());
    }
    let page = pass.host.scan(CONTACTS, row.after, REVIEWED_AT_ONCE).await;
    let page = page.map_err(storage_problem)?;
    let last = page.entries.last().filter(|_| page.more);
    let after = last.map(|entry| entry.key.clone());
    let due_at = pass.host.now() + if page.more { 0 } else { REVIEWED_EVERY };
    let (mut addresses, mut spellings) = (Vec::new(), Vec::new());
    for entry in &page.entries {
        addresses.push(entry.key.strip_prefix(CONTACTS).unwrap_or_default().to_owned());
        spellings.push(serde_json::from_slice::<String>(&entry.value).unwrap_or_default());
    }
    let standings = standings(pass, &addresses).await?;
    let mut changes = releasing(pass, &standings, &[]).await?;
    give_up(pass, &standings, spellings).await?;
    changes.push(ledger::put(REVIEW.to_owned(), &ReviewRow { after, due_at })?);
    Ok(pass.commit(changes).await?)
}

/// Gives up what is kept of contacts that are not in the CRM any more, or are another user's.
async fn give_up<H: Host>(
    pass: &Pass<'_, H>,
    standings: &[(String, Standing)],
    spellings: Vec<String>,
) -> Step {
    let kept = standings.iter().zip(spellings);
    let kept: Vec<(&str, String)> = kept
        .filter(|((_, standing), _)| *standing == Standing::Kept)
        .map(|((address, _), spelling)| (address.as_str(), spelling))
        .collect();
    if kept.is_empty() {
        return Ok(());
    }
    let asked = kept.iter().map(|(_, spelling)| spelling.clone()).collect();
    let mut contacts = Contacts::default();
    contacts.add(pass.host.find_contacts(asked).await?);
    for (address, _) in kept {
        if !is_kept(pass, &contacts, address) {
            pass.host.release_contact(address).await.map_err(problem)?;
        }
    }
    Ok(())
}
