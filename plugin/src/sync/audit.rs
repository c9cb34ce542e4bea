//! T03: compares the mailbox with the ledger, and brings in what is missing when asked to.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Pass, Step,
    deliver::{Candidate, deliver},
    gap,
    run::is_final,
};
use crate::{
    contract::{AuditMode, AuditReport, Class, Problem, Quarantined, RuleCount},
    gmail::{Folders, GmailError, MessageRef},
    ledger::{self, BCC, Fate, LEDGER, LedgerRow},
    ports::Host,
    rules::s04_no_past_mail::is_past,
    settings,
};

/// Audits. Healing is bounded by the pass and by what the provider allows in a minute: what is left stays in `missing`.
pub async fn audit<H: Host>(host: &H, mode: AuditMode, settings: &str) -> Result<AuditReport, Problem> {
    let mut pass = Pass::load(host, settings::require(settings)?).await?;
    pass.gmail.set_class(Class::Audit);
    let listed = gap::list(&pass, Folders::All)
        .await
        .map_err(|stop| stop.problem)?;
    let mut missing = unaccounted(&pass, &listed).await.map_err(|stop| stop.problem)?;
    let mut healed = 0;
    if mode == AuditMode::Heal && !missing.is_empty() {
        let before: BTreeSet<String> = missing.iter().map(|candidate| candidate.id.clone()).collect();
        if let Err(stop) = deliver(&mut pass, missing).await
            && is_final(&stop.problem)
        {
            return Err(stop.problem);
        }
        missing = gap::unaccounted(&pass, &listed)
            .await
            .map_err(|stop| stop.problem)?;
        missing.retain(|candidate| before.contains(&candidate.id));
        healed = number(before.len() - missing.len());
    }
    let mut report = AuditReport {
        listed: number(listed.len()),
        delivered: 0,
        excluded: Vec::new(),
        gone: 0,
        quarantined: Vec::new(),
        missing: missing.into_iter().map(|candidate| candidate.id).collect(),
        healed,
    };
    let mut excluded: BTreeMap<&'static str, u32> = BTreeMap::new();
    let mut visit = |id: &str, row: LedgerRow| match row.fate {
        Fate::Delivered(_) => report.delivered += 1,
        Fate::Excluded(rule) => *excluded.entry(rule.name()).or_default() += 1,
        Fate::Gone => report.gone += 1,
        Fate::Quarantined(reason) => report.quarantined.push(Quarantined {
            id: id.to_owned(),
            reason,
        }),
    };
    for prefix in [LEDGER, BCC] {
        ledger::for_each(host, prefix, None, &mut visit).await?;
    }
    report.excluded = excluded
        .into_iter()
        .map(|(rule, count)| RuleCount {
            rule: rule.to_owned(),
            count,
        })
        .collect();
    Ok(report)
}

/// Messages since the connection without a row. The listing begins earlier, and past mail (S04) needs none: what is oldest
/// says whether it is.
async fn unaccounted<H: Host>(pass: &Pass<'_, H>, listed: &[MessageRef]) -> Step<Vec<Candidate>> {
    let mut missing = gap::unaccounted(pass, listed).await?;
    let mut past = 0;
    for candidate in &missing {
        match pass.gmail.metadata(&candidate.id).await {
            Ok(metadata) if !is_past(metadata.summary.internal_date, pass.connection.since) => break,
            Ok(_) | Err(GmailError::Gone) => past += 1,
            Err(error) => return Err(error.into()),
        }
    }
    Ok(missing.split_off(past))
}

fn number(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}
