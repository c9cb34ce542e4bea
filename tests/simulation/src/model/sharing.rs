//! Who keeps which contact where several tenants have one mailbox (S30 to S32).

use twinbox_host::contract::Direction;

use super::{Expected, Found, Judge, Mail, Own, User, contact::Owner};
use crate::{
    director::tenant_id,
    gmail::mark_in,
    ports::{
        crm::{Delivery, Row},
        sharing::Reign,
    },
};

/// How far the clocks of the host and of Gmail may be apart by the rule S31, ms.
const CLOCKS_APART: u64 = 120_000;

impl Judge<'_> {
    /// No connection's rows have anything of another tenant (S33).
    pub(super) fn judge_isolation(&self, found: &mut Found) {
        let mut secrets = Vec::new();
        for (tenant, crm) in &self.state.crm.tenants {
            if *tenant != tenant_id(self.tenant) {
                secrets.push(format!("{tenant}-c"));
                secrets.push(format!("{tenant}."));
                secrets.extend(
                    crm.outbound
                        .iter()
                        .map(|queued| format!("\"{}\"", queued.outbound.id)),
                );
            }
        }
        for life in self.users.iter().flat_map(|user| user.lives) {
            for (key, value) in self.state.store.scan(&life.id, "") {
                let row = format!("\"{key}\" {}", String::from_utf8_lossy(value));
                if let Some(secret) = secrets.iter().find(|secret| row.contains(secret.as_str())) {
                    found.push(("S33", format!("{} has a row with {secret}: {row}", life.id)));
                }
            }
        }
    }

    /// Who keeps what, seen from this tenant (S31).
    pub(super) fn judge_sharing(&self, found: &mut Found) {
        for queued in self.queued() {
            let Delivery::Sent(report) = &queued.state else {
                continue;
            };
            let address = queued.outbound.to[0].address.to_lowercase();
            let is_writer = |user: &&User<'_>| user.lives.iter().any(|life| life.id == queued.connection);
            let writer = self.users.iter().find(is_writer);
            let is_seen = writer
                .zip(self.owner_of(&address))
                .is_some_and(|(writer, contact)| self.sees(writer, contact));
            // A draft that keeps its id when it is sent keeps its date as well.
            let before = if self.plan.shape.behaviour.draft_send_keeps_id {
                u64::MAX
            } else {
                report.at + self.time_slack()
            };
            let is_kept = self.reigns(&address).iter().any(|reign| reign.from <= before);
            if is_seen && !is_kept {
                let text = format!("tenant {} wrote to {address}, and nobody keeps it", self.tenant);
                found.push(("S31", text));
            }
        }
        // No lease can keep a host that stood still from putting what it was told before.
        if self.state.coverage.has_stalled() {
            return;
        }
        let own = |row: &&Row| self.is_active(&row.by);
        for row in self.crm.rows.iter().filter(own) {
            let Some(address) = self.address_of(row) else {
                continue;
            };
            let mut others = self
                .reigns(&address)
                .iter()
                .filter(|reign| self.is_anothers(reign));
            let is_kept_by_another = others.clone().any(|reign| reign.to.is_none());
            let here = format!("tenant {}, {} of {address}", self.tenant, row.message.key);
            // Of mail that was deleted for good before the ledger knew it, nothing is left that says whose it is.
            if is_kept_by_another && !row.is_released() && !row.is_deleted {
                found.push(("S31", format!("{here} is not marked as released")));
            }
            if row.is_released() && others.next().is_none() {
                found.push((
                    "S31",
                    format!("{here} is marked as released, and nobody else kept it"),
                ));
            }
        }
    }

    /// The address of the contact that the message of a row has.
    fn address_of(&self, row: &Row) -> Option<String> {
        let message = self.view.messages.iter();
        let message = message
            .chain(self.history.deleted.iter().map(|(_, view)| view))
            .find(|message| self.is_of(row, message));
        let mail = match message {
            Some(message) => Mail::of(message),
            None => self.logged_as(row)?,
        };
        Some(self.contact(&mail)?.address)
    }

    /// What was claimed of an address in this mailbox, in order.
    fn reigns(&self, address: &str) -> &[Reign] {
        let key = (self.view.email.clone(), address.to_owned());
        self.state.sharing.reigns.get(&key).map_or(&[], Vec::as_slice)
    }

    fn is_anothers(&self, reign: &Reign) -> bool {
        reign.tenant != tenant_id(self.tenant)
    }

    /// Whether this tenant has a share in a message whose contact others may keep (S31, S32).
    pub(super) fn share(&self, owner: &Owner, mail: &Mail<'_>) -> Expected {
        if self.is_own(mail) == Own::AnotherTenant {
            return Expected::MustNot;
        }
        let (at, slack) = (mail.at, self.time_slack());
        // What was sent about the time of a claim may be what it was claimed for.
        let early = match owner.direction {
            Direction::Inbound => 0,
            Direction::Outbound => CLOCKS_APART,
        };
        let mut share = Expected::Must;
        for reign in self
            .reigns(&owner.address)
            .iter()
            .filter(|reign| self.is_anothers(reign))
        {
            let is_before = at + early + slack < reign.from;
            let is_after = reign.to.is_some_and(|to| at > to + slack);
            if is_before || is_after {
                continue;
            }
            let is_surely_within = at >= reign.from + slack && reign.to.is_none();
            share = share.and(if is_surely_within {
                Expected::MustNot
            } else {
                Expected::May
            });
        }
        share
    }

    /// Whether the message is one that a CRM sent.
    pub(super) fn is_own(&self, mail: &Mail<'_>) -> Own {
        if mail.direction == Direction::Inbound {
            return Own::No;
        }
        let mark = mark_in(&mail.raw);
        for (tenant, crm) in &self.state.crm.tenants {
            if crm
                .outbound
                .iter()
                .any(|queued| mark_in(&queued.outbound.text) == mark)
            {
                return if *tenant == tenant_id(self.tenant) {
                    Own::ThisTenant
                } else {
                    Own::AnotherTenant
                };
            }
        }
        Own::No
    }
}
