//! Alerts and dashboard against the metrics that a process serves.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use pilothouse::app::operators::Operators;
use serde_json::Value;

use crate::render::root;

/// Names of samples with their labels, from the text of `/metrics`.
struct Served(BTreeMap<String, BTreeSet<String>>);

impl Served {
    fn read(text: &str) -> Self {
        let mut samples = BTreeMap::<String, BTreeSet<String>>::new();
        for line in text.lines() {
            // A family without a series yet: its name, without labels.
            if let Some(family) = line.strip_prefix("# TYPE ") {
                let (name, kind) = family.split_once(' ').unwrap();
                let suffixes: &[&str] = match kind {
                    "counter" => &["_total"],
                    "histogram" => &["_bucket", "_count", "_sum"],
                    _ => &[""],
                };
                for suffix in suffixes {
                    samples.entry(format!("{name}{suffix}")).or_default();
                }
                continue;
            }
            if let Some((name, labels)) = line.split_once('{') {
                let labels = labels.split_once('}').unwrap().0;
                let labels = labels
                    .split("\",")
                    .filter_map(|label| label.split_once('='));
                samples
                    .entry(name.to_owned())
                    .or_default()
                    .extend(labels.map(|(label, _)| label.to_owned()));
            }
        }
        Self(samples)
    }

    /// What is wrong with a PromQL expression: metrics that are not served.
    fn complaints(&self, expression: &str) -> Vec<String> {
        words(expression)
            .filter(|word| word.starts_with("pilothouse_") || word.starts_with("process_"))
            .filter(|word| !self.0.contains_key(*word))
            .map(|word| format!("{word} is not served, in {expression}"))
            .collect()
    }
}

/// Words of an expression outside quoted text.
fn words(expression: &str) -> impl Iterator<Item = &str> {
    expression
        .split('"')
        .step_by(2)
        .flat_map(|part| part.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| !word.is_empty())
}

/// What a process serves that has not met its hub yet.
fn served() -> Served {
    let operators = Operators::new(Timestamp::from_second(1).unwrap());
    Served::read(&operators.metrics().unwrap())
}

fn text(file: &str) -> String {
    std::fs::read_to_string(root("deploy/components/monitoring").join(file)).unwrap()
}

/// `(name, expression)` of every alert.
fn alerts() -> Vec<(String, String)> {
    let rule: Value = serde_yaml::from_str(&text("prometheusrule.yaml")).unwrap();
    let groups = rule["spec"]["groups"].as_array().unwrap();
    groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .map(|rule| {
            let text = |field: &str| rule[field].as_str().unwrap().to_owned();
            (text("alert"), text("expr"))
        })
        .collect()
}

/// `(title, expression)` of every query of the dashboard.
fn queries() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&text("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    panels
        .iter()
        .flat_map(|panel| {
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(|target| {
                let title = panel["title"].as_str().unwrap().to_owned();
                (title, target["expr"].as_str().unwrap().to_owned())
            })
        })
        .collect()
}

#[test]
fn alerts_and_dashboard_use_only_metrics_that_are_served() {
    let served = served();
    let used: Vec<(String, String)> = alerts().into_iter().chain(queries()).collect();
    assert!(used.len() > 30, "{}", used.len());
    let complaints: Vec<String> = used
        .iter()
        .flat_map(|(_, expression)| served.complaints(expression))
        .collect();
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Every metric of ours is worth a panel or an alert, or need not be counted.
#[test]
fn every_metric_is_shown_or_watched() {
    let used: BTreeSet<String> = alerts()
        .iter()
        .chain(&queries())
        .flat_map(|(_, expression)| words(expression).map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for name in served().0.keys() {
        let counted_beside = name.ends_with("_count") || name.ends_with("_sum");
        assert!(
            counted_beside || used.contains(name),
            "{name} is in no alert and no panel"
        );
    }
}

/// Label values in an expression are words that the fleet's states have; a
/// misspelt one would never match.
#[test]
fn states_in_expressions_exist() {
    let operators = Operators::new(Timestamp::from_second(1).unwrap());
    let text = operators.metrics().unwrap();
    let used: Vec<(String, String)> = alerts().into_iter().chain(queries()).collect();
    let mut seen = 0;
    for (name, expression) in used {
        for selector in expression.split('{').skip(1) {
            let selector = selector.split_once('}').unwrap().0;
            let (label, values) = selector.split_once('=').unwrap();
            let label = label.trim_end_matches('!');
            if label == "job" {
                continue;
            }
            let values = values.trim_start_matches('~').trim_matches('"');
            for value in values.split('|') {
                seen += 1;
                assert!(
                    text.contains(&format!("{label}=\"{value}\"")),
                    "{name}: {label}={value:?} is no state"
                );
            }
        }
    }
    assert!(seen > 5, "{seen}");
}

#[test]
fn labels_name_states_and_no_objects() {
    let known = [
        "category",
        "controller",
        "health",
        "le",
        "quantile",
        "reach",
        "result",
        "status",
        "sync",
        "version",
    ];
    for (name, labels) in served().0 {
        for label in labels {
            assert!(known.contains(&label.as_str()), "{name} has {label}");
        }
    }
}

#[test]
fn an_expression_with_an_unknown_metric_is_found() {
    let complaints = served().complaints("rate(pilothouse_nonsense_total{a=\"pilothouse_b\"}[5m])");
    assert_eq!(complaints.len(), 1, "{complaints:?}");
}
