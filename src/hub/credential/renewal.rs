//! Renewing the tokens that `cluster join` stored, before they end.
//!
//! A token asks for its successor itself (the member's role allows that for
//! this one account), so no administrator's credential is kept anywhere. The
//! old token counts until it ends: a hub that reads late loses nothing.

use jiff::{SignedDuration, Timestamp};
use kube::Client;

use super::{Found, SourceKind};
use crate::api::ClusterName;
use crate::hub::registration::{RegistrationError, replace};
use crate::member::client::{ConnectError, MemberClient};
use crate::member::credential::agent::{self, AgentError};
use crate::member::credential::{CredentialError, MemberCredential, TOKEN_LIFETIME, Validity};

/// Condition of a ManagedCluster whose credential the hub renews.
pub const CONDITION: &str = "CredentialRenewed";
/// Delay after the first failed renewal; doubled at each further one.
const RETRY_BASE: SignedDuration = SignedDuration::from_mins(1);
/// Longest delay between two attempts.
const RETRY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Why a credential was not renewed. The old one stays. Holds no token.
#[derive(Debug, thiserror::Error)]
pub enum RenewalError {
    /// Nothing that can be renewed.
    #[error(
        "the credential of {cluster} is that of {kind} ({secret}), which the hub does not renew; whoever keeps it does, or join the cluster again with an administrator's --kubeconfig"
    )]
    NotOurs {
        /// The cluster.
        cluster: String,
        /// Who keeps it.
        kind: SourceKind,
        /// Where it is.
        secret: String,
    },
    /// No connection can be made with a credential.
    #[error("cannot connect to renew the token")]
    Connect(#[source] ConnectError),
    /// The member gave no token, or does not take the one it gave.
    #[error("the token was not renewed")]
    Member(#[source] AgentError),
    /// The new credential cannot be made.
    #[error("the renewed credential cannot be made")]
    Credential(#[source] CredentialError),
    /// The hub did not store it.
    #[error("the renewed token was not stored; the old one stays")]
    Store(#[source] RegistrationError),
}

impl RenewalError {
    /// Whether the member does not know the old token (any more).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Member(error) if error.is_unauthorized())
    }

    /// Whether somebody replaced the credential meanwhile.
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_conflict())
    }
}

/// Renews the token of a cluster with the token itself, for as long a life,
/// tries the new one, and stores it.
///
/// # Errors
/// When a step fails; the old credential stays as it is.
pub async fn renew(
    hub: &Client,
    cluster: &ClusterName,
    found: &Found,
) -> Result<MemberCredential, RenewalError> {
    let account = match found.kind {
        SourceKind::Joined => found.credential.account(),
        _ => None,
    };
    let account = account.ok_or_else(|| RenewalError::NotOurs {
        cluster: cluster.to_string(),
        kind: found.kind,
        secret: found.source.clone(),
    })?;
    let lifetime = found
        .credential
        .validity()
        .map_or(TOKEN_LIFETIME, |validity| validity.lifetime());
    let old = MemberClient::connect(&found.credential)
        .await
        .map_err(RenewalError::Connect)?;
    let issued = agent::token(&old.calls, &account, lifetime)
        .await
        .map_err(RenewalError::Member)?;
    let credential = found
        .credential
        .with_token(&issued.token)
        .map_err(RenewalError::Credential)?;
    let new = MemberClient::connect(&credential)
        .await
        .map_err(RenewalError::Connect)?;
    agent::may_renew(&new.calls, &account)
        .await
        .map_err(RenewalError::Member)?;
    replace(hub, cluster, &credential, found.version.as_deref())
        .await
        .map_err(RenewalError::Store)?;
    Ok(credential)
}

/// How it stands with a credential that the hub renews.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It counts.
    Valid {
        /// Until when.
        until: Timestamp,
        /// From when on it is renewed.
        renew_at: Timestamp,
    },
    /// It should have been renewed, and was not.
    Failing {
        /// Until when the old one counts.
        until: Timestamp,
        /// Why, without a token.
        message: String,
        /// Attempts that failed.
        attempts: u32,
        /// The next attempt.
        next: Timestamp,
    },
    /// It ended.
    Expired {
        /// When.
        since: Timestamp,
    },
}

impl Standing {
    /// The condition: status, reason and message. The message changes only
    /// when the standing does.
    #[must_use]
    pub fn condition(&self, cluster: &ClusterName) -> (&'static str, &'static str, String) {
        match self {
            Self::Valid { until, renew_at } => (
                "True",
                "CredentialValid",
                format!("the token ends at {until} and is renewed from {renew_at} on"),
            ),
            Self::Failing { until, message, .. } => (
                "False",
                "RenewalFailed",
                format!(
                    "{message}; it is tried again, and the old token ends at {until}. If it goes on: pilothouse cluster rotate {cluster} --kubeconfig ADMIN"
                ),
            ),
            Self::Expired { since } => (
                "False",
                "CredentialExpired",
                format!(
                    "the token ended at {since}: run pilothouse cluster rotate {cluster} --kubeconfig ADMIN with an administrator's kubeconfig of the cluster"
                ),
            ),
        }
    }

    /// When it is to be looked at again though nothing changes.
    #[must_use]
    pub fn look_again(&self, now: Timestamp) -> Option<Timestamp> {
        match self {
            // Past it, the member does not answer: its answer is a change.
            Self::Valid { until, renew_at } => [*renew_at, *until].into_iter().find(|at| *at > now),
            Self::Failing { until, next, .. } => {
                [*next, *until].into_iter().filter(|at| *at > now).min()
            }
            Self::Expired { .. } => None,
        }
    }
}

/// Renews a credential when it is time and the member answers. `before` is
/// what the last call for this credential said. `None` for a credential that
/// others keep.
pub async fn attend(
    hub: &Client,
    cluster: &ClusterName,
    found: &Found,
    reachable: bool,
    before: Option<&Standing>,
    now: Timestamp,
) -> Option<Standing> {
    if found.kind != SourceKind::Joined {
        return None;
    }
    let validity = found.credential.validity()?;
    let valid = |validity: Validity| Standing::Valid {
        until: validity.expires,
        renew_at: validity.renew_at(cluster.as_str()),
    };
    if !reachable && validity.is_over(now) {
        return Some(Standing::Expired {
            since: validity.expires,
        });
    }
    let attempts = match before {
        Some(Standing::Failing { attempts, next, .. }) if reachable && *next <= now => *attempts,
        Some(failing @ Standing::Failing { .. }) => return Some(failing.clone()),
        _ if reachable && validity.renew_at(cluster.as_str()) <= now => 0,
        _ => return Some(valid(validity)),
    };
    match renew(hub, cluster, found).await {
        Ok(credential) => credential.validity().map(valid),
        // Its event brings us back.
        Err(error) if error.is_conflict() => Some(valid(validity)),
        Err(error) => Some(Standing::Failing {
            until: validity.expires,
            message: crate::hub::chain(&error),
            attempts: attempts.saturating_add(1),
            next: now.checked_add(delay(attempts)).unwrap_or(now),
        }),
    }
}

fn delay(attempts: u32) -> SignedDuration {
    (0..attempts.min(10)).fold(RETRY_BASE, |delay, _| (delay * 2).min(RETRY_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    use k8s_openapi::api::core::v1::ServiceAccount;
    use kube::Api;
    use tokio_util::sync::CancellationToken;

    use crate::api::cluster::ManagedCluster;
    use crate::api::crds;
    use crate::apiserver::{Options, Server};
    use crate::hub::credential::find;
    use crate::hub::registration::{Registration, join};

    struct World {
        hub: Client,
        member: Client,
        stop: CancellationToken,
    }

    impl Drop for World {
        fn drop(&mut self) {
            self.stop.cancel();
        }
    }

    impl World {
        /// A hub with one member, joined by a token of 30 days.
        async fn joined() -> Self {
            let hub = Server::open(Options::in_memory("hub")).unwrap().client();
            for crd in crds::all().unwrap() {
                let api = Api::all(hub.clone());
                api.create(&Default::default(), &crd).await.unwrap();
            }
            let server = Server::open(Options::in_memory("one")).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("https://{}", listener.local_addr().unwrap());
            let (member, kubeconfig) = (server.client(), server.kubeconfig(&url));
            let stop = CancellationToken::new();
            tokio::spawn(server.serve(listener, stop.clone()));
            agent::install(&member, "hub", "one").await.unwrap();
            let issued = agent::token(&member, &agent::account(), TOKEN_LIFETIME)
                .await
                .unwrap();
            let admin = MemberCredential::from_kubeconfig(kubeconfig.as_bytes(), None).unwrap();
            let registration = Registration {
                cluster: &name(),
                credential: &admin.with_token(&issued.token).unwrap(),
                renewed: true,
                set: None,
                labels: &BTreeMap::new(),
            };
            join(&hub, &registration).await.unwrap();
            Self { hub, member, stop }
        }

        async fn found(&self) -> Found {
            let clusters: Api<ManagedCluster> = Api::all(self.hub.clone());
            find(&self.hub, &clusters.get("one").await.unwrap())
                .await
                .unwrap()
        }
    }

    fn name() -> ClusterName {
        ClusterName::from("one")
    }

    fn days(days: i64) -> Timestamp {
        Timestamp::now() + SignedDuration::from_hours(24 * days)
    }

    #[tokio::test]
    async fn a_token_is_renewed_late_in_its_life_and_not_before() {
        let world = World::joined().await;
        let first = world.found().await;
        assert_eq!(first.kind, SourceKind::Joined);
        let early = attend(&world.hub, &name(), &first, true, None, days(23)).await;
        assert!(matches!(early, Some(Standing::Valid { .. })), "{early:?}");
        assert_eq!(world.found().await.fingerprint, first.fingerprint);

        let away = attend(&world.hub, &name(), &first, false, None, days(26)).await;
        assert!(matches!(away, Some(Standing::Valid { .. })), "{away:?}");
        let late = attend(&world.hub, &name(), &first, true, None, days(26)).await;
        assert!(matches!(late, Some(Standing::Valid { .. })), "{late:?}");
        let second = world.found().await;
        assert_ne!(second.fingerprint, first.fingerprint);
        assert_eq!(second.kind, SourceKind::Joined);
        let lifetime = second.credential.validity().unwrap().lifetime();
        assert_eq!(lifetime, TOKEN_LIFETIME);
        let client = MemberClient::connect(&second.credential).await.unwrap();
        let account = second.credential.account().unwrap();
        assert!(agent::may_renew(&client.calls, &account).await.unwrap());
    }

    #[tokio::test]
    async fn a_renewal_never_overwrites_what_somebody_stored_meanwhile() {
        let world = World::joined().await;
        let read = world.found().await;
        renew(&world.hub, &name(), &read).await.unwrap();
        let stored = world.found().await;
        let late = renew(&world.hub, &name(), &read).await.unwrap_err();
        assert!(late.is_conflict(), "{late:?}");
        assert_eq!(world.found().await.fingerprint, stored.fingerprint);
    }

    #[tokio::test]
    async fn a_renewal_that_fails_is_told_and_tried_again() {
        let world = World::joined().await;
        let found = world.found().await;
        let accounts: Api<ServiceAccount> = Api::namespaced(world.member.clone(), agent::NAMESPACE);
        accounts
            .delete(agent::ACCOUNT, &Default::default())
            .await
            .unwrap();
        let now = days(26);
        let first = attend(&world.hub, &name(), &found, true, None, now).await;
        let Some(Standing::Failing {
            attempts: 1, next, ..
        }) = first
        else {
            unreachable!("{first:?}");
        };
        let (word, reason, message) = first.as_ref().unwrap().condition(&name());
        assert_eq!((word, reason), ("False", "RenewalFailed"));
        assert!(message.contains("cluster rotate one"), "{message}");
        let cluster = name();
        let at = |now| attend(&world.hub, &cluster, &found, true, first.as_ref(), now);
        assert_eq!(at(now).await, first, "not before its time");
        let again = at(next).await;
        assert!(
            matches!(again, Some(Standing::Failing { attempts: 2, .. })),
            "{again:?}"
        );
        let over = attend(&world.hub, &name(), &found, false, again.as_ref(), days(31)).await;
        let (_, reason, message) = over.unwrap().condition(&name());
        assert_eq!(reason, "CredentialExpired");
        assert!(message.contains("--kubeconfig ADMIN"), "{message}");
        assert_eq!(world.found().await.fingerprint, found.fingerprint);
    }

    #[test]
    fn retries_become_rarer() {
        assert_eq!(delay(0), SignedDuration::from_mins(1));
        assert_eq!(delay(3), SignedDuration::from_mins(8));
        assert_eq!(delay(40), RETRY_MAX);
    }
}
