//! The ManagedCluster controller: credential, connection, conditions, taints,
//! labels and facts.

mod standing;

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use super::coexistence::left_to;
use super::context::{CredentialState, Shared};
use super::credential::renewal::{self, Standing};
use super::credential::{self, Found};
use super::queue::Requeue;
use super::removal;
use super::stores::Change;
use crate::api::cluster::{ManagedCluster, ManagedClusterClaim};
use crate::api::{ClusterName, STATUS_MANAGER};
use crate::core::activity::Severity;
use crate::core::cluster::{
    ClusterReport, availability, available, missing_labels, status, taints,
};
use crate::core::fleet::Connection;
use crate::member::client::MemberClient;
use crate::member::{MemberConnection, MemberFacts};

/// Which clusters a change concerns.
#[must_use]
pub fn concerned(context: &Shared, change: &Change) -> Vec<ClusterName> {
    match change {
        Change::Cluster(cluster) | Change::Credential(cluster) | Change::Member(cluster) => {
            vec![cluster.clone()]
        }
        Change::Subscription(name) => removal::debtors(context, name),
        Change::Delivery(cluster, name) if removal::owes(context, cluster, name) => {
            vec![cluster.clone()]
        }
        Change::Everything => context
            .stores
            .clusters
            .state()
            .iter()
            .map(|cluster| ClusterName::from(cluster.name_any()))
            .chain(context.pool.clusters())
            .collect(),
        _ => Vec::new(),
    }
}

/// Brings one cluster to what its object and credential say.
///
/// # Errors
/// When the hub's API fails; the key backs off.
pub async fn reconcile(context: &Shared, name: &ClusterName) -> Result<Requeue, kube::Error> {
    let found = context.stores.cluster(name);
    let Some(cluster) = found.filter(|cluster| cluster.metadata.deletion_timestamp.is_none())
    else {
        context.pool.disconnect(name);
        context.meshes.forget(name);
        context.credentials().remove(name);
        return Ok(Requeue::Await);
    };
    let now = Timestamp::now();
    let (mut credential, found) = connect(context, name, &cluster).await?;
    let mut connection = match (&credential.problem, context.pool.connection(name)) {
        (None, Some(connection)) => connection,
        (None, None) => Connection::Connecting,
        (Some(problem), _) => Connection::NoCredential {
            message: problem.clone(),
        },
    };
    if let (Some(client), Some(fingerprint)) = (context.pool.client(name), &credential.fingerprint)
    {
        context
            .meshes
            .observe(name, MemberClient::from_client(client), fingerprint);
    }
    if let Some(found) = found
        .as_ref()
        .filter(|_| context.options.controllers.has("cluster"))
    {
        let reachable = matches!(connection, Connection::Reachable { .. });
        let before = context.credentials().get(name).cloned();
        let before = before.filter(|before| before.fingerprint == credential.fingerprint);
        let before = before.and_then(|before| before.standing);
        credential.standing = renewal::attend(
            &context.client,
            name,
            found,
            reachable,
            before.as_ref(),
            now,
        )
        .await;
        standing::announce(
            context,
            &cluster,
            before.as_ref(),
            credential.standing.as_ref(),
        )
        .await;
        connection = standing::explain(connection, &credential, now);
    }
    let requeue = standing::requeue(&credential, now);
    let standing = credential.standing.clone();
    context.credentials().insert(name.clone(), credential);
    removal::settle(context, name, &cluster).await?;
    report(context, name, &cluster, &connection, standing.as_ref()).await?;
    Ok(requeue)
}

/// Finds the credential and connects, or disconnects where there is none.
async fn connect(
    context: &Shared,
    name: &ClusterName,
    cluster: &ManagedCluster,
) -> Result<(CredentialState, Option<Found>), kube::Error> {
    if !cluster.spec.hub_accepts_client {
        context.pool.disconnect(name);
        return Ok(problem(
            "the hub does not accept this cluster yet: set spec.hubAcceptsClient to true".into(),
        ));
    }
    ensure_namespace(context, name).await?;
    let found = match credential::find(&context.client, cluster).await {
        Ok(found) => found,
        Err(credential::FindError::Api { source, .. }) => return Err(*source),
        Err(error) => {
            // Without a credential nothing can be sent; what is there stays.
            context.pool.disconnect(name);
            return Ok(problem(error.to_string()));
        }
    };
    if !context.pool.connected_by(name, &found.fingerprint) {
        match MemberClient::connect(&found.credential).await {
            Ok(client) => context.pool.connect(
                name,
                MemberConnection {
                    client,
                    fingerprint: found.fingerprint.clone(),
                },
            ),
            Err(error) => {
                context.pool.disconnect(name);
                let why = super::chain(&error);
                return Ok(problem(format!("{}: {why}", found.source)));
            }
        }
    }
    let state = CredentialState {
        source: Some(found.source.clone()),
        kind: Some(found.kind),
        server: Some(found.credential.server().to_owned()),
        ends: found.credential.validity().map(|validity| validity.expires),
        fingerprint: Some(found.fingerprint.clone()),
        watched: found.watched,
        ..CredentialState::default()
    };
    Ok((state, Some(found)))
}

fn problem(message: String) -> (CredentialState, Option<Found>) {
    let state = CredentialState {
        problem: Some(message),
        ..CredentialState::default()
    };
    (state, None)
}

/// The namespace of an accepted cluster, which OCM's hub makes too.
async fn ensure_namespace(context: &Shared, name: &ClusterName) -> Result<(), kube::Error> {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    if namespaces.get_metadata_opt(name.as_str()).await?.is_some() {
        return Ok(());
    }
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            labels: Some(BTreeMap::from([(
                "open-cluster-management.io/cluster-name".to_owned(),
                name.to_string(),
            )])),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    match namespaces.create(&PostParams::default(), &namespace).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(error),
    }
}

/// Writes labels, taints and status where they differ.
async fn report(
    context: &Shared,
    name: &ClusterName,
    cluster: &ManagedCluster,
    connection: &Connection,
    standing: Option<&Standing>,
) -> Result<(), kube::Error> {
    if !context.options.controllers.has("cluster")
        || left_to(context, "managedclusters", cluster).await.is_some()
    {
        return Ok(());
    }
    let api: Api<ManagedCluster> = Api::all(context.client.clone());
    let params = PatchParams {
        field_manager: Some(STATUS_MANAGER.into()),
        ..PatchParams::default()
    };
    let now = Timestamp::now();
    let labels = missing_labels(cluster);
    let (available, _, message) = availability(connection);
    let taints = match connection {
        // A taint would move applications away: not before anything is known.
        Connection::Connecting => None,
        _ => taints(&cluster.spec, available, now),
    };
    if !labels.is_empty() || taints.is_some() {
        // The list of taints is replaced whole: only against the version it was computed from.
        let mut patch = json!({"metadata": {"labels": labels}});
        if let Some(taints) = taints {
            patch["metadata"]["resourceVersion"] = json!(cluster.metadata.resource_version);
            patch["spec"] = json!({"taints": taints});
        }
        api.patch(name.as_str(), &params, &Patch::Merge(patch))
            .await?;
    }
    if matches!(connection, Connection::Connecting) && word_before(cluster).is_some() {
        // A start knows nothing yet: what was said before stands until the
        // first probe has ended, which it does within its deadline.
        return Ok(());
    }
    let facts = context.pool.facts(name).map(cluster_report);
    let mut wanted = status(cluster, connection, facts.as_ref(), now);
    standing::set(&mut wanted, cluster, name, standing, now);
    if cluster.status.as_ref() != Some(&wanted) {
        note_transition(context, name, cluster, available, &message);
        let patch = Patch::Merge(json!({"status": wanted}));
        api.patch_status(name.as_str(), &params, &patch).await?;
    }
    Ok(())
}

/// Availability as the hub said it last.
fn word_before(cluster: &ManagedCluster) -> Option<&str> {
    available(cluster).map(|condition| condition.status.as_str())
}

fn note_transition(
    context: &Shared,
    name: &ClusterName,
    cluster: &ManagedCluster,
    available: &str,
    message: &str,
) {
    let before = word_before(cluster);
    if before == Some(available) {
        return;
    }
    match available {
        "True" => context.note(
            Severity::Good,
            "ClusterAvailable",
            format!("cluster {name} answers"),
            None,
            Some(name),
        ),
        _ if before == Some("True") => context.note(
            Severity::Bad,
            "ClusterUnreachable",
            format!("cluster {name} stopped answering: {message}"),
            None,
            Some(name),
        ),
        _ => {}
    }
}

fn cluster_report(facts: MemberFacts) -> ClusterReport {
    let quantities = |values: BTreeMap<String, String>| {
        values
            .into_iter()
            .map(|(key, value)| (key, Quantity(value)))
            .collect()
    };
    ClusterReport {
        kubernetes_version: Some(facts.kubernetes_version).filter(|version| !version.is_empty()),
        capacity: quantities(facts.capacity),
        allocatable: quantities(facts.allocatable),
        claims: facts
            .claims
            .into_iter()
            .map(|(name, value)| ManagedClusterClaim { name, value })
            .collect(),
    }
}
