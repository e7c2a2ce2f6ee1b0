//! Which clusters a placement chooses, and why.
//!
//! Three forms ask the same question: a PlacementRule (RHACM's, by label and
//! condition), a Placement (OCM's, through cluster sets, taints and
//! predicates), and the clusters written inline in a Subscription. Each answer
//! is a [`Schedule`]: the decisions, a [`Verdict`] with its reason for *every*
//! cluster, and what to put into the status. People read the scheduler's own
//! result, never a second derivation of it.
//!
//! Rules of choice, for all forms: clusters are looked at in the order of
//! their names, so the same inputs give the same answer in any order. A cluster
//! that was chosen before and still fits is kept before a new one is taken
//! (PlacementRule), or by the weight of its `Steady` score (Placement).
//!
//! Where this differs from upstream, on purpose: what cannot be evaluated (a bad
//! selector, a field that is not built) *holds* the old decisions instead of
//! emptying them, because an emptied decision deletes workloads; and a
//! condition that a cluster does not have is `Unknown`, so it is not `True`.

pub mod condition;
pub mod facts;
mod group;
mod inline;
mod objects;
mod reason;
mod rule;
mod schedule;
mod scheduler;
mod score;
pub mod selector;
pub mod sets;
mod taint;

pub use facts::ClusterFacts;
pub use inline::inline;
pub use objects::{DecisionOwner, decision_objects, placement_status, rule_status};
pub use reason::{Because, Miss, Reason, Verdict};
pub use rule::{decided_by, placement_rule};
pub use schedule::{Decision, Group, HoldReason, Outcome, Schedule};
pub use scheduler::{PlacementInputs, placement};
pub use score::ScoreSources;
