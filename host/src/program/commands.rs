//! The commands that do one thing and end.

use std::{collections::HashMap, net::SocketAddr, process::ExitCode};

use axum::{Router, extract::Query, response::Html, routing::get};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};

use super::{
    Outcome, answer,
    args::{Configured, Connect, Inspect, OneConnection},
    audit,
    config::Config,
    failure::Failure,
    runtime::{Runtime, TENANT, load},
    serve::plan,
};
use crate::{
    audit::AuditStanding,
    choices::{Choices, GOOGLE_CONTACTS, Wanted},
    contract::Trigger,
    problem::{access_text, describe_with},
    scope::{TenantId, UserId},
    store::{Connection, ConnectionStatus},
    vault::{Callback, Lasting, Limit},
};

/// Passes of one `twinbox sync`.
const MOST_PASSES: u32 = 1_000;

/// `twinbox connect`: the consent flow without the pages.
pub(super) async fn connect(options: Connect, json: bool) -> Outcome {
    let config = Config::read(&options.configured.config)?;
    let runtime = Runtime::start(plan(&config)?).await?;
    let (tenant, user) = match runtime.people.person(&options.user).await? {
        Some(person) => (person.tenant, person.user),
        None => (TenantId::new(TENANT), UserId::new(&options.user)),
    };
    runtime.crm.create_user(&tenant, &user, &options.user).await?;
    let (listener, mut answers) = wait_for_browser(config.listen).await?;
    let session: u128 = rand::random();
    let session = format!("{session:032x}");
    let wanted = Wanted {
        address: options.address,
        choices: Choices::ticked(options.google_contacts.then_some(GOOGLE_CONTACTS)),
    };
    let page = runtime.accounts.begin(&tenant, &user, &session, wanted).await?;
    eprintln!("Open this page in a browser and allow everything it asks for:\n\n  {page}\n");
    let back = answers.recv().await.ok_or_else(|| {
        Failure::new(
            "consent",
            "the browser did not come back",
            "Run the command again.",
        )
    })?;
    listener.abort();
    let callback = match (back.code, back.error) {
        (Some(code), _) => Callback::Code(code.into()),
        (None, error) => Callback::Error(error.unwrap_or_default()),
    };
    let connection = runtime
        .accounts
        .finish(&back.state.unwrap_or_default(), &session, callback)
        .await?;
    let lasting = lasting(&runtime, &connection).await;
    answer(json, &shown(&connection, &lasting), || {
        let access = access_text(&lasting).map_or_else(String::new, |text| format!("\n{text}"));
        format!("{} is connected.{access}", connection.address)
    });
    Ok(ExitCode::SUCCESS)
}

/// What the consent page sends the browser back with.
#[derive(Deserialize)]
struct Back {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

async fn wait_for_browser(
    listen: SocketAddr,
) -> Result<(tokio::task::AbortHandle, mpsc::Receiver<Back>), Failure> {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        let advice = "If `twinbox serve` is running, connect on its settings page instead.";
        Failure::new("listen", format!("cannot listen on {listen}: {error}"), advice)
    })?;
    let (sender, answers) = mpsc::channel(1);
    let callback = move |Query(back): Query<Back>| async move {
        let said = match &back.error {
            None => "Google has answered. The terminal says whether the mailbox is connected",
            Some(_) => "Google did not give access, and nothing was connected. The terminal says more",
        };
        let _ = sender.send(back).await;
        Html(format!("<p>{said}; you can close this page.</p>"))
    };
    let pages = Router::new().route("/oauth/callback", get(callback));
    let task = tokio::spawn(async move { axum::serve(listener, pages.into_make_service()).await });
    Ok((task.abort_handle(), answers))
}

/// `twinbox status`.
pub(super) async fn status(options: Configured, json: bool) -> Outcome {
    let runtime = start(&options).await?;
    let connections = runtime.host.parts().registry.list().await?;
    let audits = runtime.host.parts().audits.standings().await?;
    let mut known = Vec::new();
    for connection in &connections {
        let lasting = lasting(&runtime, connection).await;
        known.push((connection, lasting, audits.get(&connection.scope.connection)));
    }
    let mut addresses = HashMap::new();
    if let Some(known) = &runtime.host.parts().bcc_addresses {
        let active = connections
            .iter()
            .filter(|connection| connection.status != ConnectionStatus::Disconnected);
        for connection in active {
            let id = &connection.scope.connection;
            addresses.insert(id.clone(), known.of(id).await?);
        }
    }
    let with_audit = |(connection, lasting, audited): &(&Connection, Lasting, Option<&AuditStanding>)| {
        let mut value = shown(connection, lasting);
        if let Some(members) = value.as_object_mut() {
            let bcc = addresses.get(&connection.scope.connection);
            members.insert("bcc_address".to_owned(), json!(bcc));
            members.insert("audit".to_owned(), audit::shown(*audited));
        }
        value
    };
    let all: Vec<Value> = known.iter().map(with_audit).collect();
    answer(json, &json!({ "connections": all }), || {
        if connections.is_empty() {
            return "No mailbox is connected. `twinbox connect` connects one.".to_owned();
        }
        let lines = known.iter().map(|(connection, lasting, audited)| {
            let line = line(connection, lasting);
            if connection.status == ConnectionStatus::Disconnected {
                return line;
            }
            let bcc = addresses.get(&connection.scope.connection);
            let bcc = bcc.map_or_else(String::new, |address| format!("\n  BCC address {address}"));
            line + &bcc + &audit::line(*audited)
        });
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

/// `twinbox sync`: passes until there is no more to do.
pub(super) async fn sync(options: OneConnection, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let id = &connection.scope.connection;
    let (mut seen, mut delivered, mut sent) = (0, 0, 0);
    let mut problem = None;
    for _ in 0..MOST_PASSES {
        let ran = runtime.host.run(id, Trigger::Manual).await?;
        seen += ran.report.counts.seen;
        delivered += ran.report.counts.delivered;
        sent += ran.report.counts.sent;
        problem = ran.report.problem;
        let more = ran
            .report
            .next
            .is_some_and(|next| next <= runtime.host.parts().clock.now());
        if problem.is_some() || !more {
            break;
        }
    }
    if let Some(problem) = problem {
        let described = describe_with(&problem, &lasting(&runtime, &connection).await);
        return Err(Failure::from(problem).saying(described));
    }
    answer(
        json,
        &json!({ "seen": seen, "delivered": delivered, "sent": sent }),
        || {
            format!(
                "{}: {seen} messages seen, {delivered} delivered, {sent} sent.",
                connection.address
            )
        },
    );
    Ok(ExitCode::SUCCESS)
}

/// `twinbox disconnect`.
pub(super) async fn disconnect(options: OneConnection, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    runtime.host.disconnect(&connection.scope.connection).await?;
    answer(
        json,
        &json!({ "disconnected": connection.scope.connection }),
        || format!("{} is disconnected. What was synced stays.", connection.address),
    );
    Ok(ExitCode::SUCCESS)
}

/// `twinbox inspect`.
pub(super) async fn inspect(options: Inspect, json: bool) -> Outcome {
    let plugin = load(Some(&options.plugin), None).await?.plugin;
    let manifest = plugin.manifest();
    let imports = plugin.imports();
    let limits = crate::sandbox::Limits::default().capped_by(&manifest.budget);
    let value = json!({
        "digest": plugin.digest(),
        "manifest": manifest,
        "imports": imports,
        "limits": {
            "memory": limits.memory,
            "cpu_ms": limits.cpu.as_millis(),
            "wall_ms": limits.wall.as_millis(),
            "requests": limits.requests,
        },
    });
    let if_ticked: Vec<String> = manifest
        .optional_scopes
        .iter()
        .map(|optional| format!("{} ({})", optional.scope, optional.setting))
        .collect();
    answer(json, &value, || {
        format!(
            "{} {} ({}): {}\nsha256    {}\norigins   {}\nscopes    {}\nif ticked {}\nimports   {}\nlimits    {} MiB memory, {} s CPU, \
             {} s in all, {} requests a pass",
            manifest.name,
            manifest.version,
            manifest.provider,
            manifest.description,
            plugin.digest(),
            manifest.origins.join(", "),
            manifest.scopes.join(", "),
            if_ticked.join(", "),
            imports.join(", "),
            limits.memory >> 20,
            limits.cpu.as_secs(),
            limits.wall.as_secs(),
            limits.requests,
        )
    });
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn start(options: &Configured) -> Result<Runtime, Failure> {
    Runtime::start(plan(&Config::read(&options.config)?)?).await
}

pub(super) async fn choose(runtime: &Runtime, wanted: Option<&str>) -> Result<Connection, Failure> {
    let connections = runtime.host.parts().registry.list().await?;
    let mut fitting = connections.into_iter().filter(|connection| match wanted {
        Some(wanted) => connection.address == wanted || connection.scope.connection.as_str() == wanted,
        None => connection.status != ConnectionStatus::Disconnected,
    });
    let advice = "`twinbox status` shows the connections; name one by its address or id.";
    match (fitting.next(), fitting.next()) {
        (Some(connection), None) => Ok(connection),
        (None, _) => Err(Failure::new(
            "not-connected",
            "there is no such connection",
            advice,
        )),
        (Some(_), Some(_)) => Err(Failure::new(
            "not-connected",
            "there are several connections",
            advice,
        )),
    }
}

/// How long its grant lasts; nothing where there is none.
async fn lasting(runtime: &Runtime, connection: &Connection) -> Lasting {
    let vault = &runtime.host.parts().vault;
    vault
        .lasting(&connection.scope.connection)
        .await
        .unwrap_or_default()
}

fn shown(connection: &Connection, lasting: &Lasting) -> Value {
    let problem = connection.problem.as_ref().map(|problem| {
        let described = describe_with(problem, lasting);
        json!({ "code": described.code, "happened": described.happened, "advice": described.advice })
    });
    json!({
        "id": connection.scope.connection,
        "tenant": connection.scope.tenant,
        "user": connection.scope.user,
        "address": connection.address,
        "status": connection.status,
        "created_at": connection.created_at,
        "last_run_at": connection.last_run_at,
        "next_run_at": connection.next_run_at,
        "failures": connection.failures,
        "problem": problem,
        "access": {
            "granted_at": lasting.granted_at,
            "lasts_until": lasting.until,
            "lost_at": lasting.lost_at,
            "limit": lasting.limit().map(|limit| match limit {
                Limit::Testing => "testing",
                Limit::TimeLimited => "time-limited",
            }),
        },
    })
}

fn line(connection: &Connection, lasting: &Lasting) -> String {
    let status = match connection.status {
        ConnectionStatus::Connecting => "connecting",
        ConnectionStatus::Active => "active",
        ConnectionStatus::NeedsReconnect => "needs reconnect",
        ConnectionStatus::Disconnected => "disconnected",
    };
    let problem = connection.problem.as_ref().map(|problem| {
        let described = describe_with(problem, lasting);
        format!(
            "\n  {}: {}\n  {}",
            described.code, described.happened, described.advice
        )
    });
    let access = access_text(lasting).map(|text| format!("\n  {text}"));
    let id = &connection.scope.connection;
    format!(
        "{}  {status}  {id}{}{}",
        connection.address,
        access.unwrap_or_default(),
        problem.unwrap_or_default()
    )
}
