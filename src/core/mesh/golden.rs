//! Golden output: what subctl 0.20 prints for the demo fleet.

use super::example::{Fleet, SUB1, SUB2, connection, member};
use super::observation::{BrokerFacts, MeshKind, MeshObservation, Reading};
use super::tables::{ClusterReport, Component, Section, services};

const ALL: &str = "\
Cluster \"aws-sub2\"
 \u{2713} Showing Connections
GATEWAY           CLUSTER    REMOTE IP      NAT   CABLE DRIVER   SUBNETS                        STATUS      RTT avg.
ip-10-10-37-208   aws-sub1   203.0.113.21   yes   libreswan      172.31.0.0/16, 10.132.0.0/14   connected   1.16693ms
 \u{2713} Showing Endpoints
CLUSTER    ENDPOINT IP    PUBLIC IP      CABLE DRIVER   TYPE
aws-sub2   10.0.31.78     203.0.113.22   libreswan      local
aws-sub1   10.10.37.208   203.0.113.21   libreswan      remote
 \u{2713} Showing Gateways
NODE            HA STATUS   SUMMARY
ip-10-0-31-78   active      All connections (1) are established
 \u{2713} Showing Network details
    Discovered network details via Submariner:
        Network plugin:  OpenShiftSDN
        Service CIDRs:   [172.30.0.0/16]
        Cluster CIDRs:   [10.128.0.0/14]
";

fn shown(sections: &[Section], observation: &MeshObservation) -> String {
    ClusterReport::of("aws-sub2", sections, observation, &[]).render(sections)
}

#[test]
fn the_demo_fleet_is_shown_as_subctl_shows_it() {
    let sections: Vec<Section> = Section::ALL
        .into_iter()
        .filter(|section| *section != Section::Versions)
        .collect();
    assert_eq!(
        shown(
            &sections,
            &member(SUB2, vec![connection(SUB1, "1.16693ms")])
        ),
        ALL
    );
}

#[test]
fn a_section_alone_keeps_its_heading() {
    let observation = member(SUB2, vec![]);
    assert_eq!(
        shown(&[Section::Gateways], &observation),
        "Cluster \"aws-sub2\"\n \u{2713} Showing Gateways\nNODE            HA STATUS   SUMMARY\nip-10-0-31-78   active      There are no connections\n"
    );
    assert!(shown(&[Section::Connections], &observation).ends_with("no connections found\n"));
}

#[test]
fn part_of_the_connections_is_counted() {
    let mut observation = member(SUB2, vec![connection(SUB1, "1ms"), connection(SUB2, "1ms")]);
    observation.gateways[0].connections[0].status = "error".to_owned();
    assert!(
        shown(&[Section::Gateways], &observation)
            .contains("1 connections out of 2 are established")
    );
}

#[test]
fn long_cells_are_cut_at_subctls_limits() {
    let mut observation = member(SUB2, vec![connection(SUB1, "1ms")]);
    observation.gateways[0].connections[0].endpoint.hostname = "x".repeat(50);
    let text = shown(&[Section::Connections], &observation);
    let row = text.lines().last().unwrap();
    assert!(
        row.starts_with(&format!("{}   aws-sub1", "x".repeat(30))),
        "{row}"
    );
}

#[test]
fn brokers_and_versions_have_tables_of_their_own() {
    let mut observation = member(SUB2, vec![]);
    observation.brokers.push(BrokerFacts {
        namespace: "submariner-broker".to_owned(),
        name: "submariner-broker".to_owned(),
        components: vec!["service-discovery".to_owned(), "connectivity".to_owned()],
        globalnet: false,
        globalnet_cidr: "242.0.0.0/8".to_owned(),
        globalnet_size: 65_536,
        domains: Vec::new(),
    });
    assert_eq!(
        shown(&[Section::Brokers], &observation)
            .lines()
            .nth(3)
            .unwrap(),
        "submariner-broker   submariner-broker   service-discovery, connectivity   no          242.0.0.0/8      65536"
    );
    let gateway = Component {
        component: "submariner-gateway".to_owned(),
        repository: "quay.io/submariner".to_owned(),
        configured: "0.8.1".to_owned(),
        running: Some("v0.8.1".to_owned()),
        arch: None,
    };
    let sections = [Section::Versions];
    let text = ClusterReport::of("aws-sub2", &sections, &observation, &[gateway]).render(&sections);
    assert!(
        text.ends_with("submariner-gateway   quay.io/submariner   0.8.1        v0.8.1    -\n"),
        "{text}"
    );
}

#[test]
fn without_submariner_subctls_warning_is_given() {
    let mut bare = MeshObservation::default();
    MeshKind::ALL
        .into_iter()
        .for_each(|kind| drop(bare.readings.insert(kind, Reading::NotServed)));
    let text = shown(&Section::ALL, &bare);
    assert!(
        text.contains("Submariner connectivity feature is not installed"),
        "{text}"
    );
}

#[test]
fn services_are_shown_with_their_first_failing_gate() {
    let mut fleet = Fleet::healthy();
    fleet.member("aws-sub2").namespaces.remove("guestbook");
    let text = services(&fleet.view()).render();
    let row = text
        .lines()
        .find(|line| line.starts_with("guestbook/redis-master   aws-sub1      aws-sub2"))
        .unwrap();
    assert!(
        row.contains("no             L5 imported")
            && row.contains("Namespace guestbook does not exist"),
        "{row}"
    );
}
