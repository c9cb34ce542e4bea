//! S23 and T01 on real processes: the program is killed at random moments until it ends by itself, and
//! what remains is what an undisturbed run leaves: every message once, every mail sent once.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use proofs::{
    mail,
    programs::{component, program},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rusqlite::OpenFlags;
use serde_json::Value;
use twinbox_host::{
    Database, Durability,
    contract::{Mailbox, OutboundKind, WhenLimited},
    crm::{EmbeddedCrm, NewOutbound, Paging},
    scope::{ConnectionId, Scope, TenantId, UserId},
};

const KILLS: u32 = 20;
const MAILBOX: &str = "me@twinbox.example";
/// Mail written before the first run and, as replies, in the middle.
const WRITTEN: usize = 15;
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn s23_t01_a_program_killed_twenty_times_loses_nothing_and_doubles_nothing() {
    let seed = std::env::var("TWINBOX_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("TWINBOX_SEED={seed} repeats this run");
    let (_generated, folder) = folder_of_mail();

    let calm = Setting::new(&folder).await;
    let before = calm.requests().await;
    calm.run_to_the_end().await;
    calm.write_mail(WRITTEN..2 * WRITTEN, Kind::Reply).await;
    calm.run_to_the_end().await;
    let work = calm.requests().await - before;
    let expected = calm.end().await;

    let rough = Setting::new(&folder).await;
    let mut rng = StdRng::seed_from_u64(seed);
    let mut killed = 0;
    for number in 0..KILLS {
        if number == KILLS / 2 {
            rough.write_mail(WRITTEN..2 * WRITTEN, Kind::Reply).await;
        }
        // Killed after a share of the work, so that the kills spread over all of it.
        let share = rng.random_range(0..=3 * work / (2 * u64::from(KILLS)));
        let delay = Duration::from_micros(rng.random_range(0..20_000));
        let life = rough.killed_after(share, delay).await;
        println!("life {number}, {share} requests: {life:?}");
        killed += u32::from(life == Life::Killed);
    }
    assert!(killed >= KILLS / 2, "most lives were too short for a kill");
    rough.run_to_the_end().await;
    assert_eq!(rough.end().await, expected);
}

/// What is left of a run.
#[derive(Debug, PartialEq)]
struct End {
    /// Messages that came, by the name of their file, and the contact's address.
    came: Vec<(String, String)>,
    /// Subjects of mail that was sent.
    sent: BTreeSet<String>,
}

/// How a life of the program ended.
#[derive(Debug, PartialEq, Eq)]
enum Life {
    Killed,
    /// By itself, before its time.
    Ended,
}

enum Kind {
    New,
    Reply,
}

/// A simulator, a data folder, and the mail that arrives.
struct Setting {
    simulator: Simulator,
    data: tempfile::TempDir,
    mail: PathBuf,
    /// The file of each message id.
    files: BTreeMap<String, String>,
}

impl Setting {
    /// Connected, all mail arrived, mail written; nothing synced yet.
    async fn new(mail: &Path) -> Self {
        let mut setting = Self {
            simulator: Simulator::start(),
            data: tempfile::tempdir().unwrap(),
            mail: mail.to_owned(),
            files: BTreeMap::new(),
        };
        let mut life = setting.start(Stdio::null());
        let since = Instant::now();
        while setting.connection().is_none() {
            assert!(since.elapsed() < PATIENCE, "it does not connect");
            assert!(life.try_wait().unwrap().is_none(), "it ended before it connected");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        kill(&mut life);
        setting.arrive().await;
        setting.write_mail(0..WRITTEN, Kind::New).await;
        setting
    }

    fn start(&self, output: Stdio) -> Child {
        Command::new(program("twinbox"))
            .args(["demo", "--once", "--json", "--contacts-from-mail", "25"])
            .args(["--mailbox", MAILBOX, "--gmail", &self.simulator.origin])
            .arg("--mail")
            .arg(&self.mail)
            .arg("--data")
            .arg(self.data.path())
            .arg("--plugin")
            .arg(component())
            .stdout(output)
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap()
    }

    /// One life of the program, which ends after so many requests and a moment.
    async fn killed_after(&self, requests: u64, delay: Duration) -> Life {
        let until = self.requests().await + requests;
        let mut life = self.start(Stdio::null());
        while self.requests().await < until {
            if life.try_wait().unwrap().is_some() {
                return Life::Ended;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        tokio::time::sleep(delay).await;
        kill(&mut life);
        Life::Killed
    }

    /// Lets the program end by itself, again while mail waits for its time.
    async fn run_to_the_end(&self) {
        let since = Instant::now();
        loop {
            assert!(since.elapsed() < PATIENCE, "mail still waits");
            let life = self.start(Stdio::piped());
            let output = tokio::task::spawn_blocking(|| life.wait_with_output())
                .await
                .unwrap()
                .unwrap();
            let report = report(&output);
            assert_eq!(report["messages"]["missing"], 0, "{report}");
            assert_eq!(
                report["messages"]["quarantined"].as_array().unwrap().len(),
                0,
                "{report}"
            );
            if self.rows("SELECT id FROM crm_message WHERE waits = 1").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// All mail arrives; what has arrived already is not delivered again.
    async fn arrive(&mut self) {
        let mut names: Vec<_> = std::fs::read_dir(&self.mail)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        for name in names {
            let raw = std::fs::read(self.mail.join(&name)).unwrap();
            let id = self.simulator.deliver(&name, raw).await;
            self.files.insert(id, name);
        }
    }

    /// People write mail in the CRM, to one contact after the other.
    async fn write_mail(&self, numbers: std::ops::Range<usize>, kind: Kind) {
        let path = self.data.path().join("twinbox.db");
        let crm = EmbeddedCrm::new(Database::open(&path, Durability::ProcessDeath).unwrap()).unwrap();
        let scope = self.connection().unwrap();
        let contacts = crm.list_contacts(&scope.tenant, Paging::default()).await.unwrap();
        for number in numbers {
            let contact = &contacts[number % contacts.len()];
            let conversation = crm
                .conversation(&scope.tenant, &contact.id, Paging::default())
                .await
                .unwrap();
            let answered = match kind {
                Kind::New => None,
                Kind::Reply => conversation.iter().find(|stored| !stored.message.key.is_empty()),
            };
            let new = NewOutbound {
                tenant: scope.tenant.clone(),
                user: scope.user.clone(),
                connection: scope.connection.clone(),
                contact: contact.id.clone(),
                thread: answered.map(|stored| stored.message.thread.clone()),
                in_reply_to: answered.map(|stored| stored.message.key.clone()),
                sender: None,
                to: vec![Mailbox {
                    name: None,
                    address: contact.addresses[0].clone(),
                }],
                cc: Vec::new(),
                bcc: Vec::new(),
                subject: format!("Written in the CRM, number {number}"),
                text: format!("This is number {number}."),
                html: None,
                attachments: Vec::new(),
                when_limited: WhenLimited::Wait,
                kind: OutboundKind::OneToOne,
                hold: Duration::ZERO,
                idempotency_key: Some(format!("request {number}")),
                request_digest: None,
            };
            crm.queue_outbound(new).await.unwrap();
        }
    }

    /// What is left, each message and each mail proved to be there once.
    async fn end(&self) -> End {
        let mut came = Vec::new();
        let mut sent = BTreeSet::new();
        let mailboxes = self.simulator.mailboxes().await;
        let rows = self.rows(
            "SELECT coalesce(key, ''), delivery, json_extract(record, '$.subject'), address FROM crm_message m
             JOIN crm_address a ON a.tenant = m.tenant AND a.contact = m.contact AND a.position = 0",
        );
        for row in rows {
            let [key, delivery, subject, address] = row.try_into().unwrap();
            let id = key.rsplit('/').next().unwrap().to_owned();
            if delivery == "\"mailbox\"" {
                let file = self
                    .files
                    .get(&id)
                    .unwrap_or_else(|| panic!("{key} {subject} is of no file"));
                came.push((file.clone(), address));
                continue;
            }
            assert_eq!(delivery, "\"sent\"", "{subject}");
            assert!(sent.insert(subject.clone()), "{subject} is in the CRM twice");
            let elsewhere = mailboxes.iter().filter(|letter| letter.mailbox != MAILBOX);
            assert_eq!(
                elsewhere.filter(|letter| letter.subject == subject).count(),
                1,
                "{subject} arrived"
            );
            let own: Vec<_> = mailboxes
                .iter()
                .filter(|letter| letter.mailbox == MAILBOX && letter.subject == subject)
                .collect();
            assert_eq!(own.len(), 1, "{subject} is in the mailbox");
            assert!(own[0].labels.contains("SENT") && own[0].id == id);
        }
        assert_eq!(sent.len(), 2 * WRITTEN);
        let drafts = mailboxes.iter().filter(|letter| letter.labels.contains("DRAFT"));
        assert_eq!(drafts.count(), 0, "a draft was left behind");
        came.sort();
        let once: BTreeSet<_> = came.iter().map(|(file, _)| file).collect();
        assert_eq!(once.len(), came.len(), "a message is in the CRM twice");
        End { came, sent }
    }

    /// The connection, when there is one.
    fn connection(&self) -> Option<Scope> {
        let record = self.rows("SELECT record FROM store_connection").pop()?.pop()?;
        let record: Value = serde_json::from_str(&record).unwrap();
        let field = |name: &str| record["scope"][name].as_str().unwrap().to_owned();
        Some(Scope {
            tenant: TenantId::new(field("tenant")),
            user: UserId::new(field("user")),
            connection: ConnectionId::new(field("connection")),
            account: field("account"),
        })
    }

    /// Rows of texts; none while the table is not there.
    fn rows(&self, query: &str) -> Vec<Vec<String>> {
        let path = self.data.path().join("twinbox.db");
        let Ok(sql) = rusqlite::Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE) else {
            return Vec::new();
        };
        sql.busy_timeout(Duration::from_secs(10)).unwrap();
        let Ok(mut statement) = sql.prepare(query) else {
            return Vec::new();
        };
        let width = statement.column_count();
        let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect());
        rows.unwrap().map(Result::unwrap).collect()
    }

    async fn requests(&self) -> u64 {
        self.simulator.get("stats").await["requests"].as_u64().unwrap()
    }
}

fn report(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "it ended with {}: {text}", output.status);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

/// SIGKILL: no handler runs, nothing is flushed.
fn kill(life: &mut Child) {
    life.kill().unwrap();
    life.wait().unwrap();
}

/// The real mail, or generated mail in a folder of its own.
fn folder_of_mail() -> (Option<tempfile::TempDir>, PathBuf) {
    if let Some(folder) = mail::real_folder() {
        return (None, folder);
    }
    eprintln!("SKIPPED: kills on real mail, ../shared/mail is absent; 200 generated messages instead");
    let folder = tempfile::tempdir().unwrap();
    for (number, raw) in mail::generated(200, 40).iter().enumerate() {
        std::fs::write(folder.path().join(format!("{number:04}.eml")), raw).unwrap();
    }
    let path = folder.path().to_owned();
    (Some(folder), path)
}

/// The simulator as a process, which ends with this value.
struct Simulator {
    process: Child,
    origin: String,
    client: reqwest::Client,
}

/// A message in a simulated mailbox, or one that left (then its mailbox is the recipient).
struct Letter {
    mailbox: String,
    id: String,
    subject: String,
    labels: BTreeSet<String>,
}

impl Simulator {
    fn start() -> Self {
        // A second installation is refused, which is all right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut process = Command::new(program("gmail-sim"))
            .args(["--port", "0", "--auto-consent", "--seed", "7"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let origin = line.trim().rsplit(' ').next().unwrap().to_owned();
        Self {
            process,
            origin,
            client,
        }
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self
            .client
            .get(format!("{}/sim/{path}", self.origin))
            .send()
            .await
            .unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    /// Its message id.
    async fn deliver(&self, key: &str, raw: Vec<u8>) -> String {
        let answer = self
            .client
            .post(format!("{}/sim/deliver", self.origin))
            .query(&[("mailbox", MAILBOX), ("key", key)])
            .body(raw)
            .send()
            .await
            .unwrap();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        answer["id"].as_str().unwrap().to_owned()
    }

    /// Everything that is anywhere.
    async fn mailboxes(&self) -> Vec<Letter> {
        let mut letters = Vec::new();
        for user in self.get("users").await["users"].as_array().unwrap() {
            let mailbox = user["email"].as_str().unwrap();
            let held = self.get(&format!("mailboxes/{mailbox}")).await;
            for message in held["messages"].as_array().unwrap() {
                let labels = message["labelIds"].as_array().unwrap();
                letters.push(Letter {
                    mailbox: mailbox.to_owned(),
                    id: message["id"].as_str().unwrap().to_owned(),
                    subject: message["subject"].as_str().unwrap_or_default().to_owned(),
                    labels: labels
                        .iter()
                        .map(|label| label.as_str().unwrap().to_owned())
                        .collect(),
                });
            }
        }
        for mail in self.get("outside").await["messages"].as_array().unwrap() {
            let raw = STANDARD.decode(mail["raw"].as_str().unwrap()).unwrap();
            let raw = String::from_utf8_lossy(&raw).into_owned();
            let subject = raw.lines().find_map(|line| line.strip_prefix("Subject: "));
            letters.push(Letter {
                mailbox: mail["recipient"].as_str().unwrap().to_owned(),
                id: String::new(),
                subject: subject.unwrap_or_default().trim().to_owned(),
                labels: BTreeSet::new(),
            });
        }
        letters
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        kill(&mut self.process);
    }
}
