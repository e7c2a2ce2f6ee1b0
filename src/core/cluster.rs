//! What the hub says of a registered cluster: conditions, taints, labels and
//! facts, from its own probe. Words and rules are OCM's (REG/hub, REG/spoke).

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::api::cluster::{
    ManagedCluster, ManagedClusterClaim, ManagedClusterSpec, ManagedClusterStatus,
    ManagedClusterVersion, Taint,
};
use crate::api::{
    CONDITION_AVAILABLE, CONDITION_HUB_ACCEPTED, CONDITION_JOINED, LABEL_CLUSTER_SET,
    TAINT_UNAVAILABLE, TAINT_UNREACHABLE,
};
use crate::core::fleet::Connection;

/// Label with the cluster's own name, which RHACM's import controller adds and
/// PlacementRules in the wild select.
const LABEL_NAME: &str = "name";
/// Set of clusters that name none.
const DEFAULT_SET: &str = "default";

/// What a probe learned of a cluster besides that it answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ClusterReport {
    /// `gitVersion` of its API server.
    pub kubernetes_version: Option<String>,
    /// Sum over all nodes.
    pub capacity: BTreeMap<String, Quantity>,
    /// Sum over schedulable nodes.
    pub allocatable: BTreeMap<String, Quantity>,
    /// ClusterClaims, by name.
    pub claims: Vec<ManagedClusterClaim>,
}

/// The condition `ManagedClusterConditionAvailable` of a cluster, once the hub
/// has said it.
#[must_use]
pub fn available(cluster: &ManagedCluster) -> Option<&Condition> {
    let conditions = cluster.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == CONDITION_AVAILABLE)
}

/// Labels that the hub adds: `name`, and the default set where none is named.
/// Empty when nothing is missing.
#[must_use]
pub fn missing_labels(cluster: &ManagedCluster) -> BTreeMap<String, String> {
    let labels = cluster.metadata.labels.clone().unwrap_or_default();
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let mut missing = BTreeMap::new();
    if labels.get(LABEL_NAME) != Some(&name) {
        missing.insert(LABEL_NAME.to_owned(), name);
    }
    if labels.get(LABEL_CLUSTER_SET).is_none_or(String::is_empty) {
        missing.insert(LABEL_CLUSTER_SET.to_owned(), DEFAULT_SET.to_owned());
    }
    missing
}

/// The taints that the cluster should carry: those of others are kept, ours
/// follow availability (True: none; False: unavailable; Unknown: unreachable).
/// `None` when they are right already.
#[must_use]
pub fn taints(spec: &ManagedClusterSpec, available: &str, now: Timestamp) -> Option<Vec<Taint>> {
    let wanted = match available {
        "True" => None,
        "False" => Some(TAINT_UNAVAILABLE),
        _ => Some(TAINT_UNREACHABLE),
    };
    let current = spec.taints.clone().unwrap_or_default();
    let mut taints: Vec<Taint> = current
        .iter()
        .filter(|taint| {
            Some(taint.key.as_str()) == wanted
                || ![TAINT_UNAVAILABLE, TAINT_UNREACHABLE].contains(&taint.key.as_str())
        })
        .cloned()
        .collect();
    if let Some(key) = wanted
        && !taints.iter().any(|taint| taint.key == key)
    {
        taints.push(Taint {
            key: key.to_owned(),
            value: None,
            effect: "NoSelect".to_owned(),
            time_added: Some(Time(now)),
        });
    }
    (taints != current).then_some(taints)
}

/// The status that the cluster should have. Conditions of others are kept; a
/// transition time moves only when the status does.
#[must_use]
pub fn status(
    cluster: &ManagedCluster,
    connection: &Connection,
    report: Option<&ClusterReport>,
    now: Timestamp,
) -> ManagedClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation;
    let mut conditions = status.conditions.take().unwrap_or_default();
    let mut set = |type_: &str, word: &str, reason: &str, message: String| {
        set_condition(
            &mut conditions,
            type_,
            word,
            reason,
            message,
            generation,
            now,
        );
    };
    if cluster.spec.hub_accepts_client {
        set(
            CONDITION_HUB_ACCEPTED,
            "True",
            "HubClusterAdminAccepted",
            "Accepted by hub cluster admin".into(),
        );
    } else {
        set(
            CONDITION_HUB_ACCEPTED,
            "False",
            "HubClusterAdminDenied",
            "Denied by hub cluster admin: set spec.hubAcceptsClient to true to accept it".into(),
        );
    }
    let (word, reason, message) = availability(connection);
    set(CONDITION_AVAILABLE, word, reason, message);
    if word == "True" {
        set(
            CONDITION_JOINED,
            "True",
            "ManagedClusterJoined",
            "Managed cluster joined".into(),
        );
    }
    status.conditions = Some(conditions);
    if let Some(report) = report {
        fill(&mut status, report);
    }
    status
}

/// Availability in OCM's words. Unknown is not down: a cluster that does not
/// answer may well run.
#[must_use]
pub fn availability(connection: &Connection) -> (&'static str, &'static str, String) {
    match connection {
        Connection::Reachable { .. } => (
            "True",
            "ManagedClusterAvailable",
            "Managed cluster is available".into(),
        ),
        Connection::Unreachable { failure, .. } => (
            "Unknown",
            "ManagedClusterUnreachable",
            failure.message.clone(),
        ),
        Connection::Connecting => (
            "Unknown",
            "ManagedClusterConnecting",
            "the first probe is under way".into(),
        ),
        Connection::NoCredential { message } => {
            ("Unknown", "ManagedClusterNoCredential", message.clone())
        }
    }
}

fn fill(status: &mut ManagedClusterStatus, report: &ClusterReport) {
    if report.kubernetes_version.is_some() {
        status.version = Some(ManagedClusterVersion {
            kubernetes: report.kubernetes_version.clone(),
        });
    }
    // The hub keeps extra keys that it finds, as OCM's does.
    status
        .capacity
        .get_or_insert_default()
        .extend(report.capacity.clone());
    status
        .allocatable
        .get_or_insert_default()
        .extend(report.allocatable.clone());
    let mut claims = report.claims.clone();
    claims.sort_by(|a, b| a.name.cmp(&b.name));
    status.cluster_claims = (!claims.is_empty()).then_some(claims);
}

/// Sets one condition in place.
pub fn set_condition(
    conditions: &mut Vec<Condition>,
    type_: &str,
    word: &str,
    reason: &str,
    message: String,
    generation: Option<i64>,
    now: Timestamp,
) {
    let existing = conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_);
    match existing {
        Some(condition) => {
            if condition.status != word {
                condition.status = word.to_owned();
                condition.last_transition_time = Time(now);
            }
            condition.reason = reason.to_owned();
            condition.message = message;
        }
        None => conditions.push(Condition {
            type_: type_.to_owned(),
            status: word.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: Time(now),
            observed_generation: generation,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::delivery::{Failure, FailureClass};

    fn cluster() -> ManagedCluster {
        let mut cluster = ManagedCluster::new(
            "aws-sub1",
            ManagedClusterSpec {
                hub_accepts_client: true,
                ..ManagedClusterSpec::default()
            },
        );
        cluster.metadata.labels = Some([("name".into(), "aws-sub1".into())].into());
        cluster
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn reachable() -> Connection {
        Connection::Reachable {
            last_probe: at(0),
            latency_micros: 1,
            since: at(0),
        }
    }

    fn unreachable() -> Connection {
        Connection::Unreachable {
            since: at(5),
            failure: Failure {
                class: FailureClass::Transient,
                reason: "Timeout".into(),
                message: "no answer".into(),
            },
            next_probe: None,
        }
    }

    fn word<'a>(status: &'a ManagedClusterStatus, type_: &str) -> Option<&'a Condition> {
        status
            .conditions
            .as_ref()?
            .iter()
            .find(|condition| condition.type_ == type_)
    }

    #[test]
    fn a_reachable_cluster_is_available_and_joined() {
        let status = status(&cluster(), &reachable(), None, at(9));
        for type_ in [
            CONDITION_AVAILABLE,
            CONDITION_JOINED,
            CONDITION_HUB_ACCEPTED,
        ] {
            assert_eq!(
                word(&status, type_).map(|c| c.status.as_str()),
                Some("True"),
                "{type_}"
            );
        }
    }

    #[test]
    fn silence_is_unknown_and_joined_stays() {
        let mut cluster = cluster();
        cluster.status = Some(status(&cluster, &reachable(), None, at(1)));
        let after = status(&cluster, &unreachable(), None, at(9));
        let available = word(&after, CONDITION_AVAILABLE).unwrap();
        assert_eq!(
            (available.status.as_str(), available.message.as_str()),
            ("Unknown", "no answer")
        );
        assert_eq!(available.last_transition_time, Time(at(9)));
        assert_eq!(
            word(&after, CONDITION_JOINED).map(|c| c.status.as_str()),
            Some("True")
        );
    }

    #[test]
    fn nothing_moves_while_nothing_changes() {
        let mut cluster = cluster();
        cluster.status = Some(status(&cluster, &reachable(), None, at(1)));
        assert_eq!(
            Some(status(&cluster, &reachable(), None, at(50))),
            cluster.status
        );
    }

    #[test]
    fn our_taints_follow_availability_and_others_stay() {
        let mut spec = ManagedClusterSpec {
            taints: Some(vec![Taint {
                key: "gpu".into(),
                effect: "NoSelect".into(),
                ..Taint::default()
            }]),
            ..ManagedClusterSpec::default()
        };
        assert_eq!(taints(&spec, "True", at(1)), None);
        let tainted = taints(&spec, "Unknown", at(1)).unwrap();
        let keys = |taints: &[Taint]| taints.iter().map(|t| t.key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&tainted), ["gpu", TAINT_UNREACHABLE]);
        spec.taints = Some(tainted);
        assert_eq!(
            taints(&spec, "Unknown", at(9)),
            None,
            "timeAdded must not move"
        );
        assert_eq!(
            keys(&taints(&spec, "False", at(9)).unwrap()),
            ["gpu", TAINT_UNAVAILABLE]
        );
        assert_eq!(keys(&taints(&spec, "True", at(9)).unwrap()), ["gpu"]);
    }

    #[test]
    fn the_name_label_and_a_set_are_added() {
        let mut cluster = cluster();
        assert_eq!(
            missing_labels(&cluster),
            [(LABEL_CLUSTER_SET.to_owned(), "default".to_owned())].into()
        );
        cluster.metadata.labels =
            Some([(LABEL_CLUSTER_SET.to_owned(), "submariner".to_owned())].into());
        assert_eq!(
            missing_labels(&cluster),
            [("name".to_owned(), "aws-sub1".to_owned())].into()
        );
    }
}
