//! What each call costs, in Gmail's quota units.
//!
//! Google has two tables: projects made since 2026-05-01 pay more for some calls and may spend less
//! per minute (<https://developers.google.com/workspace/gmail/api/reference/quota>). Which one holds
//! depends on the project, so it is a setting.

use serde::Deserialize;

/// Which table of costs holds for the project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitTable {
    /// Projects that used the API before 2026-05-01.
    Old,
    /// Projects made since. The default, because it is the stricter one.
    #[default]
    New,
}

/// A call, for its cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Profile,
    HistoryList,
    MessagesList,
    MessagesGet,
    AttachmentsGet,
    ThreadsGet,
    SendAsList,
    DraftsCreate,
    DraftsGet,
    DraftsList,
    DraftsSend,
    DraftsDelete,
    MessagesModify,
    MessagesTrash,
    MessagesUntrash,
    Watch,
}

impl UnitTable {
    /// The cost of a call.
    pub(super) fn cost(self, call: Call) -> u32 {
        let (old, new) = match call {
            Call::Profile | Call::SendAsList => (1, 1),
            Call::HistoryList => (2, 2),
            Call::MessagesList | Call::DraftsList | Call::MessagesModify | Call::MessagesUntrash => (5, 5),
            Call::MessagesGet | Call::AttachmentsGet | Call::DraftsGet | Call::MessagesTrash => (5, 20),
            Call::ThreadsGet => (10, 40),
            Call::DraftsCreate | Call::DraftsDelete => (10, 10),
            Call::DraftsSend | Call::Watch => (100, 100),
        };
        match self {
            Self::Old => old,
            Self::New => new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_get_costs_four_times_as_much_under_the_new_table() {
        assert_eq!(UnitTable::Old.cost(Call::MessagesGet), 5);
        assert_eq!(UnitTable::New.cost(Call::MessagesGet), 20);
    }
}
