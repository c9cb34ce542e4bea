//! Sealing keys rotated by one process while another serves: by hand, and killed at any moment.

use std::{
    collections::BTreeSet,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use gmail_sim::{Config, Consent, Decision, Server, Sim};
use proofs::programs::{component, program};
use rand::Rng;
use reqwest::{Client, Url, header, redirect::Policy};
use serde_json::Value;

const ME: &str = "me@twinbox.example";
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_rotated_while_a_server_refreshes_and_connects_even_if_rotations_are_killed() {
    let site = Site::start().await;
    let consent_page = site.begins().await;
    // A sign-in that is under way when the key changes.
    let first = site.rotate();
    site.comes_back(consent_page).await;
    site.assert_syncing("after the first rotation").await;
    let old = site.key_file();
    let mut retired = BTreeSet::from([text(&first["retired"][0])]);
    for number in 0..5 {
        let rotation = site.rotate();
        assert_eq!(rotation["unreadable"], 0, "{rotation}");
        retired.insert(text(&rotation["retired"][0]));
        site.assert_syncing(&format!("after rotation {number}")).await;
    }
    assert_eq!(retired.len(), 6, "each rotation retires another key");
    let mut killed = 0;
    for _ in 0..20 {
        let mut rotation = site.twinbox(&["keys", "rotate"]).spawn().unwrap();
        let moment = rand::rng().random_range(0..60);
        tokio::time::sleep(Duration::from_millis(moment)).await;
        killed += u32::from(rotation.try_wait().unwrap().is_none());
        rotation.kill().unwrap();
        rotation.wait().unwrap();
    }
    println!("{killed} of 20 rotations were killed");
    site.assert_syncing("after the kills").await;
    let last = site.rotate();
    site.assert_syncing("at the end").await;
    let keys = site.keys();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1, "{keys}");
    assert_eq!(keys["keys"][0]["id"], last["current"]);
    assert_eq!(
        (&keys["keys"][0]["values"], &keys["unreadable"]),
        (&2.into(), &0.into()),
        "{keys}"
    );
    // The old key opens nothing.
    std::fs::write(site.folder.path().join("data/sealing.key"), old).unwrap();
    let keys = site.keys();
    assert_eq!(
        (&keys["keys"][0]["values"], &keys["unreadable"]),
        (&0.into(), &2.into()),
        "{keys}"
    );
}

/// A simulator, and `twinbox serve` with a mailbox.
struct Site {
    sim: Sim,
    _google: Server,
    folder: tempfile::TempDir,
    server: Child,
    origin: String,
    client: Client,
    cookies: Mutex<Vec<String>>,
}

impl Site {
    async fn start() -> Self {
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
        write_config(folder.path(), &address.to_string(), &google.origin());
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
    async fn begins(&self) -> Url {
        Url::parse(&location(&self.post("/settings", "/oauth/connect", &[]).await)).unwrap()
    }

    /// Sends a form of this page.
    async fn post(&self, page: &str, to: &str, fields: &[(&str, &str)]) -> reqwest::Response {
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
    async fn comes_back(&self, consent_page: Url) {
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

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Response {
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

    /// Its access tokens end; it refreshes, goes on, and complains of nothing.
    async fn assert_syncing(&self, when: &str) {
        self.sim.expire_access_tokens(ME);
        let asked = |sim: &Sim| {
            let stats = sim.stats();
            (
                stats.requests,
                stats.oauth.get("/token").copied().unwrap_or_default(),
            )
        };
        let (requests, refreshes) = asked(&self.sim);
        let since = Instant::now();
        while {
            let now = asked(&self.sim);
            now.0 <= requests + 1 || now.1 <= refreshes
        } {
            assert!(since.elapsed() < PATIENCE, "{when}: it does not go on");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let page = self
            .send(self.client.get(format!("{}/settings", self.origin)))
            .await;
        let page = page.text().await.unwrap();
        assert!(
            page.contains("Connected") && !page.contains("class=\"code\""),
            "{when}: {page}"
        );
    }

    fn twinbox(&self, arguments: &[&str]) -> Command {
        command(self.folder.path(), arguments)
    }

    fn rotate(&self) -> Value {
        answer(self.twinbox(&["keys", "rotate", "--json"]))
    }

    fn keys(&self) -> Value {
        answer(self.twinbox(&["keys", "list", "--json"]))
    }

    fn key_file(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("data/sealing.key")).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn write_config(folder: &Path, address: &str, google: &str) {
    let component: PathBuf = component().canonicalize().unwrap();
    let text = format!(
        "listen = \"{address}\"\npublic_url = \"http://{address}\"\ndata = \"data\"\npoll_seconds = 1\n\
         plugin = \"{}\"\n\n[google]\nclient_id = \"twinbox-demo\"\nclient_secret_file = \"secret\"\n\n\
         [origins]\napi = \"{google}\"\nauthorize = \"{google}/o/oauth2/v2/auth\"\ntoken = \"{google}/token\"\n\
         revoke = \"{google}/revoke\"\njwks = \"{google}/oauth2/v3/certs\"\nuserinfo = \"{google}/v1/userinfo\"\n",
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

fn answer(mut command: Command) -> Value {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    serde_json::from_str(text.trim()).unwrap()
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
