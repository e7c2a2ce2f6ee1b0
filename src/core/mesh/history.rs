//! What changed between two views. Submariner itself keeps no history.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::{Activity, Severity};
use crate::core::mesh::MeshView;
use crate::core::mesh::cable::{CableState, Direction};
use crate::core::mesh::ladder::Discoverable;
use crate::core::mesh::service::ConsumerView;

/// Transitions from `before` to `after`, cables first, by name. A cable or a
/// consumer that appears is no transition: at the start everything appears.
#[must_use]
pub fn transitions(before: &MeshView, after: &MeshView, now: Timestamp) -> Vec<Activity> {
    let mut found: Vec<Activity> = after
        .cables
        .iter()
        .flat_map(|cable| [&cable.forward, &cable.backward])
        .filter_map(|half| {
            let old = before.direction(&half.from, &half.to)?;
            (old.state != half.state && !old.is_first_look()).then(|| cable(old, half, now))
        })
        .collect();
    found.extend(failovers(before, after, now));
    let old: BTreeMap<(&NamespacedName, &ClusterName), &ConsumerView> = needed(before).collect();
    found.extend(needed(after).filter_map(|(key, consumer)| {
        let old = old.get(&key)?;
        (old.verdict != consumer.verdict).then(|| service(key.0, old.verdict, consumer, now))
    }));
    found
}

/// Clusters whose cables are reported by another gateway than before, each once.
fn failovers(before: &MeshView, after: &MeshView, now: Timestamp) -> Vec<Activity> {
    let mut moved: BTreeMap<&ClusterName, (&str, &str)> = BTreeMap::new();
    for half in after
        .cables
        .iter()
        .flat_map(|cable| [&cable.forward, &cable.backward])
    {
        let old = before
            .direction(&half.from, &half.to)
            .and_then(|old| old.gateway.as_deref());
        if let (Some(old), Some(new)) = (old, half.gateway.as_deref())
            && old != new
        {
            moved.insert(&half.from, (old, new));
        }
    }
    moved
        .into_iter()
        .map(|(cluster, (old, new))| Activity {
            at: now,
            severity: Severity::Warning,
            reason: "GatewayFailover".to_owned(),
            message: format!("Gateway {new} of {cluster} took over from {old}."),
            application: None,
            cluster: Some(cluster.clone()),
        })
        .collect()
}

fn needed(
    view: &MeshView,
) -> impl Iterator<Item = ((&NamespacedName, &ClusterName), &ConsumerView)> {
    view.services.iter().flat_map(|service| {
        service
            .consumers
            .iter()
            .filter(|consumer| !consumer.wanted_by.is_empty())
            .map(move |consumer| ((&service.service, &consumer.cluster), consumer))
    })
}

fn cable(old: &Direction, new: &Direction, now: Timestamp) -> Activity {
    let severity = match new.state {
        CableState::Connected => Severity::Good,
        CableState::Connecting => Severity::Info,
        CableState::Unknown | CableState::Stale => Severity::Warning,
        CableState::Missing | CableState::Error => Severity::Bad,
    };
    let reason = match new.state {
        CableState::Connected => "CableConnected",
        CableState::Connecting => "CableConnecting",
        CableState::Unknown => "CableUnknown",
        CableState::Stale => "CableStale",
        CableState::Missing => "CableMissing",
        CableState::Error => "CableError",
    };
    Activity {
        at: now,
        severity,
        reason: reason.to_owned(),
        message: format!(
            "Cable {} → {} went from {} to {}: {}",
            new.from,
            new.to,
            old.state.word(),
            new.state.word(),
            new.reason
        ),
        application: None,
        cluster: Some(new.from.clone()),
    }
}

fn service(
    name: &NamespacedName,
    old: Discoverable,
    consumer: &ConsumerView,
    now: Timestamp,
) -> Activity {
    let (severity, reason, what) = match consumer.verdict {
        Discoverable::Yes => (Severity::Good, "ServiceDiscoverable", "can be used"),
        Discoverable::Unknown => (
            Severity::Warning,
            "ServiceUnknown",
            "is not known to be usable",
        ),
        Discoverable::Degraded | Discoverable::No => {
            (Severity::Bad, "ServiceNotDiscoverable", "cannot be used")
        }
    };
    // The first time that nothing but "unknown" was known before is no loss.
    let severity = match (old, severity) {
        (Discoverable::Unknown, Severity::Bad) => Severity::Warning,
        (_, severity) => severity,
    };
    Activity {
        at: now,
        severity,
        reason: reason.to_owned(),
        message: format!(
            "{name} {what} from {}: {}",
            consumer.cluster, consumer.reason
        ),
        application: consumer
            .wanted_by
            .first()
            .map(|want| want.application.clone()),
        cluster: Some(consumer.cluster.clone()),
    }
}
