//! Label selectors as `metav1.LabelSelectorAsSelector` reads them, over labels
//! and over claims.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

use crate::api::is_dns_subdomain;

/// A selector that cannot be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The operator is none of the four.
    #[error("{operator:?} is not a valid selector operator; use In, NotIn, Exists or DoesNotExist")]
    Operator {
        /// As written.
        operator: String,
    },
    /// `In` or `NotIn` without values.
    #[error("selector for key {key:?}: operator {operator} needs at least one value")]
    NoValues {
        /// Key.
        key: String,
        /// Operator.
        operator: &'static str,
    },
    /// `Exists` or `DoesNotExist` with values.
    #[error("selector for key {key:?}: operator {operator} takes no values; remove them")]
    Values {
        /// Key.
        key: String,
        /// Operator.
        operator: &'static str,
    },
    /// The key is not a qualified name.
    #[error("{key:?} is not a valid label key: [prefix/]name with at most 63 characters of name")]
    Key {
        /// As written.
        key: String,
    },
    /// The value has not the form of a label value. Also for claims, as
    /// upstream: such a claim can only be selected by CEL.
    #[error(
        "{value:?} for key {key:?} is not a valid label value: at most 63 letters, digits, `-`, `_` and `.`"
    )]
    Value {
        /// Key.
        key: String,
        /// As written.
        value: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Operator {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "In" => Self::In,
            "NotIn" => Self::NotIn,
            "Exists" => Self::Exists,
            "DoesNotExist" => Self::DoesNotExist,
            _ => return None,
        })
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: BTreeSet<String>,
}

impl Requirement {
    fn new(key: &str, operator: Operator, values: BTreeSet<String>) -> Result<Self, SelectorError> {
        let (key, name) = (key.to_owned(), operator.as_str());
        match operator {
            Operator::In | Operator::NotIn if values.is_empty() => {
                return Err(SelectorError::NoValues {
                    key,
                    operator: name,
                });
            }
            Operator::Exists | Operator::DoesNotExist if !values.is_empty() => {
                return Err(SelectorError::Values {
                    key,
                    operator: name,
                });
            }
            _ => {}
        }
        if !is_qualified_name(&key) {
            return Err(SelectorError::Key { key });
        }
        if let Some(value) = values.iter().find(|value| !is_label_value(value)) {
            let value = value.clone();
            return Err(SelectorError::Value { key, value });
        }
        Ok(Self {
            key,
            operator,
            values,
        })
    }

    /// Key that is looked at.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether the map fulfils it. `NotIn` and `DoesNotExist` hold for a missing key.
    #[must_use]
    pub fn holds(&self, on: &BTreeMap<String, String>) -> bool {
        let value = on.get(&self.key);
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}

impl std::fmt::Display for Requirement {
    /// As kubectl writes it: `a=b`, `a in (b,c)`, `a notin (b)`, `a`, `!a`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let values = || {
            self.values
                .iter()
                .map(String::as_str)
                .collect::<Vec<_>>()
                .join(",")
        };
        match self.operator {
            Operator::In if self.values.len() == 1 => write!(f, "{}={}", self.key, values()),
            Operator::In => write!(f, "{} in ({})", self.key, values()),
            Operator::NotIn => write!(f, "{} notin ({})", self.key, values()),
            Operator::Exists => f.write_str(&self.key),
            Operator::DoesNotExist => write!(f, "!{}", self.key),
        }
    }
}

/// A checked selector: all of its requirements must hold; without any,
/// everything is selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Requirement>);

impl Selector {
    /// From a label selector.
    ///
    /// # Errors
    /// The first requirement that the API machinery would refuse.
    pub fn new(selector: &LabelSelector) -> Result<Self, SelectorError> {
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let values = BTreeSet::from([value.clone()]);
            requirements.push(Requirement::new(key, Operator::In, values)?);
        }
        let expressions = selector.match_expressions.as_deref().unwrap_or_default();
        requirements.extend(Self::from_requirements(expressions)?.0);
        Ok(Self(requirements))
    }

    /// From requirements alone: the form of claim selectors.
    ///
    /// # Errors
    /// The first requirement that the API machinery would refuse.
    pub fn from_requirements(
        expressions: &[LabelSelectorRequirement],
    ) -> Result<Self, SelectorError> {
        let requirement = |expression: &LabelSelectorRequirement| {
            let operator =
                Operator::parse(&expression.operator).ok_or_else(|| SelectorError::Operator {
                    operator: expression.operator.clone(),
                })?;
            let values = expression.values.iter().flatten().cloned().collect();
            Requirement::new(&expression.key, operator, values)
        };
        Ok(Self(
            expressions
                .iter()
                .map(requirement)
                .collect::<Result<_, _>>()?,
        ))
    }

    /// The first requirement that does not hold; `None` when all do.
    #[must_use]
    pub fn miss(&self, on: &BTreeMap<String, String>) -> Option<&Requirement> {
        self.0.iter().find(|requirement| !requirement.holds(on))
    }

    /// Whether every requirement holds.
    #[must_use]
    pub fn matches(&self, on: &BTreeMap<String, String>) -> bool {
        self.miss(on).is_none()
    }

    /// Its requirements, in order.
    #[must_use]
    pub fn requirements(&self) -> &[Requirement] {
        &self.0
    }
}

fn is_qualified_name(key: &str) -> bool {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    prefix.is_none_or(is_dns_subdomain) && !name.is_empty() && is_label_value(name)
}

fn is_label_value(value: &str) -> bool {
    let bytes = value.as_bytes();
    let edge = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes
            .iter()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn selector(value: Value) -> Result<Selector, SelectorError> {
        Selector::new(&serde_json::from_value(value).unwrap())
    }

    #[test]
    fn operators_treat_a_missing_key_as_upstream() {
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        for (key, operator, values, holds) in [
            ("a", "In", json!(["1", "2"]), true),
            ("a", "In", json!(["2"]), false),
            ("b", "In", json!(["1"]), false),
            ("a", "NotIn", json!(["1"]), false),
            ("a", "NotIn", json!(["2"]), true),
            ("b", "NotIn", json!(["1"]), true),
            ("a", "Exists", json!(null), true),
            ("b", "Exists", json!([]), false),
            ("a", "DoesNotExist", json!([]), false),
            ("b", "DoesNotExist", json!(null), true),
        ] {
            let s = selector(
                json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]}),
            );
            assert_eq!(
                s.unwrap().matches(&labels),
                holds,
                "{key} {operator} {values}"
            );
        }
        assert!(selector(json!({})).unwrap().matches(&BTreeMap::new()));
    }

    #[test]
    fn bad_requirements_are_refused_by_name() {
        for (expression, error) in [
            (
                json!({"key": "a", "operator": "in", "values": ["1"]}),
                "\"in\" is not a valid selector operator",
            ),
            (
                json!({"key": "a", "operator": "In"}),
                "needs at least one value",
            ),
            (
                json!({"key": "a", "operator": "Exists", "values": ["1"]}),
                "takes no values",
            ),
            (
                json!({"key": "a/b/c", "operator": "Exists"}),
                "not a valid label key",
            ),
            (
                json!({"key": "", "operator": "Exists"}),
                "not a valid label key",
            ),
            (
                json!({"key": "a", "operator": "In", "values": ["https://x"]}),
                "not a valid label value",
            ),
        ] {
            let found = selector(json!({"matchExpressions": [expression]}))
                .unwrap_err()
                .to_string();
            assert!(found.contains(error), "{found}");
        }
        assert!(selector(json!({"matchLabels": {"a": "-"}})).is_err());
        assert!(selector(json!({"matchLabels": {"x.io/a": ""}})).is_ok());
    }

    #[test]
    fn a_requirement_is_written_as_kubectl_writes_it() {
        let s = selector(json!({
            "matchLabels": {"name": "aws-sub1"},
            "matchExpressions": [
                {"key": "b", "operator": "In", "values": ["y", "x"]},
                {"key": "c", "operator": "NotIn", "values": ["z"]},
                {"key": "d", "operator": "Exists"},
                {"key": "e", "operator": "DoesNotExist"}
            ]
        }))
        .unwrap();
        let texts: Vec<_> = s.requirements().iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            ["name=aws-sub1", "b in (x,y)", "c notin (z)", "d", "!e"]
        );
    }
}
