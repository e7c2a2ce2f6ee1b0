//! What one reader may see: the facts without what Kubernetes would not let
//! that identity read.
//!
//! The cut is made on the facts and not on the pages, so that pages, JSON
//! twins, searches, counts and live updates cannot disagree. What remains may
//! speak of what is gone (a sentence of a placed application names a cluster):
//! such names are masked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Address, Facts, FleetView};
use crate::api::{ClusterName, NamespacedName};
use crate::core::activity::Activity;
use crate::core::delivery::Failure;
use crate::core::fleet::{FleetSnapshot, SubscriptionSnapshot};
use crate::core::mesh::{MeshView, ServiceView};
use crate::core::placement::{Reason, Schedule};

/// Stands where a name is that the reader may not know.
const MASKED: &str = "(not shown)";
const CLUSTERS: &str = "managedclusters.cluster.open-cluster-management.io";
const SUBSCRIPTIONS: &str = "subscriptions.apps.open-cluster-management.io";
const RULES: &str = "placementrules.apps.open-cluster-management.io";
const PLACEMENTS: &str = "placements.cluster.open-cluster-management.io";

/// Which names of a kind may be read. Nothing is the default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// All, also those to come.
    All,
    /// These.
    Only(BTreeSet<String>),
}

impl Default for Scope {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl Scope {
    /// Whether the name may be read.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.contains(name),
        }
    }

    /// Whether nothing may be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Only(names) if names.is_empty())
    }
}

/// The rights of one reader, as far as the dashboard asks for them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Visible {
    /// Clusters by name: `get managedclusters`.
    pub clusters: Scope,
    /// Namespaces whose applications may be read: `list subscriptions`.
    pub applications: Scope,
    /// Namespaces whose PlacementRules may be read: `list placementrules`.
    pub rules: Scope,
    /// Namespaces whose Placements may be read: `list placements`.
    pub placements: Scope,
}

impl Visible {
    /// Everything, as in open mode.
    #[must_use]
    pub fn all() -> Self {
        Self {
            clusters: Scope::All,
            applications: Scope::All,
            rules: Scope::All,
            placements: Scope::All,
        }
    }

    /// Whether nothing at all may be read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        [
            &self.clusters,
            &self.applications,
            &self.rules,
            &self.placements,
        ]
        .into_iter()
        .all(Scope::is_empty)
    }

    /// The right without which the page cannot be shown; `None` when it may
    /// be asked for. It depends on rights alone, not on what exists, so that
    /// a refusal tells nothing.
    #[must_use]
    pub fn missing(&self, address: &Address) -> Option<String> {
        let cluster = |name: &str| {
            let right = || format!("get {CLUSTERS} {name}");
            (!self.clusters.holds(name)).then(right)
        };
        let namespaced = |scope: &Scope, resource: &str, namespace: &str| {
            let right = || format!("list {resource} in namespace {namespace}");
            (!scope.holds(namespace)).then(right)
        };
        let listed = |empty: bool, resource: &str| empty.then(|| format!("get or list {resource}"));
        match address {
            Address::Cluster(name) => cluster(name),
            Address::Cable(from, to) => cluster(from).or_else(|| cluster(to)),
            Address::Application(id) => {
                namespaced(&self.applications, SUBSCRIPTIONS, &id.namespace)
            }
            Address::Placement(kind, id) => {
                let (scope, resource) = self.of_placement(kind);
                namespaced(scope, resource, &id.namespace)
            }
            Address::Clusters | Address::Cables | Address::Services | Address::Service(_) => {
                listed(self.clusters.is_empty(), CLUSTERS)
            }
            Address::Applications => listed(self.applications.is_empty(), SUBSCRIPTIONS),
            Address::Placements => listed(
                self.rules.is_empty() && self.placements.is_empty(),
                &format!("{PLACEMENTS} or {RULES}"),
            ),
            Address::Overview | Address::Activity | Address::Search => {
                listed(self.is_empty(), &format!("{CLUSTERS} or {SUBSCRIPTIONS}"))
            }
        }
    }

    /// The scope and resource of a kind of placement, whatever its case. One
    /// written inline is read with its Subscription.
    fn of_placement(&self, kind: &str) -> (&Scope, &'static str) {
        match kind.to_ascii_lowercase().as_str() {
            "placementrule" => (&self.rules, RULES),
            "placement" => (&self.placements, PLACEMENTS),
            _ => (&self.applications, SUBSCRIPTIONS),
        }
    }
}

/// What a fleet holds that rights are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Things {
    /// Names of clusters.
    pub clusters: BTreeSet<String>,
    /// Namespaces with applications.
    pub applications: BTreeSet<String>,
    /// Namespaces with PlacementRules.
    pub rules: BTreeSet<String>,
    /// Namespaces with Placements.
    pub placements: BTreeSet<String>,
}

impl FleetView {
    /// What the fleet holds that rights are asked for.
    #[must_use]
    pub fn things(&self) -> Things {
        let fleet = &self.facts.fleet;
        let of_kind = |wanted: &str| {
            let ids = self.facts.schedules.keys();
            ids.filter(|(kind, _)| kind == wanted)
                .map(|(_, id)| id.namespace.clone())
                .collect()
        };
        let applications = fleet.subscriptions.keys().chain(fleet.applications.keys());
        Things {
            clusters: fleet.clusters.keys().map(ToString::to_string).collect(),
            applications: applications.map(|id| id.namespace.clone()).collect(),
            rules: of_kind("PlacementRule"),
            placements: of_kind("Placement"),
        }
    }

    /// The view of a reader with these rights. Costs as much as a view.
    #[must_use]
    pub fn seen_by(&self, visible: &Visible) -> Self {
        let mut view = Self::build(seen_by(&self.facts, visible));
        for row in &mut view.applications {
            let id = NamespacedName::new(&row.namespace, &row.name);
            let whole = self.facts.fleet.subscriptions.get(&id);
            row.unseen = whole.map_or(0, |whole| whole.placed.len().saturating_sub(row.clusters));
        }
        view
    }
}

/// The facts without what may not be read.
#[must_use]
pub fn seen_by(facts: &Facts, visible: &Visible) -> Facts {
    let cut = Cut {
        visible,
        hidden: hidden(&facts.fleet, visible),
    };
    let mesh = cut.mesh(&facts.mesh);
    Facts {
        fleet: Arc::new(cut.fleet(&facts.fleet, &mesh)),
        schedules: Arc::new(
            facts
                .schedules
                .iter()
                .filter(|((kind, id), _)| visible.of_placement(kind).0.holds(&id.namespace))
                .map(|(id, schedule)| (id.clone(), cut.schedule(schedule)))
                .collect(),
        ),
        mesh: Arc::new(mesh),
        generation: facts.generation,
    }
}

/// Names that may not appear: clusters, and applications as `namespace/name`.
fn hidden(fleet: &FleetSnapshot, visible: &Visible) -> BTreeSet<String> {
    let clusters = fleet.clusters.keys().map(ToString::to_string);
    let applications = fleet
        .subscriptions
        .keys()
        .filter(|id| !visible.applications.holds(&id.namespace))
        .map(ToString::to_string);
    clusters
        .filter(|name| !visible.clusters.holds(name))
        .chain(applications)
        .collect()
}

struct Cut<'a> {
    visible: &'a Visible,
    hidden: BTreeSet<String>,
}

impl Cut<'_> {
    fn cluster(&self, name: &ClusterName) -> bool {
        self.visible.clusters.holds(name.as_str())
    }

    fn application(&self, id: &NamespacedName) -> bool {
        self.visible.applications.holds(&id.namespace)
    }

    /// Whether a text names something hidden.
    fn names_hidden(&self, text: &str) -> bool {
        pieces(text).any(|piece| self.hidden.contains(bare(piece)))
    }

    fn mask(&self, text: &mut String) {
        if !self.names_hidden(text) {
            return;
        }
        let mut out = String::with_capacity(text.len());
        for piece in pieces(text) {
            let name = bare(piece);
            if self.hidden.contains(name) {
                out.push_str(&piece.replacen(name, MASKED, 1));
            } else {
                out.push_str(piece);
            }
        }
        *text = out;
    }

    fn mask_failure(&self, failure: &mut Option<Failure>) {
        if let Some(failure) = failure {
            self.mask(&mut failure.message);
        }
    }

    fn fleet(&self, fleet: &FleetSnapshot, mesh: &MeshView) -> FleetSnapshot {
        let whole = *self.visible == Visible::all();
        let mut seen = fleet.clone();
        seen.clusters.retain(|name, _| self.cluster(name));
        for cluster in seen.clusters.values_mut() {
            cluster.orphans.retain(|id| self.application(id));
        }
        if self.visible.clusters != Scope::All {
            seen.sets = BTreeMap::new();
        }
        if !whole && !seen.hub.problems.is_empty() {
            // They name kinds and errors of the whole hub.
            seen.hub.problems = vec!["the hub is not well; its operators see why".to_owned()];
        }
        seen.subscriptions.retain(|id, _| self.application(id));
        for subscription in seen.subscriptions.values_mut() {
            self.subscription(subscription);
        }
        seen.applications.retain(|id, _| self.application(id));
        seen.activity
            .retain(|entry| whole || self.activity(entry, mesh));
        seen
    }

    fn subscription(&self, subscription: &mut SubscriptionSnapshot) {
        subscription.placed.retain(|cluster| self.cluster(cluster));
        subscription
            .deliveries
            .retain(|cluster, _| self.cluster(cluster));
        for delivery in subscription.deliveries.values_mut() {
            let delivery = Arc::make_mut(delivery);
            self.mask_failure(&mut delivery.failure);
            for object in &mut delivery.objects {
                self.mask_failure(&mut object.failure);
            }
        }
        self.mask_failure(&mut subscription.failure);
        for stage in &mut subscription.stages {
            self.mask(&mut stage.detail);
        }
        for revision in &mut subscription.history {
            self.mask_failure(&mut revision.failure);
        }
    }

    /// An entry about nothing in particular is about the whole hub.
    fn activity(&self, entry: &Activity, mesh: &MeshView) -> bool {
        let cluster = entry.cluster.as_ref().map(|name| self.cluster(name));
        let application = entry.application.as_ref().map(|id| self.application(id));
        let about = match (cluster, application) {
            (None, None) => {
                let word = entry.message.split(' ').next().unwrap_or_default();
                let service = word.parse::<NamespacedName>().ok();
                service.is_some_and(|service| mesh.service(&service).is_some())
            }
            (cluster, application) => cluster.unwrap_or(true) && application.unwrap_or(true),
        };
        about && !self.names_hidden(&entry.message)
    }

    fn schedule(&self, schedule: &Arc<Schedule>) -> Arc<Schedule> {
        if self.visible.clusters == Scope::All {
            return Arc::clone(schedule);
        }
        let mut seen = Schedule::clone(schedule);
        seen.decisions
            .retain(|decision| self.cluster(&decision.cluster));
        seen.verdicts
            .retain(|verdict| self.cluster(&verdict.cluster));
        for verdict in &mut seen.verdicts {
            self.reason(&mut verdict.reason);
        }
        for group in &mut seen.groups {
            group.clusters.retain(|name| self.cluster(name));
        }
        seen.expired_scores.retain(|score| {
            let cluster = score.split('/').next().unwrap_or_default();
            self.visible.clusters.holds(cluster)
        });
        Arc::new(seen)
    }

    /// A selector may name clusters, most often by the label `name`.
    fn reason(&self, reason: &mut Reason) {
        match reason {
            Reason::Chosen { because, .. } => {
                let because = Arc::make_mut(because);
                for requirement in because.labels.iter_mut().chain(&mut because.claims) {
                    self.mask(requirement);
                }
            }
            Reason::NoMatch { miss } => self.mask(&mut miss.wanted),
            Reason::NoPredicate { misses } => {
                for miss in misses {
                    self.mask(&mut miss.wanted);
                }
            }
            _ => {}
        }
    }

    fn mesh(&self, mesh: &MeshView) -> MeshView {
        let mut seen = mesh.clone();
        seen.cables
            .retain(|cable| self.cluster(&cable.from) && self.cluster(&cable.to));
        for cable in &mut seen.cables {
            self.mask(&mut cable.forward.reason);
            self.mask(&mut cable.backward.reason);
        }
        seen.findings.retain(|finding| {
            let all = self.visible.clusters == Scope::All;
            (all || !finding.clusters.is_empty())
                && finding.clusters.iter().all(|name| self.cluster(name))
                && finding
                    .evidence
                    .iter()
                    .all(|seen| self.cluster(&seen.cluster))
        });
        for finding in &mut seen.findings {
            self.mask(&mut finding.sentence);
            self.mask(&mut finding.advice);
        }
        seen.services = seen
            .services
            .into_iter()
            .filter_map(|service| self.service(service))
            .collect();
        seen
    }

    /// A service at the clusters that may be seen; `None` when it is at none.
    fn service(&self, mut service: ServiceView) -> Option<ServiceView> {
        let before = (service.exports.len(), service.consumers.len());
        service
            .exports
            .retain(|export| self.cluster(&export.cluster));
        service
            .consumers
            .retain(|consumer| self.cluster(&consumer.cluster));
        let used =
            |consumer: &crate::core::mesh::service::ConsumerView| !consumer.wanted_by.is_empty();
        if service.exports.is_empty() && !service.consumers.iter().any(used) {
            return None;
        }
        service
            .ladders
            .retain(|ladder| self.cluster(&ladder.exporter) && self.cluster(&ladder.consumer));
        for ladder in &mut service.ladders {
            self.mask(&mut ladder.reason);
            for rung in &mut ladder.rungs {
                self.mask(&mut rung.detail);
            }
        }
        for export in &mut service.exports {
            if let Some(by) = &mut export.delivered_by {
                self.mask(by);
            }
            if let Some(verdict) = &mut export.verdict {
                self.mask(&mut verdict.sentence);
                if let Some(conflict) = &mut verdict.conflict {
                    self.mask(conflict);
                }
            }
        }
        for consumer in &mut service.consumers {
            self.consumer(consumer);
        }
        if before != (service.exports.len(), service.consumers.len()) {
            service.judge_again();
        }
        self.mask(&mut service.sentence);
        Some(service)
    }

    fn consumer(&self, consumer: &mut crate::core::mesh::service::ConsumerView) {
        consumer
            .wanted_by
            .retain(|want| self.application(&want.application));
        self.mask(&mut consumer.reason);
        consumer.dns.retain(|answer| {
            let prefix = answer.name.split('.').next().unwrap_or_default();
            !self.hidden.contains(prefix)
        });
        for answer in &mut consumer.dns {
            self.mask(&mut answer.rule);
            answer.addresses.retain(|address| {
                let cluster = address.cluster.as_ref();
                cluster.is_none_or(|cluster| self.cluster(cluster))
            });
        }
    }
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '.' | '/' | '_')
}

/// Words and what is between them, in order; together they are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let word = is_of_name(first);
        let end = rest
            .find(|character| is_of_name(character) != word)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

/// A word without the full stop that ends its sentence.
fn bare(piece: &str) -> &str {
    piece.trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::view::{Query, example};
    use jiff::Timestamp;

    fn view() -> FleetView {
        let now: Timestamp = "2026-11-25T01:42:07Z".parse().unwrap();
        FleetView::build(example::facts(now))
    }

    fn only(names: &[&str]) -> Scope {
        Scope::Only(names.iter().map(|name| (*name).to_owned()).collect())
    }

    /// Every page that the view has, as JSON.
    fn everything(view: &FleetView) -> String {
        let whole = self::view();
        let things = whole.facts.fleet.clusters.keys();
        let mut addresses: Vec<Address> = things
            .map(|name| Address::Cluster(name.to_string()))
            .collect();
        addresses.extend(crate::core::view::address::SECTIONS.map(|(section, _)| section));
        let subscriptions = whole.facts.fleet.subscriptions.keys();
        addresses.extend(subscriptions.cloned().map(Address::Application));
        let services = whole.facts.mesh.services.iter();
        addresses.extend(services.map(|service| Address::Service(service.service.clone())));
        for cable in &whole.facts.mesh.cables {
            addresses.push(Address::Cable(cable.from.to_string(), cable.to.to_string()));
        }
        addresses.extend(whole.placements.iter().map(|row| row.address.clone()));
        addresses
            .iter()
            .filter_map(|address| view.page(address, &Query::default()))
            .map(|page| serde_json::to_string(&page).unwrap())
            .collect()
    }

    #[test]
    fn every_right_shows_everything() {
        let whole = view();
        assert_eq!(
            everything(&whole.seen_by(&Visible::all())),
            everything(&whole)
        );
    }

    #[test]
    fn no_right_shows_nothing() {
        let seen = view().seen_by(&Visible::default());
        assert!(seen.clusters().is_empty() && seen.applications().is_empty());
        let text = everything(&seen);
        for name in view().things().clusters {
            assert!(!text.contains(&name), "{name}");
        }
    }

    #[test]
    fn no_page_names_a_cluster_that_may_not_be_read() {
        let visible = Visible {
            clusters: only(&["aws-sub2"]),
            ..Visible::all()
        };
        let text = everything(&view().seen_by(&visible));
        for name in view().things().clusters {
            let mut read = 0;
            let shown = pieces(&text).find_map(|piece| {
                read += piece.len();
                let before = &text.as_bytes()[read.saturating_sub(200)..read];
                (bare(piece) == name).then(|| String::from_utf8_lossy(before))
            });
            assert_eq!(shown.is_some(), name == "aws-sub2", "{name}: {shown:?}");
        }
    }

    #[test]
    fn no_page_names_an_application_of_another_namespace() {
        let visible = Visible {
            applications: only(&["guestbook"]),
            ..Visible::all()
        };
        let seen = view().seen_by(&visible);
        let text = everything(&seen);
        for id in view().facts.fleet.subscriptions.keys() {
            let shown = seen.applications().iter().any(|row| row.name == id.name);
            assert_eq!(shown, id.namespace == "guestbook", "{id}");
            assert_eq!(text.contains(&id.to_string()), shown, "{id}");
        }
    }

    #[test]
    fn an_application_says_how_many_clusters_are_not_shown() {
        let visible = Visible {
            clusters: Scope::default(),
            ..Visible::all()
        };
        let whole = view();
        for row in view().seen_by(&visible).applications() {
            let placed = whole
                .applications()
                .iter()
                .find(|one| one.address == row.address);
            assert_eq!(row.unseen, placed.unwrap().clusters, "{}", row.name);
        }
    }

    #[test]
    fn a_refusal_names_the_right_and_not_what_exists() {
        let visible = Visible {
            clusters: only(&["aws-sub1"]),
            applications: only(&["guestbook"]),
            ..Visible::default()
        };
        for (path, missing) in [
            ("/clusters/aws-sub1", None),
            (
                "/clusters/aws-sub2",
                Some("get managedclusters.cluster.open-cluster-management.io aws-sub2"),
            ),
            (
                "/clusters/nothing",
                Some("get managedclusters.cluster.open-cluster-management.io nothing"),
            ),
            (
                "/cables/aws-sub1/aws-sub2",
                Some("get managedclusters.cluster.open-cluster-management.io aws-sub2"),
            ),
            ("/applications/guestbook/x", None),
            (
                "/applications/metrics/x",
                Some("list subscriptions.apps.open-cluster-management.io in namespace metrics"),
            ),
            (
                "/placements/placementrule/guestbook/x",
                Some("list placementrules.apps.open-cluster-management.io in namespace guestbook"),
            ),
            (
                "/placements/placement/guestbook/x",
                Some("list placements.cluster.open-cluster-management.io in namespace guestbook"),
            ),
            ("/placements/subscription/guestbook/x", None),
            ("/", None),
            ("/clusters", None),
        ] {
            let address = Address::parse(path).unwrap();
            assert_eq!(visible.missing(&address).as_deref(), missing, "{path}");
        }
        for path in [
            "/",
            "/clusters",
            "/applications",
            "/services",
            "/placements",
            "/activity",
        ] {
            let address = Address::parse(path).unwrap();
            assert!(Visible::default().missing(&address).is_some(), "{path}");
        }
    }

    #[test]
    fn names_are_masked_as_words() {
        let visible = Visible::default();
        let cut = Cut {
            visible: &visible,
            hidden: ["a", "ns/app"].map(str::to_owned).into(),
        };
        for (text, expected) in [
            (
                "a: not there, as a.",
                "(not shown): not there, as (not shown).",
            ),
            ("a-b and ab/a stay", "a-b and ab/a stay"),
            ("of ns/app, “a”", "of (not shown), “(not shown)”"),
        ] {
            let mut text = text.to_owned();
            cut.mask(&mut text);
            assert_eq!(text, expected);
        }
    }
}
