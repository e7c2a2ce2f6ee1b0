//! Objects of any kind as JSON, for tests that compare what is stored.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::Value;

use super::condition::await_condition;

/// Where objects of a kind are served.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    api_version: &'static str,
    kind: &'static str,
    plural: &'static str,
    namespaced: bool,
}

macro_rules! kinds {
    ($($name:ident: $scope:ident $api_version:literal $kind:literal $plural:literal;)*) => {
        $(
            #[doc = concat!($kind, " of ", $api_version)]
            pub const $name: Kind = Kind {
                api_version: $api_version,
                kind: $kind,
                plural: $plural,
                namespaced: kinds!($scope),
            };
        )*
        const ALL: &[Kind] = &[$($name),*];
    };
    (namespaced) => { true };
    (cluster) => { false };
}

kinds! {
    NAMESPACE: cluster "v1" "Namespace" "namespaces";
    LEASE: namespaced "coordination.k8s.io/v1" "Lease" "leases";
    SECRET: namespaced "v1" "Secret" "secrets";
    SERVICE: namespaced "v1" "Service" "services";
    CONFIG_MAP: namespaced "v1" "ConfigMap" "configmaps";
    DEPLOYMENT: namespaced "apps/v1" "Deployment" "deployments";
    ROUTE: namespaced "route.openshift.io/v1" "Route" "routes";
    SERVICE_EXPORT: namespaced "multicluster.x-k8s.io/v1alpha1" "ServiceExport" "serviceexports";
    CRD: cluster "apiextensions.k8s.io/v1" "CustomResourceDefinition" "customresourcedefinitions";
    CHANNEL: namespaced "apps.open-cluster-management.io/v1" "Channel" "channels";
    SUBSCRIPTION: namespaced "apps.open-cluster-management.io/v1" "Subscription" "subscriptions";
    PLACEMENT_RULE: namespaced "apps.open-cluster-management.io/v1" "PlacementRule" "placementrules";
    EVENT: namespaced "events.k8s.io/v1" "Event" "events";
    SUBSCRIPTION_STATUS: namespaced "apps.open-cluster-management.io/v1alpha1" "SubscriptionStatus" "subscriptionstatuses";
    SUBSCRIPTION_REPORT: namespaced "apps.open-cluster-management.io/v1alpha1" "SubscriptionReport" "subscriptionreports";
    APPLICATION: namespaced "app.k8s.io/v1beta1" "Application" "applications";
    PLACEMENT_DECISION: namespaced "cluster.open-cluster-management.io/v1beta1" "PlacementDecision" "placementdecisions";
    MANAGED_CLUSTER_SET: cluster "cluster.open-cluster-management.io/v1beta2" "ManagedClusterSet" "managedclustersets";
    POD: namespaced "v1" "Pod" "pods";
    ROLE_BINDING: namespaced "rbac.authorization.k8s.io/v1" "RoleBinding" "rolebindings";
    CLUSTER_ROLE_BINDING: cluster "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "clusterrolebindings";
    MANAGED_CLUSTER: cluster "cluster.open-cluster-management.io/v1" "ManagedCluster" "managedclusters";
}

impl Kind {
    /// Its name, as manifests have it.
    pub fn name(self) -> &'static str {
        self.kind
    }

    /// The kind of a manifest, where the tests know it.
    pub fn of(manifest: &Value) -> Option<Self> {
        ALL.iter()
            .find(|k| manifest["apiVersion"] == k.api_version && manifest["kind"] == k.kind)
            .copied()
    }

    fn resource(self) -> ApiResource {
        let (group, version) = self
            .api_version
            .split_once('/')
            .unwrap_or(("", self.api_version));
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version.to_owned(),
            kind: self.kind.to_owned(),
            plural: self.plural.to_owned(),
        }
    }

    /// The collection; `namespace` is ignored for cluster-scoped kinds.
    pub fn api(self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced {
            Api::namespaced_with(client.clone(), namespace, &self.resource())
        } else {
            Api::all_with(client.clone(), &self.resource())
        }
    }

    /// The object, or `None` where it (or its kind) is not there.
    pub async fn find(
        self,
        client: &Client,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Value>, String> {
        match self.api(client, namespace).get(name).await {
            Ok(object) => serde_json::to_value(object)
                .map(Some)
                .map_err(|e| e.to_string()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.to_string()),
        }
    }

    /// All objects of the namespace.
    pub async fn list(self, client: &Client, namespace: &str) -> Result<Vec<Value>, String> {
        let list = self
            .api(client, namespace)
            .list(&ListParams::default())
            .await;
        let objects = list.map_err(|error| error.to_string())?.items;
        objects
            .into_iter()
            .map(|object| serde_json::to_value(object).map_err(|error| error.to_string()))
            .collect()
    }

    /// Waits until the object is there and `accept` says yes to it; its `Err`
    /// is what the failure message shows.
    pub async fn wait(
        self,
        client: &Client,
        namespace: &str,
        name: &str,
        limit: Duration,
        accept: impl Fn(&Value) -> Result<(), String>,
    ) -> Value {
        let what = format!("{} {namespace}/{name}", self.kind);
        await_condition(&what, limit, || async {
            let found = self.find(client, namespace, name).await?;
            let object = found.ok_or("it is not there")?;
            accept(&object).map(|()| object)
        })
        .await
    }

    /// Waits until the object is gone.
    pub async fn wait_gone(self, client: &Client, namespace: &str, name: &str, limit: Duration) {
        let what = format!("{} {namespace}/{name} gone", self.kind);
        await_condition(&what, limit, || async {
            match self.find(client, namespace, name).await? {
                None => Ok(()),
                Some(object) => Err(object["metadata"].to_string()),
            }
        })
        .await;
    }
}

/// Server-side apply of a manifest under the name `kubectl`.
pub async fn apply(client: &Client, manifest: &Value) -> anyhow::Result<()> {
    let kind = Kind::of(manifest)
        .ok_or_else(|| anyhow::anyhow!("no test knows the kind of {manifest}"))?;
    let text = |field: &str| manifest["metadata"][field].as_str().unwrap_or_default();
    kind.api(client, text("namespace"))
        .patch(
            text("name"),
            &PatchParams::apply("kubectl"),
            &Patch::Apply(manifest),
        )
        .await?;
    Ok(())
}
