//! kubectl against both servers: the same commands print the same.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::support::{await_condition, controlplane::Binaries, have};
use super::{ONE_PLANE, custom, real_server};
use pilothouse::apiserver::{Options, Server};

const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'nginx:1.25', ports: [{containerPort: 80}]}]}
";
const MAPS: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: pruned}}
data: {k: v}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: two, labels: {app: pruned}}
data: {k: v}
";
const ONE: &str = "apiVersion: v1
kind: ConfigMap
metadata: {name: one, labels: {app: pruned}}
data: {k: w}
";

const MORE: &str = "apiVersion: v1
kind: ResourceQuota
metadata: {name: q2}
spec: {hard: {pods: '1', limits.cpu: '2'}}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: cj2}
spec: {schedule: '@hourly', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: c, image: 'x:1'}]}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: pdb2}
spec: {minAvailable: 1, selector: {matchLabels: {a: b}}}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: i2}
spec: {rules: [{host: a.b, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: s, port: {number: 80}}}}]}}]}
";

/// One server as kubectl sees it.
struct Side {
    kubectl: PathBuf,
    kubeconfig: PathBuf,
    directory: PathBuf,
}

impl Side {
    /// What a command printed, and how it ended.
    fn run(&self, line: &str) -> String {
        let output = Command::new(&self.kubectl)
            .args(line.split(' '))
            .args(["-n", "commands", "--request-timeout=20s"])
            .env("KUBECONFIG", &self.kubeconfig)
            .env("HOME", &self.directory)
            .env("TMPDIR", &self.directory)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        format!("{}\n{said}", output.status.code().unwrap_or(-1))
    }
}

/// Takes out what no two servers agree on: places, times, addresses, and the
/// words of the documentation, which is that of another release.
fn settled(line: &str, said: &str) -> String {
    let explains = line.starts_with("explain");
    let diffs = line.starts_with("diff");
    if line.starts_with("create token") {
        // A token has three parts.
        let parts = said.lines().nth(1).unwrap_or_default().split('.').count();
        return format!("{} {parts}", said.lines().next().unwrap_or_default());
    }
    let kept = said.lines().filter(|line| {
        let is_field = line.starts_with("  ") && line.contains('<') || line.contains(':');
        let is_context = !line.starts_with(['+', '-', '0', '1', 'e']);
        !(diffs && is_context)
            && !(explains && (line.starts_with("    ") || !is_field))
            // Enumerations are no part of the schemas here.
            && !(explains && line.trim_start().starts_with("enum:"))
            && !line.starts_with("diff -u")
            // The real plane's Deployment controller adds a line.
            && !line.starts_with("@@")
            && !line.contains("deployment.kubernetes.io/revision")
            && !line.contains("resourceVersion:")
            && !line.contains("generation:")
    });
    let words = kept.map(|line| {
        let own = |word: &str| {
            word.contains("/LIVE-")
                || word.contains("/MERGED-")
                || word.starts_with("https://127.0.0.1")
                || word.chars().filter(char::is_ascii_digit).count() > 7
                || word.ends_with('s') && word[..word.len() - 1].parse::<u32>().is_ok()
        };
        let words = line.split_whitespace();
        words
            .map(|word| if own(word) { "~" } else { word })
            .collect::<Vec<_>>()
            .join(" ")
    });
    words.collect::<Vec<_>>().join("\n")
}

/// Longest wait for the schema of a new definition.
const SCHEMA: Duration = Duration::from_secs(30);

const COMMANDS: &[&str] = &[
    "create namespace commands",
    "create serviceaccount robot",
    "create -f definition.json",
    "wait --for=condition=Established crd/widgets.contract.example.com --timeout=20s",
    "auth can-i create pods",
    "auth can-i delete nodes",
    "auth can-i list deployments.apps --subresource=scale",
    "create token robot",
    "create token robot --duration=1h",
    "create token nobody",
    "explain configmap",
    "explain deployment.spec",
    "explain deployment.spec.template.spec.containers.ports",
    "explain service.spec.ports --recursive",
    "explain widgets.spec",
    "explain widgets.spec.tags",
    "explain nothing",
    "explain deployment.spec.nothing",
    "apply -f web.yaml",
    "apply -f web.yaml",
    "diff -f web.yaml",
    "diff -f changed.yaml",
    "diff --server-side -f changed.yaml",
    "apply -f changed.yaml",
    "apply --server-side -f web.yaml",
    "apply --server-side --force-conflicts -f web.yaml",
    "apply -f maps.yaml --prune -l app=pruned --prune-allowlist=core/v1/ConfigMap",
    "apply -f one.yaml --prune -l app=pruned --prune-allowlist=core/v1/ConfigMap",
    "get configmap two",
    "patch deployment web --subresource=status --type=merge -p {\"status\":{\"observedGeneration\":9}}",
    "rollout status deployment/web --timeout=10s",
    "rollout restart deployment/web",
    "rollout pause deployment/web",
    "rollout status deployment/nothing",
    "wait --for=jsonpath={.data.k}=w configmap/one --timeout=5s",
    "wait --for=condition=Ready configmap/one --timeout=1s",
    "wait --for=create configmap/one --timeout=5s",
    "scale deployment web --replicas=0 --current-replicas=7",
    "autoscale deployment web --min=1 --max=2",
    "set env deployment/web A=b",
    "create quota q --hard=pods=1",
    "create role r --verb=get --resource=pods",
    "create rolebinding rb --role=r --user=x",
    "create clusterrole contract-cr --verb=get --resource=pods",
    "create ingress i --rule=a.b/x=s:80",
    "create job j --image=x:1 --dry-run=server -o name",
    "create cronjob cj --image=x:1 --schedule=@hourly",
    "create priorityclass contract-pc --value=5",
    "create poddisruptionbudget pdb --selector=a=b --min-available=1",
    "apply -f more.yaml",
    "create secret tls t --cert=nothing --key=nothing",
    "get rolebinding,role",
    "get quota q2",
    "get cronjob cj2 -o wide",
    "get pdb pdb2",
    "get ingress i2",
    "get rolebinding rb -o wide",
    "get configmap one -o jsonpath={.data}",
    "get configmap one,two",
    "get configmap -l app=pruned --show-labels",
    "get foo",
    "label configmap one app-",
    "annotate configmap one a=b",
    "annotate configmap one a=c",
    "replace -f one.yaml",
    "create -f one.yaml",
    "delete configmap one --cascade=orphan",
    "wait --for=delete configmap/one --timeout=10s",
    "delete configmap one",
    "delete role,rolebinding -l nothing=here",
    "delete crd widgets.contract.example.com --timeout=20s",
    "delete namespace commands --timeout=30s",
];

/// Commands that print otherwise, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("autoscale deployment web --min=1 --max=2", PROTOBUF),
    ("create quota q --hard=pods=1", PROTOBUF),
    ("create ingress i --rule=a.b/x=s:80", PROTOBUF),
    ("create cronjob cj --image=x:1 --schedule=@hourly", PROTOBUF),
    ("create priorityclass contract-pc --value=5", PROTOBUF),
    (
        "create poddisruptionbudget pdb --selector=a=b --min-available=1",
        PROTOBUF,
    ),
];

const PROTOBUF: &str = "kubectl sends this kind in protobuf only, which is not read: the error says to use kubectl apply -f";

fn write(directory: &Path, name: &str, text: &str) {
    std::fs::write(directory.join(name), text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_says_the_same_of_both() {
    if have("controlplane", Binaries::find()).is_none() {
        return;
    }
    let _one = ONE_PLANE.lock().await;
    let plane = real_server("commands").await;
    let server = Server::open(Options::in_memory("commands")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let side = |name: &str, kubeconfig: &str| {
        let directory = scratch.path().join(name);
        std::fs::create_dir(&directory).unwrap();
        write(&directory, "kubeconfig", kubeconfig);
        write(&directory, "web.yaml", WEB);
        write(
            &directory,
            "changed.yaml",
            &WEB.replace("nginx:1.25", "nginx:1.26"),
        );
        write(&directory, "maps.yaml", MAPS);
        write(&directory, "one.yaml", ONE);
        write(&directory, "more.yaml", MORE);
        write(
            &directory,
            "definition.json",
            &custom::definition().to_string(),
        );
        Side {
            kubectl: plane.kubectl().to_owned(),
            kubeconfig: directory.join("kubeconfig"),
            directory,
        }
    };
    let real = side("real", &plane.kubeconfig());
    let ours = side("ours", &server.kubeconfig(&url));
    tokio::spawn(server.serve(listener, Default::default()));
    let mut faults = Vec::new();
    for line in COMMANDS {
        if *line == "explain widgets.spec" {
            // The real server publishes a definition's schema some time after.
            await_condition("the schema to be published", SCHEMA, || async {
                match tokio::task::block_in_place(|| real.run(line)) {
                    said if said.starts_with("0\n") => Ok(()),
                    said => Err(said),
                }
            })
            .await;
        }
        let said = tokio::task::block_in_place(|| {
            std::thread::scope(|scope| {
                let theirs = scope.spawn(|| real.run(line));
                let own = ours.run(line);
                (theirs.join().unwrap(), own)
            })
        });
        let same = settled(line, &said.0) == settled(line, &said.1);
        let listed = DIFFERENCES.iter().any(|(known, _)| known == line);
        match (same, listed) {
            (true, true) => faults.push(format!("{line}: listed as a difference, and is none\n")),
            (false, false) => faults.push(format!(
                "kubectl {line}\nreal {}\nours {}\n",
                settled(line, &said.0),
                settled(line, &said.1)
            )),
            _ => {}
        }
    }
    plane.stop().await.unwrap();
    assert!(
        faults.is_empty(),
        "{} differ:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
