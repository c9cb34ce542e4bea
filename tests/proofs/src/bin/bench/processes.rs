//! Whole processes: how fast the demo syncs real mail, and what it holds when nothing happens.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use proofs::{
    mail,
    programs::{component, program},
};
use serde_json::Value;

use crate::{Figure, Limit, quantile, start::resident};

const RUNS: usize = 3;

/// The 1,000 real messages from an empty mailbox to the report, without waiting for quota.
pub(crate) fn thousand_messages(show: &mut impl FnMut(Figure)) {
    let generated = tempfile::tempdir().unwrap();
    let folder = mail::real_folder().unwrap_or_else(|| {
        for (number, raw) in mail::generated(1_000, 100).iter().enumerate() {
            std::fs::write(generated.path().join(format!("{number:04}.eml")), raw).unwrap();
        }
        generated.path().to_owned()
    });
    let mut rates = Vec::new();
    for _ in 0..RUNS {
        let data = tempfile::tempdir().unwrap();
        let output = demo(data.path())
            .args(["--once", "--json", "--contacts-from-mail", "25", "--mail"])
            .arg(&folder)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["messages"]["missing"], 0);
        let total = report["messages"]["total"].as_f64().unwrap();
        rates.push(total / report["seconds"].as_f64().unwrap());
    }
    show(Figure {
        name: "sync-1000-messages-p50",
        value: quantile(&mut rates, 0.5),
        unit: "messages/s",
        limit: Limit::AtLeast(300.0),
    });
}

/// Resident memory of the demo, host and simulator and pages in one process, some seconds after its
/// start with the component in the cache.
pub(crate) fn idle(show: &mut impl FnMut(Figure)) {
    let data = tempfile::tempdir().unwrap();
    drop(Idle::start(data.path()));
    let idle = Idle::start(data.path());
    show(Figure {
        name: "rss-idle",
        value: resident(idle.0.id()) / 1_048_576.0,
        unit: "MiB",
        limit: Limit::AtMost(60.0),
    });
}

struct Idle(Child);

impl Idle {
    fn start(data: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let child = demo(data)
            .args(["--every", "3600", "--listen", &format!("127.0.0.1:{port}")])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut idle = Self(child);
        std::thread::sleep(Duration::from_secs(6));
        assert!(idle.0.try_wait().unwrap().is_none(), "the demo has ended");
        idle
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn demo(data: &Path) -> Command {
    let mut command = Command::new(program("twinbox"));
    command
        .arg("demo")
        .arg("--plugin")
        .arg(component())
        .arg("--data")
        .arg(data);
    command
}
