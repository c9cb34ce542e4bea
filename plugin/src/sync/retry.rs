//! T01: what was quarantined is looked at again after an upgrade, since another version may know better, and whenever
//! somebody asks for it.

use super::{
    Pass, Step,
    deliver::{Candidate, deliver},
};
use crate::{
    contract::Trigger,
    ledger::{self, Fate, LedgerRow, QUARANTINE, VERSION, quarantine_key},
    ports::Host,
};

/// Messages tried again in one pass.
const PER_PASS: usize = 200;

/// Looks again at what another version of the component could not handle; when somebody asked, at what this one could
/// not either.
pub(super) async fn retry_quarantined<H: Host>(pass: &mut Pass<'_, H>, trigger: &Trigger) -> Step {
    let is_asked_for = *trigger == Trigger::Manual;
    let mut ids = Vec::new();
    ledger::for_each::<String>(pass.host, QUARANTINE, None, |id, version| {
        if (is_asked_for || version != VERSION) && ids.len() < PER_PASS {
            ids.push(id.to_owned());
        }
    })
    .await?;
    if ids.is_empty() {
        return Ok(());
    }
    let candidates = ledger::rows_of(pass.host, &ids)
        .await?
        .into_iter()
        .zip(&ids)
        .filter_map(|(row, id)| Some(Candidate::new(id.clone(), row?.thread, None)))
        .collect();
    deliver(pass, candidates).await?;
    let released = ledger::rows_of(pass.host, &ids)
        .await?
        .into_iter()
        .zip(&ids)
        .filter_map(|(row, id)| {
            let is_quarantined = matches!(
                row,
                Some(LedgerRow {
                    fate: Fate::Quarantined(_),
                    ..
                })
            );
            (!is_quarantined).then(|| ledger::remove(quarantine_key(id)))
        });
    let released = released.collect();
    Ok(pass.commit(released).await?)
}
