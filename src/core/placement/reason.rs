//! Why a cluster was chosen or not, as data that can say itself.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::schedule::HoldReason;
use super::selector::Selector;
use crate::api::ClusterName;

/// The answer for one cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The cluster.
    pub cluster: ClusterName,
    /// Whether it was chosen.
    pub chosen: bool,
    /// Why.
    pub reason: Reason,
}

/// What made a cluster fit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Because {
    /// It stands in the list of clusters.
    pub named: bool,
    /// Label requirements that hold, as kubectl writes them.
    pub labels: Vec<String>,
    /// Claim requirements that hold.
    pub claims: Vec<String>,
    /// Conditions that hold, as `type=status`.
    pub conditions: Vec<String>,
    /// The cluster set it came from.
    pub set: Option<String>,
}

impl Because {
    /// The requirements of a selector over labels.
    #[must_use]
    pub fn labels(selector: &Selector) -> Self {
        Self {
            labels: texts(selector),
            ..Self::default()
        }
    }

    /// The requirements of selectors over labels and claims.
    #[must_use]
    pub fn predicate(labels: &Selector, claims: &Selector) -> Self {
        Self {
            labels: texts(labels),
            claims: texts(claims),
            ..Self::default()
        }
    }
}

fn texts(selector: &Selector) -> Vec<String> {
    selector
        .requirements()
        .iter()
        .map(ToString::to_string)
        .collect()
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.named {
            parts.push("it is named in the list of clusters".to_owned());
        }
        for (word, plural, list) in [
            ("label", "labels", &self.labels),
            ("claim", "claims", &self.claims),
            ("condition", "conditions", &self.conditions),
        ] {
            match list.as_slice() {
                [] => {}
                [one] => parts.push(format!("{word} `{one}` matches")),
                many => parts.push(format!("{plural} `{}` match", many.join("`, `"))),
            }
        }
        if let Some(set) = &self.set {
            parts.push(format!("it is in cluster set `{set}`"));
        }
        if parts.is_empty() {
            return f.write_str("every cluster is asked for");
        }
        f.write_str(&parts.join(", "))
    }
}

/// A requirement that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miss {
    /// `label` or `claim`.
    pub on: &'static str,
    /// The requirement, as kubectl writes it.
    pub wanted: String,
    /// The key it looks at.
    pub key: String,
    /// The value the cluster has there.
    pub found: Option<String>,
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            on,
            wanted,
            key,
            found,
        } = self;
        match found {
            Some(found) => {
                write!(
                    f,
                    "{on} `{wanted}` does not match: the cluster has `{key}={found}`"
                )
            }
            None => write!(
                f,
                "{on} `{wanted}` does not match: the cluster has no {on} `{key}`"
            ),
        }
    }
}

/// Why a cluster was chosen or not. Its text is one sentence without a full
/// stop; words that users wrote stand between backticks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase"
)]
pub enum Reason {
    /// Chosen.
    Chosen {
        /// What made it fit.
        because: Arc<Because>,
        /// It was chosen before already.
        kept: bool,
        /// Total score, where scores decided.
        score: Option<i64>,
        /// Until when a taint on it is tolerated.
        tolerated_until: Option<Timestamp>,
    },
    /// The placement cannot be evaluated; the cluster stays as it was.
    Held {
        /// Why it cannot.
        hold: HoldReason,
        /// It was chosen before.
        chosen: bool,
    },
    /// Another scheduler decides.
    External {
        /// Its name.
        scheduler: String,
        /// It chose the cluster.
        chosen: bool,
    },
    /// It is being deleted.
    Deleting,
    /// It is not in the list of clusters.
    NotNamed,
    /// No cluster set is bound to the namespace, or none that the placement asks for.
    NoSet,
    /// It is in none of the sets that the placement may use.
    NotInSet {
        /// Those sets.
        sets: Vec<String>,
    },
    /// A selector does not match.
    NoMatch {
        /// Its requirement that does not hold.
        miss: Miss,
    },
    /// None of several predicates matches.
    NoPredicate {
        /// For each predicate the requirement that does not hold.
        misses: Vec<Miss>,
    },
    /// A condition is not as wanted.
    Condition {
        /// Condition type.
        condition: String,
        /// Status that is wanted.
        wanted: String,
        /// Status that it has; `Unknown` when it has none.
        found: String,
    },
    /// A taint is not tolerated.
    Tainted {
        /// The taint as `key=value:effect`.
        taint: String,
        /// When its toleration ran out, if there was one.
        tolerated_until: Option<Timestamp>,
    },
    /// It fits, but enough others come first.
    BeyondLimit {
        /// The field that limits: `clusterReplicas` or `numberOfClusters`.
        field: &'static str,
        /// Its value.
        limit: usize,
        /// Total score, where scores decided.
        score: Option<i64>,
    },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen { because, kept, score, tolerated_until } => {
                if *kept {
                    f.write_str("kept from before: ")?;
                }
                write!(f, "{because}")?;
                if let Some(score) = score {
                    write!(f, ", score {score}")?;
                }
                tolerated_until.map_or(Ok(()), |t| write!(f, ", tolerated until {t}"))
            }
            Self::Held { hold, chosen: true } => write!(f, "kept from before: {hold}"),
            Self::Held { hold, chosen: false } => write!(f, "not looked at: {hold}"),
            Self::External { scheduler, chosen } => {
                let verb = if *chosen { "chose it" } else { "did not choose it" };
                write!(f, "scheduler `{scheduler}` {verb}")
            }
            Self::Deleting => f.write_str("it is being deleted"),
            Self::NotNamed => f.write_str("it is not named in the list of clusters"),
            Self::NoSet => f.write_str("no cluster set can be used: none is bound to the namespace, or none that is asked for"),
            Self::NotInSet { sets } => {
                write!(f, "it is in none of the bound cluster sets `{}`", sets.join("`, `"))
            }
            Self::NoMatch { miss } => write!(f, "{miss}"),
            Self::NoPredicate { misses } => {
                f.write_str("no predicate matches")?;
                for (index, miss) in misses.iter().enumerate() {
                    write!(f, "; {}: {miss}", index + 1)?;
                }
                Ok(())
            }
            Self::Condition { condition, wanted, found } => {
                write!(f, "condition `{condition}` is {found}, wanted {wanted}")
            }
            Self::Tainted { taint, tolerated_until: None } => {
                write!(f, "taint `{taint}` is not tolerated")
            }
            Self::Tainted { taint, tolerated_until: Some(t) } => {
                write!(f, "taint `{taint}` was tolerated until {t}")
            }
            Self::BeyondLimit { field, limit, score } => {
                write!(f, "it fits, but {field} is {limit} and others come first")?;
                score.map_or(Ok(()), |score| write!(f, ", score {score}"))
            }
        }
    }
}
