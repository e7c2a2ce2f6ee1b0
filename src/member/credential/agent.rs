//! The hub's identity on a member: what `deploy/member` holds, made with an
//! administrator's rights, and tokens of it that end.
//!
//! Nothing runs on the member. Each hub that joined leaves its mark on the
//! namespace, so that one that leaves takes nothing from another.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, ServiceAccount};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams,
    Preconditions,
};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::Account;

/// Namespace of what [`install`] makes.
pub const NAMESPACE: &str = "pilothouse-agent";
/// The ServiceAccount in it.
pub const ACCOUNT: &str = "pilothouse";
/// Field manager of what is made on a member for joining it.
const MANAGER: &str = "pilothouse-registration";
/// Prefix of the annotation by which a hub (its `kube-system` uid) says on the
/// namespace that it uses it; the value is the cluster's name there.
const MARK: &str = "hub.pilothouse.dev/";
/// Name of the ClusterRole and of its binding.
const CLUSTER_ROLE: &str = "pilothouse-agent";
/// Deadline of one call.
const TIMEOUT: Duration = Duration::from_secs(15);
/// The server takes no shorter life (Kubernetes: 10 minutes).
const SHORTEST: SignedDuration = SignedDuration::from_secs(600);

/// `deploy/member`, without the token that does not end. The namespace first.
const MANIFESTS: [&str; 6] = [
    include_str!("../../../deploy/member/namespace.yaml"),
    include_str!("../../../deploy/member/serviceaccount.yaml"),
    include_str!("../../../deploy/member/clusterrole.yaml"),
    include_str!("../../../deploy/member/clusterrolebinding.yaml"),
    include_str!("../../../deploy/member/role.yaml"),
    include_str!("../../../deploy/member/rolebinding.yaml"),
];

/// Why a step on the member failed. Holds no token.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A manifest of this build is broken.
    #[error("a manifest of this build cannot be used; report this")]
    Manifest,
    /// The member refused a step.
    #[error("the cluster does not {step}")]
    Refused {
        /// What was about to be done, with the next step.
        step: String,
        /// What it said.
        #[source]
        source: Box<kube::Error>,
    },
    /// The member did not answer.
    #[error("the cluster does not {0} within 15 s; run it again")]
    Late(String),
    /// It answered without a token.
    #[error("the cluster answered to the request for a token of {0} without a token")]
    NoToken(String),
}

impl AgentError {
    /// Whether the member does not know the credential (any more).
    #[must_use]
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(status) if status.code == 401))
    }
}

/// A token that ends. Its Debug form shows only when.
#[derive(Clone)]
pub struct Issued {
    /// The token. Secret.
    pub token: String,
    /// When it ends, as the member granted it.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Issued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Issued(until {}, <redacted>)", self.expires)
    }
}

/// Makes what `deploy/member` holds and marks it as used by this hub. Doing it
/// twice changes nothing.
///
/// # Errors
/// When the member refuses a step. The steps before it stay.
pub async fn install(member: &Client, hub_id: &str, cluster: &str) -> Result<(), AgentError> {
    for manifest in MANIFESTS {
        let object: Value = serde_yaml::from_str(manifest).map_err(|_| AgentError::Manifest)?;
        apply(member, MANAGER, &object).await?;
    }
    // Under a manager of its own, so that hubs keep each other's marks.
    let mark = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "annotations": {format!("{MARK}{hub_id}"): cluster}},
    });
    apply(member, &format!("{MANAGER}-{hub_id}"), &mark).await
}

async fn apply(member: &Client, manager: &str, object: &Value) -> Result<(), AgentError> {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (Some(version), Some(kind), Some(name)) =
        (text("/apiVersion"), text("/kind"), text("/metadata/name"))
    else {
        return Err(AgentError::Manifest);
    };
    let (group, version) = version.rsplit_once('/').unwrap_or(("", version));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
    let api: Api<DynamicObject> = match text("/metadata/namespace") {
        Some(namespace) => Api::namespaced_with(member.clone(), namespace, &resource),
        None => Api::all_with(member.clone(), &resource),
    };
    let params = PatchParams::apply(manager).force();
    let step = format!("take the {kind} {name}; it needs an administrator's rights");
    within(step, api.patch(name, &params, &Patch::Apply(object)))
        .await
        .map(drop)
}

/// Asks for a token of an account that ends after `lifetime` (10 minutes at
/// least); the member may give a shorter one.
///
/// # Errors
/// When the member refuses, for example because `member`'s own token ended.
pub async fn token(
    member: &Client,
    account: &Account,
    lifetime: SignedDuration,
) -> Result<Issued, AgentError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(member.clone(), &account.namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            expiration_seconds: Some(lifetime.max(SHORTEST).as_secs()),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let whose = format!("{}/{}", account.namespace, account.name);
    let params = PostParams::default();
    let answer = within(
        format!("give a token of the ServiceAccount {whose}"),
        accounts.create_token_request(&account.name, &params, &request),
    )
    .await?;
    let status = answer.status.ok_or(AgentError::NoToken(whose))?;
    Ok(Issued {
        token: status.token,
        expires: status.expiration_timestamp.0,
    })
}

/// Whether the caller may ask for tokens of an account; at the same time a
/// proof that its own credential is known there.
///
/// # Errors
/// When the member does not answer or does not know the caller.
pub async fn may_renew(caller: &Client, account: &Account) -> Result<bool, AgentError> {
    let review: SelfSubjectAccessReview = serde_json::from_value(json!({
        "spec": {"resourceAttributes": {
            "verb": "create", "resource": "serviceaccounts", "subresource": "token",
            "namespace": account.namespace, "name": account.name,
        }},
    }))
    .map_err(|_| AgentError::Manifest)?;
    let reviews: Api<SelfSubjectAccessReview> = Api::all(caller.clone());
    let params = PostParams::default();
    let step = "say what its account may do".to_owned();
    let answer = within(step, reviews.create(&params, &review)).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// The account that [`install`] makes.
#[must_use]
pub fn account() -> Account {
    Account {
        namespace: NAMESPACE.to_owned(),
        name: ACCOUNT.to_owned(),
    }
}

/// What became of the identity on a member that left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Removal {
    /// It goes: the namespace, and with it the roles.
    Removed,
    /// There is none.
    Absent,
    /// It stays, for this reason.
    Kept(String),
}

/// Removes what [`install`] made, unless another hub uses it, somebody else
/// made it, or there is more in its namespace.
///
/// The roles are handed to the namespace first and go with it (garbage
/// collection), as a caller with a token of the account loses its rights on
/// the way.
///
/// # Errors
/// When the member refuses a step.
pub async fn remove(member: &Client, hub_id: &str) -> Result<Removal, AgentError> {
    let namespaces: Api<Namespace> = Api::all(member.clone());
    let step = || format!("show the Namespace {NAMESPACE}");
    let Some(namespace) = within(step(), namespaces.get_opt(NAMESPACE)).await? else {
        return Ok(Removal::Absent);
    };
    let own = format!("{MARK}{hub_id}");
    let marks: BTreeMap<_, _> = namespace
        .annotations()
        .iter()
        .filter(|(key, _)| key.starts_with(MARK))
        .collect();
    if !marks.contains_key(&own) {
        return Ok(Removal::Kept("this hub did not make it".to_owned()));
    }
    if marks.len() > 1 {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {own: null}}}));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        let step = format!("change the Namespace {NAMESPACE}");
        within(step, namespaces.patch(NAMESPACE, &params, &patch)).await?;
        return Ok(Removal::Kept("another hub uses it".to_owned()));
    }
    if let Some(foreign) = foreign(member).await? {
        return Ok(Removal::Kept(format!("its namespace also holds {foreign}")));
    }
    let uid = namespace.uid().unwrap_or_default();
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        hand_over(member, kind, &uid).await?;
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: Some(uid),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let step = format!("delete the Namespace {NAMESPACE}");
    within(step, gone(namespaces.delete(NAMESPACE, &params))).await?;
    Ok(Removal::Removed)
}

/// Makes the namespace the owner of a role.
async fn hand_over(member: &Client, kind: &str, uid: &str) -> Result<(), AgentError> {
    let gvk = GroupVersionKind::gvk("rbac.authorization.k8s.io", "v1", kind);
    let api: Api<DynamicObject> = Api::all_with(member.clone(), &ApiResource::from_gvk(&gvk));
    let patch = Patch::Merge(json!({"metadata": {"ownerReferences": [
        {"apiVersion": "v1", "kind": "Namespace", "name": NAMESPACE, "uid": uid},
    ]}}));
    let params = PatchParams {
        field_manager: Some(MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let step = format!("change the {kind} {CLUSTER_ROLE}");
    within(step, gone(api.patch(CLUSTER_ROLE, &params, &patch))).await
}

/// Something in the namespace that joining did not bring, if there is any.
async fn foreign(member: &Client) -> Result<Option<String>, AgentError> {
    let accounts: Api<ServiceAccount> = Api::namespaced(member.clone(), NAMESPACE);
    let configs: Api<ConfigMap> = Api::namespaced(member.clone(), NAMESPACE);
    let secrets: Api<Secret> = Api::namespaced(member.clone(), NAMESPACE);
    let pods: Api<Pod> = Api::namespaced(member.clone(), NAMESPACE);
    let all = ListParams::default();
    let step = || format!("list what is in the Namespace {NAMESPACE}");
    for account in within(step(), accounts.list(&all)).await? {
        // OpenShift makes builder and deployer in every namespace.
        if !["default", "builder", "deployer", ACCOUNT].contains(&account.name_any().as_str()) {
            return Ok(Some(format!("the ServiceAccount {}", account.name_any())));
        }
    }
    for config in within(step(), configs.list(&all)).await? {
        if !["kube-root-ca.crt", "openshift-service-ca.crt"].contains(&config.name_any().as_str()) {
            return Ok(Some(format!("the ConfigMap {}", config.name_any())));
        }
    }
    for secret in within(step(), secrets.list(&all)).await? {
        // Those of accounts (tokens, OpenShift's dockercfg) go with them.
        let of_account = secret.type_.as_deref().is_some_and(|type_| {
            type_ == "kubernetes.io/service-account-token" || type_ == "kubernetes.io/dockercfg"
        });
        if !of_account {
            return Ok(Some(format!("the Secret {}", secret.name_any())));
        }
    }
    let pods = within(step(), pods.list(&all.limit(1))).await?;
    Ok(pods
        .items
        .first()
        .map(|pod| format!("the Pod {}", pod.name_any())))
}

/// What is gone already is as good.
async fn gone<T>(call: impl Future<Output = Result<T, kube::Error>>) -> Result<(), kube::Error> {
    match call.await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        other => other.map(drop),
    }
}

async fn within<T>(
    step: String,
    call: impl Future<Output = Result<T, kube::Error>>,
) -> Result<T, AgentError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(AgentError::Refused {
            step,
            source: Box::new(error),
        }),
        Err(_) => Err(AgentError::Late(step)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apiserver::{Options, Server};
    use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role};

    fn member() -> Client {
        Server::open(Options::in_memory("one")).unwrap().client()
    }

    #[tokio::test]
    async fn installing_twice_changes_nothing() {
        let member = member();
        let roles: Api<Role> = Api::namespaced(member.clone(), NAMESPACE);
        let namespaces: Api<Namespace> = Api::all(member.clone());
        let mut versions = Vec::new();
        for _ in 0..2 {
            install(&member, "hub-1", "one").await.unwrap();
            let namespace = namespaces.get(NAMESPACE).await.unwrap();
            let role = roles.get("pilothouse-token").await.unwrap();
            assert_eq!(namespace.annotations()["hub.pilothouse.dev/hub-1"], "one");
            versions.push((namespace.resource_version(), role.resource_version()));
        }
        assert_eq!(versions[0], versions[1]);
        let binding = Api::<ClusterRoleBinding>::all(member);
        binding.get(CLUSTER_ROLE).await.unwrap();
    }

    #[tokio::test]
    async fn a_token_ends_and_is_not_shown() {
        let member = member();
        let missing = token(&member, &account(), SHORTEST).await.unwrap_err();
        assert!(!missing.is_unauthorized());
        install(&member, "hub-1", "one").await.unwrap();
        let issued = token(&member, &account(), SignedDuration::from_hours(2))
            .await
            .unwrap();
        let left = issued.expires.duration_since(Timestamp::now());
        assert!((7_100..=7_200).contains(&left.as_secs()), "{left}");
        assert!(!format!("{issued:?}").contains(&issued.token));
    }

    #[tokio::test]
    async fn what_another_hub_uses_or_somebody_made_stays() {
        let member = member();
        assert_eq!(remove(&member, "hub-1").await.unwrap(), Removal::Absent);
        install(&member, "hub-1", "one").await.unwrap();
        install(&member, "hub-2", "uno").await.unwrap();
        let kept = remove(&member, "hub-1").await.unwrap();
        assert!(matches!(kept, Removal::Kept(_)), "{kept:?}");
        let kept = remove(&member, "hub-1").await.unwrap();
        assert_eq!(kept, Removal::Kept("this hub did not make it".into()));

        let configs: Api<ConfigMap> = Api::namespaced(member.clone(), NAMESPACE);
        let mut config = ConfigMap::default();
        config.metadata.name = Some("theirs".into());
        configs.create(&Default::default(), &config).await.unwrap();
        let Removal::Kept(why) = remove(&member, "hub-2").await.unwrap() else {
            panic!("removed what somebody else made");
        };
        assert!(why.contains("ConfigMap theirs"), "{why}");

        configs.delete("theirs", &Default::default()).await.unwrap();
        assert_eq!(remove(&member, "hub-2").await.unwrap(), Removal::Removed);
        let roles: Api<ClusterRole> = Api::all(member);
        let role = roles.get_opt(CLUSTER_ROLE).await.unwrap();
        assert!(role.is_none_or(|role| !role.owner_references().is_empty()));
    }
}
