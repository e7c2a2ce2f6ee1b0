//! Simulated Submariner and Lighthouse on embedded API servers, seen by the
//! observer and shown by the command line.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where its fixture does"
)]

#[path = "support/support.rs"]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use pilothouse::api::{ClusterName, NamespacedName, crds};
use pilothouse::apiserver::{Fault, FaultSwitch, Options as ServerOptions, Server};
use pilothouse::cli::show::{Output, ShowArgs, What, show};
use pilothouse::core::mesh::finding::Check;
use pilothouse::core::mesh::ladder::{Discoverable, Gate};
use pilothouse::core::mesh::observation::{MeshKind, Reading};
use pilothouse::core::mesh::{CableState, Connectivity, MeshInput, MeshObservation, MeshView};
use pilothouse::member::mesh::observe_local;
use pilothouse::simulator::submariner::{self, Faults, Options};
use pilothouse::simulator::{lighthouse, workloads};
use serde_json::{Value, json};
use support::controlplane::Binaries;
use support::{Fleet, have};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

const PATIENCE: Duration = Duration::from_secs(30);

struct World {
    hub: kube::Client,
    members: BTreeMap<String, kube::Client>,
    /// Clients that suffer the faults of embedded members.
    outside: BTreeMap<String, kube::Client>,
    /// Fault switches of embedded members.
    switches: BTreeMap<String, FaultSwitch>,
    _planes: Option<Fleet>,
    seen: BTreeMap<ClusterName, watch::Receiver<Arc<MeshObservation>>>,
    hub_seen: watch::Receiver<Arc<MeshObservation>>,
    faults: watch::Sender<Faults>,
    _stop: DropGuard,
}

impl World {
    async fn embedded() -> Self {
        let hub = Server::open(ServerOptions::in_memory("hub")).unwrap();
        let (mut members, mut outside, mut switches) =
            (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, cidr) in [("aws-sub1", "172.31.0.0/16"), ("aws-sub2", "172.30.0.0/16")] {
            let options = ServerOptions {
                service_cidr: cidr.to_owned(),
                ..ServerOptions::in_memory(name)
            };
            let server = Server::open(options).unwrap();
            members.insert(name.to_owned(), server.client());
            outside.insert(name.to_owned(), server.outside_client());
            switches.insert(name.to_owned(), server.faults().clone());
        }
        Self::start(hub.client(), members, outside, switches, None).await
    }

    /// `None`, loudly, where no real control planes can be had.
    async fn real() -> Option<Self> {
        have("controlplane", Binaries::find())?;
        let planes = Fleet::guestbook().await.unwrap();
        let hub = planes.hub.client().await.unwrap();
        let mut members = BTreeMap::new();
        for (name, plane) in &planes.members {
            members.insert(name.clone(), plane.client().await.unwrap());
        }
        Some(Self::start(hub, members.clone(), members, BTreeMap::new(), Some(planes)).await)
    }

    async fn start(
        hub: kube::Client,
        members: BTreeMap<String, kube::Client>,
        outside: BTreeMap<String, kube::Client>,
        switches: BTreeMap<String, FaultSwitch>,
        planes: Option<Fleet>,
    ) -> Self {
        let stop = CancellationToken::new();
        let mut seen = BTreeMap::new();
        // Observers first: the kinds are not served yet.
        for (name, client) in outside.clone() {
            let (published, now) = watch::channel(Arc::default());
            let name = ClusterName::from(name);
            tokio::spawn(observe_local(name.clone(), client, published, stop.clone()));
            seen.insert(name, now);
        }
        let (published, hub_seen) = watch::channel(Arc::default());
        tokio::spawn(observe_local(
            ClusterName::from("hub"),
            hub.clone(),
            published,
            stop.clone(),
        ));
        let (faults, faults_now) = watch::channel(Faults::default());
        let world = Self {
            hub,
            members,
            outside,
            switches,
            _planes: planes,
            seen,
            hub_seen,
            faults,
            _stop: stop.clone().drop_guard(),
        };
        world.first_look().await;
        for crd in crds::simulated()
            .unwrap()
            .iter()
            .filter(|crd| submariner::is_broker_definition(crd))
        {
            Api::all(world.hub.clone())
                .create(&PostParams::default(), crd)
                .await
                .unwrap();
        }
        for client in world.members.values() {
            for crd in crds::simulated().unwrap() {
                Api::all(client.clone())
                    .create(&PostParams::default(), &crd)
                    .await
                    .unwrap();
            }
        }
        let options = Options {
            heartbeat: Duration::from_millis(200),
        };
        let (members, broker) = (world.members.clone(), Some(world.hub.clone()));
        let fleet = submariner::Fleet::article();
        tokio::spawn(submariner::run(
            fleet,
            members.clone(),
            broker.clone(),
            faults_now,
            options,
            stop.clone(),
        ));
        tokio::spawn(lighthouse::run(members, broker, stop));
        world
    }

    /// Every observer has looked once, and found the kinds not served.
    async fn first_look(&self) {
        for seen in self.seen.values() {
            let mut seen = seen.clone();
            let bare = seen.wait_for(|seen| *seen.reading(MeshKind::Gateway) == Reading::NotServed);
            assert!(tokio::time::timeout(PATIENCE, bare).await.is_ok());
        }
    }

    fn view(&self) -> MeshView {
        let members: BTreeMap<ClusterName, Arc<MeshObservation>> = self
            .seen
            .iter()
            .map(|(name, seen)| (name.clone(), seen.borrow().clone()))
            .collect();
        let hub = self.hub_seen.borrow().clone();
        let sets = BTreeMap::from([(
            "submariner".to_owned(),
            members.keys().cloned().collect::<BTreeSet<_>>(),
        )]);
        let input = MeshInput {
            members: &members,
            hub: Some(&hub),
            sets: &sets,
            consumers: &[],
            planned: &[],
            previous: None,
        };
        MeshView::build(&input, Timestamp::now())
    }

    async fn until(&self, what: &str, holds: impl Fn(&MeshView) -> bool) -> MeshView {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let view = self.view();
            if holds(&view) {
                return view;
            }
            assert!(
                tokio::time::Instant::now() < deadline,
                "waited in vain until {what}: {view:#?}"
            );
            let mut changes: Vec<_> = self
                .seen
                .values()
                .cloned()
                .chain([self.hub_seen.clone()])
                .collect();
            let any = futures::future::select_all(
                changes.iter_mut().map(|seen| Box::pin(seen.changed())),
            );
            let _ = tokio::time::timeout(Duration::from_millis(200), any).await;
        }
    }

    fn client(&self, member: &str) -> kube::Client {
        self.members[member].clone()
    }
}

fn object(
    client: kube::Client,
    namespace: &str,
    group: &str,
    version: &str,
    kind: &str,
) -> Api<DynamicObject> {
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    Api::namespaced_with(client, namespace, &resource)
}

async fn create(api: Api<DynamicObject>, value: Value) {
    let object: DynamicObject = serde_json::from_value(value).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// A Service with a ready backend, exported.
async fn export(world: &World, member: &str, port: u16) {
    let client = world.client(member);
    let namespace = Namespace {
        metadata: kube::api::ObjectMeta {
            name: Some("guestbook".into()),
            ..Default::default()
        },
        ..Default::default()
    };
    let _ = Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await;
    create(
        object(client.clone(), "guestbook", "", "v1", "Service"),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "redis-master"},
            "spec": {"selector": {"app": "redis"}, "ports": [{"port": port, "protocol": "TCP"}]}}),
    )
    .await;
    create(
        object(client.clone(), "guestbook", "discovery.k8s.io", "v1", "EndpointSlice"),
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": "redis-master-abc", "labels": {"kubernetes.io/service-name": "redis-master"}},
            "endpoints": [{"addresses": ["10.132.0.9"], "conditions": {"ready": true}}],
            "ports": [{"name": "", "port": port, "protocol": "TCP"}]}),
    )
    .await;
    create(
        object(client, "guestbook", "multicluster.x-k8s.io", "v1alpha1", "ServiceExport"),
        json!({"apiVersion": "multicluster.x-k8s.io/v1alpha1", "kind": "ServiceExport", "metadata": {"name": "redis-master"}}),
    )
    .await;
}

async fn namespace(client: kube::Client, name: &str) {
    let object = Namespace {
        metadata: kube::api::ObjectMeta {
            name: Some(name.into()),
            ..Default::default()
        },
        ..Default::default()
    };
    Api::<Namespace>::all(client)
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

fn name(text: &str) -> NamespacedName {
    text.parse().unwrap()
}

fn ladder(view: &MeshView, service: &str, consumer: &str) -> Option<(Discoverable, Option<Gate>)> {
    let service = view.service(&name(service))?;
    let ladder = service
        .ladders
        .iter()
        .find(|ladder| ladder.consumer == ClusterName::from(consumer))?;
    Some((ladder.verdict, ladder.stops_at))
}

fn state(view: &MeshView, from: &str, to: &str) -> Option<CableState> {
    view.direction(&ClusterName::from(from), &ClusterName::from(to))
        .map(|half| half.state)
}

fn connected(view: &MeshView) -> bool {
    view.cables.len() == 1 && view.cables[0].connectivity == Connectivity::Connected
}

#[tokio::test(flavor = "multi_thread")]
async fn kinds_that_come_to_be_served_are_seen_and_faults_show() {
    faults_scenario(&World::embedded().await).await;
}

async fn faults_scenario(world: &World) {
    let view = world.until("the cable is up", connected).await;
    assert!(view.cables[0].forward.verified && view.cables[0].backward.verified);

    world
        .faults
        .send_modify(|faults| faults.cut("aws-sub2", "aws-sub1"));
    let view = world
        .until("one half is red", |view| {
            state(view, "aws-sub2", "aws-sub1") == Some(CableState::Error)
        })
        .await;
    assert_eq!(
        state(&view, "aws-sub1", "aws-sub2"),
        Some(CableState::Connected)
    );
    assert!(
        view.findings
            .iter()
            .any(|finding| finding.check == Check::Asymmetry)
    );

    world
        .faults
        .send_modify(|faults| faults.restore("aws-sub1", "aws-sub2"));
    world.until("it is mended", connected).await;

    world.faults.send_modify(|faults| faults.overlap(true));
    let view = world
        .until("the third cluster is missing", |view| {
            state(view, "aws-sub2", "aws-sub3") == Some(CableState::Missing)
        })
        .await;
    assert!(view.findings.iter().any(
        |finding| finding.check == Check::Overlap && finding.sentence.contains("10.128.0.0/14")
    ));
    world.faults.send_modify(|faults| faults.overlap(false));
    world.until("it has left", connected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_climbs_the_ladder_and_goes_again() {
    export_scenario(&World::embedded().await).await;
}

async fn export_scenario(world: &World) {
    world.until("the cable is up", connected).await;
    export(world, "aws-sub1", 6379).await;
    let stopped = Some((Discoverable::No, Some(Gate::Imported)));
    world
        .until("it stops at the missing namespace", |view| {
            ladder(view, "guestbook/redis-master", "aws-sub2") == stopped
        })
        .await;

    namespace(world.client("aws-sub2"), "guestbook").await;
    let view = world
        .until("it is usable", |view| {
            ladder(view, "guestbook/redis-master", "aws-sub2") == Some((Discoverable::Yes, None))
        })
        .await;
    let service = view.service(&name("guestbook/redis-master")).unwrap();
    let consumer = service
        .consumers
        .iter()
        .find(|consumer| consumer.cluster == ClusterName::from("aws-sub2"))
        .unwrap();
    assert!(
        consumer.dns[0].addresses[0].ip.starts_with("172.31."),
        "{:?}",
        consumer.dns
    );

    let slices = object(
        world.client("aws-sub1"),
        "guestbook",
        "discovery.k8s.io",
        "v1",
        "EndpointSlice",
    );
    let not_ready =
        json!({"endpoints": [{"addresses": ["10.132.0.9"], "conditions": {"ready": false}}]});
    slices
        .patch(
            "redis-master-abc",
            &PatchParams::default(),
            &Patch::Merge(&not_ready),
        )
        .await
        .unwrap();
    let empty = Some((Discoverable::No, Some(Gate::HasEndpoints)));
    world
        .until("no backend is ready", |view| {
            ladder(view, "guestbook/redis-master", "aws-sub2") == empty
        })
        .await;

    let exports = object(
        world.client("aws-sub1"),
        "guestbook",
        "multicluster.x-k8s.io",
        "v1alpha1",
        "ServiceExport",
    );
    exports
        .delete("redis-master", &DeleteParams::default())
        .await
        .unwrap();
    world
        .until("it is gone everywhere", |view| view.services.is_empty())
        .await;
    let imports = object(
        world.client("aws-sub2"),
        "guestbook",
        "multicluster.x-k8s.io",
        "v1alpha1",
        "ServiceImport",
    );
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !imports
        .list(&Default::default())
        .await
        .unwrap()
        .items
        .is_empty()
    {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the import is still there"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_the_same_on_real_control_planes() {
    let Some(world) = World::real().await else {
        return;
    };
    faults_scenario(&world).await;
    export_scenario(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hand_made_export_keeps_its_old_form_and_works() {
    let world = World::embedded().await;
    world.until("the cable is up", connected).await;
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let profile = workloads::Profile {
        cluster: "aws-sub1".into(),
        node: "node-1".into(),
        node_ip: "10.10.37.10".into(),
        pod_cidr: "10.132.0.0/14".into(),
        apps_domain: "apps.aws-sub1.example.com".into(),
        start_time: Duration::from_millis(50),
        pods: false,
    };
    tokio::spawn(workloads::play(world.client("aws-sub1"), profile, stop));
    submariner::hand_made_export(&world.client("aws-sub1"))
        .await
        .unwrap();
    submariner::hand_made_export(&world.client("aws-sub1"))
        .await
        .unwrap();
    let view = world
        .until("nginx is usable", |view| {
            ladder(view, "default/nginx", "aws-sub2") == Some((Discoverable::Yes, None))
        })
        .await;
    let export = &view.service(&name("default/nginx")).unwrap().exports[0];
    assert_eq!(export.delivered_by, None);
    let exports = object(
        world.client("aws-sub1"),
        "default",
        "multicluster.x-k8s.io",
        "v1alpha1",
        "ServiceExport",
    );
    let kept = exports.get("nginx").await.unwrap();
    assert_eq!(
        kept.data["status"]["conditions"].as_array().unwrap().len(),
        2
    );
    assert_eq!(
        kept.data["status"]["conditions"][0]["reason"],
        "AwaitingSync"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_that_is_down_is_told_and_hides_nobody() {
    let world = World::embedded().await;
    world.until("the cable is up", connected).await;
    let members = || -> BTreeMap<ClusterName, Result<kube::Client, String>> {
        world
            .outside
            .iter()
            .map(|(name, client)| (ClusterName::from(name.as_str()), Ok(client.clone())))
            .collect()
    };
    let mut args = ShowArgs {
        what: What::All,
        clusters: vec!["aws-sub2".into()],
        output: Output::Table,
    };
    let shown = show(&args, &world.hub, members()).await.unwrap();
    assert_eq!(shown.errors, [""; 0]);
    assert!(
        shown
            .text
            .starts_with("Cluster \"aws-sub2\"\n \u{2713} Showing Connections\nGATEWAY"),
        "{}",
        shown.text
    );
    assert!(
        shown
            .text
            .contains("ip-10-10-37-208   aws-sub1   203.0.113.21   yes   libreswan")
    );
    let gateway = "submariner-gateway              quay.io/submariner   0.8.1        v0.8.1";
    assert!(shown.text.contains(gateway), "{}", shown.text);

    world.switches["aws-sub1"].set(Fault::Refuse);
    args = ShowArgs {
        what: What::Connections,
        clusters: Vec::new(),
        output: Output::Json,
    };
    let shown = show(&args, &world.hub, members()).await.unwrap();
    assert_eq!(shown.errors.len(), 1);
    let reports: Value = serde_json::from_str(&shown.text).unwrap();
    assert!(reports[0]["error"].is_string());
    assert_eq!(reports[1]["connections"][0]["status"], "connected");
    let unknown = ShowArgs {
        clusters: vec!["nowhere".into()],
        ..args
    };
    assert!(
        show(&unknown, &world.hub, members())
            .await
            .unwrap_err()
            .to_string()
            .contains("nowhere")
    );

    let view = world
        .until("what it says is unknown", |view| {
            state(view, "aws-sub1", "aws-sub2") == Some(CableState::Unknown)
        })
        .await;
    assert_eq!(
        state(&view, "aws-sub2", "aws-sub1"),
        Some(CableState::Connected)
    );
    world.switches["aws-sub1"].set(Fault::Running);
    world.until("it is back", connected).await;
}
