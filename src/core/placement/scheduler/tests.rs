//! Placements against OCM's own vectors (tests/fixtures/placement/ocm.json) and our rules.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::testing::{facts, fixture, names, now, strings};
use super::*;
use crate::core::placement::{DecisionOwner, decision_objects, placement_status};

fn fleet(case: &Value) -> Vec<ClusterFacts> {
    case["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(facts)
        .collect()
}

/// Sets and bindings: `s` selects everything and is bound to `n`.
struct World {
    sets: Vec<Arc<ManagedClusterSet>>,
    bindings: Vec<Arc<ManagedClusterSetBinding>>,
}

impl World {
    fn new() -> Self {
        let everything = json!({"selectorType": "LabelSelector", "labelSelector": {}});
        let mut world = Self {
            sets: vec![],
            bindings: vec![],
        };
        world.set("s", &everything);
        world.bind("n", "s");
        world
    }

    fn set(&mut self, name: &str, selector: &Value) {
        let set = json!({"metadata": {"name": name}, "spec": {"clusterSelector": selector}});
        self.sets
            .push(Arc::new(serde_json::from_value(set).unwrap()));
    }

    fn bind(&mut self, namespace: &str, set: &str) {
        let binding =
            json!({"metadata": {"name": set, "namespace": namespace}, "spec": {"clusterSet": set}});
        self.bindings
            .push(Arc::new(serde_json::from_value(binding).unwrap()));
    }

    fn run(&self, spec: Value, clusters: &[ClusterFacts], current: &[ClusterName]) -> Schedule {
        unscored(&make(spec), &self.inputs(clusters, current))
    }

    fn inputs<'a>(
        &'a self,
        clusters: &'a [ClusterFacts],
        current: &'a [ClusterName],
    ) -> PlacementInputs<'a> {
        PlacementInputs {
            sets: &self.sets,
            bindings: &self.bindings,
            clusters,
            current,
            now: now(),
        }
    }
}

/// Without scores, where no other placement competes.
fn unscored(object: &Placement, inputs: &PlacementInputs<'_>) -> Schedule {
    let sources = ScoreSources {
        elsewhere: &BTreeMap::new(),
        addon: &[],
    };
    placement(object, inputs, &sources)
}

fn make(spec: Value) -> Placement {
    serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": spec}))
        .unwrap()
}

fn chosen(schedule: &Schedule) -> Vec<String> {
    schedule
        .decisions
        .iter()
        .map(|decision| decision.cluster.to_string())
        .collect()
}

fn abc() -> Vec<ClusterFacts> {
    ["c", "a", "b"].map(ClusterFacts::named).into()
}

#[test]
fn tolerations_pass_ocms_vectors() {
    for case in fixture("tolerations") {
        let current = names(&case["ownDecisions"]);
        let spec = json!({"tolerations": case["tolerations"]});
        let schedule = World::new().run(spec, &fleet(&case), &current);
        if let Some(message) = case["expectMisconfigured"].as_str() {
            let expected = (
                "True",
                "Misconfigured",
                format!("TaintToleration:{message}"),
            );
            assert_eq!(schedule.outcome.misconfigured(), expected, "{case}");
            continue;
        }
        assert_eq!(chosen(&schedule), strings(&case["expect"]), "{case}");
        if let Some(seconds) = case["expectRequeueAt"].as_i64() {
            let at = now() + SignedDuration::from_secs(seconds);
            assert_eq!(schedule.recheck_after, Some(at), "{case}");
        }
    }
}

#[test]
fn predicates_pass_ocms_vectors() {
    for case in fixture("predicate") {
        let wrap = |selector: &Value| json!({"requiredClusterSelector": selector});
        let predicates: Vec<_> = case["predicates"]
            .as_array()
            .unwrap()
            .iter()
            .map(wrap)
            .collect();
        let schedule = World::new().run(json!({"predicates": predicates}), &fleet(&case), &[]);
        assert_eq!(chosen(&schedule), strings(&case["expect"]), "{case}");
    }
}

#[test]
fn predicates_are_alternatives_and_each_miss_is_told() {
    let mut clusters = abc();
    clusters[1].labels.insert("env".into(), "prod".into());
    clusters[2].claims.insert("region".into(), "eu".into());
    let spec = json!({"predicates": [
        {"requiredClusterSelector": {"labelSelector": {"matchLabels": {"env": "prod"}}}},
        {"requiredClusterSelector": {"claimSelector": {"matchExpressions": [
            {"key": "region", "operator": "In", "values": ["eu", "us"]}]}}}
    ]});
    let schedule = World::new().run(spec, &clusters, &[]);
    assert_eq!(chosen(&schedule), ["a", "b"]);
    let reason = |name: &str| schedule.verdict(&name.into()).unwrap().reason.to_string();
    assert_eq!(
        reason("a"),
        "label `env=prod` matches, it is in cluster set `s`"
    );
    assert_eq!(
        reason("b"),
        "claim `region in (eu,us)` matches, it is in cluster set `s`"
    );
    assert_eq!(
        reason("c"),
        "no predicate matches; 1: label `env=prod` does not match: the cluster has no label `env`; \
         2: claim `region in (eu,us)` does not match: the cluster has no claim `region`"
    );
}

#[test]
fn outcomes_are_worded_as_upstream() {
    let exclusive = json!({"selectorType": "ExclusiveClusterSetLabel"});
    let bare = World {
        sets: vec![],
        bindings: vec![],
    };
    let mut elsewhere = World {
        sets: World::new().sets,
        bindings: vec![],
    };
    elsewhere.bind("other", "s");
    let mut empty = World {
        sets: vec![],
        bindings: vec![],
    };
    empty.set("e", &exclusive);
    empty.bind("n", "e");
    let world = World::new();
    for (world, spec, status, reason, message) in [
        (
            &bare,
            json!({}),
            "False",
            "NoManagedClusterSetBindings",
            "No valid ManagedClusterSetBindings found in placement namespace",
        ),
        (
            &elsewhere,
            json!({}),
            "False",
            "NoManagedClusterSetBindings",
            "No valid ManagedClusterSetBindings found in placement namespace",
        ),
        (
            &world,
            json!({"clusterSets": ["x", "y"]}),
            "False",
            "NoIntersection",
            "None of ManagedClusterSets [x,y] is bound to placement namespace",
        ),
        (
            &empty,
            json!({}),
            "False",
            "AllManagedClusterSetsEmpty",
            "All ManagedClusterSets [e] have no member ManagedCluster",
        ),
        (
            &world,
            json!({"numberOfClusters": 0}),
            "False",
            "NoManagedClusterMatched",
            "No ManagedCluster matches any of the cluster predicate",
        ),
        (
            &world,
            json!({}),
            "True",
            "AllDecisionsScheduled",
            "All cluster decisions scheduled",
        ),
        (
            &world,
            json!({"numberOfClusters": 5}),
            "False",
            "NotAllDecisionsScheduled",
            "2 cluster decisions unscheduled",
        ),
    ] {
        let schedule = world.run(spec.clone(), &abc(), &[]);
        assert_eq!(
            schedule.outcome.satisfied(),
            (status, reason, message.to_owned()),
            "{spec}"
        );
        assert_eq!(schedule.outcome.misconfigured().0, "False");
        assert_eq!(schedule.verdicts.len(), 3);
        assert_eq!(schedule.hold, None);
    }
}

#[test]
fn candidates_come_from_bound_sets_that_are_asked_for() {
    let mut world = World {
        sets: vec![],
        bindings: vec![],
    };
    for set in ["one", "two", "three"] {
        world.set(set, &json!({"selectorType": "ExclusiveClusterSetLabel"}));
    }
    world.bind("n", "one");
    world.bind("n", "two");
    let mut clusters = abc();
    for (cluster, set) in clusters.iter_mut().zip(["one", "two", "three"]) {
        cluster
            .labels
            .insert(crate::api::LABEL_CLUSTER_SET.into(), set.into());
    }
    let all = world.run(json!({}), &clusters, &[]);
    assert_eq!(chosen(&all), ["a", "c"]);
    let reason = all.verdict(&"b".into()).unwrap().reason.to_string();
    assert_eq!(
        reason,
        "it is in none of the bound cluster sets `one`, `two`"
    );
    let asked = world.run(json!({"clusterSets": ["two", "three"]}), &clusters, &[]);
    assert_eq!(chosen(&asked), ["a"]);
}

#[test]
fn what_cannot_be_evaluated_or_is_not_built_keeps_the_decisions() {
    let mut bad_set = World::new();
    let selector =
        json!({"selectorType": "LabelSelector", "labelSelector": {"matchLabels": {"a": "b c"}}});
    bad_set.set("bad", &selector);
    bad_set.bind("n", "bad");
    let world = World::new();
    let cel = json!([{"requiredClusterSelector": {"celSelector": {"celExpressions": ["true"]}}}]);
    for (world, spec, word) in [
        (
            &world,
            json!({"numberOfClusters": -1}),
            "cannot be negative",
        ),
        (
            &world,
            json!({"predicates": [{"requiredClusterSelector": {"labelSelector": {"matchLabels": {"": "x"}}}}]}),
            "label key",
        ),
        (&world, json!({"predicates": cel}), "celSelector"),
        (
            &world,
            json!({"spreadPolicy": {"spreadConstraints": [{"topologyKey": "x", "topologyKeyType": "Label"}]}}),
            "spec.spreadPolicy",
        ),
        (&world, json!({"sortBy": "Score"}), "spec.sortBy"),
        (&bad_set, json!({}), "\"bad\""),
    ] {
        let schedule = world.run(spec.clone(), &abc(), &["b".into(), "gone".into()]);
        assert_eq!(chosen(&schedule), ["b", "gone"], "{spec}");
        let text = schedule
            .hold
            .clone()
            .map(|hold| hold.to_string())
            .unwrap_or_default();
        assert!(text.contains(word), "{spec}: {text}");
    }
    // A set that cannot be read stops only those who use it.
    let schedule = bad_set.run(json!({"clusterSets": ["s"]}), &abc(), &[]);
    assert_eq!(chosen(&schedule), ["a", "b", "c"]);
}

#[test]
fn a_frozen_or_deleted_placement_is_left_alone() {
    let world = World::new();
    let clusters = abc();
    for metadata in [
        json!({"name": "p", "namespace": "n", "annotations": {ANNOTATION_SCHEDULING_DISABLED: "true"}}),
        json!({"name": "p", "namespace": "n", "deletionTimestamp": "2024-01-01T00:00:00Z"}),
    ] {
        let placement: Placement =
            serde_json::from_value(json!({"metadata": metadata, "spec": {}})).unwrap();
        let schedule = unscored(&placement, &world.inputs(&clusters, &["b".into()]));
        assert_eq!(chosen(&schedule), ["b"]);
        assert_eq!(placement_status(None, &schedule, &[], now()), None);
    }
}

#[test]
fn a_deleting_cluster_is_no_candidate() {
    let mut clusters = abc();
    clusters[0].deleting = true;
    assert_eq!(
        chosen(&World::new().run(json!({}), &clusters, &["c".into()])),
        ["a", "b"]
    );
}

#[test]
fn decision_objects_hold_a_hundred_clusters_and_carry_the_labels() {
    let clusters: Vec<_> = (0..128)
        .map(|i| ClusterFacts::named(&format!("c{i:03}")))
        .collect();
    let placement = make(json!({}));
    let schedule = World::new().run(json!({}), &clusters, &[]);
    let objects = decision_objects(&DecisionOwner::from(&placement), &schedule);
    let of = |i: usize| {
        let object = &objects[i];
        let count = object
            .status
            .as_ref()
            .and_then(|s| s.decisions.as_ref())
            .map(Vec::len);
        (object.metadata.name.clone().unwrap(), count.unwrap())
    };
    assert_eq!(objects.len(), 2);
    assert_eq!(of(0), ("p-decision-1".to_owned(), 100));
    assert_eq!(of(1), ("p-decision-2".to_owned(), 28));
    let labels = objects[1].metadata.labels.clone().unwrap();
    assert_eq!(labels["cluster.open-cluster-management.io/placement"], "p");
    assert_eq!(
        labels["cluster.open-cluster-management.io/decision-group-index"],
        "0"
    );
    assert_eq!(
        labels["cluster.open-cluster-management.io/decision-group-name"],
        ""
    );

    let status = placement_status(None, &schedule, &objects, now()).unwrap();
    assert_eq!(status.number_of_selected_clusters, 128);
    let group = &status.decision_groups.as_ref().unwrap()[0];
    assert_eq!(
        group.decisions.as_deref().unwrap(),
        ["p-decision-1", "p-decision-2"]
    );
    assert_eq!(group.cluster_count, 128);
    // Written again a minute later, nothing changes.
    let later = now() + SignedDuration::from_mins(1);
    assert_eq!(
        placement_status(Some(&status), &schedule, &objects, later),
        Some(status)
    );
}

#[test]
fn an_empty_placement_has_one_empty_object_and_an_empty_rule_none() {
    let placement = make(json!({"numberOfClusters": 0}));
    let schedule = World::new().run(json!({"numberOfClusters": 0}), &abc(), &[]);
    let objects = decision_objects(&DecisionOwner::from(&placement), &schedule);
    assert_eq!(objects.len(), 1);
    assert_eq!(
        objects[0].status.as_ref().unwrap().decisions.as_deref(),
        Some(&[][..])
    );
    let rule = crate::api::apps::PlacementRule::default();
    assert!(decision_objects(&DecisionOwner::from(&rule), &schedule).is_empty());
}

#[test]
fn held_decisions_keep_their_count_and_groups_in_the_status() {
    let world = World::new();
    let good = world.run(json!({}), &abc(), &[]);
    let objects = decision_objects(&DecisionOwner::from(&make(json!({}))), &good);
    let status = placement_status(None, &good, &objects, now()).unwrap();
    let bad = world.run(json!({"numberOfClusters": -1}), &abc(), &["a".into()]);
    let held = placement_status(Some(&status), &bad, &objects, now()).unwrap();
    assert_eq!(held.number_of_selected_clusters, 3);
    assert_eq!(held.decision_groups, status.decision_groups);
    let conditions = held.conditions.unwrap();
    let of = |type_: &str| conditions.iter().find(|c| c.type_ == type_).unwrap();
    assert_eq!(of("PlacementMisconfigured").status, "True");
    assert_eq!(
        of("PlacementMisconfigured").message,
        ":numberOfClusters is -1, it cannot be negative"
    );
    assert_eq!(of("PlacementSatisfied").status, "False");
}

/// The shorthand of the vectors, as a policy.
fn with_policy(placement: &Value) -> Value {
    let mut spec = placement.clone();
    for config in spec
        .pointer_mut("/prioritizerPolicy/configurations")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        let name = config["name"].as_str().unwrap().to_owned();
        let coordinate = match name.split('/').collect::<Vec<_>>()[..] {
            ["AddOn", resource, score] => {
                json!({"type": "AddOn", "addOn": {"resourceName": resource, "scoreName": score}})
            }
            _ => json!({"builtIn": name}),
        };
        *config = json!({"scoreCoordinate": coordinate, "weight": config["weight"]});
    }
    spec
}

fn addon_scores(by_cluster: &Value) -> Vec<Arc<crate::api::cluster::AddOnPlacementScore>> {
    let mut objects = Vec::new();
    for (cluster, by_name) in by_cluster.as_object().into_iter().flatten() {
        for (name, status) in by_name.as_object().unwrap() {
            let object =
                json!({"metadata": {"name": name, "namespace": cluster}, "status": status});
            objects.push(Arc::new(serde_json::from_value(object).unwrap()));
        }
    }
    objects
}

#[test]
fn whole_placements_pass_ocms_vectors() {
    for case in fixture("schedule")
        .into_iter()
        .chain(fixture("integrationPrioritizer"))
    {
        let mut elsewhere = BTreeMap::new();
        for cluster in case["others"].as_array().unwrap().iter().flat_map(names) {
            *elsewhere.entry(cluster).or_default() += 1;
        }
        let addon = addon_scores(&case["addonScores"]);
        let sources = ScoreSources {
            elsewhere: &elsewhere,
            addon: &addon,
        };
        let (world, clusters, current) = (World::new(), fleet(&case), names(&case["own"]));
        let object = make(with_policy(&case["placement"]));
        let schedule = placement(&object, &world.inputs(&clusters, &current), &sources);
        let expect = &case["expect"];
        let decisions = if expect.is_array() {
            expect
        } else {
            &expect["decisions"]
        };
        assert_eq!(chosen(&schedule), strings(decisions), "{case}");
        if let Some(missing) = expect["unscheduled"]
            .as_u64()
            .filter(|missing| *missing > 0)
        {
            let message = format!("{missing} cluster decisions unscheduled");
            assert_eq!(schedule.outcome.satisfied().2, message, "{case}");
        }
        if let Some(message) = expect["message"].as_str() {
            assert_eq!(schedule.outcome.misconfigured().2, message, "{case}");
        }
    }
}

#[test]
fn groups_pass_ocms_vectors() {
    for case in fixture("groups") {
        let mut strategy = case["groupStrategy"].clone();
        for group in strategy["decisionGroups"]
            .as_array_mut()
            .into_iter()
            .flatten()
        {
            group["groupClusterSelector"] = json!({"labelSelector": group["labelSelector"]});
        }
        let spec = json!({"decisionStrategy": {"groupStrategy": strategy}});
        let schedule = World::new().run(spec.clone(), &fleet(&case), &[]);
        let found: Vec<_> = schedule
            .groups
            .iter()
            .map(|group| json!({"name": group.name, "clusters": group.clusters}))
            .collect();
        assert_eq!(json!(found), case["expect"], "{}", case["name"]);
        let objects = decision_objects(&DecisionOwner::from(&make(spec)), &schedule);
        if let Some(count) = case["expectDecisionObjects"].as_u64() {
            assert_eq!(objects.len() as u64, count);
        }
    }
}

#[test]
fn group_sizes_round_as_upstream_and_bad_ones_hold() {
    let clusters: Vec<_> = (0..50)
        .map(|i| ClusterFacts::named(&format!("c{i:02}")))
        .collect();
    let run = |size: Value| {
        let spec =
            json!({"decisionStrategy": {"groupStrategy": {"clustersPerDecisionGroup": size}}});
        World::new().run(spec, &clusters, &["c07".into()])
    };
    // 14% of 50 is 7, and 8 in upstream's floats.
    for (size, first) in [
        (json!("14%"), 8),
        (json!("10%"), 5),
        (json!(20), 20),
        (json!("100%"), 50),
        (json!(99), 50),
    ] {
        assert_eq!(run(size.clone()).groups[0].clusters.len(), first, "{size}");
    }
    for size in [json!("20"), json!("0%"), json!("101%"), json!(-1)] {
        let schedule = run(size.clone());
        assert_eq!(chosen(&schedule), ["c07"], "{size}");
        assert!(schedule.hold.is_some(), "{size}");
    }
}

#[test]
fn a_score_that_expires_asks_to_be_looked_at_again() {
    let until = now() + SignedDuration::from_secs(30);
    let status = json!({"demo": {"scores": [{"name": "demo", "value": 5}], "validUntil": until}});
    let addon = addon_scores(&json!({"a": status}));
    let sources = ScoreSources {
        elsewhere: &BTreeMap::new(),
        addon: &addon,
    };
    let policy = json!({"configurations": [{"name": "AddOn/demo/demo", "weight": 2}]});
    let object = make(with_policy(
        &json!({"numberOfClusters": 1, "prioritizerPolicy": policy}),
    ));
    let (world, clusters) = (World::new(), abc());
    let schedule = placement(&object, &world.inputs(&clusters, &[]), &sources);
    assert_eq!(chosen(&schedule), ["a"]);
    assert_eq!(schedule.recheck_after, Some(until));
    let reason = schedule.verdict(&"a".into()).unwrap().reason.to_string();
    assert_eq!(reason, "it is in cluster set `s`, score 110");
    let reason = schedule.verdict(&"b".into()).unwrap().reason.to_string();
    assert_eq!(
        reason,
        "it fits, but numberOfClusters is 1 and others come first, score 100"
    );
}

proptest! {
    /// With Steady strong enough a choice moves only as far as it must.
    #[test]
    fn placements_are_stable_and_move_no_more_than_they_must(
        order in Just((0..12).collect::<Vec<usize>>()).prop_shuffle(),
        number in 0..14usize,
        before in proptest::collection::btree_set(0..12usize, 0..6),
        counts in proptest::collection::vec(0..5u32, 12),
        tainted in proptest::collection::btree_set(0..12usize, 0..4),
    ) {
        let name = |i: &usize| format!("c{i:02}");
        let taint = json!({"key": "k", "effect": "NoSelect"});
        let build = |i: &usize| {
            let mut cluster = ClusterFacts::named(&name(i));
            if tainted.contains(i) {
                cluster.taints.push(serde_json::from_value(taint.clone()).unwrap());
            }
            cluster
        };
        let sorted: Vec<_> = (0..12).map(|i| build(&i)).collect();
        let shuffled: Vec<_> = order.iter().map(build).collect();
        let current: Vec<ClusterName> = before.iter().map(|i| name(i).into()).collect();
        let counted = counts.iter().enumerate().map(|(i, count)| (ClusterName::from(name(&i)), *count));
        let elsewhere: BTreeMap<ClusterName, u32> = counted.filter(|(_, count)| *count > 0).collect();
        let sources = ScoreSources { elsewhere: &elsewhere, addon: &[] };
        let world = World::new();
        let policy = json!({"configurations": [{"scoreCoordinate": {"builtIn": "Steady"}, "weight": 3}]});
        let object = make(json!({"numberOfClusters": number, "prioritizerPolicy": policy}));

        let one = placement(&object, &world.inputs(&sorted, &current), &sources);
        let other = placement(&object, &world.inputs(&shuffled, &current), &sources);
        prop_assert_eq!(&one, &other);

        let fit = 12 - tainted.len();
        prop_assert_eq!(one.decisions.len(), number.min(fit));
        let kept = current.iter().filter(|cluster| one.chosen().contains(*cluster)).count();
        prop_assert_eq!(kept, before.difference(&tainted).count().min(number));

        let settled: Vec<ClusterName> = one.chosen().into_iter().collect();
        let again = placement(&object, &world.inputs(&sorted, &settled), &sources);
        prop_assert_eq!(again.chosen(), one.chosen());
        let groups: usize = one.groups.iter().map(|group| group.clusters.len()).sum();
        prop_assert_eq!(groups, one.decisions.len());
    }
}
