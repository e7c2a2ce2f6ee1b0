//! The files below a path of a commit, listed without a checkout.

mod reader;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use git2::{FileMode, Repository};
use sha2::{Digest as _, Sha256};

use self::reader::{Located, Reader};
use super::error::GitError;
use super::spec::ObjectId;

/// Directories below each other; deeper trees are refused.
const MAX_DEPTH: usize = 64;
/// Directories read per entry allowed.
const LOOKUPS_PER_ENTRY: usize = 4;

/// Limits on what one Subscription's path may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeLimits {
    /// Largest file that is read, in bytes.
    pub file_bytes: u64,
    /// Entries listed below one path.
    pub entries: usize,
    /// Sum of the sizes of YAML files below one path, in bytes.
    pub manifest_bytes: u64,
}

impl Default for TreeLimits {
    /// 4 MiB a file, 50,000 entries, 64 MiB of YAML.
    fn default() -> Self {
        Self {
            file_bytes: 4 << 20,
            entries: 50_000,
            manifest_bytes: 64 << 20,
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A regular file with the executable bit.
    Executable,
    /// A symbolic link to a file of the repository; `id` and `size` are the
    /// target's.
    LinkToFile {
        /// Where it leads, relative to the repository root.
        target: String,
    },
    /// A symbolic link to a directory of the repository; not followed, as a
    /// walk of a checkout would not.
    LinkToDirectory {
        /// Where it leads, relative to the repository root.
        target: String,
    },
    /// A symbolic link to nothing, or a loop of links.
    BrokenLink {
        /// Where it would lead, as written in the link.
        target: String,
    },
    /// A submodule: its content is not fetched.
    Submodule,
}

/// One file below the path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path relative to the repository root.
    pub path: String,
    /// What it is.
    pub kind: EntryKind,
    /// The blob (a submodule's commit).
    pub id: ObjectId,
    /// Size of the blob in bytes; 0 where there is none.
    pub size: u64,
}

impl TreeEntry {
    /// Whether the entry has content that [`super::RepositoryHandle::blob`] reads.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(
            self.kind,
            EntryKind::File | EntryKind::Executable | EntryKind::LinkToFile { .. }
        )
    }
}

/// The files below one path of one commit, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeSnapshot {
    /// The path, relative to the repository root, without slashes at its ends;
    /// empty for the root.
    pub path: String,
    /// The tree at that path (the blob, if the path names a file).
    pub tree: ObjectId,
    /// Equal for two commits if and only if everything listed is equal: the
    /// tree id, plus the targets of symbolic links that lead out of the path.
    /// Compare this, not the commit, to know whether there is work to do.
    pub content: String,
    /// Files, links and submodules; directories only through their content.
    pub entries: Vec<TreeEntry>,
}

impl TreeSnapshot {
    /// Paths that were added, removed or changed since `older`, in order.
    #[must_use]
    pub fn changed_since(&self, older: &Self) -> Vec<String> {
        let key = |entry: &TreeEntry| (entry.path.clone(), (entry.id, entry.kind.clone()));
        let mut before: std::collections::BTreeMap<_, _> = older.entries.iter().map(key).collect();
        let mut changed: Vec<String> = self
            .entries
            .iter()
            .filter(|entry| before.remove(&entry.path) != Some((entry.id, entry.kind.clone())))
            .map(|entry| entry.path.clone())
            .collect();
        changed.extend(before.into_keys());
        changed.sort();
        changed
    }
}

/// Listings by path and tree id, which say all there is to know where no
/// symbolic link is involved.
#[derive(Default)]
pub(super) struct SnapshotCache {
    known: HashMap<(String, git2::Oid), Arc<TreeSnapshot>>,
}

impl SnapshotCache {
    /// Listings kept, and entries of the largest that is kept.
    const LISTINGS: usize = 512;
    const ENTRIES: usize = 1000;

    fn get(&self, path: &str, tree: git2::Oid) -> Option<Arc<TreeSnapshot>> {
        self.known.get(&(path.to_owned(), tree)).cloned()
    }

    fn put(&mut self, snapshot: &Arc<TreeSnapshot>) {
        let linked = snapshot.content != snapshot.tree.to_string();
        if linked || snapshot.entries.len() > Self::ENTRIES {
            return;
        }
        if self.known.len() >= Self::LISTINGS {
            self.known.clear();
        }
        let key = (snapshot.path.clone(), snapshot.tree.0);
        self.known.insert(key, Arc::clone(snapshot));
    }
}

/// Lists what is below `path` of a commit.
pub(super) fn snapshot(
    repository: &Repository,
    commit: ObjectId,
    path: &str,
    limits: &TreeLimits,
    cache: &mut SnapshotCache,
) -> Result<Arc<TreeSnapshot>, GitError> {
    let wanted = normalised(path)?;
    let commit_object = repository
        .find_commit(commit.0)
        .map_err(|_| missing(commit.0))?;
    let budget = limits.entries.saturating_mul(LOOKUPS_PER_ENTRY);
    let odb = repository.odb().map_err(|_| missing(commit.0))?;
    let reader = Reader::new(repository, odb, commit_object.tree_id(), budget);
    let not_found = || GitError::PathNotFound {
        commit: commit.to_string(),
        path: path.chars().take(200).collect(),
    };
    let mut walk = Walk {
        reader: &reader,
        limits,
        entries: Vec::new(),
        manifest_bytes: 0,
    };
    let (at, tree) = match reader.locate(Vec::new(), wanted)? {
        Located::Directory { path, tree } => {
            if let Some(known) = cache.get(&path, tree) {
                return Ok(known);
            }
            walk.directory(&path, tree, 0)?;
            (path, tree)
        }
        Located::File { path, id, .. } => {
            walk.file(path.clone(), EntryKind::File, id)?;
            (path, id)
        }
        Located::Submodule | Located::Nothing => return Err(not_found()),
        Located::Outside => {
            return Err(GitError::PathEscapes {
                path: path.chars().take(200).collect(),
            });
        }
    };
    let mut entries = walk.entries;
    // The order of a walk of a checkout: by name within each directory.
    entries.sort_by(|a, b| a.path.split('/').cmp(b.path.split('/')));
    let snapshot = Arc::new(TreeSnapshot {
        path: at,
        tree: ObjectId(tree),
        content: content_of(tree, &entries),
        entries,
    });
    cache.put(&snapshot);
    Ok(snapshot)
}

/// Reads blobs, in order.
pub(super) fn blobs(
    repository: &Repository,
    ids: &[ObjectId],
    limits: &TreeLimits,
) -> Result<Vec<Bytes>, GitError> {
    let Ok(odb) = repository.odb() else {
        return Ok(Vec::new());
    };
    let mut total = 0;
    ids.iter()
        .map(|id| {
            let (size, _) = odb.read_header(id.0).map_err(|_| missing(id.0))?;
            let size = size as u64;
            total += size;
            if size > limits.file_bytes {
                return Err(file_too_large(format!("blob {id}"), limits));
            }
            if total > limits.manifest_bytes {
                return Err(manifests_too_large("what was asked for", limits));
            }
            let object = odb.read(id.0).map_err(|_| missing(id.0))?;
            Ok(Bytes::copy_from_slice(object.data()))
        })
        .collect()
}

/// The components of a git-path. `..` is refused even where it would stay
/// inside, as the reference implementation does since 2026.
fn normalised(path: &str) -> Result<VecDeque<String>, GitError> {
    let mut components = VecDeque::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => {
                return Err(GitError::PathEscapes {
                    path: path.chars().take(200).collect(),
                });
            }
            name => components.push_back(name.to_owned()),
        }
    }
    Ok(components)
}

fn content_of(tree: git2::Oid, entries: &[TreeEntry]) -> String {
    let mut links = entries
        .iter()
        .filter(|entry| {
            matches!(
                entry.kind,
                EntryKind::LinkToFile { .. }
                    | EntryKind::LinkToDirectory { .. }
                    | EntryKind::BrokenLink { .. }
            )
        })
        .peekable();
    if links.peek().is_none() {
        return tree.to_string();
    }
    let mut digest = Sha256::new();
    digest.update(tree.as_bytes());
    for link in links {
        digest.update(format!("{}\0{:?}\0{}\0", link.path, link.kind, link.id));
    }
    let digest = digest.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{tree}+{}", &hex[..16])
}

fn missing(id: git2::Oid) -> GitError {
    GitError::MissingObject { id: id.to_string() }
}

fn file_too_large(what: String, limits: &TreeLimits) -> GitError {
    GitError::TooLarge {
        what,
        limit: limits.file_bytes,
        unit: "bytes",
        advice: "split it, or keep it out of the subscription's git-path",
    }
}

fn manifests_too_large(what: &str, limits: &TreeLimits) -> GitError {
    GitError::TooLarge {
        what: format!("the YAML of {what:?}"),
        limit: limits.manifest_bytes,
        unit: "bytes",
        advice: "choose a narrower git-path",
    }
}

struct Walk<'a> {
    reader: &'a Reader<'a>,
    limits: &'a TreeLimits,
    entries: Vec<TreeEntry>,
    manifest_bytes: u64,
}

impl Walk<'_> {
    fn directory(&mut self, at: &str, id: git2::Oid, depth: usize) -> Result<(), GitError> {
        if depth > MAX_DEPTH {
            return Err(GitError::TooLarge {
                what: format!("the depth of {at:?}"),
                limit: MAX_DEPTH as u64,
                unit: "directories",
                advice: "flatten it",
            });
        }
        let tree = self.reader.tree(id)?;
        for entry in &tree {
            let name = String::from_utf8_lossy(entry.name_bytes()).into_owned();
            let path = if at.is_empty() {
                name
            } else {
                format!("{at}/{name}")
            };
            let (mode, id) = (entry.filemode(), entry.id());
            if mode == i32::from(FileMode::Tree) {
                self.directory(&path, id, depth + 1)?;
            } else if mode == i32::from(FileMode::Link) {
                self.link(path, id)?;
            } else if mode == i32::from(FileMode::Commit) {
                self.push(path, EntryKind::Submodule, id, 0)?;
            } else if mode == i32::from(FileMode::BlobExecutable) {
                self.file(path, EntryKind::Executable, id)?;
            } else {
                self.file(path, EntryKind::File, id)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: String, kind: EntryKind, id: git2::Oid) -> Result<(), GitError> {
        let (size, _) = self.reader.odb.read_header(id).map_err(|_| missing(id))?;
        let size = size as u64;
        if is_yaml(&path) {
            self.manifest_bytes += size;
            if size > self.limits.file_bytes {
                return Err(file_too_large(format!("file {path:?}"), self.limits));
            }
            if self.manifest_bytes > self.limits.manifest_bytes {
                return Err(manifests_too_large(&path, self.limits));
            }
        }
        self.push(path, kind, id, size)
    }

    fn link(&mut self, path: String, id: git2::Oid) -> Result<(), GitError> {
        let target = self.reader.target(id)?.unwrap_or_default();
        let shown = || target.chars().take(200).collect::<String>();
        let mut parents: Vec<String> = path.split('/').map(ToOwned::to_owned).collect();
        parents.pop();
        let located = if target.starts_with('/') {
            Located::Outside
        } else {
            let wanted = target.split('/').map(ToOwned::to_owned).collect();
            self.reader.locate(parents, wanted)?
        };
        match located {
            Located::File { path: target, id } => {
                self.file(path, EntryKind::LinkToFile { target }, id)
            }
            Located::Directory { path: target, tree } => {
                self.push(path, EntryKind::LinkToDirectory { target }, tree, 0)
            }
            Located::Submodule | Located::Nothing => {
                let target = shown();
                self.push(path, EntryKind::BrokenLink { target }, id, 0)
            }
            Located::Outside => Err(GitError::LinkEscapes {
                target: shown(),
                path,
            }),
        }
    }

    fn push(
        &mut self,
        path: String,
        kind: EntryKind,
        id: git2::Oid,
        size: u64,
    ) -> Result<(), GitError> {
        if self.entries.len() >= self.limits.entries {
            return Err(GitError::TooLarge {
                what: "the number of files below the git-path".to_owned(),
                limit: self.limits.entries as u64,
                unit: "files",
                advice: "choose a narrower git-path",
            });
        }
        self.entries.push(TreeEntry {
            path,
            kind,
            id: ObjectId(id),
            size,
        });
        Ok(())
    }
}

/// The extensions that the reference implementation reads, in any case.
fn is_yaml(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, end)| end.eq_ignore_ascii_case("yaml") || end.eq_ignore_ascii_case("yml"))
}

#[cfg(test)]
mod tests;
