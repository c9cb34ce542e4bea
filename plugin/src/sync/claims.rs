//! Under which key the CRM is given mail that may come two ways (S18). Whichever copy is first claims one, and
//! that is stored before the CRM is given anything: whoever comes second, also after a crash, uses the same
//! key, and a message under one key is in the CRM once.

use std::collections::BTreeMap;

use super::{Pass, Step};
use crate::{
    ledger::{self, Claim, claims_key},
    mail::Parsed,
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
    for (copy, print) in copies.iter().zip(&prints) {
        let Some((known, is_new)) = rows.get_mut(print.as_str()) else {
            continue;
        };
        let before = known.clone();
        claims.push(claim(pass, known, copy, print));
        *is_new |= *known != before;
    }
    let mut changes = Vec::new();
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
    let is_it = |claim: &&mut Claim| {
        is_same_opening(&claim.opening, &opening)
            && (claim.copy.is_none() || copy.place.is_none() || claim.copy == copy.place)
    };
    if let Some(claim) = known.iter_mut().find(is_it) {
        claim.copy = claim.copy.take().or_else(|| copy.place.clone());
        if copy.place.is_some() {
            claim.barred = None;
        }
        return Some(claim.clone());
    }
    if known.len() >= MOST {
        return None;
    }
    let key = match &copy.place {
        Some((id, _)) => pass.message_key(id),
        None => format!("bcc/{}/{}", pass.connection.address, name(print, &opening)),
    };
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
    let mut came = Vec::new();
    for claim in &mut known {
        if claim.copy.get_or_insert_with(|| place.clone()) == place {
            claim.barred = Some(inputs.clone());
            // Also what a pass that died has claimed: nobody knows whether it told the CRM.
            came.extend(came_as(&claim.key).map(|_| claim.key.clone()));
        }
    }
    if !known.iter().any(|claim| claim.copy.as_ref() == Some(place)) {
        known.push(Claim {
            key: pass.message_key(&place.0),
            // Its text was not read: whatever has its fingerprint is it.
            opening: Vec::new(),
            message_id: mail.envelope.message_id.clone(),
            copy: Some(place.clone()),
            barred: Some(inputs.clone()),
        });
    }
    pass.commit(vec![ledger::put(claims_key(&print), &known)?])
        .await?;
    Ok(came)
}

/// The mailbox and the name of mail in its key, if it came to the BCC address first.
pub(super) fn came_as(key: &str) -> Option<(&str, &str)> {
    key.strip_prefix("bcc/")?.rsplit_once('/')
}

/// The claim with this key, if it is of mail that came to the BCC address of the mailbox that is connected now.
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
