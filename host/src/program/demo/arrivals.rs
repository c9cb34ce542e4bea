//! The mail that arrives: a folder of `.eml` files, or sample mail for ever.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::super::{failure::Failure, simulator::Simulator};

/// Largest file read, bytes: what Gmail imports at most.
const LARGEST: u64 = 157_286_400;

/// Sample contacts and what they write about.
pub(super) const SAMPLES: [(&str, &str, &str); 5] = [
    ("Ann Archer", "ann@archer.example", "Offer for the spring order"),
    ("Bilal Baker", "bilal@baker.example", "Question about the invoice"),
    ("Chloé Durand", "chloe@durand.example", "Rendez-vous mardi ?"),
    ("Dmitri Orlov", "dmitri@orlov.example", "Delivery dates"),
    ("Eun-ji Park", "eunji@park.example", "Demo next week"),
];

/// One file.
pub(super) struct File {
    path: PathBuf,
    key: String,
}

impl File {
    /// The idempotency key of its delivery.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Its bytes.
    pub(super) fn read(&self) -> Result<Vec<u8>, Failure> {
        if std::fs::metadata(&self.path)?.len() > LARGEST {
            let happened = format!("{} is larger than Gmail takes", self.path.display());
            return Err(Failure::new("too-large", happened, "Leave it out of the folder."));
        }
        Ok(std::fs::read(&self.path)?)
    }
}

/// What arrives.
pub(super) struct Arrivals {
    files: Vec<File>,
}

impl Arrivals {
    /// The `.eml` files of a folder and the folders in it, by name; none without a folder.
    pub(super) fn read(folder: Option<&Path>) -> Result<Self, Failure> {
        let mut files = Vec::new();
        if let Some(folder) = folder {
            collect(folder, folder, &mut files).map_err(|error| {
                let happened = format!("{}: {error}", folder.display());
                Failure::configuration(happened, "--mail takes a folder of .eml files.")
            })?;
            files.sort_by(|a, b| a.key.cmp(&b.key));
            if files.is_empty() {
                let happened = format!("there is no .eml file in {}", folder.display());
                return Err(Failure::configuration(
                    happened,
                    "--mail takes a folder of .eml files.",
                ));
            }
        }
        Ok(Self { files })
    }

    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Lets the mail arrive, one message at a time.
    pub(super) async fn arrive(self, simulator: &Simulator, mailbox: &str, every: Duration) {
        let mut number = 0;
        loop {
            let mail = match self.files.get(number) {
                Some(file) => file.read().map(|raw| (file.key().to_owned(), raw)),
                None if self.files.is_empty() => Ok(sample(number, mailbox)),
                None => return,
            };
            let delivered = match mail {
                Ok((key, raw)) => simulator.deliver(mailbox, &key, raw).await,
                Err(failure) => Err(failure),
            };
            if let Err(failure) = delivered {
                failure.print(false);
                return;
            }
            number += 1;
            tokio::time::sleep(every).await;
        }
    }
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<File>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(root, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            let key = path
                .strip_prefix(root)
                .unwrap_or(&path)
                .to_string_lossy()
                .into_owned();
            files.push(File { path, key });
        }
    }
    Ok(())
}

/// The sample message with this number. Each contact keeps one thread going; strangers write too, and
/// stay out (S10).
fn sample(number: usize, mailbox: &str) -> (String, Vec<u8>) {
    let run: u32 = rand::random();
    let (name, address, subject) = if number % 7 == 6 {
        (
            "Newsletter",
            "news@stranger.example",
            "You are going to like this",
        )
    } else {
        SAMPLES[number % SAMPLES.len()]
    };
    let round = number / SAMPLES.len() + 1;
    let thread = format!("<{subject}@{}>", address.rsplit('@').next().unwrap_or_default()).replace(' ', ".");
    let answers = if number < SAMPLES.len() {
        format!("Message-ID: {thread}\r\n")
    } else {
        format!(
            "Message-ID: <{run:08x}.{number}@sample.example>\r\nIn-Reply-To: {thread}\r\nReferences: {thread}\r\n"
        )
    };
    let raw = format!(
        "From: =?UTF-8?B?{}?= <{address}>\r\nTo: <{mailbox}>\r\nSubject: =?UTF-8?B?{}?=\r\n{answers}MIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<p>Hello,</p><p>this is message {round} of the demo. \
         <b>Write back</b>: your answer is in the simulated Gmail a moment later.</p><p>{name}</p>\r\n",
        encode(name),
        encode(subject),
    );
    (format!("sample-{run:08x}-{number}"), raw.into_bytes())
}

fn encode(text: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(text)
}
