//! One service across clusters: who exports it, who needs it, and whether it
//! gets there.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::MeshInput;
use crate::core::mesh::cable::Cable;
use crate::core::mesh::dns::{self, Answer};
use crate::core::mesh::export::{ExportVerdict, verdict};
use crate::core::mesh::ladder::{Catalogue, Discoverable, Ground, Ladder, climb};
use crate::core::mesh::observation::{MeshKind, MeshObservation};
use crate::core::mesh::roster::{Part, Roster};

/// A service that is exported, planned to be, or referred to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceView {
    /// Namespace and name; the same in every cluster (namespace sameness).
    pub service: NamespacedName,
    /// Exports, by cluster.
    pub exports: Vec<ExportView>,
    /// Clusters that need it or could use it, by name.
    pub consumers: Vec<ConsumerView>,
    /// One ladder per export and consumer.
    pub ladders: Vec<Ladder>,
    /// Over the consumers that need it; over all that could when nobody does.
    pub verdict: Discoverable,
    /// One sentence for the verdict.
    pub sentence: String,
}

impl ServiceView {
    /// Judges the service over the exports and consumers that it holds now.
    pub(in crate::core) fn judge_again(&mut self) {
        let exporters: Vec<&ClusterName> =
            self.exports.iter().map(|export| &export.cluster).collect();
        let (verdict, sentence) = overall(&self.service, &exporters, &self.consumers);
        (self.verdict, self.sentence) = (verdict, sentence);
    }
}

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportView {
    /// Exporting cluster.
    pub cluster: ClusterName,
    /// What its conditions say; `None` when the object is not there (planned only).
    pub verdict: Option<ExportVerdict>,
    /// The Subscription `ns/name` that delivered or will deliver it; `None`
    /// when it was made by hand.
    pub delivered_by: Option<String>,
    /// When it was created.
    pub created: Option<Timestamp>,
}

/// One cluster from which the service is or could be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConsumerView {
    /// The cluster.
    pub cluster: ClusterName,
    /// Applications that refer to the service there, with the place: empty
    /// for a cluster that could use it only.
    pub wanted_by: Vec<Want>,
    /// Over all exports: usable if any is.
    pub verdict: Discoverable,
    /// The sentence of the best ladder.
    pub reason: String,
    /// Computed answers for its names.
    pub dns: Vec<Answer>,
}

/// A reference of an application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Want {
    /// The Subscription.
    pub application: NamespacedName,
    /// Which object names the service, and where.
    pub from: String,
    /// The cluster prefix, when the reference has one.
    pub cluster: Option<String>,
}

/// Everything that was found about one service before it is judged.
#[derive(Default)]
struct Draft {
    exporters: BTreeMap<ClusterName, Option<NamespacedName>>,
    wants: BTreeMap<ClusterName, BTreeSet<Want>>,
}

/// All services, by name.
pub(super) fn services(
    input: &MeshInput<'_>,
    roster: &Roster<'_>,
    cables: &[Cable],
    now: Timestamp,
) -> Vec<ServiceView> {
    let catalogues: BTreeMap<ClusterName, Catalogue<'_>> = input
        .members
        .iter()
        .map(|(name, observation)| (name.clone(), Catalogue::of(observation)))
        .collect();
    let broker = input
        .hub
        .into_iter()
        .chain(input.members.values().map(AsRef::as_ref))
        .find_map(Catalogue::of_broker);
    let ground = Ground {
        roster,
        cables,
        catalogues: &catalogues,
        broker: broker.as_ref(),
        now,
    };
    drafts(input)
        .into_iter()
        .map(|(service, draft)| view(&ground, service, &draft))
        .collect()
}

fn drafts(input: &MeshInput<'_>) -> BTreeMap<NamespacedName, Draft> {
    let mut drafts: BTreeMap<NamespacedName, Draft> = BTreeMap::new();
    for planned in input.planned {
        let draft = drafts.entry(planned.service.clone()).or_default();
        draft
            .exporters
            .insert(planned.cluster.clone(), Some(planned.application.clone()));
    }
    for (cluster, observation) in input.members {
        for export in &observation.exports {
            let draft = drafts.entry(export.service.clone()).or_default();
            draft.exporters.entry(cluster.clone()).or_default();
        }
    }
    for consumer in input.consumers {
        for reference in &consumer.references {
            let draft = drafts.entry(reference.service.clone()).or_default();
            draft
                .wants
                .entry(consumer.cluster.clone())
                .or_default()
                .insert(Want {
                    application: consumer.application.clone(),
                    from: reference.from.clone(),
                    cluster: reference.cluster.clone(),
                });
        }
    }
    drafts
}

fn view(ground: &Ground<'_>, service: NamespacedName, draft: &Draft) -> ServiceView {
    let exporters: Vec<&ClusterName> = draft.exporters.keys().collect();
    let mut clusters: BTreeSet<&ClusterName> = draft.wants.keys().collect();
    for exporter in &exporters {
        // Whoever shares a set with the exporter could use it, if Submariner runs there.
        clusters.extend(
            ground
                .roster
                .neighbours
                .get(*exporter)
                .into_iter()
                .flatten()
                .filter(|name| {
                    ground
                        .roster
                        .sides
                        .get(*name)
                        .is_some_and(|side| side.managed && side.part != Part::No)
                }),
        );
    }
    let mut ladders = Vec::new();
    let mut consumers = Vec::new();
    for cluster in clusters {
        let wants = draft.wants.get(cluster);
        let own: Vec<Ladder> = exporters
            .iter()
            .map(|exporter| climb(ground, &service, exporter, cluster, wants.is_some()))
            .collect();
        let (verdict, reason) = best(ground, &service, cluster, &own, wants);
        consumers.push(ConsumerView {
            cluster: cluster.clone(),
            wanted_by: wants.into_iter().flatten().cloned().collect(),
            verdict,
            reason,
            dns: dns::answers(ground, &service, cluster, &exporters),
        });
        ladders.extend(own);
    }
    let (verdict, sentence) = overall(&service, &exporters, &consumers);
    ServiceView {
        exports: exports(ground, &service, draft),
        service,
        consumers,
        ladders,
        verdict,
        sentence,
    }
}

fn exports(ground: &Ground<'_>, service: &NamespacedName, draft: &Draft) -> Vec<ExportView> {
    draft
        .exporters
        .iter()
        .map(|(cluster, planned)| {
            let facts = ground
                .catalogue(cluster)
                .and_then(|catalogue| catalogue.exports.get(service).copied());
            ExportView {
                cluster: cluster.clone(),
                verdict: facts.map(|facts| verdict(facts, ground.now)),
                delivered_by: facts
                    .and_then(|facts| facts.delivered_by.clone())
                    .or_else(|| planned.as_ref().map(ToString::to_string)),
                created: facts.and_then(|facts| facts.created),
            }
        })
        .collect()
}

/// One exporter that works suffices, unless the reference names a cluster.
fn best(
    ground: &Ground<'_>,
    service: &NamespacedName,
    consumer: &ClusterName,
    ladders: &[Ladder],
    wants: Option<&BTreeSet<Want>>,
) -> (Discoverable, String) {
    let named: BTreeSet<&str> = wants
        .into_iter()
        .flatten()
        .filter_map(|want| want.cluster.as_deref())
        .collect();
    let of = |id: &str| {
        ladders
            .iter()
            .find(|ladder| ground.roster.id(&ladder.exporter) == id)
    };
    for id in named {
        match of(id) {
            None => {
                return (
                    Discoverable::No,
                    format!("{consumer} asks for {service} of {id}, which does not export it."),
                );
            }
            Some(ladder) if ladder.verdict != Discoverable::Yes => {
                return (ladder.verdict, ladder.reason.clone());
            }
            Some(_) => {}
        }
    }
    match ladders.iter().min_by_key(|ladder| ladder.verdict) {
        Some(ladder) => (ladder.verdict, ladder.reason.clone()),
        None => nobody(ground, service, consumer),
    }
}

/// Nobody exports it, as far as can be read.
fn nobody(
    ground: &Ground<'_>,
    service: &NamespacedName,
    consumer: &ClusterName,
) -> (Discoverable, String) {
    let unread = ground
        .roster
        .neighbours
        .get(consumer)
        .into_iter()
        .flatten()
        .find(|name| !ground.observation(name).is_some_and(exports_read));
    match unread {
        Some(name) => (
            Discoverable::Unknown,
            format!("No export of {service} is known; {name} could not be read."),
        ),
        None => (Discoverable::No, format!("No cluster exports {service}.")),
    }
}

fn exports_read(observation: &MeshObservation) -> bool {
    use crate::core::mesh::observation::Reading;
    matches!(
        observation.reading(MeshKind::ServiceExport),
        Reading::Current | Reading::NotServed
    )
}

fn overall(
    service: &NamespacedName,
    exporters: &[&ClusterName],
    consumers: &[ConsumerView],
) -> (Discoverable, String) {
    let needed: Vec<&ConsumerView> = consumers
        .iter()
        .filter(|consumer| !consumer.wanted_by.is_empty())
        .collect();
    let counted: Vec<&ConsumerView> = if needed.is_empty() {
        // A service is not judged by whether its own exporter can reach itself.
        let others: Vec<&ConsumerView> = consumers
            .iter()
            .filter(|consumer| !exporters.contains(&&consumer.cluster))
            .collect();
        if others.is_empty() {
            consumers.iter().collect()
        } else {
            others
        }
    } else {
        needed
    };
    let worst = counted.iter().max_by_key(|consumer| consumer.verdict);
    let working = counted
        .iter()
        .filter(|consumer| consumer.verdict == Discoverable::Yes)
        .count();
    match worst {
        None => (
            Discoverable::Unknown,
            format!("No cluster is known that could use {service}."),
        ),
        Some(worst) if worst.verdict == Discoverable::No && working > 0 => (
            Discoverable::Degraded,
            format!("{}: {}", worst.cluster, worst.reason),
        ),
        Some(worst) if worst.verdict == Discoverable::Yes => {
            let names: Vec<&str> = counted
                .iter()
                .map(|consumer| consumer.cluster.as_str())
                .collect();
            (
                Discoverable::Yes,
                format!("Usable from {}.", listed(&names)),
            )
        }
        Some(worst) => (
            worst.verdict,
            format!("{}: {}", worst.cluster, worst.reason),
        ),
    }
}

/// `a, b, c and 7 more`.
fn listed(names: &[&str]) -> String {
    const SHOWN: usize = 4;
    match names.len().checked_sub(SHOWN) {
        Some(more) if more > 0 => format!("{} and {more} more", names[..SHOWN].join(", ")),
        _ => names.join(", "),
    }
}
