//! Histories recorded on kube-apiserver 1.36, replayed: every step starts from the object the
//! real server had, and must end with the owners, and in custom resources and ConfigMaps with
//! the object, that the real server made of it.

use serde::Deserialize;

use super::*;
use crate::apiserver::schema::{apply_defaults, prune, validate};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recording {
    probe_schema: Value,
    cases: Vec<History>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct History {
    name: String,
    group: String,
    version: String,
    kind: String,
    has_status: bool,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    op: String,
    manager: String,
    subresource: String,
    force: bool,
    body: Value,
    status: u16,
    response: Value,
}

fn now() -> Timestamp {
    "2099-01-01T00:00:00Z".parse().expect("time")
}

fn managers_of(object: &Value) -> Vec<Value> {
    object
        .pointer("/metadata/managedFields")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default()
}

/// Entries with their time replaced by whether it is news.
fn with_news(object: &Value, live: Option<&Value>, timed: bool) -> Vec<Value> {
    let old: Vec<Value> = live.map(managers_of).unwrap_or_default();
    let mut entries = managers_of(object);
    for entry in &mut entries {
        let same = |other: &&Value| {
            ["manager", "operation", "subresource"]
                .iter()
                .all(|key| other.get(key) == entry.get(key))
                && (entry["operation"] == "Apply" || other["apiVersion"] == entry["apiVersion"])
        };
        let before = old.iter().find(same).map(|other| other["time"].clone());
        entry["time"] = (before != Some(entry["time"].clone())).into();
    }
    // Fuzzed histories ran faster than the clock ticks.
    if !timed {
        for entry in &mut entries {
            entry["time"] = Value::Null;
        }
    }
    entries.sort_by_key(|entry| {
        entry["manager"].to_string()
            + &entry["operation"].to_string()
            + &entry["subresource"].to_string()
    });
    entries
}

struct Replay<'a> {
    history: &'a History,
    schema: &'a Schema,
}

impl Replay<'_> {
    fn apply(&self, step: &Step, live: Option<&Value>) -> Result<Value, ApplyError> {
        apply(&ApplyRequest {
            schema: Some(self.schema),
            live,
            applied: &step.body,
            manager: &step.manager,
            api_version: &self.history.version,
            subresource: &step.subresource,
            status_subresource: self.history.has_status,
            force: step.force,
            now: now(),
        })
    }

    fn update(&self, step: &Step, live: Option<&Value>) -> Value {
        // Built-in types are defaulted by code that we lack: start from the outcome.
        let mut new = step.response.clone();
        let sent = step.body.pointer("/metadata/managedFields");
        if let Some(Value::Object(metadata)) = new.get_mut("metadata") {
            metadata.remove("managedFields");
            if let Some(sent) = sent.filter(|_| step.op == "put") {
                metadata.insert("managedFields".to_owned(), sent.clone());
            }
        }
        update(UpdateRequest {
            schema: Some(self.schema),
            live,
            new,
            manager: &step.manager,
            api_version: &self.history.version,
            subresource: &step.subresource,
            status_subresource: self.history.has_status,
            now: now(),
        })
    }

    /// What does not match, in words.
    fn check(&self, step: &Step, live: Option<&Value>) -> Option<String> {
        let ours = if step.op == "apply" {
            self.apply(step, live)
        } else {
            Ok(self.update(step, live))
        };
        let mut ours = match (ours, step.status) {
            (Err(error), 400..) => return compare_errors(&error, &step.response),
            (_, 404) => return None,
            // A custom resource that lost its last item keeps a `null`, which its schema refuses.
            (Ok(ours), 422) => {
                let asked = step.op == "apply" && self.history.kind == "Probe";
                let missed = asked && validate(self.schema, &ours).is_empty();
                return missed.then(|| format!("valid, but real: {}", step.response));
            }
            (Err(error), _) => return Some(format!("refused: {error}")),
            (Ok(_), 300..) => return Some(format!("accepted, but real: {}", step.response)),
            (Ok(ours), _) => ours,
        };
        prune(self.schema, &mut ours);
        apply_defaults(self.schema, &mut ours);
        if let Some(live) = live {
            keep_times(live, &mut ours);
        }
        let timed = !self.history.name.starts_with("fuzz");
        let (left, right) = (
            with_news(&ours, live, timed),
            with_news(&step.response, live, timed),
        );
        if left != right {
            return Some(format!(
                "owners:\n ours {}\n real {}",
                Value::Array(left),
                Value::Array(right)
            ));
        }
        for part in ["data", "spec", "status"] {
            let (left, right) = (ours.get(part), step.response.get(part));
            let exact = matches!(self.history.kind.as_str(), "Probe" | "ConfigMap");
            let fits = if exact {
                left == right
            } else {
                covered(left, right)
            };
            if !fits {
                return Some(format!("{part}:\n ours {left:?}\n real {right:?}"));
            }
        }
        for field in ["labels", "annotations", "finalizers", "ownerReferences"] {
            let (left, right) = (
                ours["metadata"].get(field),
                step.response["metadata"].get(field),
            );
            let empty = left
                .and_then(Value::as_object)
                .is_some_and(serde_json::Map::is_empty);
            if left != right
                && !(empty && right.is_none())
                && field != "annotations"
                && self.history.kind != "Namespace"
            {
                return Some(format!("{field}:\n ours {left:?}\n real {right:?}"));
            }
        }
        None
    }
}

/// Whether the real object has all that ours has; it may have more defaults.
fn covered(ours: Option<&Value>, real: Option<&Value>) -> bool {
    match (ours, real) {
        (None, _) => true,
        (Some(Value::Object(ours)), None) => ours.is_empty(),
        (Some(Value::Array(ours)), None) => ours.is_empty(),
        (Some(Value::Object(ours)), Some(Value::Object(real))) => ours
            .iter()
            .all(|(name, value)| covered(Some(value), real.get(name))),
        (Some(Value::Array(ours)), Some(Value::Array(real))) => {
            ours.len() == real.len()
                && ours
                    .iter()
                    .zip(real)
                    .all(|(ours, real)| covered(Some(ours), Some(real)))
        }
        (ours, real) => ours == real,
    }
}

fn compare_errors(error: &ApplyError, real: &Value) -> Option<String> {
    let message = real["message"].as_str().unwrap_or_default();
    if error.to_string() != message {
        return Some(format!("error:\n ours {error}\n real {message}"));
    }
    let ApplyError::Conflicts(conflicts) = error else {
        return None;
    };
    let ours: Vec<_> = conflicts
        .iter()
        .map(|c| (c.field.as_str(), c.message.as_str()))
        .collect();
    let causes = real["details"]["causes"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let text = |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
    let mut real: Vec<_> = causes
        .iter()
        .map(|c| (text(c, "field"), text(c, "message")))
        .collect();
    real.sort();
    let mut ours: Vec<_> = ours
        .iter()
        .map(|(f, m)| ((*f).to_owned(), (*m).to_owned()))
        .collect();
    ours.sort();
    (ours != real).then(|| format!("causes:\n ours {ours:?}\n real {real:?}"))
}

#[test]
fn owners_and_objects_are_those_of_the_real_server() {
    let recording = include_str!("../../../tests/fixtures/ssa/histories.json");
    let recording: Recording = serde_json::from_str(recording).expect("recording");
    let probe = Schema::from_openapi(&recording.probe_schema).expect("schema");
    let mut failures = Vec::new();
    for history in &recording.cases {
        let version = history.version.rsplit('/').next().unwrap_or_default();
        let built_in = Schema::builtin(&history.group, version, &history.kind);
        let replay = Replay {
            history,
            schema: built_in.as_deref().unwrap_or(&probe),
        };
        let mut live: Option<&Value> = None;
        for (at, step) in history.steps.iter().enumerate() {
            if let Some(failure) = replay.check(step, live) {
                failures.push(format!(
                    "{} step {at} ({} by {}): {failure}",
                    history.name, step.op, step.manager
                ));
            }
            if step.status < 300 {
                live = Some(&step.response);
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} differ:\n{}",
        failures.len(),
        failures.join("\n")
    );
}
