//! What a Subscription asks of each cluster, and why.
//!
//! The rule that everything here serves: an object is deleted only on a
//! positive record. The finalizer runs, or a placement that was evaluated no
//! longer names the cluster, or a commit that rendered no longer holds the
//! file. A missing channel, an unreachable git, a broken file, a missing or
//! misconfigured placement hold what is there.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::ClusterName;
use crate::core::delivery::{Failure, FailureClass};

/// What the hub found about one Subscription.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// It has a deletionTimestamp.
    pub deleting: bool,
    /// It carries the label `subscription-pause: "true"`.
    pub paused: bool,
    /// Fields and annotations that it uses and that are not built yet.
    pub unsupported: Vec<String>,
    /// The placement, resolved.
    pub placement: Placement,
    /// The content, as far as it got.
    pub content: Content,
    /// Clusters on which an inventory of this Subscription was found, or to
    /// which something was delivered in this process.
    pub holders: BTreeSet<ClusterName>,
    /// Clusters that the hub has and that are not leaving it. Nothing is
    /// removed from another: a cluster that leaves keeps what it has.
    pub registered: BTreeSet<ClusterName>,
}

/// The placement of a Subscription, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// It could not be resolved: nothing specified, the object is missing, the
    /// kind is unknown.
    Failed(Failure),
    /// Not evaluated yet: decisions may still come.
    Pending {
        /// Decisions that exist already.
        clusters: BTreeSet<ClusterName>,
        /// What is waited for.
        message: String,
    },
    /// Evaluated. A cluster that is not here was decided against.
    Decided(BTreeSet<ClusterName>),
}

/// The content of a Subscription, as far as it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Channel, git or rendering failed; the sentence says where.
    Failed(Failure),
    /// The first fetch is under way.
    Pending {
        /// What is waited for.
        message: String,
    },
    /// A commit rendered without a problem.
    Ready {
        /// How many objects it holds.
        objects: usize,
    },
}

/// What is asked of one cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Bring the content there.
    Deliver,
    /// Leave what is there as it is.
    Hold,
    /// Delete what the inventory names.
    Remove,
}

/// The phase words of RHACM's Subscription status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not decided yet.
    Unset,
    /// The hub did its part; clusters may still fail (their results stand in the report).
    Propagated,
    /// The hub could not do its part.
    PropagationFailed,
}

impl Phase {
    /// The word in `.status.phase`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unset => "",
            Self::Propagated => "Propagated",
            Self::PropagationFailed => "PropagationFailed",
        }
    }
}

/// The decision for one Subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Phase for the status.
    pub phase: Phase,
    /// Why the hub stopped, when it did.
    pub failure: Option<Failure>,
    /// What is awaited, when nothing failed and nothing is decided yet.
    pub waiting: Option<String>,
    /// Wish for each cluster concerned.
    pub wishes: BTreeMap<ClusterName, Wish>,
}

/// Decides what each cluster is asked to do.
///
/// Order of the checks: deletion needs neither channel nor git nor placement;
/// pause stops everything but deletion; an unsupported field stops delivery
/// but not withdrawal, since it cannot change where the Subscription was
/// decided against.
#[must_use]
pub fn decide(inputs: &Inputs) -> Decision {
    if inputs.deleting {
        return Decision {
            phase: Phase::Unset,
            failure: None,
            waiting: None,
            wishes: removals(inputs),
        };
    }
    let failure = first_failure(inputs);
    let waiting = if failure.is_none() {
        first_wait(inputs)
    } else {
        None
    };
    let wishes = if inputs.paused {
        all(&inputs.holders, Wish::Hold)
    } else {
        wishes(
            inputs,
            failure.is_none() && matches!(inputs.content, Content::Ready { .. }),
        )
    };
    let phase = match (&failure, &waiting) {
        (Some(_), _) => Phase::PropagationFailed,
        (None, Some(_)) => Phase::Unset,
        (None, None) => Phase::Propagated,
    };
    Decision {
        phase,
        failure,
        waiting,
        wishes,
    }
}

fn first_failure(inputs: &Inputs) -> Option<Failure> {
    if !inputs.unsupported.is_empty() {
        return Some(Failure {
            class: FailureClass::Invalid,
            reason: "Unsupported".into(),
            message: format!(
                "not supported yet, so nothing is delivered on a guess: {}; remove it or keep it for a later version",
                inputs.unsupported.join(", ")
            ),
        });
    }
    if let Content::Failed(failure) = &inputs.content {
        return Some(failure.clone());
    }
    match &inputs.placement {
        Placement::Failed(failure) => Some(failure.clone()),
        _ => None,
    }
}

fn first_wait(inputs: &Inputs) -> Option<String> {
    match (&inputs.content, &inputs.placement) {
        (Content::Pending { message }, _) | (_, Placement::Pending { message, .. }) => {
            Some(message.clone())
        }
        _ => None,
    }
}

fn wishes(inputs: &Inputs, ready: bool) -> BTreeMap<ClusterName, Wish> {
    let (placed, withdrawn) = match &inputs.placement {
        Placement::Failed(_) => (BTreeSet::new(), Wish::Hold),
        Placement::Pending { clusters, .. } => (clusters.clone(), Wish::Hold),
        Placement::Decided(clusters) => (clusters.clone(), Wish::Remove),
    };
    let mut wishes = match withdrawn {
        Wish::Remove => removals(inputs),
        other => all(&inputs.holders, other),
    };
    wishes.extend(all(&placed, if ready { Wish::Deliver } else { Wish::Hold }));
    wishes
}

fn removals(inputs: &Inputs) -> BTreeMap<ClusterName, Wish> {
    inputs
        .holders
        .iter()
        .map(|cluster| {
            let stays = !inputs.registered.contains(cluster);
            (
                cluster.clone(),
                if stays { Wish::Hold } else { Wish::Remove },
            )
        })
        .collect()
}

fn all(clusters: &BTreeSet<ClusterName>, wish: Wish) -> BTreeMap<ClusterName, Wish> {
    clusters
        .iter()
        .map(|cluster| (cluster.clone(), wish))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clusters(names: &[&str]) -> BTreeSet<ClusterName> {
        names.iter().map(|name| ClusterName::from(*name)).collect()
    }

    fn failure(reason: &str) -> Failure {
        Failure {
            class: FailureClass::Waiting,
            reason: reason.into(),
            message: "x".into(),
        }
    }

    /// Placed on a and b, once delivered to a and old.
    fn inputs() -> Inputs {
        Inputs {
            deleting: false,
            paused: false,
            unsupported: vec![],
            placement: Placement::Decided(clusters(&["a", "b"])),
            content: Content::Ready { objects: 3 },
            holders: clusters(&["a", "old"]),
            registered: clusters(&["a", "b", "old"]),
        }
    }

    fn wish(decision: &Decision, cluster: &str) -> Option<Wish> {
        decision.wishes.get(&ClusterName::from(cluster)).copied()
    }

    #[test]
    fn delivers_where_placed_and_removes_where_withdrawn() {
        let decision = decide(&inputs());
        assert_eq!(decision.phase, Phase::Propagated);
        assert_eq!(wish(&decision, "a"), Some(Wish::Deliver));
        assert_eq!(wish(&decision, "b"), Some(Wish::Deliver));
        assert_eq!(wish(&decision, "old"), Some(Wish::Remove));
    }

    #[test]
    fn nothing_is_removed_without_a_positive_record() {
        let holding: [fn(&mut Inputs); 4] = [
            |inputs| inputs.placement = Placement::Failed(failure("PlacementNotFound")),
            |inputs| {
                inputs.placement = Placement::Pending {
                    clusters: clusters(&["a"]),
                    message: "evaluation".into(),
                };
            },
            |inputs| inputs.paused = true,
            |inputs| {
                inputs.placement = Placement::Failed(failure("x"));
                inputs.content = Content::Failed(failure("y"));
            },
        ];
        for change in holding {
            let mut inputs = inputs();
            change(&mut inputs);
            let decision = decide(&inputs);
            assert!(
                decision.wishes.values().all(|wish| *wish != Wish::Remove),
                "{inputs:?} -> {decision:?}"
            );
            assert_eq!(wish(&decision, "old"), Some(Wish::Hold));
        }
    }

    #[test]
    fn a_cluster_that_leaves_the_hub_keeps_what_it_has() {
        let mut inputs = inputs();
        inputs.registered = clusters(&["a", "b"]);
        assert_eq!(wish(&decide(&inputs), "old"), Some(Wish::Hold));
        inputs.deleting = true;
        assert_eq!(wish(&decide(&inputs), "old"), Some(Wish::Hold));
        assert_eq!(wish(&decide(&inputs), "a"), Some(Wish::Remove));
    }

    #[test]
    fn broken_content_holds_what_is_there_and_still_honours_a_withdrawn_decision() {
        let mut inputs = inputs();
        inputs.content = Content::Failed(failure("ManifestInvalid"));
        let decision = decide(&inputs);
        assert_eq!(decision.phase, Phase::PropagationFailed);
        assert_eq!(
            decision.failure.as_ref().map(|f| f.reason.as_str()),
            Some("ManifestInvalid")
        );
        assert_eq!(wish(&decision, "a"), Some(Wish::Hold));
        assert_eq!(wish(&decision, "old"), Some(Wish::Remove));
    }

    #[test]
    fn unsupported_fields_are_named_and_deliver_nothing() {
        let mut inputs = inputs();
        inputs.unsupported = vec!["spec.overrides".into(), "spec.timewindow".into()];
        let decision = decide(&inputs);
        assert_eq!(wish(&decision, "b"), Some(Wish::Hold));
        let message = decision.failure.map(|f| f.message).unwrap_or_default();
        assert!(
            message.contains("spec.overrides, spec.timewindow"),
            "{message}"
        );
    }

    #[test]
    fn deletion_needs_neither_git_nor_placement_and_overrules_pause() {
        let mut inputs = inputs();
        inputs.deleting = true;
        inputs.paused = true;
        inputs.placement = Placement::Failed(failure("x"));
        inputs.content = Content::Failed(failure("y"));
        let decision = decide(&inputs);
        assert_eq!(wish(&decision, "a"), Some(Wish::Remove));
        assert_eq!(wish(&decision, "old"), Some(Wish::Remove));
    }

    #[test]
    fn waiting_is_neither_success_nor_failure() {
        let mut inputs = inputs();
        inputs.content = Content::Pending {
            message: "first fetch".into(),
        };
        let decision = decide(&inputs);
        assert_eq!(
            (decision.phase, decision.waiting.as_deref()),
            (Phase::Unset, Some("first fetch"))
        );
        assert_eq!(wish(&decision, "a"), Some(Wish::Hold));
    }
}
