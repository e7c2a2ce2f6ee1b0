//! A hub and one member without anything that plays workloads: only the
//! product writes, and on real control planes the controller manager.

use anyhow::Result;
use pilothouse::apiserver::{Options, Server};
use pilothouse::member::client::MemberClient;
use pilothouse::member::credential::MemberCredential;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::{ControlPlane, ControlPlaneOptions};

/// Which servers a run is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// Our own API servers, in this process, in memory, behind TLS on loopback.
    Embedded,
    /// etcd, kube-apiserver and kube-controller-manager on loopback.
    Real,
    /// The same, with two replicas of the product and the shipped rights.
    Shipped,
}

impl On {
    /// What is real and what is not.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Embedded => {
                "embedded: hub and member are this project's own API servers, in memory, \
                 in the bench's process, behind TLS on loopback; no controllers"
            }
            Self::Real => {
                "real: hub and member are etcd (without fsync), kube-apiserver and \
                 kube-controller-manager each, on loopback; no nodes, no pods"
            }
            Self::Shipped => {
                "real, two replicas with the shipped rights: hub and member are etcd (without \
                 fsync), kube-apiserver and kube-controller-manager each, on loopback; no nodes; \
                 leader and standby run beside the servers as deploy/overlays/two-replicas has \
                 them, as its ServiceAccount; the member is joined with the token of deploy/member"
            }
        }
    }
}

/// Running servers; dropping them ends them.
pub enum Ground {
    /// In this process.
    Embedded(Vec<(Server, u16)>, #[allow(dead_code)] DropGuard),
    /// Processes.
    Real(Vec<ControlPlane>),
}

/// Position of the hub among the servers.
pub const HUB: usize = 0;
/// Position of the member.
pub const MEMBER: usize = 1;

impl Ground {
    /// Starts both servers.
    pub async fn start(on: On) -> Result<Self> {
        match on {
            On::Embedded => {
                let shutdown = CancellationToken::new();
                let mut servers = Vec::new();
                for name in ["hub", crate::stage::MEMBER_NAME] {
                    let server = Server::open(Options::in_memory(name))?;
                    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
                    let port = listener.local_addr()?.port();
                    tokio::spawn(server.clone().serve(listener, shutdown.clone()));
                    servers.push((server, port));
                }
                Ok(Self::Embedded(servers, shutdown.drop_guard()))
            }
            On::Real | On::Shipped => {
                let options = || ControlPlaneOptions {
                    workloads: false,
                    ..ControlPlaneOptions::default()
                };
                let (hub, member) = futures::future::try_join(
                    ControlPlane::start("hub", options()),
                    ControlPlane::start(crate::stage::MEMBER_NAME, options()),
                )
                .await?;
                Ok(Self::Real(vec![hub, member]))
            }
        }
    }

    /// The admin's kubeconfig of a server.
    pub fn kubeconfig(&self, which: usize) -> String {
        match self {
            Self::Embedded(servers, _) => {
                let (server, port) = &servers[which];
                server.kubeconfig(&format!("https://127.0.0.1:{port}"))
            }
            Self::Real(planes) => planes[which].kubeconfig(),
        }
    }

    /// A control plane, where it is one.
    pub fn plane(&self, which: usize) -> Result<&ControlPlane> {
        match self {
            Self::Embedded(..) => anyhow::bail!("an embedded server is no control plane"),
            Self::Real(planes) => Ok(&planes[which]),
        }
    }

    /// Clients as the product makes them: HTTP/2, watches apart from calls.
    pub async fn client(&self, which: usize) -> Result<MemberClient> {
        let kubeconfig = self.kubeconfig(which);
        let credential = MemberCredential::from_kubeconfig(kubeconfig.as_bytes(), None)?;
        Ok(MemberClient::connect(&credential).await?)
    }
}
