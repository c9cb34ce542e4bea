//! The programs and the component as they were built.

use std::path::{Path, PathBuf};

/// A program of the profile this one was built in.
///
/// # Panics
///
/// When it was not built; the message says how to.
pub fn program(name: &str) -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    folder.pop();
    if folder.ends_with("deps") {
        folder.pop();
    }
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is absent: `cargo build -p twinbox-host -p gmail-sim --bins` makes it, in the same profile",
        path.display()
    );
    path
}

/// The component.
///
/// # Panics
///
/// When it was not built; the message says how to.
pub fn component() -> PathBuf {
    let path = std::env::var_os("TWINBOX_COMPONENT").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/components/twinbox.wasm"),
        PathBuf::from,
    );
    assert!(
        path.exists(),
        "{} is absent: `make component` makes it",
        path.display()
    );
    path
}
