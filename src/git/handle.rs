//! One repository with one credential.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::error::{ErrorClass, GitError};
use super::fetcher::FetcherOptions;
use super::http::Endpoint;
use super::metrics::GitMetrics;
use super::mirror::Mirror;
use super::poll::{Known, PollOptions, Watcher};
use super::spec::{Commit, Heads, ObjectId, Reference, Revision};
use super::transport::Session;
use super::tree::{self, SnapshotCache, TreeLimits, TreeSnapshot};

/// What a listing may transfer; a repository with 500,000 references fits.
const MAX_LISTING: u64 = 64 << 20;
/// How long a blocking call may overrun its deadline before we stop waiting.
const GRACE: Duration = Duration::from_secs(5);

/// A repository: its mirror, its connections, its limits. Cheap to clone; the
/// last clone closes it, the mirror stays on disk.
#[derive(Clone)]
pub struct RepositoryHandle {
    repository: Arc<Repository>,
}

/// The shared state behind the handles of one mirror.
pub(super) struct Repository {
    mirror: Mirror,
    endpoint: Option<Arc<Endpoint>>,
    /// Slots of the host, then of the process, in the order they are taken.
    slots: [Arc<Semaphore>; 2],
    runtime: Handle,
    timeout: Duration,
    max_bytes: u64,
    limits: TreeLimits,
    metrics: GitMetrics,
    /// One operation against the server at a time.
    network: Arc<tokio::sync::Mutex<()>>,
    latest: Mutex<Option<Listing>>,
    snapshots: Mutex<SnapshotCache>,
    watchers: Mutex<HashMap<(Reference, PollOptions), Known>>,
}

/// The outcome of the latest listing, and when it was begun.
#[derive(Clone)]
struct Listing {
    begun: Instant,
    heads: Result<Arc<Heads>, GitError>,
}

impl Repository {
    pub(super) fn new(
        mirror: Mirror,
        endpoint: Option<Arc<Endpoint>>,
        slots: [Arc<Semaphore>; 2],
        runtime: Handle,
        options: &FetcherOptions,
        metrics: GitMetrics,
    ) -> Self {
        Self {
            mirror,
            endpoint,
            slots,
            runtime,
            timeout: options.timeout,
            max_bytes: options.max_repo_bytes,
            limits: options.tree_limits,
            metrics,
            network: Arc::default(),
            latest: Mutex::new(None),
            snapshots: Mutex::default(),
            watchers: Mutex::default(),
        }
    }

    fn session(&self, max_bytes: u64) -> Arc<Session> {
        Session::new(
            self.endpoint.clone(),
            self.mirror.remote().to_string(),
            self.runtime.clone(),
            self.timeout,
            max_bytes,
        )
    }

    /// The latest listing, if it was begun at `since` or later.
    fn listed_since(&self, since: Instant) -> Option<Result<Arc<Heads>, GitError>> {
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest
            .as_ref()
            .filter(|listing| listing.begun >= since)
            .map(|listing| listing.heads.clone())
    }

    fn note(&self, begun: Instant, heads: Result<Arc<Heads>, GitError>) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = Some(Listing { begun, heads });
    }

    fn lost(&self) -> GitError {
        GitError::Mirror {
            url: self.mirror.remote().to_string(),
            reason: "the operation was stopped".to_owned(),
        }
    }
}

impl RepositoryHandle {
    pub(super) fn new(repository: Arc<Repository>) -> Self {
        Self { repository }
    }

    /// The URL after `insteadOf`, without credentials.
    #[must_use]
    pub fn url(&self) -> String {
        self.repository.mirror.remote().to_string()
    }

    /// Lists the server's references (`ls-remote`). Callers that wait at the
    /// same time share one request and its outcome.
    ///
    /// # Errors
    /// Any network [`GitError`]; [`GitError::EmptyRepository`].
    pub async fn heads(&self) -> Result<Arc<Heads>, GitError> {
        let asked = Instant::now();
        self.on_server(move |repository| {
            if let Some(shared) = repository.listed_since(asked) {
                return shared;
            }
            let begun = Instant::now();
            let session = repository.session(MAX_LISTING.min(repository.max_bytes));
            let heads = repository.mirror.list(&session).map(Arc::new);
            repository.note(begun, heads.clone());
            heads
        })
        .await
    }

    /// Where a reference points on the server; a fixed commit resolves to
    /// itself without a request.
    ///
    /// # Errors
    /// As [`Self::heads`]; [`GitError::ReferenceNotFound`].
    pub async fn resolve(&self, reference: &Reference) -> Result<Revision, GitError> {
        reference.validate()?;
        if let Reference::Commit(id) = reference {
            return Ok(Revision {
                id: *id,
                branch: None,
            });
        }
        self.heads().await?.find(reference, &self.url())
    }

    /// Brings the commit of a reference into the mirror: lists references, and
    /// transfers, on the same connection, only if the commit is not there yet.
    /// A fixed commit that is there needs no request.
    ///
    /// # Errors
    /// As [`Self::resolve`]; [`GitError::TooLarge`], [`GitError::Mirror`].
    /// A branch that is gone, an emptied repository and a failed transfer are
    /// errors; what was fetched before stays readable.
    pub async fn fetch(&self, reference: &Reference) -> Result<Commit, GitError> {
        self.fetch_within(reference, Duration::ZERO).await
    }

    /// As [`Self::fetch`], but a listing that another caller got at most
    /// `age` ago is good enough: many references of one repository then cost
    /// one request per round.
    ///
    /// # Errors
    /// As [`Self::fetch`].
    pub async fn fetch_within(
        &self,
        reference: &Reference,
        age: Duration,
    ) -> Result<Commit, GitError> {
        reference.validate()?;
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let reference = reference.clone();
        self.on_server(move |repository| {
            if let Some(commit) = known(repository, &reference, since) {
                return commit;
            }
            let begun = Instant::now();
            let session = repository.session(repository.max_bytes);
            let fetched = repository.mirror.fetch(&reference, &session);
            repository.metrics.fetched(&fetched, begun.elapsed());
            match &fetched {
                Ok(fetched) => repository.note(begun, Ok(Arc::clone(&fetched.heads))),
                Err(error) if concerns_server(error) => repository.note(begun, Err(error.clone())),
                Err(_) => {}
            }
            fetched.map(|fetched| fetched.commit)
        })
        .await
    }

    /// The files below `path` (`""`, `"."` or `"/"`: all) of a fetched commit.
    ///
    /// # Errors
    /// [`GitError::PathNotFound`], [`GitError::PathEscapes`],
    /// [`GitError::LinkEscapes`], [`GitError::TooLarge`],
    /// [`GitError::MissingObject`] (fetch again).
    pub async fn tree(&self, commit: ObjectId, path: &str) -> Result<Arc<TreeSnapshot>, GitError> {
        let mut found = self.trees(commit, &[path]).await?;
        found.pop().unwrap_or_else(|| Err(self.repository.lost()))
    }

    /// The files below several paths, in order, in one go: what a new commit
    /// means for every Subscription of the repository. Trees that did not
    /// change come from a cache.
    ///
    /// # Errors
    /// Of each path as of [`Self::tree`]; as a whole if the mirror cannot be
    /// read.
    pub async fn trees<P: AsRef<str>>(
        &self,
        commit: ObjectId,
        paths: &[P],
    ) -> Result<Vec<Result<Arc<TreeSnapshot>, GitError>>, GitError> {
        let paths: Vec<String> = paths.iter().map(|path| path.as_ref().to_owned()).collect();
        self.locally(move |repository| {
            let limits = repository.limits;
            let list = |git: &git2::Repository| {
                let mut cache = repository
                    .snapshots
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                let listed = paths
                    .iter()
                    .map(|path| tree::snapshot(git, commit, path, &limits, &mut cache));
                Ok(listed.collect::<Vec<_>>())
            };
            let found = repository.mirror.read(list)?;
            for result in &found {
                repository.distrust_if_incomplete(commit, result);
            }
            Ok(found)
        })
        .await
    }

    /// The content of one blob of a fetched commit.
    ///
    /// # Errors
    /// [`GitError::MissingObject`], [`GitError::TooLarge`].
    pub async fn blob(&self, id: ObjectId) -> Result<Bytes, GitError> {
        let found = self.blobs(&[id]).await?;
        found
            .into_iter()
            .next()
            .ok_or(GitError::MissingObject { id: id.to_string() })
    }

    /// The contents of several blobs, in order, in one go.
    ///
    /// # Errors
    /// As [`Self::blob`], for the first that fails; [`GitError::TooLarge`] if
    /// together they exceed the limit on one path's manifests.
    pub async fn blobs(&self, ids: &[ObjectId]) -> Result<Vec<Bytes>, GitError> {
        let ids = ids.to_vec();
        self.locally(move |repository| {
            let limits = repository.limits;
            repository
                .mirror
                .read(|git| tree::blobs(git, &ids, &limits))
        })
        .await
    }

    /// Follows a reference: see [`Watcher`].
    #[must_use]
    pub fn watch(&self, reference: Reference, options: PollOptions) -> Watcher {
        let repository = &self.repository;
        let mut watchers = repository
            .watchers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let key = (reference, options);
        if let Some(watcher) = watchers.get(&key).and_then(Known::alive) {
            return watcher;
        }
        let (reference, options) = key.clone();
        let watcher = Watcher::spawn(&repository.runtime, self.clone(), reference, options);
        watchers.retain(|_, known| known.alive().is_some());
        watchers.insert(key, watcher.known());
        watcher
    }

    /// Runs `work` on the blocking pool with the repository's network lock and
    /// the slots of host and process. If the caller goes away, or the deadline
    /// passes, `work` still ends under its locks.
    async fn on_server<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let repository = Arc::clone(&self.repository);
        let network = Arc::clone(&repository.network).lock_owned().await;
        let mut held = Vec::with_capacity(repository.slots.len());
        for slots in &repository.slots {
            let slot = Arc::clone(slots).acquire_owned().await;
            held.push(slot.map_err(|_| repository.lost())?);
        }
        let running = Arc::clone(&repository);
        let task = repository.runtime.spawn_blocking(move || {
            let result = work(&running);
            drop((held, network));
            result
        });
        match tokio::time::timeout(repository.timeout + GRACE, task).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(repository.lost()),
            Err(_) => Err(GitError::Timeout {
                url: self.url(),
                seconds: repository.timeout.as_secs(),
            }),
        }
    }

    /// Runs `work` on the blocking pool; it touches the mirror only.
    async fn locally<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, GitError> {
        let repository = Arc::clone(&self.repository);
        let runtime = repository.runtime.clone();
        let task = runtime.spawn_blocking(move || work(&repository));
        match task.await {
            Ok(result) => result,
            Err(_) => Err(self.repository.lost()),
        }
    }
}

impl Repository {
    /// A commit that is here while an object below it is not means that the
    /// mirror is damaged.
    fn distrust_if_incomplete<T>(&self, commit: ObjectId, found: &Result<T, GitError>) {
        if let Err(GitError::MissingObject { id }) = found
            && *id != commit.to_string()
        {
            self.mirror.distrust();
        }
    }
}

/// The answer to a fetch that needs no request, if there is one.
fn known(
    repository: &Repository,
    reference: &Reference,
    since: Instant,
) -> Option<Result<Commit, GitError>> {
    if let Reference::Commit(id) = reference {
        return repository.mirror.commit(*id, None).map(Ok);
    }
    let url = repository.mirror.remote().to_string();
    match repository.listed_since(since)? {
        Ok(heads) => match heads.find(reference, &url) {
            Ok(revision) => repository
                .mirror
                .commit(revision.id, revision.branch)
                .map(Ok),
            Err(error) => Some(Err(error)),
        },
        Err(error) => Some(Err(error)),
    }
}

/// Whether an error would meet every reference of the repository alike.
fn concerns_server(error: &GitError) -> bool {
    !matches!(
        error.class(),
        ErrorClass::TooLarge | ErrorClass::Local | ErrorClass::Invalid
    ) && !matches!(error, GitError::ReferenceNotFound { .. })
}
