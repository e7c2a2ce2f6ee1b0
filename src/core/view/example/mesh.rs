//! Cables and services of the made-up fleet.

use jiff::Timestamp;

use super::{before, cluster_name};
use crate::api::NamespacedName;
use crate::core::activity::Severity;
use crate::core::mesh::{Cable, CableState, Direction, DnsAnswer, ExportView, Finding, Ladder, MeshView, ServiceView, Verdict};

fn direction(now: Timestamp, to: &str, state: CableState, rtt: Option<u64>, age: Option<i64>, reason: &str) -> Direction {
    let (gateway, ip, subnets) = match to {
        "aws-sub1" => ("ip-10-10-37-208", "203.0.113.21", "172.31.0.0/16, 10.132.0.0/14"),
        "aws-sub2" => ("ip-10-0-31-78", "203.0.113.22", "172.30.0.0/16, 10.128.0.0/14"),
        "edge-3" => ("ip-10-9-0-12", "198.51.100.7", "172.29.0.0/16, 10.136.0.0/14"),
        _ => ("", "", ""),
    };
    Direction {
        state,
        reason: reason.to_owned(),
        rtt_micros: rtt,
        verified: rtt.is_some(),
        nat: (!ip.is_empty()).then_some(true),
        using_ip: (!ip.is_empty()).then(|| ip.to_owned()),
        driver: if ip.is_empty() { String::new() } else { "libreswan".to_owned() },
        subnets: if subnets.is_empty() { Vec::new() } else { subnets.split(", ").map(str::to_owned).collect() },
        gateway: gateway.to_owned(),
        since: age.map(|age| before(now, age)),
    }
}

fn cable(a: &str, b: &str, forward: Direction, backward: Direction) -> Cable {
    Cable { from: cluster_name(a), to: cluster_name(b), forward, backward }
}

/// Cables, findings and services.
pub(super) fn view(now: Timestamp) -> MeshView {
    let up = |to: &str, rtt: u64, age: i64| direction(now, to, CableState::Connected, Some(rtt), Some(age), "connected, pings are answered");
    let lost = |to: &str| direction(now, to, CableState::Missing, None, None, "no gateway reports this cable");
    let stale = |to: &str| direction(now, to, CableState::Stale, None, Some(41), "all gateways of edge-4 have been silent for 41 s");
    let (day, hour) = (86_400, 3_600);
    let cut = direction(now, "aws-sub2", CableState::Error, None, Some(125), "failed to successfully ping the remote endpoint IP 10.128.2.1");
    MeshView {
        cables: vec![
            cable("aws-sub1", "aws-sub2", up("aws-sub2", 1_173, 6 * day), up("aws-sub1", 1_151, 6 * day)),
            cable("aws-sub1", "edge-3", up("edge-3", 8_400, 3 * hour), up("aws-sub1", 8_380, 3 * hour)),
            cable("aws-sub2", "edge-3", up("edge-3", 9_020, 3 * hour), cut),
            cable("aws-sub1", "edge-4", lost("edge-4"), stale("aws-sub1")),
            cable("aws-sub2", "edge-4", lost("edge-4"), stale("aws-sub2")),
            cable("edge-3", "edge-4", lost("edge-4"), stale("edge-3")),
        ],
        findings: findings(now),
        services: services(),
    }
}

fn findings(now: Timestamp) -> Vec<Finding> {
    let finding = |id: &str, severity, clusters: &[&str], sentence: &str, advice: &str, age| Finding {
        id: id.to_owned(),
        severity,
        clusters: clusters.iter().map(|name| cluster_name(name)).collect(),
        sentence: sentence.to_owned(),
        advice: advice.to_owned(),
        since: Some(before(now, age)),
    };
    vec![
        finding("asymmetry", Severity::Bad, &["edge-3", "aws-sub2"], "edge-3 → aws-sub2 is in error while aws-sub2 → edge-3 reports connected: traffic fails one way.", "gateway ip-10-9-0-12: “failed to successfully ping the remote endpoint IP 10.128.2.1”; probe it: `subctl diagnose firewall inter-cluster`", 125),
        finding("overlap", Severity::Warning, &["edge-4", "aws-sub1"], "edge-4 has no cable to anyone: its cluster CIDR `10.132.0.0/14` overlaps with that of aws-sub1.", "Submariner skips overlapping peers silently; choose another CIDR, or join it with Globalnet", 720),
        finding("single", Severity::Warning, &["edge-3"], "edge-3 has a single gateway node: a failure cuts all its cables.", "label a second node `submariner.io/gateway=true`", 10_800),
    ]
}

const RUNGS: [(&str, &str); 7] = [
    ("applied", "L0: the ServiceExport is on the exporting cluster"),
    ("valid", "L1: the Service exists and is of a kind that can be exported"),
    ("published", "L2: the exporter says that it was published"),
    ("on broker", "L3: the broker lists the export and its endpoints"),
    ("endpoints", "L4: at least one backend is ready"),
    ("imported", "L5: the consumer has the namespace, the import and equal endpoints"),
    ("path", "L6: the consumer's gateway reports a connected cable"),
];

fn ladder(exporter: &str, consumer: &str, fails: Option<(usize, &str, Verdict)>) -> Ladder {
    let rungs = RUNGS.iter().enumerate().map(|(index, (name, title))| {
        let state = match &fails {
            Some((at, _, verdict)) if index == *at => (*verdict != Verdict::Unknown).then_some(false),
            Some((at, ..)) if index > *at => None,
            _ => Some(true),
        };
        ((*name).to_owned(), (*title).to_owned(), state)
    });
    Ladder {
        exporter: cluster_name(exporter),
        consumer: cluster_name(consumer),
        rungs: rungs.collect(),
        verdict: fails.as_ref().map_or(Verdict::Discoverable, |(_, _, verdict)| *verdict),
        reason: fails.map_or_else(String::new, |(_, reason, _)| reason.to_owned()),
    }
}

fn services() -> Vec<ServiceView> {
    let cut = (6, "its cable to aws-sub2 reports error", Verdict::Not);
    let silent = |to: &str| (6, format!("the gateways of edge-4 are silent, so the path to {to} is not known"), Verdict::Unknown);
    ["redis-master", "redis-slave"]
        .into_iter()
        .zip(["aws-sub1", "aws-sub2"])
        .map(|(name, on)| {
            let ladders = ["aws-sub1", "aws-sub2", "edge-3", "edge-4"].map(|consumer| match consumer {
                "edge-3" if on == "aws-sub2" => ladder(on, consumer, Some(cut)),
                "edge-4" => {
                    let (at, reason, verdict) = silent(on);
                    ladder(on, consumer, Some((at, &reason, verdict)))
                }
                _ => ladder(on, consumer, None),
            });
            let dns = ["aws-sub1", "aws-sub2", "edge-3"].map(|consumer| {
                let lost = consumer == "edge-3" && on == "aws-sub2";
                DnsAnswer {
                    consumer: cluster_name(consumer),
                    name: format!("{name}.guestbook.svc.clusterset.local"),
                    addresses: if lost { Vec::new() } else { vec!["172.31.88.12".to_owned()] },
                    word: "NOERROR, empty".to_owned(),
                    reason: if lost { "no exporter is connected".to_owned() } else { format!("from {on}") },
                }
            });
            ServiceView {
                service: NamespacedName::new("guestbook", name),
                exports: vec![ExportView { cluster: cluster_name(on), ok: Some(true), reason: "Ready: Service was successfully exported to the broker".to_owned(), delivered_by: Some(format!("guestbook/{name}-app")) }],
                consumers: vec![cluster_name("aws-sub1"), cluster_name("edge-3")],
                verdict: if on == "aws-sub2" { Verdict::Degraded } else { Verdict::Discoverable },
                ladder: ladders.into(),
                dns: dns.into(),
            }
        })
        .collect()
}
