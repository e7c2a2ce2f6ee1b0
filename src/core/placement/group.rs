//! Decision groups of Placements (ocm-placement §3.8).

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::facts::ClusterFacts;
use super::schedule::Group;
use super::selector::Selector;
use crate::api::cluster::{DecisionGroup, GroupStrategy};

/// A grouping, read and checked.
#[derive(Debug, Default)]
pub(super) struct Grouping {
    named: Vec<(String, Selector, Selector)>,
    size: Size,
}

#[derive(Debug, Default)]
enum Size {
    #[default]
    All,
    Clusters(usize),
    Percent(u8),
}

impl Grouping {
    /// Reads a strategy.
    ///
    /// # Errors
    /// A selector or the size cannot be read. Upstream then loses decisions;
    /// ours are held.
    pub(super) fn new(strategy: Option<&GroupStrategy>) -> Result<Self, String> {
        let Some(strategy) = strategy else {
            return Ok(Self::default());
        };
        let named = strategy
            .decision_groups
            .iter()
            .flatten()
            .map(named)
            .collect::<Result<_, _>>()?;
        let size = size(strategy.clusters_per_decision_group.as_ref())?;
        Ok(Self { named, size })
    }

    /// Splits the chosen clusters, given in the order of their names. A named
    /// group takes what it selects and no earlier one took, in chunks of the
    /// size, each chunk a group of its own; the rest has no name. A named group
    /// that selects nothing yields none. Without any cluster there is one empty group.
    pub(super) fn split(&self, chosen: &[&ClusterFacts]) -> Vec<Group> {
        let length = self.size.length(chosen.len()).max(1);
        let mut rest = chosen.to_vec();
        let mut groups: Vec<Group> = Vec::new();
        let mut push = |name: &str, clusters: &[&ClusterFacts]| {
            for chunk in clusters.chunks(length) {
                groups.push(Group {
                    index: groups.len(),
                    name: name.to_owned(),
                    clusters: chunk.iter().map(|cluster| cluster.name.clone()).collect(),
                });
            }
        };
        for (name, labels, claims) in &self.named {
            let (taken, left): (Vec<_>, Vec<_>) = rest.into_iter().partition(|cluster| {
                labels.matches(&cluster.labels) && claims.matches(&cluster.claims)
            });
            push(name, &taken);
            rest = left;
        }
        push("", &rest);
        if groups.is_empty() {
            groups.push(Group {
                index: 0,
                name: String::new(),
                clusters: Vec::new(),
            });
        }
        groups
    }
}

fn named(group: &DecisionGroup) -> Result<(String, Selector, Selector), String> {
    let name = &group.group_name;
    let selector = group.group_cluster_selector.clone().unwrap_or_default();
    let labels = Selector::new(&selector.label_selector.unwrap_or_default());
    let claims = selector
        .claim_selector
        .unwrap_or_default()
        .match_expressions;
    let claims = Selector::from_requirements(claims.as_deref().unwrap_or_default());
    let fail = |error| format!("decision group {name:?}: {error}");
    Ok((name.clone(), labels.map_err(fail)?, claims.map_err(fail)?))
}

/// The pattern of upstream's schema, whose check a text without `%` passes but
/// its scheduler refuses.
fn size(value: Option<&IntOrString>) -> Result<Size, String> {
    let bad = |text: &str| {
        format!("clustersPerDecisionGroup is {text:?}; use a whole number above 0, or 1% to 100%")
    };
    match value {
        None => Ok(Size::All),
        Some(IntOrString::Int(number)) => match usize::try_from(*number) {
            Ok(0) => Ok(Size::All),
            Ok(number) => Ok(Size::Clusters(number)),
            Err(_) => Err(bad(&number.to_string())),
        },
        Some(IntOrString::String(text)) => {
            let percent = text
                .strip_suffix('%')
                .and_then(|number| number.parse::<u8>().ok());
            match percent.filter(|percent| (1..=100).contains(percent)) {
                Some(percent) => Ok(Size::Percent(percent)),
                None => Err(bad(text)),
            }
        }
    }
}

impl Size {
    /// Clusters in a group, of `total` chosen ones. A percentage is taken in
    /// floats as upstream, whose rounding errors are one too many at times.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "upstream's arithmetic; totals are far below 2^52"
    )]
    fn length(&self, total: usize) -> usize {
        match self {
            Self::All => total,
            Self::Clusters(number) => (*number).min(total),
            Self::Percent(percent) => {
                let length = (f64::from(*percent) / 100.0 * total as f64).ceil() as usize;
                length.min(total)
            }
        }
    }
}
