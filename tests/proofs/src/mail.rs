//! The mail to run on: real messages and hand-picked difficult ones, which lie beside the project, or
//! generated ones where that folder is absent.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

/// The folder of real mail; `None` where it is absent.
pub fn real_folder() -> Option<PathBuf> {
    beside("real")
}

/// The real messages by name; none where the folder is absent, which is said loudly.
pub fn real() -> Vec<Vec<u8>> {
    read_all(real_folder(), "real mail")
}

/// The difficult messages by name; none where the folder is absent, which is said loudly.
pub fn fixtures() -> Vec<Vec<u8>> {
    read_all(beside("fixtures"), "difficult mail")
}

/// So many plain messages from so many senders, for machines without the real ones.
pub fn generated(number: usize, senders: usize) -> Vec<Vec<u8>> {
    (0..number)
        .map(|index| {
            let sender = index % senders;
            let mut raw = format!(
                "From: Sender {sender} <sender{sender}@generated.example>\r\nTo: me@twinbox.example\r\n\
                 Subject: Message {index}\r\nMessage-ID: <{index}@generated.example>\r\nMIME-Version: 1.0\r\n\
                 Content-Type: text/plain; charset=utf-8\r\n\r\n"
            );
            for line in 0..=index % 40 {
                let _ = write!(raw, "Line {line} of message {index}.\r\n");
            }
            raw.into_bytes()
        })
        .collect()
}

/// The message with this sender, whatever it had: its first From field, or a new one.
pub fn sent_by(raw: &[u8], address: &str) -> Vec<u8> {
    let field = format!("From: Known Contact <{address}>");
    let mut lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').collect();
    let head = lines
        .iter()
        .position(|line| line.iter().all(|byte| *byte == b'\r'))
        .unwrap_or(lines.len());
    let from = lines[..head].iter().position(|line| {
        line.get(..5)
            .is_some_and(|name| name.eq_ignore_ascii_case(b"from:"))
    });
    match from {
        Some(at) => {
            let folded = lines[at + 1..head]
                .iter()
                .take_while(|line| matches!(line.first(), Some(b' ' | b'\t')))
                .count();
            lines.splice(at..=at + folded, [field.as_bytes()]);
        }
        None => lines.insert(0, field.as_bytes()),
    }
    lines.join(&b'\n')
}

fn beside(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/mail")
        .join(folder);
    path.is_dir().then_some(path)
}

fn read_all(folder: Option<PathBuf>, what: &str) -> Vec<Vec<u8>> {
    let Some(folder) = folder else {
        eprintln!("SKIPPED: no {what}, ../shared/mail is absent");
        return Vec::new();
    };
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "eml") {
            paths.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_gets_another_sender_whether_it_had_one_or_not() {
        let folded = b"To: a\nFrom: B\n <b@b>\nSubject: s\n\nFrom: body\n";
        let changed = String::from_utf8(sent_by(folded, "c@c")).unwrap();
        assert_eq!(
            changed,
            "To: a\nFrom: Known Contact <c@c>\nSubject: s\n\nFrom: body\n"
        );
        let changed = String::from_utf8(sent_by(b"\nbody", "c@c")).unwrap();
        assert_eq!(changed, "From: Known Contact <c@c>\n\nbody");
    }
}
