//! Google's own Python libraries against the simulator (`tests/google`). What they accept here they accept of
//! Google; what they refuse here they refuse there.
//!
//! The libraries come from PyPI, once, into `.cache/python`. Without Python, network or the facts these tests say
//! `SKIPPED` and pass.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use axum::http::Request;
use bytes::Bytes;
use gmail_sim::{Client, Config, Consent, Contact, Decision, PushEndpoint, Server, Sim, TokenFlaw};
use serde_json::{Value, json};

const ANNA: &str = "anna@acme.test";

#[tokio::test(flavor = "multi_thread")]
async fn google_auth_accepts_the_tokens_of_pushes_and_refuses_forged_ones() {
    let Some(python) = Python::ready() else { return };
    let sim = Sim::new(Config::default());
    let server = Server::start(sim.clone()).await.unwrap();
    let endpoint = PushEndpoint {
        url: "https://crm.example.test/push/gmail".into(),
        audience: "https://crm.example.test/push/gmail".into(),
        service_account: "push@project.iam.gserviceaccount.com".into(),
        subscription: "projects/p/subscriptions/s".into(),
    };
    let token = |flaw| sim.push_token(&endpoint, flaw);
    let before = token(None).unwrap();
    sim.rotate_keys();
    let good = json!({"signed before the rotation": before, "signed after it": token(None).unwrap()});
    let flawed: BTreeMap<String, String> = TokenFlaw::ALL
        .iter()
        .filter_map(|flaw| Some((format!("{flaw:?}"), token(Some(*flaw))?)))
        .collect();
    assert_eq!(
        flawed.len(),
        TokenFlaw::ALL.len() - 1,
        "one flaw is that there is none"
    );
    let told = json!({
        "origin": server.origin(),
        "audience": endpoint.audience,
        "serviceAccount": endpoint.service_account,
        "good": good,
        "flawed": flawed,
    });
    python.run("tokens.py", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_api_python_client_sends_uploads_batches_reads_history_and_refreshes() {
    let Some(python) = Python::ready() else { return };
    let discovery = root().join("../shared/facts/gmail.v1.json");
    if !discovery.exists() {
        skipped("../shared/facts/gmail.v1.json is absent");
        return;
    }
    let sim = Sim::new(Config::default());
    sim.create_user(ANNA, "Anna");
    sim.set_consent(Consent::Auto {
        account: Some(ANNA.to_owned()),
        decision: Decision::All,
    });
    let server = Server::start(sim.clone()).await.unwrap();
    let client = Client::demo();
    let told = json!({
        "origin": server.origin(),
        "mailbox": ANNA,
        "clientId": client.id,
        "clientSecret": client.secret,
        "discovery": discovery,
    });
    python.run("client.py", told).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn google_api_python_client_reads_contacts_and_what_has_changed() {
    let Some(python) = Python::ready() else { return };
    let sim = Sim::new(Config::default());
    sim.create_user(ANNA, "Anna");
    let scope = "https://www.googleapis.com/auth/contacts.readonly";
    let token = sim.issue_token(ANNA, &[scope]).unwrap().access_token;
    let add = |contact| sim.add_contact(ANNA, &contact).unwrap();
    let sync = || {
        let request = Request::get(
            "/v1/people/me/connections?requestSyncToken=true&pageSize=2&personFields=metadata,names,emailAddresses",
        );
        let request = request.header("authorization", format!("Bearer {token}"));
        let answer = sim.handle(request.body(Bytes::new()).unwrap());
        let answer: Value = serde_json::from_slice(answer.body()).unwrap();
        answer["nextSyncToken"].clone()
    };
    let expired = sync();
    sim.expire_sync_tokens(ANNA);
    let before = sync();
    let carl = add(Contact::new("Carl Client", &["carl@client.test"]));
    let twin = add(Contact::nameless(&["carl@home.test", "c@work.test"]));
    let dora = add(Contact::new("Dora", &[]));
    let emil = add(Contact::nameless(&["emil@client.test"]));
    sim.merge_contacts(ANNA, &carl, &twin);
    let server = Server::start(sim.clone()).await.unwrap();
    let told = json!({
        "origin": server.origin(),
        "token": token,
        "names": ["Dora", null, "Carl Client"],
        "before": before,
        "expired": expired,
        "changed": [dora, emil, carl, twin],
    });
    python.run("contacts.py", told).await;
}

/// A Python that has Google's libraries.
struct Python {
    libraries: PathBuf,
}

impl Python {
    fn ready() -> Option<Self> {
        let setup = Command::new("bash").arg(folder().join("setup.sh")).output();
        match setup {
            Ok(done) if done.status.success() => Some(Self {
                libraries: root().join(".cache/python"),
            }),
            Ok(failed) => {
                let why = String::from_utf8_lossy(&failed.stderr).into_owned();
                skipped(why.lines().last().unwrap_or("the set-up failed"));
                None
            }
            Err(error) => {
                skipped(&error.to_string());
                None
            }
        }
    }

    /// Runs a script of the folder, which gets `told` as JSON and has to end well.
    async fn run(&self, script: &str, told: Value) {
        let mut command = Command::new("python3");
        command
            .arg("-W")
            .arg("ignore")
            .arg(folder().join(script))
            .env("PYTHONPATH", &self.libraries)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("OAUTHLIB_INSECURE_TRANSPORT", "1")
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || fed(command, &told))
            .await
            .unwrap();
        println!("{}", String::from_utf8_lossy(&output.stdout));
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}:\n{complaint}");
    }
}

fn fed(mut command: Command, told: &Value) -> Output {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(told.to_string().as_bytes()).unwrap();
    drop(stdin);
    child.wait_with_output().unwrap()
}

fn skipped(why: &str) {
    eprintln!("SKIPPED: a test with Google's client libraries: {why}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/google")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
