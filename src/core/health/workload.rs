//! Health of the kinds that run containers.

use serde_json::Value;

use super::{Assessment, condition, degraded, healthy, number, observed, progressing, text};
use crate::core::delivery::Health;

const UNSEEN: &str = "its controller has not seen the last change";

pub(super) fn deployment(object: &Value) -> Assessment {
    if object.pointer("/spec/paused").and_then(Value::as_bool) == Some(true) {
        return (Health::Suspended, "paused".into());
    }
    if !reported(object) {
        return progressing(UNSEEN);
    }
    if let Some(condition) = condition(object, "Progressing")
        && condition.reason == "ProgressDeadlineExceeded"
    {
        return degraded(condition.sentence());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    if of("updatedReplicas") < wanted {
        return progressing(format!(
            "{} of {wanted} replicas updated",
            of("updatedReplicas")
        ));
    }
    if of("replicas") > of("updatedReplicas") {
        return progressing(format!(
            "{} old replicas still to go",
            of("replicas") - of("updatedReplicas")
        ));
    }
    ready(of("availableReplicas"), wanted, "available")
}

pub(super) fn stateful_set(object: &Value) -> Assessment {
    if !reported(object) {
        return progressing(UNSEEN);
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    if of("readyReplicas") < wanted {
        return ready(of("readyReplicas"), wanted, "ready");
    }
    if text(object, "/spec/updateStrategy/type") == Some("OnDelete") {
        return ready(wanted, wanted, "ready");
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    let revisions_differ =
        text(object, "/status/currentRevision") != text(object, "/status/updateRevision");
    if revisions_differ && of("updatedReplicas") < wanted - partition {
        return progressing(format!(
            "{} of {} replicas updated",
            of("updatedReplicas"),
            wanted - partition
        ));
    }
    ready(wanted, wanted, "ready")
}

pub(super) fn daemon_set(object: &Value) -> Assessment {
    if !reported(object) {
        return progressing(UNSEEN);
    }
    let of = |field: &str| number(object, &format!("/status/{field}")).unwrap_or(0);
    let wanted = of("desiredNumberScheduled");
    if text(object, "/spec/updateStrategy/type") != Some("OnDelete")
        && of("updatedNumberScheduled") < wanted
    {
        return progressing(format!(
            "{} of {wanted} nodes updated",
            of("updatedNumberScheduled")
        ));
    }
    ready(of("numberAvailable"), wanted, "available")
}

pub(super) fn replica_set(object: &Value) -> Assessment {
    if !observed(object) {
        return progressing(UNSEEN);
    }
    if let Some(failure) = condition(object, "ReplicaFailure")
        && failure.is("True")
    {
        return degraded(failure.sentence());
    }
    let wanted = number(object, "/spec/replicas").unwrap_or(1);
    ready(
        number(object, "/status/availableReplicas").unwrap_or(0),
        wanted,
        "available",
    )
}

pub(super) fn pod(object: &Value) -> Assessment {
    if let Some(reason) = stuck_container(object) {
        return degraded(reason);
    }
    match text(object, "/status/phase") {
        Some("Succeeded") => healthy(),
        Some("Failed") => degraded(text(object, "/status/message").unwrap_or("the pod failed")),
        Some("Running") => match condition(object, "Ready") {
            Some(ready) if ready.is("True") => healthy(),
            // A pod that does not restart runs to its end and is never "ready" as a service is.
            _ if text(object, "/spec/restartPolicy").is_some_and(|policy| policy != "Always") => {
                progressing("running")
            }
            Some(ready) => progressing(ready.sentence()),
            None => progressing("waits to be ready"),
        },
        _ => progressing(
            condition(object, "PodScheduled")
                .filter(|scheduled| scheduled.is("False"))
                .map_or_else(|| "pending".to_owned(), |scheduled| scheduled.sentence()),
        ),
    }
}

/// Reasons that do not pass by themselves: `CrashLoopBackOff`,
/// `ImagePullBackOff`, `ErrImagePull`, `CreateContainerConfigError` ….
fn stuck_container(object: &Value) -> Option<String> {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    lists
        .iter()
        .filter_map(|list| object.pointer(list)?.as_array())
        .flatten()
        .find_map(|container| {
            let reason = container.pointer("/state/waiting/reason")?.as_str()?;
            let stuck = reason.ends_with("BackOff")
                || reason.starts_with("Err")
                || reason.ends_with("Error");
            let name = container.get("name").and_then(Value::as_str).unwrap_or("?");
            stuck.then(|| format!("container {name}: {reason}"))
        })
}

pub(super) fn job(object: &Value) -> Assessment {
    for (kind, health) in [
        ("Failed", Health::Degraded),
        ("Complete", Health::Healthy),
        ("Suspended", Health::Suspended),
    ] {
        if let Some(condition) = condition(object, kind)
            && condition.is("True")
        {
            return (health, condition.sentence());
        }
    }
    progressing(format!(
        "{} running",
        number(object, "/status/active").unwrap_or(0)
    ))
}

/// Whether the controller has written a status for the current spec. Without
/// observedGeneration it has not written any.
fn reported(object: &Value) -> bool {
    number(object, "/status/observedGeneration").is_some() && observed(object)
}

fn ready(have: i64, wanted: i64, word: &str) -> Assessment {
    let message = format!("{have} of {wanted} replicas {word}");
    if have < wanted {
        progressing(message)
    } else {
        (Health::Healthy, message)
    }
}

#[cfg(test)]
mod tests {
    use super::super::assess;
    use super::*;
    use serde_json::json;

    fn check(object: Value, expected: Health, word: &str) {
        let (health, message) = assess(&object);
        assert_eq!(health, expected, "{object}: {message}");
        assert!(
            message.contains(word),
            "{object}: {message:?} lacks {word:?}"
        );
    }

    fn apps(kind: &str, spec: Value, status: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status})
    }

    #[test]
    fn deployments() {
        let status = |updated: i64, replicas: i64, available: i64| json!({"observedGeneration": 2, "updatedReplicas": updated, "replicas": replicas, "availableReplicas": available});
        let spec = json!({"replicas": 3});
        for (spec, status, health, word) in [
            (spec.clone(), json!({}), Health::Progressing, "controller"),
            (
                spec.clone(),
                json!({"observedGeneration": 1}),
                Health::Progressing,
                "controller",
            ),
            (
                spec.clone(),
                status(2, 3, 3),
                Health::Progressing,
                "2 of 3 replicas updated",
            ),
            (spec.clone(), status(3, 4, 3), Health::Progressing, "1 old"),
            (
                spec.clone(),
                status(3, 3, 2),
                Health::Progressing,
                "2 of 3 replicas available",
            ),
            (spec.clone(), status(3, 3, 3), Health::Healthy, "3 of 3"),
            (json!({"replicas": 0}), status(0, 0, 0), Health::Healthy, ""),
            (
                json!({"paused": true}),
                status(0, 0, 0),
                Health::Suspended,
                "paused",
            ),
            (
                spec,
                json!({"observedGeneration": 2, "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "too slow"}]}),
                Health::Degraded,
                "too slow",
            ),
        ] {
            check(apps("Deployment", spec, status), health, word);
        }
    }

    #[test]
    fn stateful_and_daemon_sets() {
        let ready = json!({"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 1, "currentRevision": "a", "updateRevision": "a"});
        check(
            apps("StatefulSet", json!({}), ready),
            Health::Healthy,
            "1 of 1",
        );
        let rolling = json!({"observedGeneration": 2, "readyReplicas": 1, "updatedReplicas": 0, "currentRevision": "a", "updateRevision": "b"});
        check(
            apps("StatefulSet", json!({}), rolling),
            Health::Progressing,
            "updated",
        );
        let nodes = |available: i64| json!({"observedGeneration": 2, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2, "numberAvailable": available});
        check(
            apps("DaemonSet", json!({}), nodes(1)),
            Health::Progressing,
            "1 of 2",
        );
        check(
            apps("DaemonSet", json!({}), nodes(2)),
            Health::Healthy,
            "2 of 2",
        );
    }

    #[test]
    fn pods_and_jobs() {
        let pod = |status: Value| json!({"apiVersion": "v1", "kind": "Pod", "spec": {}, "status": status});
        check(
            pod(json!({"phase": "Pending"})),
            Health::Progressing,
            "pending",
        );
        check(
            pod(json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]})),
            Health::Healthy,
            "",
        );
        check(
            pod(
                json!({"phase": "Pending", "containerStatuses": [{"name": "c", "state": {"waiting": {"reason": "ImagePullBackOff"}}}]}),
            ),
            Health::Degraded,
            "container c: ImagePullBackOff",
        );
        let job = |kind: &str| json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": [{"type": kind, "status": "True", "message": "m"}]}});
        check(job("Complete"), Health::Healthy, "m");
        check(job("Failed"), Health::Degraded, "m");
        check(
            json!({"apiVersion": "batch/v1", "kind": "Job"}),
            Health::Progressing,
            "0 running",
        );
    }
}
