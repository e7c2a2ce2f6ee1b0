//! A real Kubernetes control plane on loopback: etcd, kube-apiserver,
//! kube-controller-manager, kube-scheduler and kwok, which plays one node and
//! its pods. Everything else (admission, server-side apply, garbage
//! collection, rollouts) is what a cluster really does.
//!
//! Every process ends with the [`ControlPlane`], and with the test process
//! however that one ends ([`process::Watchdog`]).

mod binaries;
mod certificates;
mod ports;
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tempfile::TempDir;

pub use binaries::Binaries;
use certificates::Certificates;
use process::{Process, Watchdog};

/// From start to ready: 2.5 s on an idle machine; a loaded one needs longer.
const BOOT: Duration = Duration::from_secs(120);
/// How long a process may take to end after SIGTERM. An API server drains for
/// several seconds, and for ever once its etcd is gone.
const GRACE: Duration = Duration::from_secs(15);

/// What differs between the control planes of a fleet.
#[derive(Debug, Clone)]
pub struct ControlPlaneOptions {
    /// Range of ClusterIPs, as CIDR.
    pub service_cidr: String,
    /// Range of pod addresses that kwok hands out, as address and prefix.
    pub pod_cidr: String,
    /// Scheduler and kwok with one node, so that Deployments become available.
    pub workloads: bool,
    /// `false` drops fsync in etcd: faster, and enough where no test ends the
    /// machine.
    pub durable: bool,
    /// More flags of the API server.
    pub apiserver_flags: Vec<String>,
}

impl Default for ControlPlaneOptions {
    fn default() -> Self {
        Self {
            service_cidr: "10.0.0.0/16".to_owned(),
            pod_cidr: "10.244.0.1/16".to_owned(),
            workloads: true,
            durable: false,
            apiserver_flags: Vec::new(),
        }
    }
}

/// A running control plane. Dropping it ends its processes at once.
pub struct ControlPlane {
    name: String,
    options: ControlPlaneOptions,
    binaries: Binaries,
    certificates: Certificates,
    ports: Ports,
    etcd: Process,
    /// `None` while the API server is stopped.
    apiserver: Option<Process>,
    controllers: Vec<Process>,
    watchdog: Watchdog,
    directory: TempDir,
}

/// Loopback ports of one control plane.
struct Ports {
    etcd: u16,
    etcd_peer: u16,
    apiserver: u16,
}

impl ControlPlane {
    /// Starts a control plane and waits until it is ready: `/readyz` answers
    /// ok and, with `workloads`, the node is ready. `name` is for people.
    pub async fn start(name: &str, options: ControlPlaneOptions) -> Result<Self> {
        let binaries = Binaries::find()
            .map_err(|missing| anyhow::anyhow!("{}; {}", missing.why, missing.how))?;
        let directory = TempDir::with_prefix(format!("pilothouse-{name}-"))?;
        let ports = Ports {
            etcd: ports::reserve()?,
            etcd_peer: ports::reserve()?,
            apiserver: ports::reserve()?,
        };
        let certificates = Certificates::write(
            directory.path(),
            name,
            &options.service_cidr,
            ports.apiserver,
        )?;
        let mut watchdog = Watchdog::start(directory.path())?;
        let etcd = Process::start(
            "etcd",
            &binaries.etcd,
            &etcd_flags(directory.path(), &ports, &options),
            directory.path(),
        )?;
        watchdog.guard([&etcd])?;
        let mut plane = Self {
            name: name.to_owned(),
            options,
            binaries,
            certificates,
            ports,
            etcd,
            apiserver: None,
            controllers: Vec::new(),
            watchdog,
            directory,
        };
        match plane.boot().await {
            Ok(()) => Ok(plane),
            Err(error) => {
                let logs = plane.logs();
                Err(error.context(format!("control plane {name} does not start\n{logs}")))
            }
        }
    }

    async fn boot(&mut self) -> Result<()> {
        self.start_apiserver().await?;
        let mut starts = vec![(
            "kube-controller-manager",
            self.binaries.controller_manager.clone(),
            self.controller_manager_flags(),
        )];
        if self.options.workloads {
            starts.push((
                "kube-scheduler",
                self.binaries.scheduler.clone(),
                self.scheduler_flags(),
            ));
            starts.push(("kwok", self.binaries.kwok.clone(), self.kwok_flags()));
        }
        for (name, binary, flags) in starts {
            let process = Process::start(name, &binary, &flags, self.directory.path())?;
            self.controllers.push(process);
        }
        self.guard()?;
        if self.options.workloads {
            self.create_node().await?;
        }
        Ok(())
    }

    /// A client as cluster admin, verified by the harness's CA. It belongs to
    /// the async runtime that asks for it: make one per test.
    pub async fn client(&self) -> Result<kube::Client> {
        let kubeconfig = Kubeconfig::from_yaml(&self.certificates.kubeconfig)?;
        let config =
            kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(kube::Client::try_from(config)?)
    }

    /// Kubeconfig of the cluster admin: certificates inside, no file paths.
    pub fn kubeconfig(&self) -> String {
        self.certificates.kubeconfig.clone()
    }

    /// The same kubeconfig as a file of mode 0600.
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.directory.path().join("kubeconfig")
    }

    /// `https://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    /// The newest kubectl, as old as the server.
    pub fn kubectl(&self) -> &Path {
        &self.binaries.kubectl
    }

    /// Process ids by program, for those who measure memory.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        std::iter::once(&self.etcd)
            .chain(&self.apiserver)
            .chain(&self.controllers)
            .map(|process| (process.name(), process.id()))
            .collect()
    }

    /// Ends the API server in order, as an upgrade would; connections are
    /// refused afterwards. The controllers stay and retry.
    pub async fn stop_apiserver(&mut self) -> Result<()> {
        if let Some(mut process) = self.apiserver.take() {
            process.stop(GRACE).await?;
        }
        self.guard()
    }

    /// Ends the API server at once, as a lost machine would.
    pub fn kill_apiserver(&mut self) -> Result<()> {
        if let Some(mut process) = self.apiserver.take() {
            process.kill();
        }
        self.guard()
    }

    /// Ends etcd at once and starts it on its data again. The API server
    /// stays, and finds it again by itself.
    pub fn restart_etcd(&mut self) -> Result<()> {
        self.etcd.kill();
        self.etcd = Process::start(
            "etcd",
            &self.binaries.etcd,
            &etcd_flags(self.directory.path(), &self.ports, &self.options),
            self.directory.path(),
        )?;
        self.guard()
    }

    /// The API server keeps its connections but answers nothing until
    /// [`ControlPlane::thaw_apiserver`]: a member that hangs.
    pub fn freeze_apiserver(&self) -> Result<()> {
        let process = self.apiserver.as_ref().context("API server is stopped")?;
        process.signal("STOP")
    }

    /// Undoes [`ControlPlane::freeze_apiserver`].
    pub fn thaw_apiserver(&self) -> Result<()> {
        let process = self.apiserver.as_ref().context("API server is stopped")?;
        process.signal("CONT")
    }

    /// Starts the API server on its port again and waits until it is ready.
    pub async fn start_apiserver(&mut self) -> Result<()> {
        if self.apiserver.is_none() {
            self.apiserver = Some(Process::start(
                "kube-apiserver",
                &self.binaries.apiserver,
                &self.apiserver_flags(),
                self.directory.path(),
            )?);
            self.guard()?;
        }
        self.ready().await
    }

    /// Ends everything in order: controllers, API server, etcd last. Tests
    /// need not call it; dropping does the same without waiting.
    pub async fn stop(mut self) -> Result<()> {
        for process in &mut self.controllers {
            process.signal("TERM")?;
        }
        for process in &mut self.controllers {
            process.stop(GRACE).await?;
        }
        self.stop_apiserver().await?;
        self.etcd.stop(GRACE).await
    }

    /// The last lines of every log, for a failure message.
    pub fn logs(&self) -> String {
        std::iter::once(&self.etcd)
            .chain(&self.apiserver)
            .chain(&self.controllers)
            .map(Process::tail)
            .collect()
    }

    fn guard(&mut self) -> Result<()> {
        let processes = std::iter::once(&self.etcd)
            .chain(&self.apiserver)
            .chain(&self.controllers);
        self.watchdog.guard(processes)
    }

    async fn ready(&mut self) -> Result<()> {
        let client = self.client().await?;
        let deadline = Instant::now() + BOOT;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new())?;
            let answer =
                tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await;
            let state = match answer {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(error)) => error.to_string(),
                Err(_) => "no answer within 5 s".to_owned(),
            };
            for process in self.apiserver.iter_mut().chain([&mut self.etcd]) {
                if let Some(status) = process.ended()? {
                    bail!("{} ended by itself: {status}", process.name());
                }
            }
            if Instant::now() > deadline {
                bail!("API server not ready within {BOOT:?}: {state}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// kwok plays the node once it is there: capacity, Ready, the lease.
    async fn create_node(&mut self) -> Result<()> {
        let node: Node = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": format!("{}-worker", self.name),
                "labels": {
                    "kubernetes.io/hostname": format!("{}-worker", self.name),
                    "kubernetes.io/os": "linux",
                    "node-role.kubernetes.io/worker": "",
                },
            },
        }))?;
        let nodes: Api<Node> = Api::all(self.client().await?);
        nodes.create(&PostParams::default(), &node).await?;
        let deadline = Instant::now() + BOOT;
        loop {
            let node = nodes.get(&format!("{}-worker", self.name)).await?;
            if is_ready(&node) {
                return Ok(());
            }
            for process in &mut self.controllers {
                if let Some(status) = process.ended()? {
                    bail!("{} ended by itself: {status}", process.name());
                }
            }
            if Instant::now() > deadline {
                bail!("node not ready within {BOOT:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    fn apiserver_flags(&self) -> Vec<String> {
        let plugins = "ServiceAccount,TaintNodesByCondition";
        let mut flags = vec![
            format!("--etcd-servers=http://127.0.0.1:{}", self.ports.etcd),
            format!("--secure-port={}", self.ports.apiserver),
            "--bind-address=127.0.0.1".to_owned(),
            // The address that Endpoints of the service `kubernetes` would
            // carry may not be loopback; with the reconciler off nobody uses it.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--tls-cert-file={}", self.file("apiserver.crt")),
            format!("--tls-private-key-file={}", self.file("apiserver.key")),
            format!("--client-ca-file={}", self.file("ca.crt")),
            "--authorization-mode=RBAC".to_owned(),
            format!("--service-cluster-ip-range={}", self.options.service_cidr),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            format!("--service-account-key-file={}", self.file("accounts.pub")),
            format!(
                "--service-account-signing-key-file={}",
                self.file("accounts.key")
            ),
            // Pods without a default account, nodes without the not-ready
            // taint that only the node controller would take away again.
            format!("--disable-admission-plugins={plugins}"),
            "--profiling=false".to_owned(),
        ];
        flags.extend(self.options.apiserver_flags.iter().cloned());
        flags
    }

    fn controller_manager_flags(&self) -> Vec<String> {
        let controllers = [
            "deployment-controller",
            "replicaset-controller",
            "statefulset-controller",
            "daemonset-controller",
            "job-controller",
            "cronjob-controller",
            "namespace-controller",
            "garbage-collector-controller",
            "serviceaccount-controller",
            "serviceaccount-token-controller",
            "endpoints-controller",
            "endpointslice-controller",
            "root-ca-certificate-publisher-controller",
        ]
        .join(",");
        vec![
            format!("--kubeconfig={}", self.file("kubeconfig")),
            "--secure-port=0".to_owned(),
            "--leader-elect=false".to_owned(),
            "--use-service-account-credentials=true".to_owned(),
            format!(
                "--service-account-private-key-file={}",
                self.file("accounts.key")
            ),
            format!("--root-ca-file={}", self.file("ca.crt")),
            format!("--controllers={controllers}"),
            // The defaults (20/30) would measure the controllers, not us.
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]
    }

    fn scheduler_flags(&self) -> Vec<String> {
        vec![
            format!("--kubeconfig={}", self.file("kubeconfig")),
            "--secure-port=0".to_owned(),
            "--leader-elect=false".to_owned(),
            "--kube-api-qps=200".to_owned(),
            "--kube-api-burst=400".to_owned(),
        ]
    }

    fn kwok_flags(&self) -> Vec<String> {
        let mut flags = vec![
            format!("--kubeconfig={}", self.file("kubeconfig")),
            "--manage-all-nodes=true".to_owned(),
            "--node-lease-duration-seconds=40".to_owned(),
            format!("--cidr={}", self.options.pod_cidr),
            "--v=WARN".to_owned(),
        ];
        for stage in &self.binaries.stages {
            flags.push(format!("--config={}", stage.display()));
        }
        flags
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("logs of control plane {}:\n{}", self.name, self.logs());
        }
        for process in &mut self.controllers {
            process.kill();
        }
        if let Some(process) = &mut self.apiserver {
            process.kill();
        }
        self.etcd.kill();
        if std::thread::panicking() || std::env::var_os("PILOTHOUSE_KEEP_LOGS").is_some() {
            self.watchdog.disarm();
            self.directory.disable_cleanup(true);
            eprintln!("its logs stay in {}", self.directory.path().display());
        }
    }
}

fn etcd_flags(directory: &Path, ports: &Ports, options: &ControlPlaneOptions) -> Vec<String> {
    let client = format!("http://127.0.0.1:{}", ports.etcd);
    let peer = format!("http://127.0.0.1:{}", ports.etcd_peer);
    let mut flags = vec![
        format!("--data-dir={}", directory.join("etcd").display()),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        "--log-level=error".to_owned(),
    ];
    if !options.durable {
        flags.push("--unsafe-no-fsync".to_owned());
    }
    flags
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|s| s.conditions.as_ref());
    conditions.is_some_and(|list| {
        list.iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
    })
}
