//! Compiled components are taken only from files that this host wrote.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use twinbox_host::sandbox::{LoadError, Sandbox, SandboxConfig};

use crate::harness::component;

fn compiled(folder: &tempfile::TempDir) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .unwrap()
}

async fn load(folder: &tempfile::TempDir) {
    let config = SandboxConfig {
        cache: Some(folder.path().to_owned()),
        ..SandboxConfig::default()
    };
    let plugin = Sandbox::new(config)
        .unwrap()
        .load_file(&component())
        .await
        .unwrap();
    assert_eq!(plugin.manifest().name, "probe");
}

#[tokio::test]
async fn a_compiled_component_is_kept_and_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    load(&folder).await;
    let before = fs::metadata(compiled(&folder)).unwrap().modified().unwrap();
    load(&folder).await;
    assert_eq!(
        fs::metadata(compiled(&folder)).unwrap().modified().unwrap(),
        before
    );
    let key = fs::metadata(folder.path().join("cache.key")).unwrap();
    assert_eq!((key.permissions().mode() & 0o777, key.len()), (0o600, 32));
}

#[tokio::test]
async fn a_compiled_component_that_was_changed_is_compiled_anew() {
    let folder = tempfile::tempdir().unwrap();
    load(&folder).await;
    let original = fs::read(compiled(&folder)).unwrap();
    for place in [0, 31, 32, original.len() / 2, original.len() - 1] {
        let mut changed = original.clone();
        changed[place] ^= 1;
        fs::write(compiled(&folder), &changed).unwrap();
        load(&folder).await;
        assert_eq!(fs::read(compiled(&folder)).unwrap(), original, "byte {place}");
    }
    fs::write(compiled(&folder), b"").unwrap();
    load(&folder).await;
    assert_eq!(fs::read(compiled(&folder)).unwrap(), original);
}

#[tokio::test]
async fn a_compiled_component_of_another_host_is_not_taken() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    load(&ours).await;
    load(&theirs).await;
    let foreign = fs::read(compiled(&theirs)).unwrap();
    let own = fs::read(compiled(&ours)).unwrap();
    assert_ne!(foreign, own);
    fs::write(compiled(&ours), foreign).unwrap();
    load(&ours).await;
    assert_eq!(fs::read(compiled(&ours)).unwrap(), own);
}

#[tokio::test]
async fn a_component_that_imports_anything_else_is_refused_by_name() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    let text = r#"(component (import "wasi:cli/environment@0.2.0" (instance)))"#;
    // The binary form: a component's header, then one import section.
    let name = b"wasi:cli/environment@0.2.0";
    let mut bytes = b"\0asm\x0d\0\x01\0".to_vec();
    bytes.extend([7, 3, 1, 0x42, 0]);
    bytes.extend([
        10,
        u8::try_from(name.len() + 5).unwrap(),
        1,
        0,
        u8::try_from(name.len()).unwrap(),
    ]);
    bytes.extend(name);
    bytes.extend([5, 0]);
    match sandbox.load(bytes).await {
        Err(LoadError::ForeignImport(name)) => assert_eq!(name, "wasi:cli/environment@0.2.0"),
        Err(other) => panic!("{text}: {other}"),
        Ok(_) => panic!("{text} was taken"),
    }
}

#[tokio::test]
async fn what_is_no_component_is_refused() {
    let sandbox = Sandbox::new(SandboxConfig::default()).unwrap();
    assert!(matches!(
        sandbox.load(b"nonsense".to_vec()).await,
        Err(LoadError::Invalid(_))
    ));
}
