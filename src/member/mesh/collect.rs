//! Puts facts together and decides when a change is worth publishing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::api::{ClusterName, NamespacedName};
use crate::core::mesh::MeshObservation;
use crate::core::mesh::beat::{Beat, Pulse};
use crate::core::mesh::observation::{GatewayFacts, MeshKind, Reading, ServiceFacts};
use crate::member::mesh::source::{Fact, News};

/// A burst of changes is gathered for this long.
const GATHER: Duration = Duration::from_millis(20);
/// Round trips alone are published at most this often.
const ROUND_TRIPS: Duration = Duration::from_secs(10);
/// How often pulses are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Exports whose Services are to be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exported {
    pub(super) names: BTreeSet<NamespacedName>,
    /// Moves when an export changes, so that its Service is read again.
    pub(super) turn: u64,
}

/// The facts of one cluster.
pub(super) struct Collector {
    cluster: ClusterName,
    clock: fn() -> Timestamp,
    exported: watch::Sender<Exported>,
    readings: BTreeMap<MeshKind, Reading>,
    facts: BTreeMap<MeshKind, BTreeMap<NamespacedName, Fact>>,
    services: BTreeMap<NamespacedName, Option<ServiceFacts>>,
    pulses: BTreeMap<NamespacedName, Pulse>,
}

impl Collector {
    pub(super) fn new(
        cluster: ClusterName,
        clock: fn() -> Timestamp,
        exported: watch::Sender<Exported>,
    ) -> Self {
        Self {
            cluster,
            clock,
            exported,
            readings: BTreeMap::new(),
            facts: BTreeMap::new(),
            services: BTreeMap::new(),
            pulses: BTreeMap::new(),
        }
    }

    /// Collects until every source has gone.
    pub(super) async fn run(
        mut self,
        mut queue: mpsc::Receiver<News>,
        published: watch::Sender<Arc<MeshObservation>>,
    ) {
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut round_trips_at = Instant::now();
        loop {
            tokio::select! {
                news = queue.recv() => {
                    let Some(news) = news else { return };
                    self.take(news);
                    tokio::time::sleep(GATHER).await;
                    while let Ok(news) = queue.try_recv() {
                        self.take(news);
                    }
                }
                _ = look.tick() => {}
            }
            let now = self.observation();
            let difference = difference(&published.borrow(), &now);
            let publish = match difference {
                Difference::None => false,
                Difference::RoundTrips => round_trips_at.elapsed() >= ROUND_TRIPS,
                Difference::Substance => true,
            };
            if publish {
                tracing::trace!(cluster = %self.cluster, ?difference, "mesh observation");
                round_trips_at = Instant::now();
                published.send_replace(Arc::new(now));
            }
        }
    }

    fn take(&mut self, news: News) {
        match news {
            News::All(kind, list) => {
                self.readings.insert(kind, Reading::Current);
                let facts: BTreeMap<NamespacedName, Fact> = list.into_iter().collect();
                if kind == MeshKind::Gateway {
                    self.pulses.retain(|name, _| facts.contains_key(name));
                    for (name, fact) in &facts {
                        self.hear(name, fact);
                    }
                }
                self.facts.insert(kind, facts);
                self.exports_changed(kind);
            }
            News::One(kind, name, fact) => {
                self.hear(&name, &fact);
                self.facts.entry(kind).or_default().insert(name, *fact);
                self.exports_changed(kind);
            }
            News::Gone(kind, name) => {
                if kind == MeshKind::Gateway {
                    self.pulses.remove(&name);
                }
                self.facts.entry(kind).or_default().remove(&name);
                self.exports_changed(kind);
            }
            News::NotServed(kind) => {
                self.readings.insert(kind, Reading::NotServed);
                self.facts.remove(&kind);
                self.exports_changed(kind);
            }
            News::Failed(kind, message) => {
                let since = match self.readings.get(&kind) {
                    Some(Reading::Failing { since, .. }) => *since,
                    _ => (self.clock)(),
                };
                self.readings
                    .insert(kind, Reading::Failing { since, message });
            }
            News::Service(name, facts) => {
                if self.exported.borrow().names.contains(&name) {
                    self.services.insert(name, facts);
                }
            }
        }
    }

    fn hear(&mut self, name: &NamespacedName, fact: &Fact) {
        let Fact::Gateway(GatewayFacts {
            stamp: Some(stamp), ..
        }) = fact
        else {
            return;
        };
        let now = (self.clock)();
        self.pulses
            .entry(name.clone())
            .and_modify(|pulse| pulse.hear(stamp, now))
            .or_insert_with(|| Pulse::first(stamp, now));
    }

    fn exports_changed(&mut self, kind: MeshKind) {
        if kind != MeshKind::ServiceExport {
            return;
        }
        let names: BTreeSet<NamespacedName> = self
            .facts
            .get(&kind)
            .into_iter()
            .flat_map(|facts| facts.keys().cloned())
            .collect();
        self.services.retain(|name, _| names.contains(name));
        self.exported.send_modify(|exported| {
            exported.names = names;
            exported.turn += 1;
        });
    }

    fn observation(&self) -> MeshObservation {
        let mut observation = MeshObservation {
            readings: self.readings.clone(),
            services: self.services.clone(),
            ..MeshObservation::default()
        };
        for (name, fact) in self.facts.values().flatten() {
            put(&mut observation, name, fact);
        }
        let now = (self.clock)();
        for gateway in &mut observation.gateways {
            let name = NamespacedName::new(gateway.namespace.as_str(), gateway.name.as_str());
            gateway.beat = self
                .pulses
                .get(&name)
                .map_or(Beat::Unheard, |pulse| pulse.judge(now));
        }
        observation
    }
}

/// Adds a fact to an observation.
pub(super) fn put(observation: &mut MeshObservation, name: &NamespacedName, fact: &Fact) {
    match fact {
        Fact::Submariner(facts) => observation.submariners.push(facts.clone()),
        Fact::Broker(facts) => observation.brokers.push(facts.clone()),
        Fact::Gateway(facts) => observation.gateways.push(facts.clone()),
        Fact::Endpoint(facts) => observation.endpoints.push(facts.clone()),
        Fact::Cluster(facts) => observation.clusters.push(facts.clone()),
        Fact::RouteAgent(facts) => observation.route_agents.push(facts.clone()),
        Fact::Export(facts) => observation.exports.push(facts.clone()),
        Fact::Import(facts) => observation.imports.push(facts.clone()),
        Fact::Slice(facts) => observation.slices.push(facts.clone()),
        Fact::Namespace => drop(observation.namespaces.insert(name.name.clone())),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Difference {
    None,
    /// Only round trips moved (and stamps, which never count).
    RoundTrips,
    Substance,
}

fn difference(old: &MeshObservation, new: &MeshObservation) -> Difference {
    let same_but_gateways = old.readings == new.readings
        && old.namespaces == new.namespaces
        && old.submariners == new.submariners
        && old.brokers == new.brokers
        && old.endpoints == new.endpoints
        && old.clusters == new.clusters
        && old.route_agents == new.route_agents
        && old.exports == new.exports
        && old.imports == new.imports
        && old.slices == new.slices
        && old.services == new.services
        && old.gateways.len() == new.gateways.len();
    if !same_but_gateways {
        return Difference::Substance;
    }
    let pairs = || old.gateways.iter().zip(&new.gateways);
    if pairs().any(|(old, new)| substance(old) != substance(new)) {
        Difference::Substance
    } else if pairs().any(|(old, new)| old.connections != new.connections) {
        Difference::RoundTrips
    } else {
        Difference::None
    }
}

/// A gateway without what moves all the time. Whether a ping was ever
/// answered stays: that is the difference between verified and not.
fn substance(gateway: &GatewayFacts) -> GatewayFacts {
    let mut still = gateway.clone();
    still.stamp = None;
    for connection in &mut still.connections {
        if connection.rtt.is_some_and(|rtt| rtt.measured()) {
            connection.rtt = Some(MEASURED);
        }
        // The wireguard driver counts bytes in its message.
        if connection.status == "connected" {
            connection.message.clear();
        }
    }
    still
}

const MEASURED: crate::core::mesh::observation::RoundTrip =
    crate::core::mesh::observation::RoundTrip {
        last: None,
        min: None,
        average: None,
        max: None,
        std_dev: None,
    };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mesh::observation::{ConnectionFacts, RoundTrip};

    fn reported(stamp: &str, status: &str, average: Option<&str>) -> MeshObservation {
        MeshObservation {
            gateways: vec![GatewayFacts {
                stamp: Some(stamp.to_owned()),
                connections: vec![ConnectionFacts {
                    status: status.to_owned(),
                    rtt: average.map(|average| RoundTrip {
                        average: average.parse().ok(),
                        ..RoundTrip::default()
                    }),
                    ..ConnectionFacts::default()
                }],
                ..GatewayFacts::default()
            }],
            ..MeshObservation::default()
        }
    }

    #[test]
    fn a_beat_alone_is_no_difference() {
        let old = reported("1", "connected", Some("1ms"));
        for (new, expected) in [
            (reported("2", "connected", Some("1ms")), Difference::None),
            (
                reported("2", "connected", Some("1.1ms")),
                Difference::RoundTrips,
            ),
            (reported("2", "error", Some("1ms")), Difference::Substance),
            (reported("2", "connected", None), Difference::Substance),
            (MeshObservation::default(), Difference::Substance),
        ] {
            assert_eq!(difference(&old, &new), expected);
        }
    }
}
