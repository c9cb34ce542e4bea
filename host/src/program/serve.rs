//! `twinbox serve`: real mailboxes, and the pages.

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use url::Url;

use super::{
    Outcome,
    args::Configured,
    config::Config,
    failure::Failure,
    runtime::{Plan, Runtime, TENANT, USER},
};
use crate::{
    Durability,
    accounts::Connected,
    schedule::{AuditSchedule, LocalSchedule, Polling, Schedule},
    scope::{TenantId, UserId},
    web::{WebState, router},
};

/// Serves until it is told to end.
pub(super) async fn run(options: Configured) -> Outcome {
    let config = Config::read(&options.config)?;
    let auditing = config.auditing()?;
    let runtime = Runtime::start(plan(&config)?).await?;
    let interval = Duration::from_secs(config.poll_seconds.max(1));
    let schedule = LocalSchedule::start(
        runtime.host.clone(),
        Polling {
            interval,
            jitter: interval / 4,
        },
    );
    let _audits = auditing.map(|auditing| AuditSchedule::start(runtime.host.clone(), auditing));
    let public = config.public_url()?;
    println!("Twinbox serves {public}");
    pages(&runtime, schedule, config.listen, &public).await
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
        settings: config.quota_table.settings(config.daily_limit),
        record: None,
    })
}

/// Serves the pages until the process is asked to end.
pub(super) async fn pages(
    runtime: &Runtime,
    schedule: Arc<dyn Schedule>,
    listen: SocketAddr,
    public: &Url,
) -> Outcome {
    let listener = TcpListener::bind(listen).await.map_err(|error| {
        let advice = "Another program may listen there; choose another address.";
        Failure::new("listen", format!("cannot listen on {listen}: {error}"), advice)
    })?;
    let connections = Connected::new(runtime.accounts.clone(), schedule);
    let state = WebState::new(
        runtime.crm.clone(),
        TenantId::new(TENANT),
        UserId::new(USER),
        Arc::new(connections),
    )
    .at(public.clone());
    // Live pages hold their connections open: ending does not wait for them.
    tokio::select! {
        served = axum::serve(listener, router(state)) => served?,
        () = asked_to_end() => {}
    }
    Ok(ExitCode::SUCCESS)
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
