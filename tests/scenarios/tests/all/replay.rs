//! T05: a pass is recorded and replayed bit for bit, and another plugin shows what it would do otherwise.

use gmail_sim::FaultKind;
use scenarios::{ANN, CrmFault, File, ME, Setup, World, bytes_of, replaced};
use twinbox_host::{
    contract::AuditMode,
    crm::CrmError,
    trace::{
        Call, Difference, Divergence, End, Kind, ReadLimits, RedactError, Redaction, Step, Trace, redact,
        rehearse, replay,
    },
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
    assert!(
        exports.ends_with(&["audit", "explain", "disconnect"]),
        "{exports:?}"
    );
}

#[tokio::test]
async fn t05_a_pass_that_sends_and_streams_both_ways_replays_bit_for_bit() {
    let world = Setup::default().recorded().connected().await;
    let film = bytes_of(3 << 20);
    world
        .mail()
        .subject("Film")
        .carrying(File::attached(
            "film.bin",
            "application/octet-stream",
            film.clone(),
        ))
        .carrying(File::attached(
            "more.bin",
            "application/octet-stream",
            bytes_of(700_000),
        ))
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

#[tokio::test]
async fn t05_no_token_is_in_a_trace() {
    let mut world = Setup::default().recorded().unconnected().await;
    world.connect().await.unwrap();
    world.mail().subject("Offer").arrives();
    world.letter(ANN).await.queued().await;
    world.sync().await;
    world.sim().expire_access_tokens(ME);
    world.mail().subject("Another").arrives();
    world.fault("messages.get", FaultKind::Unauthorized);
    world.settle().await;
    world.disconnect().await;
    let tokens = world.tokens();
    assert!(tokens.len() > 1, "a token was refreshed");
    for trace in world.traces() {
        let text = format!("{trace:?}{}", serde_json::to_string(&trace.steps).unwrap());
        for token in &tokens {
            assert!(!text.contains(token.as_str()));
        }
        assert!(!text.contains("ya29.") && !text.to_lowercase().contains("bearer "));
    }
}

/// The trace of the only pass in which mail was delivered.
fn pass_with_mail(world: &World) -> Trace {
    let mut traces = world.traces();
    traces.retain(|trace| {
        let put =
            |step: &Step| matches!(step, Step::Asked { function, .. } if function == "crm.put-messages");
        trace.steps.iter().any(put)
    });
    assert_eq!(traces.len(), 1);
    traces.remove(0)
}

async fn pass_with_a_picture_and_a_letter() -> Trace {
    let world = Setup::default().recorded().connected().await;
    world
        .mail()
        .subject("Secret plan")
        .text("The secret plan of Ann.")
        .html("<p>The secret plan<img src=\"https://pictures.example/secret.png\"></p>")
        .carrying(File::attached("secret.pdf", "application/pdf", bytes_of(40_000)))
        .arrives();
    let film = File::attached("secret film.bin", "application/octet-stream", bytes_of(3 << 20));
    world.mail().subject("Secret film").carrying(film).arrives();
    world
        .mail()
        .from("stranger@x.example")
        .subject("Secret too")
        .arrives();
    world
        .letter(ANN)
        .await
        .subject("Secret letter")
        .text("Secretly, Mia")
        .queued()
        .await;
    world.sync().await;
    assert_eq!(world.gmail().sent().len(), 1);
    pass_with_mail(&world)
}

#[tokio::test]
async fn t05_a_changed_input_shows_where_the_pass_first_differs() {
    let mut trace = pass_with_a_picture_and_a_letter().await;
    let plugin = scenarios::plugin().await;
    replay(&plugin, &trace).await.unwrap();
    for step in &mut trace.steps {
        if let Step::Answered { result, .. } = step
            && result.to_string().contains("\"assigned_user\"")
        {
            *result = serde_json::json!({ "ok": [] });
        }
    }
    let divergence = replay(&plugin, &trace).await.unwrap_err();
    assert!(matches!(divergence, Divergence::Question { .. }), "{divergence}");
}

#[tokio::test]
async fn t05_a_changed_question_or_end_is_a_difference() {
    let trace = pass_with_a_picture_and_a_letter().await;
    let plugin = scenarios::plugin().await;
    let mut other = trace.clone();
    for step in &mut other.steps {
        if let Step::Asked {
            function, arguments, ..
        } = step
            && function == "crm.put-messages"
        {
            arguments["messages"][0]["subject"] = "Another".into();
        }
    }
    let divergence = replay(&plugin, &other).await.unwrap_err();
    let text = divergence.to_string();
    assert!(text.contains("Another") && text.contains("Secret"), "{text}");

    let mut other = trace.clone();
    other.end = End::Returned {
        value: serde_json::json!({ "ok": null }),
    };
    assert!(matches!(
        replay(&plugin, &other).await,
        Err(Divergence::End { .. })
    ));

    let mut other = trace.clone();
    other.steps.truncate(trace.steps.len() / 2);
    replay(&plugin, &other).await.unwrap_err();

    let mut other = trace.clone();
    for step in &mut other.steps {
        if let Step::Taken { sha256, .. } = step {
            "0".clone_into(sha256);
            break;
        }
    }
    assert!(matches!(
        replay(&plugin, &other).await,
        Err(Divergence::Body { .. })
    ));
}

#[tokio::test]
async fn t05_a_version_that_decides_the_same_shows_no_difference() {
    let trace = pass_with_a_picture_and_a_letter().await;
    let other = replaced(
        &scenarios::bytes().await,
        "Keeps a Gmail mailbox",
        "Keeps the one mailbox",
    );
    let plugin = scenarios::load(other).await;
    assert_ne!(plugin.digest(), trace.header.plugin.digest);
    let rehearsal = rehearse(&plugin, &trace, None).await.unwrap();
    assert_eq!(rehearsal.differences, []);
    assert_eq!(rehearsal.unanswered, []);
    // And what it did is a pass that replays.
    replay(&plugin, &rehearsal.trace).await.unwrap();
}

#[tokio::test]
async fn t05_another_version_shows_its_different_decisions() {
    let trace = pass_with_a_picture_and_a_letter().await;
    let other = replaced(&scenarios::bytes().await, "data-remote-src", "data-elsewhere-");
    let plugin = scenarios::load(other).await;
    let rehearsal = rehearse(&plugin, &trace, None).await.unwrap();
    let shown: Vec<_> = rehearsal
        .differences
        .iter()
        .map(|difference| (difference.kind, difference.member.as_str()))
        .collect();
    assert_eq!(shown, [(Kind::Message, "/content/html")]);
    let after = rehearsal.differences[0].after.as_ref().unwrap();
    assert!(after.as_str().unwrap().contains("data-elsewhere-"));
}

#[tokio::test]
async fn t05_other_settings_show_their_different_decisions() {
    let mut trace = pass_with_a_picture_and_a_letter().await;
    let Call::Run { settings, .. } = &mut trace.header.call else {
        panic!("not a run");
    };
    *settings = r#"{"colour": "blue"}"#.into();
    let rehearsal = rehearse(&*scenarios::plugin().await, &trace, None).await.unwrap();
    let lost: Vec<_> = rehearsal
        .differences
        .iter()
        .filter(|difference| difference.after.is_none())
        .map(|difference| difference.kind)
        .collect();
    for kind in [Kind::Message, Kind::Row, Kind::Outbound, Kind::Request] {
        assert!(lost.contains(&kind), "{kind:?}");
    }
    let why =
        |difference: &Difference| difference.kind == Kind::End && difference.to_string().contains("colour");
    assert!(rehearsal.differences.iter().any(why));
}

#[tokio::test]
async fn t05_a_redacted_trace_says_nothing_and_still_replays() {
    let trace = pass_with_a_picture_and_a_letter().await;
    let plugin = scenarios::plugin().await;
    let redacted = redact(&plugin, &trace).await.unwrap();
    replay(&plugin, &redacted).await.unwrap();
    assert_eq!(redacted.header.redaction, Redaction::Bodies);
    assert_eq!(redacted.end, trace.end, "the same was done");
    assert_eq!(functions(&redacted), functions(&trace), "in the same order");
    let text = format!(
        "{:?}{}",
        redacted.header,
        serde_json::to_string(&redacted.steps).unwrap()
    );
    let raw = encoded_content(&text);
    for word in [
        "Secret",
        "secret",
        "Secretly",
        "stranger@",
        "ann@",
        "mia@",
        "Mia Meyer",
    ] {
        assert!(!text.contains(word), "{word} is there");
        assert!(!raw.contains(word), "{word} is there, encoded");
    }
    for kept in [
        "@client.example",
        "@acme.example",
        "text/html",
        "application/pdf",
        "Message-ID",
    ] {
        assert!(text.contains(kept) || raw.contains(kept), "{kept} is gone");
    }
    let other = replaced(
        &scenarios::bytes().await,
        "Keeps a Gmail mailbox",
        "Keeps the one mailbox",
    );
    let other = scenarios::load(other).await;
    assert!(matches!(
        redact(&other, &trace).await,
        Err(RedactError::OtherComponent { .. })
    ));
}

fn functions(trace: &Trace) -> Vec<&str> {
    trace
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Asked { function, .. } | Step::Called { function, .. } => Some(function.as_str()),
            _ => None,
        })
        .collect()
}

/// Everything that is in base64 in a text, decoded.
fn encoded_content(text: &str) -> String {
    use base64::{
        Engine, alphabet,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    let lenient = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let engine = GeneralPurpose::new(&alphabet::URL_SAFE, lenient);
    let is_digit = |character: char| character.is_ascii_alphanumeric() || "-_+/".contains(character);
    let mut decoded = String::new();
    for run in text
        .split(|character| !is_digit(character))
        .filter(|run| run.len() >= 16)
    {
        let run = run.replace('+', "-").replace('/', "_");
        if let Ok(bytes) = engine.decode(run.as_bytes()) {
            decoded.push_str(&String::from_utf8_lossy(&bytes));
            decoded.push(' ');
        }
    }
    decoded
}
