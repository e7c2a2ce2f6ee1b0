//! Rules of pod specs that their schema does not say (kube-apiserver's `ValidatePodSpec`), as far
//! as a delivered manifest or an apply that gives fields up can break them.

use serde_json::Value;

use super::super::failure::Cause;

/// Where a kind keeps its pod spec, as a JSON pointer; `None`: it has none.
pub(super) fn spec_pointer(group: &str, plural: &str) -> Option<&'static str> {
    match (group, plural) {
        ("", "pods") => Some("/spec"),
        ("", "podtemplates") => Some("/template/spec"),
        ("batch", "cronjobs") => Some("/spec/jobTemplate/spec/template/spec"),
        ("apps", "deployments" | "replicasets" | "daemonsets" | "statefulsets")
        | ("batch", "jobs")
        | ("", "replicationcontrollers") => Some("/spec/template/spec"),
        _ => None,
    }
}

/// Checks the pod spec at `path` (dotted). `always`: the pods may only restart always.
pub(super) fn check(pod: &Value, path: &str, always: bool) -> Vec<Cause> {
    let mut causes = Vec::new();
    if pod["containers"].as_array().is_none_or(Vec::is_empty) {
        causes.push(required(format!("{path}.containers")));
    }
    if let Some(policy) = pod["restartPolicy"].as_str()
        && always
        && policy != "Always"
    {
        causes.push(Cause {
            field: format!("{path}.restartPolicy"),
            reason: "FieldValueNotSupported".to_owned(),
            message: format!("Unsupported value: \"{policy}\": supported values: \"Always\""),
        });
    }
    for list in ["containers", "initContainers"] {
        let items = pod[list].as_array().map(Vec::as_slice).unwrap_or_default();
        for (at, item) in items.iter().enumerate() {
            let path = format!("{path}.{list}[{at}]");
            let name = &item["name"];
            if name.is_string() && items[..at].iter().any(|other| other["name"] == *name) {
                causes.push(Cause {
                    field: format!("{path}.name"),
                    reason: "FieldValueDuplicate".to_owned(),
                    message: format!("Duplicate value: {name}"),
                });
            }
            container(item, &path, &mut causes);
        }
    }
    causes
}

fn required(field: String) -> Cause {
    Cause {
        field,
        reason: "FieldValueRequired".to_owned(),
        message: "Required value".to_owned(),
    }
}

fn container(container: &Value, path: &str, causes: &mut Vec<Cause>) {
    let missing = |value: &Value| value.as_str().is_none_or(str::is_empty);
    // An absent name is the schema's to refuse; Go cannot tell it from an empty one.
    for field in ["name", "image"] {
        let value = &container[field];
        if missing(value) && (field == "image" || !value.is_null()) {
            causes.push(required(format!("{path}.{field}")));
        }
    }
    let list = |field: &str| {
        container[field]
            .as_array()
            .into_iter()
            .flatten()
            .enumerate()
    };
    for (at, port) in list("ports") {
        let field = format!("{path}.ports[{at}].containerPort");
        match port["containerPort"].as_i64().unwrap_or_default() {
            // An absent port is the schema's to refuse, too.
            0 if port["containerPort"].is_null() => {}
            0 => causes.push(required(field)),
            1..=65_535 => {}
            number => causes.push(Cause {
                field,
                reason: "FieldValueInvalid".to_owned(),
                message: format!("Invalid value: {number}: must be between 1 and 65535, inclusive"),
            }),
        }
    }
    for (at, variable) in list("env") {
        if variable["name"] == "" {
            causes.push(required(format!("{path}.env[{at}].name")));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn broken_pods_are_told_by_field() {
        let pod = json!({"restartPolicy": "Never", "containers": [
            {"name": "a", "image": "x", "ports": [{"containerPort": 80}]},
            {"name": "a", "ports": [{"containerPort": 70_000}], "env": [{"name": ""}]},
        ]});
        let fields: Vec<String> = check(&pod, "spec", true)
            .into_iter()
            .map(|c| c.field)
            .collect();
        assert_eq!(
            fields,
            [
                "spec.restartPolicy",
                "spec.containers[1].name",
                "spec.containers[1].image",
                "spec.containers[1].ports[0].containerPort",
                "spec.containers[1].env[0].name",
            ]
        );
        assert_eq!(check(&json!({}), "spec", true)[0].field, "spec.containers");
    }
}
