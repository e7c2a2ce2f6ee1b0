//! The `autoscaling/v1` view of a HorizontalPodAutoscaler, which is stored as
//! `autoscaling/v2`. kubectl before 1.33 writes it, and so do many charts.
//! As in kube-apiserver, what v1 has no field for stands in annotations, so
//! that a client which reads and writes v1 loses nothing.

use serde_json::{Map, Value, json};

use crate::apiserver::object::{set, with_meta};

/// Where of the v2 object, and the annotation that holds it in v1.
const HELD: &[(&str, &str, &str)] = &[
    ("spec", "metrics", "autoscaling.alpha.kubernetes.io/metrics"),
    (
        "spec",
        "behavior",
        "autoscaling.alpha.kubernetes.io/behavior",
    ),
    (
        "status",
        "currentMetrics",
        "autoscaling.alpha.kubernetes.io/current-metrics",
    ),
    (
        "status",
        "conditions",
        "autoscaling.alpha.kubernetes.io/conditions",
    ),
];

/// Part of the object, v1's field, v2's list, the metric's member there.
const PERCENTAGES: &[(&str, &str, &str, &str)] = &[
    (
        "spec",
        "targetCPUUtilizationPercentage",
        "metrics",
        "target",
    ),
    (
        "status",
        "currentCPUUtilizationPercentage",
        "currentMetrics",
        "current",
    ),
];

/// From v1 to v2.
pub(in crate::apiserver) fn to_v2(object: &mut Value) {
    set(object, "apiVersion", json!("autoscaling/v2"));
    for (part, field, annotation) in HELD {
        let text = annotations(object).and_then(|map| map.remove(*annotation));
        let held = text.as_ref().and_then(Value::as_str);
        // Whoever wrote nonsense there loses the nonsense.
        if let Some(value) = held.and_then(|text| serde_json::from_str(text).ok()) {
            put(object, part, field, value);
        }
    }
    drop_empty_annotations(object);
    // Required in v1, omitted when it is zero in v2.
    if let Some(status) = fields(object, "status")
        && status.get("currentReplicas") == Some(&json!(0))
    {
        status.remove("currentReplicas");
    }
    for (part, percentage, list, member) in PERCENTAGES {
        let value = fields(object, part).and_then(|map| map.remove(*percentage));
        let Some(value) = value.filter(|value| !value.is_null()) else {
            continue;
        };
        let mut kind = json!({"averageUtilization": value});
        if *member == "target" {
            set(&mut kind, "type", json!("Utilization"));
        }
        let metric = json!({"type": "Resource", "resource": {"name": "cpu", *member: kind}});
        let mut metrics = vec![metric];
        let others = fields(object, part).and_then(|map| map.remove(*list));
        if let Some(Value::Array(others)) = others {
            metrics.extend(others);
        }
        put(object, part, list, Value::Array(metrics));
    }
}

/// From v2 to v1.
pub(in crate::apiserver) fn to_v1(object: &mut Value) {
    set(object, "apiVersion", json!("autoscaling/v1"));
    for (part, percentage, list, member) in PERCENTAGES {
        let Some(Value::Array(metrics)) = fields(object, part).and_then(|map| map.get_mut(*list))
        else {
            continue;
        };
        let utilization = format!("/resource/{member}/averageUtilization");
        let is_cpu = |metric: &Value| {
            metric["resource"]["name"] == "cpu" && metric.pointer(&utilization).is_some()
        };
        if let Some(at) = metrics.iter().position(is_cpu) {
            let metric = metrics.remove(at);
            let value = metric.pointer(&utilization).cloned().unwrap_or_default();
            put(object, part, percentage, value);
        }
    }
    if let Some(status) = fields(object, "status") {
        status.entry("currentReplicas").or_insert_with(|| json!(0));
    }
    for (part, field, annotation) in HELD {
        let value = fields(object, part).and_then(|map| map.remove(*field));
        match value {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) if items.is_empty() => {}
            Some(value) => {
                with_meta(object, |meta| {
                    let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
                    set(annotations, annotation, json!(value.to_string()));
                });
            }
        }
    }
}

fn fields<'a>(object: &'a mut Value, part: &str) -> Option<&'a mut Map<String, Value>> {
    object.get_mut(part)?.as_object_mut()
}

fn annotations(object: &mut Value) -> Option<&mut Map<String, Value>> {
    object
        .get_mut("metadata")?
        .get_mut("annotations")?
        .as_object_mut()
}

fn drop_empty_annotations(object: &mut Value) {
    if annotations(object).is_some_and(|map| map.is_empty()) {
        with_meta(object, |meta| meta.remove("annotations"));
    }
}

fn put(object: &mut Value, part: &str, field: &str, value: Value) {
    match object.get_mut(part) {
        None | Some(Value::Null) => set(object, part, json!({ field: value })),
        Some(fields) => set(fields, field, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_percentage_is_a_metric() {
        let v1 = json!({
            "apiVersion": "autoscaling/v1", "metadata": {"name": "a"},
            "spec": {"maxReplicas": 2, "targetCPUUtilizationPercentage": 70},
            "status": {"currentCPUUtilizationPercentage": 50, "currentReplicas": 0},
        });
        let mut object = v1.clone();
        to_v2(&mut object);
        assert_eq!(
            object,
            json!({
                "apiVersion": "autoscaling/v2", "metadata": {"name": "a"},
                "spec": {"maxReplicas": 2, "metrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}}]},
                "status": {"currentMetrics": [{"type": "Resource", "resource": {
                    "name": "cpu", "current": {"averageUtilization": 50}}}]},
            })
        );
        to_v1(&mut object);
        assert_eq!(object, v1);
    }

    #[test]
    fn what_v1_cannot_say_survives_the_way_through_it() {
        let v2 = json!({
            "apiVersion": "autoscaling/v2", "metadata": {"name": "a"},
            "spec": {
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}},
                    {"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}},
                ],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 5}},
            },
            "status": {"conditions": [{"type": "AbleToScale", "status": "True"}]},
        });
        let mut object = v2.clone();
        to_v1(&mut object);
        assert_eq!(
            object["spec"],
            json!({"targetCPUUtilizationPercentage": 70})
        );
        to_v2(&mut object);
        assert_eq!(object, v2);
    }

    #[test]
    fn odd_objects_are_no_panic() {
        for odd in [
            json!({}),
            json!({"spec": null, "status": []}),
            json!({"spec": "x", "metadata": []}),
            json!({"spec": {"metrics": 1, "targetCPUUtilizationPercentage": "x"}}),
            json!({"metadata": {"annotations": {"autoscaling.alpha.kubernetes.io/metrics": "["}}}),
            json!([]),
        ] {
            to_v2(&mut odd.clone());
            to_v1(&mut odd.clone());
        }
    }
}
