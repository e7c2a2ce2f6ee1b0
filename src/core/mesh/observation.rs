//! What was read from one cluster: compact facts, never whole objects, and
//! never a token or an IPsec key.
//!
//! The shell fills a [`MeshObservation`]; everything else in `core::mesh`
//! only reads it. A fact that is absent may be absent on the cluster or not
//! read yet: [`Reading`] tells which.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::api::NamespacedName;
use crate::core::mesh::beat::Beat;
use crate::core::mesh::duration::GoDuration;

/// Kinds that the observer reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum MeshKind {
    /// `submariner.io/v1alpha1`.
    Submariner,
    /// `submariner.io/v1alpha1`.
    Broker,
    /// `submariner.io/v1`.
    Gateway,
    /// `submariner.io/v1`.
    Endpoint,
    /// `submariner.io/v1`.
    Cluster,
    /// `submariner.io/v1`, since 0.19.
    RouteAgent,
    /// `multicluster.x-k8s.io`.
    ServiceExport,
    /// `multicluster.x-k8s.io`.
    ServiceImport,
    /// `discovery.k8s.io/v1`, those of Lighthouse only.
    EndpointSlice,
    /// Names only.
    Namespace,
}

impl MeshKind {
    /// All of them, in the order in which they are read.
    pub const ALL: [Self; 10] = [
        Self::Submariner,
        Self::Broker,
        Self::Gateway,
        Self::Endpoint,
        Self::Cluster,
        Self::RouteAgent,
        Self::ServiceExport,
        Self::ServiceImport,
        Self::EndpointSlice,
        Self::Namespace,
    ];
}

/// How far the hub got in reading a kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Reading {
    /// Not yet: absence means nothing.
    #[default]
    Pending,
    /// The cluster does not serve the kind: its CRD is not installed.
    NotServed,
    /// Listed and watched: absence means absent.
    Current,
    /// Reading fails; what was read before is kept and may be old.
    Failing {
        /// Since when.
        since: Timestamp,
        /// What the server or the network said, one line, no secret.
        message: String,
    },
}

/// What was read from one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MeshObservation {
    /// How far each kind got; a kind that is not listed is [`Reading::Pending`].
    pub readings: BTreeMap<MeshKind, Reading>,
    /// Names of the namespaces.
    pub namespaces: BTreeSet<String>,
    /// Submariner resources (normally one).
    pub submariners: Vec<SubmarinerFacts>,
    /// Broker resources (on the cluster that hosts the broker).
    pub brokers: Vec<BrokerFacts>,
    /// Gateways, active and passive.
    pub gateways: Vec<GatewayFacts>,
    /// Endpoint objects: the cluster's own, copies of the others, and the broker's.
    pub endpoints: Vec<EndpointObject>,
    /// Cluster objects, likewise.
    pub clusters: Vec<ClusterFacts>,
    /// Route agents (0.19 and later).
    pub route_agents: Vec<RouteAgentFacts>,
    /// ServiceExports.
    pub exports: Vec<ExportFacts>,
    /// ServiceImports: aggregated, local and the broker's.
    pub imports: Vec<ImportFacts>,
    /// Lighthouse EndpointSlices.
    pub slices: Vec<SliceFacts>,
    /// Services behind the exports; `None` when the Service does not exist.
    /// A Service that is not listed was not read.
    pub services: BTreeMap<NamespacedName, Option<ServiceFacts>>,
}

impl MeshObservation {
    /// How far the reading of `kind` got.
    #[must_use]
    pub fn reading(&self, kind: MeshKind) -> &Reading {
        self.readings.get(&kind).unwrap_or(&Reading::Pending)
    }

    /// Whether absence of an object of `kind` means that it does not exist.
    #[must_use]
    pub fn is_current(&self, kind: MeshKind) -> bool {
        matches!(self.reading(kind), Reading::Current)
    }

    /// The id by which Submariner knows the cluster, when it says so.
    #[must_use]
    pub fn cluster_id(&self) -> Option<&str> {
        self.submariners
            .iter()
            .map(|facts| facts.cluster_id.as_str())
            .chain(
                self.gateways
                    .iter()
                    .map(|gateway| gateway.local.cluster_id.as_str()),
            )
            .find(|id| !id.is_empty())
    }

    /// Whether Submariner's connectivity part is installed, as far as known.
    #[must_use]
    pub fn runs_submariner(&self) -> bool {
        !self.submariners.is_empty() || !self.gateways.is_empty()
    }

    /// The same facts of a cluster that stopped answering: old news, which
    /// prove neither that something is there nor that it is not.
    #[must_use]
    pub fn unreadable(&self, since: Timestamp, message: &str) -> Self {
        let failing = Reading::Failing {
            since,
            message: message.trim_end_matches('.').to_owned(),
        };
        Self {
            readings: MeshKind::ALL
                .into_iter()
                .map(|kind| (kind, failing.clone()))
                .collect(),
            ..self.clone()
        }
    }

    /// Namespaces of the cluster that hold a broker (submariner.md §4).
    #[must_use]
    pub fn broker_namespaces(&self) -> BTreeSet<&str> {
        self.brokers
            .iter()
            .map(|broker| broker.namespace.as_str())
            .collect()
    }
}

/// The Submariner resource. The broker's token, its CA and the IPsec key are
/// never read.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct SubmarinerFacts {
    /// Namespace of the resource.
    pub namespace: String,
    /// `spec.clusterID`.
    pub cluster_id: String,
    /// `spec.cableDriver`.
    pub cable_driver: String,
    /// `spec.repository`.
    pub repository: String,
    /// `spec.version`, as configured.
    pub version: String,
    /// Host and port of the broker's API server.
    pub broker_server: String,
    /// Namespace at the broker.
    pub broker_namespace: String,
    /// Whether Lighthouse is asked for.
    pub service_discovery: bool,
    /// `connectionHealthCheck.enabled`; the default is on.
    pub health_check: bool,
    /// `status.networkPlugin`; empty when not detected.
    pub network_plugin: String,
    /// Service CIDRs, as detected.
    pub service_cidr: Vec<String>,
    /// Pod CIDRs, as detected.
    pub cluster_cidr: Vec<String>,
    /// Globalnet CIDR, when globalnet is on.
    pub global_cidr: Vec<String>,
    /// Clusterset IP CIDR, when those are on.
    pub clusterset_ip_cidr: Vec<String>,
    /// Clusters' Gateway reports as the operator copied them: the only
    /// source on releases that have no Gateway resource.
    pub legacy_gateways: Vec<GatewayFacts>,
}

/// The Broker resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BrokerFacts {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `spec.components`.
    pub components: Vec<String>,
    /// `spec.globalnetEnabled`.
    pub globalnet: bool,
    /// `spec.globalnetCIDRRange`.
    pub globalnet_cidr: String,
    /// `spec.defaultGlobalnetClusterSize`.
    pub globalnet_size: u64,
    /// `spec.defaultCustomDomains`.
    pub domains: Vec<String>,
}

/// One gateway node's report.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GatewayFacts {
    /// Namespace.
    pub namespace: String,
    /// Name: the node's.
    pub name: String,
    /// Annotation `update-timestamp`, as written. It says nothing about age
    /// here: clocks of two machines are never compared.
    #[serde(skip)]
    pub stamp: Option<String>,
    /// What the hub saw of the stamp's movement. Filled by the observer.
    pub beat: Beat,
    /// `status.version`.
    pub version: String,
    /// `status.haStatus`: `active` or `passive`.
    pub ha_status: String,
    /// `status.statusFailure`; empty when well.
    pub failure: String,
    /// The gateway's own endpoint.
    pub local: EndpointFacts,
    /// Connections to other clusters; a passive gateway lists none.
    pub connections: Vec<ConnectionFacts>,
}

impl GatewayFacts {
    /// Whether this gateway carries the cables of its cluster.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.ha_status == "active"
    }
}

/// One connection of a gateway, as its driver and health checker report it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ConnectionFacts {
    /// The other side's endpoint.
    pub endpoint: EndpointFacts,
    /// `connected`, `connecting`, `error`, or a word of a later release.
    pub status: String,
    /// What the gateway says about it.
    pub message: String,
    /// Address in use.
    pub using_ip: Option<String>,
    /// Whether NAT is crossed.
    pub using_nat: Option<bool>,
    /// Round trips measured by the health checker.
    pub rtt: Option<RoundTrip>,
}

/// Round trips between the health-check addresses of two gateways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RoundTrip {
    /// Last.
    pub last: Option<GoDuration>,
    /// Least.
    pub min: Option<GoDuration>,
    /// Mean.
    pub average: Option<GoDuration>,
    /// Greatest.
    pub max: Option<GoDuration>,
    /// Standard deviation.
    pub std_dev: Option<GoDuration>,
}

impl RoundTrip {
    /// Whether a ping was ever answered: all zero means that nothing was measured.
    #[must_use]
    pub fn measured(&self) -> bool {
        [self.last, self.average, self.max]
            .into_iter()
            .flatten()
            .any(|duration| duration.nanos() > 0)
    }
}

/// EndpointSpec of `submariner.io/v1`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointFacts {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Cable name.
    pub cable_name: String,
    /// Host name of the gateway node.
    pub hostname: String,
    /// Addresses inside the cluster's network (IPv4, IPv6).
    pub private_ips: Vec<String>,
    /// Addresses seen from outside.
    pub public_ips: Vec<String>,
    /// Addresses that the health checker pings; empty when it is off.
    pub health_check_ips: Vec<String>,
    /// Service and pod CIDRs, or the global CIDR under globalnet.
    pub subnets: Vec<String>,
    /// Whether NAT is expected.
    pub nat_enabled: bool,
    /// Cable driver: `libreswan`, `wireguard`, `vxlan`.
    pub backend: String,
    /// Driver settings that both ends must agree on (ports).
    pub ports: BTreeMap<String, String>,
}

/// An Endpoint object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct EndpointObject {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Its spec.
    pub spec: EndpointFacts,
}

/// A Cluster object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClusterFacts {
    /// Namespace.
    pub namespace: String,
    /// Id.
    pub cluster_id: String,
    /// Pod CIDRs.
    pub cluster_cidr: Vec<String>,
    /// Service CIDRs.
    pub service_cidr: Vec<String>,
    /// Globalnet CIDRs.
    pub global_cidr: Vec<String>,
}

/// A RouteAgent's view of one remote endpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RouteAgentFacts {
    /// Node.
    pub name: String,
    /// `status.version`.
    pub version: String,
    /// Remote cluster id, status, message.
    pub remotes: Vec<(String, String, String)>,
}

/// One condition of a ServiceExport, in the order in which it is listed: on
/// releases up to 0.12 the list is a history and the last entry counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConditionFacts {
    /// `type`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// May be empty.
    pub reason: String,
    /// May be empty.
    pub message: String,
    /// `lastTransitionTime`.
    pub since: Option<Timestamp>,
}

/// A ServiceExport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExportFacts {
    /// Namespace and name of the export and of its Service.
    pub service: NamespacedName,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// The Subscription that delivered it (annotation
    /// `apps.open-cluster-management.io/hosting-subscription`); `None` when
    /// people made it by hand.
    pub delivered_by: Option<String>,
    /// Conditions as listed.
    pub conditions: Vec<ConditionFacts>,
}

/// A port of an import or a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct PortFacts {
    /// May be empty.
    pub name: String,
    /// `TCP` when not said.
    pub protocol: String,
    /// Number.
    pub port: u16,
}

/// A ServiceImport.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImportFacts {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// The service that it stands for.
    pub service: NamespacedName,
    /// The one cluster that it stands for, when it is a per-cluster import
    /// (`SVC-NS-CLUSTER`); `None` for an aggregated one.
    pub source_cluster: Option<String>,
    /// `status.clusters`.
    pub clusters: Vec<String>,
    /// `spec.type` is `Headless`.
    pub headless: bool,
    /// Clusterset IPs, or the exporter's own address on per-cluster imports.
    pub ips: Vec<String>,
    /// Ports.
    pub ports: Vec<PortFacts>,
}

/// A Lighthouse EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SliceFacts {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object: generated, never matched on.
    pub name: String,
    /// The service that it stands for, from its labels.
    pub service: NamespacedName,
    /// The exporting cluster, from its label.
    pub source_cluster: String,
    /// Label `lighthouse.submariner.io/is-headless`.
    pub headless: bool,
    /// Endpoints.
    pub endpoints: Vec<BackendFacts>,
    /// Ports.
    pub ports: Vec<PortFacts>,
}

impl SliceFacts {
    /// Endpoints that would be served: `ready` true or not said.
    pub fn ready(&self) -> impl Iterator<Item = &BackendFacts> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.ready != Some(false))
    }
}

/// One endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BackendFacts {
    /// Addresses: the Service's cluster IP, or pod IPs when headless.
    pub addresses: Vec<String>,
    /// `conditions.ready`; not said counts as ready.
    pub ready: Option<bool>,
    /// Host name of a headless pod.
    pub hostname: Option<String>,
}

/// The Service behind an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ServiceFacts {
    /// `spec.type`.
    pub kind: String,
    /// `spec.clusterIP`; `None` for headless.
    pub cluster_ip: Option<String>,
}
