use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::{
    contract::Trigger,
    sandbox::Limits,
    scope::{ConnectionId, Scope, TenantId, UserId},
    trace::{CONTRACT, Call, Content, Redaction, Release},
};

fn trace() -> Trace {
    let step = |call| Step::Called {
        call,
        function: "random.bytes".into(),
        arguments: json!({ "length": 2 }),
        result: json!({ "ok": Content::value(b"\xff\x00") }),
    };
    Trace {
        header: Header {
            format: FORMAT.into(),
            version: VERSION,
            contract: CONTRACT.into(),
            plugin: Release {
                name: "mail".into(),
                version: "1.0.0".into(),
                digest: "00".into(),
            },
            scope: Scope {
                tenant: TenantId::new("t"),
                user: UserId::new("u"),
                connection: ConnectionId::new("c"),
                account: "a".into(),
            },
            limits: Limits::default(),
            call: Call::Run {
                trigger: Trigger::Push("7".into()),
                settings: String::new(),
            },
            recorded_at: 1,
            redaction: Redaction::None,
        },
        steps: vec![
            step(0),
            Step::Given {
                call: 0,
                waited: true,
                part: Content(Bytes::from_static(b"\x80text")),
            },
        ],
        end: End::Cut { kind: "late".into() },
    }
}

fn written(trace: &Trace) -> Vec<u8> {
    let mut file = Vec::new();
    trace.write(&mut file).unwrap();
    file
}

fn packed(text: &str) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(text.as_bytes()).unwrap();
    packed.finish().unwrap()
}

fn read(file: &[u8]) -> Result<Trace, ReadError> {
    Trace::read(file, ReadLimits::default())
}

#[test]
fn t05_a_trace_comes_back_as_it_was_written() {
    assert_eq!(read(&written(&trace())).unwrap(), trace());
}

#[test]
fn t05_a_file_that_is_cut_off_anywhere_is_refused() {
    let file = written(&trace());
    for length in 0..file.len() {
        let error = read(&file[..length]).unwrap_err();
        assert!(
            matches!(
                error,
                ReadError::Damaged(_) | ReadError::Truncated { .. } | ReadError::Line { .. }
            ),
            "{length}: {error}"
        );
    }
}

#[test]
fn t05_a_file_with_a_changed_byte_is_refused_or_the_same() {
    let file = written(&trace());
    for place in 0..file.len() {
        let mut other = file.clone();
        other[place] ^= 0x10;
        // Some bytes of a gzip header say nothing: its time, its system.
        if let Ok(read) = read(&other) {
            assert_eq!(read, trace(), "{place}");
        }
    }
}

#[test]
fn t05_a_trace_of_another_version_is_refused_by_its_number() {
    let header = json!({ "format": FORMAT, "version": 7, "new": true });
    let error = read(&packed(&format!("{header}\n"))).unwrap_err();
    assert!(matches!(error, ReadError::Version { found: 7 }), "{error}");
}

#[test]
fn t05_what_is_no_trace_is_refused() {
    for file in [
        &b""[..],
        b"twinbox",
        &packed(""),
        &packed("{}\n"),
        &packed("[1]\n"),
        &packed("no\n"),
    ] {
        read(file).unwrap_err();
    }
    let whole: String = {
        let mut text = String::new();
        GzDecoder::new(&written(&trace())[..])
            .read_to_string(&mut text)
            .unwrap();
        text
    };
    let without_end = whole.rsplit_once("{\"end\"").unwrap().0;
    let error = read(&packed(without_end)).unwrap_err();
    assert!(matches!(error, ReadError::Truncated { steps: 2 }), "{error}");
    let error = read(&packed(&whole.replace("\"called\"", "\"unheard-of\""))).unwrap_err();
    assert!(matches!(error, ReadError::Line { line: 2, .. }), "{error}");
    read(&packed(&format!("{whole}{{}}\n"))).unwrap_err();
}

#[test]
fn t05_a_file_that_unpacks_to_too_much_is_refused_before_it_is_kept() {
    let limits = ReadLimits {
        bytes: 1 << 20,
        line: 1 << 16,
        steps: 10,
    };
    let header = serde_json::to_string(&trace().header).unwrap();
    let long_line = packed(&format!("{header}\n{}\n", " ".repeat(1 << 19)));
    let many_lines = packed(&format!(
        "{header}\n{}",
        "{\"step\":\"dropped\",\"call\":1}\n".repeat(50)
    ));
    let much = packed(&format!(
        "{header}\n{}",
        format!("{}\n", " ".repeat(60_000)).repeat(40)
    ));
    for (file, what) in [(long_line, "bytes of a line"), (many_lines, "steps")] {
        assert!(file.len() < 4_096);
        let error = Trace::read(&file[..], limits).unwrap_err();
        assert!(
            matches!(error, ReadError::OverLimit(over) if over == what),
            "{error}"
        );
    }
    Trace::read(&much[..], limits).unwrap_err();
}
