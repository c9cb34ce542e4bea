//! What it costs to have the component and to have an instance of it.

use std::time::{Duration, Instant};

use proofs::{programs::component, world};
use twinbox_host::sandbox::{Plugin, Sandbox, SandboxConfig};

use crate::{Figure, Limit, quantile};

const LOADS: usize = 31;
const CALLS: usize = 20_000;
/// Instances before memory is looked at, and after that.
const WARM_UP: usize = 10_000;
const FRESH: usize = 100_000;
const MEBIBYTE: f64 = 1_048_576.0;

pub(crate) fn component_size() -> Figure {
    let size = std::fs::metadata(component()).unwrap().len();
    Figure {
        name: "component-size",
        value: size as f64 / MEBIBYTE,
        unit: "MiB",
        limit: Limit::AtMost(2.0),
    }
}

/// Compiling the component, and taking it from the cache, as a new process would.
pub(crate) async fn load(show: &mut impl FnMut(Figure)) {
    let folder = tempfile::tempdir().unwrap();
    let bytes = std::fs::read(component()).unwrap();
    let load = async || {
        let config = SandboxConfig {
            cache: Some(folder.path().to_owned()),
            ..SandboxConfig::default()
        };
        let sandbox = Sandbox::new(config).unwrap();
        let bytes = bytes.clone();
        let began = Instant::now();
        let plugin = sandbox.load(bytes).await.unwrap();
        let took = began.elapsed();
        drop(plugin);
        milliseconds(took)
    };
    show(Figure {
        name: "component-compile",
        value: load().await,
        unit: "ms",
        limit: Limit::None,
    });
    let mut cached = Vec::new();
    for _ in 0..LOADS {
        cached.push(load().await);
    }
    show(Figure {
        name: "component-load-cached-p50",
        value: quantile(&mut cached, 0.5),
        unit: "ms",
        limit: Limit::AtMost(5.0),
    });
}

/// A fresh instance for each call, and what is left in memory after very many.
pub(crate) async fn instances(show: &mut impl FnMut(Figure)) {
    let plugin = world::plugin().await;
    for _ in 0..WARM_UP {
        call(&plugin).await;
    }
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let began = Instant::now();
        call(&plugin).await;
        times.push(microseconds(began.elapsed()));
    }
    show(Figure {
        name: "instantiate-call-drop-p50",
        value: quantile(&mut times, 0.5),
        unit: "us",
        limit: Limit::AtMost(25.0),
    });
    show(Figure {
        name: "instantiate-call-drop-p99",
        value: quantile(&mut times, 0.99),
        unit: "us",
        limit: Limit::None,
    });
    drop(times);
    let before = resident(std::process::id());
    for _ in 0..FRESH {
        call(&plugin).await;
    }
    show(Figure {
        name: "rss-growth-100000-instances",
        value: (resident(std::process::id()) - before) / MEBIBYTE,
        unit: "MiB",
        limit: Limit::AtMost(1.0),
    });
}

async fn call(plugin: &Plugin) {
    let ended = plugin.idle_pass().validate_settings(String::new()).await;
    ended.result.unwrap().unwrap();
}

/// Resident memory of a process, bytes (proc(5)).
pub(crate) fn resident(process: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kibibytes * 1_024.0
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn microseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}
