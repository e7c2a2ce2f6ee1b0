//! What a decision costs: the pure core alone, no servers, one thread.
//!
//! ```text
//! cargo bench --bench decisions
//! ```
//!
//! Each row is run for at least half a second after a warm-up and at least
//! five times; the figure is the median of the runs.
#![allow(missing_docs, reason = "a bench")]

use std::collections::{BTreeMap, BTreeSet};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use pilothouse::api::apps::{PlacementRule, Subscription};
use pilothouse::api::cluster::{ManagedClusterSet, ManagedClusterSetBinding, Placement};
use pilothouse::api::{ClusterName, NamespacedName};
use pilothouse::core::desired::{DesiredInput, Owner, desired_set};
use pilothouse::core::inventory::{Entry, Inventory, Stamp};
use pilothouse::core::manifest::{EntryKind, PackageFilter, assemble, parse_file, select};
use pilothouse::core::placement::{
    ClusterFacts, PlacementInputs, ScoreSources, placement, placement_rule,
};
use pilothouse::core::plan::{Observed, ObservedObject, plan};
use pilothouse::core::view::{FleetView, example};
use serde_json::{Value, json};

/// Clusters of the placement rows.
const CLUSTERS: usize = 1_000;
/// Objects of the plan rows.
const OBJECTS: usize = 1_000;
/// Files of the render rows.
const FILES: usize = 200;

fn main() -> Result<()> {
    let profile = if cfg!(debug_assertions) {
        "dev (not for publication)"
    } else {
        "release"
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("core alone, one thread of {cores} cores, profile {profile}; median\n");
    placements()?;
    contents()?;
    view();
    Ok(())
}

/// Runs `work` until enough is known and prints the median.
fn row<T>(what: &str, per: usize, unit: &str, mut work: impl FnMut() -> T) {
    let mut times = Vec::new();
    let begin = Instant::now();
    black_box(work());
    while times.len() < 5 || (begin.elapsed() < Duration::from_millis(500) && times.len() < 5_000) {
        let start = Instant::now();
        black_box(work());
        times.push(start.elapsed());
    }
    times.sort();
    let median = times[times.len() / 2].as_secs_f64() * 1e6;
    let each = median * 1e3 / per.max(1) as f64;
    println!(
        "{what:<58} {median:>10.1} µs   {each:>8.0} ns per {unit}   ({} runs)",
        times.len()
    );
}

fn object<T: serde::de::DeserializeOwned>(value: Value) -> Result<T> {
    Ok(serde_json::from_value(value)?)
}

fn clusters() -> Vec<ClusterFacts> {
    (0..CLUSTERS)
        .map(|number| {
            let mut facts = ClusterFacts::named(&format!("cluster-{number:04}"));
            let labels = [
                ("name", format!("cluster-{number:04}")),
                ("region", format!("region-{}", number % 8)),
                (
                    "environment",
                    ["dev", "test", "prod"][number % 3].to_owned(),
                ),
                (
                    "cluster.open-cluster-management.io/clusterset",
                    "fleet".to_owned(),
                ),
            ];
            facts.labels = labels.map(|(key, value)| (key.to_owned(), value)).into();
            facts.claims = BTreeMap::from([("platform".to_owned(), "AWS".to_owned())]);
            let available = "ManagedClusterConditionAvailable".to_owned();
            facts.conditions = BTreeMap::from([(available, "True".to_owned())]);
            facts.allocatable = BTreeMap::from([
                ("cpu".to_owned(), (number % 64) as f64),
                ("memory".to_owned(), (number % 97) as f64 * 1e9),
            ]);
            facts.capacity = facts.allocatable.clone();
            facts
        })
        .collect()
}

fn placements() -> Result<()> {
    let clusters = clusters();
    let rule: PlacementRule = object(json!({
        "metadata": {"name": "rule", "namespace": "bench"},
        "spec": {
            "clusterSelector": {"matchLabels": {"environment": "prod"}},
            "clusterConditions": [{"type": "ManagedClusterConditionAvailable", "status": "True"}],
        },
    }))?;
    let chosen = placement_rule(&rule, &clusters, &[]).chosen();
    ensure!(chosen.len() == CLUSTERS / 3, "{} are chosen", chosen.len());
    row(
        "PlacementRule, labels and condition, 1,000 clusters",
        CLUSTERS,
        "cluster",
        || placement_rule(&rule, &clusters, &[]),
    );
    let kept: Vec<ClusterName> = chosen.into_iter().collect();
    row(
        "PlacementRule, the same with all decisions kept",
        CLUSTERS,
        "cluster",
        || placement_rule(&rule, &clusters, &kept),
    );

    let sets: [Arc<ManagedClusterSet>; 1] = [object(json!({
        "metadata": {"name": "fleet"},
        "spec": {"clusterSelector": {"selectorType": "ExclusiveClusterSetLabel"}},
    }))?];
    let bindings: [Arc<ManagedClusterSetBinding>; 1] = [object(json!({
        "metadata": {"name": "fleet", "namespace": "bench"}, "spec": {"clusterSet": "fleet"},
    }))?];
    let of = |spec: Value| -> Result<Placement> {
        object(json!({"metadata": {"name": "placement", "namespace": "bench"}, "spec": spec}))
    };
    let predicate = json!([{"requiredClusterSelector": {
        "labelSelector": {"matchExpressions": [
            {"key": "region", "operator": "In", "values": ["region-1", "region-2", "region-3"]},
        ]},
        "claimSelector": {"matchExpressions": [
            {"key": "platform", "operator": "In", "values": ["AWS", "GCP"]},
        ]},
    }}]);
    let all = of(json!({"predicates": predicate}))?;
    let best = of(json!({
        "predicates": predicate,
        "numberOfClusters": 10,
        "prioritizerPolicy": {"mode": "Exact", "configurations": [
            {"scoreCoordinate": {"builtIn": "ResourceAllocatableCPU"}, "weight": 2},
            {"scoreCoordinate": {"builtIn": "ResourceAllocatableMemory"}, "weight": 1},
            {"scoreCoordinate": {"builtIn": "Steady"}, "weight": 1},
        ]},
    }))?;
    let inputs = PlacementInputs {
        sets: &sets,
        bindings: &bindings,
        clusters: &clusters,
        current: &[],
        now: Timestamp::now(),
    };
    let elsewhere = BTreeMap::new();
    let sources = ScoreSources {
        elsewhere: &elsewhere,
        addon: &[],
    };
    ensure!(
        placement(&all, &inputs, &sources).chosen().len() == 375,
        "predicates changed"
    );
    row(
        "Placement, set and predicates, 1,000 clusters",
        CLUSTERS,
        "cluster",
        || placement(&all, &inputs, &sources),
    );
    ensure!(
        placement(&best, &inputs, &sources).chosen().len() == 10,
        "scores changed"
    );
    row(
        "Placement, the best 10 by three scores",
        CLUSTERS,
        "cluster",
        || placement(&best, &inputs, &sources),
    );
    Ok(())
}

/// A manifest of a size that people write.
fn manifest(number: usize) -> String {
    format!(
        "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-{number}\n  namespace: bench\n  \
         labels:\n    app: web-{number}\n    tier: frontend\nspec:\n  replicas: 3\n  selector:\n    \
         matchLabels:\n      app: web-{number}\n  template:\n    metadata:\n      labels:\n        \
         app: web-{number}\n    spec:\n      containers:\n      - name: web\n        \
         image: registry.example.com/web:1.{number}\n        ports:\n        - containerPort: 8080\n        \
         resources:\n          requests:\n            cpu: 100m\n            memory: 128Mi\n        \
         env:\n        - name: GET_HOSTS_FROM\n          value: dns\n"
    )
}

fn contents() -> Result<()> {
    let files: Vec<(String, String)> = (0..OBJECTS)
        .map(|number| (format!("app/web-{number:04}.yaml"), manifest(number)))
        .collect();
    let entries = |count: usize| {
        let files = files.iter().take(count);
        files.map(|(path, _)| (path.as_str(), EntryKind::File))
    };
    let filter = PackageFilter::default();
    let parse = |count: usize| -> Vec<_> {
        let files = files.iter().take(count);
        files
            .map(|(path, text)| (path.clone(), Arc::new(parse_file(text.as_bytes()))))
            .collect()
    };
    row(
        "render 200 files: select, parse, assemble",
        FILES,
        "file",
        || assemble(&select("app", entries(FILES), None), &parse(FILES), &filter),
    );
    let parsed = parse(FILES);
    row("render 200 files, all parsed before", FILES, "file", || {
        assemble(&select("app", entries(FILES), None), &parsed, &filter)
    });

    let rendered = assemble(
        &select("app", entries(OBJECTS), None),
        &parse(OBJECTS),
        &filter,
    );
    ensure!(rendered.problems.is_empty(), "{:?}", rendered.problems);
    let subscription: Subscription = object(json!({
        "metadata": {"name": "web", "namespace": "bench"}, "spec": {"channel": "bench/git"},
    }))?;
    let owner = Owner::of(&subscription, false);
    let desire = || {
        desired_set(DesiredInput {
            owner: &owner,
            rendered: &rendered,
            hub_id: "hub",
            revision: "4f1c2ab00000000000000000000000000000000a",
            stamp: Stamp::default(),
        })
    };
    row(
        "desired set of 1,000 objects: stamp, digest",
        OBJECTS,
        "object",
        desire,
    );
    let desired = desire()?;
    ensure!(desired.objects.len() == OBJECTS, "objects are refused");
    let (none, held) = (Observed::default(), BTreeSet::new());
    row(
        "plan of 1,000 objects, none there",
        OBJECTS,
        "object",
        || plan(Some(&desired), None, &none, &held),
    );

    let application = NamespacedName::new("bench".to_owned(), "web".to_owned());
    let mut inventory = Inventory::new(application.clone(), "hub");
    let mut observed = Observed::default();
    for object in &desired.objects {
        let fingerprint = Some("0123456789abcdef".to_owned());
        inventory.entries.insert(
            object.id.clone(),
            Entry {
                api_version: object.api_version.clone(),
                digest: object.digest.to_string(),
                fingerprint: fingerprint.clone(),
                ..Entry::default()
            },
        );
        observed
            .synced
            .insert((object.id.group.clone(), object.id.kind.clone()));
        observed.objects.insert(
            object.id.clone(),
            ObservedObject {
                fingerprint,
                hosted_by: Some(application.to_string()),
                deleting: false,
            },
        );
    }
    let nothing = plan(Some(&desired), Some(&inventory), &observed, &held);
    ensure!(
        nothing.is_ok_and(|plan| plan.is_empty()),
        "the plan is not empty"
    );
    row(
        "plan of 1,000 objects, all in place",
        OBJECTS,
        "object",
        || plan(Some(&desired), Some(&inventory), &observed, &held),
    );
    Ok(())
}

fn view() {
    let facts = example::large(Timestamp::now(), CLUSTERS, 200);
    row(
        "FleetView::build, 1,000 clusters × 200 applications",
        200,
        "application",
        || FleetView::build(facts.clone()),
    );
}
