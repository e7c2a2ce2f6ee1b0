//! The read model over the made-up fleet.

use super::*;
use crate::api::NamespacedName;

fn now() -> Timestamp {
    "2026-11-25T01:42:07Z".parse().unwrap()
}

fn view() -> FleetView {
    FleetView::build(example::facts(now()))
}

fn clusters(query: &[(&str, &str)]) -> Vec<String> {
    match view().page(&Address::Clusters, &Query::read(query.iter().copied())) {
        Some(Page::Clusters(page)) => page.rows.rows.into_iter().map(|row| row.name).collect(),
        other => panic!("{other:?}"),
    }
}

fn application(name: &str) -> application::ApplicationPage {
    let address = Address::Application(NamespacedName::new("guestbook", name));
    match view().page(&address, &Query::read([])) {
        Some(Page::Application(page)) => *page,
        other => panic!("{other:?}"),
    }
}

#[test]
fn lists_are_worst_first_unless_another_order_is_asked() {
    assert_eq!(clusters(&[]), ["aws-sub2", "edge-3", "edge-4", "aws-sub1"]);
    assert_eq!(
        clusters(&[("sort", "name")]),
        ["aws-sub1", "aws-sub2", "edge-3", "edge-4"]
    );
    assert_eq!(
        clusters(&[("sort", "latency")]),
        ["edge-3", "aws-sub2", "aws-sub1", "edge-4"]
    );
}

#[test]
fn filters_narrow_by_words_labels_tone_and_set() {
    assert_eq!(
        clusters(&[("q", "aws"), ("sort", "name")]),
        ["aws-sub1", "aws-sub2"]
    );
    assert_eq!(
        clusters(&[("q", "tier=edge"), ("sort", "name")]),
        ["edge-3", "edge-4"]
    );
    assert_eq!(clusters(&[("tone", "warn")]), ["aws-sub1"]);
    assert!(clusters(&[("group", "another-set")]).is_empty());
}

#[test]
fn needs_begin_with_what_is_bad_and_end_with_what_is_under_way() {
    let needs = view().needs;
    let tones: Vec<Tone> = needs.iter().map(|need| need.tone).collect();
    assert!(tones.is_sorted_by(|a, b| a >= b), "{tones:?}");
    let words: Vec<String> = needs.iter().map(|need| need.text.words()).collect();
    assert!(words[0].contains("Route guestbook on edge-3"), "{words:?}");
    assert!(
        words.last().unwrap().contains("2 of 3 replicas available"),
        "{words:?}"
    );
}

#[test]
fn a_service_that_is_lost_is_said_once_with_who_needs_it() {
    let needs = view().needs;
    let lost: Vec<&Need> = needs
        .iter()
        .filter(|need| need.text.words().contains("redis-slave"))
        .collect();
    assert_eq!(lost.len(), 1);
    assert!(
        lost[0]
            .why
            .as_ref()
            .unwrap()
            .words()
            .contains("guestbook-app there uses it")
    );
}

#[test]
fn the_third_axis_follows_what_an_application_names_and_exports() {
    assert_eq!(
        application("guestbook-app").row.connectivity.unwrap().word,
        "Degraded"
    );
    assert_eq!(
        application("redis-master-app")
            .row
            .connectivity
            .unwrap()
            .word,
        "Connected"
    );
}

#[test]
fn errors_are_shown_in_full_with_their_place() {
    let page = application("guestbook-app");
    assert_eq!(page.errors.len(), 1);
    assert!(page.errors[0].message.contains("route.yaml:1"));
    assert_eq!(page.errors[0].clusters, ["edge-3"]);
}

#[test]
fn the_worst_cluster_stands_first_in_the_heat_grid() {
    let heat = application("guestbook-app").heat;
    let columns: Vec<&str> = heat
        .clusters
        .rows
        .iter()
        .map(|column| column.cluster.as_str())
        .collect();
    assert_eq!(columns, ["edge-3", "aws-sub1"]);
    let route = heat.rows.iter().find(|row| row.kind == "Route").unwrap();
    assert_eq!(
        route.cells[0].as_ref().unwrap().chip.word,
        "Kind not served"
    );
    assert_eq!(route.cells[1].as_ref().unwrap().chip.word, "Healthy");
}

#[test]
fn both_directions_of_a_cable_are_kept_apart() {
    let Some(Page::Cables(page)) = view().page(&Address::Cables, &Query::read([])) else {
        panic!()
    };
    let matrix = page.matrix.unwrap();
    let cell = |from: &str, to: &str| {
        let column = matrix
            .clusters
            .iter()
            .position(|column| column.cluster == to)?;
        matrix.rows.iter().find(|row| row.cluster == from)?.cells[column].clone()
    };
    assert_eq!(cell("edge-3", "aws-sub2").unwrap().chip.word, "error");
    assert_eq!(cell("aws-sub2", "edge-3").unwrap().chip.word, "connected");
    assert_eq!(cell("aws-sub1", "aws-sub1"), None);
}

#[test]
fn unknown_and_stale_are_never_drawn_as_down() {
    let view = view();
    let pair = view.pairs.iter().find(|pair| pair.b == "edge-4").unwrap();
    assert_eq!(
        (pair.forward.chip.tone, pair.backward.chip.tone),
        (Tone::Unknown, Tone::Warn)
    );
}

#[test]
fn a_pair_is_found_in_either_order_of_names() {
    let view = view();
    for (a, b) in [("aws-sub2", "edge-3"), ("edge-3", "aws-sub2")] {
        let page = view.page(&Address::Cable(a.into(), b.into()), &Query::read([]));
        assert!(matches!(page, Some(Page::Cable(_))), "{a} {b}");
    }
}

#[test]
fn what_does_not_exist_has_no_page() {
    let view = view();
    let id = NamespacedName::new("guestbook", "nothing");
    for address in [
        Address::Cluster("nothing".into()),
        Address::Cable("aws-sub1".into(), "nothing".into()),
        Address::Application(id.clone()),
        Address::Service(id.clone()),
        Address::Placement("placementrule".into(), id),
    ] {
        assert!(view.page(&address, &Query::read([])).is_none(), "{address}");
    }
}

#[test]
fn search_puts_the_exact_name_first() {
    let Some(Page::Search(page)) =
        view().page(&Address::Search, &Query::read([("q", "redis-slave")]))
    else {
        panic!()
    };
    let hits: Vec<(&str, &str)> = page
        .hits
        .rows
        .iter()
        .map(|hit| (hit.kind.as_str(), hit.name.as_str()))
        .collect();
    assert_eq!(hits[0], ("Service", "guestbook/redis-slave"));
    assert_eq!(hits.len(), 3);
}

#[test]
fn an_empty_hub_has_every_list() {
    let view = FleetView::build(Facts::default());
    for (address, _) in address::SECTIONS {
        assert!(view.page(&address, &Query::read([])).is_some(), "{address}");
    }
    assert_eq!(view.sentence(), "Nothing needs you.");
}

#[test]
fn a_thousand_clusters_fill_pages_of_fifty() {
    let view = FleetView::build(example::large(now(), 1_000, 200));
    let Some(Page::Clusters(page)) = view.page(&Address::Clusters, &Query::read([("page", "20")]))
    else {
        panic!()
    };
    assert_eq!(
        (page.rows.rows.len(), page.rows.pages, page.rows.total),
        (50, 20, 1_000)
    );
    let Some(Page::Overview(page)) = view.page(&Address::Overview, &Query::read([])) else {
        panic!()
    };
    assert!(page.applications.len() <= 8 && page.needs.len() <= 10 && page.picture.is_none());
}

#[test]
fn the_last_stage_waits_for_health_and_follows_the_mesh() {
    let mut facts = example::facts(now());
    let fleet = Arc::make_mut(&mut facts.fleet);
    for subscription in fleet.subscriptions.values_mut() {
        subscription
            .stages
            .retain(|stage| stage.name != "Discoverable");
    }
    let view = FleetView::build(facts);
    let stage = |name: &str| {
        let id = NamespacedName::new("guestbook", name);
        match view.page(&Address::Application(id), &Query::read([])) {
            Some(Page::Application(page)) => page
                .stages
                .last()
                .map(|stage| (stage.name.clone(), stage.word)),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        stage("guestbook-app"),
        Some(("Discoverable".into(), "waiting"))
    );
    assert_eq!(
        stage("redis-master-app"),
        Some(("Discoverable".into(), "done"))
    );
    assert_eq!(
        stage("redis-slave-app"),
        Some(("Discoverable".into(), "failed"))
    );
}
