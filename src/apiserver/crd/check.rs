//! Which definitions are refused, beyond what their own schema says of them: names, versions,
//! columns and subresources, as far as apiextensions' validation looks at them.

use serde_json::{Value, json};

use super::{storage_version, structural, text, texts, versions};
use crate::apiserver::failure::Cause;
use crate::apiserver::object::LABEL_1035;
use crate::apiserver::schema::Schema;

/// Faults on the way to an answer.
#[derive(Default)]
pub(super) struct Faults(Vec<Cause>);

impl Faults {
    fn push(&mut self, field: &str, reason: &str, message: String) {
        self.0.push(Cause {
            field: field.to_owned(),
            reason: reason.to_owned(),
            message,
        });
    }

    pub(super) fn invalid(&mut self, field: &str, value: &Value, why: &str) {
        self.push(
            field,
            "FieldValueInvalid",
            format!("Invalid value: {value}: {why}"),
        );
    }

    pub(super) fn required(&mut self, field: &str, why: &str) {
        let message = match why {
            "" => "Required value".to_owned(),
            why => format!("Required value: {why}"),
        };
        self.push(field, "FieldValueRequired", message);
    }

    pub(super) fn forbidden(&mut self, field: &str, why: &str) {
        self.push(field, "FieldValueForbidden", format!("Forbidden: {why}"));
    }

    pub(super) fn unsupported(&mut self, field: &str, value: &Value, known: &[&str]) {
        let known: Vec<String> = known.iter().map(|known| format!("\"{known}\"")).collect();
        let message = format!(
            "Unsupported value: {value}: supported values: {}",
            known.join(", ")
        );
        self.push(field, "FieldValueNotSupported", message);
    }

    pub(super) fn wrong_type(&mut self, field: &str, message: String) {
        self.push(field, "FieldValueTypeInvalid", message);
    }
}

/// What is wrong with a definition; `old` is what it replaces. What stood before is not checked
/// again, so that a definition from an older store can still be used and deleted.
pub(in crate::apiserver) fn check(crd: &Value, old: Option<&Value>) -> Vec<Cause> {
    let mut faults = Faults::default();
    if old.is_some_and(|old| old["spec"] == crd["spec"]) {
        return Vec::new();
    }
    if old.is_none() {
        new_names(crd, &mut faults);
    }
    if !matches!(text(crd, "/spec/scope"), "" | "Cluster" | "Namespaced") {
        let scope = &crd["spec"]["scope"];
        faults.unsupported("spec.scope", scope, &["Cluster", "Namespaced"]);
    }
    if crd["spec"]["preserveUnknownFields"] == true {
        faults.invalid(
            "spec.preserveUnknownFields",
            &json!(true),
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
    all_versions(crd, &mut faults);
    parts(crd, &mut faults);
    if let Some(old) = old {
        stored_versions(crd, old, &mut faults);
    }
    if text(crd, "/spec/conversion/strategy") == "Webhook" {
        let message =
            "Unsupported value: \"Webhook\": this server converts only with strategy \"None\"";
        faults.push(
            "spec.conversion.strategy",
            "FieldValueNotSupported",
            message.to_owned(),
        );
    }
    faults.0
}

fn new_names(crd: &Value, faults: &mut Faults) {
    let (group, plural) = (text(crd, "/spec/group"), text(crd, "/spec/names/plural"));
    let name = text(crd, "/metadata/name");
    if name != format!("{plural}.{group}") {
        let why = "must be spec.names.plural+\".\"+spec.group";
        faults.invalid("metadata.name", &json!(name), why);
    }
    let protected = group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
    let approved = crd["metadata"]["annotations"]["api-approved.kubernetes.io"].is_string();
    if (protected || group == "k8s.io" || group == "kubernetes.io") && !approved {
        faults.required(
            "metadata.annotations[api-approved.kubernetes.io]",
            "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111",
        );
    }
    if !plural.is_empty() && !is_label_1035(plural) {
        faults.invalid("spec.names.plural", &json!(plural), LABEL_1035);
    }
    if text(crd, "/spec/names/kind").is_empty() {
        for field in ["singular", "listKind"] {
            if text(crd, &format!("/spec/names/{field}")).is_empty() {
                faults.required(&format!("spec.names.{field}"), "");
            }
        }
    }
}

fn is_label_1035(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && !text.ends_with('-')
        && text.chars().all(inner)
}

fn all_versions(crd: &Value, faults: &mut Faults) {
    let names: Vec<&str> = versions(crd).filter_map(|v| v["name"].as_str()).collect();
    let spec = &crd["spec"]["versions"];
    for (at, name) in names.iter().enumerate() {
        if !is_label_1035(name) {
            let field = format!("spec.versions[{at}].name");
            faults.invalid(&field, &json!(name), LABEL_1035);
        }
    }
    if versions(crd).filter(|v| v["storage"] == true).count() != 1 {
        let why = "must have exactly one version marked as storage version";
        faults.invalid("spec.versions", spec, why);
    }
    if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        faults.invalid("spec.versions", spec, "must contain unique version names");
    }
    if names.is_empty() {
        let why = "must have at least one stored version";
        faults.invalid("status.storedVersions", &Value::Null, why);
    }
}

/// Schemas, columns and subresources. What all versions share is told once, where the internal
/// form of a definition keeps it.
fn parts(crd: &Value, faults: &mut Faults) {
    let list: Vec<&Value> = versions(crd).collect();
    let shared = |field: &str| list.windows(2).all(|pair| pair[0][field] == pair[1][field]);
    for (at, version) in list.iter().enumerate() {
        let base = |field: &str, alone: &str| match shared(field) {
            true => format!("spec.{alone}"),
            false => format!("spec.versions[{at}].{field}"),
        };
        if at == 0 || !shared("schema") {
            match version.pointer("/schema/openAPIV3Schema") {
                Some(schema) if schema.is_object() => {
                    let field = format!("{}.openAPIV3Schema", base("schema", "validation"));
                    let before = faults.0.len();
                    structural::check(schema, &field, faults);
                    if let (true, Err(error)) =
                        (faults.0.len() == before, Schema::from_openapi(schema))
                    {
                        faults.invalid(&field, &json!({}), &error.to_string());
                    }
                }
                _ => {
                    let field = format!("spec.versions[{at}].schema.openAPIV3Schema");
                    faults.required(&field, "");
                }
            }
        }
        if at == 0 || !shared("additionalPrinterColumns") {
            columns(
                version,
                &base("additionalPrinterColumns", "additionalPrinterColumns"),
                faults,
            );
        }
        if at == 0 || !shared("subresources") {
            scale(version, &base("subresources", "subresources"), faults);
        }
    }
}

fn columns(version: &Value, base: &str, faults: &mut Faults) {
    const KINDS: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    let list = version["additionalPrinterColumns"].as_array();
    for (at, column) in list.into_iter().flatten().enumerate() {
        let kind = column["type"].as_str().unwrap_or_default();
        if !kind.is_empty() && !KINDS.contains(&kind) {
            let field = format!("{base}[{at}].type");
            let why = format!("must be one of {}", KINDS.join(","));
            faults.invalid(&field, &column["type"], &why);
        }
    }
}

fn scale(version: &Value, base: &str, faults: &mut Faults) {
    let scale = &version["subresources"]["scale"];
    if !scale.is_object() {
        return;
    }
    for (field, under) in [
        ("specReplicasPath", ".spec."),
        ("statusReplicasPath", ".status."),
    ] {
        let path = scale[field].as_str().unwrap_or_default();
        let field = format!("{base}.scale.{field}");
        match path {
            "" => faults.required(&field, ""),
            path if !path.starts_with('.') => {
                faults.invalid(
                    &field,
                    &json!(path),
                    "must be a simple json path starting with .",
                );
            }
            path if !path.starts_with(under) => {
                let why = format!(
                    "should be a json path under {}",
                    under.trim_end_matches('.')
                );
                faults.invalid(&field, &json!(path), &why);
            }
            _ => {}
        }
    }
}

/// A version that objects may still be stored in stays.
fn stored_versions(crd: &Value, old: &Value, faults: &mut Faults) {
    let stored = texts(old.pointer("/status/storedVersions"));
    for (at, name) in stored.iter().enumerate() {
        if !versions(crd).any(|version| version["name"] == name.as_str()) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            );
            faults.invalid(&format!("status.storedVersions[{at}]"), &json!(name), &why);
        }
    }
    let storage = storage_version(crd);
    if storage.is_none() {
        faults.invalid(
            "status.storedVersions",
            &json!(stored),
            "must have the storage version",
        );
    }
}
