//! The text of `/metrics`, in OpenMetrics.
//!
//! Controllers, members and git count where they work; states of the fleet are
//! counted from the read model when they are asked for. Labels hold states
//! only: no name of an object, and nothing of a credential.

use std::collections::BTreeMap;

use jiff::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use crate::core::delivery::{Health, Sync};
use crate::core::mesh::observation::RoundTrip;
use crate::core::mesh::{CableState, MeshView};
use crate::core::view::{Chip, FleetView};
use crate::git::GitMetrics;
use crate::hub::metrics::HubMetrics;
use crate::member::MemberMetrics;

type Labels = Vec<(&'static str, String)>;
type Float = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Ticks of a processor second in proc(5): `USER_HZ`, 100 wherever we build.
const TICKS: f64 = 100.0;
/// Shares of the ways whose round trip is at most the value.
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.99", 0.99), ("1", 1.0)];

/// What is known of a process when its metrics are read.
pub(super) struct Readings<'a> {
    /// Start of the process.
    pub(super) started: Timestamp,
    /// Whether it leads.
    pub(super) leader: bool,
    /// Watches of the hub that fail.
    pub(super) failing_watches: usize,
    /// The fleet; empty for a standby.
    pub(super) view: &'a FleetView,
    /// Counters of the controllers.
    pub(super) hub: HubMetrics,
    /// Counters of the members.
    pub(super) member: MemberMetrics,
    /// Counters of git.
    pub(super) git: GitMetrics,
}

impl Readings<'_> {
    /// # Errors
    /// None that a string can give.
    pub(super) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::default();
        process(&mut registry, self.started);
        let own = registry.sub_registry_with_prefix("pilothouse");
        gauge(
            own,
            "leader",
            "1 when this process leads.",
            i64::from(self.leader),
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
            count(self.failing_watches),
        );
        fleet(own, self.view);
        cables(own, self.view.mesh());
        self.hub.register(own);
        self.member.register(own);
        self.git.register(own);
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

fn counted(registry: &mut Registry, name: &str, help: &str, counts: BTreeMap<Labels, i64>) {
    let family = Family::<Labels, Gauge>::default();
    for (labels, number) in counts {
        family.get_or_create(&labels).set(number);
    }
    registry.register(name, help, family);
}

fn fleet(registry: &mut Registry, view: &FleetView) {
    let mut reach: BTreeMap<Labels, i64> =
        ["Reachable", "Unreachable", "Connecting", "No credential"]
            .into_iter()
            .map(|word| (vec![("reach", word.to_owned())], 0))
            .collect();
    for row in view.clusters() {
        *reach
            .entry(vec![("reach", row.reach.word.clone())])
            .or_default() += 1;
    }
    counted(
        registry,
        "clusters",
        "Clusters by whether the hub reaches them.",
        reach,
    );
    let mut applications = BTreeMap::<Labels, i64>::new();
    for sync in [Sync::Synced, Sync::Unknown, Sync::OutOfSync] {
        for health in [
            Health::Healthy,
            Health::Suspended,
            Health::Progressing,
            Health::Unknown,
            Health::Missing,
            Health::Degraded,
        ] {
            let labels = vec![
                ("sync", Chip::from(sync).word),
                ("health", Chip::from(health).word),
            ];
            applications.insert(labels, 0);
        }
    }
    for row in view.applications() {
        let labels = vec![
            ("sync", row.sync.word.clone()),
            ("health", row.health.word.clone()),
        ];
        *applications.entry(labels).or_default() += 1;
    }
    counted(
        registry,
        "applications",
        "Applications by sync and health.",
        applications,
    );
}

fn cables(registry: &mut Registry, mesh: &MeshView) {
    let mut states: BTreeMap<Labels, i64> = [
        CableState::Connected,
        CableState::Unknown,
        CableState::Stale,
        CableState::Connecting,
        CableState::Missing,
        CableState::Error,
    ]
    .into_iter()
    .map(|state| (vec![("status", state.word().to_owned())], 0))
    .collect();
    let mut trips = Vec::new();
    for direction in mesh
        .cables
        .iter()
        .flat_map(|cable| [&cable.forward, &cable.backward])
    {
        *states
            .entry(vec![("status", direction.state.word().to_owned())])
            .or_default() += 1;
        let trip = direction.rtt.filter(RoundTrip::measured);
        trips.extend(trip.and_then(|trip| trip.average.or(trip.last)));
    }
    counted(
        registry,
        "cables",
        "Ways between clusters, two a cable, by what the gateway at their start says.",
        states,
    );
    trips.sort_unstable();
    let family = Family::<[(&'static str, &'static str); 1], Float>::default();
    for (label, share) in QUANTILES {
        #[allow(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of cables, and nanoseconds of a round trip"
        )]
        let seconds = trips
            .get(((trips.len().max(1) - 1) as f64 * share).ceil() as usize)
            .map_or(f64::NAN, |trip| trip.nanos() as f64 / 1e9);
        family.get_or_create(&[("quantile", label)]).set(seconds);
    }
    registry.register_with_unit(
        "cable_rtt",
        "Mean round trips that gateways measure, over all ways; NaN when none is.",
        Unit::Seconds,
        family,
    );
}

/// The names that Prometheus's own client libraries give.
fn process(registry: &mut Registry, started: Timestamp) {
    let start = Gauge::<i64>::default();
    start.set(started.as_second());
    registry.register_with_unit(
        "process_start_time",
        "Start of this process, since 1970.",
        Unit::Seconds,
        start,
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
    if let Some(seconds) = processor_seconds() {
        let processor = Counter::<f64, std::sync::atomic::AtomicU64>::default();
        processor.inc_by(seconds);
        registry.register_with_unit(
            "process_cpu",
            "Processor time of this process, its own and the kernel's for it.",
            Unit::Seconds,
            processor,
        );
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

/// `utime` and `stime` of proc(5). `None` where there is no such file.
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before the last parenthesis may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let user: f64 = ticks.next()?.parse().ok()?;
    let system: f64 = ticks.next()?.parse().ok()?;
    Some((user + system) / TICKS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test says what failed by panicking")]
    use super::*;

    fn text(view: &FleetView) -> String {
        let readings = Readings {
            started: Timestamp::from_second(7).unwrap(),
            leader: true,
            failing_watches: 2,
            view,
            hub: HubMetrics::default(),
            member: MemberMetrics::default(),
            git: GitMetrics::default(),
        };
        readings.text().unwrap()
    }

    #[test]
    fn the_fleet_is_counted_by_state_and_never_named() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let view = FleetView::build(crate::core::view::example::facts(now));
        let text = text(&view);
        let sum = |name: &str| -> i64 {
            text.lines()
                .filter(|line| line.starts_with(&format!("{name}{{")))
                .map(|line| line.rsplit(' ').next().unwrap().parse::<i64>().unwrap())
                .sum()
        };
        assert_eq!(
            sum("pilothouse_clusters"),
            count(view.clusters().len()),
            "{text}"
        );
        assert_eq!(
            sum("pilothouse_applications"),
            count(view.applications().len())
        );
        assert_eq!(
            sum("pilothouse_cables"),
            count(view.mesh().cables.len() * 2)
        );
        assert!(text.contains("pilothouse_cable_rtt_seconds{quantile=\"1\"} 0."));
        for row in view.clusters() {
            assert!(!text.contains(&row.name), "{} is named", row.name);
        }
    }

    #[test]
    fn a_process_tells_its_memory_and_time() {
        let text = text(&FleetView::default());
        for line in [
            "process_start_time_seconds 7\n",
            "process_resident_memory_bytes ",
            "process_cpu_seconds_total ",
            "pilothouse_leader 1\n",
            "pilothouse_failing_watches 2\n",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
