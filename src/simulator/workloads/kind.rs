//! The kinds that a cluster's own controllers work on.

use kube::api::ApiResource;

/// One kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Deployment,
    StatefulSet,
    DaemonSet,
    Job,
    Service,
    Slice,
    Pod,
    Claim,
    Ingress,
    Route,
    Node,
}

impl Kind {
    /// Those that are watched.
    pub(super) const ALL: [Self; 10] = [
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::Job,
        Self::Service,
        Self::Slice,
        Self::Pod,
        Self::Claim,
        Self::Ingress,
        Self::Route,
    ];

    /// Group, version, kind and plural.
    const fn parts(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Deployment => ("apps", "v1", "Deployment", "deployments"),
            Self::StatefulSet => ("apps", "v1", "StatefulSet", "statefulsets"),
            Self::DaemonSet => ("apps", "v1", "DaemonSet", "daemonsets"),
            Self::Job => ("batch", "v1", "Job", "jobs"),
            Self::Service => ("", "v1", "Service", "services"),
            Self::Slice => ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            Self::Pod => ("", "v1", "Pod", "pods"),
            Self::Claim => ("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
            Self::Ingress => ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            Self::Route => ("route.openshift.io", "v1", "Route", "routes"),
            Self::Node => ("", "v1", "Node", "nodes"),
        }
    }

    /// The kind's name as objects carry it.
    pub(super) const fn name(self) -> &'static str {
        self.parts().2
    }

    /// `group/version` as objects carry it.
    pub(super) fn api_version(self) -> String {
        match self.parts() {
            ("", version, ..) => version.to_owned(),
            (group, version, ..) => format!("{group}/{version}"),
        }
    }

    /// How kube addresses it.
    pub(super) fn resource(self) -> ApiResource {
        let (group, version, kind, plural) = self.parts();
        ApiResource {
            group: group.to_owned(),
            version: version.to_owned(),
            api_version: self.api_version(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
        }
    }

    /// Whether it makes pods.
    pub(super) const fn is_workload(self) -> bool {
        matches!(
            self,
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::Job
        )
    }

    /// Whether every cluster serves it; the others may be absent.
    pub(super) const fn is_built_in(self) -> bool {
        !matches!(self, Self::Route)
    }
}
