//! What the CRM has although the ledger does not know it: a pass that died between the two put it there.
//! What happened to such a message since is told to the CRM like any other change (S17): it must not stay
//! in the inbox there because the first thing the ledger sees of it is the trash.

use super::look::{Look, Looked, Reading, Standing};
use crate::{
    gmail::GmailError,
    mail::Envelope,
    ports::Host,
    rules::{LabelRule, Rule},
    sync::{Pass, Step, claims, deletion},
};

/// Looks again at what is gone, or in spam or trash, if the CRM has it.
pub(super) async fn look_again<H: Host>(pass: &Pass<'_, H>, mut looks: Vec<Looked>) -> Step<Vec<Looked>> {
    let doubtful: Vec<&mut Looked> = looks
        .iter_mut()
        .filter(|looked| is_doubtful(&looked.look))
        .collect();
    if doubtful.is_empty() || !pass.features().edit_after_log {
        return Ok(looks);
    }
    let ids: Vec<&str> = doubtful.iter().map(|looked| looked.id.as_str()).collect();
    let keys = claims::keys(pass, &ids).await?;
    let found = pass.host.find_messages(keys.clone()).await?;
    let mut deleted = Vec::new();
    for ((looked, key), found) in doubtful.into_iter().zip(keys).zip(found) {
        if found.is_none() {
            continue;
        }
        if !matches!(looked.look, Look::Gone) {
            looked.look = read(pass, &looked.id).await?;
        }
        if matches!(looked.look, Look::Gone) {
            deleted.push(deletion(key));
        }
    }
    pass.tell_crm(deleted).await?;
    Ok(looks)
}

fn is_doubtful(look: &Look) -> bool {
    matches!(
        look,
        Look::Gone | Look::Excluded(Rule::Label(LabelRule::Spam | LabelRule::Trash), _)
    )
}

async fn read<H: Host>(pass: &Pass<'_, H>, id: &str) -> Step<Look> {
    match pass.gmail.metadata(id).await {
        Ok(metadata) => Ok(Look::Read(Box::new(Reading {
            envelope: Envelope::from_headers(&metadata.headers()),
            summary: metadata.summary,
            parsed: None,
            standing: Standing::InCrm,
        }))),
        Err(GmailError::Gone) => Ok(Look::Gone),
        Err(error) => Err(error.into()),
    }
}
