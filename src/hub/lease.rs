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
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::leadership::Leadership;

/// Name of the Lease.
const LEASE_NAME: &str = "pilothouse";
/// Where the holder's dashboard and webhook are reached, as `http://HOST:PORT`.
const ANNOTATION_ADDRESS: &str = "pilothouse.dev/address";
/// client-go's jitter of the retry period, as a factor.
const JITTER: f64 = 1.2;

/// Times of the election. The defaults are kube-controller-manager's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTimes {
    /// How long a lease holds without renewal; whole seconds.
    pub duration: Duration,
    /// A leader that could not renew for this long gives up.
    pub renew_deadline: Duration,
    /// Time between two attempts.
    pub retry_period: Duration,
}

impl Default for LeaseTimes {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

impl LeaseTimes {
    /// Refuses times under which two could lead, as client-go does.
    ///
    /// # Errors
    /// [`LeaseError::Times`] with the rule that is broken.
    pub fn validate(self) -> Result<Self, LeaseError> {
        let rule = if self.duration < Duration::from_secs(1) || self.duration.subsec_nanos() != 0 {
            "the lease duration must be whole seconds, at least one: the Lease holds it so"
        } else if self.duration <= self.renew_deadline {
            "the lease duration must be greater than the renew deadline"
        } else if self.renew_deadline <= self.retry_period.mul_f64(JITTER) {
            "the renew deadline must be greater than 1.2 times the retry period"
        } else {
            return Ok(self);
        };
        Err(LeaseError::Times { times: self, rule })
    }
}

/// Why leadership could not be sought.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The times contradict each other.
    #[error(
        "lease duration {:?}, renew deadline {:?}, retry period {:?}: {rule}",
        times.duration, times.renew_deadline, times.retry_period
    )]
    Times {
        /// As they were given.
        times: LeaseTimes,
        /// What must hold.
        rule: &'static str,
    },
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
    #[error("leadership was lost: lease {namespace}/{LEASE_NAME} {why}")]
    Lost {
        /// Namespace of the Lease.
        namespace: String,
        /// How.
        why: String,
    },
}

/// Who leads, as a standby sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leader {
    /// Identity of the process; empty while nobody leads.
    pub identity: String,
    /// Where its dashboard and webhook are reached, as `http://HOST:PORT`.
    pub address: Option<String>,
}

/// Holds leadership of a hub.
#[derive(Clone, Debug)]
pub struct Elector {
    api: Api<Lease>,
    namespace: String,
    identity: String,
    /// Where others reach this process, for the Lease's annotation.
    address: Option<String>,
    times: LeaseTimes,
    leader: watch::Sender<Leader>,
}

/// The holder seen last and when it last moved, by our own clock.
struct Observed {
    spec: Option<LeaseSpec>,
    at: Instant,
}

/// What became of an attempt to take or renew the lease.
enum Attempt {
    /// It is ours, with so many transitions.
    Held(i32),
    /// Another holds it.
    Foreign(String),
    /// Somebody wrote it at the same time.
    Raced,
}

impl Elector {
    /// An elector for the Lease `NAMESPACE/pilothouse`. `identity` must be
    /// unique to this process; `address` is where others reach it, as
    /// `http://HOST:PORT`, if anywhere.
    ///
    /// # Errors
    /// [`LeaseError::Times`] when the times contradict each other.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: String,
        address: Option<String>,
        times: LeaseTimes,
    ) -> Result<Self, LeaseError> {
        Ok(Self {
            api: Api::namespaced(client, namespace),
            namespace: namespace.to_owned(),
            identity,
            address,
            times: times.validate()?,
            leader: watch::channel(Leader::default()).0,
        })
    }

    /// Who leads, as seen at the last look at the Lease.
    #[must_use]
    pub fn leader(&self) -> watch::Receiver<Leader> {
        self.leader.subscribe()
    }

    /// Waits until this process leads.
    ///
    /// # Errors
    /// Never on a passing fault: only when the API refuses for a reason that
    /// waiting does not mend (403, 404).
    pub async fn acquire(&self) -> Result<Leadership, LeaseError> {
        let mut observed = Observed {
            spec: None,
            at: Instant::now(),
        };
        loop {
            let began = Instant::now();
            let attempt = self.try_acquire(&mut observed);
            match tokio::time::timeout(self.times.renew_deadline, attempt).await {
                Ok(Ok(Attempt::Held(transitions))) => {
                    let transitions = u64::try_from(transitions).unwrap_or_default();
                    let term = self.times.renew_deadline;
                    return Ok(Leadership::of_lease(transitions, began.into_std(), term));
                }
                Ok(Ok(Attempt::Foreign(_) | Attempt::Raced)) => {}
                Ok(Err(kube::Error::Api(status))) if status.code == 403 || status.code == 404 => {
                    return Err(self.api_error(kube::Error::Api(status)));
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = %super::chain(&error), "cannot reach the lease, trying again");
                }
                Err(_) => tracing::warn!("the hub's API does not answer, trying again"),
            }
            tokio::time::sleep(self.times.retry_period).await;
        }
    }

    /// Renews until `shutdown` or until it is lost. `leadership` has ended
    /// then: no write is sent any more. Call [`Self::release`] once none is
    /// under way either.
    ///
    /// # Errors
    /// [`LeaseError::Lost`] when it could not be renewed in time, or another
    /// holds it.
    pub async fn hold(
        &self,
        leadership: &Leadership,
        shutdown: &CancellationToken,
    ) -> Result<(), LeaseError> {
        let held = self.renew(leadership, shutdown).await;
        leadership.end();
        held
    }

    async fn renew(
        &self,
        leadership: &Leadership,
        shutdown: &CancellationToken,
    ) -> Result<(), LeaseError> {
        let mut renewed = Instant::now();
        let mut observed = Observed {
            spec: None,
            at: renewed,
        };
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                () = tokio::time::sleep(self.times.retry_period) => {}
            }
            let deadline = renewed + self.times.renew_deadline;
            if !leadership.holds() || Instant::now() >= deadline {
                // Stopped for too long (a signal, a suspended machine), or
                // renewals failed: another may lead already.
                return Err(self.lost(format!(
                    "could not be renewed for {:?}",
                    self.times.renew_deadline
                )));
            }
            let began = Instant::now();
            let attempt = self.try_acquire(&mut observed);
            match tokio::time::timeout_at(deadline, attempt).await {
                Ok(Ok(Attempt::Held(transitions)))
                    if u64::try_from(transitions).ok() == Some(leadership.transitions()) =>
                {
                    renewed = began;
                    leadership.renew(began.into_std(), self.times.renew_deadline);
                }
                // Others led in between: plans of ours may be older than theirs.
                Ok(Ok(Attempt::Held(_))) => {
                    return Err(self.lost("was held by another in between".into()));
                }
                Ok(Ok(Attempt::Foreign(holder))) => {
                    return Err(self.lost(format!("was taken by {holder}")));
                }
                Ok(Ok(Attempt::Raced)) | Err(_) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = %super::chain(&error), "the lease was not renewed, trying again");
                }
            }
        }
    }

    fn lost(&self, why: String) -> LeaseError {
        LeaseError::Lost {
            namespace: self.namespace.clone(),
            why,
        }
    }

    /// Takes or renews the lease.
    async fn try_acquire(&self, observed: &mut Observed) -> Result<Attempt, kube::Error> {
        let Some(mut lease) = self.api.get_opt(LEASE_NAME).await? else {
            let spec = self.spec(None);
            let transitions = spec.lease_transitions.unwrap_or_default();
            let mut lease = Lease {
                metadata: ObjectMeta {
                    name: Some(LEASE_NAME.into()),
                    ..ObjectMeta::default()
                },
                spec: Some(spec),
            };
            self.sign(&mut lease);
            return match self.api.create(&PostParams::default(), &lease).await {
                Ok(_) => Ok(Attempt::Held(transitions)),
                Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Raced),
                Err(error) => Err(error),
            };
        };
        if observed.spec != lease.spec {
            observed.spec.clone_from(&lease.spec);
            observed.at = Instant::now();
        }
        let current = lease.spec.clone().unwrap_or_default();
        let holder = current.holder_identity.clone().unwrap_or_default();
        let ours = holder == self.identity;
        if !ours && !holder.is_empty() && observed.at.elapsed() < self.duration_of(&current) {
            self.leader.send_replace(Leader {
                identity: holder.clone(),
                address: lease.annotations().get(ANNOTATION_ADDRESS).cloned(),
            });
            return Ok(Attempt::Foreign(holder));
        }
        let spec = self.spec(Some(&current));
        let transitions = spec.lease_transitions.unwrap_or_default();
        lease.spec = Some(spec);
        self.sign(&mut lease);
        match self
            .api
            .replace(LEASE_NAME, &PostParams::default(), &lease)
            .await
        {
            Ok(_) => Ok(Attempt::Held(transitions)),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Attempt::Raced),
            Err(error) => Err(error),
        }
    }

    /// Says where this process is reached.
    fn sign(&self, lease: &mut Lease) {
        let annotations = lease.annotations_mut();
        match &self.address {
            Some(address) => annotations.insert(ANNOTATION_ADDRESS.to_owned(), address.clone()),
            None => annotations.remove(ANNOTATION_ADDRESS),
        };
    }

    fn spec(&self, current: Option<&LeaseSpec>) -> LeaseSpec {
        let now = MicroTime(Timestamp::now());
        let ours = current
            .is_some_and(|spec| spec.holder_identity.as_deref() == Some(self.identity.as_str()));
        let transitions = match current {
            Some(spec) => spec.lease_transitions.unwrap_or_default(),
            None => first_term(now.0),
        };
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.duration.as_secs()).ok(),
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
    pub async fn release(&self) {
        let give_back = async {
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
        };
        // A hub that does not answer may not hold the end back.
        let _ = tokio::time::timeout(self.times.retry_period, give_back).await;
    }

    fn api_error(&self, source: kube::Error) -> LeaseError {
        LeaseError::Api {
            namespace: self.namespace.clone(),
            source: Box::new(source),
        }
    }

    /// The holder's own duration; ours where it names none.
    fn duration_of(&self, spec: &LeaseSpec) -> Duration {
        spec.lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(self.times.duration, Duration::from_secs)
    }
}

/// `leaseTransitions` of a Lease that is made anew: seconds since 2024.
///
/// Members remember the term of the leader that wrote last and refuse an
/// earlier one. A Lease that somebody deleted, alone or with its namespace, may
/// therefore not begin at 0 again: terms stay in order as long as leaders
/// change less than once a second. It fits until 2092.
fn first_term(now: Timestamp) -> i32 {
    const YEAR_2024: i64 = 1_704_067_200;
    i32::try_from(now.as_second().saturating_sub(YEAR_2024).max(0)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_made_anew_begins_after_every_term_before() {
        let at = |text: &str| first_term(text.parse().unwrap());
        assert_eq!(at("2024-01-01T00:00:00Z"), 0);
        assert_eq!(at("1970-01-01T00:00:00Z"), 0);
        let (made, made_anew) = (at("2026-11-25T18:00:00Z"), at("2026-11-25T19:00:00Z"));
        let changes = 200;
        assert!(made > 0 && made + changes < made_anew);
    }

    #[test]
    fn times_under_which_two_could_lead_are_refused() {
        let times = |duration, renew, retry| {
            LeaseTimes {
                duration: Duration::from_millis(duration),
                renew_deadline: Duration::from_millis(renew),
                retry_period: Duration::from_millis(retry),
            }
            .validate()
            .is_ok()
        };
        assert!(LeaseTimes::default().validate().is_ok());
        for (duration, renew, retry, good) in [
            (15_000, 10_000, 2_000, true),
            (3_000, 2_000, 500, true),
            (10_000, 10_000, 2_000, false),
            (15_000, 2_400, 2_000, false),
            (15_000, 2_401, 2_000, true),
            (1_500, 1_000, 200, false),
            (0, 0, 0, false),
        ] {
            assert_eq!(
                times(duration, renew, retry),
                good,
                "{duration} {renew} {retry}"
            );
        }
    }
}
