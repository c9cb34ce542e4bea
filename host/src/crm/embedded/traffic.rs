//! How much mail came and went, for those who run it.

use super::{CrmError, EmbeddedCrm};
use crate::scope::TenantId;

/// Milliseconds of an hour.
const HOUR: u64 = 3_600_000;

/// The mail of one hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hour {
    /// When it began, ms since the epoch.
    pub from: u64,
    /// Messages that came.
    pub inbound: u32,
    /// Messages that went.
    pub outbound: u32,
}

impl EmbeddedCrm {
    /// A tenant's mail in the hours that end at `until` (ms since the epoch), the oldest first; hours without mail too.
    pub async fn traffic(&self, tenant: &TenantId, until: u64, hours: u32) -> Result<Vec<Hour>, CrmError> {
        let tenant = tenant.clone();
        let from = until.saturating_sub(u64::from(hours) * HOUR);
        let mut all: Vec<Hour> = (0..u64::from(hours))
            .map(|hour| Hour {
                from: from + hour * HOUR,
                ..Hour::default()
            })
            .collect();
        let counted = self
            .database
            .call(move |sql| {
                let mut statement = sql.prepare_cached(
                    "SELECT (at - ?2) / ?4, json_extract(record, '$.direction') = 'Outbound', count(*)
                     FROM crm_message WHERE tenant = ?1 AND deleted = 0 AND at >= ?2 AND at < ?3 GROUP BY 1, 2",
                )?;
                let rows = statement.query_map((tenant.as_str(), from, until, HOUR), |row| {
                    Ok((row.get::<_, usize>(0)?, row.get::<_, bool>(1)?, row.get::<_, u32>(2)?))
                })?;
                Ok::<_, CrmError>(rows.collect::<Result<Vec<_>, _>>()?)
            })
            .await?;
        for (hour, outbound, count) in counted {
            if let Some(hour) = all.get_mut(hour) {
                let side = if outbound {
                    &mut hour.outbound
                } else {
                    &mut hour.inbound
                };
                *side += count;
            }
        }
        Ok(all)
    }
}
