//! Counters of the traffic with git servers, for `/metrics`.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::error::{ErrorClass, GitError};

/// Seconds: from a listing next door to the deadline of a transfer (60 s).
const BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
const CLASSES: [ErrorClass; 8] = [
    ErrorClass::Invalid,
    ErrorClass::Transient,
    ErrorClass::Auth,
    ErrorClass::NotFound,
    ErrorClass::TooLarge,
    ErrorClass::Timeout,
    ErrorClass::Refused,
    ErrorClass::Local,
];

type Labels = [(&'static str, &'static str); 1];

/// Of one [`super::Fetcher`]; clones count together. No label names a
/// repository.
#[derive(Clone, Debug)]
pub struct GitMetrics {
    durations: Family<Labels, Histogram>,
    failures: Family<Labels, Counter>,
}

impl Default for GitMetrics {
    /// Every series is there from the start, at zero: a rate sees the first.
    fn default() -> Self {
        let metrics = Self {
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            failures: Family::default(),
        };
        for result in ["success", "failure"] {
            drop(metrics.durations.get_or_create(&[("result", result)]));
        }
        for class in CLASSES {
            let labels = [("category", class.as_str())];
            drop(metrics.failures.get_or_create(&labels));
        }
        metrics
    }
}

impl GitMetrics {
    /// A server was asked for a reference, and its commit transferred where it
    /// was new.
    pub(super) fn fetched<T>(&self, outcome: &Result<T, GitError>, took: Duration) {
        let result = match outcome {
            Ok(_) => "success",
            Err(error) => {
                let category = error.class().as_str();
                self.failures.get_or_create(&[("category", category)]).inc();
                "failure"
            }
        };
        self.durations
            .get_or_create(&[("result", result)])
            .observe(took.as_secs_f64());
    }

    /// Adds these to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "git_fetch_duration",
            "Time to ask a git server for a reference, with the transfer if there is one.",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "git_fetch_failures",
            "Fetches that failed, by the class of the error.",
            self.failures.clone(),
        );
    }
}
