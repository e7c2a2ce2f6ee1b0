//! The demo as a user meets it: the built binary, its files, kubectl's view,
//! a push, faults, a restart.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where its fixture does"
)]

#[path = "support/support.rs"]
mod support;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use git2::{IndexAddOption, Repository, Signature};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, Config};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_pilothouse");
/// Long enough for a machine under load; conditions end the waits.
const LIMIT: Duration = Duration::from_secs(60);

/// A running demo; killed when dropped.
struct Demo {
    child: Child,
    printed: Arc<Mutex<String>>,
}

impl Demo {
    fn start(dir: &Path, listen: SocketAddr, more: &[&str]) -> Self {
        let mut child = command(dir, listen, more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let printed = Arc::new(Mutex::new(String::new()));
        let out = child.stdout.take().unwrap();
        let into = Arc::clone(&printed);
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let mut into = into.lock().unwrap();
                into.push_str(&line);
                into.push('\n');
            }
        });
        Self { child, printed }
    }

    fn printed(&self) -> String {
        self.printed.lock().unwrap().clone()
    }

    async fn says(&self, words: &str) {
        until(&format!("the demo says {words:?}"), || async {
            let printed = self.printed();
            if printed.contains(words) {
                Ok(())
            } else {
                Err(printed)
            }
        })
        .await;
    }

    /// Asks it to end, as Ctrl-C or a service manager does, and waits.
    async fn terminate(mut self) -> Duration {
        let asked = Instant::now();
        let pid = self.child.id().to_string();
        let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(killed.success());
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}: {}", self.printed());
                return asked.elapsed();
            }
            assert!(asked.elapsed() < LIMIT, "still running: {}", self.printed());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(dir: &Path, listen: SocketAddr, more: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["demo", "--listen", &listen.to_string(), "--dir"])
        .arg(dir)
        .args(more);
    command
}

/// Runs the binary to its end.
fn pilothouse(arguments: &[&str], dir: &Path) -> Output {
    Command::new(BINARY)
        .args(arguments)
        .env("KUBECONFIG", dir.join("hub.kubeconfig"))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

async fn until<T, F>(what: &str, look: impl Fn() -> F) -> T
where
    F: Future<Output = Result<T, String>>,
{
    support::await_condition(what, LIMIT, look).await
}

async fn client(dir: &Path, cluster: &str) -> Client {
    let path = dir.join(format!("{cluster}.kubeconfig"));
    let kubeconfig = Kubeconfig::read_from(path).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
    Client::try_from(config.unwrap()).unwrap()
}

fn dynamic(client: &Client, group: &str, version: &str, kind: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk(group, version, kind);
    Api::all_with(client.clone(), &ApiResource::from_gvk(&kind))
}

/// Names and one status field of all objects of a kind, over all namespaces.
async fn names(api: &Api<DynamicObject>, pointer: &str) -> Vec<(String, Value)> {
    let list = api.list(&ListParams::default()).await.unwrap();
    list.items
        .into_iter()
        .map(|object| {
            let name = object.metadata.name.clone().unwrap_or_default();
            let field = object.data.pointer(pointer).cloned();
            (name, field.unwrap_or_default())
        })
        .collect()
}

async fn replicas(client: &Client, name: &str) -> Result<i32, String> {
    let api: Api<Deployment> = Api::namespaced(client.clone(), "guestbook");
    let found = api.get_opt(name).await.map_err(|e| e.to_string())?;
    let status = found.and_then(|deployment| deployment.status);
    Ok(status
        .and_then(|status| status.available_replicas)
        .unwrap_or(0))
}

/// Clones, replaces a text, commits and pushes, as a user would.
fn push(dir: &Path, work: &Path, file: &str, from: &str, to: &str) {
    let origin = dir.join("git/acm-demo-app.git");
    let repository = Repository::clone(&origin.display().to_string(), work).unwrap();
    let path = work.join(file);
    let before = std::fs::read_to_string(&path).unwrap();
    assert!(before.contains(from), "{file} has no {from:?}");
    std::fs::write(&path, before.replace(from, to)).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], IndexAddOption::DEFAULT, None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let parent = repository.head().unwrap().peel_to_commit().unwrap();
    let author = Signature::now("A user", "user@example.com").unwrap();
    let message = format!("{file}: {to}");
    repository
        .commit(Some("HEAD"), &author, &author, &message, &tree, &[&parent])
        .unwrap();
    let mut remote = repository.find_remote("origin").unwrap();
    let main = "refs/heads/main:refs/heads/main";
    remote.push(&[main], None).unwrap();
}

async fn get(address: SocketAddr, path: &str) -> String {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    text(&answer)
}

fn private(path: &PathBuf) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077 == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walk_through_of_the_demo() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("demo");
    let listen = free_port();
    let demo = Demo::start(&dir, listen, &[]);
    demo.says("Try next").await;
    let printed = demo.printed();
    for words in [
        "aws-sub1 - aws-sub2",
        "guestbook-app ",
        "redis-master-app-subscription-1",
        "redis-slave-app-subscription-1",
        "Synced, Healthy",
    ] {
        assert!(printed.contains(words), "no {words:?} in {printed}");
    }

    // What kubectl sees.
    let hub = client(&dir, "hub").await;
    let (one, two) = (
        client(&dir, "aws-sub1").await,
        client(&dir, "aws-sub2").await,
    );
    let apps = "apps.open-cluster-management.io";
    let phases = names(&dynamic(&hub, apps, "v1", "Subscription"), "/status/phase").await;
    assert_eq!(phases.len(), 3, "{phases:?}");
    for (name, phase) in phases {
        assert_eq!(phase, "Propagated", "{name}");
    }
    for (member, deployment, wanted) in [
        (&one, "frontend", 3),
        (&one, "redis-master", 1),
        (&two, "redis-slave", 2),
    ] {
        assert_eq!(
            replicas(member, deployment).await,
            Ok(wanted),
            "{deployment}"
        );
    }
    assert_eq!(replicas(&two, "frontend").await, Ok(0), "not placed there");
    let routes = dynamic(&one, "route.openshift.io", "v1", "Route");
    let hosts = names(&routes, "/status/ingress/0/host").await;
    assert_eq!(hosts[0].1, "guestbook-guestbook.apps.aws-sub1.example.com");
    for cluster in ["hub", "aws-sub1", "aws-sub2"] {
        assert!(
            private(&dir.join(format!("{cluster}.kubeconfig"))),
            "{cluster}"
        );
    }
    let page = get(listen, "/").await;
    assert!(
        page.contains("200 OK") && page.contains("guestbook"),
        "{page}"
    );

    // A push is live on the right member.
    let file = "guestbook-app/guestbook/deployment.yaml";
    let work = temp.path().join("work");
    push(&dir, &work, file, "replicas: 3", "replicas: 5");
    until("five frontends", || async {
        match replicas(&one, "frontend").await? {
            5 => Ok(()),
            other => Err(format!("{other} frontends")),
        }
    })
    .await;
    assert_eq!(replicas(&two, "frontend").await, Ok(0));

    faults(&dir).await;

    // A second demo on the directory, and one on the port, say so.
    let second = command(&dir, free_port(), &[]).output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(text(&second.stderr).contains("already runs"), "{second:?}");
    let busy = command(&temp.path().join("other"), listen, &[]).output();
    let busy = busy.unwrap();
    assert_eq!(busy.status.code(), Some(1));
    assert!(text(&busy.stderr).contains("--listen"), "{busy:?}");

    // Ends, and goes on with what was there.
    let took = demo.terminate().await;
    assert!(took < Duration::from_secs(10), "ended only after {took:?}");
    let resumed = Demo::start(&dir, listen, &[]);
    resumed.says("Try next").await;
    assert_eq!(
        replicas(&one, "frontend").await,
        Ok(5),
        "kubeconfigs stay valid"
    );
    resumed.terminate().await;
}

async fn faults(dir: &Path) {
    let place = dir.display().to_string();
    let fault = |words: &str| {
        let mut arguments = vec!["demo", "fault"];
        arguments.extend(words.split(' '));
        arguments.extend(["--dir", &place]);
        let done = pilothouse(&arguments, dir);
        assert!(done.status.success(), "{words}: {done:?}");
        text(&done.stdout)
    };
    let said = fault("cut-cable aws-sub1 aws-sub2");
    assert!(said.contains("restore-cable"), "{said}");
    until("show tells of the cut cable", || async {
        let shown = pilothouse(&["show", "connections"], dir);
        let shown = text(&shown.stdout);
        if shown.contains("error") {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;
    fault("restore-cable aws-sub1 aws-sub2");
    until("show tells of the mended cable", || async {
        let shown = pilothouse(&["show", "connections"], dir);
        let shown = text(&shown.stdout);
        if shown.contains("connected") && !shown.contains("error") {
            Ok(())
        } else {
            Err(shown)
        }
    })
    .await;

    let hub = client(dir, "hub").await;
    let clusters = dynamic(
        &hub,
        "cluster.open-cluster-management.io",
        "v1",
        "ManagedCluster",
    );
    let available = async |wanted: &str| {
        until(&format!("aws-sub2 available: {wanted}"), || async {
            let cluster = clusters.get("aws-sub2").await.map_err(|e| e.to_string())?;
            let conditions = cluster.data["status"]["conditions"].to_string();
            let conditions: Vec<Value> = serde_json::from_str(&conditions).unwrap_or_default();
            let found = conditions
                .iter()
                .find(|c| c["type"] == "ManagedClusterConditionAvailable");
            match found.map(|c| &c["status"]) {
                Some(status) if status == wanted => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    };
    fault("stop-cluster aws-sub2");
    available("Unknown").await;
    fault("start-cluster aws-sub2");
    available("True").await;

    let unknown = pilothouse(
        &["demo", "fault", "stop-cluster", "mars", "--dir", &place],
        dir,
    );
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text(&unknown.stderr).contains("aws-sub1"), "{unknown:?}");
}

#[test]
fn a_foreign_directory_is_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("thesis.txt"), "mine").unwrap();
    let refused = command(temp.path(), free_port(), &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("--dir"), "{refused:?}");
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_demo_waits_for_the_user() {
    let temp = tempfile::tempdir().unwrap();
    let demo = Demo::start(temp.path(), free_port(), &["--empty"]);
    demo.says("kubectl apply -k").await;
    let hub = client(temp.path(), "hub").await;
    let apps = "apps.open-cluster-management.io";
    let found = names(&dynamic(&hub, apps, "v1", "Subscription"), "/status").await;
    assert!(found.is_empty(), "{found:?}");
    demo.terminate().await;
}
