//! Under which key the CRM is given mail that may come two ways (S18). Whichever copy is first claims one, and
//! that is stored before the CRM is given anything: whoever comes second, also after a crash, uses the same
//! key, and a message under one key is in the CRM once.
//!
//! Mail that names a BCC address has a key made of the mail alone, so that a colleague's connection of the same mailbox
//! whose claims are its own and to whose address nothing comes, gives the CRM the same (docs/adr/0025).

use std::collections::BTreeMap;

use super::{Pass, Step};
use crate::{
    contract::Change,
    ledger::{self, Claim, Fate, LedgerRow, bcc_key, claimed_key, claims_key},
    mail::{Envelope, Parsed},
    mutation::Mutation,
    ports::Host,
    rules::Inputs,
    rules::s18_bcc_address::{fingerprint, fingerprint_in, is_same_opening, name, opening},
};

/// Different mails with one fingerprint that are told apart.
const MOST: usize = 64;

/// A copy of some mail.
pub(super) struct Copy<'a> {
    /// What it says, BCC addresses hidden.
    pub(super) mail: &'a Parsed,
    /// Id and thread in the mailbox; none: it came to the BCC address.
    pub(super) place: Option<(String, String)>,
}

/// A name for mail that came to the BCC address: the same for every copy that says the same.
pub(super) fn name_of(mail: &Parsed) -> String {
    name(&fingerprint(mail), &opening(mail))
}

/// The claims of these copies, in their order, stored; none where too many are alike.
pub(super) async fn settle<H: Host>(pass: &Pass<'_, H>, copies: &[Copy<'_>]) -> Step<Vec<Option<Claim>>> {
    let prints: Vec<String> = copies.iter().map(|copy| fingerprint(copy.mail)).collect();
    let mut rows: BTreeMap<&str, (Vec<Claim>, bool)> = BTreeMap::new();
    for print in &prints {
        if !rows.contains_key(print.as_str()) {
            rows.insert(print, (of(pass, print).await?, false));
        }
    }
    let mut claims = Vec::with_capacity(copies.len());
    let mut changes = Vec::new();
    for (copy, print) in copies.iter().zip(&prints) {
        let Some((known, is_new)) = rows.get_mut(print.as_str()) else {
            continue;
        };
        let before = known.clone();
        let claim = claim(pass, known, copy, print);
        if *known != before {
            *is_new = true;
            changes.extend(
                claim
                    .as_ref()
                    .map_or(Ok(None), |claim| key_of_copy(pass, claim))?,
            );
        }
        claims.push(claim);
    }
    for (print, (known, is_new)) in &rows {
        if *is_new {
            changes.push(ledger::put(claims_key(print), known)?);
        }
    }
    pass.commit(changes).await?;
    Ok(claims)
}

fn claim<H: Host>(pass: &Pass<'_, H>, known: &mut Vec<Claim>, copy: &Copy<'_>, print: &str) -> Option<Claim> {
    let opening = opening(copy.mail);
    // A second copy in the mailbox is a mail of its own.
    let is_it = |claim: &Claim| {
        is_same_opening(&claim.opening, &opening)
            && (claim.copy.is_none() || copy.place.is_none() || claim.copy == copy.place)
    };
    let found = known.iter().position(is_it);
    let key = match &copy.place {
        Some(place) => key_in_mailbox(pass, copy.mail, place, &name(print, &opening)),
        None => key_of_mail(pass, &name(print, &opening)),
    };
    let mut others = known.iter().enumerate().filter(|(at, _)| Some(*at) != found);
    let key = match &copy.place {
        Some((id, _)) if others.any(|(_, other)| other.key == key) => pass.message_key(id),
        _ => key,
    };
    if let Some(claim) = found.and_then(|at| known.get_mut(at)) {
        claim.copy = claim.copy.take().or_else(|| copy.place.clone());
        if copy.place.is_some() && claim.barred.take().is_some() && claim.opening.is_empty() {
            // Its text was not read before, and nothing under the key it had then is in the CRM any more.
            (claim.key, claim.opening) = (key, opening);
        }
        return Some(claim.clone());
    }
    if known.len() >= MOST {
        return None;
    }
    let claim = Claim {
        key,
        opening,
        message_id: copy.mail.envelope.message_id.clone(),
        copy: copy.place.clone(),
        barred: None,
    };
    known.push(claim.clone());
    Some(claim)
}

/// The key of mail with this [`name`], of whatever copy of it.
pub(super) fn key_of_mail<H: Host>(pass: &Pass<'_, H>, name: &str) -> String {
    format!("bcc/{}/{name}", pass.connection.address)
}

/// The key of a copy in the mailbox that is the first of its mail.
fn key_in_mailbox<H: Host>(
    pass: &Pass<'_, H>,
    mail: &Parsed,
    (id, _): &(String, String),
    name: &str,
) -> String {
    if mail.envelope.is_logged && !pass.settings.has(Mutation::BccCopyLoggedTwice) {
        key_of_mail(pass, name)
    } else {
        pass.message_key(id)
    }
}

/// What remembers the key of a copy in the mailbox, if that is not the copy's own.
fn key_of_copy<H: Host>(pass: &Pass<'_, H>, claim: &Claim) -> Step<Option<Change>> {
    let copy = claim
        .copy
        .as_ref()
        .filter(|(id, _)| claim.key != pass.message_key(id));
    Ok(copy
        .map(|(id, _)| ledger::put(claimed_key(id), &claim.key))
        .transpose()?)
}

/// The keys under which the CRM has these messages of the mailbox, in their order, if it has them: also where the ledger
/// does not say so, because the pass died that gave them to it.
pub(super) async fn keys<H: Host>(pass: &Pass<'_, H>, ids: &[&str]) -> Step<Vec<String>> {
    let rows = ids.iter().map(|id| claimed_key(id)).collect();
    let claimed = ledger::read_many::<String>(pass.host, rows).await?;
    let keys = ids.iter().zip(claimed);
    Ok(keys
        .map(|(id, claimed)| claimed.map_or_else(|| pass.message_key(id), |(key, _)| key))
        .collect())
}

/// The claim of this mail, if there is one.
pub(super) async fn known<H: Host>(pass: &Pass<'_, H>, mail: &Parsed) -> Step<Option<Claim>> {
    let (print, opening) = (fingerprint(mail), opening(mail));
    let known = of(pass, &print).await?;
    Ok(known
        .into_iter()
        .find(|claim| is_same_opening(&claim.opening, &opening)))
}

/// Claims mail for a copy in the mailbox that stays out for these reasons: whatever comes to the BCC address stays out as
/// well. Returns the keys under which what came there may be in the CRM.
pub(super) async fn bar<H: Host>(
    pass: &Pass<'_, H>,
    mail: &Parsed,
    place: &(String, String),
    inputs: &Inputs,
) -> Step<Vec<String>> {
    let print = fingerprint(mail);
    let mut known = of(pass, &print).await?;
    let (mut came, mut changes) = (Vec::new(), Vec::new());
    for claim in &mut known {
        if claim.copy.get_or_insert_with(|| place.clone()) == place {
            claim.barred = Some(inputs.clone());
            changes.extend(key_of_copy(pass, claim)?);
            // Also what a pass that died has claimed: nobody knows whether it told the CRM.
            came.extend(came_as(&claim.key).map(|_| claim.key.clone()));
        }
    }
    if !known.iter().any(|claim| claim.copy.as_ref() == Some(place)) {
        known.push(Claim {
            key: key_in_mailbox(pass, mail, place, &name(&print, &[])),
            // Its text was not read: whatever has its fingerprint is it.
            opening: Vec::new(),
            message_id: mail.envelope.message_id.clone(),
            copy: Some(place.clone()),
            barred: Some(inputs.clone()),
        });
    }
    // There is one such row for a copy, whatever was joined with it.
    changes.truncate(1);
    changes.push(ledger::put(claims_key(&print), &known)?);
    pass.commit(changes).await?;
    Ok(came)
}

/// The mailbox and the name of mail in its key, if that is made of the mail: it names a BCC address, or came to one first.
pub(super) fn came_as(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("bcc/")?.rsplit_once('/')
}

/// The rows of all that came to the BCC address and is in the CRM under the key of this mail, each with what
/// [`row_key`](ledger::row_key) takes: several copies of one mail may have come that differ in their ends. BCC addresses
/// are hidden in the envelope.
pub(super) async fn rows_at_address<H: Host>(
    pass: &Pass<'_, H>,
    envelope: &Envelope,
    key: &str,
) -> Step<Vec<(String, LedgerRow)>> {
    let print = match came_as(key) {
        Some((_, name)) => fingerprint_in(name).to_owned(),
        // Where Gmail's copy does not name the address. Without a Message-ID the text would say it, which is not here.
        None if pass.settings.bcc_address.is_some() && envelope.message_id.is_some() => {
            fingerprint(&Parsed {
                envelope: envelope.clone(),
                ..Parsed::default()
            })
        }
        None => return Ok(Vec::new()),
    };
    let prefix = bcc_key(&print);
    let mut found = Vec::new();
    ledger::for_each::<LedgerRow>(pass.host, &prefix, None, |rest, row| {
        let is_it = matches!(&row.fate, Fate::Delivered(delivered) if delivered.key.as_deref() == Some(key));
        if is_it {
            found.push((format!("{prefix}{rest}"), row));
        }
    })
    .await?;
    Ok(found)
}

/// The claim with this key, if that is made of a mail of the mailbox that is connected now.
pub(super) async fn with_key<H: Host>(pass: &Pass<'_, H>, key: &str) -> Step<Option<Claim>> {
    let Some((mailbox, name)) = came_as(key) else {
        return Ok(None);
    };
    if mailbox != pass.connection.address {
        return Ok(None);
    }
    let known = of(pass, fingerprint_in(name)).await?;
    Ok(known.into_iter().find(|claim| claim.key == key))
}

/// The provider's id in a key, or of the copy of the mail with this key.
pub(super) async fn id_of<H: Host>(pass: &Pass<'_, H>, key: &str) -> Step<Option<String>> {
    if let Some(id) = pass.id_in(key) {
        return Ok(Some(id.to_owned()));
    }
    let claim = with_key(pass, key).await?;
    Ok(claim.and_then(|claim| claim.copy).map(|(id, _)| id))
}

async fn of<H: Host>(pass: &Pass<'_, H>, print: &str) -> Step<Vec<Claim>> {
    let row = ledger::read::<Vec<Claim>>(pass.host, &claims_key(print)).await?;
    Ok(row.map(|(known, _)| known).unwrap_or_default())
}
