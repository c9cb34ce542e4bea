use crate::mail::{Mailbox, normalise, parse_mailboxes};
use proptest::prelude::*;

fn listed(value: &str) -> Vec<(Option<String>, String)> {
    parse_mailboxes(value)
        .into_iter()
        .map(|m| (m.name, m.address))
        .collect()
}

fn one(name: Option<&str>, address: &str) -> (Option<String>, String) {
    (name.map(str::to_owned), address.to_owned())
}

#[test]
fn s15_address_lists_are_read_in_order_with_names_and_commas_in_quotes() {
    assert_eq!(
        listed(
            "\"Example, Ann\" <ann@example.com>, bob@example.net, =?utf-8?B?w4RubmE=?= <anna@example.org>"
        ),
        [
            one(Some("Example, Ann"), "ann@example.com"),
            one(None, "bob@example.net"),
            one(Some("Änna"), "anna@example.org")
        ]
    );
}

#[test]
fn s15_groups_are_flattened_and_empty_groups_give_nothing() {
    assert_eq!(
        listed("Team: ann@example.com, Bob <bob@example.com>;"),
        [one(None, "ann@example.com"), one(Some("Bob"), "bob@example.com")]
    );
    assert_eq!(listed("undisclosed-recipients:;"), []);
    assert_eq!(listed("Undisclosed recipients:;"), []);
}

#[test]
fn s15_broken_address_forms_are_read_where_an_address_is_in_them() {
    assert_eq!(
        listed("ann@example.com (Ann)"),
        [one(Some("Ann"), "ann@example.com")]
    );
    assert_eq!(listed("<ann@example.com"), [one(None, "ann@example.com")]);
    assert_eq!(listed("'ann@example.com'"), [one(None, "ann@example.com")]);
    assert_eq!(listed("<mailto:ann@example.com>"), [one(None, "ann@example.com")]);
    assert_eq!(listed("nobody at all"), []);
    assert_eq!(listed(""), []);
}

#[test]
fn s15_a_name_carries_no_control_characters_or_direction_overrides() {
    let list = parse_mailboxes("=?utf-8?Q?A=00n=0An=E2=80=AE?= <ann@example.com>");
    assert_eq!(list, [Mailbox::named("An n", "ann@example.com")]);
}

#[test]
fn s10_addresses_compare_without_case_and_with_ascii_domains() {
    let same = |a: &str, b: &str| assert_eq!(normalise(a).unwrap(), normalise(b).unwrap(), "{a} {b}");
    same("Ann.Example@EXAMPLE.com", " ann.example@example.com ");
    same("ann@bücher.example", "ann@xn--bcher-kva.example");
    same("ann@example.com.", "ann@example.com");
    same("<ann@example.com>", "ann@example.com");
    same("\"ann\"@example.com", "ann@example.com");
}

#[test]
fn s10_what_is_not_an_address_is_none() {
    for text in [
        "",
        "ann",
        "@example.com",
        "ann@",
        "a b@example.com",
        "ann@exa mple.com",
        "ann@.example",
        "ann@1.2.3.4\u{0}",
        "< <<1@a>><ann@gmail.com",
        ".\"ann\"@gmail.com",
        "...@gmail.com",
    ] {
        assert_eq!(normalise(text), None, "{text:?}");
    }
    assert_eq!(normalise(&format!("{}@example.com", "a".repeat(400))), None);
}

#[test]
fn s10_gmail_dots_and_googlemail_do_not_make_another_mailbox() {
    let key = |text: &str| normalise(text).unwrap().key();
    assert_eq!(key("A.n.n@googlemail.com"), "ann@gmail.com");
    assert_eq!(key("a.nn+crm.x@gmail.com"), "ann+crm.x@gmail.com");
    assert_eq!(key("a.nn@example.com"), "a.nn@example.com");
}

#[test]
fn s10_an_address_is_asked_for_in_each_way_that_can_be_named() {
    let spellings = |text: &str| normalise(text).unwrap().spellings();
    assert_eq!(spellings("Ann@x.example"), ["ann@x.example"]);
    assert_eq!(
        spellings("a.nn+crm@googlemail.com"),
        [
            "a.nn+crm@googlemail.com",
            "ann+crm@googlemail.com",
            "a.nn+crm@gmail.com",
            "ann+crm@gmail.com",
            "a.nn@googlemail.com",
            "ann@googlemail.com",
            "a.nn@gmail.com",
            "ann@gmail.com",
        ]
    );
    assert_eq!(
        spellings("ann@bücher.example"),
        ["ann@xn--bcher-kva.example", "ann@bücher.example"]
    );
}

#[test]
fn s18_a_tag_can_be_taken_off() {
    let without = |text: &str| normalise(text).unwrap().without_tag().as_string();
    assert_eq!(without("ann+crm@example.com"), "ann@example.com");
    assert_eq!(without("ann@example.com"), "ann@example.com");
    assert_eq!(without("+crm@example.com"), "+crm@example.com");
}

#[test]
fn s10_a_quoted_local_part_is_an_address_with_brackets_or_without() {
    for (written, address) in [
        ("\"ann e\"@example.com", "\"ann e\"@example.com"),
        ("\"ann.e\"@example.com, bob@example.net", "ann.e@example.com"),
        ("<\"ann e\"@example.com>", "\"ann e\"@example.com"),
        ("<'ann@example.com>", "'ann@example.com"),
        ("'ann@example.com'", "ann@example.com"),
    ] {
        assert_eq!(listed(written)[0], one(None, address), "{written}");
    }
}

#[test]
fn s20_a_domain_holds_nothing_that_means_something_in_a_header_field() {
    for address in [
        "ann@exa\"mple.com",
        "ann@exa(mple.com",
        "ann@exa,mple.com",
        "ann@exa;mple.com",
    ] {
        assert_eq!(normalise(address), None, "{address}");
    }
}

proptest! {
    #[test]
    fn any_value_is_read_without_panic(value in ".*") {
        for mailbox in parse_mailboxes(&value) {
            prop_assert!(mailbox.address.contains('@'));
            prop_assert!(!mailbox.to_string().chars().any(char::is_control));
        }
    }

    #[test]
    fn normalising_twice_changes_nothing(text in "[a-zA-Z0-9.+\"@üß\\[\\]_-]{0,40}") {
        if let Some(normal) = normalise(&text) {
            prop_assert_eq!(normalise(&normal.as_string()), Some(normal));
        }
    }

    #[test]
    fn s10_every_spelling_names_the_same_mailbox(text in "[a-zA-Z0-9.+üß]{1,12}@(gmail\\.com|GoogleMail\\.com|b[üu]cher\\.example|x\\.example)") {
        let Some(address) = normalise(&text) else { return Ok(()) };
        prop_assert_eq!(normalise(&address.key()).map(|key| key.key()), Some(address.key()));
        let spellings = address.spellings();
        prop_assert_eq!(&spellings[0], &address.as_string());
        for spelling in spellings {
            let same = normalise(&spelling).unwrap();
            prop_assert!(same.key() == address.key() || same.key() == address.without_tag().key(), "{}", spelling);
            prop_assert!(address.is_of_mailbox(&same));
        }
    }

    #[test]
    fn s10_dots_case_and_domain_are_no_matter_for_gmail(local in "[a-z0-9]{1,10}", dots in proptest::collection::vec(any::<bool>(), 10)) {
        let dotted: String = local.chars().enumerate()
            .flat_map(|(at, c)| [Some(c.to_ascii_uppercase()), (dots[at] && at + 1 < local.len()).then_some('.')])
            .flatten().collect();
        let key = |text: String| normalise(&text).unwrap().key();
        prop_assert_eq!(key(format!("{dotted}@googlemail.com")), key(format!("{local}@gmail.com")));
        if dotted.contains('.') {
            prop_assert_ne!(key(format!("{dotted}@x.example")), key(format!("{local}@x.example")));
        }
    }
}
