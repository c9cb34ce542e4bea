//! Addresses as people type them.

use crate::contract::Mailbox;

/// The longest address (RFC 5321, 4.5.3.1.3).
const ADDRESS_LIMIT: usize = 254;
/// The longest name.
const NAME_LIMIT: usize = 200;

/// A list of `local@domain` and `Name <local@domain>`, separated by commas, semicolons or line breaks.
/// The error is the piece that is no address.
pub(crate) fn parse(list: &str) -> Result<Vec<Mailbox>, String> {
    pieces(list)
        .into_iter()
        .map(str::trim)
        .filter(|piece| !piece.is_empty())
        .map(|piece| mailbox(piece).ok_or_else(|| piece.to_owned()))
        .collect()
}

/// The pieces between separators that are not within quotation marks or angle brackets.
fn pieces(list: &str) -> Vec<&str> {
    let (mut quoted, mut bracketed) = (false, false);
    list.split(|c: char| {
        match c {
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            _ => {}
        }
        !quoted && !bracketed && matches!(c, ',' | ';' | '\n')
    })
    .collect()
}

fn mailbox(piece: &str) -> Option<Mailbox> {
    let (name, address) = match piece.split_once('<') {
        Some((name, rest)) => (
            name.trim().trim_matches('"').trim(),
            rest.strip_suffix('>')?.trim(),
        ),
        None => ("", piece),
    };
    let (local, domain) = address.rsplit_once('@')?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"@".contains(c);
    let fits = !local.is_empty()
        && !domain.is_empty()
        && !local.contains(odd)
        && !domain.contains(odd)
        && !domain.starts_with('.')
        && !domain.ends_with('.')
        && address.len() <= ADDRESS_LIMIT
        && name.len() <= NAME_LIMIT
        && !name.contains(char::is_control);
    fits.then(|| Mailbox {
        name: (!name.is_empty()).then(|| name.to_owned()),
        address: address.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(list: &str) -> Vec<(Option<String>, String)> {
        let list = parse(list).unwrap();
        list.into_iter()
            .map(|mailbox| (mailbox.name, mailbox.address))
            .collect()
    }

    #[test]
    fn names_and_separators_are_understood() {
        let list = "ann@example.com, \"Doe, Bob\" <bob@example.com>;Eve <eve@example.com>\n, ";
        assert_eq!(
            parsed(list),
            [
                (None, "ann@example.com".into()),
                (Some("Doe, Bob".into()), "bob@example.com".into()),
                (Some("Eve".into()), "eve@example.com".into()),
            ]
        );
        assert!(parsed(" ").is_empty());
    }

    #[test]
    fn what_is_no_address_is_named() {
        for wrong in [
            "ann",
            "@example.com",
            "ann@",
            "a b@example.com",
            "<ann@example.com",
            "a@b@c",
            "a@x\r\nBcc: b@c",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("ann@example.com, bob"), Err("bob".into()));
    }

    proptest! {
        #[test]
        fn no_list_makes_an_address_with_a_line_break(list in "[a@. <>\",;\r\nb]{0,40}") {
            for mailbox in parse(&list).unwrap_or_default() {
                prop_assert!(!mailbox.address.contains(['\r', '\n']));
                prop_assert!(!mailbox.name.unwrap_or_default().contains(['\r', '\n']));
            }
        }
    }
}
