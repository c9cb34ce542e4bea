//! `twinbox record` and `twinbox replay`, and the folder of traces of the demo.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicUsize, Ordering},
};

use async_trait::async_trait;
use serde_json::json;

use super::{
    Outcome, answer,
    args::{Record, Redact, Replay},
    commands::{choose, start},
    failure::{CONFIGURATION, FAILED, Failure},
    runtime::load,
};
use crate::{
    Witness,
    capability::{RECORDED_BYTES, TooLarge},
    contract::Trigger,
    problem::describe,
    sandbox::Plugin,
    trace::{self, Call, Decisions, Difference, ReadLimits, RedactError, RehearsalError, Trace, Unanswered},
};

/// Traces that a folder gets at most.
const MOST_TRACES: usize = 10_000;

/// `twinbox record`: one pass, written down.
pub(super) async fn record(options: Record, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let connection = choose(&runtime, options.connection.as_deref()).await?;
    let id = &connection.scope.connection;
    let (ran, recorded) = runtime.host.record(id, Trigger::Manual, RECORDED_BYTES).await?;
    let mut recorded = recorded?;
    if options.redact == Some(Redact::Bodies) {
        // Between two passes another version may take over; redacting takes the one that ran.
        let chosen = runtime.host.parts().plugins.chosen().await;
        recorded = trace::redact(&chosen.current, &recorded).await?;
    }
    write(&recorded, &options.output)?;
    let problem = match &ran {
        Ok(ran) => ran.report.problem.clone(),
        Err(error) => Some(error.problem()),
    };
    let described = problem.as_ref().map(describe);
    let value = json!({
        "trace": options.output,
        "plugin": recorded.header.plugin,
        "steps": recorded.steps.len(),
        "redaction": recorded.header.redaction,
        "problem": described.as_ref().map(|described| json!({
            "code": described.code,
            "happened": described.happened,
            "advice": described.advice,
        })),
    });
    answer(json, &value, || {
        let ended = described.as_ref().map_or_else(String::new, |described| {
            format!(
                " The pass ended early: {}: {}",
                described.code, described.happened
            )
        });
        format!(
            "{}: {} steps in {}.{ended}",
            connection.address,
            recorded.steps.len(),
            options.output.display()
        )
    });
    Ok(ExitCode::SUCCESS)
}

/// `twinbox replay`: the same pass again, or what another component decides.
pub(super) async fn replay(options: Replay, json: bool) -> Outcome {
    let recorded = read(&options.trace)?;
    let plugin = load(options.plugin.as_deref(), None).await?.plugin;
    if let Some(to) = &options.redact_to {
        let redacted = trace::redact(&plugin, &recorded).await?;
        write(&redacted, to)?;
        answer(
            json,
            &json!({ "trace": to, "steps": redacted.steps.len() }),
            || format!("{} steps in {}, redacted.", redacted.steps.len(), to.display()),
        );
        return Ok(ExitCode::SUCCESS);
    }
    if !options.diff && plugin.digest() == recorded.header.plugin.digest {
        exactly(&plugin, &recorded, json).await
    } else {
        by_decisions(&plugin, &recorded, options.diff, json).await
    }
}

/// Call by call, bit for bit.
async fn exactly(plugin: &Plugin, recorded: &Trace, json: bool) -> Outcome {
    let replayed = trace::replay(plugin, recorded).await;
    let divergence = replayed.as_ref().err().map(ToString::to_string);
    let value = json!({
        "mode": "exact",
        "same": divergence.is_none(),
        "recorded": recorded.header.plugin,
        "export": recorded.header.call.export(),
        "steps": recorded.steps.len(),
        "divergence": divergence,
    });
    answer(json, &value, || match &divergence {
        None => format!(
            "The same: {} steps of {} with {}.",
            recorded.steps.len(),
            recorded.header.call.export(),
            recorded.header.plugin
        ),
        Some(divergence) => format!("Different at {divergence}"),
    });
    Ok(same(divergence.is_none()))
}

/// Decision by decision.
async fn by_decisions(plugin: &Plugin, recorded: &Trace, is_shown: bool, json: bool) -> Outcome {
    let rehearsal = trace::rehearse(plugin, recorded, None).await?;
    let differences = &rehearsal.differences;
    let value = json!({
        "mode": "decisions",
        "same": differences.is_empty(),
        "recorded": recorded.header.plugin,
        "replayed": rehearsal.trace.header.plugin,
        "export": recorded.header.call.export(),
        "decisions": Decisions::of(recorded).len(),
        "differences": differences,
        "unanswered": rehearsal.unanswered,
    });
    answer(json, &value, || {
        let mut text = format!(
            "{} of {} against {}: {}",
            recorded.header.call.export(),
            recorded.header.plugin,
            rehearsal.trace.header.plugin,
            match differences.len() {
                0 => "the same decisions.".to_owned(),
                number => format!("{number} differences."),
            }
        );
        if is_shown {
            text.extend(
                differences
                    .iter()
                    .map(|difference: &Difference| format!("\n  {difference}")),
            );
            text.extend(rehearsal.unanswered.iter().map(|unanswered: &Unanswered| {
                format!(
                    "\n  not recorded: {} {}; answered: {}",
                    unanswered.function, unanswered.about, unanswered.answered
                )
            }));
        } else if !differences.is_empty() {
            text.push_str(" --diff shows them.");
        }
        text
    });
    Ok(same(differences.is_empty()))
}

fn same(is_same: bool) -> ExitCode {
    ExitCode::from(if is_same { 0 } else { FAILED })
}

fn read(path: &Path) -> Result<Trace, Failure> {
    let file = File::open(path).map_err(|error| {
        let happened = format!("{}: {error}", path.display());
        Failure::new("trace-unreadable", happened, "Check the path of the trace.").exiting(CONFIGURATION)
    })?;
    Ok(Trace::read(BufReader::new(file), ReadLimits::default())?)
}

/// Writes beside, then renames. Mail is private: the file is its owner's alone.
fn write(trace: &Trace, path: &Path) -> io::Result<()> {
    let unfinished = path.with_extension(format!("{}.part", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let written = options.open(&unfinished).and_then(|file| {
        let mut file = BufWriter::new(file);
        trace.write(&mut file)?;
        file.flush()
    });
    match written.and_then(|()| fs::rename(&unfinished, path)) {
        Ok(()) => Ok(()),
        Err(error) => {
            let _ = fs::remove_file(&unfinished);
            Err(error)
        }
    }
}

/// Gets the trace of each pass, a file each, numbered.
pub(super) struct TraceFolder {
    folder: PathBuf,
    number: AtomicUsize,
}

impl TraceFolder {
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            number: AtomicUsize::new(0),
        })
    }
}

#[async_trait]
impl Witness for TraceFolder {
    fn wants(&self, _: &Call) -> Option<usize> {
        (self.number.load(Ordering::Relaxed) < MOST_TRACES).then_some(RECORDED_BYTES)
    }

    async fn saw(&self, trace: Result<&Trace, TooLarge>) {
        let number = self.number.fetch_add(1, Ordering::Relaxed) + 1;
        let written = match trace {
            Ok(trace) => {
                let name = format!("{number:05}-{}.trace", trace.header.call.export());
                let (trace, path) = (trace.clone(), self.folder.join(name));
                let writing = tokio::task::spawn_blocking(move || write(&trace, &path));
                writing
                    .await
                    .map_err(io::Error::other)
                    .and_then(|written| written)
            }
            Err(error) => Err(io::Error::other(error)),
        };
        if let Err(error) = written {
            tracing::warn!(%error, number, "the trace of a pass was not written");
        }
    }
}

impl From<TooLarge> for Failure {
    fn from(error: TooLarge) -> Self {
        let advice = "The pass itself was not affected. Record one with less mail or smaller attachments.";
        Self::new("trace-too-large", error, advice)
    }
}

impl From<RehearsalError> for Failure {
    fn from(error: RehearsalError) -> Self {
        match error {
            RehearsalError::TooLarge(error) => error.into(),
        }
    }
}

impl From<RedactError> for Failure {
    fn from(error: RedactError) -> Self {
        let happened = error.to_string();
        match error {
            RedactError::Rehearsal(error) => error.into(),
            RedactError::OtherComponent { .. } => Self::new(
                "other-component",
                happened,
                "Name the component that was recorded with --plugin.",
            )
            .exiting(CONFIGURATION),
        }
    }
}
