//! `twinbox plugin`: which component runs. A server on the same data folder takes a change over between two
//! passes.

use std::process::ExitCode;

use serde_json::json;

use super::{
    Outcome, answer,
    args::{Configured, PluginCommand, Promote, Shadow},
    commands::start,
    failure::Failure,
    runtime::{Runtime, read_component},
};
use crate::{
    release::{ReleaseError, ReleaseStore, ShadowSummary},
    trace::Release,
};

/// Runs one of its commands.
pub(super) async fn run(command: PluginCommand, json: bool) -> Outcome {
    match command {
        PluginCommand::Status(options) => status(options, json).await,
        PluginCommand::Shadow(options) => shadow(options, json).await,
        PluginCommand::Promote(options) => promote(options, json).await,
        PluginCommand::Rollback(options) => roll_back(options, json).await,
    }
}

async fn status(options: Configured, json: bool) -> Outcome {
    let runtime = start(&options).await?;
    let store = store(&runtime)?;
    let choice = store.choice().await?;
    let summary = match &choice.candidate {
        Some(candidate) => Some(store.summary(candidate).await?),
        None => None,
    };
    let value = json!({
        "configured": choice.configured,
        "current": choice.current,
        "previous": choice.previous,
        "candidate": choice.candidate,
        "shadow": summary,
    });
    answer(json, &value, || {
        let line = |name: &str, release: &Option<Release>| match release {
            Some(release) => format!("{name:<11}{release}"),
            None => format!("{name:<11}none"),
        };
        let mut lines = vec![
            line("current", &choice.current),
            line("previous", &choice.previous),
            line("candidate", &choice.candidate),
            line("configured", &choice.configured),
        ];
        lines.extend(summary.as_ref().map(said));
        lines.join("\n")
    });
    Ok(ExitCode::SUCCESS)
}

async fn shadow(options: Shadow, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let plugins = &runtime.host.parts().plugins;
    let Some(path) = options.plugin else {
        let candidate = plugins.end_trial().await?;
        answer(json, &json!({ "stopped": candidate }), || {
            format!("{candidate} is not tried any more.")
        });
        return Ok(ExitCode::SUCCESS);
    };
    let candidate = plugins.try_out(read_component(&path)?).await?;
    answer(json, &json!({ "candidate": candidate }), || {
        format!(
            "{candidate} follows in the shadow from the next pass on.\n\
             `twinbox plugin status` shows what it decides otherwise; `twinbox plugin promote` lets it take over."
        )
    });
    Ok(ExitCode::SUCCESS)
}

async fn promote(options: Promote, json: bool) -> Outcome {
    let runtime = start(&options.configured).await?;
    let bytes = options.plugin.as_deref().map(read_component).transpose()?;
    let current = runtime.host.parts().plugins.promote(bytes).await?;
    answer(json, &json!({ "current": current }), || {
        format!("{current} takes over with the next pass. `twinbox plugin rollback` takes it back.")
    });
    Ok(ExitCode::SUCCESS)
}

async fn roll_back(options: Configured, json: bool) -> Outcome {
    let runtime = start(&options).await?;
    let current = runtime.host.parts().plugins.roll_back().await?;
    answer(json, &json!({ "current": current }), || {
        format!("{current} runs again from the next pass on.")
    });
    Ok(ExitCode::SUCCESS)
}

fn store(runtime: &Runtime) -> Result<&ReleaseStore, Failure> {
    let store = runtime.host.parts().plugins.store();
    store.ok_or_else(|| ReleaseError::NoCandidate.into())
}

fn said(summary: &ShadowSummary) -> String {
    let mut text = format!(
        "shadow     {} passes: {} the same, {} different, {} failed; {} skipped; {} questions unanswered",
        summary.passes, summary.same, summary.different, summary.failed, summary.skipped, summary.unanswered
    );
    for line in &summary.latest {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}
