//! What a Subscription delivers: Channel, credential, repository, content.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt};

use crate::api::apps::{Channel, Subscription};
use crate::api::{ANNOTATION_MANUAL_REFRESH, ANNOTATION_RECONCILE_RATE, NamespacedName};
use crate::core::delivery::{Failure, FailureClass};
use crate::core::manifest::Rendered;
use crate::core::source::{SourceReference, SourceSpec, package_filter, source_spec};
use crate::core::subscription::Content;
use crate::git::{Auth, Commit, Credential, GitError, Reference, RepositorySpec, redact};
use crate::hub::context::Shared;
use crate::hub::failure::git_failure;
use crate::hub::record::SourceWords;
use crate::hub::sources::{SourceState, Want};
use crate::hub::stores::named;

/// Rate `low`: as RHACM's hourly poll.
const LOW_RATE: Duration = Duration::from_secs(3600);

/// What was found.
pub(super) struct Found {
    pub(super) content: Content,
    pub(super) rendered: Option<Arc<Rendered>>,
    pub(super) commit: Option<Arc<Commit>>,
    pub(super) words: SourceWords,
    /// The Channel names a Secret or ConfigMap that is not there; nothing
    /// tells when it appears.
    pub(super) awaits_secret: bool,
}

impl Default for Found {
    fn default() -> Self {
        Self {
            content: Content::Pending {
                message: String::new(),
            },
            rendered: None,
            commit: None,
            words: SourceWords::default(),
            awaits_secret: false,
        }
    }
}

/// Follows the source of a Subscription and returns what is known.
///
/// # Errors
/// When the hub's API fails.
pub(super) async fn find(
    context: &Shared,
    name: &NamespacedName,
    subscription: &Subscription,
) -> Result<Found, kube::Error> {
    let mut found = Found::default();
    found.words.channel.clone_from(&subscription.spec.channel);
    let channel = match channel(context, subscription) {
        Ok(channel) => channel,
        Err(failure) => return Ok(found.failed(failure)),
    };
    let source = source_spec(&channel, subscription)
        .and_then(|spec| Ok((spec, package_filter(subscription)?)));
    let (spec, filter) = match source {
        Ok(source) => source,
        Err(error) => return Ok(found.failed(invalid("SourceInvalid", error.to_string()))),
    };
    found.words.url = Some(redact(&spec.url));
    found.words.reference = Some(spec.reference.to_string());
    found.words.path = Some(spec.path.clone());
    let auth = match auth(context, &channel, &spec).await? {
        Ok(auth) => auth,
        Err(failure) => {
            found.awaits_secret = true;
            return Ok(found.failed(failure));
        }
    };
    let want = reference(&spec.reference).map(|reference| Want {
        repository: RepositorySpec {
            url: spec.url.clone(),
            auth,
        },
        reference,
        path: spec.path.clone(),
        filter,
        interval: interval(context, &channel, subscription),
        refresh: refresh(&channel, subscription),
    });
    match want.and_then(|want| context.sources.follow(name, want)) {
        Ok(state) => Ok(found.with(state)),
        Err(error) => Ok(found.failed(git_failure(&error))),
    }
}

impl Found {
    fn failed(mut self, failure: Failure) -> Self {
        self.content = Content::Failed(failure);
        self
    }

    /// While the repository cannot be asked, or its newest content is broken,
    /// nothing new is delivered; members go on healing what they have.
    fn with(mut self, state: SourceState) -> Self {
        self.commit = state.commit;
        self.content = match (state.content, state.failure) {
            (Some(Ok(rendered)), None) => {
                let objects = rendered.manifests.len();
                self.rendered = Some(rendered);
                Content::Ready { objects }
            }
            (_, Some(failure)) | (Some(Err(failure)), None) => Content::Failed(failure),
            (None, None) => Content::Pending {
                message: "the first fetch of the repository is under way".into(),
            },
        };
        self
    }
}

fn channel(context: &Shared, subscription: &Subscription) -> Result<Arc<Channel>, Failure> {
    let text = &subscription.spec.channel;
    let name: NamespacedName = text
        .parse()
        .map_err(|error| invalid("ChannelInvalid", format!("spec.channel {error}")))?;
    named(&context.stores.channels, &name).ok_or_else(|| Failure {
        class: FailureClass::Waiting,
        reason: "ChannelNotFound".into(),
        message: format!(
            "Failed to find channel: {name} does not exist; create it, nothing is removed meanwhile"
        ),
    })
}

/// Reads the Channel's Secret and ConfigMap, only from its own namespace.
async fn auth(
    context: &Shared,
    channel: &Channel,
    spec: &SourceSpec,
) -> Result<Result<Auth, Failure>, kube::Error> {
    let namespace = channel.namespace().unwrap_or_default();
    let mut auth = Auth {
        insecure_skip_verify: spec.insecure_skip_verify,
        ..Auth::default()
    };
    if let Some(name) = &spec.secret {
        let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
        let Some(secret) = secrets.get_opt(name).await? else {
            return Ok(Err(missing("secret", &namespace, name, "secretRef")));
        };
        match credential(&secret) {
            Ok(credential) => auth.credential = credential,
            Err(reason) => {
                return Ok(Err(invalid(
                    "SecretInvalid",
                    format!(
                        "secret {namespace}/{name}, which the channel's secretRef names, {reason}"
                    ),
                )));
            }
        }
    }
    if let Some(name) = &spec.config_map {
        let config_maps: Api<ConfigMap> = Api::namespaced(context.client.clone(), &namespace);
        let Some(config_map) = config_maps.get_opt(name).await? else {
            return Ok(Err(missing("configmap", &namespace, name, "configMapRef")));
        };
        let data = config_map.data.unwrap_or_default();
        auth.ca_certs = data.get("caCerts").cloned();
        // The deprecated older form of spec.insecureSkipVerify.
        if data
            .get("insecureSkipVerify")
            .is_some_and(|value| value == "true")
        {
            auth.insecure_skip_verify = true;
        }
    }
    Ok(Ok(auth))
}

/// The Secret shapes of ocm-apps §1.3 that https understands.
fn credential(secret: &Secret) -> Result<Credential, &'static str> {
    let data = secret.data.clone().unwrap_or_default();
    let text = |key: &str| {
        data.get(key)
            .and_then(|bytes| String::from_utf8(bytes.0.clone()).ok())
            .map(|text| text.trim().trim_matches('"').to_owned())
            .filter(|text| !text.is_empty())
    };
    match (
        text("user"),
        text("accessToken"),
        text("clientCert"),
        text("clientKey"),
    ) {
        (Some(user), Some(token), _, _) => Ok(Credential::Basic { user, token }),
        (_, _, Some(cert), Some(key)) => Ok(Credential::ClientCertificate { cert, key }),
        _ if text("sshKey").is_some() => Err(
            "holds an sshKey, which is not supported yet; use an https URL with user and accessToken",
        ),
        _ => Err("needs the keys user and accessToken, or clientCert and clientKey"),
    }
}

fn reference(reference: &SourceReference) -> Result<Reference, GitError> {
    let reference = match reference {
        SourceReference::Head => Reference::Head,
        SourceReference::Branch(name) => Reference::Branch(name.clone()),
        SourceReference::Tag(name) => Reference::Tag(name.clone()),
        SourceReference::Commit(id) => Reference::Commit(id.parse()?),
    };
    reference.validate()?;
    Ok(reference)
}

fn interval(context: &Shared, channel: &Channel, subscription: &Subscription) -> Option<Duration> {
    let rate = |annotations: &std::collections::BTreeMap<String, String>| {
        annotations
            .get(ANNOTATION_RECONCILE_RATE)
            .map(|rate| rate.to_ascii_lowercase())
            .unwrap_or_default()
    };
    // On a Subscription only `off` has an effect (ocm-apps §2.2).
    if rate(subscription.annotations()) == "off" {
        return None;
    }
    match rate(channel.annotations()).as_str() {
        "off" => None,
        "low" => Some(LOW_RATE.max(context.options.poll_interval)),
        _ => Some(context.options.poll_interval),
    }
}

/// Changes whenever the repository should be asked at once.
fn refresh(channel: &Channel, subscription: &Subscription) -> String {
    format!(
        "{:?} {:?} {:?}",
        subscription.annotations().get(ANNOTATION_MANUAL_REFRESH),
        subscription.metadata.generation,
        channel.metadata.generation,
    )
}

fn invalid(reason: &str, message: String) -> Failure {
    Failure {
        class: FailureClass::Invalid,
        reason: reason.into(),
        message,
    }
}

fn missing(kind: &str, namespace: &str, name: &str, field: &str) -> Failure {
    Failure {
        class: FailureClass::Waiting,
        reason: "ChannelIncomplete".into(),
        message: format!(
            "{kind} {namespace}/{name}, which the channel's {field} names, does not exist; create it in the channel's namespace"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::ByteString;

    fn secret(data: &[(&str, &str)]) -> Secret {
        Secret {
            data: Some(
                data.iter()
                    .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
                    .collect(),
            ),
            ..Secret::default()
        }
    }

    #[test]
    fn the_secret_shapes_of_channels_are_read() {
        let basic = credential(&secret(&[("user", "bot\n"), ("accessToken", "\"hush\"\n")]));
        assert!(
            matches!(basic, Ok(Credential::Basic { user, token }) if user == "bot" && token == "hush")
        );
        let cert = credential(&secret(&[("clientCert", "c"), ("clientKey", "k")]));
        assert!(matches!(cert, Ok(Credential::ClientCertificate { .. })));
        assert!(
            credential(&secret(&[("sshKey", "k")])).is_err_and(|reason| reason.contains("sshKey"))
        );
        assert!(credential(&secret(&[("user", "bot")])).is_err());
    }
}
