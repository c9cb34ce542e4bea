//! Each deliberate bug is found within 2,000 seeds: so the checker works.

use simulation::{Mutation, Worlds, sweep};

use crate::{FROM, laboratory};

/// Seeds within which a bug has to be found.
const SEEDS: u64 = 2_000;

/// The rule that the first failing world broke.
fn found(name: &str) -> &'static str {
    let mutation = Mutation::named(name).unwrap();
    let found = sweep(&laboratory(Some(mutation)), Worlds::All, FROM..FROM + SEEDS, 1, 1).unwrap();
    let failure = found.failures.first();
    let failure = failure.unwrap_or_else(|| panic!("{name} was not found in {} worlds", found.worlds));
    println!("{name}: seed {}: {}", failure.seed, failure.violation.text);
    failure.violation.rule
}

macro_rules! mutations {
    ($($test:ident $name:literal [$($rule:literal),+];)*) => {
        const NAMES: &[&str] = &[$($name),*];

        $(
            #[test]
            fn $test() {
                let rule = found($name);
                assert!([$($rule),+].contains(&rule), "it was taken for a fault of {rule}");
            }
        )*
    };
}

mutations! {
    a_cursor_stored_before_the_messages_is_found "cursor-before-messages" ["T01"];
    a_row_dropped_on_an_error_is_found "row-dropped-on-error" ["T01"];
    an_anchor_taken_after_the_listing_is_found "anchor-after-listing" ["T01"];
    a_gap_that_is_left_open_is_found "gap-left-open" ["T01", "S17"];
    a_page_that_is_applied_twice_is_found "page-applied-twice" ["S10", "S17", "S23"];
    later_pages_that_are_skipped_are_found "later-pages-skipped" ["T01", "S17"];
    mail_that_is_sent_again_when_unclear_is_found "resent-when-unclear" ["S10", "S23"];
    an_intent_that_is_not_stored_is_found "intent-not-stored" ["S23"];
    a_draft_that_is_not_stored_is_found "draft-not-stored" ["S10", "S23"];
    a_day_that_is_not_counted_is_found "day-not-counted" ["S21"];
    an_outage_that_quarantines_is_found "outage-quarantines" ["T01"];
    deletions_that_are_ignored_are_found "deletions-ignored" ["S17"];
    label_changes_out_of_order_are_found "label-changes-unordered" ["S17"];
    an_echo_that_is_not_suppressed_is_found "echo-not-suppressed" ["S17"];
    a_push_that_is_trusted_as_a_cursor_is_found "push-trusted-as-cursor" ["T01", "cursor", "S17"];
    an_address_book_that_is_done_before_the_crm_has_it_is_found "address-book-before-contacts" ["S08"];
    a_bcc_copy_that_is_logged_twice_is_found "bcc-copy-logged-twice" ["S10", "S23"];
    past_mail_that_is_taken_is_found "past-mail-taken" ["S10"];
    an_alias_that_is_taken_for_a_contact_is_found "alias-taken-for-contact" ["S10", "S15", "T01"];
    a_stale_lease_that_may_commit_is_found "stale-lease" ["lease", "cursor"];
    a_revoke_that_ignores_another_connection_is_found "revoke-ignores-others" ["S06"];
    a_claim_that_is_not_atomic_is_found "claim-not-atomic" ["S31"];
}

#[test]
fn every_mutation_has_its_test() {
    let all: Vec<&str> = Mutation::ALL.iter().map(|mutation| mutation.name()).collect();
    assert_eq!(all.len(), NAMES.len());
    assert!(all.iter().all(|name| NAMES.contains(name)));
}
