//! The directory of a mirror: how large, how old, whose.

use std::fs;
use std::path::Path;

/// Marks a directory as ours, so that nothing else is ever removed.
pub(super) const MARKER: &str = "pilothouse-mirror";

/// A `file://` URL that libgit2 decodes to exactly `path`.
pub(super) fn local_url(path: &Path) -> String {
    use std::fmt::Write as _;
    let mut url = String::from("file://");
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            url.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

/// Bytes of the packs and loose objects below `dir`.
pub(super) fn disk_usage(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else {
        return 0;
    };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => disk_usage(&entry.path()),
            Ok(data) => data.len(),
            Err(_) => 0,
        })
        .sum()
}

/// How long ago a mirror was opened last; `None` for what is no mirror.
pub(in crate::git) fn unused_for(dir: &Path) -> Option<std::time::Duration> {
    let touched = fs::metadata(dir.join(MARKER)).ok()?.modified().ok()?;
    Some(touched.elapsed().unwrap_or_default())
}

/// Removes a mirror that carries our marker; anything else stays.
pub(in crate::git) fn remove_mirror(dir: &Path) -> std::io::Result<()> {
    if !dir.exists() {
        return Ok(());
    }
    if !dir.join(MARKER).is_file() {
        return Err(std::io::Error::other(
            "the directory is not a mirror of ours",
        ));
    }
    // The marker goes last with its directory: a crash in between leaves a
    // directory that is still known as ours.
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name() == MARKER {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(dir)
}
