//! What Gmail's labels keep out: drafts (every autosave is a new message), spam, trash and chats. Free,
//! because history carries the labels. Not final: a draft is sent, a message leaves the trash.

use serde::{Deserialize, Serialize};

use crate::gmail::label;

/// The label that keeps a message out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LabelRule {
    /// Not sent yet.
    Draft,
    /// Taken for spam.
    Spam,
    /// In the trash before it was ever synced.
    Trash,
    /// Not mail.
    Chat,
}

impl LabelRule {
    /// Its name as people are shown it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Spam => "spam",
            Self::Trash => "trash",
            Self::Chat => "chat",
        }
    }
}

/// The label that keeps this message out, if one does.
pub fn excluded(labels: &[String]) -> Option<LabelRule> {
    let rules = [
        (label::DRAFT, LabelRule::Draft),
        (label::CHAT, LabelRule::Chat),
        (label::SPAM, LabelRule::Spam),
        (label::TRASH, LabelRule::Trash),
    ];
    rules
        .into_iter()
        .find(|(id, _)| labels.iter().any(|known| known == id))
        .map(|(_, rule)| rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drafts_spam_trash_and_chats_stay_out() {
        let with = |id: &str| excluded(&["INBOX".to_owned(), id.to_owned()]);
        assert_eq!(with("DRAFT"), Some(LabelRule::Draft));
        assert_eq!(with("SPAM"), Some(LabelRule::Spam));
        assert_eq!(with("TRASH"), Some(LabelRule::Trash));
        assert_eq!(with("CHAT"), Some(LabelRule::Chat));
        assert_eq!(with("SENT"), None);
    }
}
