//! Every message has a row that says what became of it (T01).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Found, Judge, User, mail::date};
use crate::director::LAG;

impl Judge<'_> {
    /// Every message since the connection is in the ledger, and none is quarantined but for a reason.
    pub(super) fn judge_ledger(&self, user: &User<'_>, found: &mut Found) {
        let Some(life) = user.lives.last().filter(|_| self.active(user).is_some()) else {
            return;
        };
        let rows: BTreeMap<&str, &[u8]> = self.state.store.scan(&life.id, "ledger/").collect();
        for message in &self.view.messages {
            let is_new = life
                .connected
                .is_some_and(|at| date(message) >= at + self.clock_slack());
            // What has just come, history may not tell yet.
            let is_missed = |(at, missing): &(u64, BTreeSet<String>)| {
                missing.contains(&message.id) && date(message) + self.clock_slack() + LAG < *at
            };
            if is_new && self.history.missing.get(&user.number).is_some_and(is_missed) {
                let text = format!("the audit of tenant {} misses {}", user.number, message.id);
                found.push(("T03", text));
            }
            if is_new && !message.has("DRAFT") && !rows.contains_key(message.id.as_str()) {
                let text = format!("tenant {}, message {} has no ledger row", user.number, message.id);
                found.push(("T01", text));
            }
        }
        for (id, row) in rows {
            let row: Value = serde_json::from_slice(row).unwrap_or_default();
            let reason = &row["fate"]["quarantined"];
            let failures = self.state.wire.unanswered.get(id).copied().unwrap_or_default();
            if !reason.is_null() && failures < 3 {
                let text = format!("tenant {}, message {id} is quarantined: {reason}", user.number);
                found.push(("T01", text));
            }
        }
    }
}
