//! Every failure that the demo can make, each with what must be shown
//! (submariner.md §7), on observations.

use jiff::SignedDuration;

use super::beat::Beat;
use super::cable::{CableState, Connectivity};
use super::dns::Response;
use super::example::{Fleet, SUB3, cluster, member, now, service};
use super::finding::Check;
use super::history::transitions;
use super::ladder::{Discoverable, Gate};
use super::observation::{ConditionFacts, MeshKind, MeshObservation, Reading};
use super::{MeshView, PlannedExport};
use crate::core::activity::Severity;

fn state(view: &MeshView, from: &str, to: &str) -> CableState {
    view.direction(&cluster(from), &cluster(to)).unwrap().state
}

fn checks(view: &MeshView) -> Vec<Check> {
    view.findings
        .iter()
        .filter(|finding| finding.severity != Severity::Info)
        .map(|finding| finding.check)
        .collect()
}

fn verdict(view: &MeshView, name: &str, consumer: &str) -> (Discoverable, Option<Gate>) {
    let view = view.service(&service(name)).unwrap();
    let ladder = view
        .ladders
        .iter()
        .find(|ladder| ladder.consumer == cluster(consumer))
        .unwrap();
    (ladder.verdict, ladder.stops_at)
}

fn answer(view: &MeshView, name: &str, consumer: &str) -> (Response, Vec<String>) {
    let view = view.service(&service(name)).unwrap();
    let consumer = view
        .consumers
        .iter()
        .find(|view| view.cluster == cluster(consumer))
        .unwrap();
    let answer = &consumer.dns[0];
    assert!(answer.computed);
    (
        answer.response,
        answer
            .addresses
            .iter()
            .map(|address| address.ip.clone())
            .collect(),
    )
}

#[test]
fn the_healthy_fleet_is_connected_and_usable() {
    let view = Fleet::healthy().view();
    assert_eq!(view.cables.len(), 1);
    assert_eq!(view.cables[0].connectivity, Connectivity::Connected);
    assert!(view.cables[0].forward.verified && view.cables[0].backward.verified);
    assert_eq!(checks(&view), []);
    // One gateway each is worth a word, no more.
    assert_eq!(
        view.findings
            .iter()
            .filter(|finding| finding.check == Check::SingleGateway)
            .count(),
        2
    );
    for (name, consumer) in [
        ("guestbook/redis-master", "aws-sub2"),
        ("guestbook/redis-slave", "aws-sub1"),
    ] {
        assert_eq!(verdict(&view, name, consumer), (Discoverable::Yes, None));
        assert_eq!(
            view.service(&service(name)).unwrap().verdict,
            Discoverable::Yes
        );
    }
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2"),
        (Response::NoError, vec!["172.31.88.12".to_owned()])
    );
}

#[test]
fn a_cable_error_one_way_is_half_red() {
    let mut fleet = Fleet::healthy();
    let before = fleet.view();
    let broken = &mut fleet.gateway("aws-sub2").connections[0];
    broken.status = "error".to_owned();
    broken.message = "Failed to successfully ping the remote endpoint IP \"10.132.2.1\"".to_owned();
    let view = fleet.view_after(Some(&before));
    assert_eq!(state(&view, "aws-sub2", "aws-sub1"), CableState::Error);
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
    assert_eq!(view.cables[0].connectivity, Connectivity::Degraded);
    assert!(
        checks(&view).contains(&Check::Asymmetry) && checks(&view).contains(&Check::NotConnected)
    );
    assert_eq!(
        verdict(&view, "guestbook/redis-master", "aws-sub2"),
        (Discoverable::No, Some(Gate::Path))
    );
    assert_eq!(
        verdict(&view, "guestbook/redis-slave", "aws-sub1").0,
        Discoverable::Yes
    );
    // Lighthouse drops a cluster that the gateway does not report as connected.
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2"),
        (Response::NoError, vec![])
    );
    let history = transitions(&before, &view, now());
    assert_eq!(history[0].reason, "CableError");
    assert!(
        history[0].message.contains("from connected to error")
            && history[0].message.contains("Failed to successfully ping")
    );
    assert!(
        history
            .iter()
            .any(|entry| entry.reason == "ServiceNotDiscoverable")
    );
}

#[test]
fn a_silent_gateway_makes_the_cable_stale_and_never_down() {
    let mut fleet = Fleet::healthy();
    fleet.gateway("aws-sub1").beat = Beat::Silent {
        since: now() - SignedDuration::from_secs(25),
    };
    let view = fleet.view();
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Stale);
    assert_eq!(view.cables[0].connectivity, Connectivity::Unknown);
    assert_eq!(checks(&view), [Check::StaleGateway]);
    assert!(view.cables[0].forward.reason.contains("25 s"));
    assert_eq!(
        verdict(&view, "guestbook/redis-slave", "aws-sub1"),
        (Discoverable::Unknown, Some(Gate::Path))
    );
}

#[test]
fn an_overlap_explains_the_missing_pairs() {
    let mut fleet = Fleet::healthy();
    // Registered at the hub, in the set, with nobody listing a connection.
    fleet
        .members
        .insert(cluster("aws-sub3"), member(SUB3, vec![]));
    fleet
        .sets
        .get_mut("submariner")
        .unwrap()
        .insert(cluster("aws-sub3"));
    let view = fleet.view();
    assert_eq!(view.cables.len(), 3);
    assert_eq!(state(&view, "aws-sub2", "aws-sub3"), CableState::Missing);
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
    let overlap = view
        .findings
        .iter()
        .find(|finding| finding.check == Check::Overlap && finding.subject == "aws-sub2–aws-sub3")
        .unwrap();
    assert!(
        overlap
            .sentence
            .contains("CIDR 10.128.0.0/14 of aws-sub2 overlaps with 10.128.0.0/14 of aws-sub3")
    );
    assert!(checks(&view).contains(&Check::MissingPair));
    // The cable that works is not blamed.
    assert!(
        !view
            .findings
            .iter()
            .any(|finding| finding.subject.starts_with("aws-sub1–aws-sub2"))
    );
}

#[test]
fn a_cluster_that_only_the_broker_knows_is_shown() {
    let mut fleet = Fleet::healthy();
    let copy = member(SUB3, vec![]).endpoints.remove(0);
    fleet.member("aws-sub1").endpoints.push(copy.clone());
    fleet.hub.endpoints.push(copy);
    let view = fleet.view();
    assert_eq!(state(&view, "aws-sub2", "aws-sub3"), CableState::Missing);
    assert_eq!(state(&view, "aws-sub3", "aws-sub2"), CableState::Unknown);
    assert!(checks(&view).contains(&Check::Overlap));
}

#[test]
fn a_missing_namespace_stops_the_import() {
    let mut fleet = Fleet::healthy();
    let member = fleet.member("aws-sub2");
    member.namespaces.remove("guestbook");
    member
        .imports
        .retain(|import| import.namespace != "guestbook");
    member.slices.retain(|slice| slice.namespace != "guestbook");
    let view = fleet.view();
    assert_eq!(
        verdict(&view, "guestbook/redis-master", "aws-sub2"),
        (Discoverable::No, Some(Gate::Imported))
    );
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2").0,
        Response::NxDomain
    );
    assert!(checks(&view).contains(&Check::NamespaceMissing));
    let exported = &view
        .service(&service("guestbook/redis-master"))
        .unwrap()
        .exports[0];
    assert_eq!(
        exported.verdict.as_ref().unwrap().state,
        super::export::ExportState::Published
    );
}

#[test]
fn without_ready_backends_the_answer_is_empty() {
    let mut fleet = Fleet::healthy();
    let master = service("guestbook/redis-master");
    let not_ready = |observation: &mut MeshObservation| {
        for slice in observation
            .slices
            .iter_mut()
            .filter(|slice| slice.service == master)
        {
            slice.endpoints[0].ready = Some(false);
        }
    };
    fleet.members.values_mut().for_each(&not_ready);
    not_ready(&mut fleet.hub);
    let view = fleet.view();
    assert_eq!(
        verdict(&view, "guestbook/redis-master", "aws-sub2"),
        (Discoverable::No, Some(Gate::HasEndpoints))
    );
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2"),
        (Response::NoError, vec![])
    );
    // Asked for by cluster it is answered all the same.
    let consumers = &view.service(&master).unwrap().consumers;
    let by_cluster = &consumers
        .iter()
        .find(|view| view.cluster == cluster("aws-sub2"))
        .unwrap()
        .dns[1];
    assert_eq!(
        by_cluster.name,
        "aws-sub1.redis-master.guestbook.svc.clusterset.local"
    );
    assert_eq!(by_cluster.addresses.len(), 1);
}

#[test]
fn a_port_conflict_is_found_on_every_exporter_that_says_so() {
    let mut fleet = Fleet::healthy();
    for name in ["aws-sub1", "aws-sub2"] {
        let export = &mut fleet.member(name).exports[0];
        export.conditions.push(ConditionFacts {
            kind: "Conflict".to_owned(),
            status: "True".to_owned(),
            reason: "PortConflict".to_owned(),
            message: "The service ports conflict".to_owned(),
            since: None,
        });
    }
    assert_eq!(checks(&fleet.view()), [Check::Conflict, Check::Conflict]);
}

#[test]
fn a_second_gateway_takes_over_without_a_gap() {
    let mut fleet = Fleet::healthy();
    let mut standby = fleet.gateway("aws-sub1").clone();
    standby.name = "ip-10-10-40-1".to_owned();
    standby.ha_status = "passive".to_owned();
    standby.connections.clear();
    fleet.member("aws-sub1").gateways.push(standby);
    let view = fleet.view();
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
    assert!(
        !view
            .findings
            .iter()
            .any(|finding| finding.subject == "aws-sub1"),
        "two gateways: redundant"
    );
    let gateways = &mut fleet.member("aws-sub1").gateways;
    gateways[0].beat = Beat::Silent {
        since: now() - SignedDuration::from_secs(60),
    };
    gateways[1].ha_status = "active".to_owned();
    gateways[1].connections = gateways[0].connections.clone();
    let before = view;
    let view = fleet.view_after(Some(&before));
    let history = transitions(&before, &view, now());
    assert_eq!(history.len(), 1);
    assert_eq!(
        history[0].message,
        "Gateway ip-10-10-40-1 of aws-sub1 took over from ip-10-10-37-208."
    );
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
    assert_eq!(
        view.cables[0].forward.gateway.as_deref(),
        Some("ip-10-10-40-1")
    );
    assert!(
        view.findings
            .iter()
            .any(|finding| finding.check == Check::SingleGateway && finding.subject == "aws-sub1")
    );
}

#[test]
fn the_drivers_word_alone_is_unverified() {
    for rtt in [None, Some(Default::default())] {
        let mut fleet = Fleet::healthy();
        let connection = &mut fleet.gateway("aws-sub1").connections[0];
        connection.rtt = rtt;
        connection.endpoint.backend = "vxlan".to_owned();
        let view = fleet.view();
        assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
        assert!(!view.cables[0].forward.verified);
        assert_eq!(checks(&view), [Check::Unverified]);
    }
}

#[test]
fn different_drivers_and_versions_are_found() {
    let mut fleet = Fleet::healthy();
    fleet.gateway("aws-sub1").local.backend = "wireguard".to_owned();
    fleet.gateway("aws-sub1").version = "v0.21.0".to_owned();
    assert_eq!(
        checks(&fleet.view()),
        [Check::DriverMismatch, Check::VersionSkew]
    );
}

#[test]
fn what_cannot_be_read_is_unknown_and_no_finding() {
    for break_it in [
        (|fleet: &mut Fleet| {
            fleet.members.remove(&cluster("aws-sub2"));
        }) as fn(&mut Fleet),
        |fleet| {
            let reading = Reading::Failing {
                since: now(),
                message: "timed out".to_owned(),
            };
            let member = fleet.member("aws-sub2");
            MeshKind::ALL
                .into_iter()
                .for_each(|kind| drop(member.readings.insert(kind, reading.clone())));
        },
        |fleet| *fleet.member("aws-sub2") = MeshObservation::default(),
        |fleet| {
            // Cut off: its gateway seems silent, and may be well.
            fleet.gateway("aws-sub2").beat = Beat::Silent {
                since: now() - SignedDuration::from_secs(60),
            };
            *fleet.member("aws-sub2") = fleet
                .member("aws-sub2")
                .unreadable(now(), "connection refused");
        },
    ] {
        let mut fleet = Fleet::healthy();
        break_it(&mut fleet);
        let view = fleet.view();
        assert_eq!(state(&view, "aws-sub2", "aws-sub1"), CableState::Unknown);
        assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Connected);
        assert_eq!(checks(&view), []);
        let (verdict, _) = verdict(&view, "guestbook/redis-master", "aws-sub2");
        assert_eq!(verdict, Discoverable::Unknown);
        assert_eq!(
            answer(&view, "guestbook/redis-master", "aws-sub2").0,
            Response::Unknown
        );
    }
}

#[test]
fn an_unfamiliar_status_is_shown_and_not_judged() {
    let mut fleet = Fleet::healthy();
    fleet.gateway("aws-sub1").connections[0].status = "rekeying".to_owned();
    let view = fleet.view();
    assert_eq!(state(&view, "aws-sub1", "aws-sub2"), CableState::Unknown);
    assert!(view.cables[0].forward.reason.contains("rekeying"));
}

#[test]
fn clusters_without_submariner_ask_for_no_cables() {
    let mut fleet = Fleet::healthy();
    for name in ["aws-sub1", "aws-sub2"] {
        let mut bare = MeshObservation::default();
        MeshKind::ALL
            .into_iter()
            .for_each(|kind| drop(bare.readings.insert(kind, Reading::NotServed)));
        fleet.members.insert(cluster(name), bare);
    }
    let view = fleet.view();
    assert_eq!(view.cables, []);
    assert_eq!(view.connectivity(&cluster("aws-sub1")), None);
    assert!(
        view.findings
            .iter()
            .all(|finding| finding.check == Check::NotDiscoverable)
    );
}

#[test]
fn a_planned_export_that_is_not_there_stops_at_the_first_gate() {
    let mut fleet = Fleet::healthy();
    fleet.planned.push(PlannedExport {
        application: service("shop/web"),
        cluster: cluster("aws-sub1"),
        service: service("shop/web"),
    });
    let view = fleet.view();
    assert_eq!(
        verdict(&view, "shop/web", "aws-sub2"),
        (Discoverable::No, Some(Gate::Applied))
    );
    assert_eq!(
        view.service(&service("shop/web")).unwrap().exports[0]
            .delivered_by
            .as_deref(),
        Some("shop/web")
    );
}

#[test]
fn an_unreadable_broker_does_not_spoil_what_arrived() {
    let mut fleet = Fleet::healthy();
    fleet.hub = MeshObservation::default();
    let view = fleet.view();
    assert_eq!(
        verdict(&view, "guestbook/redis-master", "aws-sub2"),
        (Discoverable::Yes, None)
    );
    assert_eq!(checks(&view), []);
}

#[test]
fn the_same_state_keeps_its_beginning() {
    let fleet = Fleet::healthy();
    let mut before = fleet.view();
    let earlier = now() - SignedDuration::from_secs(3_600);
    before.cables[0].forward.since = earlier;
    before.cables[0].backward.state = CableState::Error;
    before.cables[0].backward.since = earlier;
    let view = fleet.view_after(Some(&before));
    assert_eq!(view.cables[0].forward.since, earlier);
    assert_eq!(view.cables[0].backward.since, now());
    assert_eq!(transitions(&before, &view, now()).len(), 1);
}

#[test]
fn a_local_export_is_answered_first() {
    let mut fleet = Fleet::healthy();
    fleet.export("guestbook/redis-master", "aws-sub2", "172.30.1.1");
    let view = fleet.view();
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2").1,
        ["172.30.1.1"]
    );
}

#[test]
fn the_first_look_is_no_transition() {
    let mut fleet = Fleet::healthy();
    let seen = std::mem::take(fleet.member("aws-sub2"));
    let before = fleet.view();
    *fleet.member("aws-sub2") = seen;
    let view = fleet.view_after(Some(&before));
    assert_eq!(state(&before, "aws-sub2", "aws-sub1"), CableState::Unknown);
    assert_eq!(state(&view, "aws-sub2", "aws-sub1"), CableState::Connected);
    assert!(
        transitions(&before, &view, now())
            .iter()
            .all(|entry| !entry.reason.starts_with("Cable"))
    );
}

#[test]
fn releases_without_aggregated_imports_are_judged_by_theirs() {
    let mut fleet = Fleet::healthy();
    for member in fleet.members.values_mut() {
        for import in &mut member.imports {
            let from = import.clusters[0].clone();
            import.name = format!(
                "{}-{}-{from}",
                import.service.name, import.service.namespace
            );
            import.namespace = "submariner-operator".to_owned();
            import.source_cluster = Some(from);
        }
    }
    let view = fleet.view();
    assert_eq!(
        verdict(&view, "guestbook/redis-master", "aws-sub2"),
        (Discoverable::Yes, None)
    );
    assert_eq!(
        answer(&view, "guestbook/redis-master", "aws-sub2").0,
        Response::NoError
    );
}
