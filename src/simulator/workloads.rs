//! Plays a cluster's controller manager, scheduler and kubelets: workloads
//! become available in a few short steps, Services get EndpointSlices with
//! pod addresses of the cluster's network, claims are bound, Routes get their
//! host, one Node stands for the rest.
//!
//! It is an ordinary API client driven by watches. What is to be true of an
//! object is computed by pure functions ([`status`], [`pods`], [`services`],
//! [`node`]) and written only where it is not true already, so a quiet
//! cluster costs no write.

mod fields;
mod kind;
mod node;
mod pods;
mod services;
mod state;
mod status;
mod write;

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::{BoxStream, select_all};
use kube::Client;
use kube::api::{Api, DynamicObject};
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use kind::Kind;
use pods::VirtualPod;
use state::{Key, State};

/// What the played cluster looks like.
#[derive(Clone, Debug)]
pub struct Profile {
    /// The cluster's name.
    pub cluster: String,
    /// Name of its one Node.
    pub node: String,
    /// Address of the Node.
    pub node_ip: String,
    /// IPv4 network of the pods, as `10.132.0.0/14`.
    pub pod_cidr: String,
    /// Domain below which Routes without a host of their own get one.
    pub apps_domain: String,
    /// How long a new revision of a workload takes to become available.
    pub start_time: Duration,
    /// Write Pod objects too, not only their traces in statuses and slices.
    pub pods: bool,
}

/// After this long a failed write is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Plays the cluster until `shutdown`. Never ends by itself: an API server
/// that is away is waited for.
pub async fn play(client: Client, profile: Profile, shutdown: CancellationToken) {
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = Player::new(client, profile).run() => {}
    }
}

type Events = BoxStream<'static, (Kind, watcher::Result<watcher::Event<DynamicObject>>)>;

struct Player {
    client: Client,
    profile: Profile,
    state: State,
    /// When the present revision of a workload was first seen; absent for
    /// those found available.
    rollouts: BTreeMap<Key, Rollout>,
    /// Work that waits for its time.
    later: BTreeMap<Key, Instant>,
    node_written: bool,
}

#[derive(Clone, Copy)]
struct Rollout {
    generation: i64,
    since: Instant,
    done: bool,
}

impl Player {
    fn new(client: Client, profile: Profile) -> Self {
        Self {
            client,
            profile,
            state: State::default(),
            rollouts: BTreeMap::new(),
            later: BTreeMap::new(),
            node_written: false,
        }
    }

    async fn run(mut self) {
        let mut events = select_all(Kind::ALL.map(|kind| self.watch(kind)));
        loop {
            let due = self.later.values().min().copied();
            tokio::select! {
                event = events.next() => match event {
                    Some((kind, Ok(event))) => self.state.take(kind, event),
                    // The watch itself backs off and begins anew.
                    Some((kind, Err(error))) => {
                        tracing::debug!(
                            cluster = %self.profile.cluster, kind = kind.name(), %error,
                            "a simulator's watch broke"
                        );
                        continue;
                    }
                    None => return,
                },
                () = sleep_until(due) => self.wake(),
            }
            if self.state.listed() {
                self.work().await;
            }
        }
    }

    fn watch(&self, kind: Kind) -> Events {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), &kind.resource());
        let mut config = watcher::Config::default();
        if kind == Kind::Slice {
            config = config.labels(services::OWN_SLICES);
        }
        watcher(api, config)
            .default_backoff()
            .map(move |event| (kind, event))
            .boxed()
    }

    fn wake(&mut self) {
        let now = Instant::now();
        let due: Vec<Key> = self
            .later
            .extract_if(.., |_, at| *at <= now)
            .map(|(key, _)| key)
            .collect();
        for key in due {
            self.state.touch(key);
        }
    }

    async fn work(&mut self) {
        if !self.node_written {
            let node = node::node(&self.profile);
            self.node_written = write::ensure(&self.client, Kind::Node, &node).await.is_ok();
            if !self.node_written {
                // Any later event tries again.
                tracing::debug!(cluster = %self.profile.cluster, "the simulated node is not written yet");
            }
        }
        while let Some(key) = self.state.next_touched() {
            if let Err(error) = self.settle(&key).await {
                tracing::debug!(cluster = %self.profile.cluster, object = %key.name, %error, "a simulator's write failed");
                self.later.insert(key, Instant::now() + RETRY);
            }
        }
    }

    /// Makes true what should be true of one object.
    async fn settle(&mut self, key: &Key) -> Result<(), kube::Error> {
        match key.kind {
            kind if kind.is_workload() => self.settle_workload(key).await,
            Kind::Service => self.settle_service(key).await,
            Kind::Pod => self.settle_pod(key).await,
            Kind::Route => self.settle_status(key, services::route_status).await,
            Kind::Ingress => self.settle_status(key, services::ingress_status).await,
            Kind::Claim => self.settle_status(key, services::claim_status).await,
            _ => Ok(()),
        }
    }

    async fn settle_workload(&mut self, key: &Key) -> Result<(), kube::Error> {
        let Some(object) = self.state.get(key).cloned() else {
            self.rollouts.remove(key);
            self.later.remove(key);
            self.touch_services(&key.namespace);
            return Ok(());
        };
        if !fields::text(&object, "/metadata/deletionTimestamp").is_empty() {
            return Ok(());
        }
        let rollout = self.rollout(key, &object);
        let wanted = status::workload(key.kind, &object, rollout.done, jiff::Timestamp::now());
        let written = write::status(&self.client, key.kind, &object, &wanted).await?;
        self.state.learn(key.kind, written);
        if self.profile.pods {
            self.settle_pods_of(key, &object, rollout.done).await?;
        }
        self.touch_services(&key.namespace);
        Ok(())
    }

    /// How far the present revision of a workload is; asks to be woken when
    /// it will be further.
    fn rollout(&mut self, key: &Key, object: &serde_json::Value) -> Rollout {
        let generation = fields::number(object, "/metadata/generation");
        let now = Instant::now();
        let known = self.rollouts.get(key).copied();
        let mut rollout = known
            .filter(|rollout| rollout.generation == generation)
            .unwrap_or_else(|| Rollout {
                generation,
                since: now,
                done: status::is_settled(key.kind, object),
            });
        let end = rollout.since + self.profile.start_time;
        rollout.done |= now >= end;
        self.rollouts.insert(key.clone(), rollout);
        if !rollout.done {
            self.later.insert(key.clone(), end);
        }
        rollout
    }

    async fn settle_pods_of(
        &mut self,
        owner: &Key,
        object: &serde_json::Value,
        ready: bool,
    ) -> Result<(), kube::Error> {
        let wanted = pods::of(owner.kind, object, &self.profile, ready);
        let owner_uid = fields::text(object, "/metadata/uid");
        for (key, pod) in self.state.pods_owned_by(&owner.namespace, owner_uid) {
            // Old pods go once the new ones are ready.
            let leaving = !fields::text(&pod, "/metadata/deletionTimestamp").is_empty();
            if !wanted.iter().any(|w| w.name == key.name) && ready && !leaving {
                write::delete_pod(&self.client, &key).await?;
            }
        }
        for pod in &wanted {
            let key = Key::new(Kind::Pod, &owner.namespace, &pod.name);
            let current = match self.state.get(&key).cloned() {
                Some(found) => found,
                None => {
                    let manifest = pods::manifest(owner.kind, object, pod, &self.profile);
                    let Some(made) = write::create(&self.client, Kind::Pod, &manifest).await?
                    else {
                        continue;
                    };
                    self.state.learn(Kind::Pod, Some(made.clone()));
                    made
                }
            };
            let status = pods::status(
                owner.kind,
                &current,
                pod,
                &self.profile,
                jiff::Timestamp::now(),
            );
            let written = write::status(&self.client, Kind::Pod, &current, &status).await?;
            self.state.learn(Kind::Pod, written);
        }
        Ok(())
    }

    /// A pod that went away, or that somebody made by hand.
    async fn settle_pod(&mut self, key: &Key) -> Result<(), kube::Error> {
        let Some(pod) = self.state.get(key).cloned() else {
            for owner in self.state.workloads_in(&key.namespace) {
                self.state.touch(owner);
            }
            return Ok(());
        };
        if pod.pointer("/metadata/ownerReferences/0").is_some() {
            return Ok(());
        }
        let lone = pods::lone(&pod, &self.profile);
        let now = jiff::Timestamp::now();
        let status = pods::status(Kind::Pod, &pod, &lone, &self.profile, now);
        let written = write::status(&self.client, Kind::Pod, &pod, &status).await?;
        if written.is_some() {
            self.touch_services(&key.namespace);
        }
        self.state.learn(Kind::Pod, written);
        Ok(())
    }

    async fn settle_service(&mut self, key: &Key) -> Result<(), kube::Error> {
        let Some(service) = self.state.get(key).cloned() else {
            return Ok(());
        };
        if let Some(status) = services::balancer_status(&service) {
            let written = write::status(&self.client, Kind::Service, &service, &status).await?;
            self.state.learn(Kind::Service, written);
        }
        let backends = self.backends(&key.namespace);
        let Some(slice) = services::slice(&service, &backends, &self.profile) else {
            return Ok(());
        };
        let name = fields::text(&slice, "/metadata/name");
        let current = self.state.get(&Key::new(Kind::Slice, &key.namespace, name));
        let written = match current {
            Some(current) if fields::contains(current, &slice) => None,
            Some(_) => write::replace(&self.client, Kind::Slice, &slice).await?,
            None => write::create(&self.client, Kind::Slice, &slice).await?,
        };
        self.state.learn(Kind::Slice, written);
        Ok(())
    }

    async fn settle_status(
        &mut self,
        key: &Key,
        wanted: fn(&serde_json::Value, &Profile, jiff::Timestamp) -> serde_json::Value,
    ) -> Result<(), kube::Error> {
        let Some(object) = self.state.get(key).cloned() else {
            return Ok(());
        };
        let wanted = wanted(&object, &self.profile, jiff::Timestamp::now());
        let written = write::status(&self.client, key.kind, &object, &wanted).await?;
        self.state.learn(key.kind, written);
        Ok(())
    }

    /// All pods of a namespace, whether or not they are written as objects.
    fn backends(&self, namespace: &str) -> Vec<VirtualPod> {
        let mut found = Vec::new();
        for key in self.state.workloads_in(namespace) {
            let Some(object) = self.state.get(&key) else {
                continue;
            };
            if key.kind == Kind::Job {
                continue;
            }
            let ready = self.rollouts.get(&key).is_some_and(|rollout| rollout.done);
            found.extend(pods::of(key.kind, object, &self.profile, ready));
        }
        found.extend(self.state.lone_pods(namespace, &self.profile));
        found
    }

    fn touch_services(&mut self, namespace: &str) {
        for key in self.state.keys(Kind::Service, namespace) {
            self.state.touch(key);
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
