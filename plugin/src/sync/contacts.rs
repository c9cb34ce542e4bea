//! S08: the address book comes into the CRM, once whole and from then on by what changed. Rows say whom the CRM
//! may have been given, so that whoever is absent when all are listed again is known to have left.

use super::{Pass, Step};
use crate::{
    contract::{Person, PersonOutcome, Trigger},
    gmail::GmailError,
    ledger::{self, ADDRESS_BOOK, AddressBookRow, Listing, PERSONS, person_key},
    mutation::Mutation,
    people::{self, PeopleError, PeoplePage},
    ports::Host,
    rules::s08_google_contacts::wanted,
};

/// How often the address book is asked for changes, ms. Google shows them minutes late anyway.
const ASKED_EVERY: u64 = 3_600_000;
/// When to ask again after a failure, ms.
const AGAIN_AFTER: u64 = 600_000;
/// The most keys of one call of the CRM; a page has no more persons.
const AT_ONCE: usize = 1_000;

/// Brings what the address book has to tell, if the user wants it and it is time; when to try again what failed.
/// Mail never waits for it.
pub(super) async fn bring<H: Host>(pass: &Pass<'_, H>, trigger: &Trigger) -> Step<Option<u64>> {
    if !pass.settings.google_contacts || !pass.features().address_book {
        return Ok(None);
    }
    let row = ledger::read::<AddressBookRow>(pass.host, ADDRESS_BOOK).await?;
    let mut book = row.map(|(row, _)| row).unwrap_or_default();
    let is_asked_for = matches!(trigger, Trigger::Manual | Trigger::Reconnected);
    if pass.host.now() < book.due_at && !is_asked_for {
        return Ok(None);
    }
    let mut started_over = false;
    loop {
        if book.begins_anew() {
            // Stored before anybody is given: who was given in a listing that was cut short, and has left before
            // the next, has an older number than that.
            book.listing += 1;
            let begun = ledger::put(ADDRESS_BOOK.to_owned(), &book)?;
            pass.commit(vec![begun]).await?;
        }
        pass.count(|counts| counts.requests += 1);
        let answer = people::list(pass.host, book.sync_token.as_deref(), book.page.as_deref()).await;
        match answer {
            Ok(page) => {
                take(pass, &mut book, page).await?;
                if book.page.is_none() {
                    return Ok(None);
                }
            }
            Err(PeopleError::StartOver) if !started_over => {
                started_over = true;
                book.sync_token = None;
                book.page = None;
            }
            Err(error) => return postpone(pass, book, error).await,
        }
    }
}

/// Gives the CRM a page, and keeps how far this is together with whom it was given.
async fn take<H: Host>(pass: &Pass<'_, H>, book: &mut AddressBookRow, page: PeoplePage) -> Step {
    let (mut persons, mut left) = (Vec::new(), Vec::new());
    let own = pass.own();
    for person in &page.connections {
        match wanted(person, &own, pass.settings.bcc_address.as_deref()) {
            Some(wanted) => persons.push(wanted),
            None => left.push(person.resource_name.clone()),
        }
    }
    let is_whole = book.sync_token.is_none();
    book.page = page.next_page_token;
    if book.page.is_none() {
        book.sync_token = page.next_sync_token;
        book.due_at = pass.host.now() + ASKED_EVERY;
    }
    if pass.settings.has(Mutation::AddressBookBeforeContacts) {
        let early = ledger::put(ADDRESS_BOOK.to_owned(), book)?;
        pass.commit(vec![early]).await?;
    }
    give(pass, book.listing, persons).await?;
    if is_whole && book.page.is_none() {
        ledger::for_each::<Listing>(pass.host, PERSONS, None, |key, listing| {
            if listing != book.listing {
                left.push(key.to_owned());
            }
        })
        .await?;
    }
    let mut changes = Vec::new();
    for keys in left.chunks(AT_ONCE) {
        pass.host.remove_contacts(keys.to_vec()).await?;
        changes.extend(keys.iter().map(|key| ledger::remove(person_key(key))));
    }
    changes.push(ledger::put(ADDRESS_BOOK.to_owned(), book)?);
    Ok(pass.commit(changes).await?)
}

/// Gives the CRM persons. That it may have them is noted first: whoever leaves is then taken away, whatever stops
/// this.
async fn give<H: Host>(pass: &Pass<'_, H>, listing: Listing, persons: Vec<Person>) -> Step {
    if persons.is_empty() {
        return Ok(());
    }
    let mut changes = Vec::with_capacity(persons.len());
    for person in &persons {
        changes.push(ledger::put(person_key(&person.key), &listing)?);
    }
    pass.commit(changes).await?;
    for outcome in pass.host.put_contacts(persons).await? {
        if let PersonOutcome::Refused(why) = outcome {
            pass.warn("a person was refused", &[("why", &why)]);
        }
    }
    Ok(())
}

/// Keeps when to ask again. Only a grant that is gone ends the pass.
async fn postpone<H: Host>(
    pass: &Pass<'_, H>,
    mut book: AddressBookRow,
    error: PeopleError,
) -> Step<Option<u64>> {
    book.due_at = match error {
        PeopleError::Google(error @ GmailError::ReconnectNeeded) => return Err(error.into()),
        PeopleError::Google(GmailError::RateLimited { until, .. }) => until,
        _ => pass.host.now() + AGAIN_AFTER,
    };
    pass.warn("no address book", &[("why", &error.to_string())]);
    let change = ledger::put(ADDRESS_BOOK.to_owned(), &book)?;
    pass.commit(vec![change]).await?;
    Ok(Some(book.due_at))
}
