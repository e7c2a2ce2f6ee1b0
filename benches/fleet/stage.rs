//! Hub, member, repository and product, and the words that rows are made of.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, Client};
use pilothouse::api::apps::{Channel, PlacementRule, Subscription};
use pilothouse::api::cluster::ManagedCluster;
use pilothouse::api::{CONDITION_AVAILABLE, LABEL_CREDENTIAL};
use pilothouse::hub::definitions;
use pilothouse::member::client::MemberClient;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::git_server::GitServer;
use crate::ground::{Ground, HUB, MEMBER};
use crate::product::Product;
use crate::replicas::{Replica, Replicas};
use crate::shipped::Shipped;
use crate::support::{Edit, GitFixture};
use crate::watching::Watching;
use crate::web::Web;

/// The member's name.
pub const MEMBER_NAME: &str = "member";
/// Namespace of the Subscriptions, and of what they deliver.
pub const NAMESPACE: &str = "bench";
/// Annotation by which a delivered object tells which push it is of.
pub const GENERATION: &str = "bench.pilothouse.dev/generation";
/// Applications of the big preset.
pub const APPLICATIONS: usize = 200;
/// Objects of each.
pub const OBJECTS: usize = 4;

/// Everything that rows act on. Fields end in this order.
pub struct Stage {
    /// The product, while it runs.
    pub running: Option<Replicas>,
    /// What is on the member.
    pub watching: Watching,
    /// Admin of the hub.
    pub hub: MemberClient,
    /// Admin of the member.
    pub member: MemberClient,
    /// The repository.
    pub repository: GitFixture,
    /// Who serves it.
    pub git: GitServer,
    web: Web,
    /// How it is installed, if as it ships.
    shipped: Option<Shipped>,
    directory: TempDir,
    ground: Ground,
}

impl Stage {
    /// Joins a member to a hub, with an empty application `push` in git.
    /// `shipped`: with what `deploy` gives, instead of as admin.
    pub async fn new(ground: Ground, shipped: bool) -> Result<Self> {
        let directory = TempDir::with_prefix("pilothouse-bench-")?;
        let (hub, member) = (ground.client(HUB).await?, ground.client(MEMBER).await?);
        for which in [HUB, MEMBER] {
            let file = directory.path().join(format!("{which}.kubeconfig"));
            std::fs::write(file, ground.kubeconfig(which))?;
        }
        let repository = GitFixture::from_edits(&[Edit::write("README", "bench\n")])?;
        let root = repository.path();
        let root = root.parent().context("the repository has no folder")?;
        let git = GitServer::start(root).await?;
        let shipped = match shipped {
            true => Some(Shipped::install(ground.plane(HUB)?, directory.path())?),
            false => None,
        };
        let stage = Self {
            running: None,
            watching: Watching::start(&member.watches),
            web: Web::new(),
            shipped,
            hub,
            member,
            repository,
            git,
            directory,
            ground,
        };
        stage.prepare().await?;
        stage.join(MEMBER_NAME, MEMBER, None).await?;
        let channel = json!({"spec": {"type": "Git", "pathname": stage.url()}});
        stage.apply::<Channel>("bench", channel).await?;
        Ok(stage)
    }

    /// The bench's namespace; the CRDs and the Lease's namespace, unless
    /// `deploy` brought them.
    async fn prepare(&self) -> Result<()> {
        let hub = &self.hub.calls;
        if self.shipped.is_none() {
            definitions::install(hub).await?;
            apply::<Namespace>(hub, "", "pilothouse", json!({})).await?;
        }
        apply::<Namespace>(hub, "", NAMESPACE, json!({})).await
    }

    /// Joins a server as the cluster `name`, over another port if one is given:
    /// what `pilothouse cluster join` leaves on the hub or, as it ships, that
    /// command.
    pub async fn join(&self, name: &str, which: usize, port: Option<u16>) -> Result<()> {
        let (mut url, mut kubeconfig) = self.kubeconfig_of(which)?;
        if let Some(port) = port {
            let over = format!("https://127.0.0.1:{port}");
            kubeconfig = kubeconfig.replace(&url, &over);
            url = over;
        }
        if let Some(shipped) = &self.shipped {
            return shipped.join(name, self.ground.plane(which)?, &url).await;
        }
        let hub = &self.hub.calls;
        apply::<Namespace>(hub, "", name, json!({})).await?;
        let credential = json!({
            "metadata": {"labels": {LABEL_CREDENTIAL: "true"}},
            "data": {"kubeconfig": STANDARD.encode(kubeconfig)},
        });
        apply::<Secret>(hub, name, "credential", credential).await?;
        let cluster = json!({"spec": {"hubAcceptsClient": true}});
        apply::<ManagedCluster>(hub, "", name, cluster).await
    }

    /// Whether two replicas run with the shipped rights.
    pub fn is_shipped(&self) -> bool {
        self.shipped.is_some()
    }

    /// Whether the application of the latency rows is on the member.
    pub fn has_push(&self) -> bool {
        self.watching.has("ConfigMap", "push")
    }

    /// URL of the repository.
    pub fn url(&self) -> String {
        self.git.url("demo.git")
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// URL and admin's kubeconfig of a server.
    pub fn kubeconfig_of(&self, which: usize) -> Result<(String, String)> {
        let text = self.ground.kubeconfig(which);
        let file: serde_json::Value = serde_yaml::from_str(&text)?;
        let url = file["clusters"][0]["cluster"]["server"].as_str();
        Ok((url.context("no server")?.to_owned(), text))
    }

    /// A folder that ends with the stage.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Starts the product on the hub and waits until the member is available.
    pub async fn start_product(&mut self, poll: &str) -> Result<()> {
        self.start_product_with(poll, &[]).await
    }

    /// The same, with further flags.
    pub async fn start_product_with(&mut self, poll: &str, more: &[&str]) -> Result<()> {
        let flags = [&["--poll-interval", poll], more].concat();
        let running = match &self.shipped {
            Some(shipped) => shipped.start(&flags).await?,
            None => self.start_alone(&flags).await?,
        };
        self.running = Some(running);
        let clusters: Api<ManagedCluster> = Api::all(self.hub.calls.clone());
        eventually("the member is available", async || {
            let cluster = serde_json::to_value(clusters.get(MEMBER_NAME).await?)?;
            let conditions = cluster["status"]["conditions"].as_array();
            Ok(conditions.into_iter().flatten().any(|condition| {
                condition["type"] == CONDITION_AVAILABLE && condition["status"] == "True"
            }))
        })
        .await
    }

    /// One process as the hub's admin.
    async fn start_alone(&self, flags: &[&str]) -> Result<Replicas> {
        let hub = self.file(&format!("{HUB}.kubeconfig"));
        let cache = self.file("git-cache");
        let (hub, cache) = (hub.display().to_string(), cache.display().to_string());
        let run = [
            "run",
            "--hub-kubeconfig",
            &hub,
            "--listen",
            "127.0.0.1:0",
            "--git-cache",
            &cache,
        ];
        let mut product = Product::start(self.directory.path(), &[&run, flags].concat())?;
        let address = product.leads().await?;
        Ok(Replicas {
            leader: Replica::new(product, &address),
            standby: None,
        })
    }

    /// The standby leads from now on; waits for that, and starts another.
    pub async fn succeed(&mut self, mut standby: Replica, poll: &str) -> Result<Duration> {
        let start = Instant::now();
        standby.product.leads().await?;
        let took = start.elapsed();
        let shipped = self.shipped.as_ref().context("nothing is shipped")?;
        self.running = Some(Replicas {
            leader: standby,
            standby: Some(shipped.stand_by(&["--poll-interval", poll]).await?),
        });
        Ok(took)
    }

    /// Ends the product in order, if it runs.
    pub async fn stop_product(&mut self) -> Result<()> {
        match self.running.take() {
            Some(running) => running.stop().await,
            None => Ok(()),
        }
    }

    /// What the product warned of: as it ships, all replicas so far.
    pub fn warnings(&self) -> String {
        match (&self.shipped, &self.running) {
            (Some(shipped), _) => shipped.warnings(),
            (None, Some(running)) => running.leader.product.output(),
            (None, None) => String::new(),
        }
    }

    /// The running replicas.
    pub fn replicas(&self) -> Result<&Replicas> {
        self.running.as_ref().context("the product does not run")
    }

    /// The process that leads.
    pub fn product(&self) -> Result<&Product> {
        Ok(&self.replicas()?.leader.product)
    }

    /// Commits and returns the commit's id; that is the end of the push.
    pub fn push(&self, edits: &[Edit]) -> Result<String> {
        Ok(self.repository.commit("A change", edits)?.to_string())
    }

    /// Announces a push to the leader.
    pub async fn announce(&self, commit: &str) -> Result<()> {
        self.announce_to(&self.replicas()?.leader, commit).await
    }

    /// Announces a push as GitHub does.
    pub async fn announce_to(&self, replica: &Replica, commit: &str) -> Result<()> {
        let body = json!({
            "ref": "refs/heads/main",
            "after": commit,
            "repository": {"clone_url": self.url()},
        });
        let answer = self
            .web
            .post(&replica.webhook, "x-github-event", "push", &body)
            .await?;
        ensure!(
            answer.contains("followed references asked") && !answer.contains(" 0 followed"),
            "the webhook was not understood: {answer}"
        );
        Ok(())
    }

    /// Applies an object to the hub.
    pub async fn apply<K>(&self, name: &str, body: Value) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        apply::<K>(&self.hub.calls, NAMESPACE, name, body).await
    }

    /// Applies a Subscription to a folder of the repository, placed by `rule`.
    pub async fn subscribe(&self, name: &str, path: &str, rule: &str) -> Result<()> {
        let subscription = json!({
            "metadata": {"annotations": {
                "apps.open-cluster-management.io/git-branch": "main",
                "apps.open-cluster-management.io/git-path": path,
            }},
            "spec": {
                "channel": format!("{NAMESPACE}/bench"),
                "placement": {"placementRef": {"kind": "PlacementRule", "name": rule}},
            },
        });
        self.apply::<Subscription>(name, subscription).await
    }

    /// Applies a PlacementRule that chooses every cluster.
    pub async fn place(&self, rule: &str) -> Result<()> {
        let spec = json!({"spec": {"clusterSelector": {}}});
        self.apply::<PlacementRule>(rule, spec).await
    }

    /// Deletes an object of the hub, in the background.
    pub async fn delete<K>(&self, name: &str) -> Result<()>
    where
        K: kube::Resource<DynamicType = ()>,
    {
        let resource = ApiResource::erase::<K>(&());
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.hub.calls.clone(), NAMESPACE, &resource);
        api.delete(name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// Does `each` for every application of the big preset, 32 at a time.
    pub async fn for_applications(&self, each: impl AsyncFn(&str) -> Result<()>) -> Result<()> {
        let names: Vec<String> = (0..APPLICATIONS).map(application).collect();
        futures::stream::iter(&names)
            .map(|name| each(name))
            .buffer_unordered(32)
            .try_collect()
            .await
    }
}

/// Name and folder of an application of the big preset.
pub fn application(number: usize) -> String {
    format!("app-{number:03}")
}

/// The file of an application: the shape of flux-benchmark, with the
/// generation in every object.
pub fn manifest(name: &str, generation: &str) -> Edit {
    let documents: Vec<String> = objects(name, generation)
        .iter()
        .map(Value::to_string)
        .collect();
    Edit::Write(format!("{name}/objects.yaml"), documents.join("\n---\n"))
}

/// Deployment without replicas, ServiceAccount, Service, Ingress.
pub fn objects(name: &str, generation: &str) -> [Value; OBJECTS] {
    let metadata = json!({
        "name": name, "annotations": {GENERATION: generation}, "labels": {"app": name},
    });
    [
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata,
            "spec": {
                "replicas": 0,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {
                        "serviceAccountName": name,
                        "containers": [{"name": "app", "image": "registry.example.com/app:1.0"}],
                    },
                },
            },
        }),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        }),
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata,
            "spec": {"rules": [{"host": format!("{name}.example.com"), "http": {"paths": [{
                "path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"name": "http"}}},
            }]}}]},
        }),
    ]
}

/// A ConfigMap with a content that each push changes.
pub fn config_map(path: &str, generation: &str) -> Edit {
    let object = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "push", "annotations": {GENERATION: generation}},
        "data": {"generation": generation},
    });
    Edit::Write(format!("{path}/config.yaml"), object.to_string())
}

/// Server-side apply of `body`, completed by kind and name.
pub async fn apply<K>(client: &Client, namespace: &str, name: &str, mut body: Value) -> Result<()>
where
    K: kube::Resource<DynamicType = ()>,
{
    let resource = ApiResource::erase::<K>(&());
    body["apiVersion"] = json!(resource.api_version);
    body["kind"] = json!(resource.kind);
    body["metadata"]["name"] = json!(name);
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(client.clone(), &resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, &resource)
    };
    api.patch(name, &PatchParams::apply("bench"), &Patch::Apply(body))
        .await
        .with_context(|| format!("applying {} {name}", resource.kind))?;
    Ok(())
}

/// Looks every 5 ms until it is so.
pub async fn eventually(what: &str, so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !so().await? {
        ensure!(Instant::now() < deadline, "not within 120 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
