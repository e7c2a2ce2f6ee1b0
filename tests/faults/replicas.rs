//! Two replicas of the built program, as a Deployment runs them: one leads,
//! one waits, and one that ends is started again.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{await_condition, objects};
use crate::world::{SOON, World};

/// Namespace of the Lease.
const LEASE_NAMESPACE: &str = "default";
/// Longest time from the loss of a leader to the next.
pub const TAKEOVER: Duration = Duration::from_secs(20);

/// The replicas. Dropping them kills them.
pub struct Replicas {
    replicas: Vec<Replica>,
    flags: Vec<String>,
    hub: kube::Client,
    directory: TempDir,
    clock: Option<Clock>,
}

/// A library that shifts the wall clock of the process that it is loaded into.
pub struct Clock {
    library: PathBuf,
    _folder: TempDir,
}

impl Clock {
    /// Compiles it.
    pub fn build() -> Self {
        let folder = TempDir::with_prefix("pilothouse-clock-").unwrap();
        let library = folder.path().join("clock.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .args([&library, &source])
            .status();
        assert!(compiled.unwrap().success());
        Self {
            library,
            _folder: folder,
        }
    }
}

/// One process.
struct Replica {
    number: usize,
    child: Child,
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Replicas {
    /// Starts two and waits until one leads. `election` are further flags.
    pub async fn start(world: &mut World, election: &[&str]) -> Self {
        let kubeconfig = world.fleet().hub.kubeconfig_path();
        Self::start_by(world, &kubeconfig, election).await
    }

    /// The same, with the hub reached by this kubeconfig.
    pub async fn start_by(world: &mut World, kubeconfig: &Path, election: &[&str]) -> Self {
        Self::start_with(world, kubeconfig, election, None).await
    }

    /// The same, with wall clocks that can be set.
    pub async fn start_by_clock(world: &mut World, election: &[&str], clock: Clock) -> Self {
        let kubeconfig = world.fleet().hub.kubeconfig_path();
        Self::start_with(world, &kubeconfig, election, Some(clock)).await
    }

    async fn start_with(
        world: &mut World,
        kubeconfig: &Path,
        election: &[&str],
        clock: Option<Clock>,
    ) -> Self {
        let directory = TempDir::with_prefix("pilothouse-replicas-").unwrap();
        let git = directory.path().join("gitconfig");
        let rewrite = format!(
            "[url \"{}\"]\n\tinsteadOf = https://git.example.com/acm-demo-app.git\n",
            world.repo.url()
        );
        std::fs::write(&git, rewrite).unwrap();
        let mut flags = vec![
            "run".to_owned(),
            format!("--hub-kubeconfig={}", kubeconfig.display()),
            format!("--lease-namespace={LEASE_NAMESPACE}"),
            "--listen=127.0.0.1:0".to_owned(),
            "--allow-local-git".to_owned(),
            format!("--git-config={}", git.display()),
            "--probe-interval=1".to_owned(),
        ];
        if !election.iter().any(|flag| flag.starts_with("--poll")) {
            flags.push("--poll-interval=1".to_owned());
        }
        flags.extend(election.iter().map(|flag| (*flag).to_owned()));
        let mut replicas = Self {
            replicas: Vec::new(),
            flags,
            hub: world.hub.clone(),
            directory,
            clock,
        };
        for number in 0..2 {
            let replica = replicas.spawn(number);
            replicas.replicas.push(replica);
        }
        replicas.await_leader(None, SOON).await;
        for cluster in world.members.keys() {
            world.await_available(cluster, true).await;
        }
        replicas
    }

    fn spawn(&self, number: usize) -> Replica {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log(number))
            .unwrap();
        let cache = self.directory.path().join(format!("cache-{number}"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        if let Some(clock) = &self.clock {
            let shift = self.shift(number);
            if !shift.exists() {
                std::fs::write(&shift, 0_i64.to_ne_bytes()).unwrap();
            }
            command
                .env("LD_PRELOAD", &clock.library)
                .env("PILOTHOUSE_TEST_CLOCK", shift);
        }
        let child = command
            .args(&self.flags)
            .arg(format!("--git-cache={}", cache.display()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Replica { number, child }
    }

    fn shift(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("clock-{number}"))
    }

    /// Sets the wall clock of a replica so many seconds from the machine's.
    pub fn set_clock(&self, number: usize, seconds: i64) {
        // In place: the process has the file mapped.
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(self.shift(number));
        file.unwrap()
            .write_all_at(&seconds.to_ne_bytes(), 0)
            .unwrap();
    }

    fn log(&self, number: usize) -> PathBuf {
        self.directory.path().join(format!("replica-{number}.log"))
    }

    /// The last lines of every log.
    pub fn logs(&self) -> String {
        (0..2)
            .map(|number| {
                let text = std::fs::read_to_string(self.log(number)).unwrap_or_default();
                let lines: Vec<&str> = text.lines().collect();
                let tail = lines[lines.len().saturating_sub(30)..].join("\n");
                format!("--- replica {number}\n{tail}\n")
            })
            .collect()
    }

    /// Identity of the leader, from the Lease.
    async fn leader(&self) -> Result<String, String> {
        let lease = objects::LEASE
            .find(&self.hub, LEASE_NAMESPACE, "pilothouse")
            .await?;
        let lease = lease.ok_or("no lease")?;
        match lease["spec"]["holderIdentity"].as_str() {
            Some(holder) if !holder.is_empty() => Ok(holder.to_owned()),
            _ => Err(format!("nobody holds it: {}", lease["spec"])),
        }
    }

    /// Number of the replica that leads.
    pub async fn leading(&self) -> usize {
        let holder = self.await_leader(None, SOON).await;
        let found = self
            .replicas
            .iter()
            .find(|replica| holder.contains(&format!("_{}_", replica.child.id())));
        found.map(|replica| replica.number).unwrap()
    }

    /// Waits for a leader other than `before`.
    pub async fn await_leader(&self, before: Option<&str>, limit: Duration) -> String {
        await_condition("a leader", limit, || async {
            match self.leader().await {
                Ok(holder) if before != Some(holder.as_str()) => Ok(holder),
                Ok(holder) => Err(format!("{holder} leads still")),
                Err(error) => Err(format!("{error}\n{}", self.logs())),
            }
        })
        .await
    }

    /// Waits until the other one leads; how long it took from now.
    pub async fn await_takeover(&self, from: usize) -> Duration {
        let since = Instant::now();
        let id = self.replicas[from].child.id();
        await_condition("the standby to lead", TAKEOVER, || async {
            let holder = self.leader().await?;
            if holder.contains(&format!("_{id}_")) {
                Err(format!("{holder} leads still\n{}", self.logs()))
            } else {
                Ok(())
            }
        })
        .await;
        since.elapsed()
    }

    /// Sends a signal by name.
    pub fn signal(&self, number: usize, signal: &str) {
        let id = self.replicas[number].child.id();
        let status = Command::new("kill")
            .args([format!("-{signal}"), id.to_string()])
            .status();
        assert!(status.unwrap().success(), "kill -{signal} {id}");
    }

    /// Waits until the process has ended by itself; its exit code.
    pub async fn await_end(&mut self, number: usize) -> Option<i32> {
        let deadline = Instant::now() + TAKEOVER;
        loop {
            if let Some(status) = self.replicas[number].child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it runs still\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Deletes the Lease, as somebody's cleanup would.
    pub async fn delete_lease(&self) {
        let leases = objects::LEASE.api(&self.hub, LEASE_NAMESPACE);
        let gone = leases.delete("pilothouse", &DeleteParams::default()).await;
        assert!(gone.is_ok(), "{gone:?}");
    }

    /// Announces a push of `main` to a replica, as a git server does. Status
    /// and body of the answer.
    pub async fn announce(&self, number: usize) -> (u16, String) {
        let log = std::fs::read_to_string(self.log(number)).unwrap();
        let address = log
            .split_whitespace()
            .rev()
            .find_map(|word| word.rsplit_once("127.0.0.1:").map(|(_, port)| port))
            .unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        let push = json!({
            "ref": "refs/heads/main", "after": "1".repeat(40),
            "repository": {
                "full_name": "acm-demo-app",
                "clone_url": "https://git.example.com/acm-demo-app.git",
            },
        });
        let request = http::Request::post(format!("http://127.0.0.1:{port}/webhook"))
            .header("x-github-event", "push")
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(push.to_string())))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let answer = client.request(request).await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&text).into_owned())
    }

    /// Exit code of a replica that has ended by itself, if any has.
    pub fn ended(&mut self) -> Option<Option<i32>> {
        self.replicas.iter_mut().find_map(|replica| {
            let status = replica.child.try_wait().unwrap()?;
            Some(status.code())
        })
    }

    /// Starts again what has ended, as the kubelet would.
    pub fn revive(&mut self) {
        for number in 0..self.replicas.len() {
            if self.replicas[number].child.try_wait().unwrap().is_some() {
                self.replicas[number] = self.spawn(number);
            }
        }
    }

    /// The Lease as it is.
    pub async fn lease(&self) -> Value {
        let found = objects::LEASE
            .find(&self.hub, LEASE_NAMESPACE, "pilothouse")
            .await;
        found.unwrap().unwrap_or_default()
    }
}
