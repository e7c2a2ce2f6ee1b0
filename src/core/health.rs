//! Health of an object in Argo CD's words, from its own status.
//!
//! Rules follow Argo CD's gitops-engine for the built-in kinds and kstatus for
//! conditions of unknown kinds. A kind without rules is healthy once it is
//! there: it has nothing more to tell.

mod workload;

use serde_json::Value;

use crate::core::delivery::Health;
use crate::core::object::split_api_version;

/// Whether the health of a kind stands in its body, so that its metadata alone
/// does not tell. Kinds of other groups than Kubernetes' own may always have
/// conditions.
#[must_use]
pub fn needs_body(group: &str, kind: &str) -> bool {
    match (group, kind) {
        ("", kind) => matches!(
            kind,
            "Pod" | "Service" | "PersistentVolumeClaim" | "Namespace" | "ReplicationController"
        ),
        ("apps", kind) => matches!(
            kind,
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet"
        ),
        ("batch", kind) => matches!(kind, "Job" | "CronJob"),
        ("networking.k8s.io" | "extensions", kind) => kind == "Ingress",
        ("autoscaling", kind) => kind == "HorizontalPodAutoscaler",
        ("apiextensions.k8s.io" | "apiregistration.k8s.io", _) => true,
        (group, _) => !is_builtin(group),
    }
}

/// Groups whose kinds the API server itself brings, and that have no status of
/// interest beyond those named in [`needs_body`].
fn is_builtin(group: &str) -> bool {
    matches!(
        group,
        "policy"
            | "rbac.authorization.k8s.io"
            | "storage.k8s.io"
            | "scheduling.k8s.io"
            | "coordination.k8s.io"
            | "discovery.k8s.io"
            | "node.k8s.io"
            | "admissionregistration.k8s.io"
            | "flowcontrol.apiserver.k8s.io"
            | "events.k8s.io"
            | "certificates.k8s.io"
            | "authentication.k8s.io"
            | "authorization.k8s.io"
    )
}

/// Health of a live object and what the word rests on (may be empty).
#[must_use]
pub fn assess(object: &Value) -> (Health, String) {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return (Health::Progressing, "being deleted".into());
    }
    let api_version = object
        .get("apiVersion")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let (group, _) = split_api_version(api_version);
    let kind = object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match (group, kind) {
        ("apps", "Deployment") => workload::deployment(object),
        ("apps", "StatefulSet") => workload::stateful_set(object),
        ("apps", "DaemonSet") => workload::daemon_set(object),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => workload::replica_set(object),
        ("", "Pod") => workload::pod(object),
        ("batch", "Job") => workload::job(object),
        ("", "Service") => service(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Namespace") => namespace(object),
        ("networking.k8s.io" | "extensions", "Ingress") => ingress(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("route.openshift.io", "Route") => route(object),
        ("multicluster.x-k8s.io", "ServiceExport") => service_export(object),
        (group, kind) if needs_body(group, kind) => generic(object),
        _ => healthy(),
    }
}

type Assessment = (Health, String);

fn healthy() -> Assessment {
    (Health::Healthy, String::new())
}

fn progressing(message: impl Into<String>) -> Assessment {
    (Health::Progressing, message.into())
}

fn degraded(message: impl Into<String>) -> Assessment {
    (Health::Degraded, message.into())
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer).and_then(Value::as_str)
}

fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// A condition of `.status.conditions` with its status, reason and message.
struct Condition<'a> {
    status: &'a str,
    reason: &'a str,
    message: &'a str,
}

impl Condition<'_> {
    fn is(&self, status: &str) -> bool {
        self.status == status
    }

    /// The message, or the reason when there is none.
    fn sentence(&self) -> String {
        match (self.message.is_empty(), self.reason.is_empty()) {
            (false, _) => self.message.to_owned(),
            (true, false) => self.reason.to_owned(),
            (true, true) => String::new(),
        }
    }
}

fn condition_in<'a>(list: Option<&'a Value>, kind: &str) -> Option<Condition<'a>> {
    let field = |condition: &'a Value, name: &str| {
        condition
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    list?
        .as_array()?
        .iter()
        .find(|condition| field(condition, "type") == kind)
        .map(|condition| Condition {
            status: field(condition, "status"),
            reason: field(condition, "reason"),
            message: field(condition, "message"),
        })
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    condition_in(object.pointer("/status/conditions"), kind)
}

/// Whether the controller has seen the current spec. Kinds that report no
/// observedGeneration pass.
fn observed(object: &Value) -> bool {
    match (
        number(object, "/metadata/generation"),
        number(object, "/status/observedGeneration"),
    ) {
        (Some(generation), Some(observed)) => observed >= generation,
        _ => true,
    }
}

fn service(object: &Value) -> Assessment {
    if text(object, "/spec/type") != Some("LoadBalancer") || has_address(object) {
        return healthy();
    }
    progressing("waits for the address of its load balancer")
}

fn ingress(object: &Value) -> Assessment {
    if has_address(object) {
        healthy()
    } else {
        progressing("waits for an address")
    }
}

fn has_address(object: &Value) -> bool {
    object
        .pointer("/status/loadBalancer/ingress")
        .and_then(Value::as_array)
        .is_some_and(|list| !list.is_empty())
}

fn claim(object: &Value) -> Assessment {
    match text(object, "/status/phase") {
        Some("Bound") => healthy(),
        Some("Lost") => degraded("its volume is lost"),
        _ => progressing("waits for a volume"),
    }
}

fn namespace(object: &Value) -> Assessment {
    match text(object, "/status/phase") {
        Some("Terminating") => progressing("being deleted"),
        _ => healthy(),
    }
}

fn definition(object: &Value) -> Assessment {
    if let Some(names) = condition(object, "NamesAccepted")
        && names.is("False")
    {
        return degraded(names.sentence());
    }
    match condition(object, "Established") {
        Some(established) if established.is("True") => healthy(),
        _ => progressing("waits to be established"),
    }
}

/// A Route is admitted by each router; rejected by one is worth a look.
fn route(object: &Value) -> Assessment {
    let Some(routers) = object
        .pointer("/status/ingress")
        .and_then(Value::as_array)
        .filter(|list| !list.is_empty())
    else {
        return progressing("waits for a router to admit it");
    };
    for router in routers {
        let admitted = condition_in(router.get("conditions"), "Admitted");
        match admitted {
            Some(admitted) if admitted.is("False") => return degraded(admitted.sentence()),
            Some(admitted) if admitted.is("True") => {}
            _ => return progressing("waits for a router to admit it"),
        }
    }
    healthy()
}

/// ServiceExport over all vocabularies: `Valid` (old Lighthouse and MCS API),
/// `Ready` (new Lighthouse), `Synced` (old), `Conflict`.
fn service_export(object: &Value) -> Assessment {
    if let Some(valid) = condition(object, "Valid")
        && valid.is("False")
    {
        return match valid.reason {
            // Its Service may still come: not failed for good.
            "ServiceUnavailable" | "NoService" | "ServiceNotFound" => progressing(valid.sentence()),
            _ => degraded(valid.sentence()),
        };
    }
    if let Some(conflict) = condition(object, "Conflict")
        && conflict.is("True")
    {
        return degraded(conflict.sentence());
    }
    for ready in ["Ready", "Synced"] {
        match condition(object, ready) {
            Some(found) if found.is("True") => return healthy(),
            Some(found) => return progressing(found.sentence()),
            None => {}
        }
    }
    match condition(object, "Valid") {
        Some(valid) if valid.is("True") => healthy(),
        Some(valid) => progressing(valid.sentence()),
        None => progressing("waits for Lighthouse to export it"),
    }
}

/// kstatus: `Stalled` True is failed, `Reconciling` True or a stale
/// observedGeneration is under way, `Ready` (or `Available`) decides if present.
fn generic(object: &Value) -> Assessment {
    if let Some(stalled) = condition(object, "Stalled")
        && stalled.is("True")
    {
        return degraded(stalled.sentence());
    }
    if !observed(object) {
        return progressing("its controller has not seen the last change");
    }
    if let Some(reconciling) = condition(object, "Reconciling")
        && reconciling.is("True")
    {
        return progressing(reconciling.sentence());
    }
    for kind in ["Ready", "Available"] {
        if let Some(ready) = condition(object, kind) {
            return match ready.status {
                "True" => healthy(),
                "False" => degraded(ready.sentence()),
                _ => progressing(ready.sentence()),
            };
        }
    }
    healthy()
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn kinds_without_status_are_healthy_once_there() {
        check(
            json!({"apiVersion": "v1", "kind": "ConfigMap"}),
            Health::Healthy,
            "",
        );
        check(
            json!({"apiVersion": "example.com/v1", "kind": "Widget"}),
            Health::Healthy,
            "",
        );
        check(
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "ClusterIP"}}),
            Health::Healthy,
            "",
        );
    }

    #[test]
    fn an_object_being_deleted_is_progressing() {
        check(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
            Health::Progressing,
            "deleted",
        );
    }

    #[test]
    fn network_kinds_wait_for_addresses() {
        let address = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}});
        check(
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}}),
            Health::Progressing,
            "address",
        );
        check(
            json!({"apiVersion": "v1", "kind": "Service", "spec": {"type": "LoadBalancer"}, "status": address}),
            Health::Healthy,
            "",
        );
        check(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress"}),
            Health::Progressing,
            "address",
        );
        check(
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "status": address}),
            Health::Healthy,
            "",
        );
    }

    #[test]
    fn routes_are_healthy_once_admitted() {
        let route = |status: Option<&str>| {
            let ingress = status.map_or(json!([]), |status| {
                json!([{"conditions": [{"type": "Admitted", "status": status, "reason": "HostAlreadyClaimed"}]}])
            });
            json!({"apiVersion": "route.openshift.io/v1", "kind": "Route", "status": {"ingress": ingress}})
        };
        check(route(None), Health::Progressing, "router");
        check(route(Some("True")), Health::Healthy, "");
        check(route(Some("False")), Health::Degraded, "HostAlreadyClaimed");
    }

    #[test]
    fn service_exports_are_read_in_every_vocabulary() {
        let export = |conditions: Value| json!({"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport", "status": {"conditions": conditions}});
        let one = |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason, "message": ""});
        for (conditions, health) in [
            (json!([]), Health::Progressing),
            (json!([one("Valid", "True", "")]), Health::Healthy),
            (
                json!([one("Valid", "False", "ServiceUnavailable")]),
                Health::Progressing,
            ),
            (
                json!([one("Valid", "False", "UnsupportedServiceType")]),
                Health::Degraded,
            ),
            (
                json!([
                    one("Valid", "True", ""),
                    one("Ready", "False", "AwaitingExport")
                ]),
                Health::Progressing,
            ),
            (
                json!([one("Valid", "True", ""), one("Ready", "True", "")]),
                Health::Healthy,
            ),
            (
                json!([
                    one("Valid", "True", ""),
                    one("Synced", "True", ""),
                    one("Conflict", "True", "PortConflict")
                ]),
                Health::Degraded,
            ),
        ] {
            check(export(conditions), health, "");
        }
    }

    #[test]
    fn custom_kinds_follow_their_conditions() {
        let custom = |conditions: Value, observed: i64| {
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"generation": 2},
                   "status": {"observedGeneration": observed, "conditions": conditions}})
        };
        let one = |kind: &str, status: &str| json!([{"type": kind, "status": status, "reason": "R", "message": "because"}]);
        check(custom(one("Ready", "True"), 2), Health::Healthy, "");
        check(
            custom(one("Ready", "True"), 1),
            Health::Progressing,
            "last change",
        );
        check(
            custom(one("Ready", "False"), 2),
            Health::Degraded,
            "because",
        );
        check(
            custom(one("Ready", "Unknown"), 2),
            Health::Progressing,
            "because",
        );
        check(
            custom(one("Stalled", "True"), 1),
            Health::Degraded,
            "because",
        );
        check(
            custom(one("Reconciling", "True"), 2),
            Health::Progressing,
            "because",
        );
    }

    #[test]
    fn definitions_wait_to_be_established() {
        let crd = |kind: &str, status: &str| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                   "status": {"conditions": [{"type": kind, "status": status, "reason": "MultipleNames"}]}})
        };
        check(crd("Established", "True"), Health::Healthy, "");
        check(crd("Established", "False"), Health::Progressing, "");
        check(
            crd("NamesAccepted", "False"),
            Health::Degraded,
            "MultipleNames",
        );
    }
}
