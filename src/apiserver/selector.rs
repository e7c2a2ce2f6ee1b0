//! Label and field selectors as they come in a query.

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
    /// Reads `a=b,c!=d,e in (f,g),h notin (i),j,!k,l>1`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rules = Vec::new();
        for part in split_outside_parentheses(text) {
            let part = part.trim();
            if !part.is_empty() {
                rules.push(label_rule(part).ok_or_else(|| {
                    format!("unable to parse requirement: {part:?} in label selector {text:?}")
                })?);
            }
        }
        Ok(Self(rules))
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

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut depth, mut from) = (0usize, 0);
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn label_rule(part: &str) -> Option<(String, Rule)> {
    if let Some(key) = part.strip_prefix('!') {
        return is_key(key.trim()).then(|| (key.trim().to_owned(), Rule::Absent));
    }
    if let Some(list) = part.strip_suffix(')') {
        let (head, values) = list.split_once('(')?;
        let values = values.split(',').map(|v| v.trim().to_owned()).collect();
        let mut words = head.split_whitespace();
        let (key, operator) = (words.next()?, words.next()?);
        let rule = match operator {
            "in" => Rule::In(values),
            "notin" => Rule::NotIn(values),
            _ => return None,
        };
        return (words.next().is_none() && is_key(key)).then(|| (key.to_owned(), rule));
    }
    for (operator, make) in [("!=", true), ("==", false), ("=", false)] {
        if let Some((key, value)) = part.split_once(operator) {
            let (key, value) = (key.trim(), value.trim().to_owned());
            let rule = match make {
                true => Rule::NotIn(vec![value]),
                false => Rule::In(vec![value]),
            };
            return is_key(key).then(|| (key.to_owned(), rule));
        }
    }
    for (operator, make) in [('>', Rule::Greater as fn(i64) -> Rule), ('<', Rule::Less)] {
        if let Some((key, value)) = part.split_once(operator) {
            let number = value.trim().parse().ok()?;
            return is_key(key.trim()).then(|| (key.trim().to_owned(), make(number)));
        }
    }
    is_key(part).then(|| (part.to_owned(), Rule::Exists))
}

fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
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
                        "invalid selector: {text:?}; can't understand {part:?}"
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
    let found = path.split('.').fold(value, |at, field| &at[field]);
    match found {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        // core Events are selected by `source`, which means its component.
        Value::Object(fields) if path == "source" => {
            let component = fields.get("component").and_then(Value::as_str);
            component.unwrap_or_default().to_owned()
        }
        _ if path == "spec.unschedulable" => "false".to_owned(),
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
        for text in ["a b", "a in", "a in x", "=x", "a>b", "a foo (b)"] {
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
