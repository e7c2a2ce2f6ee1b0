//! Whether this process may write: asked just before every write, on the hub
//! and on members.
//!
//! Server-side apply knows no fencing, so a leader judges by its own clock,
//! which also runs while the process is stopped: it leads as long as its last
//! renewal *began* less than the renew deadline ago. Another may take the
//! lease only after the (longer) lease duration, so the difference is the
//! margin for what is under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use http::{Method, Request};
use kube::Client;
use kube::client::Body;

/// Before every renewal; instants are kept as milliseconds after it.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
/// A leadership that ended.
const ENDED: u64 = 0;
/// A leadership that needs no renewal: nobody else can lead.
const ALWAYS: u64 = u64::MAX;

/// A write was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this process does not lead any more: the request was not sent")]
pub struct NotLeading;

/// Leadership as the process that holds it sees it. Clones share it.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Milliseconds after [`BEGINNING`] until which writes may be sent.
    until: Arc<AtomicU64>,
    transitions: u64,
}

impl Default for Leadership {
    /// That of a process that alone can lead.
    fn default() -> Self {
        Self {
            until: Arc::new(AtomicU64::new(ALWAYS)),
            transitions: 0,
        }
    }
}

impl Leadership {
    /// Leadership by a Lease of so many `transitions`, until it is renewed or
    /// ends. It holds for `term` from `began`, when the renewal was sent.
    #[must_use]
    pub fn of_lease(transitions: u64, began: Instant, term: Duration) -> Self {
        let leadership = Self {
            until: Arc::new(AtomicU64::new(ENDED)),
            transitions,
        };
        leadership.renew(began, term);
        leadership
    }

    /// Holds for `term` from `began` on.
    pub fn renew(&self, began: Instant, term: Duration) {
        self.until.store(millis(began + term), Ordering::SeqCst);
    }

    /// Holds no longer.
    pub fn end(&self) {
        self.until.store(ENDED, Ordering::SeqCst);
    }

    /// Whether a write may be sent now.
    #[must_use]
    pub fn holds(&self) -> bool {
        millis(Instant::now()) < self.until.load(Ordering::SeqCst)
    }

    /// `leaseTransitions` of the Lease: orders plans of different leaders.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// The same client, but its writes fail once this leadership has ended.
    /// Reviews of tokens and access are POSTs that write nothing.
    #[must_use]
    pub fn guard(&self, client: Client) -> Client {
        let leadership = self.clone();
        let namespace = client.default_namespace().to_owned();
        let service = tower::service_fn(move |request: Request<Body>| {
            let client = client.clone();
            let refused = writes(&request) && !leadership.holds();
            async move {
                if refused {
                    return Err(kube::Error::Service(NotLeading.into()));
                }
                client.send(request).await
            }
        });
        Client::new(service, namespace)
    }
}

fn writes<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let review = [
        "/apis/authentication.k8s.io/",
        "/apis/authorization.k8s.io/",
    ]
    .iter()
    .any(|group| path.starts_with(group));
    !review && !matches!(*request.method(), Method::GET | Method::HEAD)
}

/// Milliseconds after the beginning, never 0.
fn millis(at: Instant) -> u64 {
    let since = at.saturating_duration_since(*BEGINNING).as_millis();
    u64::try_from(since).unwrap_or(ALWAYS - 1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERM: Duration = Duration::from_secs(10);

    #[test]
    fn leadership_holds_for_its_term_from_the_moment_the_renewal_was_sent() {
        let now = Instant::now() + Duration::from_secs(100);
        assert!(Leadership::default().holds());
        let leadership = Leadership::of_lease(3, now, TERM);
        assert!(leadership.holds());
        leadership.end();
        assert!(!leadership.holds());
        leadership.renew(Instant::now(), Duration::ZERO);
        assert!(!leadership.holds(), "a term that is over");
        leadership.renew(now, TERM);
        assert!(leadership.holds());
    }

    #[tokio::test]
    async fn only_writes_need_leadership() {
        let server = tower::service_fn(|_: Request<Body>| async {
            Ok::<_, kube::Error>(http::Response::new(Body::from(b"ok".to_vec())))
        });
        let leadership = Leadership::default();
        let client = leadership.guard(Client::new(server, "default"));
        let send = |method: Method, path: &'static str| {
            let client = client.clone();
            let request = Request::builder().method(method).uri(path);
            async move { client.send(request.body(Body::empty()).unwrap()).await }
        };
        assert!(send(Method::PATCH, "/api/v1/namespaces/a").await.is_ok());
        leadership.end();
        assert!(send(Method::GET, "/api/v1/namespaces/a").await.is_ok());
        let review = "/apis/authentication.k8s.io/v1/tokenreviews";
        assert!(send(Method::POST, review).await.is_ok());
        let refused = send(Method::PATCH, "/api/v1/namespaces/a").await;
        let error = super::super::chain(&refused.err().unwrap());
        assert!(error.contains("does not lead any more"), "{error}");
    }
}
