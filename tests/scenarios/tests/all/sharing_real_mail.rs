//! S30 to S32 on real mail: three CRM accounts share a mailbox that 1,000 real messages come to. What each of them has
//! to have is computed here, from the From fields and from who wrote to whom when, and not by the component's code.

use std::{collections::BTreeMap, path::Path};

use gmail_sim::Delivery;
use mail_parser::MessageParser;
use scenarios::{ME, Setup, World};
use twinbox_host::crm::NewContact;

const TENANTS: [&str; 3] = ["home", "rival", "third"];
/// Senders that are contacts: those who write most.
const CONTACTS: usize = 30;
/// Messages between two looks.
const BATCH: usize = 100;

/// What the tenants are expected to make of the mailbox: messages by tenant and rule; those that are delivered under
/// `delivered`.
type Expected = [BTreeMap<&'static str, u32>; 3];

/// Whether a tenant has a contact, and for whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Has {
    No,
    ForTheUser,
    ForAColleague,
}

fn has(tenant: usize, contact: usize) -> Has {
    match (contact + tenant) % 6 {
        0 => Has::No,
        1 => Has::ForAColleague,
        _ => Has::ForTheUser,
    }
}

#[tokio::test]
async fn s31_a_thousand_real_messages_go_where_an_independent_model_says() {
    let Some(mail) = real() else {
        eprintln!("SKIPPED: sharing on real mail, ../shared/mail is absent");
        return;
    };
    let senders: Vec<Vec<String>> = mail.iter().map(|raw| from(raw)).collect();
    let contacts = most_frequent(&senders);
    let home = Setup::default().unconnected().await;
    let mut worlds = vec![home];
    for tenant in &TENANTS[1..] {
        let other = worlds[0].in_another_tenant(tenant).await;
        worlds.push(other);
    }
    for (tenant, world) in worlds.iter_mut().enumerate() {
        people(tenant, world, &contacts).await;
        world.connect().await.unwrap();
    }

    let mut expected = Expected::default();
    let mut keeps: BTreeMap<usize, usize> = BTreeMap::new();
    for (batch, raws) in mail.chunks(BATCH).enumerate() {
        for (raw, from) in raws.iter().zip(&senders[batch * BATCH..]) {
            worlds[0].tick(1_000);
            let delivery = Delivery::new(ME.to_owned(), raw.clone());
            worlds[0].sim().deliver(&delivery).expect("a mailbox");
            for (tenant, expected) in expected.iter_mut().enumerate() {
                *expected
                    .entry(arrived(tenant, from, &contacts, &keeps))
                    .or_default() += 1;
            }
        }
        for world in &worlds {
            world.sync().await;
        }
        // In turn each tenant writes to two contacts; the second one may be another's by then.
        let writer = batch % 3;
        for contact in [batch * 2, batch * 2 + 9].map(|contact| contact % CONTACTS) {
            if has(writer, contact) == Has::No {
                continue;
            }
            worlds[0].tick(1_000);
            worlds[writer].writes_to(&contacts[contact]).await;
            if has(writer, contact) == Has::ForTheUser {
                keeps.entry(contact).or_insert(writer);
            }
            for (tenant, expected) in expected.iter_mut().enumerate() {
                *expected.entry(sent(tenant, writer, contact)).or_default() += 1;
            }
        }
        for world in &worlds {
            world.sync().await;
        }
    }

    assert!(keeps.len() > 5, "{keeps:?}");
    for (tenant, world) in worlds.iter().enumerate() {
        let report = world.assert_all_accounted_for().await;
        let mut found: BTreeMap<&str, u32> = BTreeMap::new();
        found.insert("delivered", report.delivered);
        found.extend(
            report
                .excluded
                .iter()
                .map(|rule| (rule.rule.as_str(), rule.count)),
        );
        found.retain(|rule, _| *rule != "draft");
        assert_eq!(found, expected[tenant], "{}", TENANTS[tenant]);
        assert_eq!(report.quarantined.len(), 0);
        for rule in ["delivered", "S10", "S30", "S31", "S32"] {
            assert!(
                found.get(rule).is_some_and(|count| *count > 0),
                "{rule}: {found:?}"
            );
        }
    }
}

/// The rule for mail from outside.
fn arrived(
    tenant: usize,
    from: &[String],
    contacts: &[String],
    keeps: &BTreeMap<usize, usize>,
) -> &'static str {
    let contact = from.iter().find_map(|address| {
        let contact = contacts.iter().position(|contact| contact == address)?;
        (has(tenant, contact) != Has::No).then_some(contact)
    });
    match contact {
        None => "S10",
        Some(contact) if has(tenant, contact) == Has::ForAColleague => "S30",
        Some(contact) if keeps.get(&contact).is_some_and(|keeper| *keeper != tenant) => "S31",
        Some(_) => "delivered",
    }
}

/// The rule for a letter that one tenant's user wrote to a contact.
fn sent(tenant: usize, writer: usize, contact: usize) -> &'static str {
    match has(tenant, contact) {
        _ if tenant == writer => "delivered",
        Has::No => "S11",
        Has::ForAColleague => "S30",
        Has::ForTheUser => "S32",
    }
}

/// The tenant's contacts.
async fn people(tenant: usize, world: &World, contacts: &[String]) {
    world.colleague("colleague").await;
    for (number, address) in contacts.iter().enumerate() {
        if tenant == 0 {
            world.sim().create_user(address, "A contact");
        }
        if has(tenant, number) == Has::No {
            continue;
        }
        let contact = NewContact {
            name: address.clone(),
            addresses: vec![address.clone()],
            ..NewContact::default()
        };
        world.create_contact(contact).await;
        if has(tenant, number) == Has::ForAColleague {
            world.assign(address, Some("colleague")).await;
        }
    }
}

/// The addresses of the From field, or of Sender where there is none.
fn from(raw: &[u8]) -> Vec<String> {
    let message = MessageParser::new().parse(raw).expect("a message");
    let field = message.from().or_else(|| message.sender());
    let addresses = field.into_iter().flat_map(mail_parser::Address::iter);
    addresses
        .filter_map(|address| Some(address.address()?.to_lowercase()))
        .collect()
}

fn most_frequent(senders: &[Vec<String>]) -> Vec<String> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for sender in senders.iter().filter_map(|addresses| addresses.first()) {
        *counts.entry(sender).or_default() += 1;
    }
    let mut most: Vec<(&String, usize)> = counts.into_iter().collect();
    most.sort_by_key(|(address, count)| (std::cmp::Reverse(*count), (*address).clone()));
    most.into_iter()
        .take(CONTACTS)
        .map(|(address, _)| address.clone())
        .collect()
}

/// The real messages by name, with the line ends of mail on its way.
fn real() -> Option<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/mail/real");
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mail: Vec<Vec<u8>> = paths
        .iter()
        .map(|path| with_crlf(&std::fs::read(path).unwrap()))
        .collect();
    assert_eq!(mail.len(), 1_000);
    Some(mail)
}

fn with_crlf(raw: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(raw.len() + raw.len() / 20);
    for (place, byte) in raw.iter().enumerate() {
        if *byte == b'\n' && (place == 0 || raw[place - 1] != b'\r') {
            whole.push(b'\r');
        }
        whole.push(*byte);
    }
    whole
}
