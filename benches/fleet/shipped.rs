//! The product as `deploy` installs it: two replicas with the arguments of its
//! Deployment and a token of its ServiceAccount, and members with the token of
//! `deploy/member`. The bench itself is admin, and so is who joins a member.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::ground::HUB;
use crate::product::{Product, binary};
use crate::replicas::{Replica, Replicas};
use crate::stage::eventually;
use crate::support::pod::{Place, with_token};
use crate::support::{ControlPlane, piped};
use crate::web::Web;

/// What is applied to the hub.
const DEPLOYED: &str = "deploy/overlays/two-replicas";
/// What is applied to a member.
const MEMBER: &str = "deploy/member";
/// An installation on the hub.
pub struct Shipped {
    /// Arguments of the container.
    arguments: Vec<String>,
    /// Its environment, without what is of the pod.
    environment: Vec<(String, String)>,
    /// Kubeconfigs, logs and caches.
    directory: PathBuf,
    /// Replicas started so far; each is a new pod with an empty cache.
    started: AtomicUsize,
}

impl Shipped {
    /// Applies the deployment to the hub. There are no nodes for its pods;
    /// [`Shipped::start`] starts what would run in them. The kubeconfig of the
    /// hub's admin is in `directory` already.
    pub fn install(hub: &ControlPlane, directory: &Path) -> Result<Self> {
        let deployed = folder(DEPLOYED);
        kubectl(hub, &["apply", "-k", &deployed])?;
        kubectl(
            hub,
            &["wait", "--for=condition=Established", "crd", "--all"],
        )?;
        // Pods that stay pending would be reported on after ten minutes.
        let none = ["scale", "deployment/pilothouse", "--replicas=0"];
        kubectl(hub, &[&none[..], &["-n", "pilothouse"]].concat())?;
        // The kubelet would renew it; one that outlasts the bench stands for that.
        let token = [
            "create",
            "token",
            "pilothouse",
            "-n",
            "pilothouse",
            "--duration=12h",
        ];
        let token = kubectl(hub, &token)?;
        let account = with_token(&hub.kubeconfig(), &hub.url(), token.trim());
        std::fs::write(directory.join("account.kubeconfig"), account)?;
        let container = container(&kubectl(hub, &["kustomize", &deployed])?)?;
        Ok(Self {
            arguments: strings(&container["args"])?,
            environment: environment(&container)?,
            directory: directory.to_owned(),
            started: AtomicUsize::new(0),
        })
    }

    /// Gives a member its account and joins it, reached at `url`, with the
    /// token of that account. `cluster join` writes to the hub as its admin.
    pub async fn join(&self, name: &str, member: &ControlPlane, url: &str) -> Result<()> {
        kubectl(member, &["apply", "-k", &folder(MEMBER)])?;
        let secret = [
            "get",
            "secret",
            "pilothouse-token",
            "-n",
            "pilothouse-agent",
            "-o",
            "jsonpath={.data.token}",
        ];
        eventually("the member's token", async || {
            Ok(!kubectl(member, &secret)?.is_empty())
        })
        .await?;
        let token = String::from_utf8(STANDARD.decode(kubectl(member, &secret)?)?)?;
        let file = self.directory.join(format!("{name}-account.kubeconfig"));
        std::fs::write(&file, with_token(&member.kubeconfig(), url, &token))?;
        let mut join = Command::new(binary());
        join.args(["cluster", "join", name, "--use-credential", "--kubeconfig"])
            .arg(&file)
            .arg("--hub-kubeconfig")
            .arg(self.directory.join(format!("{HUB}.kubeconfig")));
        run(&mut join)?;
        Ok(())
    }

    /// Starts a replica that leads and one that stands by.
    pub async fn start(&self, flags: &[&str]) -> Result<Replicas> {
        let (mut leader, _) = self.replica(flags)?;
        leader.product.leads().await?;
        Ok(Replicas {
            leader,
            standby: Some(self.stand_by(flags).await?),
        })
    }

    /// Starts a replica beside one that leads, and waits until it is ready.
    pub async fn stand_by(&self, flags: &[&str]) -> Result<Replica> {
        let (standby, operators) = self.replica(flags)?;
        let (web, ready) = (Web::new(), format!("http://{operators}/readyz"));
        eventually("the standby is ready", async || web.succeeds(&ready).await).await?;
        Ok(standby)
    }

    /// A process with what the container has, but for addresses and paths of
    /// this machine; and its operators' address.
    fn replica(&self, flags: &[&str]) -> Result<(Replica, String)> {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let cache = self.directory.join(format!("replica-{number}"));
        std::fs::create_dir_all(&cache)?;
        let place = Place {
            dashboard: address()?,
            operators: address()?,
            cache: cache.display().to_string(),
        };
        let arguments = self.arguments.iter().map(|text| place.here(text));
        let arguments: Vec<String> = arguments.collect();
        let left = arguments
            .iter()
            .find(|text| text.contains("0.0.0.0") || text.contains("$("));
        ensure!(left.is_none(), "{left:?} of {DEPLOYED} is of a pod");
        let mut command = Command::new(binary());
        command
            .args(&arguments)
            .arg("--hub-kubeconfig")
            .arg(self.directory.join("account.kubeconfig"))
            .args(flags)
            .env_clear()
            .env("NO_COLOR", "1")
            .current_dir(&cache);
        for (name, value) in &self.environment {
            command.env(name, place.here(value));
        }
        if let Ok(filter) = std::env::var("PILOTHOUSE_BENCH_LOG") {
            command.env("RUST_LOG", filter);
        }
        let product = Product::spawn(command, self.log(number))?;
        Ok((Replica::new(product, &place.dashboard), place.operators))
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.join(format!("replica-{number}.log"))
    }

    /// Lines of every replica's log that warn: a right that is missing shows.
    pub fn warnings(&self) -> String {
        let mut warnings = String::new();
        for number in 0..self.started.load(Ordering::Relaxed) {
            let log = std::fs::read_to_string(self.log(number)).unwrap_or_default();
            for line in log.lines() {
                if line.contains(" WARN ") || line.contains(" ERROR ") {
                    warnings.push_str(&format!("replica {number}: {line}\n"));
                }
            }
        }
        warnings
    }
}

/// A folder of this repository.
fn folder(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    root.join(path).display().to_string()
}

/// An address on loopback that was free a moment ago.
fn address() -> Result<String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    Ok(listener.local_addr()?.to_string())
}

/// The container of the rendered Deployment.
fn container(rendered: &str) -> Result<Value> {
    for document in rendered.split("\n---\n") {
        let object: Value = serde_yaml::from_str(document)?;
        if object["kind"] == "Deployment" {
            return Ok(object["spec"]["template"]["spec"]["containers"][0].clone());
        }
    }
    anyhow::bail!("no Deployment in {DEPLOYED}")
}

fn strings(list: &Value) -> Result<Vec<String>> {
    let list = list.as_array().context("not a list")?;
    list.iter()
        .map(|text| Ok(text.as_str().context("not a text")?.to_owned()))
        .collect()
}

/// Variables with a value; those of the pod have none.
fn environment(container: &Value) -> Result<Vec<(String, String)>> {
    let list = container["env"].as_array().context("no environment")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(list
        .iter()
        .filter_map(|variable| Some((text(&variable["name"])?, text(&variable["value"])?)))
        .collect())
}

/// Runs kubectl as the admin; its output.
fn kubectl(plane: &ControlPlane, arguments: &[&str]) -> Result<String> {
    let mut command = Command::new(plane.kubectl());
    if arguments.first() != Some(&"kustomize") {
        command.arg("--kubeconfig").arg(plane.kubeconfig_path());
    }
    run(command.args(arguments))
}

fn run(command: &mut Command) -> Result<String> {
    let ran = piped(command, "");
    let said = String::from_utf8_lossy(&ran.stderr);
    let program = command.get_program().display().to_string();
    ensure!(ran.status.success(), "{program}: {said}");
    Ok(String::from_utf8(ran.stdout)?)
}
