//! Validating an object against a schema, in the words of kube-apiserver.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Number, Value};

use super::{Additional, ListType, Schema, Type};

mod combined;
mod formats;

/// The cause reasons of a `422 Invalid` answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `FieldValueInvalid`: a value breaks a rule.
    Invalid,
    /// `FieldValueRequired`: a field is missing.
    Required,
    /// `FieldValueNotSupported`: not one of the allowed values.
    NotSupported,
    /// `FieldValueTooLong`.
    TooLong,
    /// `FieldValueTooMany`.
    TooMany,
    /// `FieldValueDuplicate`.
    Duplicate,
    /// `FieldValueTypeInvalid`.
    TypeInvalid,
    /// `FieldValueForbidden`.
    Forbidden,
}

impl Reason {
    /// The word used in `details.causes[].reason`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "FieldValueInvalid",
            Self::Required => "FieldValueRequired",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate => "FieldValueDuplicate",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Forbidden => "FieldValueForbidden",
        }
    }
}

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The field, as `spec.ports[0].port`; `<nil>` is the root.
    pub path: String,
    /// What kind of fault.
    pub reason: Reason,
    /// The cause's message, without the path (`Invalid value: "x": …`).
    pub message: String,
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Checks `value` (already pruned and defaulted) and returns every broken rule, by field. CEL
/// rules ([`Schema::cel`]) are not evaluated here.
///
/// Words and reasons are those of the validation of custom resources in kube-apiserver. Rules
/// that combine schemas are reported at `<nil>`, as there.
#[must_use]
pub fn validate(schema: &Schema, value: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    node(schema, value, "", &mut errors);
    errors
}

/// Where errors without a field are reported.
const NO_FIELD: &str = "<nil>";

fn push(errors: &mut Vec<FieldError>, path: &str, reason: Reason, message: String) {
    let path = if path.is_empty() { NO_FIELD } else { path };
    errors.push(FieldError {
        path: path.to_owned(),
        reason,
        message,
    });
}

fn invalid(errors: &mut Vec<FieldError>, path: &str, value: &Value, rule: &str) {
    let message = format!("Invalid value: {value}: {path} in body {rule}");
    push(errors, path, Reason::Invalid, message);
}

fn node(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    if value.is_null() && (schema.nullable || (schema.kind.is_none() && !schema.int_or_string)) {
        return;
    }
    check_type(schema, value, path, errors);
    match value {
        Value::String(text) => formats::check_text(schema, text, path, errors),
        Value::Number(number) => formats::check_number(schema, number, path, errors),
        Value::Array(items) => array(schema, items, path, errors),
        Value::Object(map) => object(schema, map, path, errors),
        Value::Bool(_) | Value::Null => {}
    }
    if let Some(rules) = &schema.rules {
        if let Some(allowed) = &rules.one_of_values
            && !allowed.iter().any(|known| same(known, value))
        {
            let names: Vec<String> = allowed
                .iter()
                .map(|value| format!("{:?}", plain(value)))
                .collect();
            let message = format!(
                "Unsupported value: {value}: supported values: {}",
                names.join(", ")
            );
            push(errors, path, Reason::NotSupported, message);
        }
        combined::check(rules, value, path, errors);
    }
}

/// The JSON type as messages name it.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if is_whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn is_whole(number: &Number) -> bool {
    !number.is_f64() || number.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn check_type(schema: &Schema, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let actual = type_name(value);
    let (fits, expected) = match schema.kind {
        None if schema.int_or_string => (matches!(actual, "integer" | "string"), "integer,string"),
        None => return,
        Some(Type::Number) => (matches!(actual, "integer" | "number"), "number"),
        Some(kind) => (actual == kind.as_str(), kind.as_str()),
    };
    if !fits {
        let message = format!(
            "Invalid value: {actual:?}: {path} in body must be of type {expected}: {actual:?}"
        );
        push(errors, path, Reason::TypeInvalid, message);
    }
}

/// Equality of numbers by value, of the rest by structure.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn array(schema: &Schema, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    if let Some(item_schema) = &schema.items {
        for (at, item) in items.iter().enumerate() {
            node(item_schema, item, &format!("{path}[{at}]"), errors);
        }
    }
    duplicates(schema, items, path, errors);
    let Some(rules) = &schema.rules else { return };
    let count = items.len() as u64;
    if let Some(least) = rules.min_items.filter(|least| count < *least) {
        invalid(
            errors,
            path,
            &count.into(),
            &format!("should have at least {least} items"),
        );
    }
    if let Some(most) = rules.max_items.filter(|most| count > *most) {
        too_many(errors, path, count, most);
    }
    let repeats = || {
        items
            .iter()
            .enumerate()
            .any(|(at, item)| items[..at].contains(item))
    };
    if rules.unique_items && repeats() {
        let message = format!("Invalid value: \"\": {path} in body shouldn't contain duplicates");
        push(errors, path, Reason::Invalid, message);
    }
}

fn too_many(errors: &mut Vec<FieldError>, path: &str, count: u64, most: u64) {
    let items = if most == 1 { "item" } else { "items" };
    let message = format!("Too many: {count}: must have at most {most} {items}");
    push(errors, path, Reason::TooMany, message);
}

fn duplicates(schema: &Schema, items: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    let identities: Vec<Value> = match &schema.list_type {
        ListType::Atomic => return,
        ListType::Set => items.to_vec(),
        ListType::Map(keys) => items
            .iter()
            .map(|item| {
                let keep = |key: &String| item.get(key).map(|value| (key.clone(), value.clone()));
                Value::Object(keys.iter().filter_map(keep).collect())
            })
            .collect(),
    };
    let mut seen = BTreeSet::new();
    for (at, identity) in identities.iter().enumerate() {
        if !seen.insert(identity.to_string()) {
            let message = format!("Duplicate value: {identity}");
            push(errors, &format!("{path}[{at}]"), Reason::Duplicate, message);
        }
    }
}

fn object(schema: &Schema, map: &Map<String, Value>, path: &str, errors: &mut Vec<FieldError>) {
    let join = |name: &str| {
        if path.is_empty() {
            name.to_owned()
        } else {
            format!("{path}.{name}")
        }
    };
    if let Some(rules) = &schema.rules {
        let count = map.len() as u64;
        if let Some(least) = rules.min_properties.filter(|least| count < *least) {
            let rule = format!("should have at least {least} properties");
            return invalid(errors, path, &count.into(), &rule);
        }
        if let Some(most) = rules.max_properties.filter(|most| count > *most) {
            return too_many(errors, path, count, most);
        }
    }
    for name in schema
        .required
        .iter()
        .filter(|name| !map.contains_key(*name))
    {
        push(
            errors,
            &join(name),
            Reason::Required,
            "Required value".to_owned(),
        );
    }
    if schema.embedded_resource {
        for name in ["apiVersion", "kind"] {
            if map.get(name).is_none_or(Value::is_null) {
                push(
                    errors,
                    &join(name),
                    Reason::Required,
                    "Required value".to_owned(),
                );
            } else if map.get(name).is_some_and(|value| value == "") {
                let message = "Invalid value: \"\": must not be empty".to_owned();
                push(errors, &join(name), Reason::Invalid, message);
            }
        }
    }
    for (name, value) in map {
        if let Some(known) = schema.properties.get(name) {
            node(known, value, &join(name), errors);
        } else if let Additional::Schema(known) = &schema.additional {
            node(known, value, &join(name), errors);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::{apply_defaults, drop_unset, prune};
    use super::*;

    #[derive(Deserialize)]
    struct Recording {
        schema: Value,
        cases: Vec<Case>,
    }

    #[derive(Deserialize)]
    struct Case {
        object: Value,
        causes: Vec<Value>,
    }

    /// What kube-apiserver 1.36 said of these objects.
    #[test]
    fn errors_are_those_of_the_real_server() {
        let recording = include_str!("../../../tests/fixtures/ssa/validation.json");
        let recording: Recording = serde_json::from_str(recording).expect("recording");
        let schema = Schema::from_openapi(&recording.schema).expect("schema");
        for case in recording.cases {
            let mut object = case.object.clone();
            prune(&schema, &mut object);
            drop_unset(&schema, &mut object);
            apply_defaults(&schema, &mut object);
            let mut ours: Vec<_> = validate(&schema, &object)
                .into_iter()
                .map(|error| (error.path, error.reason.as_str().to_owned(), error.message))
                .collect();
            let text =
                |cause: &Value, key: &str| cause[key].as_str().unwrap_or_default().to_owned();
            let mut real: Vec<_> = case
                .causes
                .iter()
                .map(|cause| {
                    (
                        text(cause, "field"),
                        text(cause, "reason"),
                        text(cause, "message"),
                    )
                })
                .collect();
            ours.sort();
            real.sort();
            assert_eq!(ours, real, "{}", case.object["spec"]);
        }
    }
}
