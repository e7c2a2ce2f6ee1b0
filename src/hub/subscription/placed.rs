//! Where a Subscription goes: its placementRef or inline placement, resolved.

use std::collections::BTreeSet;

use kube::ResourceExt;

use crate::api::apps::Subscription;
use crate::api::{ClusterName, NamespacedName};
use crate::core::delivery::{Failure, FailureClass};
use crate::core::placement::{self, HoldReason, Schedule};
use crate::core::subscription::Placement;
use crate::hub::context::Shared;
use crate::hub::placement::{cluster_facts, clusters_of, decided};
use crate::hub::stores::{PlacementKey, PlacementKind, named};

/// The result.
pub(super) struct Placed {
    pub(super) placement: Placement,
    /// In words, for people.
    pub(super) words: Option<String>,
    /// Verdicts of an inline placement.
    pub(super) inline: Option<Schedule>,
}

/// The placement that a Subscription refers to; `None` without a placementRef,
/// an error when the reference is of another kind.
///
/// An absent kind means PlacementRule, and the namespace is always the
/// Subscription's own, as upstream.
pub(super) fn reference(subscription: &Subscription) -> Option<Result<PlacementKey, Failure>> {
    let reference = subscription
        .spec
        .placement
        .as_ref()?
        .placement_ref
        .as_ref()?;
    let kind = reference.kind.as_deref().unwrap_or_default();
    let api_version = reference.api_version.as_deref().unwrap_or_default();
    let known = matches!(
        api_version,
        "" | "apps.open-cluster-management.io/v1"
            | "cluster.open-cluster-management.io/v1alpha1"
            | "cluster.open-cluster-management.io/v1beta1"
    );
    let kind = match kind {
        "" | "PlacementRule" if known => PlacementKind::PlacementRule,
        "Placement" if known => PlacementKind::Placement,
        _ => {
            return Some(Err(failure(
                FailureClass::Invalid,
                "PlacementUnsupported",
                format!(
                    "unsupported placement reference: kind {kind:?}, apiVersion {api_version:?}; use PlacementRule or Placement"
                ),
            )));
        }
    };
    let name = reference.name.clone().unwrap_or_default();
    Some(Ok(PlacementKey {
        kind,
        name: NamespacedName::new(subscription.namespace().unwrap_or_default(), name),
    }))
}

/// Resolves the placement. `before` are the clusters of the last pass.
pub(super) fn resolve(
    context: &Shared,
    subscription: &Subscription,
    before: &BTreeSet<ClusterName>,
) -> Placed {
    match reference(subscription) {
        Some(Ok(key)) => Placed {
            placement: referred(context, &key),
            words: Some(match key.kind {
                PlacementKind::PlacementRule => format!("PlacementRule {}", key.name.name),
                PlacementKind::Placement => format!("Placement {}", key.name.name),
            }),
            inline: None,
        },
        Some(Err(failure)) => Placed {
            placement: Placement::Failed(failure),
            words: None,
            inline: None,
        },
        None => inline(context, subscription, before),
    }
}

fn inline(context: &Shared, subscription: &Subscription, before: &BTreeSet<ClusterName>) -> Placed {
    let Some(spec) = subscription.spec.placement.as_ref() else {
        return Placed {
            placement: Placement::Failed(failure(
                FailureClass::Invalid,
                "PlacementMissing",
                "Placement must be specified: set spec.placement.placementRef".into(),
            )),
            words: None,
            inline: None,
        };
    };
    let current: Vec<ClusterName> = before.iter().cloned().collect();
    let schedule = placement::inline(spec, &cluster_facts(context), &current);
    let placement = match &schedule.hold {
        Some(hold) => Placement::Failed(held(hold)),
        None => Placement::Decided(schedule.chosen()),
    };
    Placed {
        placement,
        words: Some("inline clusters".into()),
        inline: Some(schedule),
    }
}

/// Decisions of a placement object. A cluster counts as decided against only
/// when the placement was evaluated and its decisions were written.
fn referred(context: &Shared, key: &PlacementKey) -> Placement {
    let exists = match key.kind {
        PlacementKind::PlacementRule => named(&context.stores.rules, &key.name).is_some(),
        PlacementKind::Placement => named(&context.stores.placements, &key.name).is_some(),
    };
    if !exists {
        return Placement::Failed(failure(
            FailureClass::Waiting,
            "PlacementNotFound",
            format!(
                "Failed to find placement: {key} does not exist; create it, nothing is removed meanwhile"
            ),
        ));
    }
    let objects = decided(context, key);
    let clusters: BTreeSet<ClusterName> = clusters_of(&objects).collect();
    let record = context.placements().get(key).cloned();
    match record {
        // Somebody else's controller decides, and this one does not run.
        None if !context.options.controllers.has("placement") => {
            if objects.is_empty() {
                Placement::Pending {
                    clusters,
                    message: format!(
                        "{key} has no decisions yet, and --controllers leaves them to another controller"
                    ),
                }
            } else {
                Placement::Decided(clusters)
            }
        }
        None => Placement::Pending {
            clusters,
            message: format!("{key} is being evaluated"),
        },
        Some(record) => match &record.schedule.hold {
            // Someone else writes these decisions; what they wrote counts.
            Some(HoldReason::Frozen) if !objects.is_empty() => Placement::Decided(clusters),
            Some(HoldReason::Frozen | HoldReason::Deleting) => Placement::Pending {
                clusters,
                message: format!("{key} has no decisions yet"),
            },
            Some(hold) => {
                if clusters.is_empty() {
                    Placement::Failed(held(hold))
                } else {
                    Placement::Pending {
                        clusters,
                        message: hold.to_string(),
                    }
                }
            }
            // Wait until the objects say what was evaluated: others read them too.
            None if clusters == record.schedule.chosen() => Placement::Decided(clusters),
            None => Placement::Pending {
                clusters,
                message: format!("decisions of {key} are being written"),
            },
        },
    }
}

fn held(hold: &HoldReason) -> Failure {
    let class = match hold {
        HoldReason::Misconfigured { .. } | HoldReason::Unsupported { .. } => FailureClass::Invalid,
        _ => FailureClass::Waiting,
    };
    failure(class, "PlacementHeld", hold.to_string())
}

fn failure(class: FailureClass, reason: &str, message: String) -> Failure {
    Failure {
        class,
        reason: reason.into(),
        message,
    }
}
