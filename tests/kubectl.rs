//! The embedded API server as kubectl sees it.
//!
//! Runs every binary of `PILOTHOUSE_KUBECTLS` (separated by colons) and the
//! control plane's, or else the `kubectl` on the PATH. Without one the tests say so and pass, unless
//! `PILOTHOUSE_REQUIRE` contains `kubectl`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    unreachable_pub,
    dead_code,
    reason = "a test says what failed by panicking"
)]
#[path = "support/kubectls.rs"]
mod kubectls;
#[path = "support/piped.rs"]
mod piped;
#[allow(dead_code, reason = "each test uses a part of it")]
#[path = "support/tier.rs"]
mod tier;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use kubectls::kubectls;
use pilothouse::apiserver::{Options, Server};
use piped::piped;
use tempfile::TempDir;

/// One server for all tests; each test works in namespaces of its own.
struct Hub {
    _runtime: tokio::runtime::Runtime,
    kubeconfig: PathBuf,
    dir: TempDir,
}

fn hub() -> &'static Hub {
    static HUB: OnceLock<Hub> = OnceLock::new();
    HUB.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let server = Server::open(Options::in_memory("hub")).unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let url = format!("https://{}", listener.local_addr().unwrap());
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, server.kubeconfig(&url)).unwrap();
        runtime.spawn(server.serve(listener, Default::default()));
        Hub {
            _runtime: runtime,
            kubeconfig,
            dir,
        }
    })
}

/// One kubectl binary in one namespace.
struct Kubectl {
    binary: PathBuf,
    namespace: String,
    dir: PathBuf,
}

/// What a run printed.
struct Ran {
    ok: bool,
    stdout: String,
    stderr: String,
}

impl Kubectl {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(args)
            .args(["-n", &self.namespace, "--request-timeout=30s"])
            .env("KUBECONFIG", &hub().kubeconfig)
            .env("HOME", hub().dir.path())
            .current_dir(&self.dir)
            .stdin(Stdio::null());
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        ran(self.command(args).output().unwrap())
    }

    /// Runs and must succeed.
    fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert!(
            ran.ok,
            "{}: kubectl {args:?}\n{}{}",
            self.binary.display(),
            ran.stdout,
            ran.stderr
        );
        ran.stdout
    }

    /// Runs and must fail; returns the error text.
    fn fails(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert!(
            !ran.ok,
            "{}: kubectl {args:?}\n{}",
            self.binary.display(),
            ran.stdout
        );
        ran.stderr
    }

    /// Succeeds with text on standard input.
    fn feed(&self, args: &[&str], input: &str) -> String {
        let ran = ran(piped(&mut self.command(args), input));
        assert!(ran.ok, "kubectl {args:?}\n{}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.join(file), text).unwrap();
    }
}

fn ran(output: Output) -> Ran {
    Ran {
        ok: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a scenario with every kubectl, each in a new namespace.
fn each(scenario: &str, run: impl Fn(&Kubectl)) {
    let Some(binaries) = tier::have("kubectl", kubectls()) else {
        return;
    };
    for (at, binary) in binaries.into_iter().enumerate() {
        let namespace = format!("{scenario}-{at}");
        let dir = hub().dir.path().join(&namespace);
        std::fs::create_dir_all(&dir).unwrap();
        let kubectl = Kubectl {
            binary,
            namespace,
            dir,
        };
        kubectl.ok(&["create", "namespace", &kubectl.namespace]);
        run(&kubectl);
    }
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: 'nginx:1.25', ports: [{containerPort: 80}]}
      - {name: side, image: 'busybox:1'}
";

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
";

#[test]
fn typed_commands_create_what_they_say() {
    each("create", |k| {
        k.ok(&["create", "configmap", "c", "--from-literal=key=value"]);
        k.ok(&[
            "create",
            "secret",
            "generic",
            "s",
            "--from-literal=key=value",
        ]);
        k.ok(&[
            "create",
            "deployment",
            "d",
            "--image=nginx",
            "--replicas=3",
            "--port=80",
        ]);
        k.ok(&[
            "expose",
            "deployment",
            "d",
            "--port=8080",
            "--target-port=80",
        ]);
        k.ok(&["create", "serviceaccount", "robot"]);
        has(
            &k.ok(&["get", "configmap", "c", "-o", "yaml"]),
            &["key: value"],
        );
        assert_eq!(
            k.ok(&["get", "secret", "s", "-o", "jsonpath={.data.key}"]),
            "dmFsdWU="
        );
        let wide = k.ok(&["get", "deployment", "-o", "wide"]);
        has(&wide, &["READY", "CONTAINERS", "0/3", "nginx", "app=d"]);
        has(
            &k.ok(&["get", "svc"]),
            &["ClusterIP", "172.31.", "8080/TCP"],
        );
        has(&k.ok(&["get", "all"]), &["service/d", "deployment.apps/d"]);
        has(
            &k.ok(&["describe", "deployment", "d"]),
            &["3 desired", "Image:", "RollingUpdate"],
        );
        has(
            &k.ok(&["describe", "service", "d"]),
            &["TargetPort", "80/TCP"],
        );
        has(&k.ok(&["create", "token", "robot"]), &["."]);
        assert_eq!(k.ok(&["auth", "can-i", "create", "pods"]).trim(), "yes");
        let again = k.fails(&["create", "configmap", "c"]);
        has(&again, &["configmaps \"c\" already exists"]);
        let missing = k.fails(&["get", "deployment", "x"]);
        has(
            &missing,
            &["(NotFound)", "deployments.apps \"x\" not found"],
        );
        k.ok(&["create", "configmap", "dry", "--dry-run=server"]);
        has(&k.fails(&["get", "configmap", "dry"]), &["NotFound"]);
    });
}

#[test]
fn a_kustomization_is_applied_compared_and_changed() {
    each("apply", |k| {
        k.write("web.yaml", DEPLOYMENT);
        k.write("service.yaml", SERVICE);
        k.write(
            "kustomization.yaml",
            "resources: [web.yaml, service.yaml]\n",
        );
        has(
            &k.ok(&["apply", "-k", "."]),
            &["deployment.apps/web created", "service/web created"],
        );
        let again = k.ok(&["apply", "-k", "."]);
        has(
            &again,
            &["deployment.apps/web unchanged", "service/web unchanged"],
        );
        assert!(k.run(&["diff", "-k", "."]).ok);

        k.write(
            "web.yaml",
            &DEPLOYMENT.replace("replicas: 2", "replicas: 5"),
        );
        let diff = k.run(&["diff", "-k", "."]);
        assert!(!diff.ok);
        has(&diff.stdout, &["-  replicas: 2", "+  replicas: 5"]);
        has(
            &k.ok(&["apply", "-k", "."]),
            &["deployment.apps/web configured"],
        );
        assert_eq!(
            k.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]),
            "5"
        );

        // What is gone from the file goes from the object.
        k.write(
            "web.yaml",
            &DEPLOYMENT.replace("      - {name: side, image: 'busybox:1'}\n", ""),
        );
        k.ok(&["apply", "-k", "."]);
        let names = k.ok(&[
            "get",
            "deploy",
            "web",
            "-o",
            "jsonpath={.spec.template.spec.containers[*].name}",
        ]);
        assert_eq!(names, "web");
        k.ok(&["delete", "-k", "."]);
    });
}

#[test]
fn server_side_apply_tells_of_conflicts_and_takes_over() {
    each("ssa", |k| {
        k.write("web.yaml", DEPLOYMENT);
        k.ok(&["apply", "--server-side", "-f", "web.yaml"]);
        k.ok(&["apply", "--server-side", "-f", "web.yaml"]);
        k.write(
            "web.yaml",
            &DEPLOYMENT.replace("replicas: 2", "replicas: 4"),
        );
        let other = [
            "apply",
            "--server-side",
            "--field-manager=other",
            "-f",
            "web.yaml",
        ];
        let conflict = k.fails(&other);
        has(
            &conflict,
            &[
                "conflict with \"kubectl\"",
                ".spec.replicas",
                "--force-conflicts",
            ],
        );
        k.ok(&[&other[..], &["--force-conflicts"]].concat());
        assert_eq!(
            k.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]),
            "4"
        );
        let fields = k.ok(&[
            "get",
            "deploy",
            "web",
            "-o",
            "yaml",
            "--show-managed-fields",
        ]);
        has(
            &fields,
            &["manager: other", "manager: kubectl", "operation: Apply"],
        );
    });
}

#[test]
fn client_side_apply_hands_over_to_server_side_apply() {
    each("handover", |k| {
        k.write("web.yaml", DEPLOYMENT);
        k.ok(&["apply", "-f", "web.yaml"]);
        k.write(
            "web.yaml",
            &DEPLOYMENT.replace("      - {name: side, image: 'busybox:1'}\n", ""),
        );
        k.ok(&["apply", "--server-side", "-f", "web.yaml"]);
        let names = k.ok(&[
            "get",
            "deploy",
            "web",
            "-o",
            "jsonpath={.spec.template.spec.containers[*].name}",
        ]);
        assert_eq!(names, "web");
    });
}

#[test]
fn custom_resources_are_explained_listed_edited_and_patched() {
    each("custom", |k| {
        let group = format!("{}.example.com", k.namespace);
        let crd = format!(
            "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {{name: widgets.{group}}}
spec:
  group: {group}
  scope: Namespaced
  names: {{kind: Widget, plural: widgets, shortNames: [wd]}}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {{status: {{}}}}
    additionalPrinterColumns:
    - {{name: Size, type: integer, jsonPath: .spec.size}}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {{type: integer, minimum: 1, description: How big it is.}}
              colour: {{type: string, default: red}}
          status: {{type: object, x-kubernetes-preserve-unknown-fields: true}}
"
        );
        let widgets = format!("widgets.{group}");
        let definition = format!("crd/{widgets}");
        k.feed(&["apply", "-f", "-"], &crd);
        k.ok(&[
            "wait",
            "--for=condition=Established",
            &definition,
            "--timeout=10s",
        ]);
        let widget = |spec: &str| {
            format!("apiVersion: {group}/v1\nkind: Widget\nmetadata: {{name: w}}\nspec: {spec}\n")
        };
        k.feed(&["apply", "-f", "-"], &widget("{size: 3}"));
        has(&k.ok(&["get", &widgets]), &["NAME", "SIZE", "w      3"]);
        let explained = k.ok(&[
            "explain",
            "widgets.spec",
            &format!("--api-version={group}/v1"),
        ]);
        has(&explained, &["size", "How big it is."]);

        k.write("bad.yaml", &widget("{size: 1, colr: blue}"));
        has(
            &k.fails(&["apply", "-f", "bad.yaml"]),
            &["unknown field \"spec.colr\""],
        );
        k.write("bad.yaml", &widget("{size: many}"));
        has(
            &k.fails(&["apply", "-f", "bad.yaml"]),
            &["spec.size", "must be of type integer"],
        );

        let edit = k
            .command(&["edit", &widgets, "w"])
            .env("EDITOR", "sed -i s/size:.3/size:\\ 7/")
            .env("KUBE_EDITOR", "")
            .output()
            .unwrap();
        let edit = ran(edit);
        assert!(edit.ok, "{}{}", edit.stdout, edit.stderr);
        has(&k.ok(&["get", &widgets]), &["w      7"]);
        k.ok(&[
            "patch",
            &widgets,
            "w",
            "--type=merge",
            "-p",
            r#"{"spec":{"colour":"blue"}}"#,
        ]);
        let json = r#"[{"op":"replace","path":"/spec/size","value":9}]"#;
        k.ok(&["patch", &widgets, "w", "--type=json", "-p", json]);
        let status = [
            "patch",
            &widgets,
            "w",
            "--subresource=status",
            "--type=merge",
            "-p",
        ];
        k.ok(&[&status[..], &[r#"{"status":{"phase":"Ready"}}"#]].concat());
        k.ok(&[
            "wait",
            "--for=jsonpath={.status.phase}=Ready",
            &widgets,
            "w",
            "--timeout=10s",
        ]);
        has(
            &k.ok(&["describe", &widgets, "w"]),
            &["Colour:", "blue", "Size:", "9"],
        );
        let strategic = k.fails(&["patch", &widgets, "w", "-p", "{}"]);
        has(&strategic, &["strategic-merge-patch+json is not supported"]);
        k.ok(&["delete", &definition, "--timeout=20s"]);
    });
}

#[test]
fn built_in_objects_are_patched_labelled_edited_and_scaled() {
    each("patch", |k| {
        k.feed(&["create", "-f", "-"], DEPLOYMENT);
        let image = r#"{"spec":{"template":{"spec":{"containers":[{"name":"side","image":"busybox:2"}]}}}}"#;
        k.ok(&["patch", "deploy", "web", "-p", image]);
        let images = k.ok(&[
            "get",
            "deploy",
            "web",
            "-o",
            "jsonpath={.spec.template.spec.containers[*].image}",
        ]);
        assert_eq!(images, "nginx:1.25 busybox:2");
        k.ok(&[
            "patch",
            "deploy",
            "web",
            "--type=merge",
            "-p",
            r#"{"spec":{"replicas":6}}"#,
        ]);
        k.ok(&["label", "deploy", "web", "tier=front"]);
        k.ok(&["annotate", "deploy", "web", "note=hello"]);
        has(
            &k.ok(&["get", "deploy", "-l", "tier=front"]),
            &["web", "0/6"],
        );
        let edit = k
            .command(&["edit", "deploy", "web"])
            .env("EDITOR", "sed -i s/replicas:.6/replicas:\\ 7/")
            .output()
            .unwrap();
        assert!(ran(edit).ok);
        assert_eq!(
            k.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]),
            "7"
        );
        k.ok(&["scale", "deploy", "web", "--replicas=8"]);
        assert_eq!(
            k.ok(&["get", "deploy", "web", "-o", "jsonpath={.spec.replicas}"]),
            "8"
        );
        k.ok(&["set", "image", "deploy/web", "web=nginx:9"]);
        has(
            &k.ok(&["explain", "deployment.spec.replicas"]),
            &["replicas", "integer"],
        );
    });
}

#[test]
fn a_watch_prints_what_happens() {
    each("watch", |k| {
        let mut child = k
            .command(&["get", "configmaps", "-w"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        k.ok(&["create", "configmap", "seen", "--from-literal=a=b"]);
        let found = lines
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains("seen"));
        child.kill().unwrap();
        child.wait().unwrap();
        has(&found.unwrap_or_default(), &["seen", "1"]);
    });
}

#[test]
fn deletion_waits_for_finalizers_and_content() {
    each("delete", |k| {
        k.ok(&["create", "configmap", "held"]);
        let hold = r#"{"metadata":{"finalizers":["example.com/hold"]}}"#;
        k.ok(&["patch", "configmap", "held", "--type=merge", "-p", hold]);
        let mut waiting = k
            .command(&["delete", "configmap", "held", "--timeout=20s"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // kubectl says "deleted" first and then waits for it to be true.
        let mut lines = BufReader::new(waiting.stdout.take().unwrap()).lines();
        has(&lines.next().unwrap().unwrap(), &["held", "deleted"]);
        let stamp = k.ok(&[
            "get",
            "configmap",
            "held",
            "-o",
            "jsonpath={.metadata.deletionTimestamp}",
        ]);
        assert!(!stamp.is_empty());
        assert!(waiting.try_wait().unwrap().is_none());
        let release = r#"{"metadata":{"finalizers":null}}"#;
        k.ok(&["patch", "configmap", "held", "--type=merge", "-p", release]);
        assert!(waiting.wait().unwrap().success());
        has(&k.fails(&["get", "configmap", "held"]), &["NotFound"]);
        k.ok(&["create", "configmap", "content"]);
        k.ok(&["delete", "namespace", &k.namespace, "--timeout=20s"]);
        has(&k.fails(&["get", "namespace", &k.namespace]), &["NotFound"]);
        has(&k.fails(&["create", "configmap", "late"]), &["not found"]);
    });
}

#[test]
fn the_kubeconfig_is_all_that_kubectl_needs() {
    each("meta", |k| {
        has(&k.ok(&["version"]), &["Server Version", "v1.33"]);
        has(&k.ok(&["cluster-info"]), &["is running at"]);
        has(
            &k.ok(&["api-resources"]),
            &["deployments", "customresourcedefinitions"],
        );
        has(&k.ok(&["get", "--raw", "/readyz"]), &["ok"]);
        // To answer the caller instead of the other account would be a lie.
        has(
            &k.fails(&["auth", "can-i", "list", "pods", "--as=nobody"]),
            &["does not impersonate", "kubectl create token"],
        );
        let anonymous = k
            .command(&["get", "ns", "--token=wrong"])
            .env("KUBECONFIG", without_credentials(&hub().kubeconfig, &k.dir))
            .output()
            .unwrap();
        let anonymous = ran(anonymous);
        assert!(!anonymous.ok);
        has(&anonymous.stderr, &["must be logged in"]);
    });
}

fn without_credentials(kubeconfig: &Path, dir: &Path) -> PathBuf {
    let text = std::fs::read_to_string(kubeconfig).unwrap();
    let secret = |line: &&str| line.contains("client-") || line.contains("    token:");
    let kept: Vec<&str> = text.lines().filter(|line| !secret(line)).collect();
    let text = kept.join("\n").replace("\n  user:", "\n  user: {}");
    let path = dir.join("anonymous");
    std::fs::write(&path, text).unwrap();
    path
}
