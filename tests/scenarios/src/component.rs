//! The component under test, loaded once per process; compiled code is kept under `target/`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::OnceCell;
use twinbox_host::sandbox::{Plugin, Sandbox, SandboxConfig};

/// Names another component than the one that was built.
const OVERRIDE: &str = "TWINBOX_COMPONENT";

static PLUGIN: OnceCell<Arc<Plugin>> = OnceCell::const_new();

/// The component.
pub async fn plugin() -> Arc<Plugin> {
    PLUGIN.get_or_init(load).await.clone()
}

async fn load() -> Arc<Plugin> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target");
    let path =
        std::env::var_os(OVERRIDE).map_or_else(|| target.join("components/twinbox.wasm"), PathBuf::from);
    assert!(
        path.exists(),
        "there is no component at {}: run `make component`",
        path.display()
    );
    let config = SandboxConfig {
        concurrency: NonZeroUsize::MIN.saturating_add(7),
        cache: Some(target.join("scenario-cache")),
        ..SandboxConfig::default()
    };
    let sandbox = Sandbox::new(config).expect("a sandbox");
    sandbox
        .load_file(&path)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
