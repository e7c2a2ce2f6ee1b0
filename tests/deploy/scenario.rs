//! A hub and a member with nothing but what `deploy/` gives: the story of an
//! installation, whose requests the servers log.

use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::try_join;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pilothouse::api::crds;
use serde_json::Value;
use tempfile::TempDir;

use crate::audit::AuditLog;
use crate::render::root;
use crate::replica::SOON;
use crate::support::pod::with_token;
use crate::support::{ControlPlane, ControlPlaneOptions, Edit, GitFixture, objects, piped};

/// Name of the member, as the example's rule asks for it.
pub const MEMBER: &str = "aws-sub1";
/// Folder of the application that needs rights of a subscription-admin.
pub const RIGHTS: &str = "rights-app";

/// The servers, the repository, and files of the processes.
pub struct Stage {
    /// The hub's control plane.
    pub hub: ControlPlane,
    /// The member's.
    pub member: ControlPlane,
    /// What the hub's API server logs.
    pub hub_log: AuditLog,
    /// What the member's API server logs.
    pub member_log: AuditLog,
    /// The hub as its admin.
    pub hub_admin: Client,
    /// The member as its admin.
    pub member_admin: Client,
    /// What the Channels lead to.
    pub repo: GitFixture,
    /// Files of the processes.
    pub folder: TempDir,
}

impl Stage {
    /// Starts the servers, and writes the repository.
    pub async fn build() -> Self {
        let folder = TempDir::with_prefix("pilothouse-deploy-").unwrap();
        let hub_log = AuditLog::new(folder.path(), "hub");
        let member_log = AuditLog::new(folder.path(), "member");
        let mut flags = hub_log.flags();
        // On in OpenShift: whoever writes an ownerReference with
        // blockOwnerDeletion must be allowed to update the owner's finalizers.
        let plugin = "OwnerReferencesPermissionEnforcement";
        flags.push(format!("--enable-admission-plugins={plugin}"));
        let options = |workloads, apiserver_flags| ControlPlaneOptions {
            workloads,
            apiserver_flags,
            ..ControlPlaneOptions::default()
        };
        let (hub, member) = try_join(
            ControlPlane::start("hub", options(false, flags)),
            ControlPlane::start(MEMBER, options(true, member_log.flags())),
        )
        .await
        .unwrap();
        let repo = GitFixture::from_folder(&root("examples/guestbook")).unwrap();
        let rewrite = format!(
            "[url \"{}\"]\n\tinsteadOf = https://git.example.com/acm-demo-app.git\n",
            repo.url()
        );
        std::fs::write(folder.path().join("gitconfig"), rewrite).unwrap();
        Self {
            hub_admin: hub.client().await.unwrap(),
            member_admin: member.client().await.unwrap(),
            hub,
            member,
            hub_log,
            member_log,
            repo,
            folder,
        }
    }

    /// `kubectl apply -k deploy` on the hub, `deploy/member` on the member, and
    /// what Submariner brings on both: the hub may be the broker.
    pub async fn install(&self) {
        kubectl(&self.hub, &["apply", "-k", &deploy("deploy")], "");
        kubectl(&self.member, &["apply", "-k", &deploy("deploy/member")], "");
        let simulated = crds::to_yaml(&crds::simulated().unwrap()).unwrap();
        for plane in [&self.hub, &self.member] {
            kubectl(plane, &["apply", "--server-side", "-f", "-"], &simulated);
            let established = ["wait", "--for=condition=Established", "crd", "--all"];
            kubectl(plane, &established, "");
        }
    }

    /// Writes `hub.kubeconfig` with a token of the ServiceAccount.
    pub fn write_hub_kubeconfig(&self) {
        let token = ["create", "token", "pilothouse", "-n", "pilothouse"];
        let token = kubectl(&self.hub, &token, "");
        let text = with_token(&self.hub.kubeconfig(), &self.hub.url(), token.trim());
        std::fs::write(self.folder.path().join("hub.kubeconfig"), text).unwrap();
    }

    /// The hub as the ServiceAccount.
    pub async fn hub_account(&self) -> Client {
        let text = std::fs::read_to_string(self.folder.path().join("hub.kubeconfig")).unwrap();
        let kubeconfig = Kubeconfig::from_yaml(&text).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options);
        Client::try_from(config.await.unwrap()).unwrap()
    }

    /// `pilothouse cluster join` with the token that `deploy/member` makes.
    pub async fn join(&self) {
        let secret = objects::SECRET
            .wait(
                &self.member_admin,
                "pilothouse-agent",
                "pilothouse-token",
                SOON,
                |secret| match &secret["data"]["token"] {
                    Value::String(_) => Ok(()),
                    _ => Err("no token yet".to_owned()),
                },
            )
            .await;
        let token = STANDARD.decode(secret["data"]["token"].as_str().unwrap());
        let token = String::from_utf8(token.unwrap()).unwrap();
        let file = self.folder.path().join("member.kubeconfig");
        std::fs::write(
            &file,
            with_token(&self.member.kubeconfig(), &self.member.url(), &token),
        )
        .unwrap();
        let mut join = Command::new(env!("CARGO_BIN_EXE_pilothouse"));
        join.args([
            "cluster",
            "join",
            MEMBER,
            "--use-credential",
            "--kubeconfig",
        ])
        .arg(&file)
        .arg("--hub-kubeconfig")
        .arg(self.hub.kubeconfig_path());
        run(&mut join, "");
    }

    /// Commits the application whose objects grant more than their deliverer
    /// has, among them one that no server takes.
    pub fn commit_rights(&self) {
        let role = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: delivered
rules:
  - apiGroups: ['']
    resources: [users]
    verbs: [impersonate]
";
        let binding = "apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: delivered
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: ClusterRole
  name: delivered
subjects:
  - {kind: User, name: nobody, apiGroup: rbac.authorization.k8s.io}
";
        // A Role and its binding, whose rights are those of a namespace.
        let namespaced = |text: &str| {
            text.replace("Cluster", "")
                .replace(
                    "  name: delivered",
                    "  name: delivered\n  namespace: platform",
                )
                .replace(
                    "kind: Role\n  name: delivered\n  namespace: platform",
                    "kind: Role\n  name: delivered",
                )
        };
        let nonsense = "apiVersion: example.com/v1
kind: Nonsense
metadata: {name: nonsense, namespace: platform}
";
        let write =
            |name: &str, text: &str| Edit::Write(format!("{RIGHTS}/{name}"), text.to_owned());
        let edits = [
            write("clusterrole.yaml", role),
            write("clusterrolebinding.yaml", binding),
            write("role.yaml", &namespaced(role)),
            write("rolebinding.yaml", &namespaced(binding)),
            write("nonsense.yaml", nonsense),
        ];
        self.repo.commit("Rights", &edits).unwrap();
    }

    /// Takes back what no server takes.
    pub fn retract_nonsense(&self) {
        let edit = Edit::Delete(format!("{RIGHTS}/nonsense.yaml"));
        self.repo.commit("Sense", &[edit]).unwrap();
    }
}

/// What teams and administrators write on the hub besides the example: a
/// Placement with its Subscription, a Channel with a Secret and a ConfigMap, a
/// cluster of which nobody keeps a credential, and the hub's own export.
pub const WISHES: &str = "
apiVersion: v1
kind: Namespace
metadata: {name: platform, labels: {pilothouse.dev/subscription-admin: 'true'}}
---
apiVersion: cluster.open-cluster-management.io/v1beta2
kind: ManagedClusterSetBinding
metadata: {name: global, namespace: platform}
spec: {clusterSet: global}
---
apiVersion: cluster.open-cluster-management.io/v1beta1
kind: Placement
metadata: {name: first, namespace: platform}
spec:
  clusterSets: [global]
  predicates:
    - requiredClusterSelector: {labelSelector: {matchLabels: {name: aws-sub1}}}
  tolerations:
    - {key: cluster.open-cluster-management.io/unreachable, operator: Exists}
---
apiVersion: apps.open-cluster-management.io/v1
kind: Channel
metadata: {name: demo, namespace: platform}
spec: {type: Git, pathname: 'https://git.example.com/acm-demo-app.git'}
---
apiVersion: apps.open-cluster-management.io/v1
kind: Subscription
metadata:
  name: rights
  namespace: platform
  annotations: {apps.open-cluster-management.io/git-path: rights-app, apps.open-cluster-management.io/git-branch: main}
spec:
  channel: platform/demo
  placement: {placementRef: {kind: Placement, name: first}}
---
apiVersion: v1
kind: Secret
metadata: {name: private, namespace: platform}
stringData: {user: reader, accessToken: not-a-real-one}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: private, namespace: platform}
data: {insecureSkipVerify: 'false'}
---
apiVersion: apps.open-cluster-management.io/v1
kind: Channel
metadata: {name: private, namespace: platform}
spec:
  type: Git
  pathname: https://127.0.0.1:1/private.git
  secretRef: {name: private}
  configMapRef: {name: private}
---
apiVersion: apps.open-cluster-management.io/v1
kind: Subscription
metadata: {name: private, namespace: platform}
spec:
  channel: platform/private
  placement: {placementRef: {kind: Placement, name: first}}
---
apiVersion: cluster.open-cluster-management.io/v1
kind: ManagedCluster
metadata: {name: nobody-knows}
spec: {hubAcceptsClient: true}
---
apiVersion: v1
kind: Service
metadata: {name: exported, namespace: platform}
spec: {ports: [{port: 80}]}
---
apiVersion: multicluster.x-k8s.io/v1alpha1
kind: ServiceExport
metadata: {name: exported, namespace: platform}
";

fn deploy(folder: &str) -> String {
    root(folder).display().to_string()
}

/// Runs kubectl as the admin; its output.
pub fn kubectl(plane: &ControlPlane, arguments: &[&str], input: &str) -> String {
    let mut command = Command::new(plane.kubectl());
    command
        .arg("--kubeconfig")
        .arg(plane.kubeconfig_path())
        .args(arguments);
    run(&mut command, input)
}

/// `kubectl apply -k` of a folder of this repository.
pub fn apply_folder(plane: &ControlPlane, folder: &str) {
    let folder = root(folder);
    kubectl(plane, &["apply", "-k", path(&folder)], "");
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(command: &mut Command, input: &str) -> String {
    let ran = piped(command, input);
    assert!(
        ran.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&ran.stderr)
    );
    String::from_utf8(ran.stdout).unwrap()
}
