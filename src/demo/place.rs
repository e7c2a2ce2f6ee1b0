//! The demo's directory: marker, lock, ports, files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;

use super::DemoError;

/// Layout of the directory. Raise it when an old directory cannot be resumed.
const FORMAT: u32 = 1;
const MARKER: &str = "pilothouse-demo.json";
const LOCK: &str = "lock";

/// What the marker file holds.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Marker {
    format: u32,
    /// Port of each API server, chosen once so that kubeconfigs stay valid.
    ports: BTreeMap<String, u16>,
    /// Steps that are taken once in the life of a directory, because the
    /// user may undo them.
    #[serde(default)]
    taken: BTreeSet<String>,
}

/// A demo's directory, held by this process until dropped.
pub(super) struct Place {
    root: PathBuf,
    marker: Marker,
    /// The lock goes with the file, also when the process is killed.
    _lock: File,
}

impl Place {
    /// Opens `dir` for a demo, making it when it is absent.
    ///
    /// # Errors
    /// When it holds something else, another demo runs on it, or it cannot
    /// be written.
    pub(super) fn open(dir: &Path) -> Result<Self, DemoError> {
        fs::create_dir_all(dir).map_err(DemoError::file(dir))?;
        // Git needs an absolute path.
        let root = dir.canonicalize().map_err(DemoError::file(dir))?;
        let fresh = !root.join(MARKER).exists();
        if fresh && !is_free(&root)? {
            return Err(DemoError::ForeignDir {
                dir: dir.to_owned(),
            });
        }
        let Some(lock) = try_lock(&root)? else {
            return Err(DemoError::InUse {
                dir: dir.to_owned(),
            });
        };
        let marker = if fresh {
            Marker {
                format: FORMAT,
                ..Marker::default()
            }
        } else {
            read_marker(&root, dir)?
        };
        let place = Self {
            root,
            marker,
            _lock: lock,
        };
        if fresh {
            // A demo made within a working copy is nothing to commit.
            place.write(".gitignore", "*\n", 0o644)?;
            place.write_marker()?;
        }
        Ok(place)
    }

    /// A path in the directory, absolute.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Listens for an API server on the port that it has always had.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub(super) async fn listen(&mut self, name: &str) -> Result<(TcpListener, u16), DemoError> {
        let known = self.marker.ports.get(name).copied();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, known.unwrap_or_default()));
        let failed = |source| DemoError::Listen {
            address,
            what: format!("the Kubernetes API of {name}"),
            hint: ", or start afresh with another --dir",
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        if known.is_none() {
            self.marker.ports.insert(name.to_owned(), port);
            self.write_marker()?;
        }
        Ok((listener, port))
    }

    /// Whether a step that is taken once has been.
    pub(super) fn has_taken(&self, step: &str) -> bool {
        self.marker.taken.contains(step)
    }

    /// Remembers such a step.
    ///
    /// # Errors
    /// When the marker cannot be written.
    pub(super) fn take(&mut self, step: &str) -> Result<(), DemoError> {
        self.marker.taken.insert(step.to_owned());
        self.write_marker()
    }

    /// Writes a kubeconfig, a credential, that only its owner may read.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write_kubeconfig(&self, cluster: &str, text: &str) -> Result<(), DemoError> {
        self.write(&format!("{cluster}.kubeconfig"), text, 0o600)
    }

    fn write_marker(&self) -> Result<(), DemoError> {
        let text = serde_json::to_string_pretty(&self.marker).unwrap_or_default();
        self.write(MARKER, &text, 0o644)
    }

    /// Writes a file so that readers see the old or the new content.
    fn write(&self, name: &str, text: &str, mode: u32) -> Result<(), DemoError> {
        let path = self.root.join(name);
        let fresh = self
            .root
            .join(format!(".{}.new", name.trim_start_matches('.')));
        let store = || {
            // One left by a killed process may have another mode.
            let _ = fs::remove_file(&fresh);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(mode)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            fs::rename(&fresh, &path)
        };
        store().map_err(DemoError::file(path.clone()))
    }
}

/// The kubeconfig of the hub of the demo that runs on `dir`.
///
/// # Errors
/// When none runs there.
pub(super) fn running_hub(dir: &Path) -> Result<PathBuf, DemoError> {
    let absent = || DemoError::NotRunning {
        dir: dir.to_owned(),
    };
    if !dir.join(MARKER).exists() || try_lock(dir)?.is_some() {
        return Err(absent());
    }
    Ok(dir.join("hub.kubeconfig"))
}

/// Nothing in it but what a demo that was killed at its first step leaves.
fn is_free(root: &Path) -> Result<bool, DemoError> {
    let entries = fs::read_dir(root).map_err(DemoError::file(root))?;
    for entry in entries {
        let name = entry.map_err(DemoError::file(root))?.file_name();
        if ![LOCK, ".gitignore"].iter().any(|ours| name == *ours) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `None`: somebody else holds it.
fn try_lock(root: &Path) -> Result<Option<File>, DemoError> {
    let path = root.join(LOCK);
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(DemoError::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(DemoError::File { path, source }),
    }
}

fn read_marker(root: &Path, dir: &Path) -> Result<Marker, DemoError> {
    let path = root.join(MARKER);
    let text = fs::read_to_string(&path).map_err(DemoError::file(&path))?;
    let format = |found: String| DemoError::Format {
        dir: dir.to_owned(),
        found,
    };
    let marker: Marker =
        serde_json::from_str(&text).map_err(|_| format("unreadable".to_owned()))?;
    if marker.format != FORMAT {
        return Err(format(marker.format.to_string()));
    }
    Ok(marker)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_directory_that_holds_something_else_is_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "mine").unwrap();
        let refused = Place::open(dir.path()).err().unwrap();
        assert!(matches!(refused, DemoError::ForeignDir { .. }), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for (text, found) in [
            ("{\"format\":99,\"ports\":{}}", "99"),
            ("not json", "unreadable"),
        ] {
            fs::write(dir.path().join(MARKER), text).unwrap();
            let refused = Place::open(dir.path()).err().unwrap().to_string();
            assert!(refused.contains(found), "{refused}");
        }
    }

    #[test]
    fn one_demo_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(
            running_hub(dir.path()),
            Err(DemoError::NotRunning { .. })
        ));
        let first = Place::open(dir.path()).unwrap();
        let second = Place::open(dir.path()).err().unwrap();
        assert!(matches!(second, DemoError::InUse { .. }), "{second}");
        assert!(running_hub(dir.path()).is_ok());
        drop(first);
        Place::open(dir.path()).unwrap();
    }

    #[tokio::test]
    async fn ports_are_chosen_once() {
        let dir = tempfile::tempdir().unwrap();
        let first = Place::open(dir.path())
            .unwrap()
            .listen("hub")
            .await
            .unwrap()
            .1;
        let mut place = Place::open(dir.path()).unwrap();
        let (_listener, second) = place.listen("hub").await.unwrap();
        assert_eq!(first, second);
        drop(place);
        let mut place = Place::open(dir.path()).unwrap();
        let busy = place.listen("hub").await.err().unwrap().to_string();
        assert!(busy.contains(&first.to_string()), "{busy}");
    }

    #[test]
    fn steps_are_remembered() {
        let dir = tempfile::tempdir().unwrap();
        let mut place = Place::open(dir.path()).unwrap();
        assert!(!place.has_taken("applications"));
        place.take("applications").unwrap();
        drop(place);
        let place = Place::open(dir.path()).unwrap();
        assert!(place.has_taken("applications"));
    }

    #[test]
    fn kubeconfigs_are_for_their_owner() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::open(dir.path()).unwrap();
        for _ in 0..2 {
            place.write_kubeconfig("hub", "secret").unwrap();
        }
        let metadata = fs::metadata(place.path("hub.kubeconfig")).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }
}
