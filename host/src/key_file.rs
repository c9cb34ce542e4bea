//! Keys in files, for the host's user alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Writes a key that is not there yet; one that is stays. Whoever reads the file sees a whole key: it is
/// written beside, then linked, so that of two processes that start together one wins.
pub(crate) fn create_once(path: &Path, key: &[u8]) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let unfinished = write_beside(path, key)?;
    let linked = fs::hard_link(&unfinished, path);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(path),
    }
}

/// Writes keys in place of what is there, at once and so that a power cut leaves the old or the new file.
pub(crate) fn replace(path: &Path, keys: &[u8]) -> io::Result<()> {
    let unfinished = write_beside(path, keys)?;
    let replaced = fs::rename(&unfinished, path);
    if replaced.is_err() {
        fs::remove_file(&unfinished)?;
    }
    replaced?;
    sync_folder(path)
}

fn write_beside(path: &Path, keys: &[u8]) -> io::Result<PathBuf> {
    let unfinished = path.with_extension(format!("{:016x}.part", rand::random::<u64>()));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.write_all(keys)?;
    file.sync_all()?;
    Ok(unfinished)
}

/// A new name is on the disk only when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder != Path::new("") => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_who_write_a_key_the_first_wins_and_only_its_user_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        create_once(&path, b"first").unwrap();
        create_once(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_takes_the_place_of_a_key_is_for_its_user_alone_whatever_was_there() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        fs::write(&path, "first").unwrap();
        replace(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
