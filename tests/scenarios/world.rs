//! A hub, two members, a repository and the product over them, with the words
//! that scenarios are written in.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::Client;
use pilothouse::api::{
    ANNOTATION_HOSTING_SUBSCRIPTION, CONDITION_AVAILABLE, LABEL_CREDENTIAL, crds,
};
use pilothouse::git::GitConfig;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::product::Product;
use crate::source::{App, Source, kustomization};
use crate::support::objects::{self, Kind};
use crate::support::{Fleet, GitFixture};

/// Namespace of everything in the article.
pub const GUESTBOOK: &str = "guestbook";
/// Longest wait for one step. Generous: it only shows in a failure.
pub const SOON: Duration = Duration::from_secs(60);

/// Everything that a scenario acts on. Fields end in this order.
pub struct World {
    product: Option<Product>,
    /// The hub as its admin.
    pub hub: Client,
    /// The members as their admins.
    pub members: BTreeMap<String, Client>,
    /// The repository that the Channels lead to.
    pub repo: GitFixture,
    /// Whose files are in it.
    pub source: Source,
    /// The servers.
    pub ground: Ground,
    /// Members whose API servers are stopped.
    down: BTreeSet<String>,
    /// Whether the product goes on with what other controllers left.
    pub take_over: bool,
}

impl World {
    /// Joins the members to the hub and fills the repository. The product is
    /// not running yet.
    pub async fn new(ground: Ground, source: Source) -> Result<Self> {
        let folder = source
            .folder()
            .map_err(|missing| anyhow::anyhow!(missing.why))?;
        let world = Self {
            product: None,
            hub: ground.hub().await?,
            members: ground.members().await?,
            repo: GitFixture::from_folder(&folder)?,
            source,
            ground,
            down: BTreeSet::new(),
            take_over: false,
        };
        serve(&world.hub, &crds::all()?).await?;
        for (name, member) in &world.members {
            serve(member, &crds::simulated()?).await?;
            world.join(name).await?;
        }
        Ok(world)
    }

    /// What `pilothouse cluster join` leaves on the hub, by hand.
    async fn join(&self, name: &str) -> Result<()> {
        let kubeconfig = STANDARD.encode(self.ground.kubeconfig(name)?);
        for manifest in [
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name},
            }),
            json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": {
                    "name": "credential", "namespace": name,
                    "labels": {LABEL_CREDENTIAL: "true"},
                },
                "data": {"kubeconfig": kubeconfig},
            }),
            json!({
                "apiVersion": "cluster.open-cluster-management.io/v1", "kind": "ManagedCluster",
                "metadata": {"name": name},
                "spec": {"hubAcceptsClient": true},
            }),
        ] {
            objects::apply(&self.hub, &manifest).await?;
        }
        Ok(())
    }

    /// Starts the product and waits until it has found the members that are up.
    pub async fn start_product(&mut self) {
        let url = self.repo.url();
        let mut git = GitConfig::none();
        for channel in [
            "https://git.example.com/acm-demo-app.git",
            "https://github.com/rcarrata/acm-demo-app.git",
        ] {
            git = git.with_instead_of(channel, url.as_str());
        }
        self.product = Some(
            Product::start(self.hub.clone(), git, self.take_over)
                .await
                .unwrap(),
        );
        for name in self
            .members
            .keys()
            .filter(|name| !self.down.contains(*name))
        {
            self.await_available(name, true).await;
        }
    }

    /// The running product.
    pub fn product(&self) -> &Product {
        self.product.as_ref().unwrap()
    }

    /// Ends the product.
    pub async fn end_product(&mut self) {
        self.product.take().unwrap().end().await;
    }

    /// Ends the product and starts another with nothing but what the hub, the
    /// members and git hold.
    pub async fn restart_product(&mut self) {
        self.end_product().await;
        self.start_product().await;
    }

    /// `kubectl apply -k APP/acm-resources` against the hub.
    pub async fn apply(&self, app: App) {
        let folder = self.source.folder().ok().unwrap();
        let folder = folder.join(app.folder()).join("acm-resources");
        for manifest in kustomization(&folder).unwrap() {
            objects::apply(&self.hub, &manifest).await.unwrap();
        }
    }

    /// Applies all three and waits until they are delivered.
    pub async fn apply_all(&self) {
        for app in App::ALL {
            self.apply(app).await;
        }
        for app in App::ALL {
            self.await_delivered(app).await;
        }
    }

    /// The hub namespace that redis-master's kustomization leaves out.
    pub async fn create_namespace(&self) {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": GUESTBOOK},
        });
        objects::apply(&self.hub, &namespace).await.unwrap();
    }

    /// The real control planes; only on real ground.
    pub fn fleet(&mut self) -> &mut Fleet {
        self.ground.fleet().unwrap()
    }

    /// A client of the member.
    pub fn member(&self, cluster: &str) -> &Client {
        &self.members[cluster]
    }

    /// Waits for an object in a member's namespace `guestbook`.
    pub async fn await_object(
        &self,
        cluster: &str,
        kind: Kind,
        name: &str,
        accept: impl Fn(&Value) -> Result<(), String>,
    ) -> Value {
        kind.wait(self.member(cluster), GUESTBOOK, name, SOON, accept)
            .await
    }

    /// The object as it is now; it must be there.
    pub async fn object(&self, cluster: &str, kind: Kind, name: &str) -> Value {
        let found = kind
            .find(self.member(cluster), GUESTBOOK, name)
            .await
            .unwrap();
        found
            .with_context(|| format!("{name} is not on {cluster}"))
            .unwrap()
    }

    /// Waits until an object of a member's namespace `guestbook` is gone.
    pub async fn await_gone(&self, cluster: &str, kind: Kind, name: &str) {
        kind.wait_gone(self.member(cluster), GUESTBOOK, name, SOON)
            .await;
    }

    /// True where the member has the object.
    pub async fn has(&self, cluster: &str, kind: Kind, name: &str) -> bool {
        let found = kind.find(self.member(cluster), GUESTBOOK, name).await;
        found.unwrap().is_some()
    }

    /// Waits for the application: Deployment available and stamped with its
    /// Subscription, Service there, hub status and report say so.
    pub async fn await_delivered(&self, app: App) {
        let hosting = format!("{GUESTBOOK}/{}", app.subscription());
        for kind in [objects::DEPLOYMENT, objects::SERVICE] {
            self.await_object(app.cluster(), kind, app.workload(), |object| {
                let stamp = &object["metadata"]["annotations"][ANNOTATION_HOSTING_SUBSCRIPTION];
                expect(stamp, &json!(hosting))
            })
            .await;
        }
        self.await_object(
            app.cluster(),
            objects::DEPLOYMENT,
            app.workload(),
            available,
        )
        .await;
        self.await_subscription(app, |status| expect(&status["phase"], &json!("Propagated")))
            .await;
        self.await_report(app, |summary| {
            expect(&summary["deployed"], &json!("1"))?;
            expect(&summary["failed"], &json!("0"))
        })
        .await;
    }

    /// Waits for a Subscription's status on the hub.
    pub async fn await_subscription(
        &self,
        app: App,
        accept: impl Fn(&Value) -> Result<(), String>,
    ) -> Value {
        objects::SUBSCRIPTION
            .wait(&self.hub, GUESTBOOK, app.subscription(), SOON, |object| {
                accept(&object["status"]).map_err(|why| format!("{why}; {}", object["status"]))
            })
            .await
    }

    /// Waits for the summary of an application's SubscriptionReport.
    pub async fn await_report(&self, app: App, accept: impl Fn(&Value) -> Result<(), String>) {
        objects::SUBSCRIPTION_REPORT
            .wait(&self.hub, GUESTBOOK, app.subscription(), SOON, |object| {
                accept(&object["summary"]).map_err(|why| format!("{why}; {}", object["summary"]))
            })
            .await;
    }

    /// Waits until the hub lists a package of the cluster that is not well,
    /// with `text` in its message.
    pub async fn await_complaint(&self, cluster: &str, package: &str, text: &str) {
        let what = format!("a complaint about {package} on {cluster} with {text:?}");
        crate::support::await_condition(&what, SOON, || async {
            let statuses = objects::SUBSCRIPTION_STATUS
                .list(&self.hub, cluster)
                .await?;
            let packages = statuses
                .iter()
                .filter_map(|object| object["statuses"]["packages"].as_array())
                .flatten();
            let found = packages
                .filter(|p| p["name"] == package && p["phase"] == "Failed")
                .any(|p| p["message"].as_str().is_some_and(|m| m.contains(text)));
            if found {
                Ok(())
            } else {
                Err(json!(statuses).to_string())
            }
        })
        .await;
    }

    /// Waits until the hub says whether the member answers.
    pub async fn await_available(&self, cluster: &str, wanted: bool) {
        objects::MANAGED_CLUSTER
            .wait(&self.hub, "", cluster, SOON, |object| {
                let conditions = object["status"]["conditions"].as_array();
                let status = conditions
                    .into_iter()
                    .flatten()
                    .find(|c| c["type"] == CONDITION_AVAILABLE)
                    .map(|c| &c["status"]);
                match status {
                    Some(status) if (status == "True") == wanted => Ok(()),
                    status => Err(format!("{CONDITION_AVAILABLE} is {status:?}")),
                }
            })
            .await;
    }

    /// The member's API server disappears.
    pub fn stop_member(&mut self, cluster: &str) {
        self.ground.stop(cluster).unwrap();
        self.down.insert(cluster.to_owned());
    }

    /// It comes back; a new client, since the old one may hold dead streams.
    pub async fn start_member(&mut self, cluster: &str) {
        self.ground.start(cluster).await.unwrap();
        self.down.remove(cluster);
        self.members = self.ground.members().await.unwrap();
    }

    /// Pushes a change of one of the application's manifests.
    pub fn push(&self, app: App, file: &str, from: &str, to: &str) {
        self.repo.replace(&app.manifest(file), from, to).unwrap();
    }

    /// Pushes another number of replicas of the application's Deployment.
    pub fn scale(&self, app: App, from: u32, to: u32) {
        let replicas = |count| format!("replicas: {count}");
        self.push(app, "deployment.yaml", &replicas(from), &replicas(to));
    }
}

/// `Ok` where both are equal.
pub fn expect(seen: &Value, wanted: &Value) -> Result<(), String> {
    if seen == wanted {
        Ok(())
    } else {
        Err(format!("{seen} where {wanted} is expected"))
    }
}

/// `Ok` for a Deployment all of whose replicas are available.
pub fn available(deployment: &Value) -> Result<(), String> {
    expect(
        &deployment["status"]["availableReplicas"],
        &deployment["spec"]["replicas"],
    )
}

/// `Ok` for a Deployment with so many replicas asked for.
pub fn replicas(wanted: u32) -> impl Fn(&Value) -> Result<(), String> {
    move |deployment| expect(&deployment["spec"]["replicas"], &json!(wanted))
}

/// The object's identity: another one means that it was deleted in between.
pub fn uid(object: &Value) -> String {
    object["metadata"]["uid"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Creates definitions and waits until their kinds are served.
pub async fn serve<T: serde::Serialize>(client: &Client, definitions: &[T]) -> Result<()> {
    for definition in definitions {
        let mut manifest = serde_json::to_value(definition)?;
        manifest["apiVersion"] = json!("apiextensions.k8s.io/v1");
        manifest["kind"] = json!("CustomResourceDefinition");
        objects::apply(client, &manifest).await?;
    }
    for definition in definitions {
        let manifest = serde_json::to_value(definition)?;
        let name = manifest["metadata"]["name"].as_str().context("no name")?;
        objects::CRD
            .wait(client, "", name, SOON, |object| {
                let conditions = object["status"]["conditions"].as_array();
                let established = conditions
                    .into_iter()
                    .flatten()
                    .any(|c| c["type"] == "Established" && c["status"] == "True");
                if established {
                    Ok(())
                } else {
                    Err(object["status"].to_string())
                }
            })
            .await;
    }
    Ok(())
}
