//! T05: a pass is recorded and replayed bit for bit, and another plugin shows what it would do otherwise.

use gmail_sim::FaultKind;
use scenarios::{ANN, CrmFault, File, ME, Setup, World, bytes_of};
use twinbox_host::{
    contract::AuditMode,
    crm::CrmError,
    trace::{ReadLimits, Trace, replay},
};

/// Every pass of a world, through a file, bit for bit; the traces.
async fn assert_all_replay(world: &World) -> Vec<Trace> {
    let traces = world.traces();
    let plugin = scenarios::plugin().await;
    assert!(!traces.is_empty());
    for (number, trace) in traces.iter().enumerate() {
        let mut file = Vec::new();
        trace.write(&mut file).unwrap();
        let read = Trace::read(&file[..], ReadLimits::default()).unwrap();
        assert!(read == *trace, "pass {number} is not what was written");
        let replayed = replay(&plugin, &read).await;
        let export = trace.header.call.export();
        let replayed = replayed.unwrap_or_else(|error| panic!("pass {number} ({export}): {error}"));
        assert_eq!(replayed.end, trace.end);
    }
    traces
}

#[tokio::test]
async fn t05_a_pass_with_mail_of_all_kinds_replays_bit_for_bit() {
    let mut world = Setup::default()
        .recorded()
        .contact("Bob", &["bob@other.example"])
        .unconnected()
        .await;
    world.connect().await.unwrap();
    for number in 0..30 {
        let mail = world.mail().subject(&format!("Offer {number}"));
        match number % 4 {
            0 => mail.html("<p>Hello <b>Mia</b></p>").arrives(),
            1 => mail.from("stranger@x.example").arrives(),
            2 => mail.from("bob@other.example").cc(ANN).arrives(),
            _ => mail
                .carrying(File::attached("a.bin", "application/zip", bytes_of(40_000)))
                .arrives(),
        };
    }
    world.sync().await;
    world.audit(AuditMode::Heal).await;
    let offer = world.conversation(ANN).await.remove(0);
    let explained = offer.message.key.rsplit('/').next().unwrap().to_owned();
    world
        .explain_all(twinbox_host::contract::Subject::Message(explained))
        .await;
    world.disconnect().await;
    let traces = assert_all_replay(&world).await;
    let exports: Vec<_> = traces.iter().map(|trace| trace.header.call.export()).collect();
    assert_eq!(exports.first(), Some(&"connect"));
    assert!(exports.ends_with(&["audit", "explain", "disconnect"]), "{exports:?}");
}

#[tokio::test]
async fn t05_a_pass_that_sends_and_streams_both_ways_replays_bit_for_bit() {
    let world = Setup::default().recorded().connected().await;
    let film = bytes_of(3 << 20);
    world
        .mail()
        .subject("Film")
        .carrying(File::attached("film.bin", "application/octet-stream", film.clone()))
        .carrying(File::attached("more.bin", "application/octet-stream", bytes_of(700_000)))
        .arrives();
    let letter = world
        .letter(ANN)
        .await
        .carrying(File::attached("film.bin", "application/zip", film))
        .carrying(File::attached("small.bin", "application/zip", bytes_of(9_000)));
    letter.queued().await;
    world.letter(ANN).await.from("nobody@acme.example").queued().await;
    world.sync().await;
    assert_eq!(world.gmail().sent().len(), 1);
    let traces = assert_all_replay(&world).await;
    let text = serde_json::to_string(&traces.iter().map(|trace| &trace.steps).collect::<Vec<_>>()).unwrap();
    for step in ["\"taken\"", "\"taken-all\"", "\"given\"", "\"given-all\""] {
        assert!(text.contains(step), "no {step}");
    }
}

#[tokio::test]
async fn t05_a_pass_with_faults_replays_bit_for_bit() {
    for kind in [
        FaultKind::BackendBefore(503),
        FaultKind::BackendAfter(500),
        FaultKind::DropAfter,
        FaultKind::Html,
        FaultKind::RateLimited,
        FaultKind::RetryAfter(90_000),
        FaultKind::Unauthorized,
    ] {
        for method in ["messages.get", "history.list", "drafts.send", "drafts.create"] {
            let world = Setup::default().recorded().connected().await;
            for number in 0..12 {
                world.mail().subject(&format!("Offer {number}")).arrives();
            }
            world.letter(ANN).await.queued().await;
            world.fault(method, kind);
            world.crm_fault(CrmFault::FailPut {
                after: 1,
                error: CrmError::Unavailable("down".into()),
            });
            world.settle().await;
            assert_all_replay(&world).await;
        }
    }
}

#[tokio::test]
async fn t05_mail_in_the_users_own_name_replays_bit_for_bit() {
    let world = Setup::default().recorded().connected().await;
    let mail = world.mail().from_me().to(ANN).subject("From Gmail");
    mail.is_sent_from_gmail().await;
    world.mail().to(&format!("{ME}, bob@other.example")).arrives();
    world.sync().await;
    world.crm_fault(CrmFault::ForgetPut);
    world.mail().subject("Unclear").arrives();
    world.settle().await;
    assert_all_replay(&world).await;
}
