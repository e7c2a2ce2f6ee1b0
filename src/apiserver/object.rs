//! The parts that all objects share: `apiVersion`, `kind` and `metadata`.

use jiff::Timestamp;
use rustls::crypto::ring::default_provider;
use serde_json::{Map, Value, json};

use super::failure::{Cause, Failure};
use super::kinds::autoscaler;
use super::resource::{Form, Resource};

/// A time as Kubernetes writes it: RFC 3339, whole seconds, UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `N` random bytes.
pub(super) fn random<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    let filled = default_provider().secure_random.fill(&mut bytes);
    filled.map_err(|_| Failure::internal("the system gave no random bytes"))?;
    Ok(bytes)
}

/// A random (version 4) UUID.
pub(super) fn uid() -> Result<String, Failure> {
    let mut b: [u8; 16] = random()?;
    b[6] = b[6] & 0x0f | 0x40;
    b[8] = b[8] & 0x3f | 0x80;
    let hex: String = b.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-"))
}

/// The five characters that generateName appends.
pub(super) fn suffix() -> Result<String, Failure> {
    const ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let bytes: [u8; 5] = random()?;
    let pick = |b: u8| char::from(ALPHABET[usize::from(b) % ALPHABET.len()]);
    Ok(bytes.into_iter().map(pick).collect())
}

/// Changes `metadata`, made when it is missing.
pub(super) fn with_meta<T>(
    object: &mut Value,
    change: impl FnOnce(&mut Map<String, Value>) -> T,
) -> T {
    let mut map = match object.get_mut("metadata").map(Value::take) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    let result = change(&mut map);
    set(object, "metadata", Value::Object(map));
    result
}

/// Sets a field of an object; anything else becomes an object first.
pub(super) fn set(object: &mut Value, field: &str, value: Value) {
    if !object.is_object() {
        *object = json!({});
    }
    if let Some(map) = object.as_object_mut() {
        map.insert(field.to_owned(), value);
    }
}

/// Sets a field of `metadata`.
pub(super) fn set_meta(object: &mut Value, field: &str, value: Value) {
    with_meta(object, |meta| meta.insert(field.to_owned(), value));
}

/// Removes a field.
pub(super) fn unset(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}

/// A text of `metadata`, empty when absent.
pub(super) fn meta_text<'a>(object: &'a Value, field: &str) -> &'a str {
    object["metadata"][field].as_str().unwrap_or_default()
}

pub(super) fn finalizers(object: &Value) -> Vec<&str> {
    let list = object["metadata"]["finalizers"].as_array();
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}

pub(super) fn is_deleting(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// The known fields of ObjectMeta and what they hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Text,
    Number,
    Texts,
    TextMap,
    Owners,
    Any,
}

const META_FIELDS: &[(&str, Shape)] = &[
    ("annotations", Shape::TextMap),
    ("creationTimestamp", Shape::Text),
    ("deletionGracePeriodSeconds", Shape::Number),
    ("deletionTimestamp", Shape::Text),
    ("finalizers", Shape::Texts),
    ("generateName", Shape::Text),
    ("generation", Shape::Number),
    ("labels", Shape::TextMap),
    ("managedFields", Shape::Any),
    ("name", Shape::Text),
    ("namespace", Shape::Text),
    ("ownerReferences", Shape::Owners),
    ("resourceVersion", Shape::Text),
    ("selfLink", Shape::Text),
    ("uid", Shape::Text),
];

const OWNER_FIELDS: &[&str] = &[
    "apiVersion",
    "blockOwnerDeletion",
    "controller",
    "kind",
    "name",
    "uid",
];

/// Reads `metadata` as Go's ObjectMeta would: nulls and empty maps vanish,
/// unknown fields are dropped and their paths returned, a wrong type is an
/// error.
pub(super) fn normalise_meta(object: &mut Value) -> Result<Vec<String>, Failure> {
    if !matches!(object["metadata"], Value::Null | Value::Object(_)) {
        return Err(wrong_type("metadata", "an object"));
    }
    with_meta(object, normalise_meta_map)
}

fn normalise_meta_map(map: &mut Map<String, Value>) -> Result<Vec<String>, Failure> {
    let mut unknown = Vec::new();
    map.retain(|field, _| {
        let known = META_FIELDS.iter().any(|(name, _)| name == field);
        if !known {
            unknown.push(format!("metadata.{field}"));
        }
        known
    });
    map.retain(|_, value| match value {
        Value::Null => false,
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => !text.is_empty(),
        _ => true,
    });
    map.remove("selfLink");
    for (field, shape) in META_FIELDS {
        let Some(value) = map.get_mut(*field) else {
            continue;
        };
        match shape {
            Shape::Text if !value.is_string() => {
                return Err(wrong_type(&format!("metadata.{field}"), "a string"));
            }
            Shape::Number if !value.is_i64() => {
                return Err(wrong_type(&format!("metadata.{field}"), "an integer"));
            }
            Shape::TextMap => normalise_text_map(field, value)?,
            Shape::Texts => check_texts(field, value)?,
            Shape::Owners => unknown.extend(normalise_owners(value)?),
            _ => {}
        }
    }
    Ok(unknown)
}

fn wrong_type(field: &str, wanted: &str) -> Failure {
    Failure::bad_request(format!(
        "json: cannot unmarshal into Go struct field .{field}: it must be {wanted}"
    ))
}

fn normalise_text_map(field: &str, value: &mut Value) -> Result<(), Failure> {
    let Some(map) = value.as_object_mut() else {
        return Err(wrong_type(&format!("metadata.{field}"), "a map of strings"));
    };
    for (key, item) in map {
        match item {
            // Go decodes null into the empty string.
            Value::Null => *item = json!(""),
            Value::String(_) => {}
            _ => return Err(wrong_type(&format!("metadata.{field}.{key}"), "a string")),
        }
    }
    Ok(())
}

fn check_texts(field: &str, value: &Value) -> Result<(), Failure> {
    let items = value.as_array();
    match items.is_some_and(|items| items.iter().all(Value::is_string)) {
        true => Ok(()),
        false => Err(wrong_type(
            &format!("metadata.{field}"),
            "a list of strings",
        )),
    }
}

fn normalise_owners(value: &mut Value) -> Result<Vec<String>, Failure> {
    let mut unknown = Vec::new();
    let Some(owners) = value.as_array_mut() else {
        return Err(wrong_type("metadata.ownerReferences", "a list"));
    };
    for (at, owner) in owners.iter_mut().enumerate() {
        let Some(fields) = owner.as_object_mut() else {
            return Err(wrong_type("metadata.ownerReferences", "a list of objects"));
        };
        fields.retain(|field, value| {
            let known = OWNER_FIELDS.contains(&field.as_str());
            if !known {
                unknown.push(format!("metadata.ownerReferences[{at}].{field}"));
            }
            known && !value.is_null()
        });
    }
    Ok(unknown)
}

/// Checks the metadata of an object about to be stored.
pub(super) fn check_meta(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let mut invalid = |field: String, value: &str, why: &str| {
        causes.push(Cause {
            field,
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: \"{value}\": {why}"),
        });
    };
    let name = meta_text(object, "name");
    if let Some(why) = name_fault(resource, name) {
        invalid("metadata.name".to_owned(), name, why);
    }
    if let Some(labels) = object["metadata"]["labels"].as_object() {
        for (key, value) in labels {
            if !is_qualified_name(key) {
                invalid("metadata.labels".to_owned(), key, QUALIFIED_NAME);
            }
            let value = value.as_str().unwrap_or_default();
            if !is_label_value(value) {
                invalid("metadata.labels".to_owned(), value, LABEL_VALUE);
            }
        }
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object() {
        for key in annotations
            .keys()
            .filter(|k| !is_qualified_name(&k.to_lowercase()))
        {
            invalid("metadata.annotations".to_owned(), key, QUALIFIED_NAME);
        }
    }
    for finalizer in finalizers(object).iter().filter(|f| !is_qualified_name(f)) {
        invalid("metadata.finalizers".to_owned(), finalizer, QUALIFIED_NAME);
    }
    check_owners(object, &mut causes);
    causes
}

fn check_owners(object: &Value, causes: &mut Vec<Cause>) {
    let owners = object["metadata"]["ownerReferences"].as_array();
    let owners = owners.map(Vec::as_slice).unwrap_or_default();
    let mut invalid = |field: &str, message: String| {
        causes.push(Cause {
            field: format!("metadata.ownerReferences{field}"),
            reason: "FieldValueInvalid".to_owned(),
            message: format!("Invalid value: {message}"),
        });
    };
    for owner in owners {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if owner[field].as_str().unwrap_or_default().is_empty() {
                invalid(&format!(".{field}"), "\"\": must not be empty".to_owned());
            }
        }
    }
    let names = owners.iter().filter(|owner| owner["controller"] == true);
    let names: Vec<&str> = names.filter_map(|owner| owner["name"].as_str()).collect();
    if names.len() > 1 {
        let list = Value::Array(owners.to_vec());
        let all = names.join(", ");
        invalid(
            "",
            format!(
                "{list}: Only one reference can have Controller set to true. Found \"true\" in references for {all}"
            ),
        );
    }
}

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
/// What is said of a DNS-1035 label that is none.
pub(super) const LABEL_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const PATH_SEGMENT: &str = "may not be '.', '..' or contain '/' or '%'";
const QUALIFIED_NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
/// What is said of a label value that is none.
pub(super) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
/// What is said of a label key that is none.
pub(super) const LABEL_KEY: &str = "a valid label key must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
const TOO_LONG: &str = "must be no more than 253 characters";

fn name_fault(resource: &Resource, name: &str) -> Option<&'static str> {
    if name.len() > 253 {
        return Some(TOO_LONG);
    }
    if resource.group == "rbac.authorization.k8s.io" {
        let bad = name == "." || name == ".." || name.contains(['/', '%']);
        return (bad || name.is_empty()).then_some(PATH_SEGMENT);
    }
    if resource.is("", "namespaces") {
        return (!is_label(name)).then_some(LABEL);
    }
    if resource.is("", "services") {
        let letter = name.starts_with(|c: char| c.is_ascii_lowercase());
        return (!is_label(name) || !letter).then_some(LABEL_1035);
    }
    (!is_subdomain(name)).then_some(SUBDOMAIN)
}

fn is_label(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || c == '-')
}

fn is_subdomain(text: &str) -> bool {
    // A subdomain's labels may be longer than 63 characters here.
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let part = |p: &str| {
        p.starts_with(edge) && p.ends_with(edge) && p.chars().all(|c| edge(c) || c == '-')
    };
    text.split('.').all(part)
}

fn is_name_part(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    (1..=63).contains(&text.len())
        && text.starts_with(edge)
        && text.ends_with(edge)
        && text.chars().all(|c| edge(c) || "-_.".contains(c))
}

pub(super) fn is_qualified_name(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_name_part(name),
        None => is_name_part(text),
    }
}

pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_name_part(text)
}

/// The stored form of a served object.
pub(super) fn to_stored(resource: &Resource, object: &mut Value) {
    match resource.form {
        Form::Stored => {}
        Form::Version => object["apiVersion"] = json!(resource.stored_api_version),
        Form::EventsV1 => rename_event(object, EVENT_NAMES.iter().copied(), "v1"),
        Form::AutoscalerV1 => autoscaler::to_v2(object),
    }
}

/// The served form of a stored object.
pub(super) fn to_served(resource: &Resource, object: &mut Value) {
    match resource.form {
        Form::Stored => {}
        Form::Version => object["apiVersion"] = json!(resource.api_version()),
        Form::AutoscalerV1 => autoscaler::to_v1(object),
        Form::EventsV1 => {
            let names = EVENT_NAMES.iter().map(|&(served, stored)| (stored, served));
            rename_event(object, names, "events.k8s.io/v1");
        }
    }
}

/// events.k8s.io/v1 name, core v1 name.
const EVENT_NAMES: &[(&str, &str)] = &[
    ("deprecatedCount", "count"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedSource", "source"),
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
];

fn rename_event<'a>(
    object: &mut Value,
    names: impl Iterator<Item = (&'a str, &'a str)>,
    version: &str,
) {
    if let Some(map) = object.as_object_mut() {
        for (from, to) in names {
            if let Some(value) = map.remove(from) {
                map.insert(to.to_owned(), value);
            }
        }
        map.insert("apiVersion".to_owned(), json!(version));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_metadata_is_dropped_and_named() {
        let mut object = json!({"metadata": {
            "name": "a", "creationTimestamp": null, "labels": {}, "foo": 1,
            "ownerReferences": [{"kind": "x", "bar": 1}],
        }});
        let unknown = normalise_meta(&mut object).unwrap();
        assert_eq!(unknown, ["metadata.foo", "metadata.ownerReferences[0].bar"]);
        assert_eq!(
            object["metadata"],
            json!({"name": "a", "ownerReferences": [{"kind": "x"}]})
        );
    }

    #[test]
    fn wrong_types_in_metadata_are_refused() {
        for meta in [json!({"labels": {"a": 1}}), json!({"name": 1}), json!([])] {
            let mut object = json!({ "metadata": meta });
            assert!(normalise_meta(&mut object).is_err(), "{object}");
        }
    }

    #[test]
    fn an_event_keeps_its_content_through_both_views() {
        let resources = super::super::resource::builtin();
        let view = resources.iter().find(|r| r.form == Form::EventsV1).unwrap();
        let served =
            json!({"apiVersion": "events.k8s.io/v1", "note": "n", "regarding": {"name": "x"}});
        let mut object = served.clone();
        to_stored(view, &mut object);
        assert_eq!(
            object,
            json!({"apiVersion": "v1", "message": "n", "involvedObject": {"name": "x"}})
        );
        to_served(view, &mut object);
        assert_eq!(object, served);
    }

    #[test]
    fn names_follow_the_rules_of_their_kind() {
        let resources = super::super::resource::builtin();
        let find = |plural: &str| resources.iter().find(|r| r.plural == plural).unwrap();
        let cases = [
            ("configmaps", "a.b-c", true),
            ("configmaps", "A", false),
            ("configmaps", "", false),
            ("namespaces", "a.b", false),
            ("services", "1a", false),
            ("clusterroles", "system:node", true),
            ("clusterroles", "a/b", false),
        ];
        for (plural, name, good) in cases {
            assert_eq!(
                name_fault(find(plural), name).is_none(),
                good,
                "{plural} {name}"
            );
        }
    }

    #[test]
    fn uids_look_like_version_4() {
        let uid = uid().unwrap();
        assert_eq!(uid.len(), 36);
        assert_eq!(uid.as_bytes()[14], b'4');
    }
}
