//! The files below a path of a commit, listed without a checkout.

use super::spec::ObjectId;

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
