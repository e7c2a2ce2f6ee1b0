//! A bare git repository on disk that a test pushes to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, Oid, Repository, RepositoryInitOptions, Signature};
use tempfile::TempDir;

/// One change of a commit. Paths are relative to the repository's root.
#[derive(Debug, Clone)]
pub enum Edit {
    /// Creates or overwrites a file.
    Write(String, String),
    /// Deletes a file that is there.
    Delete(String),
}

impl Edit {
    /// `Edit::Write` from borrowed text.
    pub fn write(path: &str, text: &str) -> Self {
        Self::Write(path.to_owned(), text.to_owned())
    }

    /// `Edit::Delete` from a borrowed path.
    pub fn delete(path: &str) -> Self {
        Self::Delete(path.to_owned())
    }
}

/// A bare repository with the branch `main`; removed on drop.
pub struct GitFixture {
    directory: TempDir,
    repository: Repository,
}

impl GitFixture {
    /// A repository whose first commit holds every file below `folder`.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let mut files = Vec::new();
        files_below(folder, &mut files)?;
        let edits = files
            .into_iter()
            .map(|path| {
                let text = std::fs::read_to_string(&path)
                    .with_context(|| format!("reading {}", path.display()))?;
                let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
                Ok(Edit::Write(name, text))
            })
            .collect::<Result<Vec<_>>>()?;
        Self::from_edits(&edits)
    }

    /// A repository whose first commit is made of `edits`.
    pub fn from_edits(edits: &[Edit]) -> Result<Self> {
        let directory = TempDir::with_prefix("pilothouse-git-")?;
        let mut options = RepositoryInitOptions::new();
        options.bare(true).initial_head("main");
        let repository = Repository::init_opts(directory.path().join("demo.git"), &options)?;
        let fixture = Self {
            directory,
            repository,
        };
        fixture.commit("First commit", edits)?;
        Ok(fixture)
    }

    /// Commits the edits on `main` and returns the commit's id.
    pub fn commit(&self, message: &str, edits: &[Edit]) -> Result<Oid> {
        let parent = self.head_commit()?;
        let mut builder = TreeUpdateBuilder::new();
        for edit in edits {
            match edit {
                Edit::Write(path, text) => {
                    let blob = self.repository.blob(text.as_bytes())?;
                    builder.upsert(path.as_str(), blob, FileMode::Blob);
                }
                Edit::Delete(path) => {
                    builder.remove(path.as_str());
                }
            }
        }
        let base = match &parent {
            Some(commit) => commit.tree()?,
            None => {
                let empty = self.repository.treebuilder(None)?.write()?;
                self.repository.find_tree(empty)?
            }
        };
        let tree = self
            .repository
            .find_tree(builder.create_updated(&self.repository, &base)?)?;
        let author = Signature::now("Pilothouse tests", "tests@example.com")?;
        let parents: Vec<_> = parent.iter().collect();
        Ok(self.repository.commit(
            Some("refs/heads/main"),
            &author,
            &author,
            message,
            &tree,
            &parents,
        )?)
    }

    /// The text of a file at the head of `main`.
    pub fn read(&self, path: &str) -> Result<String> {
        let commit = self.head_commit()?.context("the repository is empty")?;
        let entry = commit.tree()?.get_path(Path::new(path))?;
        let blob = entry.to_object(&self.repository)?.peel_to_blob()?;
        Ok(String::from_utf8(blob.content().to_vec())?)
    }

    /// Commits `path` with each `from` replaced by `to`; fails where the file
    /// does not hold `from`, so that a test cannot push nothing by mistake.
    pub fn replace(&self, path: &str, from: &str, to: &str) -> Result<Oid> {
        let text = self.read(path)?;
        anyhow::ensure!(text.contains(from), "{path} does not contain {from:?}");
        self.commit(
            &format!("Change {path}"),
            &[Edit::Write(path.to_owned(), text.replace(from, to))],
        )
    }

    /// Texts of all files below a folder at the head of `main`, by path.
    pub fn files(&self, folder: &str) -> Result<BTreeMap<String, String>> {
        let commit = self.head_commit()?.context("the repository is empty")?;
        let mut files = BTreeMap::new();
        let mut failure = None;
        commit
            .tree()?
            .walk(git2::TreeWalkMode::PreOrder, |parent, entry| {
                let path = format!("{parent}{}", entry.name().unwrap_or_default());
                let below = path.starts_with(&format!("{folder}/"));
                if below && entry.kind() == Some(git2::ObjectType::Blob) {
                    match self.read(&path) {
                        Ok(text) => drop(files.insert(path, text)),
                        Err(error) => failure = Some(error),
                    }
                }
                git2::TreeWalkResult::Ok
            })?;
        failure.map_or(Ok(files), Err)
    }

    /// Moves `main` to a commit, as a force-push does, or deletes it.
    pub fn rewind(&self, to: Option<Oid>) -> Result<()> {
        match to {
            Some(id) => self
                .repository
                .reference("refs/heads/main", id, true, "force-push")
                .map(|_| ())?,
            None => self
                .repository
                .find_reference("refs/heads/main")?
                .delete()?,
        }
        Ok(())
    }

    /// Id of the head of `main`.
    pub fn head(&self) -> Result<Oid> {
        Ok(self.head_commit()?.context("the repository is empty")?.id())
    }

    /// The bare repository's folder.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("demo.git")
    }

    /// The repository's `file://` URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    fn head_commit(&self) -> Result<Option<git2::Commit<'_>>> {
        match self.repository.find_reference("refs/heads/main") {
            Ok(head) => Ok(Some(head.peel_to_commit()?)),
            Err(error) if error.code() == git2::ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == ".git") {
            continue;
        }
        if path.is_dir() {
            files_below(&path, files)?;
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_follow_each_other_on_main() {
        let fixture = GitFixture::from_edits(&[
            Edit::write("app/one.yaml", "one"),
            Edit::write("app/two.yaml", "two"),
        ])
        .unwrap();
        let first = fixture.head().unwrap();
        let second = fixture.replace("app/one.yaml", "one", "1").unwrap();
        fixture
            .commit("Delete", &[Edit::delete("app/two.yaml")])
            .unwrap();
        assert_eq!(fixture.read("app/one.yaml").unwrap(), "1");
        assert!(fixture.read("app/two.yaml").is_err());
        let clone = Repository::open(fixture.path()).unwrap();
        let head = clone.head().unwrap().peel_to_commit().unwrap();
        assert_eq!(head.parent(0).unwrap().id(), second);
        assert_eq!(head.parent(0).unwrap().parent(0).unwrap().id(), first);
    }

    #[test]
    fn replacing_what_is_not_there_fails() {
        let fixture = GitFixture::from_edits(&[Edit::write("a", "x")]).unwrap();
        assert!(fixture.replace("a", "y", "z").is_err());
    }
}
