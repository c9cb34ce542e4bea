//! Which thread a message belongs to: by its references and subject, and whether it may join the one it names.
//!
//! Source: the discovery document on `Message.threadId` (three criteria: the id, References and In-Reply-To as in
//! RFC 2822, and the subject); that prefixes like `Re:` do not count is seen, not documented.

use crate::behaviour::ThreadRule;
use crate::mailbox::Account;
use crate::message::Parsed;

impl Account {
    /// The thread a message belongs to by its references and subject.
    pub(crate) fn thread_by_references(&self, parsed: &Parsed) -> Option<u64> {
        parsed
            .references
            .iter()
            .rev()
            .filter_map(|reference| self.by_message_id.get(reference))
            .flatten()
            .filter_map(|id| self.messages.get(id))
            .find(|stored| stored.parsed.base_subject == parsed.base_subject)
            .map(|stored| stored.thread)
    }

    /// Whether a message may join the thread it names.
    pub(crate) fn may_join(&self, parsed: &Parsed, thread: u64, rule: ThreadRule) -> bool {
        let members = || {
            self.threads
                .get(&thread)
                .into_iter()
                .flatten()
                .filter_map(|(_, id)| self.messages.get(id))
        };
        let same_subject = || members().any(|stored| stored.parsed.base_subject == parsed.base_subject);
        let referenced = || {
            members().any(|stored| {
                stored
                    .parsed
                    .message_id
                    .as_ref()
                    .is_some_and(|id| parsed.references.contains(id))
            })
        };
        match rule {
            ThreadRule::Strict => same_subject() && referenced(),
            ThreadRule::SameSubject => same_subject(),
            ThreadRule::IdAlone => members().next().is_some(),
        }
    }
}
