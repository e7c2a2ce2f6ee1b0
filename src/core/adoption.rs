//! Objects that another deployer of the same Subscription left: RHACM's agent.
//!
//! They carry `hosting-subscription` with our Subscription's name, so they are
//! ours to go on with (ocm-apps §8.11). The agent wrote them by update, and
//! what it owns there would outlive git: a field that leaves git stays as long
//! as another manager owns it. So its share becomes ours before the first
//! apply, as kubectl does when it goes over to server-side apply (KEP-555).

use serde_json::{Map, Value, json};

use crate::api::ANNOTATION_HOSTING_SUBSCRIPTION;

/// The managedFields of a live object with the deployer's share given to
/// `manager`; `None` when nobody deployed it by update.
///
/// The deployer is whoever wrote the annotation `hosting-subscription`. Shares
/// of others (people, autoscalers, the status) stay theirs.
#[must_use]
pub fn handed_over(managed_fields: &Value, manager: &str) -> Option<Value> {
    let entries = managed_fields.as_array()?;
    let (deployed, others): (Vec<&Value>, Vec<&Value>) =
        entries.iter().partition(|entry| is_deployers(entry));
    if deployed.is_empty() {
        return None;
    }
    let mut kept: Vec<Value> = others.into_iter().cloned().collect();
    for entry in deployed {
        give(&mut kept, entry, manager);
    }
    Some(Value::Array(kept))
}

fn is_deployers(entry: &Value) -> bool {
    let annotation = format!("f:{ANNOTATION_HOSTING_SUBSCRIPTION}");
    entry.get("operation") == Some(&json!("Update"))
        && is_main(entry)
        && entry
            .get("fieldsV1")
            .and_then(|fields| {
                fields
                    .get("f:metadata")?
                    .get("f:annotations")?
                    .get(&annotation)
            })
            .is_some()
}

fn is_main(entry: &Value) -> bool {
    let subresource = entry.get("subresource").and_then(Value::as_str);
    subresource.is_none_or(str::is_empty)
}

/// Adds an entry's fields to what `manager` applied. An API server keeps one
/// set a manager for applies, of whatever version.
fn give(entries: &mut Vec<Value>, entry: &Value, manager: &str) {
    let applied = entries.iter_mut().find(|own| {
        own.get("manager") == Some(&json!(manager))
            && own.get("operation") == Some(&json!("Apply"))
            && is_main(own)
    });
    if let Some(own) = applied {
        if let (Some(Value::Object(mine)), Some(Value::Object(theirs))) =
            (own.get_mut("fieldsV1"), entry.get("fieldsV1"))
        {
            unite(mine, theirs);
        }
        return;
    }
    let mut given = entry.clone();
    given["manager"] = json!(manager);
    given["operation"] = json!("Apply");
    entries.push(given);
}

fn unite(mine: &mut Map<String, Value>, theirs: &Map<String, Value>) {
    for (field, below) in theirs {
        match (mine.get_mut(field), below) {
            (Some(Value::Object(mine)), Value::Object(theirs)) => unite(mine, theirs),
            (Some(_), _) => {}
            (None, _) => {
                mine.insert(field.clone(), below.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({
            "manager": manager, "operation": operation, "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        })
    }

    fn hosting() -> Value {
        json!({"f:annotations": {format!("f:{ANNOTATION_HOSTING_SUBSCRIPTION}"): {}}})
    }

    #[test]
    fn the_deployers_share_becomes_ours_and_others_keep_theirs() {
        let person = entry(
            "kubectl-edit",
            "Update",
            json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
        );
        let mut status = entry("controller", "Update", json!({"f:metadata": hosting()}));
        status["subresource"] = json!("status");
        let agent = entry(
            "agent",
            "Update",
            json!({"f:metadata": hosting(), "f:spec": {"f:replicas": {}}}),
        );
        let handed = handed_over(&json!([agent, person, status]), "pilothouse").unwrap();
        let mut ours = agent.clone();
        ours["manager"] = json!("pilothouse");
        ours["operation"] = json!("Apply");
        assert_eq!(handed, json!([person, status, ours]));
    }

    #[test]
    fn what_we_applied_before_is_united_with_it() {
        let ours = entry(
            "pilothouse",
            "Apply",
            json!({"f:spec": {"f:a": {}, "f:m": {"f:x": {}}}}),
        );
        let agent = entry(
            "agent",
            "Update",
            json!({"f:metadata": hosting(), "f:spec": {"f:b": {}, "f:m": {"f:y": {}}}}),
        );
        let mut agent = agent;
        agent["apiVersion"] = json!("apps/v1beta2");
        let handed = handed_over(&json!([ours, agent]), "pilothouse").unwrap();
        let expected = json!({
            "f:metadata": hosting(),
            "f:spec": {"f:a": {}, "f:b": {}, "f:m": {"f:x": {}, "f:y": {}}},
        });
        assert_eq!(handed.as_array().map(Vec::len), Some(1));
        assert_eq!(handed[0]["fieldsV1"], expected);
        assert_eq!(handed[0]["operation"], "Apply");
    }

    #[test]
    fn nothing_is_taken_from_who_did_not_deploy() {
        for fields in [
            json!([]),
            json!("odd"),
            json!([entry("kubectl", "Update", json!({"f:spec": {}}))]),
            json!([entry(
                "pilothouse",
                "Apply",
                json!({"f:metadata": hosting()})
            )]),
        ] {
            assert_eq!(handed_over(&fields, "pilothouse"), None, "{fields}");
        }
    }
}
