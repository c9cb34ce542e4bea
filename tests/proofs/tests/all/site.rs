//! `twinbox serve` as a process, with a simulator for Google and one person who is signed in.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use gmail_sim::{Config, Consent, Decision, Server, Sim};
use proofs::programs::{component, program};
use reqwest::{Client, Url, header, redirect::Policy};
use serde_json::Value;

pub(crate) const ME: &str = "me@twinbox.example";
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// A simulator, and `twinbox serve` with a mailbox.
pub(crate) struct Site {
    pub(crate) sim: Sim,
    _google: Server,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) server: Child,
    pub(crate) origin: String,
    pub(crate) client: Client,
    cookies: Mutex<Vec<String>>,
}

impl Site {
    /// Signed in; no mailbox is connected. The configuration has these tables too.
    pub(crate) async fn start(tables: &str) -> Self {
        // A second installation is refused, which is all right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let sim = Sim::new(Config {
            consent: Consent::Auto {
                account: Some(ME.to_owned()),
                decision: Decision::All,
            },
            ..Config::default()
        });
        sim.create_user(ME, "Me");
        let google = Server::start(sim.clone()).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        write_config(folder.path(), &address.to_string(), &google.origin(), tables);
        let mut serve = command(folder.path(), &["serve"]);
        let server = serve.stdout(Stdio::null()).spawn().unwrap();
        let client = Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .build()
            .unwrap();
        let site = Self {
            sim,
            _google: google,
            folder,
            server,
            origin: format!("http://{address}"),
            client,
            cookies: Mutex::default(),
        };
        let since = Instant::now();
        while site
            .client
            .get(format!("{}/healthz", site.origin))
            .send()
            .await
            .is_err()
        {
            assert!(since.elapsed() < PATIENCE, "it does not serve");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        site.sign_in().await;
        site
    }

    /// An account is made beside the running server, and somebody signs in with it.
    async fn sign_in(&self) {
        let added = answer(self.twinbox(&["user", "add", "me", "--json"]));
        let password = text(&added["password"]);
        let fields = [("login", "me"), ("password", &password)];
        let led = self.post("/sign-in", "/sign-in", &fields).await;
        assert_eq!(location(&led), "/");
    }

    /// Presses the button; the consent page.
    pub(crate) async fn begins(&self) -> Url {
        Url::parse(&location(&self.post("/settings", "/oauth/connect", &[]).await)).unwrap()
    }

    /// Sends a form of this page.
    pub(crate) async fn post(&self, page: &str, to: &str, fields: &[(&str, &str)]) -> reqwest::Response {
        let page = self.send(self.client.get(format!("{}{page}", self.origin))).await;
        let page = page.text().await.unwrap();
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap();
        let csrf = rest.split('"').next().unwrap();
        let mut form = vec![("csrf", csrf)];
        form.extend_from_slice(fields);
        let request = self.client.post(format!("{}{to}", self.origin)).form(&form);
        self.send(request).await
    }

    /// Says yes at the consent page, and is sent back.
    pub(crate) async fn comes_back(&self, consent_page: Url) {
        let answer = self.client.get(consent_page).send().await.unwrap();
        let back = self.send(self.client.get(location(&answer))).await;
        let led = back.headers().get(header::LOCATION).cloned();
        let text = back.text().await.unwrap();
        assert_eq!(
            led.as_ref().map(header::HeaderValue::as_bytes),
            Some(&b"/settings"[..]),
            "{text}"
        );
    }

    /// Sends a request with the cookies of the browser.
    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
        let cookies = self.cookies.lock().unwrap().join("; ");
        let answer = request.header(header::COOKIE, cookies).send().await.unwrap();
        for set in answer.headers().get_all(header::SET_COOKIE) {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let name = pair.split_once('=').unwrap().0;
            let mut cookies = self.cookies.lock().unwrap();
            cookies.retain(|known| known.split_once('=').unwrap().0 != name);
            cookies.push(pair);
        }
        answer
    }

    /// The program beside the server.
    pub(crate) fn twinbox(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn write_config(folder: &Path, address: &str, google: &str, tables: &str) {
    let component: PathBuf = component().canonicalize().unwrap();
    let text = format!(
        "listen = \"{address}\"\npublic_url = \"http://{address}\"\ndata = \"data\"\npoll_seconds = 1\n\
         plugin = \"{}\"\n\n[google]\nclient_id = \"twinbox-demo\"\nclient_secret_file = \"secret\"\n\n\
         [origins]\napi = \"{google}\"\nauthorize = \"{google}/o/oauth2/v2/auth\"\ntoken = \"{google}/token\"\n\
         revoke = \"{google}/revoke\"\njwks = \"{google}/oauth2/v3/certs\"\nuserinfo = \"{google}/v1/userinfo\"\n\n{tables}",
        component.display()
    );
    std::fs::write(folder.join("twinbox.toml"), text).unwrap();
    std::fs::write(folder.join("secret"), "twinbox-demo-secret").unwrap();
}

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("twinbox"));
    command
        .args(arguments)
        .arg("--config")
        .arg(folder.join("twinbox.toml"));
    command
}

pub(crate) fn answer(mut command: Command) -> Value {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    serde_json::from_str(text.trim()).unwrap()
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
