//! The process's one door to git servers: mirrors, limits, deadlines.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::config::GitConfig;
use super::error::GitError;
use super::handle::{Repository, RepositoryHandle};
use super::http::{Endpoint, plain};
use super::metrics::GitMetrics;
use super::mirror::{self, Mirror};
use super::spec::{Auth, Credential, RepositorySpec};
use super::transport;
use super::tree::TreeLimits;
use super::url::RemoteUrl;

/// Operations at once against one host.
const PER_HOST: usize = 2;
/// Operations at once in all; each occupies a blocking thread.
const IN_ALL: usize = 16;

/// Settings of the process.
#[derive(Clone, Debug)]
pub struct FetcherOptions {
    /// Where bare mirrors are kept; made on first use, mode 0700.
    pub cache_dir: PathBuf,
    /// Whether Channels (after `insteadOf`) may name repositories of this
    /// machine (`--allow-local-git`).
    pub allow_local: bool,
    /// Deadline of one operation against a server.
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

/// Fetches repositories; cheap to clone, one per process. Needs to be made
/// and used within a tokio runtime.
#[derive(Clone)]
pub struct Fetcher {
    shared: Arc<Shared>,
}

struct Shared {
    options: FetcherOptions,
    runtime: Handle,
    /// Keys the names of mirror directories, so that a name tells nothing
    /// about a credential.
    key: [u8; 32],
    open: Mutex<Open>,
    all: Arc<Semaphore>,
    metrics: GitMetrics,
}

#[derive(Default)]
struct Open {
    repositories: HashMap<String, Weak<Repository>>,
    hosts: HashMap<String, Weak<Semaphore>>,
}

impl Fetcher {
    /// Opens the cache directory and registers our git transport with libgit2.
    ///
    /// # Errors
    /// [`GitError::Mirror`] if the cache directory cannot be made, or there is
    /// no tokio runtime.
    pub fn new(options: FetcherOptions) -> Result<Self, GitError> {
        transport::register()?;
        let failed = |reason: String| GitError::Mirror {
            url: "all repositories".to_owned(),
            reason: plain(&reason),
        };
        let key = open_cache(&options.cache_dir).map_err(|error| failed(error.to_string()))?;
        let runtime = Handle::try_current().map_err(|error| failed(error.to_string()))?;
        Ok(Self {
            shared: Arc::new(Shared {
                options,
                runtime,
                key,
                open: Mutex::new(Open::default()),
                all: Arc::new(Semaphore::new(IN_ALL)),
                metrics: GitMetrics::default(),
            }),
        })
    }

    /// Counters of the traffic with servers.
    #[must_use]
    pub fn metrics(&self) -> &GitMetrics {
        &self.shared.metrics
    }

    /// The repository of a Channel. Equal URL (after `insteadOf`) and equal
    /// credential give the same mirror, connections and locks; a mirror is
    /// never shared across credentials, so that no one reads with another's
    /// rights. Checks URL and credential, talks to nobody.
    ///
    /// # Errors
    /// [`GitError::InvalidUrl`], [`GitError::LocalRefused`],
    /// [`GitError::InvalidAuth`].
    pub fn repository(&self, spec: &RepositorySpec) -> Result<RepositoryHandle, GitError> {
        let shared = &self.shared;
        let rewritten = shared.options.git_config.rewrite(spec.url.trim());
        let (remote, user_info) = RemoteUrl::parse(&rewritten)?;
        if matches!(remote, RemoteUrl::Local(_)) && !shared.options.allow_local {
            return Err(GitError::LocalRefused {
                url: remote.to_string(),
            });
        }
        let mut auth = spec.auth.clone();
        if let (Credential::None, Some(info)) = (&auth.credential, user_info) {
            auth.credential = Credential::Basic {
                user: info.user,
                token: info.password,
            };
        }
        let name = mirror_name(&shared.key, &remote, &auth);
        let mut open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(repository) = open.repositories.get(&name).and_then(Weak::upgrade) {
            return Ok(RepositoryHandle::new(repository));
        }
        let endpoint = match &remote {
            RemoteUrl::Http(uri) => Some(Arc::new(Endpoint::new(uri.clone(), &auth)?)),
            RemoteUrl::Local(_) => None,
        };
        let dir = shared.options.cache_dir.join(format!("{name}.git"));
        let host = open.host(&remote.host());
        let mirror = Mirror::new(dir, remote, shared.options.max_repo_bytes);
        mirror.touch();
        let repository = Arc::new(Repository::new(
            mirror,
            endpoint,
            [host, Arc::clone(&shared.all)],
            shared.runtime.clone(),
            &shared.options,
            shared.metrics.clone(),
        ));
        open.repositories.retain(|_, weak| weak.strong_count() > 0);
        open.repositories.insert(name, Arc::downgrade(&repository));
        Ok(RepositoryHandle::new(repository))
    }
}

impl Fetcher {
    /// Removes mirrors that no handle uses and that were opened last longer
    /// than `unused_for` ago; returns how many. Blocks; meant for once a day.
    #[must_use]
    pub fn sweep(&self, unused_for: Duration) -> usize {
        let shared = &self.shared;
        // Holding the lock keeps a mirror from being opened meanwhile.
        let open = shared.open.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(entries) = fs::read_dir(&shared.options.cache_dir) else {
            return 0;
        };
        let mut removed = 0;
        for entry in entries.filter_map(Result::ok) {
            let path = entry.path();
            let in_use = path
                .file_stem()
                .and_then(|stem| open.repositories.get(stem.to_str()?))
                .is_some_and(|weak| weak.strong_count() > 0);
            if in_use || mirror::unused_for(&path).is_none_or(|age| age < unused_for) {
                continue;
            }
            match mirror::remove_mirror(&path) {
                Ok(()) => removed += 1,
                Err(error) => tracing::warn!(%error, "an unused git mirror stays"),
            }
        }
        removed
    }
}

impl Open {
    fn host(&mut self, name: &str) -> Arc<Semaphore> {
        if let Some(found) = self.hosts.get(name).and_then(Weak::upgrade) {
            return found;
        }
        self.hosts.retain(|_, weak| weak.strong_count() > 0);
        let permits = Arc::new(Semaphore::new(PER_HOST));
        self.hosts.insert(name.to_owned(), Arc::downgrade(&permits));
        permits
    }
}

/// The directory name of a mirror: a keyed digest of URL and credential.
fn mirror_name(key: &[u8; 32], remote: &RemoteUrl, auth: &Auth) -> String {
    // A key of 32 bytes is always accepted; an empty name would still be safe
    // to use, as it only names a directory.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    let url = remote.to_string();
    let insecure = if auth.insecure_skip_verify { "1" } else { "0" };
    let (kind, first, second) = match &auth.credential {
        Credential::None => ("none", "", ""),
        Credential::Basic { user, token } => ("basic", user.as_str(), token.as_str()),
        Credential::ClientCertificate { cert, key } => ("cert", cert.as_str(), key.as_str()),
    };
    let ca = auth.ca_certs.as_deref().unwrap_or_default();
    for part in [url.as_str(), kind, first, second, ca, insecure] {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    let digest = mac.finalize().into_bytes();
    digest
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Makes the cache directory (0700) and reads or makes its key (0600).
fn open_cache(dir: &Path) -> std::io::Result<[u8; 32]> {
    use std::io::Write as _;
    use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)?;
    let file = dir.join("names.key");
    if let Ok(bytes) = fs::read(&file)
        && let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice())
    {
        return Ok(key);
    }
    let mut key = [0; 32];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut key)
        .map_err(|_| std::io::Error::other("no randomness"))?;
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&file)?;
    out.write_all(&key)?;
    Ok(key)
}
