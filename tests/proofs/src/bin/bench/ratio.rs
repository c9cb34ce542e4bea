//! The component's CPU time beside that of the same code built natively, on the same input: one pass
//! over real mail, all of it from contacts, so that all of it is parsed and sanitised. Runs alternate and
//! the least of many counts, so that whatever else the machine does hits both.

use std::{sync::Arc, time::Duration};

use proofs::{mail, world};
use twinbox_host::{
    capability::Capabilities,
    clock::SystemClock,
    contract::Trigger,
    quota::Unmetered,
    random::SeededRandom,
    sandbox::{Limits, Pass, Plugin},
    scope::{ConnectionId, Scope, TenantId, UserId},
    sharing::Solo,
    store::Lease,
};

use crate::{
    Figure, Limit,
    memory::{MAILBOX, Memory},
    native,
};

const MESSAGES: usize = 300;
const ROUNDS: usize = 30;

pub(crate) async fn compare(show: &mut impl FnMut(Figure)) {
    let mut messages = mail::real();
    if messages.is_empty() {
        messages = mail::generated(MESSAGES, 25);
    }
    messages.truncate(MESSAGES);
    let contacts: Vec<String> = (0..25)
        .map(|number| format!("contact{number}@known.example"))
        .collect();
    let memory = Memory::new(&contacts);
    let plugin = world::plugin().await;
    pass(&plugin, &memory)
        .connect(None, String::new())
        .await
        .result
        .unwrap()
        .unwrap();
    for (number, raw) in messages.iter().enumerate() {
        memory.arrive(&mail::sent_by(raw, &contacts[number % contacts.len()]));
    }
    let rows = memory.rows();
    let (mut least_wasm, mut least_native) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        memory.reset(&rows);
        let ended = pass(&plugin, &memory).run(Trigger::Manual, String::new()).await;
        let report = ended.result.unwrap();
        assert_eq!(report.problem, None);
        assert_eq!(report.counts.delivered as usize, messages.len());
        least_wasm = least_wasm.min(ended.usage.cpu);
        let by_wasm = memory.was_put();

        memory.reset(&rows);
        let (report, took) = native::run(&memory).await;
        assert_eq!(report.problem, None);
        assert_eq!(report.counts.delivered as usize, messages.len());
        least_native = least_native.min(took);
        if round == 0 {
            assert!(by_wasm == memory.was_put(), "both give the CRM the same");
        }
    }
    for (name, took) in [
        ("cpu-300-messages-wasm", least_wasm),
        ("cpu-300-messages-native", least_native),
    ] {
        show(Figure {
            name,
            value: took.as_secs_f64() * 1e3,
            unit: "ms",
            limit: Limit::None,
        });
    }
    show(Figure {
        name: "cpu-wasm-over-native",
        value: least_wasm.as_secs_f64() / least_native.as_secs_f64(),
        unit: "x",
        limit: Limit::AtMost(3.2),
    });
}

fn pass(plugin: &Plugin, memory: &Arc<Memory>) -> Pass {
    let scope = Scope {
        tenant: TenantId::new("t"),
        user: UserId::new("u"),
        connection: ConnectionId::new("c"),
        account: "account".into(),
    };
    let lease = Lease {
        connection: scope.connection.clone(),
        fence: 1,
    };
    let capabilities = Capabilities {
        store: memory.clone(),
        vault: Arc::new(world::OneGrant(world::grant(MAILBOX))),
        crm: memory.clone(),
        quota: Arc::new(Unmetered::new(Arc::new(SystemClock))),
        sharing: Arc::new(Solo),
        clock: Arc::new(SystemClock),
        random: Arc::new(SeededRandom::new(1)),
        http: memory.clone(),
        ..Capabilities::denying(scope, lease)
    };
    plugin.pass(capabilities, Limits::default())
}
