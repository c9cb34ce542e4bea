//! The program: a Gmail simulator on a port.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Parser, ValueEnum};
use gmail_sim::{Behaviour, Config, Consent, Delivery, FaultPlan, PushEndpoint, Quota, Sim, Table};
use tokio::net::TcpListener;

/// A Gmail and Google OAuth server with real state, for tests and demos.
///
/// Point a client at the printed origin instead of https://gmail.googleapis.com, https://oauth2.googleapis.com and
/// https://accounts.google.com. OAuth client: twinbox-demo / twinbox-demo-secret, any loopback redirect URI.
/// State is in memory. What tests and demos do to it is under /sim (see the README).
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 8025)]
    port: u16,
    /// A mailbox to make, as EMAIL or "Name <EMAIL>"; repeat for more.
    #[arg(long, value_name = "EMAIL")]
    user: Vec<String>,
    /// Which price list, and whether a spent minute is refused or only counted.
    #[arg(long, value_enum, default_value_t = QuotaMode::CountNew)]
    quota: QuotaMode,
    /// Grant every OAuth request at once instead of showing the consent page.
    #[arg(long)]
    auto_consent: bool,
    /// Seed of all ids and tokens.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Strike requests and notifications by seed: SEED, or SEED:RATE with a rate from 0 to 1 (0.02 by default).
    #[arg(long, value_name = "SEED[:RATE]", value_parser = fault_plan)]
    faults: Option<FaultPlan>,
    /// Draw the settings of the switches by seed.
    #[arg(long, value_name = "SEED")]
    behaviour: Option<u64>,
    /// A directory of messages (.eml) to deliver at the start, in the order of their names.
    #[arg(long, value_name = "DIR", requires = "to")]
    mail: Option<PathBuf>,
    /// The mailbox they are delivered to.
    #[arg(long, value_name = "EMAIL")]
    to: Option<String>,
    /// Where notifications are posted.
    #[arg(long, value_name = "URL")]
    push_url: Option<String>,
    /// Audience of their tokens; by default the URL.
    #[arg(long, value_name = "AUDIENCE")]
    push_audience: Option<String>,
    /// Service account in their tokens.
    #[arg(
        long,
        value_name = "EMAIL",
        default_value = "push@twinbox-demo.iam.gserviceaccount.com"
    )]
    push_service_account: String,
    /// Subscription they name.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "projects/twinbox-demo/subscriptions/gmail"
    )]
    push_subscription: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum QuotaMode {
    /// Enforce the list of older projects: 15,000 units a minute, messages.get 5.
    Old,
    /// Enforce the list since May 2026: 6,000 units a minute, messages.get 20.
    New,
    /// Count by the old list, refuse nothing.
    CountOld,
    /// Count by the new list, refuse nothing.
    CountNew,
}

impl From<QuotaMode> for Quota {
    fn from(mode: QuotaMode) -> Self {
        match mode {
            QuotaMode::Old => Self::Enforce(Table::Old),
            QuotaMode::New => Self::Enforce(Table::New),
            QuotaMode::CountOld => Self::Count(Table::Old),
            QuotaMode::CountNew => Self::Count(Table::New),
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let sim = Sim::new(config(&arguments));
    sim.set_fault_plan(arguments.faults.clone());
    for user in &arguments.user {
        let (name, email) = name_and_email(user);
        sim.create_user(&email, &name);
    }
    if let (Some(directory), Some(to)) = (&arguments.mail, &arguments.to) {
        let count = deliver_directory(&sim, directory, to)?;
        println!("delivered {count} messages to {to}");
    }
    let listener = TcpListener::bind(("127.0.0.1", arguments.port))
        .await
        .context("cannot listen")?;
    println!("gmail-sim listens on http://{}", listener.local_addr()?);
    tokio::select! {
        served = gmail_sim::serve(sim, listener) => served.context("the server failed"),
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

fn config(arguments: &Arguments) -> Config {
    let push = arguments.push_url.as_ref().map(|url| PushEndpoint {
        url: url.clone(),
        audience: arguments.push_audience.clone().unwrap_or_else(|| url.clone()),
        service_account: arguments.push_service_account.clone(),
        subscription: arguments.push_subscription.clone(),
    });
    Config {
        seed: arguments.seed,
        quota: arguments.quota.into(),
        consent: if arguments.auto_consent {
            Consent::grant_all()
        } else {
            Consent::Page
        },
        push,
        behaviour: arguments.behaviour.map(Behaviour::drawn).unwrap_or_default(),
        ..Config::default()
    }
}

/// `SEED` or `SEED:RATE`.
fn fault_plan(text: &str) -> Result<FaultPlan, String> {
    let (seed, rate) = text.split_once(':').unwrap_or((text, "0.02"));
    let seed = seed.parse().map_err(|error| format!("seed: {error}"))?;
    let rate: f64 = rate.parse().map_err(|error| format!("rate: {error}"))?;
    if !(0.0..=1.0).contains(&rate) {
        return Err("rate: not between 0 and 1".to_owned());
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and 1000"
    )]
    let per_mille = (rate * 1000.0).round() as u16;
    Ok(FaultPlan::new(seed, per_mille))
}

fn name_and_email(user: &str) -> (String, String) {
    match user
        .trim()
        .strip_suffix('>')
        .and_then(|rest| rest.split_once('<'))
    {
        Some((name, email)) => (name.trim().trim_matches('"').to_owned(), email.trim().to_owned()),
        None => (String::new(), user.trim().to_owned()),
    }
}

fn deliver_directory(sim: &Sim, directory: &PathBuf, to: &str) -> anyhow::Result<usize> {
    let mut files = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| path.is_file());
    files.sort();
    for path in &files {
        let raw = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        if sim.deliver(&Delivery::new(to, raw)).is_none() {
            bail!("there is no mailbox {to}: make it with --user");
        }
    }
    Ok(files.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_plan_is_a_seed_with_a_rate_or_without() {
        assert_eq!(fault_plan("7:0.05"), Ok(FaultPlan::new(7, 50)));
        assert_eq!(fault_plan("7"), Ok(FaultPlan::new(7, 20)));
        for wrong in ["", "x", "7:", "7:2", "7:-1", "7:NaN"] {
            assert!(fault_plan(wrong).is_err(), "{wrong}");
        }
    }
}
