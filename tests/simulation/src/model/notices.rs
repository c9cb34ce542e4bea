//! Delivery notices (S18): of real recipients they are shown on the message they concern, of a BCC address nowhere.

use std::collections::BTreeMap;

use gmail_sim::MessageView;
use twinbox_host::contract::UndeliveredKind;

use super::{Expected, Found, Judge, Mail, Presence, mail::header};
use crate::{
    gmail::field,
    plan::Shape,
    ports::crm::{Delivery, News},
};

/// What a notice in a mailbox says.
struct Notice {
    /// The Message-ID of the message it is about.
    original: String,
    /// Whom it has not reached.
    failures: Vec<(String, UndeliveredKind)>,
}

impl Notice {
    fn of(message: &MessageView) -> Option<Self> {
        let raw = String::from_utf8_lossy(&message.raw);
        let status = raw.find("message/delivery-status")?;
        let returned = raw.rfind("\r\nMessage-ID:")?;
        let groups = raw[status..returned].split("\r\n\r\n");
        let failures = groups.filter_map(|group| {
            let recipient = field(group, "Final-Recipient")?;
            let (_, recipient) = recipient.split_once(';')?;
            let kind = match field(group, "Action")?.as_str() {
                "failed" => UndeliveredKind::Failed,
                _ => UndeliveredKind::Delayed,
            };
            Some((recipient.trim().to_lowercase(), kind))
        });
        Some(Self {
            original: field(&raw[returned..], "Message-ID")?,
            failures: failures
                .filter(|(address, _)| !Shape::is_bcc_address(address))
                .collect(),
        })
    }
}

/// A message of the CRM that somebody may not have been reached by.
struct Told<'w> {
    message: &'w MessageView,
    news: &'w News,
    /// Whether whatever is told of it has to show.
    is_sure: bool,
}

impl Judge<'_> {
    pub(super) fn judge_notices(&self, found: &mut Found) {
        let gone = self
            .history
            .deleted
            .iter()
            .map(|(_, view)| (view, Presence::Deleted));
        let alive = self.view.messages.iter().map(|view| (view, Presence::Alive));
        let notices: Vec<(Notice, bool)> = alive
            .chain(gone)
            .filter_map(|(view, presence)| Some((Notice::of(view)?, self.is_surely_read(view, presence))))
            .collect();
        for told in self.told() {
            let raw = String::from_utf8_lossy(&told.message.raw);
            let about = notices.iter().filter(|(notice, _)| {
                let ids = [
                    field(&raw, "Message-ID"),
                    field(&raw, "X-Google-Original-Message-ID"),
                ];
                ids.into_iter().flatten().any(|id| id == notice.original)
            });
            let recipients = ["To", "Cc", "Bcc"].iter().flat_map(|name| header(&raw, name));
            let recipients: Vec<String> = recipients.collect();
            let (mut may, mut must) = (BTreeMap::new(), BTreeMap::new());
            for (notice, is_sure) in about {
                for (recipient, kind) in &notice.failures {
                    if recipients.contains(recipient) {
                        add(&mut may, recipient, *kind);
                        if *is_sure && told.is_sure {
                            add(&mut must, recipient, *kind);
                        }
                    }
                }
            }
            let here = format!("tenant {}, message {}", self.tenant, told.message.id);
            for recipient in told.news.keys().filter(|recipient| !may.contains_key(*recipient)) {
                let text = format!("{here} is said not to have reached {recipient}, and no notice says so");
                found.push(("S18", text));
            }
            for (recipient, kind) in must {
                let got = told.news.get(&recipient);
                let is_shown = got == Some(&kind) || got == Some(&UndeliveredKind::Failed);
                if !is_shown {
                    let text = format!("{here} has not reached {recipient} ({kind:?}), and shows {got:?}");
                    found.push(("S18", text));
                }
            }
        }
    }

    /// Whether the sync has to have read a notice.
    fn is_surely_read(&self, notice: &MessageView, presence: Presence) -> bool {
        !self.was_relabelled(notice)
            && self
                .users
                .iter()
                .any(|user| self.expected(user, notice, presence) == Expected::Must)
    }

    /// What the CRM shows of messages that the user sent.
    fn told(&self) -> Vec<Told<'_>> {
        let mut all = Vec::new();
        let alive = self.view.messages.iter().map(|view| (view, true));
        let gone = self.history.deleted.iter().map(|(_, view)| (view, false));
        for (message, is_alive) in alive.chain(gone).filter(|(message, _)| message.has("SENT")) {
            let key = self.key_of(message);
            let mail = Mail::of(message);
            // What was taken out and came once more, as its BCC copy does, comes without what was told of it before (T06).
            let was_taken_out = self
                .users
                .iter()
                .any(|user| self.history.retracted.contains_key(&user.number));
            let is_sure = is_alive
                && !was_taken_out
                && !self.was_relabelled(message)
                && mail.answers(&self.state.wire.gone) < 2
                && !self.state.coverage.has_stalled();
            let rows = self.crm.rows.iter().filter(|row| self.is_of(row, message));
            all.extend(rows.map(|row| Told {
                message,
                news: &row.news,
                is_sure: is_sure
                    && self.users.len() == 1
                    && self.is_active(&row.by)
                    && !row.is_released()
                    // Gmail's copy may be out, and a notice is about that one.
                    && row.message.rule != "S18"
                    && !row.is_removed
                    && !row.is_deleted,
            }));
            let sent = self.crm.outbound.iter();
            let sent = sent.filter(|queued| matches!(&queued.state, Delivery::Sent(sent) if sent.key == key));
            all.extend(sent.map(|queued| Told {
                message,
                news: &queued.news,
                is_sure: is_sure && self.is_active(&queued.connection),
            }));
        }
        all
    }
}

/// What is final stays.
fn add(known: &mut BTreeMap<String, UndeliveredKind>, recipient: &str, kind: UndeliveredKind) {
    let there = known.entry(recipient.to_owned()).or_insert(kind);
    if kind == UndeliveredKind::Failed {
        *there = kind;
    }
}
