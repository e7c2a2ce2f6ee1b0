//! The listener for operators: liveness, readiness and metrics. It is open
//! from the start of the process, as standby and as leader.
//!
//! Metrics are counted from the read model when they are asked for; nothing is
//! counted while the hub works. Labels hold states only, never names.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::Running;
use crate::core::view::FleetView;
use crate::hub::context::Shared;

type Labels = Vec<(&'static str, String)>;

/// What the operators' listener tells of this process.
#[derive(Clone)]
pub struct Operators {
    started: Timestamp,
    leads: Arc<OnceLock<Leads>>,
}

struct Leads {
    views: watch::Receiver<Arc<FleetView>>,
    context: Shared,
}

impl Operators {
    /// A process that `started` and does not lead yet.
    #[must_use]
    pub fn new(started: Timestamp) -> Self {
        Self {
            started,
            leads: Arc::default(),
        }
    }

    /// From now on this process leads; it does so until it ends.
    pub fn leads(&self, running: &Running) {
        // A second call tells nothing new.
        let _ = self.leads.set(Leads {
            views: running.views(),
            context: Arc::clone(running.context()),
        });
    }

    /// Serves until `shutdown`.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
    ) -> std::io::Result<()> {
        axum::serve(listener, self.router())
            .with_graceful_shutdown(shutdown.cancelled_owned())
            .await
    }

    fn router(self) -> Router {
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Watches that fail. A standby has none: it is ready to take over, and a
    /// rollout must not wait for it to lead.
    fn problems(&self) -> Vec<String> {
        self.leads
            .get()
            .map(|leads| leads.context.stores.problems())
            .unwrap_or_default()
    }

    fn metrics(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        let own = registry.sub_registry_with_prefix("pilothouse");
        gauge(
            own,
            "leader",
            "1 when this process leads.",
            i64::from(self.leads.get().is_some()),
        );
        let build = Family::<Labels, Gauge>::default();
        build
            .get_or_create(&vec![("version", env!("CARGO_PKG_VERSION").to_owned())])
            .set(1);
        own.register("build_info", "Version of this process.", build);
        gauge(
            own,
            "failing_watches",
            "Watches of the hub that fail.",
            count(self.problems().len()),
        );
        if let Some(leads) = self.leads.get() {
            let view = Arc::clone(&leads.views.borrow());
            fleet(own, &view);
        }
        let started = Gauge::<i64>::default();
        started.set(self.started.as_second());
        registry.register_with_unit(
            "process_start_time",
            "Start of this process, since 1970.",
            Unit::Seconds,
            started,
        );
        if let Some(bytes) = resident_bytes() {
            let memory = Gauge::<i64>::default();
            memory.set(bytes);
            registry.register_with_unit(
                "process_resident_memory",
                "Resident memory of this process.",
                Unit::Bytes,
                memory,
            );
        }
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn fleet(registry: &mut Registry, view: &FleetView) {
    let mut reach = BTreeMap::<Labels, i64>::new();
    for row in view.clusters() {
        *reach
            .entry(vec![("reach", row.reach.word.clone())])
            .or_default() += 1;
    }
    let mut applications = BTreeMap::<Labels, i64>::new();
    for row in view.applications() {
        let labels = vec![
            ("sync", row.sync.word.clone()),
            ("health", row.health.word.clone()),
        ];
        *applications.entry(labels).or_default() += 1;
    }
    for (name, help, counts) in [
        (
            "clusters",
            "Clusters by whether the hub reaches them.",
            reach,
        ),
        (
            "applications",
            "Applications by sync and health.",
            applications,
        ),
    ] {
        let family = Family::<Labels, Gauge>::default();
        for (labels, number) in counts {
            family.get_or_create(&labels).set(number);
        }
        registry.register(name, help, family);
    }
}

/// `VmRSS` of proc(5), which is in KiB. `None` where there is no such file.
fn resident_bytes() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// 503 with what is missing; with `?verbose` each check, as kube-apiserver has it.
async fn readyz(State(operators): State<Operators>, RawQuery(query): RawQuery) -> Response {
    let problems = operators.problems();
    let ready = problems.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let verbose = query.is_some_and(|query| query.split('&').any(|key| key.starts_with("verbose")));
    if ready && !verbose {
        return (status, "ok\n").into_response();
    }
    let mut text = String::new();
    let role = if operators.leads.get().is_some() {
        "leader"
    } else {
        "standby"
    };
    let _ = writeln!(text, "[+]role ok: {role}");
    for problem in &problems {
        let _ = writeln!(text, "[-]watch failed: {problem}");
    }
    let _ = writeln!(
        text,
        "readyz check {}",
        if ready { "passed" } else { "failed" }
    );
    (status, text).into_response()
}

async fn metrics(State(operators): State<Operators>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match operators.metrics() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    #[test]
    fn standby_is_ready_and_says_that_it_does_not_lead() {
        let operators = Operators::new(Timestamp::from_second(7).unwrap());
        let text = operators.metrics().unwrap();
        assert!(operators.problems().is_empty());
        assert!(text.contains("pilothouse_leader 0\n"), "{text}");
        assert!(text.contains("process_start_time_seconds 7\n"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
