//! The component's exports, in its sandbox, with arbitrary arguments in a world of arbitrary answers ([`crate::scripted`]):
//! it answers, within its budget. It never traps, and nothing makes it run on.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use tokio::runtime::Runtime;
use twinbox_host::{
    body::Body,
    contract::{AuditMode, PreviewRange, Subject, Trigger},
    sandbox::{Ended, Limits, PassError, Plugin, Refusal, Sandbox, SandboxConfig},
};

use crate::{
    Choices,
    scripted::{ME, Scripted},
};

/// What a pass in a small world may use. The time is generous, since others share the machine.
pub(crate) const LIMITS: Limits = Limits {
    memory: 64 << 20,
    table_elements: 20_000,
    cpu: Duration::from_secs(10),
    wall: Duration::from_mins(2),
    requests: 300,
    call_data: 128 << 20,
    handles: 10_000,
};

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    run(bytes);
}

/// Runs the target; what its passes did, in all.
pub fn run(bytes: &[u8]) -> Tally {
    runtime().block_on(async {
        let mut tally = Tally::default();
        let world = Scripted::new(bytes);
        let expected = world.decide(|choices| {
            if choices.once_in(4) {
                Some(choices.text())
            } else {
                Some(ME.into())
            }
        });
        let connected = pass(&world).connect(expected, settings(&world));
        answered(connected.await);
        for _ in 0..world.decide(|choices| 2 + choices.below(6)) {
            call(&world, &mut tally).await;
        }
        tally
    })
}

/// What passes did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Messages delivered.
    pub delivered: u32,
    /// Messages excluded.
    pub excluded: u32,
    /// Messages quarantined.
    pub quarantined: u32,
    /// Messages sent.
    pub sent: u32,
    /// Messages not sent.
    pub unsent: u32,
    /// Passes that reported a problem.
    pub problems: u32,
}

async fn call(world: &Arc<Scripted>, tally: &mut Tally) {
    let pass = pass(world);
    match world.decide(|choices| choices.below(10)) {
        0 => answered(pass.validate_settings(world.text()).await),
        1 => answered(pass.audit(AuditMode::Heal, settings(world)).await),
        2 => answered(pass.audit(AuditMode::ReportOnly, settings(world)).await),
        3 => {
            let subject = world.decide(|choices| match choices.below(7) {
                0 => Subject::Message(choices.text()),
                1 => Subject::Message("1002".into()),
                2 => Subject::Contact(choices.text()),
                3 => Subject::MessageId(choices.text()),
                4 => Subject::MessageId("<m1@client.example>".into()),
                5 => Subject::Preview(PreviewRange {
                    since: choices.number(),
                    most: u32::try_from(choices.below(1_000)).unwrap_or_default(),
                }),
                _ => Subject::Contact("ann@client.example".into()),
            });
            answered(pass.explain(subject, settings(world)).await);
        }
        4 => {
            let (recipient, raw, at) =
                world.decide(|choices| (choices.text(), choices.bytes(2_000), choices.number()));
            answered(
                {
                    let size = raw.len() as u64;
                    pass.ingest(recipient, Body::Inline(raw.into()), size, at, settings(world))
                }
                .await,
            );
        }
        5 if world.decide(|choices| choices.once_in(4)) => answered(pass.disconnect().await),
        _ => {
            let ended = pass.run(world.decide(trigger), settings(world)).await;
            if let Ok(report) = &ended.result {
                tally.delivered += report.counts.delivered;
                tally.excluded += report.counts.excluded;
                tally.quarantined += report.counts.quarantined;
                tally.sent += report.counts.sent;
                tally.unsent += report.counts.unsent;
                tally.problems += u32::from(report.problem.is_some());
            }
            answered(ended);
        }
    }
}

fn trigger(choices: &mut Choices<'_>) -> Trigger {
    match choices.below(7) {
        0 => Trigger::Schedule,
        1 => Trigger::Outbound,
        2 => Trigger::CrmChange,
        3 => Trigger::Manual,
        4 => Trigger::Reconnected,
        5 => Trigger::Retract,
        _ => Trigger::Push(choices.text()),
    }
}

fn settings(world: &Scripted) -> String {
    const SETTINGS: &[&str] = &[
        "{\"daily-limit\":1}",
        "{\"quota-table\":\"old\"}",
        "{\"never-sync\":[\"client.example\",\"bob@x.example\"],\"internal-domains\":[]}",
        "{\"never-sync\":[\"@\",7]}",
        "{\"daily-limit\":-1}",
        "{\"daily-limit\":1e9}",
        "null",
        "[",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "\u{0}",
    ];
    world.decide(|choices| match (choices.once_in(4), choices.yes()) {
        (false, _) => String::new(),
        (true, true) => choices.text(),
        (true, false) => choices.pick(SETTINGS).to_owned(),
    })
}

/// Asserts that the component said something, unless the world broke a stream whose end it could not tell.
pub(crate) fn answered<T>(ended: Ended<T>) {
    match ended.result {
        Ok(_) | Err(PassError::Refused(Refusal::BrokenStream)) => {}
        Err(error) => panic!("{error} ({:?})", ended.usage),
    }
}

fn pass(world: &Arc<Scripted>) -> twinbox_host::sandbox::Pass {
    plugin().pass(world.capabilities(), LIMITS)
}

pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime")
    });
    &RUNTIME
}

pub(crate) fn plugin() -> &'static Arc<Plugin> {
    static PLUGIN: LazyLock<Arc<Plugin>> = LazyLock::new(|| load("twinbox.wasm"));
    &PLUGIN
}

/// A component as it was built. Compiled code is kept under `target/`.
pub(crate) fn load(name: &str) -> Arc<Plugin> {
    let target: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let path = target.join("components").join(name);
    assert!(
        path.exists(),
        "{} is absent: `make component` makes it",
        path.display()
    );
    let config = SandboxConfig {
        cache: Some(target.join("fuzz-cache")),
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).expect("a sandbox");
    // A runtime of its own, so that it can be loaded from within another.
    let loading =
        std::thread::spawn(move || runtime_once().block_on(async move { sandbox.load_file(&path).await }));
    loading.join().expect("no panic").expect("a component")
}

fn runtime_once() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
