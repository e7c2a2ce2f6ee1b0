//! libgit2's smart protocol over our own HTTP client.
//!
//! libgit2 knows transports by URL scheme and for the whole process. Ours has
//! a scheme of its own, `pilothouse://`, and takes everything that differs per
//! call (server, credential, TLS settings, deadline, byte limit) from a
//! [`Session`] that the calling thread holds. The real URL never reaches
//! libgit2, nor does any git configuration apply to it.

use std::cell::RefCell;
use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use git2::transport::{Service, SmartSubtransport, SmartSubtransportStream, Transport};
use http::Uri;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::runtime::Handle;

use super::error::GitError;
use super::http::{Endpoint, plain};

/// The URL to give libgit2 while a [`Session`] is entered.
pub(super) const SESSION_URL: &str = "pilothouse://session";

thread_local! {
    static CURRENT: RefCell<Option<Arc<Session>>> = const { RefCell::new(None) };
}

/// Makes the transport known to libgit2, once per process.
///
/// # Errors
/// libgit2's reason.
pub(super) fn register() -> Result<(), GitError> {
    static DONE: OnceLock<Result<(), GitError>> = OnceLock::new();
    DONE.get_or_init(|| {
        let factory = |remote: &git2::Remote<'_>| {
            let session = CURRENT
                .with_borrow(Clone::clone)
                .ok_or_else(|| git2::Error::from_str("no git session is entered on this thread"))?;
            Transport::smart(remote, true, Subtransport(session))
        };
        // SAFETY: `register` must not run beside the creation of another
        // transport. The `OnceLock` makes it run once; every use of libgit2 in
        // this process goes through `Fetcher`, whose constructor runs this.
        #[allow(unsafe_code)]
        let registered = unsafe { git2::transport::register("pilothouse", factory) };
        registered.map_err(|error| GitError::Mirror {
            url: "the git transport".to_owned(),
            reason: plain(error.message()),
        })
    })
    .clone()
}

/// Limits, connection and outcome of one operation.
pub(super) struct Session {
    endpoint: Option<Arc<Endpoint>>,
    /// Redacted URL for errors.
    url: String,
    runtime: Handle,
    deadline: Instant,
    timeout: Duration,
    max_bytes: u64,
    received: AtomicU64,
    base: Mutex<Option<Uri>>,
    failure: Mutex<Option<GitError>>,
}

impl Session {
    /// `endpoint` is `None` for a local repository.
    pub(super) fn new(
        endpoint: Option<Arc<Endpoint>>,
        url: String,
        runtime: Handle,
        timeout: Duration,
        max_bytes: u64,
    ) -> Arc<Self> {
        Arc::new(Self {
            endpoint,
            url,
            runtime,
            deadline: Instant::now() + timeout,
            timeout,
            max_bytes,
            received: AtomicU64::new(0),
            base: Mutex::new(None),
            failure: Mutex::new(None),
        })
    }

    /// Runs `work` with this session as the thread's current one.
    pub(super) fn enter<T>(self: &Arc<Self>, work: impl FnOnce() -> T) -> T {
        struct Leave;
        impl Drop for Leave {
            fn drop(&mut self) {
                CURRENT.set(None);
            }
        }
        CURRENT.set(Some(Arc::clone(self)));
        let _leave = Leave;
        work()
    }

    /// Whether the transfer may go on; called with the bytes seen so far.
    pub(super) fn may_go_on(&self, received: u64) -> bool {
        if received > self.max_bytes {
            self.fail(self.too_large());
            return false;
        }
        if Instant::now() >= self.deadline {
            self.fail(self.timed_out());
            return false;
        }
        true
    }

    /// The error to report for a failed libgit2 call: what our transport
    /// noted, or else libgit2's own.
    pub(super) fn explain(&self, error: &git2::Error) -> GitError {
        if let Some(noted) = lock(&self.failure).take() {
            return noted;
        }
        let url = self.url.clone();
        let reason = plain(error.message());
        // libgit2 loses the code of this one on its way through the transport.
        if reason.starts_with("could not find repository") {
            return GitError::RepositoryNotFound { url };
        }
        match (error.code(), error.class()) {
            (git2::ErrorCode::Owner, _) => GitError::Mirror {
                url,
                reason: "another user owns the repository; add it to safe.directory".to_owned(),
            },
            (_, git2::ErrorClass::Net | git2::ErrorClass::Http | git2::ErrorClass::Ssl) => {
                GitError::Unreachable { url, reason }
            }
            // A pack that does not parse came over the wire.
            (_, git2::ErrorClass::Indexer | git2::ErrorClass::Zlib) => {
                GitError::Unreachable { url, reason }
            }
            _ => GitError::Mirror { url, reason },
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    fn fail(&self, error: GitError) {
        lock(&self.failure).get_or_insert(error);
    }

    fn too_large(&self) -> GitError {
        GitError::TooLarge {
            what: self.url.clone(),
            limit: self.max_bytes,
            unit: "bytes",
            advice: "raise the limit on repositories, or split the repository",
        }
    }

    fn timed_out(&self) -> GitError {
        GitError::Timeout {
            url: self.url.clone(),
            seconds: self.timeout.as_secs().max(1),
        }
    }

    /// Waits for `work`, at most until the deadline.
    fn wait<T>(&self, work: impl Future<Output = Result<T, GitError>>) -> Result<T, GitError> {
        let until = tokio::time::Instant::from_std(self.deadline);
        self.runtime.block_on(async {
            tokio::time::timeout_at(until, work)
                .await
                .unwrap_or_else(|_| Err(self.timed_out()))
        })
    }

    fn endpoint(&self) -> Result<&Arc<Endpoint>, GitError> {
        self.endpoint.as_ref().ok_or_else(|| GitError::Mirror {
            url: self.url.clone(),
            reason: "a local repository was asked for over http".to_owned(),
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Subtransport(Arc<Session>);

impl SmartSubtransport for Subtransport {
    fn action(
        &self,
        _url: &str,
        service: Service,
    ) -> Result<Box<dyn SmartSubtransportStream>, git2::Error> {
        let state = match service {
            Service::UploadPackLs => State::Advertisement,
            Service::UploadPack => State::Request(Vec::new()),
            Service::ReceivePackLs | Service::ReceivePack => {
                return Err(git2::Error::from_str("pushing is not supported"));
            }
        };
        Ok(Box::new(Stream {
            session: Arc::clone(&self.0),
            state,
        }))
    }

    fn close(&self) -> Result<(), git2::Error> {
        Ok(())
    }
}

/// One request and its response; the request is sent at the first read.
struct Stream {
    session: Arc<Session>,
    state: State,
}

enum State {
    Advertisement,
    Request(Vec<u8>),
    Response { body: Incoming, chunk: Bytes },
    End,
}

impl Stream {
    fn send(&mut self) -> Result<(), GitError> {
        let session = Arc::clone(&self.session);
        let response = match std::mem::replace(&mut self.state, State::End) {
            State::Advertisement => {
                let endpoint = session.endpoint()?;
                let (response, base) = session.wait(endpoint.advertisement())?;
                *lock(&session.base) = Some(base);
                response
            }
            State::Request(body) => {
                let endpoint = session.endpoint()?;
                let base = lock(&session.base).clone();
                let base = base.unwrap_or_else(|| endpoint.base().clone());
                session.wait(endpoint.upload_pack(&base, body))?
            }
            other => {
                self.state = other;
                return Ok(());
            }
        };
        self.state = State::Response {
            body: response.into_body(),
            chunk: Bytes::new(),
        };
        Ok(())
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, GitError> {
        self.send()?;
        let session = Arc::clone(&self.session);
        let State::Response { body, chunk } = &mut self.state else {
            return Ok(0);
        };
        while chunk.is_empty() {
            let frame = session.wait(async {
                match body.frame().await.transpose() {
                    Ok(frame) => Ok(frame),
                    Err(error) => Err(GitError::Unreachable {
                        url: session.url.clone(),
                        reason: plain(&error.to_string()),
                    }),
                }
            })?;
            let Some(frame) = frame else {
                self.state = State::End;
                return Ok(0);
            };
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let add = data.len() as u64;
            let received = session.received.fetch_add(add, Ordering::Relaxed) + add;
            if received > session.max_bytes {
                return Err(session.too_large());
            }
            *chunk = data;
        }
        let length = chunk.len().min(out.len());
        chunk.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

impl Read for Stream {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.fill(out).map_err(|error| {
            self.session.fail(error);
            // The text ends up in a C string; the real error is in the session.
            io::Error::other("the transfer failed")
        })
    }
}

impl Write for Stream {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Request(body) => {
                body.extend_from_slice(data);
                Ok(data.len())
            }
            _ => Err(io::Error::other("the request was already sent")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
