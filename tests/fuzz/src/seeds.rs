//! Mail that was really sent or is known to be difficult, to begin with. It lies beside the project.

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use crate::Choices;

/// The longest message to begin with, bytes: damage to a small one is as good, and there are more tries.
const LONGEST: u64 = 64 << 10;

/// One of the messages; a plain one where there are none.
pub fn message(choices: &mut Choices<'_>) -> Vec<u8> {
    static PATHS: LazyLock<Vec<PathBuf>> = LazyLock::new(paths);
    if PATHS.is_empty() {
        return b"From: Ann <ann@client.example>\r\nTo: me@acme.example\r\nSubject: Hello\r\n\r\nText\r\n"
            .to_vec();
    }
    std::fs::read(&PATHS[choices.below(PATHS.len())]).unwrap()
}

/// What once broke a property, by the target's name: name and content of each file.
pub fn regressions(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("regressions")
        .join(target);
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

fn paths() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/mail");
    let mut paths = Vec::new();
    collect(&folder, &mut paths);
    paths.retain(|path| {
        path.extension().is_some_and(|extension| extension == "eml")
            && path.metadata().is_ok_and(|file| file.len() <= LONGEST)
    });
    paths.sort();
    if paths.is_empty() {
        eprintln!(
            "SKIPPED: no real mail to begin with, ../shared/mail is absent; fuzzing generated mail alone"
        );
    }
    paths
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, paths);
        } else {
            paths.push(path);
        }
    }
}
