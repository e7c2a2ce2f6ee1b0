//! Cables and services of the made-up fleet.

use jiff::Timestamp;

use super::{before, cluster_name};
use crate::api::NamespacedName;
use crate::core::activity::Severity;
use crate::core::mesh::dns::{Address, Answer, Response};
use crate::core::mesh::duration::GoDuration;
use crate::core::mesh::export::{ExportState, ExportVerdict};
use crate::core::mesh::finding::{Check, Evidence};
use crate::core::mesh::ladder::{Discoverable, Gate, Ladder, Outcome, Rung};
use crate::core::mesh::observation::RoundTrip;
use crate::core::mesh::service::{ConsumerView, Want};
use crate::core::mesh::{
    Cable, CableState, Connectivity, Direction, ExportView, Finding, MeshView, ServiceView,
};

fn gateway_of(cluster: &str) -> Option<(&'static str, &'static str, [&'static str; 2])> {
    match cluster {
        "aws-sub1" => Some((
            "ip-10-10-37-208",
            "203.0.113.21",
            ["172.31.0.0/16", "10.132.0.0/14"],
        )),
        "aws-sub2" => Some((
            "ip-10-0-31-78",
            "203.0.113.22",
            ["172.30.0.0/16", "10.128.0.0/14"],
        )),
        "edge-3" => Some((
            "ip-10-9-0-12",
            "198.51.100.7",
            ["172.29.0.0/16", "10.136.0.0/14"],
        )),
        _ => None,
    }
}

/// What a direction of the example is like.
struct Report<'a> {
    state: CableState,
    micros: Option<i64>,
    age: i64,
    reason: &'a str,
}

fn direction(now: Timestamp, from: &str, to: &str, report: &Report<'_>) -> Direction {
    let remote = gateway_of(to);
    let average = report
        .micros
        .map(|micros| GoDuration::from_nanos(micros * 1_000));
    Direction {
        from: cluster_name(from),
        to: cluster_name(to),
        state: report.state,
        reason: report.reason.to_owned(),
        rtt: average.map(|_| RoundTrip {
            last: average,
            average,
            ..RoundTrip::default()
        }),
        verified: average.is_some(),
        nat: remote.map(|_| true),
        using_ip: remote.map(|(_, ip, _)| ip.to_owned()),
        driver: remote.map(|_| "libreswan".to_owned()),
        subnets: remote.map_or_else(Vec::new, |(.., subnets)| subnets.map(str::to_owned).into()),
        gateway: gateway_of(from).map(|(name, ..)| name.to_owned()),
        remote_gateway: remote.map(|(name, ..)| name.to_owned()),
        since: before(now, report.age),
    }
}

fn cable(now: Timestamp, a: &str, b: &str, forward: &Report<'_>, backward: &Report<'_>) -> Cable {
    let states = [forward.state, backward.state];
    Cable {
        from: cluster_name(a),
        to: cluster_name(b),
        forward: direction(now, a, b, forward),
        backward: direction(now, b, a, backward),
        connectivity: match states {
            [CableState::Connected, CableState::Connected] => Connectivity::Connected,
            _ if states.contains(&CableState::Connected) => Connectivity::Degraded,
            _ => Connectivity::Unknown,
        },
        overlap: None,
    }
}

/// Cables, findings and services.
pub(super) fn view(now: Timestamp) -> MeshView {
    let up = |micros: i64, age: i64| Report {
        state: CableState::Connected,
        micros: Some(micros),
        age,
        reason: "the gateway reports connected and pings are answered",
    };
    let lost = Report {
        state: CableState::Unknown,
        micros: None,
        age: 1_260,
        reason: "the hub cannot read edge-4",
    };
    let stale = Report {
        state: CableState::Stale,
        micros: None,
        age: 41,
        reason: "all gateways of edge-4 have been silent for 41 s",
    };
    let (day, hour) = (86_400, 3_600);
    let cut = Report {
        state: CableState::Error,
        micros: None,
        age: 125,
        reason: "failed to successfully ping the remote endpoint IP 10.128.2.1",
    };
    MeshView {
        cables: vec![
            cable(
                now,
                "aws-sub1",
                "aws-sub2",
                &up(1_173, 6 * day),
                &up(1_151, 6 * day),
            ),
            cable(
                now,
                "aws-sub1",
                "edge-3",
                &up(8_400, 3 * hour),
                &up(8_380, 3 * hour),
            ),
            cable(now, "aws-sub1", "edge-4", &lost, &stale),
            cable(now, "aws-sub2", "edge-3", &up(9_020, 3 * hour), &cut),
            cable(now, "aws-sub2", "edge-4", &lost, &stale),
            cable(now, "edge-3", "edge-4", &lost, &stale),
        ],
        findings: findings(),
        services: services(now),
    }
}

fn findings() -> Vec<Finding> {
    let finding =
        |check: Check, severity, clusters: &[&str], sentence: &str, advice: &str, value: &str| {
            Finding {
                id: format!("{}:{}", check.code(), clusters.join("-")),
                check,
                severity,
                subject: clusters.join(", "),
                clusters: clusters.iter().map(|name| cluster_name(name)).collect(),
                sentence: sentence.to_owned(),
                evidence: vec![Evidence {
                    cluster: cluster_name(clusters.first().copied().unwrap_or_default()),
                    object: "Gateway submariner-operator/ip-10-9-0-12".to_owned(),
                    field: "status.connections[0].statusMessage".to_owned(),
                    value: value.to_owned(),
                }],
                advice: advice.to_owned(),
            }
        };
    vec![
        finding(
            Check::Asymmetry,
            Severity::Bad,
            &["edge-3", "aws-sub2"],
            "edge-3 → aws-sub2 is in error while aws-sub2 → edge-3 reports connected: traffic fails one way.",
            "Probe it: `subctl diagnose firewall inter-cluster`.",
            "failed to successfully ping the remote endpoint IP 10.128.2.1",
        ),
        finding(
            Check::Overlap,
            Severity::Warning,
            &["edge-4", "aws-sub1"],
            "edge-4 has no cable to anyone: its cluster CIDR `10.132.0.0/14` overlaps with that of aws-sub1.",
            "Submariner skips overlapping peers silently. Choose another CIDR, or join it with Globalnet.",
            "",
        ),
        finding(
            Check::SingleGateway,
            Severity::Warning,
            &["edge-3"],
            "edge-3 has a single gateway node: a failure cuts all its cables.",
            "Label a second node `submariner.io/gateway=true`.",
            "",
        ),
    ]
}

const GATES: [(Gate, &str); 7] = [
    (Gate::Applied, "the ServiceExport is on the exporter"),
    (Gate::Valid, "the Service exists and can be exported"),
    (Gate::Published, "Ready: the export reached the broker"),
    (
        Gate::OnBroker,
        "the broker lists the export and its endpoints",
    ),
    (Gate::HasEndpoints, "1 backend is ready"),
    (Gate::Imported, "the consumer holds an equal copy"),
    (
        Gate::Path,
        "the consumer's gateway reports a connected cable",
    ),
];

fn ladder(exporter: &str, consumer: &str, stops: Option<(Outcome, &str)>) -> Ladder {
    let rungs = GATES.iter().map(|(gate, detail)| {
        let (outcome, detail) = match stops {
            Some(stop) if *gate == Gate::Path => stop,
            None if *gate == Gate::Path && exporter == consumer => {
                (Outcome::Skipped, "no cable is needed inside one cluster")
            }
            _ => (Outcome::Passed, *detail),
        };
        Rung {
            gate: *gate,
            outcome,
            detail: detail.to_owned(),
        }
    });
    Ladder {
        exporter: cluster_name(exporter),
        consumer: cluster_name(consumer),
        wanted: ["aws-sub1", "edge-3"].contains(&consumer),
        rungs: rungs.collect(),
        verdict: match stops {
            Some((Outcome::Failed, _)) => Discoverable::No,
            Some(_) => Discoverable::Unknown,
            None => Discoverable::Yes,
        },
        stops_at: stops.map(|_| Gate::Path),
        reason: stops.map_or_else(
            || "every gate holds".to_owned(),
            |(_, reason)| reason.to_owned(),
        ),
    }
}

fn services(now: Timestamp) -> Vec<ServiceView> {
    vec![
        service(
            now,
            "redis-master",
            "aws-sub1",
            "172.31.88.12",
            "REDIS_MASTER_SERVICE_HOST",
        ),
        service(
            now,
            "redis-slave",
            "aws-sub2",
            "172.30.12.77",
            "REDIS_SLAVE_SERVICE_HOST",
        ),
    ]
}

fn service(now: Timestamp, name: &str, on: &str, ip: &str, variable: &str) -> ServiceView {
    let ladders: Vec<Ladder> = ["aws-sub1", "aws-sub2", "edge-3", "edge-4"]
        .into_iter()
        .map(|consumer| match consumer {
            "edge-3" if on == "aws-sub2" => ladder(
                on,
                consumer,
                Some((Outcome::Failed, "its cable to aws-sub2 reports error")),
            ),
            "edge-4" => ladder(
                on,
                consumer,
                Some((
                    Outcome::Unknown,
                    "the gateways of edge-4 are silent, so the path is not known",
                )),
            ),
            _ => ladder(on, consumer, None),
        })
        .collect();
    let consumers = ladders.iter().map(|ladder| {
        let want = Want {
            application: NamespacedName::new("guestbook", "guestbook-app"),
            from: format!("Deployment frontend, env {variable}"),
            cluster: None,
        };
        ConsumerView {
            cluster: ladder.consumer.clone(),
            wanted_by: ladder.wanted.then_some(want).into_iter().collect(),
            verdict: ladder.verdict,
            reason: ladder.reason.clone(),
            dns: vec![answer(ladder, name, ip)],
        }
    });
    ServiceView {
        service: NamespacedName::new("guestbook", name),
        exports: vec![ExportView {
            cluster: cluster_name(on),
            verdict: Some(ExportVerdict {
                state: ExportState::Published,
                valid: Some(true),
                sentence: "Ready: the service was exported to the broker".to_owned(),
                conflict: None,
                since: Some(before(now, 10_800)),
            }),
            delivered_by: Some(format!("guestbook/{name}-app")),
            created: Some(before(now, 10_800)),
        }],
        consumers: consumers.collect(),
        verdict: if on == "aws-sub2" {
            Discoverable::Degraded
        } else {
            Discoverable::Yes
        },
        sentence: if on == "aws-sub2" {
            "edge-3 cannot use it: its cable to aws-sub2 reports error"
        } else {
            "usable wherever it is needed"
        }
        .to_owned(),
        ladders,
    }
}

fn answer(ladder: &Ladder, name: &str, ip: &str) -> Answer {
    let (response, rule) = match ladder.verdict {
        Discoverable::Yes => (Response::NoError, format!("from {}", ladder.exporter)),
        Discoverable::Unknown => (
            Response::Unknown,
            "the hub does not read the cluster".to_owned(),
        ),
        Discoverable::Degraded | Discoverable::No => {
            (Response::NoError, "no exporter is connected".to_owned())
        }
    };
    let address = Address {
        ip: ip.to_owned(),
        cluster: Some(ladder.exporter.clone()),
    };
    Answer {
        from: ladder.consumer.clone(),
        name: format!("{name}.guestbook.svc.clusterset.local"),
        response,
        addresses: (ladder.verdict == Discoverable::Yes)
            .then_some(address)
            .into_iter()
            .collect(),
        rule,
        computed: true,
    }
}
