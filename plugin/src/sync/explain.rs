//! T02: which rule decided, and on what.

use super::crm_problem;
use crate::{
    contract::{Explanation, Field, Problem, Subject},
    ledger::{self, BCC, CONNECTION, Conflict, ConnectionRow, Fate, LEDGER, LedgerRow, bcc_key, ledger_key},
    ports::Host,
    rules::{address_key, s17_both_ways::from_bits},
};

/// The most messages of one contact that are explained.
const MOST: usize = 500;

/// Explains a message, or all of a contact.
pub async fn explain<H: Host>(host: &H, subject: Subject) -> Result<Vec<Explanation>, Problem> {
    if ledger::read::<ConnectionRow>(host, CONNECTION).await?.is_none() {
        return Err(Problem::NotConnected);
    }
    match subject {
        Subject::Message(id) => {
            let mut row = ledger::read::<LedgerRow>(host, &ledger_key(&id)).await?;
            if row.is_none() {
                row = ledger::read(host, &bcc_key(&id)).await?;
            }
            Ok(row.map(|(row, _)| explanation(&id, &row)).into_iter().collect())
        }
        Subject::Contact(address) => {
            let wanted = address_key(&address);
            let contacts = host.find_contacts(vec![address]).await.map_err(crm_problem)?;
            let mut explanations = Vec::new();
            let mut visit = |id: &str, row: LedgerRow| {
                let sender = row.sender.as_deref().and_then(address_key);
                let is_contact = matches!(&row.fate, Fate::Delivered(delivered)
                    if contacts.iter().any(|contact| contact.id == delivered.contact));
                if explanations.len() < MOST && (is_contact || (wanted.is_some() && sender == wanted)) {
                    explanations.push(explanation(id, &row));
                }
            };
            for prefix in [LEDGER, BCC] {
                ledger::for_each(host, prefix, None, &mut visit).await?;
            }
            Ok(explanations)
        }
    }
}

fn explanation(id: &str, row: &LedgerRow) -> Explanation {
    let rule = match &row.fate {
        Fate::Delivered(delivered) => Some(delivered.rule),
        Fate::Excluded(rule) => Some(*rule),
        Fate::Gone | Fate::Quarantined(_) => None,
    };
    let mut inputs = vec![
        field("thread", &row.thread),
        field("received-at", &row.received_at.to_string()),
    ];
    inputs.extend(row.sender.as_deref().map(|sender| field("sender", sender)));
    inputs.extend(row.concerns.as_deref().map(|id| field("notice-about", id)));
    inputs.extend(rule.map(|rule| field("meaning", rule.meaning())));
    if let Fate::Delivered(delivered) = &row.fate {
        inputs.extend(
            delivered
                .conflict
                .map(|conflict| field("changed-on-both-sides", &told(conflict))),
        );
        inputs.extend(delivered.left_out.iter().map(|text| field("left-out", text)));
    }
    Explanation {
        id: id.to_owned(),
        outcome: row.outcome(),
        rule: rule.map_or("", |rule| rule.name()).to_owned(),
        inputs,
        decided_at: row.decided_at,
        version: row.version.clone(),
    }
}

/// A conflict in words.
fn told(conflict: Conflict) -> String {
    let words = |flags: u8| {
        let flags = from_bits(flags);
        let names = [
            (flags.unread, "unread"),
            (flags.starred, "starred"),
            (flags.archived, "archived"),
            (flags.trashed, "trashed"),
        ];
        let named: Vec<&str> = names
            .iter()
            .filter_map(|(is_set, name)| is_set.then_some(*name))
            .collect();
        format!("[{}]", named.join(" "))
    };
    let became = conflict.became.map_or_else(|| "deleted".to_owned(), words);
    format!(
        "at {} the CRM wished {}, it became {became}",
        conflict.at,
        words(conflict.wished)
    )
}

fn field(name: &str, value: &str) -> Field {
    Field {
        name: name.to_owned(),
        value: value.to_owned(),
    }
}
