//! Sessions of other servers, and of whoever says to be one, with the listener for BCC addresses (S18).
//!
//! Whatever comes: the listener does not panic and comes to an end, each of its answers is one of SMTP's, it never lets
//! anybody begin a message that is not for a known address, it acknowledges exactly what it has written down, and what
//! that is has the lines that were transmitted and no others. Nothing of an earlier session is in a later one.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, LazyLock},
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use twinbox_host::{
    Database,
    clock::SystemClock,
    scope::{ConnectionId, Scope, TenantId, UserId},
    smtp::{BccAddresses, Listener, ListenerLimits, Malformed, Spool, unstuffed},
    store::{Announced, Connection, ConnectionStatus, Put, Registry, SqliteStore, Standing},
};

use crate::{Choices, exports::runtime};

/// The largest message of these sessions, bytes.
const LARGEST: u64 = 3_000;
/// Recipients of one mail.
const RECIPIENTS: usize = 2;
/// Bytes that are on their way to the other side at once: more than a session can say.
const PIPE: usize = 1 << 20;

/// Runs the target on a fuzzer's bytes.
pub fn target(bytes: &[u8]) {
    run(bytes);
}

/// The same; how many mails were taken.
pub fn run(bytes: &[u8]) -> usize {
    check_lines(bytes);
    let mut choices = Choices::new(bytes);
    let post = &*POST;
    let mut said = Vec::new();
    while !choices.is_over() && said.len() < 8_000 {
        say(&mut choices, &post.address, &mut said);
    }
    let answers = runtime().block_on(async { post.hear(&said).await });
    check_answers(&answers);
    let acknowledged = acknowledged(&answers);
    let taken = runtime().block_on(async { post.take().await });
    assert_eq!(taken.len(), acknowledged, "{answers:?}");
    let is_named = String::from_utf8_lossy(&said)
        .to_ascii_lowercase()
        .contains(&post.address);
    assert!(is_named || taken.is_empty(), "nobody named the address");
    for mail in &taken {
        check_mail(mail, &post.address);
    }
    taken.len()
}

/// What the rules by which a message ends make of any bytes.
fn check_lines(bytes: &[u8]) {
    match unstuffed(bytes) {
        Ok(Some(ended)) => {
            assert!(ended.message.len() + ended.rest.len() < bytes.len());
            assert!(bytes.ends_with(&ended.rest), "what follows stays as it is");
            assert!(ended.message.is_empty() || ended.message.ends_with(b"\r\n"));
            assert!(!has_bare_line_end(&ended.message));
        }
        Ok(None) => assert!(!bytes.windows(5).any(|end| end == b"\r\n.\r\n")),
        Err(Malformed::BareLineEnd) => assert!(has_bare_line_end(bytes)),
        Err(Malformed::LineTooLong) => {}
    }
    // Whatever lines there are come back from what they are transmitted as.
    let lines: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let (mut message, mut transmitted) = (Vec::new(), Vec::new());
    for line in lines.chunks(7) {
        message.extend_from_slice(line);
        message.extend_from_slice(b"\r\n");
        if line.starts_with(b".") {
            transmitted.push(b'.');
        }
        transmitted.extend_from_slice(line);
        transmitted.extend_from_slice(b"\r\n");
    }
    transmitted.extend_from_slice(b".\r\nQUIT\r\n");
    let ended = unstuffed(&transmitted).expect("whole lines").expect("an end");
    assert_eq!(ended.message, message);
    assert_eq!(ended.rest, b"QUIT\r\n");
}

fn has_bare_line_end(bytes: &[u8]) -> bool {
    let is_alone = |at: usize| match bytes[at] {
        b'\n' => at == 0 || bytes[at - 1] != b'\r',
        b'\r' => bytes.get(at + 1).is_some_and(|next| *next != b'\n'),
        _ => false,
    };
    (0..bytes.len()).any(is_alone)
}

/// The next thing that the other side says.
fn say(choices: &mut Choices<'_>, known: &str, said: &mut Vec<u8>) {
    const LINES: [&str; 26] = [
        "EHLO mail.example",
        "HELO mail.example",
        "EHLO \t[127.0.0.1]",
        "MAIL FROM:<mia@acme.example>",
        "MAIL FROM:<>",
        "MAIL FROM:<mia@acme.example> SIZE=2000 BODY=8BITMIME SMTPUTF8",
        "MAIL FROM:<mia@acme.example> SIZE=99999999999999999999",
        "MAIL FROM:<mia@acme.example> AUTH=<>",
        "RCPT TO:<nobody@log.twinbox.example>",
        "RCPT TO:<log-aaaaaaaaaaaaaaaaaaaaaaaaaa@log.twinbox.example>",
        "RCPT TO:<ann@client.example>",
        "RCPT TO:<@relay.example:x@log.twinbox.example>",
        "RCPT TO:<\"a b\"@log.twinbox.example>",
        "DATA",
        ".",
        "..",
        "RSET",
        "NOOP",
        "VRFY ann",
        "EXPN list",
        "HELP",
        "STARTTLS",
        "AUTH PLAIN AGEAYg==",
        "BDAT 10 LAST",
        "QUIT",
        "",
    ];
    let line: Vec<u8> = match choices.below(8) {
        // What brings a mail, so that there is something to look at; what follows is its text, unless it has ended.
        0 => {
            let recipient = known.to_ascii_uppercase();
            let begun = format!(
                "EHLO x\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<{recipient}>\r\nDATA\r\nSubject: x\r\n"
            );
            let end = if choices.yes() { "\r\n..\r\n." } else { "" };
            format!("{begun}{end}").into_bytes()
        }
        1 => format!("RCPT TO:<{known}>").into_bytes(),
        2 => choices.text().into_bytes(),
        3 => choices.bytes(40),
        4 => vec![b'x'; choices.below(4_000)],
        _ => choices.pick(&LINES).as_bytes().to_vec(),
    };
    said.extend_from_slice(&line);
    let end: &[u8] = if choices.once_in(40) { b"\n" } else { b"\r\n" };
    said.extend_from_slice(end);
}

fn check_answers(answers: &[String]) {
    for answer in answers {
        let (code, rest) = answer.split_at(answer.len().min(3));
        let is_code = code.len() == 3 && code.bytes().all(|digit| digit.is_ascii_digit());
        assert!(is_code && ("200".."600").contains(&code), "{answer:?}");
        assert!(rest.starts_with([' ', '-']), "{answer:?}");
        assert!(
            answer.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()),
            "{answer:?}"
        );
    }
    let mut recipients = 0;
    for answer in answers {
        match &answer[..3] {
            "354" => {
                assert!(
                    (1..=RECIPIENTS).contains(&recipients),
                    "a message for nobody: {answers:?}"
                );
                recipients = 0;
            }
            _ if answer.starts_with("250 2.1.5") => recipients += 1,
            // A new message, or a new beginning.
            _ if answer.starts_with("250 2.1.0") => recipients = 0,
            _ => {}
        }
    }
}

/// Copies that were acknowledged: one for each recipient of a message.
fn acknowledged(answers: &[String]) -> usize {
    let (mut recipients, mut going, mut all) = (0, None, 0);
    for answer in answers {
        if let Some(number) = going.take() {
            // The one answer to a message.
            all += if answer.starts_with("250") { number } else { 0 };
        } else if answer.starts_with("354") {
            going = Some(std::mem::take(&mut recipients));
        } else if answer.starts_with("250 2.1.5") {
            recipients += 1;
        } else if answer.starts_with("250 2.1.0") {
            recipients = 0;
        }
    }
    all
}

fn check_mail(raw: &[u8], address: &str) {
    assert!(raw.len() as u64 <= LARGEST + 1_000, "{} bytes", raw.len());
    assert!(raw.starts_with(b"Received: from "));
    assert!(!has_bare_line_end(raw));
    let head = String::from_utf8_lossy(raw);
    let trace = head.split("\r\n").take(3).collect::<Vec<_>>().join(" ");
    assert!(
        !trace.to_ascii_lowercase().contains(address),
        "the address is told to nobody"
    );
}

/// A listener with one known address.
struct Post {
    listener: Listener,
    spool: Spool,
    connection: ConnectionId,
    address: String,
}

static POST: LazyLock<Post> = LazyLock::new(|| runtime().block_on(Post::new()));

impl Post {
    async fn new() -> Self {
        let database = Database::in_memory().expect("a database");
        let clock = Arc::new(SystemClock);
        let addresses =
            BccAddresses::new(database.clone(), clock.clone(), "log.twinbox.example").expect("addresses");
        let store = Arc::new(SqliteStore::new(database.clone()).expect("a store"));
        let spool = Spool::new(database).expect("a spool");
        let connection = ConnectionId::new("c");
        let row = Connection {
            scope: Scope {
                tenant: TenantId::new("t"),
                user: UserId::new("u"),
                connection: connection.clone(),
                account: "a".to_owned(),
            },
            address: "mia@acme.example".to_owned(),
            status: ConnectionStatus::Active,
            settings: String::new(),
            created_at: 0,
            last_run_at: None,
            next_run_at: None,
            failures: 0,
            problem: None,
            announced: Announced::default(),
            standing: Standing::default(),
            revision: 0,
        };
        assert_eq!(store.put(&row).await.expect("a store"), Put::Written);
        let address = addresses.of(&connection).await.expect("an address");
        let limits = ListenerLimits {
            message: LARGEST,
            recipients: RECIPIENTS,
            burst: u32::MAX,
            per_minute: u32::MAX,
            ..ListenerLimits::default()
        };
        let listener = Listener::new(
            "mx.twinbox.example".to_owned(),
            addresses,
            spool.clone(),
            store,
            clock,
        );
        Self {
            listener: listener.limited(limits),
            spool,
            connection,
            address,
        }
    }

    /// The lines that the listener answers to all that is said, until it has heard the end.
    async fn hear(&self, said: &[u8]) -> Vec<String> {
        let (mut client, server) = tokio::io::duplex(PIPE);
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        client.write_all(said).await.expect("a pipe");
        client.shutdown().await.expect("a pipe");
        self.listener.serve(server, peer).await;
        let mut answered = String::new();
        client.read_to_string(&mut answered).await.expect("ASCII");
        assert!(answered.ends_with("\r\n"), "{answered:?}");
        answered
            .trim_end_matches("\r\n")
            .split("\r\n")
            .map(str::to_owned)
            .collect()
    }

    /// What was written down, which is nobody's from then on.
    async fn take(&self) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        for mail in self.spool.of(&self.connection).await.expect("a spool") {
            assert_eq!(mail.recipient, self.address);
            let body = self.spool.read(&mail).await.expect("a spool");
            let raw = body.collect(PIPE).await.expect("its bytes");
            assert_eq!(raw.len() as u64, mail.size);
            taken.push(raw.to_vec());
            self.spool.done(&mail).await.expect("a spool");
        }
        taken
    }
}
