//! The pages over a CRM of 100,000 messages, by HTTP: how fast the list is, how soon a new message is in a
//! page that is open, and what open pages cost.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Instant,
};

use crate::{Figure, Limit, quantile, start::resident};

pub(crate) mod server;

pub(crate) const MESSAGES: usize = 100_000;
pub(crate) const CONTACTS: usize = 2_000;
const WARM_UP: usize = 5;
const LOOKS: usize = 60;
const NEW: usize = 30;
const LIVE: usize = 200;
const MEBIBYTE: f64 = 1_048_576.0;

/// All of them, of one server.
pub(crate) async fn measure(show: &mut impl FnMut(Figure)) {
    let mut pages = Pages::start();
    list(&pages, show).await;
    new_message(&mut pages, show).await;
    live(&mut pages, show).await;
}

pub(crate) fn subject(number: usize) -> String {
    format!("Subject {number}.")
}

async fn list(pages: &Pages, show: &mut impl FnMut(Figure)) {
    let mut times = Vec::with_capacity(LOOKS);
    for number in 0..WARM_UP + LOOKS {
        let began = Instant::now();
        pages.page("/").await;
        if number >= WARM_UP {
            times.push(milliseconds(began));
        }
    }
    show(Figure {
        name: "list-100000-messages-p50",
        value: quantile(&mut times, 0.5),
        unit: "ms",
        limit: Limit::AtMost(50.0),
    });
    show(Figure {
        name: "list-100000-messages-p99",
        value: quantile(&mut times, 0.99),
        unit: "ms",
        limit: Limit::None,
    });
}

/// From before the commit until the page that has the message is there.
async fn new_message(pages: &mut Pages, show: &mut impl FnMut(Figure)) {
    let mut times = Vec::with_capacity(NEW);
    let mut live = pages.live().await;
    for _ in 0..NEW {
        let began = Instant::now();
        let (contact, subject) = pages.put();
        changed(&mut live).await;
        let page = pages.page(&format!("/conversations/{contact}")).await;
        times.push(milliseconds(began));
        assert!(page.contains(&subject), "the page lacks the new message");
    }
    show(Figure {
        name: "new-message-in-open-page-p50",
        value: quantile(&mut times, 0.5),
        unit: "ms",
        limit: Limit::None,
    });
    show(Figure {
        name: "new-message-in-open-page-p99",
        value: quantile(&mut times, 0.99),
        unit: "ms",
        limit: Limit::AtMost(200.0),
    });
}

/// Pages that are open, and all of them looking anew at once because of one message.
async fn live(pages: &mut Pages, show: &mut impl FnMut(Figure)) {
    let before = resident(pages.process.id());
    let mut open = Vec::with_capacity(LIVE);
    for _ in 0..LIVE {
        pages.page("/").await;
        open.push(pages.live().await);
    }
    pages.put();
    let began = Instant::now();
    let looks = open.iter_mut().map(|live| {
        let pages = &*pages;
        async move {
            changed(live).await;
            pages.page("/").await;
        }
    });
    futures_util::future::join_all(looks).await;
    show(Figure {
        name: "rss-growth-200-live-pages",
        value: (resident(pages.process.id()) - before) / MEBIBYTE,
        unit: "MiB",
        limit: Limit::AtMost(60.0),
    });
    show(Figure {
        name: "new-message-in-200-live-pages",
        value: milliseconds(began),
        unit: "ms",
        limit: Limit::None,
    });
}

struct Pages {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    client: reqwest::Client,
    origin: String,
    stored: usize,
    _folder: tempfile::TempDir,
}

impl Pages {
    fn start() -> Self {
        // A second installation is refused, which is all right.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("pages-server")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take().unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let origin = line(&mut output);
        Self {
            process,
            input,
            output,
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            origin,
            stored: MESSAGES,
            _folder: folder,
        }
    }

    /// A message is stored: whose, and its subject.
    fn put(&mut self) -> (String, String) {
        self.input.write_all(b"\n").unwrap();
        let contact = line(&mut self.output);
        self.stored += 1;
        (contact, subject(self.stored - 1))
    }

    async fn page(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.origin)).send();
        request
            .await
            .unwrap()
            .error_for_status()
            .unwrap()
            .text()
            .await
            .unwrap()
    }

    async fn live(&self) -> reqwest::Response {
        let request = self.client.get(format!("{}/events", self.origin)).send();
        request.await.unwrap().error_for_status().unwrap()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn line(output: &mut impl BufRead) -> String {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

async fn changed(live: &mut reqwest::Response) {
    let mut said = Vec::new();
    while !said.ends_with(b"\n\n") {
        said.extend_from_slice(&live.chunk().await.unwrap().unwrap());
    }
    assert!(String::from_utf8_lossy(&said).contains("changed"));
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
