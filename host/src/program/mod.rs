//! The program `twinbox`: what the command line says, done with the library.

mod args;
mod audit;
mod commands;
mod config;
mod demo;
mod domain;
mod failure;
mod folder;
mod keys;
mod people;
mod plugin;
mod privacy;
mod runtime;
mod serve;
mod simulator;
mod telemetry;
mod traces;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, filter_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use args::{Args, Command};
use failure::Failure;
use telemetry::Traces;

/// Runs the program; the exit code says how it ended (see `twinbox help`).
pub async fn run() -> ExitCode {
    let args = Args::parse();
    let json = args.json;
    let traces = match &args.command {
        Command::Serve(options) => serve::traces(options),
        _ => Ok(None),
    };
    let traces = match traces {
        Ok(traces) => traces,
        Err(failure) => {
            failure.print(json);
            return failure.exit_code();
        }
    };
    start_log(&args, traces.as_ref());
    let result = match args.command {
        Command::Demo(options) => demo::run(options, json).await,
        Command::Serve(options) => serve::run(options).await,
        Command::Connect(options) => commands::connect(options, json).await,
        Command::Status(options) => commands::status(options, json).await,
        Command::Sync(options) => commands::sync(options, json).await,
        Command::Audit(options) => Box::pin(audit::audit(options, json)).await,
        Command::Explain(options) => Box::pin(privacy::explain(options, json)).await,
        Command::Privacy(options) => Box::pin(privacy::privacy(options, json)).await,
        Command::Preview(options) => Box::pin(privacy::preview(options, json)).await,
        Command::Retract(options) => Box::pin(privacy::retract(options, json)).await,
        Command::Disconnect(options) => commands::disconnect(options, json).await,
        Command::CheckDomain(options) => domain::check(options, json).await,
        Command::Inspect(options) => commands::inspect(options, json).await,
        Command::Record(options) => Box::pin(traces::record(options, json)).await,
        Command::Replay(options) => Box::pin(traces::replay(options, json)).await,
        Command::User(command) => people::user(command, json).await,
        Command::Token(command) => people::token(command, json).await,
        Command::Keys(command) => keys::run(command, json).await,
        Command::Plugin(command) => Box::pin(plugin::run(command, json)).await,
    };
    if let Some(traces) = traces {
        traces.finish().await;
    }
    match result {
        Ok(code) => code,
        Err(failure) => {
            failure.print(json);
            failure.exit_code()
        }
    }
}

/// Log lines go to standard error, so that standard output is only ever the answer.
/// Spans go to the traces alone, if there are any.
fn start_log(args: &Args, traces: Option<&Traces>) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("TWINBOX_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(if args.verbose { "info" } else { "warn" }));
    let filter = filter.and(filter_fn(|metadata| !metadata.is_span()));
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let log = if args.json {
        log.json().with_filter(filter).boxed()
    } else {
        log.with_filter(filter).boxed()
    };
    tracing_subscriber::registry()
        .with(log)
        .with(traces.map(Traces::layer))
        .init();
}

/// Prints an answer: as JSON on one line, or as the text.
fn answer(json: bool, value: &serde_json::Value, text: impl FnOnce() -> String) {
    if json {
        println!("{value}");
    } else {
        println!("{}", text());
    }
}

type Outcome = Result<ExitCode, Failure>;
