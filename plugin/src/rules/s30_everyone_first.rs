//! S30: everyone sees the first mail: every tenant that has the mailbox connected, has the contact, and where the
//! connected user is the contact's assigned user. A contact that is assigned to nobody counts as anyone's. Whose
//! contact it is of several with one address, S16 has said before.

use serde::Deserialize;

use crate::contract::Contact;

/// Whose contacts are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssignedUsers {
    /// The connected user's, and those that are nobody's.
    #[default]
    Own,
    /// Any user's.
    Any,
}

/// Whether a connection of this user syncs the contact.
pub fn sees(contact: &Contact, user: &str, whose: AssignedUsers) -> bool {
    match (&contact.assigned_user, whose) {
        (Some(assigned), AssignedUsers::Own) => assigned == user,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::contact;

    #[test]
    fn s30_a_contact_is_its_assigned_users_or_anyones() {
        let mut ann = contact("ann", "ann@client.example");
        assert!(sees(&ann, "mia", AssignedUsers::Own));
        ann.assigned_user = Some("mia".to_owned());
        assert!(sees(&ann, "mia", AssignedUsers::Own));
        assert!(!sees(&ann, "tom", AssignedUsers::Own));
        assert!(sees(&ann, "tom", AssignedUsers::Any));
    }
}
