//! Leadership by a Lease: one process of a hub writes, the others wait.
//!
//! The rule is client-go's: a lease that was not renewed for its duration, as
//! observed by the local clock, may be taken. A leader that cannot renew
//! within the renew deadline ends its leadership before another may begin.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Name of the Lease.
const LEASE_NAME: &str = "pilothouse";
/// How long a lease holds without renewal (as kube-controller-manager).
const LEASE_DURATION: Duration = Duration::from_secs(15);
/// A leader that could not renew for this long gives up.
const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts.
const RETRY_PERIOD: Duration = Duration::from_secs(2);

/// Why leadership could not be sought.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The Lease cannot be read or written.
    #[error(
        "cannot use lease {namespace}/{LEASE_NAME}; check the rights on coordination.k8s.io leases"
    )]
    Api {
        /// Namespace of the Lease.
        namespace: String,
        /// What the API said.
        #[source]
        source: Box<kube::Error>,
    },
    /// Leadership was lost.
    #[error("leadership was lost: lease {namespace}/{LEASE_NAME} could not be renewed for {} seconds", RENEW_DEADLINE.as_secs())]
    Lost {
        /// Namespace of the Lease.
        namespace: String,
    },
}

/// Holds leadership of a hub.
#[derive(Clone, Debug)]
pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    identity: String,
}

/// The holder seen last and when it last moved, by our own clock.
struct Observed {
    spec: Option<LeaseSpec>,
    at: Instant,
}

impl Elector {
    /// An elector for the Lease `NAMESPACE/pilothouse`. `identity` must be
    /// unique to this process.
    #[must_use]
    pub fn new(client: Client, namespace: &str, identity: String) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            identity,
        }
    }

    /// Waits until this process leads.
    ///
    /// # Errors
    /// Never on a passing fault: only when the API refuses the first attempt
    /// for a reason that waiting does not mend (403, 404).
    pub async fn acquire(&self) -> Result<i32, LeaseError> {
        let mut observed = Observed {
            spec: None,
            at: Instant::now(),
        };
        loop {
            match self.try_acquire(&mut observed).await {
                Ok(Some(transitions)) => return Ok(transitions),
                Ok(None) => {}
                Err(kube::Error::Api(status)) if status.code == 403 || status.code == 404 => {
                    return Err(self.api_error(kube::Error::Api(status)));
                }
                Err(error) => {
                    tracing::warn!(error = %super::chain(&error), "cannot reach the lease, trying again")
                }
            }
            tokio::time::sleep(RETRY_PERIOD).await;
        }
    }

    /// Renews until `shutdown` (then gives the lease back) or until it is lost.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when it could not be renewed in time.
    pub async fn hold(&self, shutdown: &CancellationToken) -> Result<(), LeaseError> {
        let mut renewed = Instant::now();
        let mut observed = Observed {
            spec: None,
            at: renewed,
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => {
                    self.release().await;
                    return Ok(());
                }
                () = tokio::time::sleep(RETRY_PERIOD) => {}
            }
            let attempt =
                tokio::time::timeout(RENEW_DEADLINE / 2, self.try_acquire(&mut observed)).await;
            if let Ok(Ok(Some(_))) = attempt {
                renewed = Instant::now();
            } else if renewed.elapsed() >= RENEW_DEADLINE {
                return Err(LeaseError::Lost {
                    namespace: self.namespace.clone(),
                });
            }
        }
    }

    /// Takes or renews the lease. `Some(transitions)` when this process holds it now.
    async fn try_acquire(&self, observed: &mut Observed) -> Result<Option<i32>, kube::Error> {
        let Some(mut lease) = self.api.get_opt(LEASE_NAME).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(LEASE_NAME.into()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None)),
            };
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(Some(0)),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
                Err(error) => Err(error),
            };
        };
        if observed.spec != lease.spec {
            observed.spec.clone_from(&lease.spec);
            observed.at = Instant::now();
        }
        let current = lease.spec.clone().unwrap_or_default();
        let ours = current.holder_identity.as_deref() == Some(self.identity.as_str());
        let free = current.holder_identity.as_deref().is_none_or(str::is_empty);
        if !ours && !free && observed.at.elapsed() < duration_of(&current) {
            return Ok(None);
        }
        let spec = self.spec(Some(&current));
        let transitions = spec.lease_transitions.unwrap_or_default();
        lease.spec = Some(spec);
        match self
            .api
            .replace(LEASE_NAME, &PostParams::default(), &lease)
            .await
        {
            Ok(_) => Ok(Some(transitions)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn spec(&self, current: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = current
            .is_some_and(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = current
            .and_then(|spec| spec.lease_transitions)
            .unwrap_or_default();
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(LEASE_DURATION.as_secs()).ok(),
            acquire_time: current
                .filter(|_| ours)
                .and_then(|spec| spec.acquire_time.clone())
                .or_else(|| Some(now.clone())),
            renew_time: Some(now),
            lease_transitions: Some(if ours || current.is_none() {
                transitions
            } else {
                transitions.saturating_add(1)
            }),
            ..LeaseSpec::default()
        }
    }

    /// Gives the lease back so that a standby need not wait for it to expire.
    async fn release(&self) {
        let Ok(Some(mut lease)) = self.api.get_opt(LEASE_NAME).await else {
            return;
        };
        let Some(spec) = lease.spec.as_mut() else {
            return;
        };
        if spec.holder_identity.as_deref() != Some(self.identity.as_str()) {
            return;
        }
        spec.holder_identity = Some(String::new());
        if let Err(error) = self
            .api
            .replace(LEASE_NAME, &PostParams::default(), &lease)
            .await
        {
            tracing::debug!(error = %super::chain(&error), "the lease was not given back; it expires by itself");
        }
    }

    fn api_error(&self, source: kube::Error) -> LeaseError {
        LeaseError::Api {
            namespace: self.namespace.clone(),
            source: Box::new(source),
        }
    }
}

fn duration_of(spec: &LeaseSpec) -> Duration {
    spec.lease_duration_seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(LEASE_DURATION, Duration::from_secs)
}
