//! Mail that was written in the CRM: exactly once, or reported (S23), within the day's limit (S21), and only what one
//! person writes to another (S22).

use gmail_sim::{MailboxView, MessageView};
use twinbox_host::contract::OutboundKind;

use super::{Found, Judge, User};
use crate::{
    gmail::mark_in,
    ports::crm::{Delivery, Queued},
};

/// Drafts that nobody will ever send: those of the CRM are used up or taken away.
pub(super) fn strays(mailbox: usize, view: &MailboxView, found: &mut Found) {
    for (_, id) in &view.drafts {
        let message = view.messages.iter().find(|message| message.id == *id);
        let subject = message.and_then(MessageView::subject).unwrap_or_default();
        if !subject.starts_with("Written in Gmail") {
            found.push(("S23", format!("a stray draft in mailbox {mailbox}: {subject}")));
        }
    }
}

impl Judge<'_> {
    /// Exactly once, or reported as failed (S23).
    pub(super) fn judge_outbound(&self, queued: &Queued, deleted: &[&MessageView], found: &mut Found) {
        let mark = mark_in(&queued.outbound.text);
        let is_it = |message: &&MessageView| {
            message.has("SENT") && mark_in(&String::from_utf8_lossy(&message.raw)) == mark
        };
        let sent: Vec<&str> = self
            .view
            .messages
            .iter()
            .chain(deleted.iter().copied())
            .filter(is_it)
            .map(|message| message.id.as_str())
            .collect();
        let here = format!("tenant {}, {}", self.tenant, queued.outbound.id);
        let is_over = !self.is_active(&queued.connection);
        let is_for_the_mailbox = queued.outbound.kind == OutboundKind::OneToOne;
        match &queued.state {
            _ if !is_for_the_mailbox && !sent.is_empty() => {
                found.push(("S22", format!("{here} went through the mailbox")));
            }
            Delivery::Sent(_) if !is_for_the_mailbox => {
                found.push(("S22", format!("{here} is reported as sent by the mailbox")));
            }
            _ if sent.len() > 1 => found.push(("S23", format!("{here} was sent {} times", sent.len()))),
            Delivery::Sent(report) => {
                let keys: Vec<String> = sent
                    .iter()
                    .map(|id| format!("gmail/{}/{id}", self.view.email))
                    .collect();
                if keys != [report.key.clone()] {
                    found.push((
                        "S23",
                        format!("{here} is reported as {} and is {sent:?}", report.key),
                    ));
                }
                if self.crm.rows.iter().any(|row| row.message.key == report.key) {
                    found.push(("S23", format!("{here} is in its conversation twice")));
                }
            }
            Delivery::Failed if !sent.is_empty() => {
                found.push(("S23", format!("{here} is reported as failed and was sent")));
            }
            Delivery::Waits if !is_over => found.push(("S23", format!("{here} is still waiting"))),
            Delivery::Unconfirmed if !is_over && !self.may_be_unconfirmed() => {
                found.push(("S23", format!("{here} is unconfirmed without a reason: {sent:?}")));
            }
            _ => {}
        }
    }

    /// What the sync cannot find again it has to leave to the user: mail that was deleted meanwhile, or
    /// that Gmail calls by another id while the host's clock is wrong.
    fn may_be_unconfirmed(&self) -> bool {
        self.history
            .deleted
            .iter()
            .any(|(mailbox, _)| *mailbox == self.mailbox)
            || !self.history.relabelled.is_empty()
            || self.state.skew.iter().any(|skew| *skew != 0)
    }

    /// S21, where one tenant has the mailbox for itself: two count each what they have seen.
    pub(super) fn judge_day(&self, user: &User<'_>, found: &mut Found) {
        let tenants = self.plan.shape.tenants.iter();
        if tenants.filter(|tenant| tenant.mailbox == self.mailbox).count() > 1 {
            return;
        }
        let limit = self.plan.shape.tenants[user.number].daily_limit as usize;
        // What another connection of the mailbox sent before, a new one does not know.
        for life in user.lives {
            let own = self
                .crm
                .outbound
                .iter()
                .filter(|queued| queued.connection == life.id);
            let mut times: Vec<u64> = own.filter_map(sent_at).collect();
            times.sort_unstable();
            let is_over = |window: &[u64]| window[limit] - window[0] < 24 * 3_600_000;
            if times.windows(limit + 1).any(is_over) {
                let text = format!("tenant {} sent more than {limit} in a day", user.number);
                found.push(("S21", text));
            }
        }
    }
}

fn sent_at(queued: &Queued) -> Option<u64> {
    match &queued.state {
        Delivery::Sent(sent) => Some(sent.at),
        _ => None,
    }
}
