//! How a message has to be where it is: with whom, saying what, showing whom, and as it is in Gmail (S11, S14, S15, S17,
//! S19, T08).

use gmail_sim::MessageView;
use twinbox_host::contract::{Direction, Flags};

use super::{
    Found, Judge, Mail, Presence,
    contact::Owner,
    mail::{header, unfolded},
};
use crate::{
    gmail::mark_in,
    plan::Shape,
    ports::crm::{Meeting, Row},
};

impl Judge<'_> {
    pub(super) fn judge_row(
        &self,
        message: &MessageView,
        presence: Presence,
        row: &Row,
        wanted: Option<&Owner>,
        found: &mut Found,
    ) {
        let here = format!("tenant {}, message {}", self.tenant, message.id);
        let mail = Mail::of(message);
        judge_content(&here, &mail, row, wanted, found);
        if !self.is_active(&row.by) {
            return;
        }
        // What was deleted before its attachments were fetched has none any more.
        if presence == Presence::Alive {
            self.judge_attachments(&here, &mail, row, found);
        }
        if self.copies_of(&mail).next().is_some() {
            self.judge_state_of_copied(&here, message, presence, row, found);
        } else {
            self.judge_state(&here, message, presence, row, found);
        }
    }

    /// The bytes of its attachments.
    pub(super) fn judge_attachments(&self, here: &str, mail: &Mail<'_>, row: &Row, found: &mut Found) {
        for attachment in &row.message.attachments {
            let key = (row.message.key.clone(), attachment.part.clone());
            let part = &attachment.part;
            match self.crm.attachments.get(&key) {
                // A pass that died before it fetched them leaves them to the next one, and that one fetches nothing more
                // of what is another tenant's by then (S31).
                None if row.is_released() => {}
                None => found.push(("S19", format!("{here} lacks the bytes of part {part}"))),
                Some(bytes) => {
                    let mark = mark_in(&String::from_utf8_lossy(bytes)).map(str::to_owned);
                    if mark.is_some() && mark.as_deref() != mark_in(&mail.raw) {
                        found.push(("S19", format!("{here} has another's bytes as part {part}")));
                    }
                }
            }
        }
    }

    /// Whether the connection that gave the CRM a message has a row for it.
    fn is_known(&self, message: &MessageView, row: &Row) -> bool {
        let mut rows = self.state.store.scan(&row.by, "ledger/");
        rows.any(|(id, _)| id == message.id)
    }

    /// What becomes of it shows on both sides (S17).
    fn judge_state(
        &self,
        here: &str,
        message: &MessageView,
        presence: Presence,
        row: &Row,
        found: &mut Found,
    ) {
        if row.is_released() {
            return;
        }
        match presence {
            // A host died between giving it to the CRM and writing that down, and history expired before it told of it.
            Presence::Deleted if !self.is_known(message, row) => {}
            // One that stood still gave it to the CRM after another had found it gone: no CRM knows of fences.
            Presence::Deleted if self.state.coverage.count("stall at CrmPut") > 0 => {}
            Presence::Deleted if !row.is_deleted => {
                found.push(("S17", format!("{here} was deleted in Gmail and not in the CRM")));
            }
            // Whoever takes it out of the trash again in Gmail gets it back there alone.
            Presence::Alive if row.is_removed => {
                let is_untouched = !self
                    .history
                    .relabelled
                    .contains(&(self.mailbox, message.id.clone()));
                if is_untouched && !message.has("TRASH") {
                    found.push((
                        "S17",
                        format!("{here} was deleted in the CRM and is not in Gmail's trash"),
                    ));
                }
            }
            Presence::Alive if row.is_deleted => {
                found.push(("S17", format!("{here} is deleted in the CRM and not in Gmail")));
            }
            // No lease can keep a host that stood still from telling the CRM what it knew before.
            Presence::Alive if !self.state.coverage.has_stalled() => {
                let flags = flags(message);
                if row.message.flags != flags {
                    let got = row.message.flags;
                    found.push(("S17", format!("{here} has {got:?} instead of {flags:?}")));
                }
                self.judge_own_change(message, row, found);
            }
            _ => {}
        }
    }

    /// The same of mail that came to a BCC address as well. What was done to it before the two were known to be one shows
    /// on one side alone; so only mail to which nobody did anything is judged.
    fn judge_state_of_copied(
        &self,
        here: &str,
        message: &MessageView,
        presence: Presence,
        row: &Row,
        found: &mut Found,
    ) {
        let all = self.state.crm.tenants.values().flat_map(|crm| &crm.rows);
        let mut same = all.filter(|row| self.is_of(row, message));
        let is_untouched = presence == Presence::Alive
            && row.wanted.is_none()
            && same.all(|row| row.wanted.is_none())
            && !self.was_relabelled(message)
            && !message.has("INBOX")
            && !row.is_released();
        let flags = flags(message);
        if is_untouched && row.message.flags != flags {
            let got = row.message.flags;
            found.push(("S17", format!("{here} has {got:?} instead of {flags:?}")));
        }
        if is_untouched && row.is_deleted {
            found.push(("S17", format!("{here} is deleted in the CRM and not in Gmail")));
        }
    }

    /// What only the CRM's user changed stays as that user wanted it, and the CRM is not told of it (S17).
    fn judge_own_change(&self, message: &MessageView, row: &Row, found: &mut Found) {
        let tenants = self.plan.shape.tenants.iter();
        let is_alone = tenants.filter(|tenant| tenant.mailbox == self.mailbox).count() == 1;
        if !is_alone
            || message.has("SENT")
            || self.was_relabelled(message)
            || self.state.coverage.has_repeated()
        {
            return;
        }
        let here = format!("tenant {}, message {}", self.tenant, message.id);
        if let Some(wanted) = row.wanted.filter(|wanted| *wanted != row.message.flags) {
            let got = row.message.flags;
            found.push((
                "S17",
                format!("{here} became {got:?} and was made {wanted:?} in the CRM"),
            ));
        }
        // Where a pass gave a message once more, what was done to it and what the CRM was told then may have crossed.
        if row.echoes > 0 && row.meeting == Meeting::Once {
            found.push(("S17", format!("{here} came back to the CRM where it was changed")));
        }
    }
}

/// With whom it is and what it says.
pub(super) fn judge_content(
    here: &str,
    mail: &Mail<'_>,
    row: &Row,
    wanted: Option<&Owner>,
    found: &mut Found,
) {
    if let Some(Owner {
        contact, direction, ..
    }) = wanted
    {
        if row.message.contact_id != contact.id {
            let got = &row.message.contact_id;
            found.push(("S15", format!("{here} is with {got} instead of {}", contact.id)));
        }
        if row.message.direction != *direction {
            found.push(("S11", format!("{here} is {:?}", row.message.direction)));
        }
    }
    if mark_in(&mail.raw) != mark_in(&row.message.content.text) {
        found.push(("S10", format!("{here} says {:?}", row.message.content.text)));
    }
    judge_people(here, mail, row, found);
    judge_authentication(here, mail, row, found);
    let shown = [&row.message.to, &row.message.cc, &row.message.bcc]
        .into_iter()
        .flatten();
    for recipient in shown.filter(|recipient| Shape::is_bcc_address(&recipient.address)) {
        let address = &recipient.address;
        found.push(("S18", format!("{here} shows the BCC address {address}")));
    }
}

/// Whom it shows beside the contact (S14): the BCC list only of what the user sent and was seen first as Gmail has it, and
/// never a BCC address (S18).
fn judge_people(here: &str, mail: &Mail<'_>, row: &Row, found: &mut Found) {
    let message = &row.message;
    for (name, shown) in [("To", &message.to), ("Cc", &message.cc), ("Bcc", &message.bcc)] {
        let mut wanted = header(&mail.raw, name);
        wanted.retain(|address| !Shape::is_bcc_address(address));
        let names_nobody = message.direction == Direction::Inbound || message.rule == "S18";
        if name == "Bcc" && names_nobody {
            wanted.clear();
        }
        let shown: Vec<String> = shown.iter().map(|shown| shown.address.to_lowercase()).collect();
        if shown != wanted {
            let text = format!("{here} shows {shown:?} in {name} instead of {wanted:?}");
            found.push(("S14", text));
        }
    }
}

/// What Gmail found out about the sender is shown, and what anybody else says is not (T08).
fn judge_authentication(here: &str, mail: &Mail<'_>, row: &Row, found: &mut Found) {
    if row.message.direction == Direction::Outbound {
        return;
    }
    let results = unfolded(&mail.raw, "Authentication-Results");
    let results = results.filter(|results| results.starts_with("mx.google.com;"));
    let wanted = results.map(|results| {
        ["spf", "dkim", "dmarc"].map(|method| {
            let (_, found) = results.split_once(&format!("{method}="))?;
            found.split([' ', ';']).next().map(str::to_owned)
        })
    });
    let shown = row.message.authentication.clone();
    let shown = shown.map(|shown| [shown.spf, shown.dkim, shown.dmarc]);
    if shown != wanted {
        let text = format!("{here} shows {shown:?} of its sender instead of {wanted:?}");
        found.push(("T08", text));
    }
}

/// S17: what Gmail's labels mean in a CRM.
fn flags(message: &MessageView) -> Flags {
    Flags {
        unread: message.has("UNREAD"),
        starred: message.has("STARRED"),
        archived: !message.has("INBOX") && !message.has("SENT"),
        trashed: message.has("TRASH"),
    }
}
