//! A component that does what a test tells it to: the sandbox's hostile guest.
//!
//! `run` takes its settings as a command line, such as `spin` or `http https://example.com/`, and
//! answers in words through `report.problem`. Everything it may do wrong it does on purpose.
#![cfg(target_arch = "wasm32")]

mod arbitrary;
mod hostile;

#[allow(unsafe_code, clippy::all, clippy::pedantic, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "mail-sync", generate_all });
}

use bindings::{
    exports::twinbox::sync::sync::{Guest, IngestedMail},
    twinbox::sync::{
        clock, crm,
        http::{self, Body, Credential, Request, Response, Streamed},
        messages::{Attachment, Disposition, PutOutcome},
        oauth,
        passes::{
            AuditMode, AuditReport, Budget, Connected, Counts, Explanation, Outcome, PluginManifest, Report,
            SettingsError, Subject, Trigger,
        },
        quota, random, storage,
        types::Problem,
    },
    wit_stream,
};

struct Probe;

#[allow(unsafe_code, reason = "generated")]
mod exported {
    use super::Probe;

    super::bindings::export!(Probe with_types_in super::bindings);
}

impl Guest for Probe {
    fn manifest() -> PluginManifest {
        PluginManifest {
            name: "probe".into(),
            version: "0.1.0".into(),
            provider: "None".into(),
            description: "Does what a test tells it to.".into(),
            origins: vec![
                "https://mail.example".into(),
                "https://other.example".into(),
                "https://inside.example".into(),
            ],
            credential_origins: vec!["https://mail.example".into()],
            scopes: vec!["mail".into()],
            optional_scopes: Vec::new(),
            budget: Budget {
                memory: 64 << 20,
                cpu: 10_000,
                wall: 60_000,
                requests: 100,
            },
            settings_schema: "{}".into(),
        }
    }

    fn validate_settings(settings: String) -> Result<(), Vec<SettingsError>> {
        if settings == "invalid" {
            return Err(vec![SettingsError {
                pointer: "/".into(),
                message: "it says so".into(),
            }]);
        }
        Ok(())
    }

    async fn connect(expected: Option<String>, _settings: String) -> Result<Connected, Problem> {
        Ok(Connected {
            address: expected.unwrap_or_default(),
            since: clock::now(),
        })
    }

    async fn run(_trigger: Trigger, settings: String) -> Report {
        let words: Vec<&str> = settings.split_whitespace().collect();
        let said = obey(&words).await;
        Report {
            counts: no_counts(),
            problem: Some(Problem::Other(said)),
            next: None,
            current_at: None,
            watched_until: None,
        }
    }

    async fn ingest(mail: IngestedMail, _settings: String) -> Result<Outcome, Problem> {
        let (size, _) = drain(mail.raw).await;
        Ok(Outcome::Delivered(size.to_string()))
    }

    async fn audit(_mode: AuditMode, _settings: String) -> Result<AuditReport, Problem> {
        Err(Problem::Other("the probe has no ledger".into()))
    }

    async fn explain(_subject: Subject, _settings: String) -> Result<Vec<Explanation>, Problem> {
        Ok(Vec::new())
    }

    async fn disconnect() -> Result<(), Problem> {
        oauth::release(Vec::new())
            .await
            .map_err(|error| Problem::Other(format!("{error:?}")))
    }
}

async fn obey(words: &[&str]) -> String {
    match words {
        ["nop"] => "done".into(),
        ["spin"] => hostile::spin(),
        ["allocate"] => hostile::allocate(),
        ["recurse"] => hostile::recurse(1).to_string(),
        ["recurse-buffers"] => hostile::recurse_with_buffers(1).to_string(),
        ["stray"] => hostile::stray(),
        ["panic"] => panic!("told to"),
        ["hang"] => {
            clock::sleep(u64::MAX / 2).await;
            "woken".into()
        }
        ["log-flood", lines, bytes] => hostile::log_flood(number(lines), number(bytes)),
        ["ask-the-time"] => hostile::ask_the_time(),
        ["read-without-end", key] => hostile::read_without_end(key).await,
        ["hoard-streams"] => hostile::hoard_streams(),
        ["hoard-waits"] => hostile::hoard_waits().await,
        ["hoard-requests", count, url] => hostile::hoard_requests(number(count), url).await,
        ["arbitrary", hex] => arbitrary::calls(unhex(hex)).await,
        ["random", length] => random::bytes(u32::try_from(number(length)).unwrap_or(u32::MAX))
            .len()
            .to_string(),
        ["grant"] => format!("{:?}", oauth::grant().await),
        ["quota", units] => format!(
            "{:?}",
            quota::acquire(u32::try_from(number(units)).unwrap_or(0), quota::Class::Live).await
        ),
        ["http", url] => answer(http::send(get(url)).await),
        ["http-mailbox", url] => answer(
            http::send(Request {
                credential: Credential::Mailbox,
                ..get(url)
            })
            .await,
        ),
        ["follow", url] => hostile::follow(url).await,
        ["forge", name, value, url] => hostile::forge(&unhex(name), &unhex(value), url).await,
        ["http-header", name, url] => hostile::forge(name.as_bytes(), b"x", url).await,
        ["requests", count, url] => hostile::requests(number(count), Credential::None, url).await,
        ["requests-mailbox", count, url] => hostile::requests(number(count), Credential::Mailbox, url).await,
        ["post", bytes, url] => {
            let body = Body::Inline(vec![7; number(bytes)]);
            answer(
                http::send(Request {
                    method: "POST".into(),
                    body,
                    ..get(url)
                })
                .await,
            )
        }
        ["abandon", url] => hostile::abandon(url).await,
        ["store", key, value] => store(key, value).await,
        ["read", key] => read(key).await,
        ["echo-stream", url] => echo_stream(url).await,
        ["drop-stream", url] => drop_stream(url).await,
        ["read-stream", url] => read_stream(url).await,
        ["write-stream", bytes, declared] => write_stream(number(bytes), number(declared)).await,
        other => format!("unknown command {other:?}"),
    }
}

async fn store(key: &str, value: &str) -> String {
    let held = storage::get(vec![key.into()]).await;
    let version = held
        .ok()
        .and_then(|entries| entries.into_iter().next().flatten())
        .map(|entry| entry.version);
    let expectations = vec![storage::Expectation {
        key: key.into(),
        version,
    }];
    let changes = vec![storage::Change {
        key: key.into(),
        value: Some(value.as_bytes().to_vec()),
    }];
    match storage::commit(expectations, changes).await {
        Ok(()) => "stored".into(),
        Err(error) => format!("{error:?}"),
    }
}

async fn read(key: &str) -> String {
    match storage::get(vec![key.into()]).await {
        Ok(entries) => match entries.into_iter().next().flatten() {
            Some(entry) => String::from_utf8_lossy(&entry.value).into_owned(),
            None => "nothing".into(),
        },
        Err(error) => format!("{error:?}"),
    }
}

/// From an HTTP answer to an attachment, never whole in memory.
async fn echo_stream(url: &str) -> String {
    match http::send(streamed(url)).await {
        Ok(Response {
            body: Body::Streamed(content),
            ..
        }) => {
            let size = content.length.unwrap_or(0);
            put(size, Body::Streamed(content)).await
        }
        Ok(other) => format!("not streamed: {:?}", other.status),
        Err(failure) => format!("{failure:?}"),
    }
}

async fn drop_stream(url: &str) -> String {
    match http::send(streamed(url)).await {
        Ok(response) => {
            drop(response);
            "dropped".into()
        }
        Err(failure) => format!("{failure:?}"),
    }
}

async fn read_stream(url: &str) -> String {
    match http::send(streamed(url)).await {
        Ok(response) => {
            let (size, declared) = drain(response.body).await;
            format!("{size} of {declared:?}")
        }
        Err(failure) => format!("{failure:?}"),
    }
}

async fn write_stream(bytes: usize, declared: usize) -> String {
    let (mut writer, reader) = wit_stream::new::<u8>();
    wit_bindgen::spawn_local(async move {
        let mut left = bytes;
        while left > 0 {
            let chunk = left.min(64 << 10);
            let unsent = writer.write_all(vec![3; chunk]).await;
            if !unsent.is_empty() {
                return;
            }
            left -= chunk;
        }
    });
    let length = Some(declared as u64);
    put(
        declared as u64,
        Body::Streamed(Streamed {
            bytes: reader,
            length,
        }),
    )
    .await
}

async fn put(size: u64, content: Body) -> String {
    let attachment = Attachment {
        part: "1".into(),
        name: "a.bin".into(),
        media_type: "application/octet-stream".into(),
        size,
        content_id: None,
        disposition: Disposition::Attached,
    };
    match crm::put_attachment("key".into(), attachment, content).await {
        Ok(PutOutcome::Stored(id)) => format!("stored {id}"),
        other => format!("{other:?}"),
    }
}

/// How many bytes came, and how many were announced.
async fn drain(body: Body) -> (usize, Option<u64>) {
    match body {
        Body::Empty => (0, Some(0)),
        Body::Inline(bytes) => (bytes.len(), Some(bytes.len() as u64)),
        Body::Streamed(Streamed { mut bytes, length }) => {
            let mut size = 0;
            loop {
                let (status, chunk) = bytes.read(Vec::with_capacity(64 << 10)).await;
                size += chunk.len();
                if !matches!(status, wit_bindgen::StreamResult::Complete(_)) {
                    return (size, length);
                }
            }
        }
    }
}

fn get(url: &str) -> Request {
    Request {
        method: "GET".into(),
        url: url.into(),
        headers: Vec::new(),
        body: Body::Empty,
        credential: Credential::None,
        inline_limit: 1 << 20,
    }
}

fn streamed(url: &str) -> Request {
    Request {
        inline_limit: 0,
        ..get(url)
    }
}

fn answer(result: Result<Response, http::Failure>) -> String {
    match result {
        Ok(response) => {
            let names: Vec<&str> = response.headers.iter().map(|field| field.name.as_str()).collect();
            let text = match &response.body {
                Body::Inline(bytes) => String::from_utf8_lossy(bytes).into_owned(),
                Body::Empty => String::new(),
                Body::Streamed(_) => "a stream".into(),
            };
            format!("{} [{}] {text}", response.status, names.join(","))
        }
        Err(failure) => format!("{failure:?}"),
    }
}

fn number(word: &str) -> usize {
    word.parse().unwrap_or(0)
}

/// Bytes written as pairs of hexadecimal digits; a `.` stands for none.
fn unhex(word: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0);
    word.trim_matches('.')
        .as_bytes()
        .chunks(2)
        .filter_map(|pair| match pair {
            [high, low] => u8::try_from(digit(*high) << 4 | digit(*low)).ok(),
            _ => None,
        })
        .collect()
}

fn no_counts() -> Counts {
    Counts {
        seen: 0,
        delivered: 0,
        excluded: 0,
        gone: 0,
        quarantined: 0,
        sent: 0,
        unsent: 0,
        updates_in: 0,
        updates_out: 0,
        retracted: 0,
        requests: 0,
        units: 0,
    }
}
