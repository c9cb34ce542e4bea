//! For any message it can be told what became of it and by which rule (T02).

use twinbox_host::contract::Outcome;

use super::{Found, Judge, Mail, User, mail::date};
use crate::ports::crm::{Delivery, Row};

impl Judge<'_> {
    /// What a connection says of a message in the end is what the CRM shows.
    pub(super) fn judge_explained(&self, user: &User<'_>, found: &mut Found) {
        let Some(active) = self.active(user) else { return };
        let Some((id, explanations)) = self.history.explained.get(&user.number) else {
            return;
        };
        let Some(message) = self.view.messages.iter().find(|message| message.id == *id) else {
            return;
        };
        let here = format!("tenant {}, message {id}", user.number);
        let connected = user.lives.last().and_then(|life| life.connected);
        // What came while the connection was made may have come before or after.
        let is_new = connected.is_some_and(|at| date(message) >= at + self.clock_slack());
        let Some(said) = explanations.iter().find(|explanation| explanation.id == *id) else {
            if is_new {
                found.push(("T02", format!("{here} is not explained")));
            }
            return;
        };
        let began = user.lives.last().map_or(u64::MAX, |life| life.began);
        let is_past = date(message) + 1_000 + self.clock_slack() < began;
        if said.outcome == Outcome::Missing && (is_new || is_past) {
            found.push(("T02", format!("{here} is said to be missing: {said:?}")));
        }
        let key = self.key_of(message);
        let mut rows = self.crm.rows.iter().filter(|row| self.is_of(row, message));
        let shown = rows.clone().find(|row| row.by == *active && !row.is_released());
        let is_delivered = matches!(said.outcome, Outcome::Delivered(_));
        // Of two copies (S18) the CRM has the rule of the first.
        let came_by_address = self.copies_of(&Mail::of(message)).next().is_some();
        // What came to the address alone says nothing of a copy in the mailbox that stays out, as one in the trash does.
        let is_its_own = |row: &&Row| !row.is_logged() || row.message.rule != "S18" || is_delivered;
        if let Some(row) = shown.filter(is_its_own) {
            let is_right = said.outcome == Outcome::Delivered(row.message.contact_id.clone())
                && (said.rule == row.message.rule || came_by_address);
            if !is_right {
                let (contact, rule) = (&row.message.contact_id, &row.message.rule);
                found.push((
                    "T02",
                    format!("{here} is with {contact} by {rule}, and is said {said:?}"),
                ));
            }
        }
        let was_sent_here = self
            .crm
            .outbound
            .iter()
            .any(|queued| matches!(&queued.state, Delivery::Sent(sent) if sent.key == key));
        if is_delivered && rows.next().is_none() && !was_sent_here && !came_by_address {
            found.push(("T02", format!("{here} is nowhere, and is said {said:?}")));
        }
    }
}
