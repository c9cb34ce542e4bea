//! `twinbox keys`: the keys that seal the tokens.

use std::{path::Path, process::ExitCode};

use serde_json::{Value, json};

use super::{
    Outcome, answer,
    args::{Configured, KeysCommand},
    config::Config,
    failure::Failure,
    runtime::{keys, open},
};
use crate::{
    Database, Durability,
    vault::{Begun, KeyId, KeyRing, rotate_keys, sealed_values},
};

/// Runs one of the commands.
pub(super) async fn run(command: KeysCommand, json: bool) -> Outcome {
    match command {
        KeysCommand::List(options) => list(&options, json).await,
        KeysCommand::Rotate(options) => rotate(&options, json).await,
    }
}

async fn list(options: &Configured, json: bool) -> Outcome {
    let (database, keys) = data(options)?;
    let sealed = sealed_values(&database).await?;
    let known = keys.keys();
    let values = |id: KeyId| sealed.by_key.get(&id).copied().unwrap_or_default();
    let shown: Vec<Value> = known
        .ids()
        .map(|id| json!({ "id": id.to_string(), "seals": id == known.current(), "values": values(id) }))
        .collect();
    let mut foreign = sealed.by_key.clone();
    foreign.retain(|id, _| !known.ids().any(|it| it == *id));
    let unreadable: u64 = foreign.values().sum();
    let value = json!({ "keys": shown, "unreadable": unreadable });
    answer(json, &value, || {
        let mut lines: Vec<String> = known
            .ids()
            .map(|id| {
                let use_of = if id == known.current() { "seals" } else { "opens" };
                format!("{id}  {use_of}  {} values", values(id))
            })
            .collect();
        if unreadable > 0 {
            lines.push(format!(
                "{unreadable} values are sealed with keys that are not there."
            ));
        }
        if known.ids().count() > 1 {
            lines.push("A rotation is not over: `twinbox keys rotate` carries on.".into());
        }
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn rotate(options: &Configured, json: bool) -> Outcome {
    let (database, keys) = data(options)?;
    let rotation = rotate_keys(&database, &keys).await?;
    let retired: Vec<String> = rotation.retired.iter().map(ToString::to_string).collect();
    let value = json!({
        "current": rotation.current.to_string(),
        "retired": retired,
        "carried_on": rotation.begun == Begun::Earlier,
        "values": rotation.anew.values,
        "unreadable": rotation.anew.unreadable,
    });
    answer(json, &value, || {
        let begun = match rotation.begun {
            Begun::Now => "",
            Begun::Earlier => "An earlier rotation was carried on.\n",
        };
        let unreadable = match rotation.anew.unreadable {
            0 => String::new(),
            some => format!(
                "\n{some} values could not be opened before and cannot now: those mailboxes have to be connected again."
            ),
        };
        format!(
            "{begun}{} seals; {} opens nothing any more. {} values were sealed anew.{unreadable}",
            rotation.current,
            retired.join(", "),
            rotation.anew.values
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// The database and the keys of the configured data folder, which has to be there.
fn data(options: &Configured) -> Result<(Database, KeyRing), Failure> {
    let folder = Config::read(&options.config)?.data;
    for file in ["twinbox.db", "sealing.key"] {
        present(&folder.join(file))?;
    }
    Ok((open(Some(&folder), Durability::PowerLoss)?, keys(&folder)?))
}

fn present(file: &Path) -> Result<(), Failure> {
    if file.exists() {
        return Ok(());
    }
    Err(Failure::configuration(
        format!("{} is not there", file.display()),
        "Check `data` in the configuration; `twinbox serve` makes the folder when it starts.",
    ))
}
