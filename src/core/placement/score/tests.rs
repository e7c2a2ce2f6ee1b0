//! Scores against OCM's vectors (tests/fixtures/placement/ocm.json).

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::core::placement::scheduler::testing::{facts, fixture, names, now};

fn scores_of(case: &Value) -> Vec<Arc<AddOnPlacementScore>> {
    let mut objects = Vec::new();
    for (cluster, by_name) in case.as_object().into_iter().flatten() {
        for (name, status) in by_name.as_object().unwrap() {
            let mut status = status.clone();
            if let Some(seconds) = status["validUntil"].as_i64() {
                status["validUntil"] = json!(now() + SignedDuration::from_secs(seconds));
            }
            let object =
                json!({"metadata": {"name": name, "namespace": cluster}, "status": status});
            objects.push(Arc::new(serde_json::from_value(object).unwrap()));
        }
    }
    objects
}

/// Runs one prioritizer over the clusters of a vector.
fn run(kind: Kind, case: &Value, own: &Value, others: &Value, addon: &Value) -> (Value, Totals) {
    let clusters: Vec<_> = case["clusters"]
        .as_array()
        .unwrap()
        .iter()
        .map(facts)
        .collect();
    let clusters: Vec<_> = clusters.iter().collect();
    let own = if own.is_null() { vec![] } else { names(own) };
    let mut elsewhere = BTreeMap::new();
    for cluster in others.as_array().into_iter().flatten().flat_map(names) {
        *elsewhere.entry(cluster).or_default() += 1;
    }
    let addon = scores_of(addon);
    let field = Field {
        clusters: &clusters,
        current: &own.iter().collect(),
        sources: &ScoreSources {
            elsewhere: &elsewhere,
            addon: &addon,
        },
        now: now(),
    };
    let mut totals = Totals::default();
    let scores = kind.scores(&field, &mut totals);
    (serde_json::to_value(scores).unwrap(), totals)
}

#[test]
fn balance_and_steady_pass_ocms_vectors() {
    for case in fixture("balance") {
        let (scores, _) = run(
            Kind::Balance,
            &case,
            &json!(null),
            &case["otherDecisions"],
            &json!({}),
        );
        assert_eq!(scores, case["expect"], "{case}");
    }
    for case in fixture("steady") {
        let (scores, _) = run(
            Kind::Steady,
            &case,
            &case["ownDecisions"],
            &json!([]),
            &json!({}),
        );
        assert_eq!(scores, case["expect"], "{case}");
    }
}

#[test]
fn balance_cuts_before_doubling() {
    for (most, expected) in [
        (3, vec![100, 32, -32, -100]),
        (5, vec![100, 60, 18, -18, -60, -100]),
        (7, vec![100, 70, 42, 14, -14, -42, -70, -100]),
    ] {
        let clusters: Vec<_> = (0..=most)
            .map(|i| json!({"name": format!("c{i}")}))
            .collect();
        let others: Vec<Vec<String>> = (1..=most)
            .flat_map(|i| vec![vec![format!("c{i}")]; i])
            .collect();
        let case = json!({"clusters": clusters});
        let (scores, _) = run(
            Kind::Balance,
            &case,
            &json!(null),
            &json!(others),
            &json!({}),
        );
        let found: Vec<_> = (0..=most)
            .map(|i| scores[format!("c{i}")].as_i64().unwrap())
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn allocatable_passes_ocms_vectors_and_keeps_its_float_order() {
    for case in fixture("resource") {
        let (scores, _) = run(
            Kind::Allocatable("memory"),
            &case,
            &json!(null),
            &json!([]),
            &json!({}),
        );
        assert_eq!(scores, case["expect"], "{case}");
    }
    for (amounts, expected) in [
        (vec!["10", "7", "9"], vec![100, -100, 33]),
        (vec!["50", "90", "80"], vec![-100, 100, 50]),
        (vec!["11.7", "3.92", "7.5"], vec![100, -100, -7]),
        (
            vec!["0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10"],
            vec![-100, -80, -60, -40, -19, 0, 19, 39, 60, 80, 100],
        ),
    ] {
        let cluster = |(i, amount): (usize, &&str)| json!({"name": format!("c{i:02}"), "allocatable": {"cpu": amount}, "capacity": {"cpu": "1"}});
        let clusters: Vec<_> = amounts.iter().enumerate().map(cluster).collect();
        let case = json!({"clusters": clusters});
        let (scores, _) = run(
            Kind::Allocatable("cpu"),
            &case,
            &json!(null),
            &json!([]),
            &json!({}),
        );
        let found: Vec<_> = scores
            .as_object()
            .unwrap()
            .values()
            .map(|s| s.as_i64().unwrap())
            .collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn addon_scores_pass_ocms_vectors() {
    for case in fixture("addon") {
        let score = AddOnScore {
            resource_name: case["resourceName"].as_str().unwrap().into(),
            score_name: case["scoreName"].as_str().unwrap().into(),
        };
        let (scores, totals) = run(
            Kind::AddOn(score),
            &case,
            &json!(null),
            &json!([]),
            &case["scores"],
        );
        assert_eq!(scores, case["expect"], "{case}");
        let expired: Vec<_> = totals.expired.iter().map(String::as_str).collect();
        let warning = case["expectWarning"].as_str().unwrap_or_default();
        assert_eq!(!warning.is_empty(), !expired.is_empty());
        assert!(warning.contains(&expired.join(" ")), "{warning}");
    }
}

#[test]
fn policies_are_read_as_upstream_reads_them() {
    let read = |policy: Value| prioritizers(Some(&serde_json::from_value(policy).unwrap()));
    let built_in =
        |name: &str, weight: i32| json!({"scoreCoordinate": {"builtIn": name}, "weight": weight});
    let weights =
        |policy: Value| -> Vec<i64> { read(policy).unwrap().iter().map(|p| p.weight).collect() };
    assert_eq!(prioritizers(None).unwrap().len(), 2);
    assert_eq!(
        weights(json!({"configurations": [built_in("Steady", 3)]})),
        [1, 3]
    );
    assert_eq!(
        weights(json!({"configurations": [built_in("Balance", 0)]})),
        [1]
    );
    assert_eq!(weights(json!({"mode": "Exact"})), [0i64; 0]);
    let addon = json!({"scoreCoordinate": {"type": "AddOn", "addOn": {"resourceName": "a", "scoreName": "b"}}});
    assert_eq!(
        weights(json!({"mode": "Exact", "configurations": [addon, addon]})),
        [1, 1]
    );
    for (policy, message) in [
        (
            json!({"mode": "Sum"}),
            "incorrect prioritizer policy mode: Sum",
        ),
        (
            json!({"configurations": [{"weight": 1}]}),
            "scoreCoordinate field is required",
        ),
        (
            json!({"configurations": [built_in("Spread", 1)]}),
            "incorrect builtin prioritizer: Spread",
        ),
        (
            json!({"configurations": [{"scoreCoordinate": {"type": "AddOn"}}]}),
            "addOn should not be empty",
        ),
    ] {
        assert_eq!(read(policy).unwrap_err(), message);
    }
    // Not looked at when its weight is 0.
    assert!(read(json!({"configurations": [built_in("Spread", 0)]})).is_ok());
}
