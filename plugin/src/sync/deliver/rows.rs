//! What a group's commit will hold.

use super::{Wanted, hand_over::Ready, notice::Report};
use crate::{
    contract::Change,
    gmail::Summary,
    ledger::{
        self, Delivered, Fate, LedgerRow, ThreadRow, Told, VERSION, held_key, ledger_key, quarantine_key,
        sent_key, thread_key,
    },
    mail::Envelope,
    ports::Host,
    rules::{Inputs, Rule, s11_sent, s17_both_ways::bits},
    sync::{Pass, Step, message::flags, sharing::contact_row},
};

/// What a group's commit will hold.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) ledger: Vec<(String, LedgerRow)>,
    pub(super) threads: Vec<(String, Option<ThreadRow>)>,
    pub(super) sent: Vec<String>,
    pub(super) more: Vec<Change>,
    /// The addresses of contacts that messages were delivered to.
    pub(super) contacts: Vec<String>,
    pub(super) reports: Vec<Report>,
    pub(super) settled: usize,
}

impl Rows {
    pub(super) fn settle<H: Host>(&mut self, pass: &Pass<'_, H>, id: &str, row: LedgerRow) {
        pass.count(|counts| {
            counts.seen += 1;
            match &row.fate {
                Fate::Delivered(_) => counts.delivered += 1,
                Fate::Excluded(_) => counts.excluded += 1,
                Fate::Gone => counts.gone += 1,
                Fate::Quarantined(_) => counts.quarantined += 1,
            }
        });
        self.settled += 1;
        self.ledger.push((id.to_owned(), row));
    }

    pub(super) fn quarantine<H: Host>(&mut self, pass: &Pass<'_, H>, id: &str, thread: &str, reason: String) {
        pass.warn("quarantined", &[("message", id), ("reason", &reason)]);
        self.settle(pass, id, row(pass, thread, Fate::Quarantined(reason)));
    }

    pub(super) fn exclude<H: Host>(
        &mut self,
        pass: &Pass<'_, H>,
        summary: &Summary,
        envelope: &Envelope,
        rule: Rule,
        inputs: Inputs,
    ) {
        if matches!(rule, Rule::S10 | Rule::S30 | Rule::S31 | Rule::S32 | Rule::T06)
            && let Some(thread) = self.thread(&summary.thread_id)
        {
            thread.strangers = true;
        }
        let row = LedgerRow {
            received_at: summary.internal_date,
            sender: envelope.sender.as_ref().map(|sender| sender.address.clone()),
            inputs,
            ..row(pass, &summary.thread_id, Fate::Excluded(rule))
        };
        self.settle(pass, &summary.id, row);
    }

    pub(super) fn deliver<H: Host>(
        &mut self,
        pass: &Pass<'_, H>,
        ready: &Ready,
        left_out: Vec<String>,
        told: Option<Told>,
    ) {
        let Wanted {
            summary,
            envelope,
            delivery,
            ..
        } = &ready.wanted;
        let delivered = Delivered {
            key: (ready.key != pass.message_key(&summary.id)).then(|| ready.key.clone()),
            left_out,
            labels_at: summary.history_id,
            flags: Some(bits(flags(&summary.label_ids))),
            told,
            ..Delivered::new(&delivery.contact.id, delivery.rule, envelope.message_id.clone())
        };
        self.more
            .push(ledger::mark(held_key(&delivery.address, &summary.id)));
        if !self.contacts.contains(&delivery.address) {
            self.more
                .extend(contact_row(&delivery.contact, &delivery.address));
            self.contacts.push(delivery.address.clone());
        }
        let row = LedgerRow {
            received_at: summary.internal_date,
            sender: envelope.sender.as_ref().map(|sender| sender.address.clone()),
            inputs: delivery.inputs.clone(),
            ..row(pass, &summary.thread_id, Fate::Delivered(delivered))
        };
        self.settle(pass, &summary.id, row);
        let latest = ThreadRow {
            subject: envelope.subject.clone(),
            message_id: envelope.message_id.clone(),
            references: envelope.references.clone(),
            latest_at: summary.internal_date,
            strangers: false,
        };
        let Some((_, thread)) = self.threads.iter_mut().find(|(id, _)| *id == summary.thread_id) else {
            self.threads.push((summary.thread_id.clone(), Some(latest)));
            return;
        };
        match thread {
            Some(known) if known.latest_at > latest.latest_at => {}
            Some(known) => {
                *known = ThreadRow {
                    strangers: known.strangers,
                    ..latest
                }
            }
            None => *thread = Some(latest),
        }
    }

    /// Whether something of this thread was delivered, now or before.
    pub(super) fn knows(&self, thread: &str) -> bool {
        self.threads.iter().any(|(id, row)| id == thread && row.is_some())
    }

    fn thread(&mut self, id: &str) -> Option<&mut ThreadRow> {
        self.threads.iter_mut().find(|(known, _)| known == id)?.1.as_mut()
    }

    /// Whoever sent it, with whatever client: it counts for the mailbox's day (S21).
    pub(super) fn note_sent(&mut self, summary: &Summary) {
        if s11_sent::is_sent(&summary.label_ids) {
            self.sent.push(sent_key(summary.internal_date, &summary.id));
        }
    }

    pub(super) fn into_changes(self) -> Step<Vec<Change>> {
        let mut changes = Vec::with_capacity(self.ledger.len() + self.threads.len());
        for (id, row) in &self.ledger {
            changes.push(ledger::put(ledger_key(id), row)?);
            if matches!(row.fate, Fate::Quarantined(_)) {
                changes.push(ledger::put(quarantine_key(id), &VERSION)?);
            }
        }
        for (id, row) in &self.threads {
            if let Some(row) = row {
                changes.push(ledger::put(thread_key(id), row)?);
            }
        }
        changes.extend(self.sent.into_iter().map(ledger::mark));
        changes.extend(self.more);
        Ok(changes)
    }
}

/// A row that is complete but for what was read of the message.
pub(super) fn row<H: Host>(pass: &Pass<'_, H>, thread: &str, fate: Fate) -> LedgerRow {
    LedgerRow {
        fate,
        thread: thread.to_owned(),
        received_at: 0,
        decided_at: pass.host.now(),
        sender: None,
        inputs: Inputs::new(),
        concerns: None,
        people: Vec::new(),
        version: VERSION.to_owned(),
    }
}
