//! Real and difficult mail, where the folder with it is at hand (`shared/mail` beside the project).

use std::fs;
use std::path::{Path, PathBuf};

use crate::mail::{Sanitiser, fold_html, parse, quoted_from};
use mail_parser::MessageParser;

fn corpus(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/mail")
        .join(folder);
    let Ok(entries) = fs::read_dir(&root) else {
        eprintln!("SKIPPED: no mail in {}", root.display());
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "eml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "an empty corpus in {}", root.display());
    files
        .into_iter()
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

fn check(folder: &str) {
    let sanitiser = Sanitiser::new();
    for (path, raw) in corpus(folder) {
        let parsed = parse(&raw).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Some(text) = &parsed.text
            && let Some(at) = quoted_from(text)
        {
            assert!(
                text.is_char_boundary(at) && !text[..at].trim().is_empty(),
                "{}",
                path.display()
            );
        }
        if let Some(html) = &parsed.html {
            let safe = sanitiser.clean(html);
            assert!(!safe.simplified && !safe.cut, "{}", path.display());
            assert!(
                !safe.html.contains("<script") && !safe.html.contains(" src=\"http"),
                "{}",
                path.display()
            );
            assert!(fold_html(safe.clone()).html.len() >= safe.html.len());
        }
    }
}

#[test]
fn real_mail_passes_through_everything() {
    check("real");
}

#[test]
fn difficult_mail_passes_through_everything() {
    check("fixtures/ruby-mail");
}

/// Words of a text, as a measure for "the same text" that does not depend on spacing.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn real_mail_reads_as_mail_parser_reads_it() {
    let mut compared = 0;
    for (path, raw) in corpus("real") {
        let ours = parse(&raw).unwrap();
        let theirs = MessageParser::default().parse(&raw).unwrap();
        let their_id = theirs.message_id().map(|id| words(id).concat());
        assert_eq!(ours.envelope.message_id, their_id, "{}", path.display());
        assert_eq!(
            words(&ours.envelope.subject),
            words(theirs.subject().unwrap_or_default()),
            "{}",
            path.display()
        );
        if theirs.text_body_count() == 1
            && theirs
                .text_part(0)
                .is_some_and(mail_parser::MessagePart::is_text_html)
        {
            continue;
        }
        let text: Vec<String> = (0..theirs.text_body_count())
            .filter_map(|i| theirs.body_text(i))
            .map(std::borrow::Cow::into_owned)
            .collect();
        let text: String = text
            .join("\n")
            .chars()
            .filter(|c| !c.is_control() || c.is_whitespace())
            .collect();
        if words(ours.text.as_deref().unwrap_or_default()) != words(&text) {
            eprintln!("differs: {}", path.display());
            continue;
        }
        compared += 1;
    }
    assert!(compared == 0 || compared >= 960, "only {compared} agree");
}
