//! What a scenario stands on: servers for the hub and its two members, ours
//! or real ones. A scenario never knows which.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use pilothouse::apiserver::{Fault, Options, Server};
use pilothouse::simulator::workloads::{self, Profile};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::support::Fleet;

/// Network ranges of the article's clusters: name, services, pods.
const MEMBERS: [(&str, &str, &str); 2] = [
    ("aws-sub1", "172.31.0.0/16", "10.132.0.0/14"),
    ("aws-sub2", "172.30.0.0/16", "10.128.0.0/14"),
];

/// Fleets of real control planes at once: each needs 1.6 GB of memory.
static REAL: Semaphore = Semaphore::const_new(2);

/// Hub and members.
pub enum Ground {
    /// Our own API servers, members behind TLS listeners.
    Embedded(Embedded),
    /// Real control planes.
    Real(Box<Fleet>, SemaphorePermit<'static>),
}

/// Servers in this process.
pub struct Embedded {
    hub: (Server, u16),
    members: BTreeMap<String, (Server, u16)>,
    _shutdown: DropGuard,
}

impl Ground {
    /// Starts embedded servers; needs nothing of the machine.
    pub async fn embedded() -> Result<Self> {
        let shutdown = CancellationToken::new();
        let mut members = BTreeMap::new();
        for (name, service_cidr, pod_cidr) in MEMBERS {
            let server = Server::open(Options {
                service_cidr: service_cidr.to_owned(),
                ..Options::in_memory(name)
            })?;
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            tokio::spawn(server.clone().serve(listener, shutdown.clone()));
            tokio::spawn(workloads::play(
                server.client(),
                profile(name, pod_cidr),
                shutdown.clone(),
            ));
            members.insert(name.to_owned(), (server, port));
        }
        let hub = Server::open(Options::in_memory("hub"))?;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(hub.clone().serve(listener, shutdown.clone()));
        Ok(Self::Embedded(Embedded {
            hub: (hub, port),
            members,
            _shutdown: shutdown.drop_guard(),
        }))
    }

    /// Starts real control planes; the tier `controlplane` must be there.
    pub async fn real() -> Result<Self> {
        let permit = REAL.acquire().await?;
        Ok(Self::Real(Box::new(Fleet::guestbook().await?), permit))
    }

    /// The control planes, where they are real.
    pub fn fleet(&mut self) -> Option<&mut Fleet> {
        match self {
            Self::Embedded(_) => None,
            Self::Real(fleet, _) => Some(fleet),
        }
    }

    /// A client of the hub as its admin.
    pub async fn hub(&self) -> Result<Client> {
        match self {
            Self::Embedded(servers) => Ok(servers.hub.0.client()),
            Self::Real(fleet, _) => fleet.hub.client().await,
        }
    }

    /// A client of each member as its admin; the member's faults spare it
    /// where the ground can tell.
    pub async fn members(&self) -> Result<BTreeMap<String, Client>> {
        let mut clients = BTreeMap::new();
        for (name, _, _) in MEMBERS {
            let client = match self {
                Self::Embedded(servers) => servers.member(name)?.0.client(),
                Self::Real(fleet, _) => fleet.members[name].client().await?,
            };
            clients.insert(name.to_owned(), client);
        }
        Ok(clients)
    }

    /// The kubeconfig of the hub's admin.
    pub fn hub_kubeconfig(&self) -> String {
        match self {
            Self::Embedded(servers) => {
                let (server, port) = &servers.hub;
                server.kubeconfig(&format!("https://127.0.0.1:{port}"))
            }
            Self::Real(fleet, _) => fleet.hub.kubeconfig(),
        }
    }

    /// The kubeconfig of a member's admin, with which the product reaches it.
    pub fn kubeconfig(&self, member: &str) -> Result<String> {
        Ok(match self {
            Self::Embedded(servers) => {
                let (server, port) = servers.member(member)?;
                server.kubeconfig(&format!("https://127.0.0.1:{port}"))
            }
            Self::Real(fleet, _) => fleet.members[member].kubeconfig(),
        })
    }

    /// The member's API server is gone from one moment to the next.
    pub fn stop(&mut self, member: &str) -> Result<()> {
        match self {
            Self::Embedded(servers) => servers.member(member)?.0.faults().set(Fault::Drop),
            Self::Real(fleet, _) => fleet
                .members
                .get_mut(member)
                .context("no such member")?
                .kill_apiserver()?,
        }
        Ok(())
    }

    /// It is back at the same address.
    pub async fn start(&mut self, member: &str) -> Result<()> {
        match self {
            Self::Embedded(servers) => servers.member(member)?.0.faults().set(Fault::Running),
            Self::Real(fleet, _) => {
                let plane = fleet.members.get_mut(member).context("no such member")?;
                plane.start_apiserver().await?;
            }
        }
        Ok(())
    }
}

impl Embedded {
    fn member(&self, name: &str) -> Result<&(Server, u16)> {
        self.members.get(name).context("no such member")
    }
}

fn profile(cluster: &str, pod_cidr: &str) -> Profile {
    Profile {
        cluster: cluster.to_owned(),
        node: format!("{cluster}-worker"),
        node_ip: "10.0.0.1".to_owned(),
        pod_cidr: pod_cidr.to_owned(),
        apps_domain: format!("apps.{cluster}.example.com"),
        start_time: Duration::from_millis(50),
        pods: false,
    }
}
