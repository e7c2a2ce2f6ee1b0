//! Follows one reference of one repository.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::error::{ErrorClass, GitError};
use super::handle::RepositoryHandle;
use super::spec::{Commit, ObjectId, Reference};

/// Longest pause after failures.
const MAX_BACKOFF: Duration = Duration::from_secs(300);
/// First pause after a failure, if the interval is not longer.
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
/// Looks after a trigger that names a commit which is not there yet.
const EXPECTING: [Duration; 4] = [
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// How often to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PollOptions {
    /// Time between two looks; `None`: only when triggered, and after errors
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

/// A task that follows a reference until the last clone is dropped. Equal
/// reference and options on one repository share one task.
#[derive(Clone)]
pub struct Watcher {
    state: watch::Receiver<RefState>,
    requests: Arc<watch::Sender<Request>>,
}

/// A watcher as its repository remembers it.
pub(super) struct Known {
    state: watch::Receiver<RefState>,
    requests: Weak<watch::Sender<Request>>,
}

impl Known {
    pub(super) fn alive(&self) -> Option<Watcher> {
        self.requests.upgrade().map(|requests| Watcher {
            state: self.state.clone(),
            requests,
        })
    }
}

/// What triggers ask for.
#[derive(Clone, Copy, Default)]
struct Request {
    count: u64,
    /// The commit that the latest trigger promised.
    expected: Option<ObjectId>,
}

impl Watcher {
    /// Starts the task; its first look begins at once.
    pub(super) fn spawn(
        runtime: &Handle,
        handle: RepositoryHandle,
        reference: Reference,
        options: PollOptions,
    ) -> Self {
        let (publish, state) = watch::channel(RefState::default());
        let (requests, wanted) = watch::channel(Request::default());
        runtime.spawn(follow(handle, reference, options, wanted, publish));
        Self {
            state,
            requests: Arc::new(requests),
        }
    }

    pub(super) fn known(&self) -> Known {
        Known {
            state: self.state.clone(),
            requests: Arc::downgrade(&self.requests),
        }
    }

    /// The state and its changes. Receivers wake when commit or error change;
    /// `checked_at` and `failures` are kept up to date without waking anyone.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<RefState> {
        self.state.clone()
    }

    /// The state now.
    #[must_use]
    pub fn state(&self) -> RefState {
        self.state.borrow().clone()
    }

    /// Looks at once, whatever the back-off; triggers that arrive during a
    /// look cause one more.
    pub fn trigger(&self) {
        self.request(None);
    }

    /// Looks at once, and a few times more within seconds unless the reference
    /// moved: servers send webhooks before all their replicas know.
    pub fn trigger_expecting(&self, commit: ObjectId) {
        self.request(Some(commit));
    }

    fn request(&self, expected: Option<ObjectId>) {
        self.requests.send_modify(|request| {
            request.count = request.count.wrapping_add(1);
            request.expected = expected;
        });
    }
}

async fn follow(
    handle: RepositoryHandle,
    reference: Reference,
    options: PollOptions,
    mut wanted: watch::Receiver<Request>,
    publish: watch::Sender<RefState>,
) {
    let shared_age = options.interval.unwrap_or_default() / 2;
    let mut age = Duration::ZERO;
    // Looks since the last trigger that promised a commit.
    let mut early = EXPECTING.iter();
    let mut expected = None;
    loop {
        let found = handle.fetch_within(&reference, age).await;
        let moved = record(&publish, found, Timestamp::now());
        let here = publish.borrow().commit.as_ref().map(|commit| commit.id);
        if moved || expected == here {
            expected = None;
        }
        let soon = expected.and_then(|_| early.next().copied());
        let pause = {
            let state = publish.borrow();
            soon.or_else(|| pause(&options, state.error.as_ref(), state.failures, random()))
        };
        age = if soon.is_some() {
            Duration::ZERO
        } else {
            shared_age
        };
        tokio::select! {
            triggered = wanted.changed() => {
                if triggered.is_err() {
                    return;
                }
                age = Duration::ZERO;
                early = EXPECTING.iter();
                expected = wanted.borrow_and_update().expected;
            }
            () = wait(pause) => {}
        }
    }
}

async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => tokio::time::sleep(pause).await,
        None => std::future::pending().await,
    }
}

/// Publishes the outcome of a look; whether the commit changed.
fn record(
    publish: &watch::Sender<RefState>,
    found: Result<Commit, GitError>,
    now: Timestamp,
) -> bool {
    let mut moved = false;
    publish.send_if_modified(|state| {
        state.checked_at = Some(now);
        match found {
            Ok(commit) => {
                let failed = state.error.take().is_some();
                state.failures = 0;
                moved = state.commit.as_deref() != Some(&commit);
                if moved {
                    state.commit = Some(Arc::new(commit));
                }
                moved || failed
            }
            Err(error) => {
                state.failures = state.failures.saturating_add(1);
                let new = state.error.as_ref() != Some(&error);
                state.error = Some(error);
                new
            }
        }
    });
    moved
}

/// How long to wait for the next look; `None`: until triggered. `random`
/// spreads watchers that began together.
fn pause(
    options: &PollOptions,
    error: Option<&GitError>,
    failures: u32,
    random: u64,
) -> Option<Duration> {
    let interval = options.interval;
    let base = match error {
        None => interval?,
        // The server answered well: looking again costs one small request.
        Some(GitError::ReferenceNotFound { .. } | GitError::EmptyRepository { .. }) => interval?,
        // Each attempt may transfer up to the limit.
        Some(error) if error.class() == ErrorClass::TooLarge => MAX_BACKOFF,
        Some(_) => {
            let doublings = failures.saturating_sub(1).min(16);
            let backoff = FIRST_BACKOFF.saturating_mul(1 << doublings);
            backoff.min(MAX_BACKOFF).max(interval.unwrap_or_default())
        }
    };
    let jitter = (base / 10).mul_f64((random % 1000) as f64 / 1000.0);
    Some(base + jitter)
}

/// A number that differs between watchers and looks; no secret depends on it.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(pause: Option<Duration>) -> Option<u64> {
        pause.map(|pause| pause.as_secs())
    }

    #[test]
    fn failures_back_off_up_to_five_minutes() {
        let error = GitError::Unreachable {
            url: String::new(),
            reason: String::new(),
        };
        let fast = PollOptions {
            interval: Some(Duration::from_secs(1)),
        };
        let off = PollOptions { interval: None };
        let slow = PollOptions::default();
        for (options, failures, expected) in [
            (fast, 1, 1),
            (fast, 2, 2),
            (fast, 5, 16),
            (fast, 40, 300),
            (slow, 1, 15),
            (slow, 6, 32),
            (off, 1, 1),
        ] {
            let got = pause(&options, Some(&error), failures, 0);
            assert_eq!(seconds(got), Some(expected), "{options:?} {failures}");
        }
    }

    #[test]
    fn a_missing_branch_is_looked_for_at_the_usual_pace() {
        let error = GitError::ReferenceNotFound {
            url: String::new(),
            reference: String::new(),
        };
        let options = PollOptions::default();
        assert_eq!(seconds(pause(&options, Some(&error), 50, 0)), Some(15));
    }

    #[test]
    fn without_an_interval_only_triggers_look() {
        let off = PollOptions { interval: None };
        assert_eq!(pause(&off, None, 0, 7), None);
    }

    #[test]
    fn jitter_adds_at_most_a_tenth() {
        let options = PollOptions::default();
        for random in [0, 1, 500, 999, u64::MAX] {
            let got = pause(&options, None, 0, random).unwrap();
            assert!(got >= Duration::from_secs(15) && got <= Duration::from_millis(16_500));
        }
    }
}
