//! S31: the one who replies keeps it. A user who writes to a contact from the CRM keeps the contact for their tenant,
//! with all addresses it has there; a reply from Gmail itself is nobody's, as it is every tenant's user who wrote it
//! (S11). What came before the reply still goes to everyone (S30), however late they come.

use super::address_key;
use crate::contract::{Contact, Direction, Standing};

/// How far the host's clock and Gmail's may be apart, ms. What was sent so close before a claim may be the very
/// mail the contact was claimed for.
const CLOCKS_APART: u64 = 120_000;

/// Whether a message accepted at this time, ms since the epoch, is of a contact that this tenant no longer syncs.
pub fn is_released(standing: Standing, direction: Direction, received_at: u64) -> bool {
    let Standing::Released(since) = standing else {
        return false;
    };
    match direction {
        Direction::Inbound => received_at >= since,
        Direction::Outbound => received_at.saturating_add(CLOCKS_APART) >= since,
    }
}

/// The addresses to claim when mail goes to these recipients in the contact's conversation: the contact's, those it is
/// sent to first.
pub fn claimed(contact: &Contact, recipients: &[String]) -> Vec<String> {
    let written_to: Vec<String> = recipients
        .iter()
        .filter_map(|address| address_key(address))
        .collect();
    let mut addresses: Vec<String> = Vec::new();
    for key in contact
        .addresses
        .iter()
        .filter_map(|address| address_key(address))
    {
        if !addresses.contains(&key) {
            addresses.push(key);
        }
    }
    addresses.sort_by_key(|key| !written_to.contains(key));
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::contact;

    #[test]
    fn s31_what_came_before_the_reply_still_goes_to_everyone() {
        let released = Standing::Released(1_000_000);
        assert!(!is_released(released, Direction::Inbound, 999_999));
        assert!(is_released(released, Direction::Inbound, 1_000_000));
        assert!(!is_released(Standing::Open, Direction::Inbound, 1_000_000));
        assert!(!is_released(Standing::Kept, Direction::Inbound, 1_000_000));
    }

    #[test]
    fn s31_mail_sent_about_the_time_of_the_claim_is_taken_for_the_reply() {
        let released = Standing::Released(1_000_000);
        assert!(is_released(
            released,
            Direction::Outbound,
            1_000_000 - CLOCKS_APART
        ));
        assert!(!is_released(
            released,
            Direction::Outbound,
            999_999 - CLOCKS_APART
        ));
    }

    #[test]
    fn s31_a_reply_claims_all_addresses_of_the_contact_and_the_one_it_goes_to_first() {
        let mut ann = contact("ann", "Ann@client.example");
        ann.addresses.push("ann@home.example".to_owned());
        ann.addresses.push("ANN@client.example".to_owned());
        let to = ["bob@b.example".to_owned(), "ann@HOME.example".to_owned()];
        assert_eq!(claimed(&ann, &to), ["ann@home.example", "ann@client.example"]);
    }
}
