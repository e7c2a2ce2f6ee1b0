//! Moving from client-side to server-side apply: what kube-apiserver does for kubectl alone.

use serde_json::Value;

use super::ApplyRequest;
use super::compare::{compare, field_set};
use super::path::go_json;
use super::set::Set;
use super::typed::TypeRef;

/// The annotation of client-side apply.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The manager name of `kubectl apply --server-side`.
const KUBECTL: &str = "kubectl";

/// What `kubectl apply --server-side` may take over without force: the fields that the
/// annotation of client-side apply proves to come from the same user, unchanged since.
pub(super) fn hand_over(
    request: &ApplyRequest<'_>,
    live: &Value,
    type_ref: TypeRef<'_>,
) -> Option<Set> {
    if request.manager != KUBECTL {
        return None;
    }
    let text = live
        .get("metadata")?
        .get("annotations")?
        .get(LAST_APPLIED)?
        .as_str()?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last.get("apiVersion")?.as_str()? != request.api_version {
        return None;
    }
    let changes = compare(&last, live, type_ref);
    let changed = changes
        .modified
        .union(&changes.added)
        .union(&changes.removed);
    Some(field_set(&last, type_ref).difference(&changed))
}

/// Keeps the annotation of client-side apply in step with what kubectl applies server-side.
pub(super) fn renew_last_applied(request: &ApplyRequest<'_>, object: &mut Value) {
    if request.manager != KUBECTL {
        return;
    }
    let annotation = object
        .pointer_mut("/metadata/annotations")
        .and_then(|all| all.get_mut(LAST_APPLIED));
    let Some(annotation) =
        annotation.filter(|text| text.as_str().is_some_and(|text| !text.is_empty()))
    else {
        return;
    };
    let mut applied = request.applied.clone();
    if let Some(Value::Object(all)) = applied.pointer_mut("/metadata/annotations") {
        all.remove(LAST_APPLIED);
    }
    *annotation = format!("{}\n", go_json(&applied)).into();
}
