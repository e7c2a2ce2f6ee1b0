//! Label and field selectors as they come in a query.

mod parse;

use std::collections::BTreeMap;

use serde_json::Value;

use super::store::Stored;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    Absent,
    Greater(i64),
    Less(i64),
}

/// A conjunction of label requirements; empty selects everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LabelSelector(Vec<(String, Rule)>);

impl LabelSelector {
    /// Reads a `labelSelector`.
    ///
    /// # Errors
    /// apimachinery's words for what it could not read.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        parse::requirements(text).map(Self)
    }

    /// Selects everything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|(key, rule)| {
            let value = labels.get(key);
            let number = value.and_then(|v| v.parse::<i64>().ok());
            match rule {
                Rule::In(wanted) => value.is_some_and(|v| wanted.contains(v)),
                // A missing label satisfies `!=` and `notin`.
                Rule::NotIn(wanted) => value.is_none_or(|v| !wanted.contains(v)),
                Rule::Exists => value.is_some(),
                Rule::Absent => value.is_none(),
                Rule::Greater(than) => number.is_some_and(|n| n > *than),
                Rule::Less(than) => number.is_some_and(|n| n < *than),
            }
        })
    }
}

/// A conjunction of `field=value` and `field!=value`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FieldSelector(Vec<(String, String, bool)>);

impl FieldSelector {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for part in text.split(',').filter(|part| !part.is_empty()) {
            let (field, value, equal) = match (part.split_once("!="), part.split_once('=')) {
                (Some((field, value)), _) => (field, value, false),
                (None, Some((field, value))) => {
                    (field, value.strip_prefix('=').unwrap_or(value), true)
                }
                (None, None) => {
                    return Err(format!(
                        "invalid selector: '{text}'; can't understand '{part}'"
                    ));
                }
            };
            rules.push((field.trim().to_owned(), value.trim().to_owned(), equal));
        }
        Ok(Self(rules))
    }

    /// The first field that a resource with these selectable fields does not
    /// offer.
    pub(super) fn unsupported(&self, selectable: &[String]) -> Option<&str> {
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || selectable.iter().any(|s| s == field)
        };
        let mut fields = self.0.iter().map(|(field, _, _)| field.as_str());
        fields.find(|field| !known(field))
    }

    /// Selects everything.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Selects one object by name, besides what it selects.
    pub(super) fn only(&mut self, name: &str) {
        self.0
            .push(("metadata.name".to_owned(), name.to_owned(), true));
    }

    pub(super) fn matches(&self, object: &Stored) -> bool {
        let mut parsed = None;
        self.0.iter().all(|(field, wanted, equal)| {
            let same = match field.as_str() {
                "metadata.name" => object.name == *wanted,
                "metadata.namespace" => object.namespace == *wanted,
                path => {
                    let value = parsed.get_or_insert_with(|| object.value());
                    text_at(value, path) == *wanted
                }
            };
            same == *equal
        })
    }
}

/// The value at a dotted path as selectors compare it; absent is empty.
fn text_at(value: &Value, path: &str) -> String {
    // Events are stored in their core form.
    let stored = match path {
        _ if value["kind"] != "Event" || value["apiVersion"] != "v1" => path.to_owned(),
        "reportingController" => "reportingComponent".to_owned(),
        path => path.replacen("regarding.", "involvedObject.", 1),
    };
    let found = stored.split('.').fold(value, |at, field| &at[field]);
    match found {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        // core Events are selected by `source`, which means its component.
        Value::Object(fields) if path == "source" => {
            let component = fields.get("component").and_then(Value::as_str);
            component.unwrap_or_default().to_owned()
        }
        _ if matches!(path, "spec.unschedulable" | "spec.hostNetwork") => "false".to_owned(),
        _ if path == "status.replicas" => "0".to_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_match_as_kubernetes_does() {
        let labels = BTreeMap::from([
            ("app".to_owned(), "web".to_owned()),
            ("n".to_owned(), "5".to_owned()),
        ]);
        let cases = [
            ("", true),
            ("app=web", true),
            ("app==web,n", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (a, web)", true),
            ("app notin (web)", false),
            ("other notin (web)", true),
            ("!other", true),
            ("!app", false),
            ("n>4,n<6", true),
            ("n>5", false),
        ];
        for (text, wanted) in cases {
            let selector = LabelSelector::parse(text).unwrap();
            assert_eq!(selector.matches(&labels), wanted, "{text}");
        }
    }

    #[test]
    fn broken_label_selectors_are_errors() {
        for (text, why) in [
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            (
                "a in",
                "unable to parse requirement: found '' expected: '('",
            ),
            (
                "a in x",
                "unable to parse requirement: found 'x' expected: '('",
            ),
            (
                "a in (x",
                "unable to parse requirement: found '', expected: ',' or ')'",
            ),
            (
                "=x",
                "found '=', expected: !, identifier, or 'end of string'",
            ),
            ("a=x,", "found '', expected: identifier after ','"),
            ("a=x=y", "found '=', expected: ',' or 'end of string'"),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), why, "{text}");
        }
        for text in ["a>b", "a foo (b)", "a=-", "a/b/c=d"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn field_selectors_name_what_is_not_supported() {
        let selector = FieldSelector::parse("metadata.name=a,spec.x!=1").unwrap();
        assert_eq!(selector.unsupported(&[]), Some("spec.x"));
        assert_eq!(selector.unsupported(&["spec.x".to_owned()]), None);
        assert!(FieldSelector::parse("a").is_err());
    }
}
