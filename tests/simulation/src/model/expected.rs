//! Whether a message has to be in a tenant's CRM: by what happened to it and to the connection (S04, S06, S10).

use gmail_sim::MessageView;

use super::{Found, Generation, Judge, Mail, Own, Presence, User, mail::date};
use crate::ports::crm::Row;

/// Whether a message has to be in a tenant's CRM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    Must,
    MustNot,
    /// It depends on what was quicker.
    May,
}

impl Expected {
    /// What is left of it if something else holds as well.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::MustNot, _) | (_, Self::MustNot) => Self::MustNot,
            (Self::May, _) | (_, Self::May) => Self::May,
            (Self::Must, Self::Must) => Self::Must,
        }
    }

    /// What comes of it if something else would do as well.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Must, _) | (_, Self::Must) => Self::Must,
            (Self::May, _) | (_, Self::May) => Self::May,
            (Self::MustNot, Self::MustNot) => Self::MustNot,
        }
    }

    /// The row that is there, if none is missing, too many, or where it must not be.
    pub(super) fn met_by<'w>(self, rows: &[&'w Row], here: &str, found: &mut Found) -> Option<&'w Row> {
        match (self, rows) {
            (Self::Must, []) => found.push(("T01", format!("{here} is missing"))),
            (Self::MustNot, [row, ..]) => {
                let contact = &row.message.contact_id;
                found.push(("S10", format!("{here} is with {contact} and must not be")));
            }
            (_, [_, _, ..]) => found.push(("S23", format!("{here} is there {} times", rows.len()))),
            (_, [row]) => return Some(row),
            (_, []) => {}
        }
        None
    }
}

impl Judge<'_> {
    pub(super) fn expected(&self, user: &User<'_>, message: &MessageView, presence: Presence) -> Expected {
        let by = user
            .lives
            .iter()
            .map(|life| self.expected_by(user, life, message, presence));
        by.fold(Expected::MustNot, Expected::or)
    }

    fn expected_by(
        &self,
        user: &User<'_>,
        life: &Generation,
        message: &MessageView,
        presence: Presence,
    ) -> Expected {
        // Gmail tells its time in whole seconds (S04).
        let slack = self.clock_slack();
        if life.is_refused
            || date(message) + 1_000 + slack < life.began
            || self.is_own(&Mail::of(message)) == Own::ThisTenant
        {
            return Expected::MustNot;
        }
        let Some(connected) = life.connected else {
            return Expected::May;
        };
        if life.ended.is_some_and(|ended| date(message) > ended + slack) && self.plan.shape.hosts == 1 {
            return Expected::MustNot;
        }
        let is_hidden = ["DRAFT", "SPAM", "TRASH"].iter().any(|label| message.has(label));
        let was_relabelled = self.was_relabelled(message);
        if is_hidden && (message.has("DRAFT") || !was_relabelled) {
            return Expected::MustNot;
        }
        let mail = Mail::of(message);
        let is_sure = date(message) >= connected + slack
            && !life.is_ending
            && presence == Presence::Alive
            && !is_hidden
            && self.active(user) == Some(&life.id)
            && self.is_own(&mail) == Own::No
            && mail.answers(&self.state.wire.unanswered) < 3
            && mail.answers(&self.state.wire.gone) < 2;
        if is_sure { Expected::Must } else { Expected::May }
    }

    /// Whether people changed its labels, in Gmail or by way of a CRM's trash.
    pub(super) fn was_relabelled(&self, message: &MessageView) -> bool {
        let place = (self.mailbox, message.id.clone());
        self.history.relabelled.contains(&place) || self.history.trashed_in_crm.contains(&place)
    }
}
