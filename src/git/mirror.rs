//! A bare mirror on disk. Everything here blocks; callers run it on the
//! blocking pool and hold the repository's network lock while they fetch.

mod compact;
mod place;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use git2::{Direction, FetchOptions, ObjectType, Remote, RemoteCallbacks, Repository};
use jiff::Timestamp;

use self::place::{MARKER, disk_usage, local_url};
pub(super) use self::place::{remove_mirror, unused_for};
use super::error::GitError;
use super::http::plain;
use super::spec::{Commit, Heads, ObjectId, Reference, Revision};
use super::transport::{SESSION_URL, Session};
use super::url::RemoteUrl;

/// Where mirrors keep what they fetched; its references are also what
/// libgit2 tells the server that we have.
const NAMESPACE: &str = "refs/pilothouse";
/// libgit2's "all of the history", for servers that give no single commit.
const UNSHALLOW: i32 = i32::MAX;

/// One mirror; the directory appears at the first fetch.
pub(super) struct Mirror {
    dir: PathBuf,
    remote: RemoteUrl,
    /// The repository that reads use; fetches open their own.
    reader: Mutex<Option<Repository>>,
    /// Objects are missing that should be there: build it anew.
    suspect: AtomicBool,
    max_bytes: u64,
}

/// What a fetch found and brought.
pub(super) struct Fetched {
    pub(super) heads: Arc<Heads>,
    pub(super) commit: Commit,
}

impl Mirror {
    pub(super) fn new(dir: PathBuf, remote: RemoteUrl, max_bytes: u64) -> Self {
        Self {
            dir,
            remote,
            reader: Mutex::new(None),
            suspect: AtomicBool::new(false),
            max_bytes,
        }
    }

    /// Notes on disk that the mirror is in use, for [`unused_for`].
    pub(super) fn touch(&self) {
        if self.dir.join(MARKER).exists() {
            // The mirror works without; it may only be swept earlier.
            let _ = fs::write(self.dir.join(MARKER), format!("{}\n", self.remote));
        }
    }

    pub(super) fn remote(&self) -> &RemoteUrl {
        &self.remote
    }

    /// `ls-remote`.
    pub(super) fn list(&self, session: &Arc<Session>) -> Result<Heads, GitError> {
        session.enter(|| {
            let repository = self.open_or_create()?;
            let mut remote = self.connect(&repository, session)?;
            let heads = read_heads(&remote, session);
            // Only closes; the listing is already here.
            let _ = remote.disconnect();
            heads
        })
    }

    /// Lists, and transfers the commit of `reference` if it is not here yet.
    pub(super) fn fetch(
        &self,
        reference: &Reference,
        session: &Arc<Session>,
    ) -> Result<Fetched, GitError> {
        session.enter(|| {
            if self.suspect.swap(false, Ordering::Relaxed) {
                self.discard()?;
            }
            let repository = self.open_or_create()?;
            let mut remote = self.connect(&repository, session)?;
            let heads = read_heads(&remote, session)?;
            let revision = heads.find(reference, session.url())?;
            if !has_commit(&repository, revision.id) {
                self.download(
                    &repository,
                    &mut remote,
                    &heads,
                    &revision,
                    reference,
                    session,
                )?;
            }
            let _ = remote.disconnect();
            let commit = commit_at(&repository, revision.id, revision.branch)
                .ok_or_else(|| missing(revision.id))?;
            keep(&repository, reference, commit.id, session)?;
            self.compact(&repository);
            Ok(Fetched {
                heads: Arc::new(heads),
                commit,
            })
        })
    }

    fn download(
        &self,
        repository: &Repository,
        remote: &mut Remote<'_>,
        heads: &Heads,
        revision: &Revision,
        reference: &Reference,
        session: &Arc<Session>,
    ) -> Result<(), GitError> {
        let source = match reference {
            Reference::Head => revision
                .branch
                .as_ref()
                .map_or_else(|| "HEAD".to_owned(), |name| format!("refs/heads/{name}")),
            Reference::Commit(id) => heads
                .refs
                .iter()
                .find(|(name, at)| *at == id && name.starts_with("refs/heads/"))
                .map_or_else(|| id.to_string(), |(name, _)| name.clone()),
            other => other.full_name().unwrap_or_default(),
        };
        // One commit is enough, but asking for a depth costs a request: once
        // the server knows what we have, it sends only what is new. (libgit2
        // cannot make a shallow copy of a local repository.)
        let begun = repository.refname_to_id(&kept_as(reference)).is_ok();
        let depth = i32::from(matches!(self.remote, RemoteUrl::Http(_)) && !begun);
        let wanted = format!("+{source}:{NAMESPACE}/wanted");
        let first = download(remote, &[wanted], depth, session);
        if begun && matches!(first, Err(GitError::TooLarge { .. })) {
            // The rest of a rewritten history may be what is large: begin
            // anew with one commit.
            self.distrust();
        }
        if !matches!(reference, Reference::Commit(_)) {
            first?;
        } else if first.is_err() || !has_commit(repository, revision.id) {
            // The server gives no commit by its id: take all history, once.
            let depth = if depth == 0 { 0 } else { UNSHALLOW };
            let mut again = self.connect(repository, session)?;
            let all = [
                format!("+refs/heads/*:{NAMESPACE}/all/heads/*"),
                format!("+refs/tags/*:{NAMESPACE}/all/tags/*"),
            ];
            download(&mut again, &all, depth, session)?;
            let _ = again.disconnect();
        }
        if !has_commit(repository, revision.id) {
            return Err(match reference {
                Reference::Commit(_) => GitError::ReferenceNotFound {
                    url: session.url().to_owned(),
                    reference: reference.to_string(),
                },
                _ => GitError::Unreachable {
                    url: session.url().to_owned(),
                    reason: format!("commit {} was announced but not sent", revision.id),
                },
            });
        }
        if disk_usage(&self.dir) > self.max_bytes {
            self.suspect.store(true, Ordering::Relaxed);
            return Err(GitError::TooLarge {
                what: format!("the mirror of {}", session.url()),
                limit: self.max_bytes,
                unit: "bytes",
                advice: "raise the limit on repositories, or split the repository",
            });
        }
        Ok(())
    }

    /// A commit that is already here.
    pub(super) fn commit(&self, id: ObjectId, branch: Option<String>) -> Option<Commit> {
        self.read(|repository| Ok(commit_at(repository, id, branch)))
            .ok()
            .flatten()
    }

    /// Runs `work` on the reading repository.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Repository) -> Result<T, GitError>,
    ) -> Result<T, GitError> {
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if reader.is_none() {
            *reader = Some(self.open()?);
        }
        match reader.as_ref() {
            Some(repository) => work(repository),
            None => Err(self.failed("it cannot be opened")),
        }
    }

    /// Notes that an object is missing whose commit is here, so that the next
    /// fetch builds the mirror anew.
    pub(super) fn distrust(&self) {
        self.suspect.store(true, Ordering::Relaxed);
    }

    fn failed(&self, reason: &str) -> GitError {
        GitError::Mirror {
            url: self.remote.to_string(),
            reason: plain(reason),
        }
    }

    /// The mirror sees its own configuration only, never the machine's.
    fn open(&self) -> Result<Repository, GitError> {
        let failed = |error: git2::Error| self.failed(error.message());
        let repository = Repository::open_bare(&self.dir).map_err(failed)?;
        let config = git2::Config::open(&self.dir.join("config")).map_err(failed)?;
        repository.set_config(&config).map_err(failed)?;
        Ok(repository)
    }

    fn open_or_create(&self) -> Result<Repository, GitError> {
        if self.dir.join("HEAD").exists() && self.dir.join(MARKER).exists() {
            match self.open() {
                Ok(repository) => return Ok(repository),
                Err(error) => tracing::warn!(%error, "a git mirror is built anew"),
            }
            self.discard()?;
        }
        let failed = |error: std::io::Error| self.failed(&error.to_string());
        fs::create_dir_all(&self.dir).map_err(failed)?;
        fs::write(self.dir.join(MARKER), format!("{}\n", self.remote)).map_err(failed)?;
        let mut options = git2::RepositoryInitOptions::new();
        options.bare(true).external_template(false);
        Repository::init_opts(&self.dir, &options).map_err(|error| self.failed(error.message()))?;
        self.open()
    }

    /// Removes the mirror's directory, if the marker says that it is ours.
    fn discard(&self) -> Result<(), GitError> {
        *self.reader.lock().unwrap_or_else(PoisonError::into_inner) = None;
        remove_mirror(&self.dir).map_err(|error| self.failed(&error.to_string()))
    }

    /// Merges small packs now and then; a failure costs nothing but time.
    fn compact(&self, repository: &Repository) {
        let old = match compact::merged(repository, &self.dir) {
            Ok(old) => old,
            Err(error) => {
                tracing::warn!(
                    error = error.message(),
                    "packs of a git mirror stay unmerged"
                );
                return;
            }
        };
        if old.is_empty() {
            return;
        }
        // The reader must not meet a pack that it knows but cannot open.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        *reader = None;
        compact::remove(&old);
    }

    fn connect<'repo>(
        &self,
        repository: &'repo Repository,
        session: &Arc<Session>,
    ) -> Result<Remote<'repo>, GitError> {
        let url = match &self.remote {
            RemoteUrl::Http(_) => SESSION_URL.to_owned(),
            RemoteUrl::Local(path) => {
                if !path.is_dir() {
                    return Err(GitError::RepositoryNotFound {
                        url: session.url().to_owned(),
                    });
                }
                local_url(path)
            }
        };
        let explain = |error: git2::Error| session.explain(&error);
        let mut remote = repository.remote_anonymous(&url).map_err(explain)?;
        remote.connect(Direction::Fetch).map_err(explain)?;
        Ok(remote)
    }
}

impl Heads {
    /// Where `reference` points.
    ///
    /// # Errors
    /// [`GitError::ReferenceNotFound`], [`GitError::InvalidReference`].
    pub(super) fn find(&self, reference: &Reference, url: &str) -> Result<Revision, GitError> {
        reference.validate()?;
        let not_found = || GitError::ReferenceNotFound {
            url: url.to_owned(),
            reference: reference.to_string(),
        };
        let Some(name) = reference.full_name() else {
            let Reference::Commit(id) = reference else {
                return Err(not_found());
            };
            return Ok(Revision {
                id: *id,
                branch: None,
            });
        };
        let id = self
            .refs
            .get(&format!("{name}^{{}}"))
            .or_else(|| self.refs.get(&name))
            .copied()
            .ok_or_else(not_found)?;
        let branch = match reference {
            Reference::Branch(name) => Some(name.clone()),
            Reference::Head => self.default_branch.clone(),
            Reference::Tag(_) | Reference::Commit(_) => None,
        };
        Ok(Revision { id, branch })
    }
}

fn read_heads(remote: &Remote<'_>, session: &Session) -> Result<Heads, GitError> {
    let mut heads = Heads::default();
    for head in remote.list().map_err(|error| session.explain(&error))? {
        let name = head.name();
        if name == "HEAD" {
            heads.default_branch = head
                .symref_target()
                .and_then(|target| target.strip_prefix("refs/heads/"))
                .map(ToOwned::to_owned);
        }
        let followed = name == "HEAD" || name.starts_with("refs/heads/");
        if followed || name.starts_with("refs/tags/") {
            heads.refs.insert(name.to_owned(), ObjectId(head.oid()));
        }
    }
    if heads.refs.is_empty() {
        return Err(GitError::EmptyRepository {
            url: session.url().to_owned(),
        });
    }
    Ok(heads)
}

fn download(
    remote: &mut Remote<'_>,
    refspecs: &[String],
    depth: i32,
    session: &Arc<Session>,
) -> Result<(), GitError> {
    let mut callbacks = RemoteCallbacks::new();
    callbacks.transfer_progress(|progress| session.may_go_on(progress.received_bytes() as u64));
    let mut options = FetchOptions::new();
    options
        .remote_callbacks(callbacks)
        .depth(depth)
        .download_tags(git2::AutotagOption::None)
        .update_fetchhead(false);
    remote
        .download(refspecs, Some(&mut options))
        .map_err(|error| session.explain(&error))
}

fn has_commit(repository: &Repository, id: ObjectId) -> bool {
    commit_at(repository, id, None).is_some()
}

/// The commit at `id`, peeled if that is an annotated tag.
fn commit_at(repository: &Repository, id: ObjectId, branch: Option<String>) -> Option<Commit> {
    let object = repository.find_object(id.0, None).ok()?;
    let commit = object.peel(ObjectType::Commit).ok()?.into_commit().ok()?;
    let author = commit.author();
    let name = String::from_utf8_lossy(author.name_bytes()).into_owned();
    let address = String::from_utf8_lossy(author.email_bytes()).into_owned();
    let message = String::from_utf8_lossy(commit.message_bytes()).into_owned();
    Some(Commit {
        id: ObjectId(commit.id()),
        tree: ObjectId(commit.tree_id()),
        author: plain(&format!("{name} <{address}>")),
        summary: plain(message.trim_start().lines().next().unwrap_or_default()),
        time: Timestamp::from_second(commit.time().seconds()).unwrap_or(Timestamp::UNIX_EPOCH),
        branch,
    })
}

/// The mirror's own name for a reference.
fn kept_as(reference: &Reference) -> String {
    match reference {
        Reference::Commit(id) => format!("{NAMESPACE}/commits/{id}"),
        Reference::Head => format!("{NAMESPACE}/HEAD"),
        Reference::Branch(name) => format!("{NAMESPACE}/heads/{name}"),
        Reference::Tag(name) => format!("{NAMESPACE}/tags/{name}"),
    }
}

/// Points a reference of the mirror at the commit: it is what the next fetch
/// tells the server that we have.
fn keep(
    repository: &Repository,
    reference: &Reference,
    id: ObjectId,
    session: &Session,
) -> Result<(), GitError> {
    let name = kept_as(reference);
    let at = repository.refname_to_id(&name).ok();
    if at == Some(id.0) {
        return Ok(());
    }
    repository
        .reference(&name, id.0, true, "fetched")
        .map(drop)
        .map_err(|error| session.explain(&error))
}

fn missing(id: ObjectId) -> GitError {
    GitError::MissingObject { id: id.to_string() }
}
