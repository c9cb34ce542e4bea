//! `twinbox serve`: real mailboxes, and the pages.

use std::{collections::BTreeSet, net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use axum::middleware::from_fn;
use tokio::net::TcpListener;
use url::Url;

use super::{
    Outcome,
    args::Configured,
    config::{Bcc, BulkMail, Config, Delivery, WrongBulk},
    failure::Failure,
    runtime::{Plan, Runtime},
    telemetry::Traces,
};
use crate::{
    Durability,
    accounts::{Accounts, Connected, CutShort},
    contract::Mailbox,
    egress::AddressRule,
    people::Person,
    push::{Inbox, PullConfig, Puller, PushReceiver, ServiceAccount, TrustedSender},
    schedule::{AuditSchedule, LocalSchedule, Polling, Schedule},
    scope::TenantId,
    smtp::{
        IntakeSchedule, Listener, Listening,
        bulk::{Bulk, BulkProvider, BulkSender, NoProvider, Tenants},
    },
    spans,
    web::{PUSH_PATH, WebState, push_router, router},
    webhooks::{Receivers, WebhookSender},
};

/// How often what was cut short is looked for.
const HOUSEKEEPING: Duration = Duration::from_hours(1);

/// What takes in the spans of the server, as its configuration says; within a runtime of tokio.
pub(super) fn traces(options: &Configured) -> Result<Option<Traces>, Failure> {
    let telemetry = Config::read(&options.config)?.telemetry;
    telemetry.map(|telemetry| telemetry.start()).transpose()
}

/// Serves until it is told to end.
pub(super) async fn run(options: Configured) -> Outcome {
    let config = Config::read(&options.config)?;
    let auditing = config.auditing()?;
    let runtime = Runtime::start(plan(&config)?).await?;
    runtime.remove_uploads().await?;
    finish_what_was_cut_short(&runtime.accounts).await?;
    // It ends with the process.
    tokio::spawn(housekeeping(runtime.accounts.clone()));
    let changed = runtime.host.set_settings(&config.settings()).await?;
    if changed > 0 {
        tracing::info!(changed, "connections have the configuration's new settings");
    }
    let interval = Duration::from_secs(config.poll_seconds.max(1));
    let pushed = config
        .push
        .as_ref()
        .map_or(interval, |push| Duration::from_secs(push.poll_seconds));
    let schedule = LocalSchedule::start(
        runtime.host.clone(),
        Polling {
            interval,
            jitter: interval / 4,
            pushed: pushed.max(interval),
        },
    );
    let _audits = auditing.map(|auditing| AuditSchedule::start(runtime.host.clone(), auditing));
    let public = config.public_url()?;
    let providers = providers(&config)?;
    for name in unknown_tenants(&config, &runtime).await? {
        println!("[tenants.{name}]: nobody is in this tenant yet.");
    }
    let _bcc = bcc_server(&config, &runtime).await?;
    let (heard, push) = match push(&config, &runtime, schedule.clone(), &public)? {
        Some((inbox, receiver)) => (Some(inbox), receiver),
        None => (None, None),
    };
    println!("Twinbox serves {public}");
    if runtime.people.list().await?.is_empty() {
        println!("Nobody can sign in yet: `twinbox user add LOGIN` makes an account.");
    }
    let site = Site {
        listen: config.listen,
        public,
        schedule,
        heard,
        push,
        everybody: None,
        webhooks_reach: config.webhooks.addresses(),
        providers,
    };
    pages(&runtime, site).await
}

async fn finish_what_was_cut_short(accounts: &Accounts) -> Result<(), Failure> {
    let found = accounts.finish_what_was_cut_short().await?;
    if found != CutShort::default() {
        let CutShort {
            disconnects,
            consents,
            changes,
        } = found;
        tracing::info!(disconnects, consents, changes, "what was cut short is finished");
    }
    Ok(())
}

/// Does so every hour.
async fn housekeeping(accounts: Accounts) {
    loop {
        tokio::time::sleep(HOUSEKEEPING).await;
        if let Err(failure) = finish_what_was_cut_short(&accounts).await {
            tracing::warn!(%failure, "what was cut short is not finished");
        }
    }
}

/// Takes mail to BCC addresses, if there are any (S18); it ends when this is dropped.
async fn bcc_server(
    config: &Config,
    runtime: &Runtime,
) -> Result<Option<(Listening, IntakeSchedule)>, Failure> {
    let parts = runtime.host.parts();
    let (Some(bcc), Some(addresses)) = (&config.bcc, &parts.bcc_addresses) else {
        return Ok(None);
    };
    let (registry, clock) = (parts.registry.clone(), parts.clock.clone());
    let spool = runtime.spool.clone();
    let mut listener = Listener::new(
        bcc.hostname().to_owned(),
        addresses.clone(),
        spool.clone(),
        registry,
        clock,
    )
    .limited(bcc.limits()?);
    if let Some(tls) = bcc.tls()? {
        listener = listener.with_tls(tls);
    }
    let listening = listener.start(bcc.listen).await.map_err(|error| {
        let advice = "Ports below 1024 need a right of their own (CAP_NET_BIND_SERVICE), or choose another and forward 25.";
        let happened = format!("cannot listen for mail on {}: {error}", bcc.listen);
        Failure::new("listen", happened, advice)
    })?;
    println!("Mail for @{} comes in at {}", bcc.domain, listening.address());
    let intake = IntakeSchedule::start(runtime.host.clone(), spool);
    Ok(Some((listening, intake)))
}

/// Who sends bulk mail (S22), and how.
pub(super) struct Provider {
    server: Arc<dyn BulkProvider>,
    sender: Mailbox,
    per_minute: u32,
}

impl Provider {
    /// Says of all mail that it cannot be sent.
    fn none() -> Self {
        Self {
            server: Arc::new(NoProvider),
            sender: NoProvider::sender(),
            per_minute: 600,
        }
    }

    fn of(bulk: &BulkMail, hostname: &str) -> Result<Self, WrongBulk> {
        Ok(Self {
            server: Arc::new(bulk.provider(hostname)?),
            sender: bulk.sender()?,
            per_minute: bulk.per_minute,
        })
    }
}

/// The provider of each tenant that has its own, and that of all others.
fn providers(config: &Config) -> Result<Vec<(Tenants, Provider)>, Failure> {
    let hostname = config.bcc.as_ref().map_or("localhost", Bcc::hostname);
    let provider = |bulk: &BulkMail, table: &str| {
        Provider::of(bulk, hostname).map_err(|wrong: WrongBulk| wrong.in_table(table))
    };
    let mut all = Vec::new();
    for (name, tenant) in &config.tenants {
        let own = provider(&tenant.bulk, &format!("tenants.{name}.bulk"))?;
        all.push((Tenants::Only(TenantId::new(name)), own));
    }
    let others = Tenants::AllBut(config.tenants.keys().map(TenantId::new).collect());
    let everybodys = config.bulk.as_ref().map(|bulk| provider(bulk, "bulk"));
    all.push((others, everybodys.transpose()?.unwrap_or_else(Provider::none)));
    Ok(all)
}

/// Tenants of the configuration that nobody is in: their names may be misspelt.
async fn unknown_tenants(config: &Config, runtime: &Runtime) -> Result<Vec<String>, Failure> {
    let people = runtime.people.list().await?;
    let known: BTreeSet<&str> = people.iter().map(|person| person.tenant.as_str()).collect();
    let unknown = config
        .tenants
        .keys()
        .filter(|name| !known.contains(name.as_str()));
    Ok(unknown.cloned().collect())
}

/// Nobody sends bulk mail, and it is said of it that it cannot be sent.
pub(super) fn no_providers() -> Vec<(Tenants, Provider)> {
    vec![(Tenants::AllBut(Vec::new()), Provider::none())]
}

fn bulk_sender(runtime: &Runtime, tenants: Tenants, provider: Provider) -> BulkSender {
    let parts = runtime.host.parts();
    let bulk = Bulk {
        tenants,
        queue: Arc::new(runtime.crm.clone()),
        provider: provider.server,
        registry: parts.registry.clone(),
        clock: parts.clock.clone(),
        sender: provider.sender,
    };
    BulkSender::start(bulk, provider.per_minute)
}

/// What the configuration asks for.
pub(super) fn plan(config: &Config) -> Result<Plan, Failure> {
    let redirect = config.public_url()?.join("oauth/callback");
    let redirect =
        redirect.map_err(|error| Failure::configuration(error, "Check public_url in the configuration."))?;
    Ok(Plan {
        data: Some(config.data.clone()),
        // A send's intent must survive a power cut, or the message could go twice (S23).
        durability: Durability::PowerLoss,
        plugin: config.plugin.clone(),
        endpoints: config.origins.endpoints(),
        client_id: config.google.client_id.clone(),
        client_secret: config.client_secret()?,
        redirect_uri: redirect.into(),
        api: config.origins.api.clone(),
        rates: Some(config.rates()),
        settings: config.settings(),
        record: None,
        bcc_domain: config.bcc.as_ref().map(|bcc| bcc.domain.clone()),
    })
}

/// What is served, and where.
pub(super) struct Site {
    pub(super) listen: SocketAddr,
    /// Where people reach it.
    pub(super) public: Url,
    pub(super) schedule: Arc<dyn Schedule>,
    /// What takes notifications, for its counts.
    pub(super) heard: Option<Inbox>,
    /// The endpoint for notifications.
    pub(super) push: Option<PushReceiver>,
    /// Who everybody is that has not signed in; absent: nobody.
    pub(super) everybody: Option<Person>,
    /// Where webhooks may be.
    pub(super) webhooks_reach: AddressRule,
    /// Who sends bulk mail of whom.
    pub(super) providers: Vec<(Tenants, Provider)>,
}

/// Serves the pages until the process is asked to end.
pub(super) async fn pages(runtime: &Runtime, site: Site) -> Outcome {
    let Site {
        listen,
        public,
        schedule,
        heard,
        push,
        everybody,
        webhooks_reach,
        providers,
    } = site;
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        let advice = "Another program may listen there; choose another address.";
        Failure::new("listen", format!("cannot listen on {listen}: {error}"), advice)
    })?;
    let connections = Connected::new(runtime.accounts.clone(), schedule);
    let connections = Arc::new(connections);
    let receivers = Receivers::new(webhooks_reach)
        .map_err(|error| Failure::configuration(error, "The system's TLS roots may be missing."))?;
    let clock = runtime.host.parts().clock.clone();
    let _webhooks = WebhookSender::start(runtime.webhooks.clone(), receivers.clone(), clock);
    let mut state = WebState::new(runtime.crm.clone(), runtime.people.clone(), connections)
        .at(public)
        .telling(runtime.webhooks.clone(), receivers)
        .watching(runtime.registry.clone());
    if let Some(heard) = heard {
        state = state.hearing(heard);
    }
    if let Some(everybody) = everybody {
        state = state.open_to(everybody);
    }
    let mut pages = router(state);
    if let Some(receiver) = push {
        pages = pages.merge(push_router(Arc::new(receiver)));
    }
    let pages = pages.layer(from_fn(spans::inbound));
    // A router that is served as it is would be copied, with all its routes, for each connection.
    let pages = pages.into_make_service();
    // When nothing can fail any more: a copy that was begun by a start that failed would be unconfirmed for ever.
    let senders = providers.into_iter();
    let _senders: Vec<BulkSender> = senders
        .map(|(tenants, provider)| bulk_sender(runtime, tenants, provider))
        .collect();
    // Live pages hold their connections open: ending does not wait for them.
    tokio::select! {
        served = axum::serve(listener, pages) => served?,
        () = asked_to_end() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Lets notifications in, as the configuration says: by an endpoint of the pages, or by a task that pulls.
fn push(
    config: &Config,
    runtime: &Runtime,
    schedule: Arc<dyn Schedule>,
    public: &Url,
) -> Result<Option<(Inbox, Option<PushReceiver>)>, Failure> {
    let Some(push) = &config.push else {
        return Ok(None);
    };
    let wrong = |error: &dyn std::fmt::Display| {
        Failure::configuration(
            format!("[push]: {error}"),
            "The README's section on push shows the whole table [push].",
        )
    };
    let endpoint = public.join(PUSH_PATH.trim_start_matches('/'));
    let endpoint = endpoint.map_err(|error| wrong(&error))?;
    let parts = runtime.host.parts();
    let inbox = Inbox::new(parts.registry.clone(), parts.clock.clone(), schedule);
    match push.delivery(&endpoint)? {
        Delivery::Push {
            audience,
            service_account,
            subscription,
        } => {
            let endpoints = config.origins.endpoints();
            let sender = TrustedSender::new(&endpoints, audience, service_account, parts.clock.clone());
            let receiver = PushReceiver::new(inbox.clone(), sender.map_err(|error| wrong(&error))?);
            let receiver = match subscription {
                Some(subscription) => receiver.of_subscription(subscription),
                None => receiver,
            };
            Ok(Some((inbox, Some(receiver))))
        }
        Delivery::Pull { subscription, key } => {
            let account = ServiceAccount::from_key_file(&key, parts.clock.clone());
            let mut pull = PullConfig::new(subscription);
            if let Some(origin) = &config.origins.pubsub {
                pull.origin.clone_from(origin);
            }
            let puller = Puller::new(pull, account.map_err(|error| wrong(&error))?, inbox.clone());
            let puller = puller.map_err(|error| wrong(&error))?;
            // It ends with the process.
            tokio::spawn(async move { puller.run().await });
            Ok(Some((inbox, None)))
        }
    }
}

async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    let Ok(mut terminated) = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) else {
        let _ = interrupted.await;
        return;
    };
    tokio::select! {
        _ = interrupted => {}
        _ = terminated.recv() => {}
    }
}
