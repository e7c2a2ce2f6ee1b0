//! Following paths and links inside one commit.

use std::cell::Cell;
use std::collections::VecDeque;

use git2::{FileMode, Odb, Repository};

use super::missing;
use crate::git::error::GitError;

/// Symbolic links followed for one path, as Linux does at most 40.
const MAX_LINKS: usize = 16;
/// Longest target of a symbolic link, in bytes.
const MAX_TARGET: usize = 4096;
/// Largest single directory object, in bytes.
const MAX_TREE_OBJECT: usize = 16 << 20;

/// Where a path leads once symbolic links are followed.
pub(super) enum Located {
    Directory { path: String, tree: git2::Oid },
    File { path: String, id: git2::Oid },
    Submodule,
    Nothing,
    Outside,
}

/// Reads the directories and links of one commit, within a budget.
pub(super) struct Reader<'a> {
    repository: &'a Repository,
    pub(super) odb: Odb<'a>,
    root: git2::Oid,
    budget: usize,
    /// Directory reads left of the budget: a few hostile objects can describe a tree of
    /// billions of directories, or links that wander for ever.
    lookups: Cell<usize>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        repository: &'a Repository,
        odb: Odb<'a>,
        root: git2::Oid,
        budget: usize,
    ) -> Self {
        Self {
            repository,
            odb,
            root,
            budget,
            lookups: Cell::new(budget),
        }
    }

    /// A directory object, unless it is hostile in size.
    pub(super) fn tree(&self, id: git2::Oid) -> Result<git2::Tree<'a>, GitError> {
        let Some(left) = self.lookups.get().checked_sub(1) else {
            return Err(GitError::TooLarge {
                what: "the directory tree below the git-path".to_owned(),
                limit: self.budget as u64,
                unit: "directories",
                advice: "choose a narrower git-path",
            });
        };
        self.lookups.set(left);
        let (size, _) = self.odb.read_header(id).map_err(|_| missing(id))?;
        if size > MAX_TREE_OBJECT {
            return Err(GitError::TooLarge {
                what: format!("directory object {id}"),
                limit: MAX_TREE_OBJECT as u64,
                unit: "bytes",
                advice: "split the directory",
            });
        }
        self.repository.find_tree(id).map_err(|_| missing(id))
    }

    /// The target of a symbolic link; `None` if it is absurdly long.
    pub(super) fn target(&self, id: git2::Oid) -> Result<Option<String>, GitError> {
        let (size, _) = self.odb.read_header(id).map_err(|_| missing(id))?;
        if size > MAX_TARGET {
            return Ok(None);
        }
        let object = self.odb.read(id).map_err(|_| missing(id))?;
        Ok(Some(String::from_utf8_lossy(object.data()).into_owned()))
    }

    /// Follows `wanted` from the directory `from`, through links, never out
    /// of the repository.
    pub(super) fn locate(
        &self,
        from: Vec<String>,
        mut wanted: VecDeque<String>,
    ) -> Result<Located, GitError> {
        for name in from.into_iter().rev() {
            wanted.push_front(name);
        }
        let mut at: Vec<(String, git2::Oid)> = Vec::new();
        let mut links = 0;
        while let Some(name) = wanted.pop_front() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    if at.pop().is_none() {
                        return Ok(Located::Outside);
                    }
                    continue;
                }
                _ => {}
            }
            let here = at.last().map_or(self.root, |(_, id)| *id);
            let tree = self.tree(here)?;
            let Some(entry) = tree.get_name(&name) else {
                return Ok(Located::Nothing);
            };
            let (mode, id) = (entry.filemode(), entry.id());
            if mode == i32::from(FileMode::Tree) {
                at.push((name, id));
            } else if mode == i32::from(FileMode::Link) {
                links += 1;
                let Some(target) = self.target(id)?.filter(|_| links <= MAX_LINKS) else {
                    return Ok(Located::Nothing);
                };
                if target.starts_with('/') {
                    return Ok(Located::Outside);
                }
                for part in target.split('/').rev() {
                    wanted.push_front(part.to_owned());
                }
            } else if wanted.iter().any(|rest| !rest.is_empty()) {
                return Ok(Located::Nothing);
            } else if mode == i32::from(FileMode::Commit) {
                return Ok(Located::Submodule);
            } else {
                let path = joined(at.iter().map(|(part, _)| part.as_str()), &name);
                return Ok(Located::File { path, id });
            }
        }
        let tree = at.last().map_or(self.root, |(_, id)| *id);
        let path = at.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        Ok(Located::Directory {
            path: path.join("/"),
            tree,
        })
    }
}

fn joined<'a>(parents: impl Iterator<Item = &'a str>, name: &str) -> String {
    let mut path = String::new();
    for parent in parents {
        path.push_str(parent);
        path.push('/');
    }
    path.push_str(name);
    path
}
