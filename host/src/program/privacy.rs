//! `twinbox explain`, `privacy`, `preview` and `retract`: why mail is (not) in the CRM (T02), and what is kept out (T06).

use std::{collections::BTreeMap, process::ExitCode, time::Duration};

use serde_json::{Value, json};

use super::{
    Outcome, answer,
    args::{Explain, OneConnection, Preview, PrivacyOptions, Whose},
    commands::{choose, start},
    failure::Failure,
    runtime::Runtime,
};
use crate::{
    contract::{Explanation, Outcome as Fate, PreviewRange},
    crm::{CrmError, Secrecy},
    explained::{input, subjects, wish},
    privacy::{AssignedUsers, Privacy},
    problem::utc_text,
    scope::{ConnectionId, TenantId},
};

/// How long a pass that is under way is waited for: longer than a pass may take.
const PATIENCE: Duration = Duration::from_mins(3);
/// Milliseconds of a day.
const DAY: u64 = 24 * 3_600_000;

/// `twinbox explain`.
pub(super) async fn explain(options: Explain, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let id = &connection.scope.connection;
    let mut found = Vec::new();
    for subject in subjects(options.subject.trim()) {
        found = runtime.host.explain(id, subject).await?;
        if !found.is_empty() {
            break;
        }
    }
    answer(json, &json!({ "explanations": found }), || {
        if found.is_empty() {
            return format!(
                "Neither the mailbox {} nor its ledger has {}: it never came there, or was deleted before it was seen.",
                connection.address, options.subject
            );
        }
        found.iter().map(lines).collect::<Vec<_>>().join("\n\n")
    });
    Ok(ExitCode::SUCCESS)
}

fn lines(explanation: &Explanation) -> String {
    let mut lines = vec![format!("{}  {}", explanation.id, fate(explanation))];
    for input in &explanation.inputs {
        let value = match (input.name.as_str(), input.value.parse()) {
            ("received-at" | "connected-at", Ok(at)) => utc_text(at),
            _ => input.value.clone(),
        };
        lines.push(format!("  {:<22}{value}", input.name));
    }
    lines.push(format!(
        "  {:<22}{} by version {}",
        "decided",
        utc_text(explanation.decided_at),
        explanation.version
    ));
    lines.join("\n")
}

fn fate(explanation: &Explanation) -> String {
    let rule = &explanation.rule;
    match &explanation.outcome {
        Fate::Delivered(contact) => format!("delivered to {contact} by {rule}"),
        Fate::Excluded(_) => format!("excluded by {rule}"),
        Fate::Gone => "gone before it could be read".to_owned(),
        Fate::Quarantined(why) => format!("quarantined: {why}"),
        Fate::Missing => {
            "missing: in the mailbox and in no ledger row. The next pass brings it, or `twinbox audit --heal`"
                .to_owned()
        }
    }
}

/// `twinbox privacy`.
pub(super) async fn privacy(options: PrivacyOptions, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let id = &connection.scope.connection;
    let before = Privacy::of(&connection.settings);
    let wanted = changed(before.clone(), &options);
    let wanted = if wanted == before {
        before
    } else {
        Privacy::of(&runtime.host.set_privacy(id, &wanted).await?.settings)
    };
    let tenant = connection.scope.tenant.clone();
    for (addresses, secrecy) in [
        (&options.private, Secrecy::Private),
        (&options.open, Secrecy::Open),
    ] {
        for address in addresses {
            keep(&runtime, &tenant, address, secrecy).await?;
        }
    }
    let private = runtime.crm.private_contacts(&tenant).await?;
    let value = json!({
        "connection": id,
        "address": connection.address,
        "never_sync": wanted.never_sync,
        "internal_domains": wanted.internal_domains,
        "own_addresses": wanted.own_addresses,
        "assigned_users": wanted.assigned_users,
        "private": private.iter().map(|contact| json!({ "id": contact.id, "name": contact.name, "addresses": contact.addresses })).collect::<Vec<Value>>(),
    });
    answer(json, &value, || {
        let list = |entries: &[String]| {
            if entries.is_empty() {
                "nobody".to_owned()
            } else {
                entries.join(", ")
            }
        };
        let internal = match &wanted.internal_domains {
            None => "the mailbox's own domain, unless it is Gmail's".to_owned(),
            Some(domains) => list(domains),
        };
        let whose = match wanted.assigned_users {
            None => "as the configuration has it",
            Some(AssignedUsers::Own) => "assigned to the user or to nobody",
            Some(AssignedUsers::Any) => "all",
        };
        let private: Vec<String> = private.iter().map(|contact| contact.name.clone()).collect();
        format!(
            "{}\n  never synced   {}\n  internal       {internal}\n  also the user  {}\n  contacts       {whose}\n  private        {}\nFor mail from now on. \
             `twinbox retract` takes out what the lists no longer allow.",
            connection.address,
            list(&wanted.never_sync),
            list(&wanted.own_addresses),
            list(&private),
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The lists as the command line wants them.
fn changed(mut privacy: Privacy, options: &PrivacyOptions) -> Privacy {
    let add = |list: &mut Vec<String>, more: &[String]| {
        for entry in more {
            if !list.contains(entry) {
                list.push(entry.clone());
            }
        }
    };
    add(&mut privacy.never_sync, &options.never_sync);
    privacy.never_sync.retain(|entry| !options.allow.contains(entry));
    add(&mut privacy.own_addresses, &options.own);
    match options.internal.as_slice() {
        [] => {}
        [word] if word == "default" => privacy.internal_domains = None,
        [word] if word == "none" => privacy.internal_domains = Some(Vec::new()),
        domains => privacy.internal_domains = Some(domains.to_vec()),
    }
    match options.assigned_users {
        None => {}
        Some(Whose::Default) => privacy.assigned_users = None,
        Some(Whose::Own) => privacy.assigned_users = Some(AssignedUsers::Own),
        Some(Whose::Any) => privacy.assigned_users = Some(AssignedUsers::Any),
    }
    privacy
}

async fn keep(runtime: &Runtime, tenant: &TenantId, address: &str, secrecy: Secrecy) -> Result<(), Failure> {
    let contact = match runtime.crm.contact_with(tenant, address).await {
        Err(CrmError::NotFound) => {
            return Err(Failure::new(
                "no-contact",
                format!("no contact has the address {address}"),
                "Give an address as it stands with the contact.",
            ));
        }
        contact => contact?,
    };
    Ok(runtime.crm.set_secrecy(tenant, &contact.id, secrecy).await?)
}

/// `twinbox preview`.
pub(super) async fn preview(options: Preview, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let mut lists = Privacy::of(&connection.settings);
    lists.never_sync.extend(options.never_sync.iter().cloned());
    let now = runtime.host.parts().clock.now();
    let range = PreviewRange {
        since: now.saturating_sub(u64::from(options.days) * DAY),
        most: options.last,
    };
    let id: &ConnectionId = &connection.scope.connection;
    let found = runtime.host.preview(id, range, Some(&lists)).await?;
    let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
    for explanation in &found {
        if matches!(explanation.outcome, Fate::Excluded(_)) {
            *rules.entry(&explanation.rule).or_default() += 1;
        }
    }
    let excluded: u32 = rules.values().sum();
    let synced = found.len() as u64 - u64::from(excluded);
    let value = json!({ "messages": found, "synced": synced, "excluded": rules });
    answer(json, &value, || {
        let mut lines: Vec<String> = found.iter().map(line).collect();
        let rules: Vec<String> = rules
            .iter()
            .map(|(rule, count)| format!("{rule} {count}"))
            .collect();
        let rules = if rules.is_empty() {
            String::new()
        } else {
            format!(" ({})", rules.join(", "))
        };
        lines.push(format!(
            "Of {} messages {synced} would be synced and {excluded} not{rules}. Nothing was written.",
            found.len()
        ));
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

fn line(explanation: &Explanation) -> String {
    let outcome = match &explanation.outcome {
        Fate::Delivered(_) => format!("synced    {:<5}", explanation.rule),
        _ => format!("kept out  {:<5}", explanation.rule),
    };
    let why = wish(explanation).map(|(name, matched)| format!("  [{name}: {matched}]"));
    let (sender, subject) = (input(explanation, "sender"), input(explanation, "subject"));
    format!("{outcome}  {sender}  {subject}{}", why.unwrap_or_default())
}

/// `twinbox retract`.
pub(super) async fn retract(options: OneConnection, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let retracted = runtime
        .host
        .retract(&connection.scope.connection, PATIENCE)
        .await?;
    answer(json, &json!({ "retracted": retracted }), || {
        format!(
            "{}: {retracted} messages were taken out of the CRM. They stay in the mailbox.",
            connection.address
        )
    });
    Ok(ExitCode::SUCCESS)
}
