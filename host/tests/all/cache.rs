//! Compiled components are taken only from files that this host wrote.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use twinbox_host::sandbox::{LoadError, Plugin, Sandbox, SandboxConfig};

use crate::harness::component;

fn compiled(folder: &tempfile::TempDir) -> PathBuf {
    let mut files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    files
        .find(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .unwrap()
}

async fn load(folder: &tempfile::TempDir) -> Arc<Plugin> {
    load_bytes(folder, probe()).await
}

async fn load_bytes(folder: &tempfile::TempDir, bytes: Vec<u8>) -> Arc<Plugin> {
    let config = SandboxConfig {
        cache: Some(folder.path().to_owned()),
        ..SandboxConfig::default()
    };
    let plugin = Sandbox::new(config).unwrap().load(bytes).await.unwrap();
    assert_eq!(plugin.manifest().name, "probe");
    plugin
}

fn probe() -> Vec<u8> {
    fs::read(component()).unwrap()
}

/// Another component that does the same: an empty custom section more.
fn other_probe() -> Vec<u8> {
    [probe(), vec![0, 2, 1, b'x']].concat()
}

#[tokio::test]
async fn a_compiled_component_is_kept_and_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    let fresh = load(&folder).await;
    let before = fs::metadata(compiled(&folder)).unwrap().modified().unwrap();
    let kept = load(&folder).await;
    assert_eq!(kept.digest(), fresh.digest());
    assert_eq!(kept.manifest(), fresh.manifest());
    let pass = kept.idle_pass().validate_settings(String::new()).await;
    assert_eq!(pass.result.unwrap(), Ok(()));
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
    // In the tag, in the length of what is known, in what is known, in the code.
    for place in [0, 31, 32, 35, 36, 300, original.len() / 2, original.len() - 1] {
        let mut changed = original.clone();
        changed[place] ^= 1;
        fs::write(compiled(&folder), &changed).unwrap();
        load(&folder).await;
        assert_eq!(fs::read(compiled(&folder)).unwrap(), original, "byte {place}");
    }
    for length in [0, 31, 32, 35, 36, original.len() - 1] {
        fs::write(compiled(&folder), &original[..length]).unwrap();
        load(&folder).await;
        assert_eq!(fs::read(compiled(&folder)).unwrap(), original, "{length} bytes");
    }
}

#[tokio::test]
async fn a_compiled_component_is_not_taken_for_another() {
    let folder = tempfile::tempdir().unwrap();
    let first = load(&folder).await;
    let path = compiled(&folder);
    let code = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let second = load_bytes(&folder, other_probe()).await;
    assert_ne!(first.digest(), second.digest());
    fs::write(compiled(&folder), code).unwrap();
    assert_eq!(load_bytes(&folder, other_probe()).await.digest(), second.digest());
}

#[tokio::test]
async fn what_no_engine_of_ours_can_use_and_the_oldest_of_many_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    load(&folder).await;
    let usable = compiled(&folder);
    let suffix = usable.file_name().unwrap().to_str().unwrap()[64..].to_owned();
    let foreign = folder
        .path()
        .join(format!("{}-0123456789abcdef.cwasm", "0".repeat(64)));
    fs::write(&foreign, b"").unwrap();
    for age in 1..=9 {
        let path = folder
            .path()
            .join(format!("{}{suffix}", age.to_string().repeat(64)));
        let written = SystemTime::now() - Duration::from_secs(3_600 * age);
        File::create(path).unwrap().set_modified(written).unwrap();
    }
    load_bytes(&folder, other_probe()).await;
    let left: Vec<String> = fs::read_dir(&folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "cwasm"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(usable.exists() && !foreign.exists(), "{left:?}");
    assert_eq!(left.len(), 8, "{left:?}");
    assert!(left.iter().any(|name| name.starts_with("6666")), "{left:?}");
    assert!(!left.iter().any(|name| name.starts_with("7777")), "{left:?}");
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
