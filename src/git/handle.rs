//! One repository with one credential.

use std::sync::Arc;

use bytes::Bytes;

use super::error::GitError;
use super::poll::{PollOptions, Watcher};
use super::spec::{Commit, Heads, ObjectId, Reference, Revision};
use super::tree::TreeSnapshot;

/// A repository: its mirror, its connections, its limits. Cheap to clone.
#[derive(Clone)]
pub struct RepositoryHandle {}

fn unfinished<T>() -> Result<T, GitError> {
    Err(GitError::Mirror {
        url: String::new(),
        reason: "not built yet".to_owned(),
    })
}

impl RepositoryHandle {
    /// The URL after `insteadOf`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        String::new()
    }

    /// Lists the server's references (`ls-remote`). Callers that wait at the
    /// same time share one request.
    ///
    /// # Errors
    /// Any network [`GitError`]; [`GitError::EmptyRepository`].
    pub async fn heads(&self) -> Result<Arc<Heads>, GitError> {
        unfinished()
    }

    /// Where a reference points on the server; a fixed commit resolves to
    /// itself without a request.
    ///
    /// # Errors
    /// As [`Self::heads`]; [`GitError::ReferenceNotFound`].
    pub async fn resolve(&self, _reference: &Reference) -> Result<Revision, GitError> {
        unfinished()
    }

    /// Brings the commit of a reference into the mirror: lists references, and
    /// transfers only if the commit is not there yet.
    ///
    /// # Errors
    /// As [`Self::resolve`]; [`GitError::TooLarge`], [`GitError::Mirror`].
    pub async fn fetch(&self, _reference: &Reference) -> Result<Commit, GitError> {
        unfinished()
    }

    /// The files below `path` (`""` or `"."`: all) of a fetched commit.
    ///
    /// # Errors
    /// [`GitError::PathNotFound`], [`GitError::PathEscapes`],
    /// [`GitError::LinkEscapes`], [`GitError::TooLarge`],
    /// [`GitError::MissingObject`].
    pub async fn tree(
        &self,
        _commit: ObjectId,
        _path: &str,
    ) -> Result<Arc<TreeSnapshot>, GitError> {
        unfinished()
    }

    /// The content of one blob of a fetched commit.
    ///
    /// # Errors
    /// [`GitError::MissingObject`], [`GitError::TooLarge`].
    pub async fn blob(&self, _id: ObjectId) -> Result<Bytes, GitError> {
        unfinished()
    }

    /// The contents of several blobs, in order, in one go.
    ///
    /// # Errors
    /// As [`Self::blob`], for the first that fails.
    pub async fn blobs(&self, _ids: &[ObjectId]) -> Result<Vec<Bytes>, GitError> {
        unfinished()
    }

    /// Follows a reference: see [`Watcher`].
    #[must_use]
    pub fn watch(&self, reference: Reference, options: PollOptions) -> Watcher {
        Watcher::spawn(self.clone(), reference, options)
    }
}
