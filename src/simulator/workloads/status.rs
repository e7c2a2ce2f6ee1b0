//! The statuses of workloads, as the real controllers write them.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::fields::{list, number, text};
use super::kind::Kind;

/// How many pods a workload wants.
pub(super) fn replicas(kind: Kind, object: &Value) -> i64 {
    match kind {
        // One Node.
        Kind::DaemonSet => 1,
        Kind::Job => object
            .pointer("/spec/parallelism")
            .and_then(Value::as_i64)
            .unwrap_or(1),
        _ => object
            .pointer("/spec/replicas")
            .and_then(Value::as_i64)
            .unwrap_or(1),
    }
}

/// Whether the present revision was found at its end, so that a simulator
/// that starts anew does not roll it out again.
pub(super) fn is_settled(kind: Kind, object: &Value) -> bool {
    let generation = number(object, "/metadata/generation");
    let observed = number(object, "/status/observedGeneration") == generation;
    match kind {
        Kind::DaemonSet => observed && number(object, "/status/numberAvailable") == 1,
        Kind::Job => number(object, "/status/succeeded") > 0,
        _ => {
            let wanted = replicas(kind, object);
            observed
                && number(object, "/status/updatedReplicas") == wanted
                && number(object, "/status/availableReplicas") == wanted
        }
    }
}

/// The status of a workload whose present revision is `done` or on its way.
/// Times of conditions that stay as they are stay as well.
pub(super) fn workload(kind: Kind, object: &Value, done: bool, now: Timestamp) -> Value {
    match kind {
        Kind::Deployment => deployment(object, done, now),
        Kind::StatefulSet => stateful_set(object, done),
        Kind::DaemonSet => daemon_set(object, done),
        _ => job(object, done, now),
    }
}

/// Counters are left out at zero, as Go's `omitempty` does; `null` removes
/// them by a merge patch.
fn count(n: i64) -> Value {
    if n == 0 { Value::Null } else { json!(n) }
}

fn deployment(object: &Value, done: bool, now: Timestamp) -> Value {
    let wanted = replicas(Kind::Deployment, object);
    let before = number(object, "/status/availableReplicas");
    // Within the default maxUnavailable of 25 %, rounded down.
    let floor = wanted - wanted / 4;
    let (updated, available) = match (done, before) {
        (true, _) => (wanted, wanted),
        (false, 0) => (wanted, 0),
        // A rolling update: the first pod of the new revision starts.
        (false, before) => (wanted.min(1), before.min(wanted)),
    };
    let name = text(object, "/metadata/name");
    let enough = available >= floor;
    let availability = if enough {
        (
            "True",
            "MinimumReplicasAvailable",
            "Deployment has minimum availability.".to_owned(),
        )
    } else {
        (
            "False",
            "MinimumReplicasUnavailable",
            "Deployment does not have minimum availability.".to_owned(),
        )
    };
    let progress = if done {
        (
            "True",
            "NewReplicaSetAvailable",
            format!("Deployment \"{name}\" has successfully progressed."),
        )
    } else {
        (
            "True",
            "ReplicaSetUpdated",
            format!("Deployment \"{name}\" is progressing."),
        )
    };
    json!({
        "observedGeneration": number(object, "/metadata/generation"),
        "replicas": count(wanted),
        "updatedReplicas": count(updated),
        "readyReplicas": count(available),
        "availableReplicas": count(available),
        "unavailableReplicas": count(wanted - available),
        "conditions": [
            condition(object, "Available", availability, "lastUpdateTime", now),
            condition(object, "Progressing", progress, "lastUpdateTime", now),
        ],
    })
}

fn stateful_set(object: &Value, done: bool) -> Value {
    let wanted = replicas(Kind::StatefulSet, object);
    let before = number(object, "/status/availableReplicas").min(wanted);
    let ready = if done { wanted } else { before };
    let revision = format!(
        "{}-{}",
        text(object, "/metadata/name"),
        super::pods::template_hash(object)
    );
    let mut status = json!({
        "observedGeneration": number(object, "/metadata/generation"),
        "replicas": wanted,
        "readyReplicas": count(ready),
        "availableReplicas": ready,
        "updatedReplicas": count(if done { wanted } else { 0 }),
        "currentReplicas": count(if done { wanted } else { before }),
        "updateRevision": revision,
        "collisionCount": 0,
    });
    if done || text(object, "/status/currentRevision").is_empty() {
        status["currentRevision"] = json!(revision);
    }
    status
}

fn daemon_set(object: &Value, done: bool) -> Value {
    let before = number(object, "/status/numberAvailable").min(1);
    let ready = if done { 1 } else { before };
    json!({
        "observedGeneration": number(object, "/metadata/generation"),
        "currentNumberScheduled": 1,
        "desiredNumberScheduled": 1,
        "numberMisscheduled": 0,
        "numberReady": ready,
        "numberAvailable": count(ready),
        "numberUnavailable": count(1 - ready),
        "updatedNumberScheduled": count(i64::from(done)),
    })
}

fn job(object: &Value, done: bool, now: Timestamp) -> Value {
    let parallel = replicas(Kind::Job, object);
    let completions = object
        .pointer("/spec/completions")
        .and_then(Value::as_i64)
        .unwrap_or(parallel);
    let stamp = second(now);
    let started = match text(object, "/status/startTime") {
        "" => stamp.clone(),
        known => known.to_owned(),
    };
    if !done {
        return json!({"active": parallel, "ready": 0, "startTime": started});
    }
    let ended = match text(object, "/status/completionTime") {
        "" => stamp,
        known => known.to_owned(),
    };
    let message = "Reached expected number of succeeded pods".to_owned();
    let reached = ("True", "CompletionsReached", message);
    json!({
        "active": Value::Null,
        "ready": 0,
        "succeeded": completions,
        "startTime": started,
        "completionTime": ended,
        "conditions": [
            condition(object, "SuccessCriteriaMet", reached.clone(), "lastProbeTime", now),
            condition(object, "Complete", reached, "lastProbeTime", now),
        ],
    })
}

/// One condition; `other_time` is the second time that the kind has beside
/// `lastTransitionTime`.
fn condition(
    object: &Value,
    kind: &str,
    (state, reason, message): (&str, &str, String),
    other_time: &str,
    now: Timestamp,
) -> Value {
    let old = list(object, "/status/conditions")
        .iter()
        .find(|c| text(c, "/type") == kind);
    let keep = |field: &str, same: bool| match old.and_then(|old| old.get(field)) {
        Some(time) if same => time.clone(),
        _ => json!(second(now)),
    };
    let same_state = old.is_some_and(|old| text(old, "/status") == state);
    let same_words = same_state
        && old
            .is_some_and(|old| text(old, "/reason") == reason && text(old, "/message") == message);
    let mut condition = Map::new();
    condition.insert("type".to_owned(), json!(kind));
    condition.insert("status".to_owned(), json!(state));
    condition.insert("reason".to_owned(), json!(reason));
    condition.insert("message".to_owned(), json!(message));
    condition.insert(
        "lastTransitionTime".to_owned(),
        keep("lastTransitionTime", same_state),
    );
    condition.insert(other_time.to_owned(), keep(other_time, same_words));
    Value::Object(condition)
}

/// RFC 3339 with whole seconds, as Kubernetes writes times.
pub(super) fn second(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
