//! Counters of what is written to members, for `/metrics`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::pass::Outcome;
use crate::core::delivery::FailureClass;

/// Seconds: from a member next door to the deadline of a call (10 s).
const BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// What becomes of an object.
const RESULTS: [&str; 6] = [
    "Applied",
    "Conflict",
    "Invalid",
    "Stalled",
    "Transient",
    "Waiting",
];
/// What becomes of an object that left git.
const PRUNED: [&str; 4] = ["Pruned", "Deleting", "Released", "Failed"];

type Labels = [(&'static str, &'static str); 1];

/// Shared by all members; clones count together. Labels are outcomes only, so
/// their number does not grow with the fleet.
#[derive(Clone, Debug)]
pub struct MemberMetrics {
    applies: Family<Labels, Counter>,
    durations: Family<Labels, Histogram>,
    prunes: Family<Labels, Counter>,
}

impl Default for MemberMetrics {
    /// Every series is there from the start, at zero: a rate sees the first.
    fn default() -> Self {
        let metrics = Self {
            applies: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            prunes: Family::default(),
        };
        for result in RESULTS {
            drop(metrics.applies.get_or_create(&[("result", result)]));
            drop(metrics.durations.get_or_create(&[("result", result)]));
        }
        for result in PRUNED {
            drop(metrics.prunes.get_or_create(&[("result", result)]));
        }
        metrics
    }
}

impl MemberMetrics {
    /// An object was sent to a member, or could not be.
    pub(super) fn applied(&self, outcome: &Outcome, took: Duration) {
        let result = match outcome {
            Outcome::Failed(failure) => class(failure.class),
            _ => "Applied",
        };
        let labels = [("result", result)];
        self.applies.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
    }

    /// An object that left git was looked at.
    pub(super) fn pruned(&self, outcome: &Outcome) {
        let result = match outcome {
            Outcome::Deleting => "Deleting",
            Outcome::Released => "Released",
            Outcome::Failed(_) => "Failed",
            Outcome::Pruned | Outcome::Applied { .. } => "Pruned",
        };
        self.prunes.get_or_create(&[("result", result)]).inc();
    }

    /// Adds these to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "apply",
            "Objects sent to members, by what became of them.",
            self.applies.clone(),
        );
        registry.register_with_unit(
            "apply_duration",
            "Time for one object on a member, with the look at its owner.",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "prune",
            "Objects that left git, by what became of them on members.",
            self.prunes.clone(),
        );
    }
}

fn class(class: FailureClass) -> &'static str {
    match class {
        FailureClass::Invalid => "Invalid",
        FailureClass::Waiting => "Waiting",
        FailureClass::Transient => "Transient",
        FailureClass::Conflict => "Conflict",
        FailureClass::Stalled => "Stalled",
    }
}
