//! Counters of the controllers, for `/metrics`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::leadership::NotLeading;

/// Seconds: from a look at the caches to calls that wait for a slow API server.
const BUCKETS: [f64; 11] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0,
];

/// Controllers, results and what the hub's API may say, so that every series is
/// there from the start, at zero: a rate sees the first.
const CONTROLLERS: [&str; 5] = [
    "application",
    "cluster",
    "clusterset",
    "placement",
    "subscription",
];
const RESULTS: [&str; 3] = ["success", "conflict", "failure"];
const CATEGORIES: [&str; 8] = [
    "Forbidden",
    "Invalid",
    "NotFound",
    "NotLeading",
    "ServerError",
    "TooManyRequests",
    "Unauthorized",
    "Unreachable",
];

type Labels<const N: usize> = [(&'static str, &'static str); N];
/// Keys of a queue that wait for a worker.
type Depth = Arc<dyn Fn() -> usize + Send + Sync>;

/// Of all controllers of a hub; clones count together. No label names an
/// object.
#[derive(Clone)]
pub struct HubMetrics {
    reconciles: Family<Labels<2>, Counter>,
    durations: Family<Labels<1>, Histogram>,
    failures: Family<Labels<2>, Counter>,
    queues: Arc<Mutex<Vec<(&'static str, Depth)>>>,
}

impl Default for HubMetrics {
    fn default() -> Self {
        let metrics = Self {
            reconciles: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            failures: Family::default(),
            queues: Arc::default(),
        };
        for controller in CONTROLLERS.map(|name| ("controller", name)) {
            for result in RESULTS {
                drop(
                    metrics
                        .reconciles
                        .get_or_create(&[controller, ("result", result)]),
                );
            }
            for category in CATEGORIES {
                drop(
                    metrics
                        .failures
                        .get_or_create(&[controller, ("category", category)]),
                );
            }
            drop(metrics.durations.get_or_create(&[controller]));
        }
        metrics
    }
}

impl HubMetrics {
    /// A controller begins. `depth` is asked when metrics are read.
    pub(super) fn controller(
        &self,
        controller: &'static str,
        depth: impl Fn() -> usize + Send + Sync + 'static,
    ) {
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((controller, Arc::new(depth)));
    }

    /// A reconcile ended. Failures that a status shows are no failures here.
    pub(super) fn reconciled<T>(
        &self,
        controller: &'static str,
        outcome: &Result<T, kube::Error>,
        took: Duration,
    ) {
        let result = match outcome {
            Ok(_) => "success",
            Err(kube::Error::Api(status)) if status.code == 409 => "conflict",
            Err(error) => {
                let labels = [("controller", controller), ("category", category(error))];
                self.failures.get_or_create(&labels).inc();
                "failure"
            }
        };
        self.reconciles
            .get_or_create(&[("controller", controller), ("result", result)])
            .inc();
        self.durations
            .get_or_create(&[("controller", controller)])
            .observe(took.as_secs_f64());
    }

    /// Adds these to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "reconcile",
            "Reconciles, by controller and result; a conflict is tried again.",
            self.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile_duration",
            "Time of one reconcile, by controller.",
            Unit::Seconds,
            self.durations.clone(),
        );
        registry.register(
            "reconcile_failures",
            "Reconciles that failed at the hub's API, by controller and what it said.",
            self.failures.clone(),
        );
        let depths = Family::<Labels<1>, Gauge>::default();
        for controller in CONTROLLERS {
            drop(depths.get_or_create(&[("controller", controller)]));
        }
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        for (controller, depth) in queues.iter() {
            depths
                .get_or_create(&[("controller", *controller)])
                .set(i64::try_from(depth()).unwrap_or(i64::MAX));
        }
        drop(queues);
        registry.register(
            "queue_depth",
            "Keys that wait for a worker, by controller.",
            depths,
        );
    }
}

/// What the hub's API said, in a word.
fn category(error: &kube::Error) -> &'static str {
    match error {
        kube::Error::Api(status) => match status.code {
            401 => "Unauthorized",
            403 => "Forbidden",
            404 => "NotFound",
            429 => "TooManyRequests",
            400..=499 => "Invalid",
            _ => "ServerError",
        },
        kube::Error::Service(source) if source.is::<NotLeading>() => "NotLeading",
        _ => "Unreachable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    fn text(metrics: &HubMetrics) -> String {
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        text
    }

    fn answer(code: u16) -> kube::Error {
        kube::Error::Api(Box::new(kube::core::Status {
            code,
            ..kube::core::Status::failure("no", "No")
        }))
    }

    #[test]
    fn a_reconcile_is_counted_once_by_its_result() {
        let metrics = HubMetrics::default();
        metrics.controller("cluster", || 7);
        let took = Duration::from_millis(20);
        metrics.reconciled("cluster", &Ok(()), took);
        metrics.reconciled::<()>("cluster", &Err(answer(409)), took);
        metrics.reconciled::<()>("cluster", &Err(answer(403)), took);
        metrics.reconciled::<()>(
            "cluster",
            &Err(kube::Error::Service(NotLeading.into())),
            took,
        );
        let text = text(&metrics);
        for line in [
            "reconcile_total{controller=\"cluster\",result=\"success\"} 1",
            "reconcile_total{controller=\"cluster\",result=\"conflict\"} 1",
            "reconcile_total{controller=\"cluster\",result=\"failure\"} 2",
            "reconcile_failures_total{controller=\"cluster\",category=\"Forbidden\"} 1",
            "reconcile_failures_total{controller=\"cluster\",category=\"NotLeading\"} 1",
            "reconcile_duration_seconds_count{controller=\"cluster\"} 4",
            "queue_depth{controller=\"cluster\"} 7",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
