//! Mail with a BCC address in Bcc (S18): in the conversation of its primary recipient, exactly once, whether it came by
//! the mailbox, at the address, or both.

use std::collections::BTreeMap;

use bytes::Bytes;
use gmail_sim::MessageView;
use twinbox_host::scope::ConnectionId;

use super::{Expected, Found, Judge, Mail, Presence, Rows, User, contact::Owner, row::judge_content};
use crate::{gmail::mark_in, ports::crm::Row};

/// A copy of a mail that another server had for a BCC address.
#[derive(Clone, Debug)]
pub(crate) struct Logged {
    /// Whose address it is.
    pub(crate) tenant: usize,
    /// The connection that has the address.
    pub(crate) connection: ConnectionId,
    /// RFC 5322 bytes.
    pub(crate) raw: Bytes,
    /// When it was acknowledged, by the host's clock, ms since the epoch; none: it was not.
    pub(crate) taken_at: Option<u64>,
    /// What became of it then.
    pub(crate) settled: Option<Settled>,
}

/// What became of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settled {
    /// The component decided.
    Decided,
    /// The connection had ended.
    Dropped,
}

impl Logged {
    /// Whether it is the same connection's, and was decided on earlier.
    fn is_decided_before(&self, other: &Self) -> bool {
        self.connection == other.connection
            && self.settled == Some(Settled::Decided)
            && self.taken_at < other.taken_at
    }

    fn mail(&self) -> Mail<'_> {
        Mail::logged(&self.raw, self.taken_at.unwrap_or_default())
    }
}

impl Judge<'_> {
    /// The copies of a mail that came to an address of this tenant.
    pub(super) fn copies_of(&self, mail: &Mail<'_>) -> impl Iterator<Item = &Logged> {
        let mark = mark_in(&mail.raw).map(str::to_owned);
        let is_own = |copy: &&Logged| self.users.iter().any(|user| user.number == copy.tenant);
        let copies = self.history.logged.iter().filter(is_own);
        copies.filter(move |copy| mark_in(&copy.mail().raw) == mark.as_deref())
    }

    /// Whether a mail of this contact has to be here for the sake of a copy alone.
    pub(super) fn expected_of_copy(&self, copy: &Logged, owner: &Owner) -> Expected {
        let (mail, slack) = (copy.mail(), self.time_slack());
        let user = self.users.iter().find(|user| user.number == copy.tenant);
        let Some(user) = user.filter(|user| self.sees(user, &owner.contact)) else {
            return Expected::MustNot;
        };
        let life = user.lives.iter().find(|life| life.id == copy.connection);
        let (Some(life), Some(at)) = (life, copy.taken_at) else {
            return Expected::MustNot;
        };
        if at + slack < life.began {
            return Expected::MustNot;
        }
        let is_sure = copy.settled == Some(Settled::Decided)
            && life.connected.is_some_and(|connected| at >= connected + slack)
            && !life.is_ending
            && self.active(user) == Some(&life.id);
        let expected = if is_sure { Expected::Must } else { Expected::May };
        expected
            .and(self.share(owner, &mail))
            .and(self.allowed(user, owner, &mail, Presence::Alive))
    }

    /// Whether what keeps the mailbox's copy out keeps this one out too: it alone says to whom the mail went by Bcc (T06).
    pub(super) fn barred_by_the_mailboxs(
        &self,
        copy: &Logged,
        message: &MessageView,
        presence: Presence,
        owner: &Owner,
    ) -> Expected {
        let user = self.users.iter().find(|user| user.number == copy.tenant);
        let sees_both = user.filter(|user| {
            self.expected(user, message, presence) == Expected::Must
                && self.active(user) == Some(&copy.connection)
        });
        sees_both.map_or(Expected::Must, |user| {
            self.allowed(user, owner, &Mail::of(message), presence)
        })
    }

    /// Mail that came to an address alone: the mailbox has no copy, or none any more.
    pub(super) fn judge_logged_alone(&self, rows: &mut Rows<'_>, found: &mut Found) {
        let sent: Vec<Mail<'_>> = self
            .view
            .messages
            .iter()
            .chain(self.history.deleted.iter().map(|(_, view)| view))
            .filter(|message| message.has("SENT"))
            .map(Mail::of)
            .collect();
        let mut alone: BTreeMap<String, Vec<&Logged>> = BTreeMap::new();
        for copy in &self.history.logged {
            let mail = copy.mail();
            let mark = mark_in(&mail.raw).unwrap_or_default();
            let is_own = self.users.iter().any(|user| user.number == copy.tenant);
            if is_own && !sent.iter().any(|sent| mark_in(&sent.raw) == Some(mark)) {
                alone.entry(mark.to_owned()).or_default().push(copy);
            }
        }
        for (mark, copies) in alone {
            let mail = copies[0].mail();
            let wanted = self.contact(&mail);
            let expected = wanted.as_ref().map_or(Expected::MustNot, |owner| {
                let by = copies.iter().map(|copy| {
                    let expected = self.expected_of_copy(copy, owner);
                    // What was decided of the first copy stands, whatever has changed before the others come.
                    let is_first = !copies.iter().any(|other| other.is_decided_before(copy));
                    if is_first {
                        expected
                    } else {
                        expected.and(Expected::May)
                    }
                });
                by.fold(Expected::MustNot, Expected::or)
            });
            let here = format!("tenant {}, mail {mark} at the BCC address", self.tenant);
            let rows = rows.take_logged(&mark);
            if let Some(row) = expected.met_by(&rows, &here, found) {
                judge_content(&here, &mail, row, wanted.as_ref(), found);
                if self.is_active(&row.by) {
                    self.judge_attachments(&here, &mail, row, found);
                }
            }
        }
    }

    /// The mail that a row has which came to an address.
    pub(super) fn logged_as(&self, row: &Row) -> Option<Mail<'_>> {
        let mark = mark_in(&row.message.content.text)?;
        let copies = self.history.logged.iter().map(Logged::mail);
        copies.into_iter().find(|mail| mark_in(&mail.raw) == Some(mark))
    }

    /// Whatever became of mail at an address has a row (T01).
    pub(super) fn judge_rows_of_logged(&self, user: &User<'_>, found: &mut Found) {
        let Some(active) = self.active(user) else {
            return;
        };
        let decided = self.history.logged.iter();
        let decided =
            decided.filter(|copy| copy.connection == *active && copy.settled == Some(Settled::Decided));
        let mut marks: Vec<String> = decided
            .filter_map(|copy| Some(mark_in(&copy.mail().raw)?.to_owned()))
            .collect();
        marks.sort_unstable();
        marks.dedup();
        let rows = self.state.store.scan(active, "bcc/").count();
        if rows != marks.len() {
            let text = format!("tenant {} has {rows} rows of mail {marks:?}", user.number);
            found.push(("T01", text));
        }
    }
}
