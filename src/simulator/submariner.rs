//! Plays Submariner: the objects that its operator and gateways keep on every
//! member and on the broker, alive.
//!
//! Each member has a task of its own, so a member that does not answer keeps
//! nobody waiting. The broker has one as well. Everything goes through
//! ordinary clients; nothing here is ever read by a decision.

mod faults;
mod fleet;
mod objects;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Error};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use faults::{Faults, Gauge};
pub use fleet::{Fleet, Site};

/// Namespace of Submariner on a member.
pub const OPERATOR_NAMESPACE: &str = "submariner-operator";
/// Namespace of the broker.
pub const BROKER_NAMESPACE: &str = "submariner-broker";
/// Field manager of everything that the simulator writes.
pub const MANAGER: &str = "submariner-simulator";
/// Annotation of a ServiceExport whose conditions the simulator leaves as they
/// are: the article's nginx keeps the form of release 0.8.
pub const KEEP_CONDITIONS: &str = "simulator.pilothouse.dev/keep-conditions";

/// Every call of the simulator ends within this.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Wait after a call that failed.
const RETRY: Duration = Duration::from_millis(500);

/// How the simulator behaves.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How often a gateway rewrites its report; Submariner's is 5 s.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_secs(5),
        }
    }
}

/// Definitions of which a cluster that hosts the broker needs, out of
/// [`crate::api::crds::simulated`].
#[must_use]
pub fn is_broker_definition(definition: &CustomResourceDefinition) -> bool {
    let names = &definition.spec.names;
    match definition.spec.group.as_str() {
        "submariner.io" => matches!(names.kind.as_str(), "Broker" | "Cluster" | "Endpoint"),
        "multicluster.x-k8s.io" => names.kind == "ServiceImport",
        _ => false,
    }
}

/// Plays Submariner until `shutdown`: `members` by cluster name, `broker` the
/// cluster that hosts it. Clusters of the fleet without a client are known to
/// the others by their Endpoints only. A call that fails is tried again.
pub async fn run(
    fleet: Fleet,
    members: BTreeMap<String, Client>,
    broker: Option<Client>,
    faults: watch::Receiver<Faults>,
    options: Options,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    if let Some(client) = broker {
        tasks.spawn(play_broker(
            fleet.clone(),
            client,
            faults.clone(),
            shutdown.clone(),
        ));
    }
    for (name, client) in members {
        let Some(site) = fleet.site(&name).cloned() else {
            tracing::warn!(
                cluster = name,
                "no site of the simulated fleet has this name"
            );
            continue;
        };
        let player = Player {
            fleet: fleet.clone(),
            site,
            client,
            faults: faults.clone(),
            heartbeat: options.heartbeat,
        };
        tasks.spawn(player.play(shutdown.clone()));
    }
    while tasks.join_next().await.is_some() {}
}

/// Creates the article's nginx export, in the form that release 0.8 gave it:
/// the Deployment and Service of `kubectl create deployment` and `kubectl
/// expose`, and a ServiceExport whose two `Valid` conditions are a history.
/// What exists already is left alone.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn hand_made_export(client: &Client) -> Result<(), Error> {
    for object in objects::hand_made_nginx() {
        let api = api_of(client, &object);
        let wanted: DynamicObject =
            serde_json::from_value(object.clone()).map_err(Error::SerdeError)?;
        match api.create(&Default::default(), &wanted).await {
            Ok(_) if object.get("status").is_some() => {
                let name = wanted.metadata.name.as_deref().unwrap_or_default();
                let status = serde_json::json!({ "status": object["status"] });
                api.patch_status(name, &PatchParams::default(), &Patch::Merge(&status))
                    .await?;
            }
            Ok(_) => {}
            Err(Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// One member.
struct Player {
    fleet: Fleet,
    site: Site,
    client: Client,
    faults: watch::Receiver<Faults>,
    heartbeat: Duration,
}

impl Player {
    async fn play(mut self, shutdown: CancellationToken) {
        let mut gauge = Gauge::new(&self.site.cluster);
        let mut placed = Placed::default();
        // Without a sender the faults never change again.
        let mut settled = false;
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = beat.tick() => {}
                changed = self.faults.changed(), if !settled => settled = changed.is_err(),
            }
            let faults = self.faults.borrow_and_update().clone();
            let turn = self.turn(&faults, &mut gauge, &mut placed);
            let done = tokio::select! {
                () = shutdown.cancelled() => return,
                done = turn => done,
            };
            if let Err(error) = done {
                tracing::debug!(cluster = self.site.cluster, %error, "simulated Submariner could not write");
                beat.reset_after(RETRY);
            }
        }
    }

    async fn turn(
        &self,
        faults: &Faults,
        gauge: &mut Gauge,
        placed: &mut Placed,
    ) -> Result<(), Error> {
        placed
            .bring(
                &self.client,
                objects::standing(&self.fleet, &self.site, faults),
            )
            .await?;
        if faults.is_stale(&self.site.cluster) {
            return Ok(());
        }
        gauge.advance();
        let report = objects::gateway(&self.fleet, &self.site, faults, gauge, Timestamp::now());
        apply(&self.client, &report).await
    }
}

async fn play_broker(
    fleet: Fleet,
    client: Client,
    mut faults: watch::Receiver<Faults>,
    shutdown: CancellationToken,
) {
    let mut placed = Placed::default();
    let mut settled = false;
    loop {
        let state = faults.borrow_and_update().clone();
        let brought = tokio::select! {
            () = shutdown.cancelled() => return,
            brought = placed.bring(&client, objects::broker(&fleet, &state)) => brought,
        };
        let retry = brought.is_err();
        if let Err(error) = brought {
            tracing::debug!(%error, "simulated Submariner could not write to the broker");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            changed = faults.changed(), if !settled => settled = changed.is_err(),
            () = tokio::time::sleep(RETRY), if retry => {}
        }
    }
}

/// Objects that were brought to a cluster and stand there until told otherwise.
#[derive(Default)]
struct Placed {
    /// By kind, namespace and name. Empty at the start, so a restart applies all once.
    objects: BTreeMap<String, Value>,
    /// Whether remains of an earlier run were looked for.
    swept: bool,
}

impl Placed {
    async fn bring(&mut self, client: &Client, wanted: Vec<Value>) -> Result<(), Error> {
        let wanted: BTreeMap<String, Value> = wanted
            .into_iter()
            .map(|object| (objects::key(&object), object))
            .collect();
        // Namespaces sort behind other kinds, and must be first.
        let (first, rest): (Vec<_>, Vec<_>) = wanted
            .iter()
            .partition(|(_, object)| object["kind"] == "Namespace");
        for (key, object) in first.into_iter().chain(rest) {
            if self.objects.get(key) != Some(object) {
                apply(client, object).await?;
                self.objects.insert(key.clone(), object.clone());
            }
        }
        if !self.swept {
            // An earlier run may have left the overlapping cluster behind.
            for object in objects::leftovers(&wanted) {
                remove(client, &object).await?;
            }
            self.swept = true;
        }
        let gone: Vec<String> = self
            .objects
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            if let Some(object) = self.objects.get(&key) {
                remove(client, object).await?;
            }
            self.objects.remove(&key);
        }
        Ok(())
    }
}

/// The typed API of an object, by its own apiVersion and kind.
pub(super) fn api_of(client: &Client, object: &Value) -> Api<DynamicObject> {
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (group, version) = crate::core::object::split_api_version(text("/apiVersion"));
    let kind = GroupVersionKind::gvk(group, version, text("/kind"));
    let resource = ApiResource::from_gvk(&kind);
    match text("/metadata/namespace") {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    }
}

/// Server-side apply, then the status when the kind keeps it apart.
pub(super) async fn apply(client: &Client, object: &Value) -> Result<(), Error> {
    let api = api_of(client, object);
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let params = PatchParams::apply(MANAGER).force();
    let answer = within(api.patch(name, &params, &Patch::Apply(object))).await?;
    match object.get("status") {
        Some(status) if answer.data.get("status") != Some(status) => {
            let status = serde_json::json!({
                "apiVersion": object["apiVersion"],
                "kind": object["kind"],
                "metadata": {"name": name},
                "status": status,
            });
            within(api.patch_status(name, &params, &Patch::Apply(&status)))
                .await
                .map(drop)
        }
        _ => Ok(()),
    }
}

/// Deletes an object; one that is gone, or whose kind is, is as good.
pub(super) async fn remove(client: &Client, object: &Value) -> Result<(), Error> {
    let name = object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match within(api_of(client, object).delete(name, &DeleteParams::default())).await {
        Err(Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

async fn within<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(result) => result,
        Err(_) => Err(Error::Service("no answer in 5 s".into())),
    }
}
