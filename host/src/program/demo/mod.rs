//! `twinbox demo`: a simulated Gmail, a host and the embedded CRM, in one process.

mod arrivals;
mod contacts;
mod report;

use std::{process::ExitCode, sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};

use indicatif::{ProgressBar, ProgressStyle};

use super::{
    Outcome, answer,
    args::{Demo, QuotaMode},
    config::QuotaTable,
    failure::{Failure, MISSING},
    runtime::{Plan, Runtime, TENANT, USER},
    serve::{Site, no_providers, pages},
    simulator::Simulator,
};
use crate::{
    Durability,
    choices::Wanted,
    contract::Trigger,
    egress::AddressRule,
    people::{NewPerson, NewToken, People, Person, Role, new_password},
    privacy::AssignedUsers,
    schedule::{LocalSchedule, Polling, Schedule},
    scope::{TenantId, UserId},
    store::{Connection, ConnectionStatus},
    vault::Callback,
};
use arrivals::Arrivals;

/// Passes of one run of `--once`: far more than any folder of mail needs.
const MOST_PASSES: u32 = 10_000;

/// The demo's account, and what its token is called.
const LOGIN: &str = "demo";

/// Who is in the demo user's address book and no contact, until that choice is ticked (S08).
const ADDRESS_BOOK: [(&str, &str); 2] = [
    ("Grace Hopper", "grace@navy.example"),
    ("Alan Turing", "alan@bletchley.example"),
];

/// Runs the demo.
pub(super) async fn run(options: Demo, json: bool) -> Outcome {
    let arrivals = Arrivals::read(options.mail.as_deref())?;
    let contacts = contacts::choose(&options, &arrivals)?;
    let simulator = Simulator::start(options.gmail.clone()).await?;
    simulator.create_user(&options.mailbox, "Demo User").await?;
    let runtime = Runtime::start(plan(&options, &simulator)).await?;
    contacts::create(&runtime.crm, &contacts).await?;
    for contact in &contacts {
        // A mailbox of their own, so that replies arrive somewhere.
        simulator.create_user(&contact.address, &contact.name).await?;
    }
    let connection = connect(&runtime, &simulator, &options.mailbox).await?;
    if options.once {
        return once(&runtime, &simulator, &connection, &arrivals, json).await;
    }
    simulator
        .fill_address_book(&options.mailbox, &ADDRESS_BOOK)
        .await?;
    live(&options, &runtime, simulator, &connection, arrivals).await
}

fn plan(options: &Demo, simulator: &Simulator) -> Plan {
    let table = match options.quota {
        QuotaMode::Old => QuotaTable::Old,
        QuotaMode::Off | QuotaMode::New => QuotaTable::New,
    };
    Plan {
        data: options.data.clone(),
        durability: Durability::ProcessDeath,
        plugin: options.plugin.clone(),
        endpoints: simulator.endpoints(),
        client_id: "twinbox-demo".to_owned(),
        client_secret: "twinbox-demo-secret".to_owned().into(),
        redirect_uri: format!("http://{}/oauth/callback", options.listen),
        api: Some(simulator.origin().to_owned()),
        rates: (options.quota != QuotaMode::Off).then(|| table.rates()),
        settings: table.settings(500, None, AssignedUsers::default()),
        record: options.record.clone(),
        bcc_domain: None,
    }
}

/// The demo's account and a token of its own.
async fn account(people: &People) -> Result<(Person, SecretString), Failure> {
    let person = if let Some(person) = people.person(LOGIN).await? {
        person
    } else {
        let new = NewPerson {
            login: LOGIN.to_owned(),
            tenant: TenantId::new(TENANT),
            user: UserId::new(USER),
            name: "You".to_owned(),
            role: Role::Admin,
            password: new_password(),
        };
        people.add(new).await?
    };
    for before in people.tokens(Some(&person.tenant)).await? {
        if before.person.login == LOGIN && before.name == LOGIN {
            people.revoke_token(&before.id).await?;
        }
    }
    let new = NewToken {
        login: LOGIN.to_owned(),
        name: LOGIN.to_owned(),
        expires_at: None,
    };
    Ok((person, people.create_token(new).await?.secret))
}

/// Connects the mailbox as a user would (S01), or goes on with the connection that is there.
async fn connect(runtime: &Runtime, simulator: &Simulator, mailbox: &str) -> Result<Connection, Failure> {
    let connections = runtime.host.parts().registry.list().await?;
    let known = connections
        .into_iter()
        .find(|connection| connection.address == mailbox && connection.status == ConnectionStatus::Active);
    if let Some(connection) = known {
        return Ok(connection);
    }
    let (tenant, user) = (TenantId::new(TENANT), UserId::new(USER));
    let wanted = Wanted {
        address: Some(mailbox.to_owned()),
        ..Wanted::default()
    };
    let page = runtime.accounts.begin(&tenant, &user, "demo", wanted).await?;
    let back = simulator.consent(page, mailbox).await?;
    let value = |wanted: &str| {
        back.query_pairs()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let callback = match value("code") {
        Some(code) => Callback::Code(code.into()),
        None => Callback::Error(value("error").unwrap_or_default()),
    };
    Ok(runtime
        .accounts
        .finish(&value("state").unwrap_or_default(), "demo", callback)
        .await?)
}

/// Delivers everything, syncs until nothing is left, reports.
async fn once(
    runtime: &Runtime,
    simulator: &Simulator,
    connection: &Connection,
    arrivals: &Arrivals,
    json: bool,
) -> Outcome {
    let bar = progress(arrivals.len());
    bar.set_message("arriving");
    for mail in arrivals.files() {
        simulator
            .deliver(&connection.address, mail.key(), mail.read()?)
            .await?;
        bar.inc(1);
    }
    let before = simulator.usage().await?;
    let started = std::time::Instant::now();
    let id = &connection.scope.connection;
    bar.set_position(0);
    bar.set_message("syncing");
    let mut peak = 0;
    for pass in 0.. {
        let ran = runtime.host.run(id, Trigger::Manual).await?;
        peak = peak.max(ran.usage.guest_peak_bytes);
        bar.inc(u64::from(ran.report.counts.seen));
        let now = runtime.host.parts().clock.now();
        match (ran.report.problem, ran.report.next) {
            (Some(problem), _) if pass >= MOST_PASSES || report::is_final(&problem) => {
                return Err(problem.into());
            }
            (Some(_), next) => wait(runtime, next.unwrap_or(now + 1_000)).await,
            (None, Some(next)) if next <= now => {}
            (None, _) => break,
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    bar.finish_and_clear();
    let usage = simulator.usage().await?;
    let report = report::make(runtime, id, arrivals.len(), before, usage, seconds, peak).await?;
    let missing = report.missing();
    answer(json, &report.json(), || report.text());
    Ok(if missing == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(MISSING)
    })
}

async fn wait(runtime: &Runtime, until: u64) {
    let clock = &runtime.host.parts().clock;
    clock.sleep(until.saturating_sub(clock.now()).max(100)).await;
}

fn progress(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:10} {bar:40} {pos}/{len} {per_sec}");
    let bar = ProgressBar::new(length as u64);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Mail arrives every few seconds; the page shows it.
async fn live(
    options: &Demo,
    runtime: &Runtime,
    simulator: Simulator,
    connection: &Connection,
    arrivals: Arrivals,
) -> Outcome {
    let polling = Polling {
        interval: Duration::from_secs(1),
        jitter: Duration::from_millis(200),
        ..Polling::default()
    };
    let schedule = LocalSchedule::start(runtime.host.clone(), polling);
    let every = Duration::from_secs(options.every.max(1));
    let mailbox = connection.address.clone();
    let arriving = tokio::spawn(async move { arrivals.arrive(&simulator, &mailbox, every).await });
    println!(
        "Twinbox demo: http://{}  (mailbox {}, Ctrl-C ends it)",
        options.listen, connection.address
    );
    let public = url::Url::parse(&format!("http://{}", options.listen))
        .map_err(|error| Failure::configuration(error, "Give --listen an address and a port."))?;
    // Who opens the demo is signed in; programs need a token here too.
    let (everybody, token) = account(&runtime.people).await?;
    println!(
        "API: http://{}/api  (token {})",
        options.listen,
        token.expose_secret()
    );
    let schedule: Arc<dyn Schedule> = schedule;
    let site = Site {
        listen: options.listen,
        public,
        schedule,
        heard: None,
        push: None,
        everybody: Some(everybody),
        // A receiver to try things with is likely to be on this machine.
        webhooks_reach: AddressRule::Any,
        providers: no_providers(),
    };
    let result = pages(runtime, site).await;
    arriving.abort();
    result
}
