//! The demo fleet as observations, for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::beat::Beat;
use super::observation::*;
use super::{Consumer, MeshInput, MeshView, PlannedExport};
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::ServiceReference;

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn cluster(name: &str) -> ClusterName {
    ClusterName::from(name)
}

pub(super) fn service(text: &str) -> NamespacedName {
    let (namespace, name) = text.split_once('/').unwrap();
    NamespacedName::new(namespace, name)
}

fn strings(items: &[&str]) -> Vec<String> {
    items.iter().map(|item| (*item).to_owned()).collect()
}

/// `(id, host, private, public, service CIDR, cluster CIDR)` of the fleet file.
type Site = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    [&'static str; 2],
);

pub(super) const SUB1: Site = (
    "aws-sub1",
    "ip-10-10-37-208",
    "10.10.37.208",
    "203.0.113.21",
    ["172.31.0.0/16", "10.132.0.0/14"],
);
pub(super) const SUB2: Site = (
    "aws-sub2",
    "ip-10-0-31-78",
    "10.0.31.78",
    "203.0.113.22",
    ["172.30.0.0/16", "10.128.0.0/14"],
);
/// Joins with the pod network of aws-sub2.
pub(super) const SUB3: Site = (
    "aws-sub3",
    "ip-10-20-5-9",
    "10.20.5.9",
    "203.0.113.23",
    ["172.29.0.0/16", "10.128.0.0/14"],
);

pub(super) fn endpoint(site: Site) -> EndpointFacts {
    EndpointFacts {
        cluster_id: site.0.to_owned(),
        cable_name: format!("submariner-cable-{}-{}", site.0, site.2.replace('.', "-")),
        hostname: site.1.to_owned(),
        private_ips: strings(&[site.2]),
        public_ips: strings(&[site.3]),
        health_check_ips: strings(&["10.132.2.1"]),
        subnets: strings(&site.4),
        nat_enabled: true,
        backend: "libreswan".to_owned(),
        ports: BTreeMap::new(),
    }
}

pub(super) fn connection(to: Site, average: &str) -> ConnectionFacts {
    ConnectionFacts {
        endpoint: endpoint(to),
        status: "connected".to_owned(),
        message: String::new(),
        using_ip: Some(to.3.to_owned()),
        using_nat: Some(true),
        rtt: Some(RoundTrip {
            average: Some(average.parse().unwrap()),
            ..RoundTrip::default()
        }),
    }
}

pub(super) fn member(site: Site, connections: Vec<ConnectionFacts>) -> MeshObservation {
    MeshObservation {
        readings: MeshKind::ALL
            .into_iter()
            .map(|kind| (kind, Reading::Current))
            .collect(),
        namespaces: ["default", "guestbook", "submariner-operator"]
            .map(str::to_owned)
            .into(),
        submariners: vec![SubmarinerFacts {
            namespace: "submariner-operator".to_owned(),
            cluster_id: site.0.to_owned(),
            cable_driver: "libreswan".to_owned(),
            broker_server: "api.hub.example.com:6443".to_owned(),
            broker_namespace: "submariner-broker".to_owned(),
            service_discovery: true,
            health_check: true,
            network_plugin: "OpenShiftSDN".to_owned(),
            service_cidr: strings(&site.4[..1]),
            cluster_cidr: strings(&site.4[1..]),
            ..SubmarinerFacts::default()
        }],
        gateways: vec![GatewayFacts {
            namespace: "submariner-operator".to_owned(),
            name: site.1.to_owned(),
            stamp: Some("1800000000".to_owned()),
            beat: Beat::Beating,
            version: "v0.8.1".to_owned(),
            ha_status: "active".to_owned(),
            failure: String::new(),
            local: endpoint(site),
            connections,
        }],
        endpoints: vec![EndpointObject {
            namespace: "submariner-operator".to_owned(),
            name: site.0.to_owned(),
            spec: endpoint(site),
        }],
        ..MeshObservation::default()
    }
}

fn condition(kind: &str, status: &str, reason: &str) -> ConditionFacts {
    ConditionFacts {
        kind: kind.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        ..ConditionFacts::default()
    }
}

fn port() -> Vec<PortFacts> {
    vec![PortFacts {
        name: String::new(),
        protocol: "TCP".to_owned(),
        port: 6379,
    }]
}

fn import(namespace: &str, name: &str, of: &str, from: &str) -> ImportFacts {
    ImportFacts {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        service: service(of),
        source_cluster: None,
        clusters: strings(&[from]),
        headless: false,
        ips: Vec::new(),
        ports: port(),
    }
}

fn slice(namespace: &str, of: &str, from: &str, address: &str) -> SliceFacts {
    SliceFacts {
        namespace: namespace.to_owned(),
        name: "generated".to_owned(),
        service: service(of),
        source_cluster: from.to_owned(),
        headless: false,
        endpoints: vec![BackendFacts {
            addresses: strings(&[address]),
            ready: Some(true),
            hostname: None,
        }],
        ports: port(),
    }
}

/// The fleet: aws-sub1 exports redis-master, aws-sub2 exports redis-slave,
/// both in guestbook; the hub hosts the broker.
pub(super) struct Fleet {
    pub(super) members: BTreeMap<ClusterName, MeshObservation>,
    pub(super) hub: MeshObservation,
    pub(super) sets: BTreeMap<String, BTreeSet<ClusterName>>,
    pub(super) consumers: Vec<Consumer>,
    pub(super) planned: Vec<PlannedExport>,
}

impl Fleet {
    pub(super) fn healthy() -> Self {
        let mut fleet = Self {
            members: BTreeMap::from([
                (
                    cluster("aws-sub1"),
                    member(SUB1, vec![connection(SUB2, "1.15ms")]),
                ),
                (
                    cluster("aws-sub2"),
                    member(SUB2, vec![connection(SUB1, "1.16693ms")]),
                ),
            ]),
            hub: MeshObservation {
                brokers: vec![BrokerFacts {
                    namespace: "submariner-broker".to_owned(),
                    name: "submariner-broker".to_owned(),
                    ..BrokerFacts::default()
                }],
                ..MeshObservation::default()
            },
            sets: BTreeMap::from([(
                "submariner".to_owned(),
                BTreeSet::from([cluster("aws-sub1"), cluster("aws-sub2")]),
            )]),
            consumers: vec![
                consumer(
                    "guestbook/guestbook",
                    "aws-sub1",
                    &["guestbook/redis-master", "guestbook/redis-slave"],
                ),
                consumer(
                    "guestbook/redis-slave",
                    "aws-sub2",
                    &["guestbook/redis-master"],
                ),
            ],
            planned: Vec::new(),
        };
        fleet.export("guestbook/redis-master", "aws-sub1", "172.31.88.12");
        fleet.export("guestbook/redis-slave", "aws-sub2", "172.30.44.7");
        fleet
    }

    /// What Lighthouse makes of an export.
    pub(super) fn export(&mut self, name: &str, exporter: &str, address: &str) {
        let id = service(name);
        let broker_name = format!("{}-{}", id.name, id.namespace);
        self.hub
            .imports
            .push(import("submariner-broker", &broker_name, name, exporter));
        self.hub
            .slices
            .push(slice("submariner-broker", name, exporter, address));
        for (member, observation) in &mut self.members {
            if observation.namespaces.contains(&id.namespace) {
                observation
                    .imports
                    .push(import(&id.namespace, &id.name, name, exporter));
                observation
                    .slices
                    .push(slice(&id.namespace, name, exporter, address));
            }
            if member.as_str() == exporter {
                observation.exports.push(ExportFacts {
                    service: id.clone(),
                    created: None,
                    delivered_by: None,
                    conditions: vec![
                        condition("Valid", "True", "Valid"),
                        condition("Ready", "True", "Exported"),
                    ],
                });
                let facts = ServiceFacts {
                    kind: "ClusterIP".to_owned(),
                    cluster_ip: Some(address.to_owned()),
                };
                observation.services.insert(id.clone(), Some(facts));
            }
        }
    }

    pub(super) fn member(&mut self, name: &str) -> &mut MeshObservation {
        self.members.get_mut(&cluster(name)).unwrap()
    }

    pub(super) fn gateway(&mut self, name: &str) -> &mut GatewayFacts {
        &mut self.member(name).gateways[0]
    }

    pub(super) fn view(&self) -> MeshView {
        self.view_after(None)
    }

    pub(super) fn view_after(&self, previous: Option<&MeshView>) -> MeshView {
        let members = self
            .members
            .iter()
            .map(|(name, facts)| (name.clone(), Arc::new(facts.clone())))
            .collect();
        MeshView::build(
            &MeshInput {
                members: &members,
                hub: Some(&self.hub),
                sets: &self.sets,
                consumers: &self.consumers,
                planned: &self.planned,
                previous,
            },
            now(),
        )
    }
}

fn consumer(application: &str, at: &str, names: &[&str]) -> Consumer {
    Consumer {
        application: service(application),
        cluster: cluster(at),
        references: names
            .iter()
            .map(|name| ServiceReference {
                service: service(name),
                cluster: None,
                from: "Deployment frontend, env HOST".to_owned(),
            })
            .collect(),
    }
}
