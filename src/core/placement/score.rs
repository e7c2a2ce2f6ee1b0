//! Scores of Placements (ocm-placement §3.6, §3.7). Integers as upstream's,
//! including the truncations, so that both rank alike.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::facts::ClusterFacts;
use crate::api::ClusterName;
use crate::api::cluster::{
    AddOnPlacementScore, AddOnScore, PrioritizerConfig, PrioritizerPolicy, ScoreCoordinate,
};

/// What scores are made of, besides the clusters themselves.
#[derive(Clone, Copy, Debug)]
pub struct ScoreSources<'a> {
    /// How often each cluster stands in decisions of *other* Placements and
    /// PlacementRules, over all namespaces: what `Balance` evens out.
    pub elsewhere: &'a BTreeMap<ClusterName, u32>,
    /// AddOnPlacementScores of all clusters.
    pub addon: &'a [Arc<AddOnPlacementScore>],
}

/// A prioritizer that counts, with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prioritizer {
    kind: Kind,
    weight: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Balance,
    Steady,
    Allocatable(&'static str),
    AddOn(AddOnScore),
}

/// Reads a policy. Mode Additive starts from Balance and Steady at weight 1;
/// configurations override the built-in ones and add the others. Weight 0 is off.
///
/// # Errors
/// Upstream's message, which stands behind an empty plugin name.
pub(super) fn prioritizers(policy: Option<&PrioritizerPolicy>) -> Result<Vec<Prioritizer>, String> {
    let mode = policy
        .and_then(|policy| policy.mode.as_deref())
        .unwrap_or_default();
    let mut list = match mode {
        "" | "Additive" => vec![
            Prioritizer {
                kind: Kind::Balance,
                weight: 1,
            },
            Prioritizer {
                kind: Kind::Steady,
                weight: 1,
            },
        ],
        "Exact" => Vec::new(),
        other => return Err(format!("incorrect prioritizer policy mode: {other}")),
    };
    for config in policy
        .and_then(|policy| policy.configurations.as_ref())
        .into_iter()
        .flatten()
    {
        let Some(prioritizer) = prioritizer(config)? else {
            continue;
        };
        let same = list
            .iter_mut()
            .find(|known| known.kind == prioritizer.kind && !matches!(known.kind, Kind::AddOn(_)));
        match same {
            // Two entries for one AddOn score are both summed, as upstream.
            None => list.push(prioritizer),
            Some(known) => *known = prioritizer,
        }
    }
    list.retain(|prioritizer| prioritizer.weight != 0);
    Ok(list)
}

/// `None` where upstream does not look because the weight is 0.
fn prioritizer(config: &PrioritizerConfig) -> Result<Option<Prioritizer>, String> {
    let Some(ScoreCoordinate {
        type_,
        built_in,
        add_on,
    }) = &config.score_coordinate
    else {
        return Err("scoreCoordinate field is required".to_owned());
    };
    let weight = i64::from(config.weight.unwrap_or(1));
    let kind = match type_.as_deref().unwrap_or_default() {
        "AddOn" => match add_on {
            Some(score) => Kind::AddOn(score.clone()),
            None if weight == 0 => return Ok(None),
            None => return Err("addOn should not be empty".to_owned()),
        },
        _ => match built_in.as_deref().unwrap_or_default() {
            "Balance" => Kind::Balance,
            "Steady" => Kind::Steady,
            "ResourceAllocatableCPU" => Kind::Allocatable("cpu"),
            "ResourceAllocatableMemory" => Kind::Allocatable("memory"),
            _ if weight == 0 => return Ok(None),
            other => return Err(format!("incorrect builtin prioritizer: {other}")),
        },
    };
    Ok(Some(Prioritizer { kind, weight }))
}

/// What the scores are taken over.
pub(super) struct Field<'a> {
    /// Clusters that passed every filter.
    pub(super) clusters: &'a [&'a ClusterFacts],
    /// Clusters in the Placement's decisions now.
    pub(super) current: &'a BTreeSet<&'a ClusterName>,
    /// Sources of scores.
    pub(super) sources: &'a ScoreSources<'a>,
    /// Now.
    pub(super) now: Timestamp,
}

/// Totals, and what to warn of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    /// Sum of weight × score for each cluster.
    pub(super) scores: BTreeMap<ClusterName, i64>,
    /// `CLUSTER/NAME` of scores that expired and count as 0.
    pub(super) expired: BTreeSet<String>,
    /// When the next score expires.
    pub(super) expires: Option<Timestamp>,
}

/// Adds up the scores of every cluster.
pub(super) fn totals(prioritizers: &[Prioritizer], field: &Field<'_>) -> Totals {
    let mut totals = Totals::default();
    for cluster in field.clusters {
        totals.scores.insert(cluster.name.clone(), 0);
    }
    for Prioritizer { kind, weight } in prioritizers {
        for (cluster, score) in kind.scores(field, &mut totals) {
            let total = totals.scores.entry(cluster).or_default();
            *total = total.saturating_add(weight.saturating_mul(score));
        }
    }
    totals
}

impl Kind {
    /// Scores from -100 to 100; a cluster that is absent has none and counts as 0.
    fn scores(&self, field: &Field<'_>, totals: &mut Totals) -> BTreeMap<ClusterName, i64> {
        match self {
            Self::Balance => balance(field),
            Self::Steady => each(field, |cluster| {
                if field.current.contains(&cluster.name) {
                    100
                } else {
                    0
                }
            }),
            Self::Allocatable(resource) => allocatable(field, resource),
            Self::AddOn(score) => addon(field, score, totals),
        }
    }
}

fn each(field: &Field<'_>, score: impl Fn(&ClusterFacts) -> i64) -> BTreeMap<ClusterName, i64> {
    field
        .clusters
        .iter()
        .map(|cluster| (cluster.name.clone(), score(cluster)))
        .collect()
}

/// Cuts towards zero, as Go's conversion does. The scores are within ±100.
#[expect(
    clippy::cast_possible_truncation,
    reason = "upstream's conversion; values within ±100"
)]
fn cut(value: f64) -> i64 {
    value as i64
}

/// The fewer decisions elsewhere the better. The maximum is over all clusters
/// that are named anywhere, candidates or not; cut before doubling, as upstream.
fn balance(field: &Field<'_>) -> BTreeMap<ClusterName, i64> {
    let counts = field.sources.elsewhere;
    let most = counts.values().copied().max().unwrap_or_default();
    each(field, |cluster| {
        match counts.get(&cluster.name).copied().unwrap_or_default() {
            0 => 100,
            count => 2 * cut(100.0 * (0.5 - f64::from(count) / f64::from(most))),
        }
    })
}

/// Where it stands between the least and the most allocatable of those that
/// report both allocatable and capacity.
fn allocatable(field: &Field<'_>, resource: &str) -> BTreeMap<ClusterName, i64> {
    let amounts: BTreeMap<&ClusterName, f64> = field
        .clusters
        .iter()
        .filter(|cluster| cluster.capacity.contains_key(resource))
        .filter_map(|cluster| Some((&cluster.name, *cluster.allocatable.get(resource)?)))
        .collect();
    let least = amounts.values().copied().fold(f64::INFINITY, f64::min);
    let most = amounts.values().copied().fold(f64::NEG_INFINITY, f64::max);
    let score = |amount: f64| {
        // Bit-equal extremes mean that there is nothing to tell apart.
        if most.to_bits() == least.to_bits() {
            return 100;
        }
        cut(((amount - least) / (most - least) - 0.5) * 2.0 * 100.0)
    };
    amounts
        .into_iter()
        .map(|(name, amount)| (name.clone(), score(amount)))
        .collect()
}

fn addon(
    field: &Field<'_>,
    wanted: &AddOnScore,
    totals: &mut Totals,
) -> BTreeMap<ClusterName, i64> {
    let objects: BTreeMap<&str, &AddOnPlacementScore> = field
        .sources
        .addon
        .iter()
        .filter(|object| object.metadata.name.as_deref() == Some(&wanted.resource_name))
        .filter_map(|object| Some((object.metadata.namespace.as_deref()?, object.as_ref())))
        .collect();
    let mut scores = BTreeMap::new();
    for cluster in field.clusters {
        let status = objects
            .get(cluster.name.as_str())
            .and_then(|object| object.status.as_ref());
        let until = status
            .and_then(|status| status.valid_until.as_ref())
            .map(|time| time.0);
        if until.is_some_and(|until| field.now > until) {
            totals
                .expired
                .insert(format!("{}/{}", cluster.name, wanted.resource_name));
            scores.insert(cluster.name.clone(), 0);
            continue;
        }
        totals.expires = [totals.expires, until].into_iter().flatten().min();
        let value = status
            .and_then(|status| status.scores.as_ref())
            .and_then(|scores| {
                scores
                    .iter()
                    .rev()
                    .find(|score| score.name == wanted.score_name)
            });
        scores.insert(
            cluster.name.clone(),
            value.map_or(0, |score| i64::from(score.value)),
        );
    }
    scores
}

#[cfg(test)]
mod tests;
