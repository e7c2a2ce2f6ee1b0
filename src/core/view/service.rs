//! Services of the cluster sets: who exports, who needs, who can find them.

use serde::Serialize;

use super::activity::{self, Entry};
use super::need::Need;
use super::{Address, Chip, FleetView, Listing, Query, Text, Tone, age};
use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::dns::{Answer, Response};
use crate::core::mesh::export::ExportState;
use crate::core::mesh::ladder::{Discoverable, Ladder, Outcome};
use crate::core::mesh::{ExportView, MeshView, ServiceView};

/// One exported service in a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServiceRow {
    /// Name.
    pub name: String,
    /// Namespace.
    pub namespace: String,
    /// Its page.
    pub address: Address,
    /// Clusters that export it, in words.
    pub exporters: String,
    /// Clusters whose manifests name it, in words.
    pub consumers: String,
    /// Whether every consumer can find it.
    pub verdict: Chip,
    /// The first rung that fails, with its reason.
    pub note: Text,
}

/// All exported services, worst first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServicesPage {
    /// What the list comes to.
    pub sentence: String,
    /// Rows of this page.
    pub rows: Listing<ServiceRow>,
    /// Namespaces that occur, for the filter.
    pub namespaces: Vec<String>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ServicePage {
    /// Its row in the list.
    pub row: ServiceRow,
    /// Its name in the cluster set.
    pub dns_name: String,
    /// Export × consumer, worst first.
    pub ladder: Listing<LadderRow>,
    /// Computed answers, at most 50.
    pub dns: Vec<DnsRow>,
    /// Clusters that export it.
    pub exports: Vec<ExportRow>,
    /// Applications that name it, per cluster.
    pub users: Vec<Need>,
    /// What changed about it.
    pub history: Vec<Entry>,
}

/// The ladder of one (export, consumer) pair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LadderRow {
    /// Cluster that exports.
    pub exporter: String,
    /// Cluster that looks.
    pub consumer: String,
    /// Rungs in order.
    pub rungs: Vec<RungCell>,
    /// What it comes to.
    pub verdict: Chip,
    /// Reason of the first rung that fails.
    pub because: Text,
}

/// A rung.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RungCell {
    /// Short name.
    pub name: String,
    /// What it asks, and what was found.
    pub title: String,
    /// Whether it was judged (the rungs before it hold).
    pub reached: bool,
    /// How it came out.
    pub tone: Tone,
}

/// A computed answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsRow {
    /// Cluster that asks.
    pub consumer: String,
    /// Name asked for.
    pub name: String,
    /// Addresses or the response code.
    pub answer: Chip,
    /// Which clusters answer, or why nothing does.
    pub detail: String,
}

/// An export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportRow {
    /// Cluster.
    pub cluster: String,
    /// Its page.
    pub address: Address,
    /// Weight.
    pub tone: Tone,
    /// What its conditions come to.
    pub text: Text,
    /// Delivered by whom, or made by hand.
    pub origin: Text,
}

pub(super) fn verdict_chip(verdict: Discoverable) -> Chip {
    match verdict {
        Discoverable::Yes => Chip::new(Tone::Ok, "discoverable"),
        Discoverable::Degraded => Chip::new(Tone::Bad, "degraded"),
        Discoverable::No => Chip::new(Tone::Bad, "not discoverable"),
        Discoverable::Unknown => Chip::new(Tone::Unknown, "unknown"),
    }
}

fn names<'a>(clusters: impl Iterator<Item = &'a ClusterName>) -> String {
    let names: Vec<String> = clusters.map(ToString::to_string).collect();
    match names.len() {
        0 => "–".to_owned(),
        1..=3 => names.join(", "),
        more => format!(
            "{} and {} more",
            names.get(..3).unwrap_or_default().join(", "),
            more - 3
        ),
    }
}

/// Every exported service, worst first, then by name.
pub(super) fn rows(mesh: &MeshView) -> Vec<ServiceRow> {
    let mut rows: Vec<ServiceRow> = mesh.services.iter().map(row).collect();
    rows.sort_by(|a, b| {
        (b.verdict.tone, &a.name, &a.namespace).cmp(&(a.verdict.tone, &b.name, &b.namespace))
    });
    rows
}

fn row(service: &ServiceView) -> ServiceRow {
    ServiceRow {
        name: service.service.name.clone(),
        namespace: service.service.namespace.clone(),
        address: Address::Service(service.service.clone()),
        exporters: names(service.exports.iter().map(|export| &export.cluster)),
        consumers: names(
            service
                .consumers
                .iter()
                .filter(|consumer| !consumer.wanted_by.is_empty())
                .map(|consumer| &consumer.cluster),
        ),
        verdict: verdict_chip(service.verdict),
        note: first_failure(service).map_or_else(Text::new, note),
    }
}

fn note(ladder: &Ladder) -> Text {
    let text = Text::new()
        .plain("from ")
        .link(
            ladder.consumer.to_string(),
            Address::Cluster(ladder.consumer.to_string()),
        )
        .plain(": ");
    let mut text = text;
    text.spans.extend(Text::from(ladder.reason.as_str()).spans);
    text
}

/// The worst pair, those that are needed before those that are not.
fn first_failure(service: &ServiceView) -> Option<&Ladder> {
    let failing = service
        .ladders
        .iter()
        .filter(|ladder| ladder.verdict != Discoverable::Yes);
    failing.min_by_key(|ladder| (!ladder.wanted, std::cmp::Reverse(ladder.verdict)))
}

pub(super) fn page(view: &FleetView, query: &Query) -> ServicesPage {
    let mut kept: Vec<&ServiceRow> = view
        .services
        .iter()
        .filter(|row| query.wants(row.verdict.tone, &row.namespace))
        .filter(|row| {
            query.q.is_empty()
                || query.matches(&format!(
                    "{} {} {} {} {}",
                    row.namespace, row.name, row.exporters, row.consumers, row.verdict.word
                ))
        })
        .collect();
    if query.sort == "name" {
        kept.sort_by_key(|row| (&row.name, &row.namespace));
    }
    let mut namespaces: Vec<String> = view
        .services
        .iter()
        .map(|row| row.namespace.clone())
        .collect();
    namespaces.sort();
    namespaces.dedup();
    let well = view
        .services
        .iter()
        .filter(|row| row.verdict.tone == Tone::Ok)
        .count();
    let all = view.services.len();
    let sentence = match (well, all) {
        (_, 0) => "No cluster exports a service.".to_owned(),
        (well, all) if well == all => format!(
            "{} can be found wherever they are needed.",
            age::count(all, "service")
        ),
        (well, all) => format!("{well} of {all} can be found wherever they are needed."),
    };
    ServicesPage {
        sentence,
        rows: Listing::cut(kept.into_iter().cloned(), all, query),
        namespaces,
    }
}

/// `on the broker` is `broker` where seven of them stand in a row.
fn short_label(label: &str) -> &str {
    label
        .trim_start_matches("on the ")
        .trim_start_matches("has ")
}

fn ladder_row(ladder: &Ladder) -> LadderRow {
    let rungs = ladder.rungs.iter().map(|rung| RungCell {
        name: short_label(rung.gate.label()).to_owned(),
        title: format!("{}: {}", rung.gate.code(), rung.detail),
        // Beyond the rung that stops it, a rung says nothing.
        reached: rung.outcome != Outcome::Skipped
            && ladder.stops_at.is_none_or(|gate| rung.gate <= gate),
        tone: match rung.outcome {
            Outcome::Passed | Outcome::Skipped => Tone::Ok,
            Outcome::Unknown => Tone::Unknown,
            Outcome::Failed => Tone::Bad,
        },
    });
    LadderRow {
        exporter: ladder.exporter.to_string(),
        consumer: ladder.consumer.to_string(),
        rungs: rungs.collect(),
        verdict: verdict_chip(ladder.verdict),
        because: Text::from(ladder.reason.as_str()),
    }
}

fn export_row(export: &ExportView) -> ExportRow {
    ExportRow {
        cluster: export.cluster.to_string(),
        address: Address::Cluster(export.cluster.to_string()),
        tone: match export.verdict.as_ref().map(|verdict| verdict.state) {
            Some(ExportState::Published) => Tone::Ok,
            Some(ExportState::Pending) => Tone::Busy,
            Some(ExportState::Unknown) => Tone::Unknown,
            Some(ExportState::Unanswered | ExportState::Invalid | ExportState::Failed) | None => {
                Tone::Bad
            }
        },
        text: match &export.verdict {
            Some(verdict) => match &verdict.conflict {
                Some(conflict) => Text::from(format!("{} Conflict: {conflict}", verdict.sentence)),
                None => Text::from(verdict.sentence.as_str()),
            },
            None => Text::from("the ServiceExport is not on the cluster yet"),
        },
        origin: match &export.delivered_by {
            Some(by) => Text::new().plain("delivered by ").code(by),
            None => Text::new().plain("made by hand on the cluster; counts like ours"),
        },
    }
}

pub(super) fn detail(view: &FleetView, id: &NamespacedName, query: &Query) -> Option<ServicePage> {
    let service = view.facts.mesh.service(id)?;
    let mut ladder: Vec<&Ladder> = service.ladders.iter().collect();
    ladder.sort_by_key(|ladder| {
        (
            std::cmp::Reverse(verdict_chip(ladder.verdict).tone),
            &ladder.exporter,
            &ladder.consumer,
        )
    });
    let wanted_first = |wanted: bool| {
        service
            .consumers
            .iter()
            .filter(move |consumer| consumer.wanted_by.is_empty() != wanted)
    };
    let dns = wanted_first(true)
        .chain(wanted_first(false))
        .flat_map(|consumer| &consumer.dns)
        .take(50)
        .map(dns_row);
    Some(ServicePage {
        row: row(service),
        dns_name: format!("{}.{}.svc.clusterset.local", id.name, id.namespace),
        ladder: Listing::cut(
            ladder.iter().map(|ladder| ladder_row(ladder)),
            ladder.len(),
            query,
        ),
        dns: dns.collect(),
        exports: service.exports.iter().map(export_row).collect(),
        users: users(service),
        history: activity::newest(view, 12, |entry| {
            entry.reason.starts_with("Service") && entry.message.starts_with(&format!("{id} "))
        }),
    })
}

fn dns_row(answer: &Answer) -> DnsRow {
    let addresses: Vec<&str> = answer
        .addresses
        .iter()
        .map(|address| address.ip.as_str())
        .collect();
    let chip = match (answer.response, addresses.as_slice()) {
        (Response::NoError, []) => Chip::new(Tone::Warn, "NOERROR, empty"),
        (Response::NoError, some) => Chip::new(Tone::Ok, some.join(", ")),
        (Response::NxDomain, _) => Chip::new(Tone::Bad, "NXDOMAIN"),
        (Response::Unknown, _) => Chip::new(Tone::Unknown, "unknown"),
    };
    DnsRow {
        consumer: answer.from.to_string(),
        name: answer.name.clone(),
        answer: chip,
        detail: answer.rule.clone(),
    }
}

/// Applications whose manifests name the service, with what each cluster gets.
fn users(service: &ServiceView) -> Vec<Need> {
    let mut users = Vec::new();
    for consumer in &service.consumers {
        for want in &consumer.wanted_by {
            let reach =
                super::reach::from_cluster(service, &consumer.cluster, want.cluster.as_deref());
            let chip = verdict_chip(reach.verdict);
            let text = Text::new()
                .link(
                    &want.application.name,
                    Address::Application(want.application.clone()),
                )
                .plain(" on ")
                .link(
                    consumer.cluster.to_string(),
                    Address::Cluster(consumer.cluster.to_string()),
                )
                .plain(format!(": {}", chip.word));
            let why = Text::new().plain("named in ").code(&want.from);
            users.push(Need {
                tone: chip.tone,
                text,
                why: Some(why),
                since: None,
            });
        }
    }
    super::need::sort(&mut users);
    users.truncate(50);
    users
}

/// What crosses the cable between two clusters.
pub(super) fn across(view: &FleetView, a: &str, b: &str) -> Vec<Need> {
    let mut crossing = Vec::new();
    for service in &view.facts.mesh.services {
        for ladder in &service.ladders {
            let ends = [ladder.exporter.to_string(), ladder.consumer.to_string()];
            if ends == [a, b] || ends == [b, a] {
                let [exporter, consumer] = ends;
                let text = Text::new()
                    .link(
                        service.service.to_string(),
                        Address::Service(service.service.clone()),
                    )
                    .plain(format!(
                        " of {exporter}, seen from {consumer}: {}",
                        verdict_chip(ladder.verdict).word
                    ));
                crossing.push(Need::new(verdict_chip(ladder.verdict).tone, text));
            }
        }
    }
    super::need::sort(&mut crossing);
    crossing.truncate(50);
    crossing
}

/// Services that a consumer cannot find: one need per service and reason.
pub(super) fn needs(view: &FleetView) -> Vec<Need> {
    let mut needs = Vec::new();
    for service in &view.facts.mesh.services {
        let chip = verdict_chip(service.verdict);
        if chip.tone < Tone::Warn {
            continue;
        }
        let Some(ladder) = first_failure(service) else {
            continue;
        };
        let consumer = ladder.consumer.to_string();
        let text = Text::new()
            .link(
                service.service.to_string(),
                Address::Service(service.service.clone()),
            )
            .plain(" cannot be reached from ")
            .link(&consumer, Address::Cluster(consumer.clone()))
            .plain(": ");
        let mut text = text;
        text.spans.extend(Text::from(ladder.reason.as_str()).spans);
        let users = service
            .consumers
            .iter()
            .find(|other| other.cluster == ladder.consumer);
        let why = users
            .and_then(|consumer| consumer.wanted_by.first())
            .map_or_else(Text::new, |want| {
                let id = &want.application;
                Text::new()
                    .link(&id.name, Address::Application(id.clone()))
                    .plain(" there uses it (")
                    .code(&want.from)
                    .plain(")")
            });
        needs.push(Need::new(chip.tone, text).because(why));
    }
    needs
}
