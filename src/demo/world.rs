//! Everything around the product: API servers, what plays in the clusters,
//! faults.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Client;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cluster::Cluster;
use super::control::Board;
use super::place::Place;
use super::{DemoError, MEMBERS, repository, seed};
use crate::api::{ClusterName, crds};
use crate::apiserver::{Fault as ServerFault, FaultSwitch, StoreBroken};
use crate::hub::registration::{Registration, join};
use crate::member::credential::MemberCredential;
use crate::simulator::lighthouse;
use crate::simulator::submariner::{self, Fleet, Site};
use crate::simulator::workloads::{self, Profile};

/// The hub's Services are not part of the cluster set.
const HUB_SERVICES: &str = "10.96.0.0/16";
/// Time from a new revision to available pods.
const START_TIME: Duration = Duration::from_millis(400);
/// The step of applying the applications, which is taken once.
const APPLICATIONS: &str = "applications";
/// The step of the hand-made export.
const NGINX: &str = "nginx";

/// The running clusters.
pub(super) struct World {
    pub(super) hub: Cluster,
    pub(super) members: Vec<Cluster>,
    fleet: Fleet,
}

impl World {
    /// Opens and serves all API servers, and makes the repository.
    ///
    /// # Errors
    /// When a port or a file cannot be used.
    pub(super) async fn open(
        place: &mut Place,
        tracker: &TaskTracker,
        shutdown: &CancellationToken,
    ) -> Result<Self, DemoError> {
        repository::ensure(&place.path("git").join(repository::NAME))?;
        let fleet = Fleet::article();
        let (hub, listener) = Cluster::open(place, "hub", HUB_SERVICES).await?;
        tracker.spawn(hub.serve(listener, shutdown.clone()));
        let mut members = Vec::new();
        for name in MEMBERS {
            let site = fleet.site(name);
            let services = site.map_or(HUB_SERVICES, |site| &site.service_cidr);
            let (member, listener) = Cluster::open(place, name, services).await?;
            tracker.spawn(member.serve(listener, shutdown.clone()));
            members.push(member);
        }
        Ok(Self {
            hub,
            members,
            fleet,
        })
    }

    /// Ends when the disk takes no more of one of them.
    pub(super) async fn broken(&self) -> StoreBroken {
        let all = self.members.iter().chain([&self.hub]);
        let mut broken: FuturesUnordered<_> = all.map(|cluster| cluster.server.broken()).collect();
        match broken.next().await {
            Some(broken) => broken,
            None => std::future::pending().await,
        }
    }

    /// Clients of the members' own components, which no fault touches.
    fn insiders(&self) -> BTreeMap<String, Client> {
        let members = self.members.iter();
        members
            .map(|member| (member.server.name().to_owned(), member.server.client()))
            .collect()
    }

    /// Writes the objects that have to be there: definitions and the cluster
    /// set.
    ///
    /// # Errors
    /// When an API server refuses one.
    pub(super) async fn define(&self) -> Result<(), DemoError> {
        let failed = |error| DemoError::part("cannot make the definitions", error);
        let ours = crds::all().map_err(failed)?;
        let simulated = crds::simulated().map_err(failed)?;
        let hub = self.hub.server.client();
        seed::definitions(&hub, &ours).await?;
        let broker: Vec<_> = simulated
            .iter()
            .filter(|definition| submariner::is_broker_definition(definition))
            .cloned()
            .collect();
        seed::definitions(&hub, &broker).await?;
        for client in self.insiders().values() {
            seed::definitions(client, &simulated).await?;
        }
        seed::cluster_set(&hub).await?;
        Board::new(hub).clear().await
    }

    /// Joins the members and applies what a user of the article would.
    ///
    /// # Errors
    /// When the hub or a member refuses something.
    pub(super) async fn people(&self, place: &mut Place, empty: bool) -> Result<(), DemoError> {
        let hub = self.hub.server.client();
        for member in &self.members {
            let step = format!("join {}", member.server.name());
            if !place.has_taken(&step) {
                self.join(&hub, member).await?;
                place.take(&step)?;
            }
        }
        if !place.has_taken(NGINX) {
            if let Some(client) = self.insiders().get(MEMBERS[0]) {
                let failed = |error| DemoError::part("cannot make the nginx export", error);
                submariner::hand_made_export(client).await.map_err(failed)?;
            }
            place.take(NGINX)?;
        }
        if !empty && !place.has_taken(APPLICATIONS) {
            seed::applications(&hub).await?;
            place.take(APPLICATIONS)?;
        }
        Ok(())
    }

    async fn join(&self, hub: &Client, member: &Cluster) -> Result<(), DemoError> {
        let cluster = ClusterName::from(member.server.name());
        let what = format!("cannot join {cluster} to the hub");
        let credential = MemberCredential::from_kubeconfig(member.kubeconfig().as_bytes(), None)
            .map_err(|error| DemoError::part(&what, error))?;
        let labels = BTreeMap::from([
            ("cloud".to_owned(), "Amazon".to_owned()),
            ("region".to_owned(), "eu-west-1".to_owned()),
        ]);
        let registration = Registration {
            cluster: &cluster,
            credential: &credential,
            renewed: false,
            set: Some(seed::CLUSTER_SET),
            labels: &labels,
        };
        join(hub, &registration)
            .await
            .map_err(|error| DemoError::part(what, error))
    }

    /// Starts what plays in the clusters, and the taking of faults.
    pub(super) fn play(&self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let insiders = self.insiders();
        let hub = self.hub.server.client();
        for (name, client) in &insiders {
            if let Some(site) = self.fleet.site(name) {
                let playing = workloads::play(client.clone(), profile(site), shutdown.clone());
                tracker.spawn(playing);
            }
        }
        let (faults, faults_now) = watch::channel(submariner::Faults::default());
        tracker.spawn(submariner::run(
            self.fleet.clone(),
            insiders.clone(),
            Some(hub.clone()),
            faults_now,
            submariner::Options::default(),
            shutdown.clone(),
        ));
        tracker.spawn(lighthouse::run(
            insiders,
            Some(hub.clone()),
            shutdown.clone(),
        ));
        let members = self.members.iter();
        let switches = members
            .map(|m| (m.server.name().to_owned(), m.server.faults().clone()))
            .collect();
        let breaker = Breaker {
            board: Board::new(hub),
            mesh: faults,
            switches,
        };
        let shutdown = shutdown.clone();
        tracker.spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = breaker.run() => {}
            }
        });
    }
}

fn profile(site: &Site) -> Profile {
    let domain = "eu-west-1.compute.internal";
    Profile {
        cluster: site.cluster.clone(),
        node: format!("{}.{domain}", site.gateway),
        node_ip: site.private_ip.clone(),
        pod_cidr: site.cluster_cidr.clone(),
        apps_domain: format!("apps.{}.example.com", site.cluster),
        start_time: START_TIME,
        pods: true,
    }
}

/// Takes over what the board says is broken.
struct Breaker {
    board: Board,
    mesh: watch::Sender<submariner::Faults>,
    switches: BTreeMap<String, FaultSwitch>,
}

impl Breaker {
    async fn run(self) {
        let only_it = format!("metadata.name={}", Board::name());
        let config = watcher::Config::default().fields(&only_it);
        let mut changes = std::pin::pin!(
            watcher(self.board.api(), config)
                .default_backoff()
                .applied_objects()
        );
        loop {
            let map = match changes.try_next().await {
                Ok(Some(map)) => map,
                Ok(None) => return,
                Err(error) => {
                    tracing::debug!(%error, "the demo's faults cannot be watched; trying again");
                    continue;
                }
            };
            let posted = Board::read(&map);
            self.mesh.send_if_modified(|now| {
                let wanted = posted.broken.of_mesh();
                let differs = *now != wanted;
                *now = wanted;
                differs
            });
            for (name, switch) in &self.switches {
                let stopped = posted.broken.stopped.contains(name);
                let wanted = if stopped {
                    ServerFault::Drop
                } else {
                    ServerFault::Running
                };
                if switch.get() != wanted {
                    switch.set(wanted);
                }
            }
            if let Err(error) = self.board.answer(&posted).await {
                tracing::debug!(%error, "a fault was done, but not answered");
            }
        }
    }
}
