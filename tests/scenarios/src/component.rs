//! The component under test, loaded once per process; compiled code is kept under `target/`.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use tokio::sync::OnceCell;
use twinbox_host::{
    Database,
    release::{Plugins, ReleaseStore},
    sandbox::{Allocation, Plugin, Sandbox, SandboxConfig},
};

/// Names another component than the one that was built.
const OVERRIDE: &str = "TWINBOX_COMPONENT";

static LOADED: OnceCell<Loaded> = OnceCell::const_new();

struct Loaded {
    sandbox: Arc<Sandbox>,
    plugin: Arc<Plugin>,
    bytes: Bytes,
}

/// The component.
pub async fn plugin() -> Arc<Plugin> {
    loaded().await.plugin.clone()
}

/// The bytes of the component.
pub async fn bytes() -> Bytes {
    loaded().await.bytes.clone()
}

/// Another component than the one under test.
pub async fn load(bytes: Vec<u8>) -> Arc<Plugin> {
    let sandbox = &loaded().await.sandbox;
    sandbox.load(bytes).await.expect("a component")
}

/// The components that a database says were chosen.
pub(crate) async fn releases(database: Database) -> Arc<Plugins> {
    let loaded = loaded().await;
    let store = ReleaseStore::new(database).expect("a store");
    let trial = SandboxConfig {
        allocation: Allocation::OnDemand,
        ..config()
    };
    let opened = Plugins::open(
        loaded.sandbox.clone(),
        trial,
        store,
        loaded.plugin.clone(),
        loaded.bytes.clone(),
    );
    opened.await.expect("the chosen component")
}

async fn loaded() -> &'static Loaded {
    LOADED.get_or_init(read).await
}

async fn read() -> Loaded {
    let path =
        std::env::var_os(OVERRIDE).map_or_else(|| target().join("components/twinbox.wasm"), PathBuf::from);
    assert!(
        path.exists(),
        "there is no component at {}: run `make component`",
        path.display()
    );
    let bytes: Bytes = std::fs::read(&path).expect("a component").into();
    let sandbox = Sandbox::new(config()).expect("a sandbox");
    let plugin = sandbox.load(bytes.clone()).await;
    let plugin = plugin.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Loaded {
        sandbox,
        plugin,
        bytes,
    }
}

fn config() -> SandboxConfig {
    SandboxConfig {
        concurrency: NonZeroUsize::MIN.saturating_add(7),
        cache: Some(target().join("scenario-cache")),
        ..SandboxConfig::default()
    }
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target")
}
