//! `twinbox user` and `twinbox token`: who may use the pages and the API. All of it also while the server
//! runs.

use std::process::ExitCode;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{
    Outcome, answer,
    args::{
        AddUser, Configured, CreateToken, RevokeToken, RoleName, TokenCommand, UserCommand, UserPassword,
    },
    config::Config,
    failure::Failure,
    runtime::open,
};
use crate::{
    Database, Durability,
    clock::{Clock, SystemClock},
    crm::EmbeddedCrm,
    people::{LONGEST_PASSWORD, MadeToken, NewPerson, NewToken, People, Person, Role, Token, new_password},
    problem::utc_text,
    scope::{TenantId, UserId},
};

const DAY: u64 = 86_400_000;

/// `twinbox user`.
pub(super) async fn user(command: UserCommand, json: bool) -> Outcome {
    match command {
        UserCommand::Add(options) => add(options, json).await,
        UserCommand::List(options) => list(&options, json).await,
        UserCommand::Password(options) => password(options, json).await,
        UserCommand::Remove(options) => {
            let (people, _) = people(&options.configured)?;
            people.remove(&options.login).await?;
            answer(json, &json!({ "removed": options.login }), || {
                format!(
                    "{} can no longer sign in. Their mailbox stays connected: `twinbox disconnect` ends that.",
                    options.login
                )
            });
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `twinbox token`.
pub(super) async fn token(command: TokenCommand, json: bool) -> Outcome {
    match command {
        TokenCommand::Create(options) => create_token(options, json).await,
        TokenCommand::List(options) => list_tokens(&options, json).await,
        TokenCommand::Revoke(options) => revoke_token(&options, json).await,
    }
}

async fn add(options: AddUser, json: bool) -> Outcome {
    let UserPassword { one, password_stdin } = options.user;
    let (people, database) = people(&one.configured)?;
    let (password, shown) = chosen(password_stdin)?;
    let login = one.login.trim().to_lowercase();
    let new = NewPerson {
        tenant: TenantId::new(options.tenant),
        user: UserId::new(options.user_id.unwrap_or_else(|| login.clone())),
        name: options.name.unwrap_or_else(|| login.clone()),
        role: match options.role {
            RoleName::User => Role::User,
            RoleName::Admin => Role::Admin,
        },
        password,
        login,
    };
    let person = people.add(new).await?;
    let crm = EmbeddedCrm::new(database)?;
    let known = crm.list_tenants().await?;
    if !known.iter().any(|(tenant, _)| *tenant == person.tenant) {
        crm.create_tenant(&person.tenant, person.tenant.as_str()).await?;
    }
    crm.create_user(&person.tenant, &person.user, &person.name)
        .await?;
    let mut value = shown_person(&person);
    value["password"] = json!(shown);
    answer(json, &value, || {
        let password = shown.map_or_else(String::new, |password| format!("\nPassword: {password}"));
        format!(
            "{} can sign in to tenant {}.{password}",
            person.login, person.tenant
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn list(options: &Configured, json: bool) -> Outcome {
    let everybody = people(options)?.0.list().await?;
    let all: Vec<Value> = everybody.iter().map(shown_person).collect();
    answer(json, &json!({ "users": all }), || {
        if everybody.is_empty() {
            return "Nobody can sign in. `twinbox user add LOGIN` makes an account.".to_owned();
        }
        let line = |person: &Person| {
            format!(
                "{}  {}  {} of {}",
                person.login, person.name, person.role, person.tenant
            )
        };
        everybody.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn password(options: UserPassword, json: bool) -> Outcome {
    let (people, _) = people(&options.one.configured)?;
    let (password, shown) = chosen(options.password_stdin)?;
    people.set_password(&options.one.login, password).await?;
    answer(
        json,
        &json!({ "changed": options.one.login, "password": shown }),
        || {
            let password = shown
                .as_ref()
                .map_or_else(String::new, |password| format!("\nPassword: {password}"));
            format!(
                "{} has another password and is signed out everywhere.{password}",
                options.one.login
            )
        },
    );
    Ok(ExitCode::SUCCESS)
}

async fn create_token(options: CreateToken, json: bool) -> Outcome {
    let (people, _) = people(&options.user.configured)?;
    let expires_at = options.days.map(|days| SystemClock.now() + u64::from(days) * DAY);
    let new = NewToken {
        login: options.user.login,
        name: options.name,
        expires_at,
    };
    let MadeToken { token, secret } = people.create_token(new).await?;
    let mut value = shown_token(&token);
    value["token"] = json!(secret.expose_secret());
    answer(json, &value, || {
        format!(
            "{}\nIt is not shown again. Programs send `Authorization: Bearer …`.",
            secret.expose_secret()
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn list_tokens(options: &Configured, json: bool) -> Outcome {
    let tokens = people(options)?.0.tokens(None).await?;
    let all: Vec<Value> = tokens.iter().map(shown_token).collect();
    answer(json, &json!({ "tokens": all }), || {
        if tokens.is_empty() {
            return "There are no tokens. `twinbox token create LOGIN --name NAME` makes one.".to_owned();
        }
        let line = |token: &Token| {
            let used = token
                .used_at
                .map_or("never used".to_owned(), |at| format!("used {}", utc_text(at)));
            let until = token
                .expires_at
                .map_or_else(String::new, |at| format!(", until {}", utc_text(at)));
            format!(
                "{}  {}  for {}  {used}{until}",
                token.id, token.name, token.person.login
            )
        };
        tokens.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn revoke_token(options: &RevokeToken, json: bool) -> Outcome {
    people(&options.configured)?.0.revoke_token(&options.id).await?;
    answer(json, &json!({ "revoked": options.id }), || {
        "It opens nothing any more.".to_owned()
    });
    Ok(ExitCode::SUCCESS)
}

fn people(options: &Configured) -> Result<(People, Database), Failure> {
    let config = Config::read(&options.config)?;
    let database = open(Some(&config.data), Durability::PowerLoss)?;
    Ok((People::new(database.clone())?, database))
}

/// The password on standard input, or a new one, which is to be shown.
fn chosen(from_stdin: bool) -> Result<(SecretString, Option<String>), Failure> {
    use std::io::{BufRead, Read};
    if !from_stdin {
        let made = new_password();
        let shown = made.expose_secret().to_owned();
        return Ok((made, Some(shown)));
    }
    let mut line = String::new();
    let limit = u64::try_from(LONGEST_PASSWORD + 2).unwrap_or(u64::MAX);
    std::io::stdin().lock().take(limit).read_line(&mut line)?;
    Ok((line.trim_end_matches(['\r', '\n']).into(), None))
}

fn shown_person(person: &Person) -> Value {
    json!(person)
}

fn shown_token(token: &Token) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "login": token.person.login,
        "tenant": token.person.tenant,
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    })
}
