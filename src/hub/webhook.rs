//! Pushes announced by a git server: checked, matched to Channels, fetched at
//! once.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::HeaderMap;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt};

use super::context::Shared;
use crate::api::ANNOTATION_WEBHOOK_SECRET;
use crate::core::activity::Severity;
use crate::core::webhook::{Delivery, Event, PushEvent};
use crate::git::Reference;

/// Key of a Channel's webhook Secret.
const SECRET_KEY: &str = "secret";

/// What became of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Taken, with a line for the sender's log.
    Accepted(String),
    /// Not a push that we read.
    Malformed(String),
    /// Signature or token missing or wrong.
    Unauthorized,
    /// The hub's API does not answer; the sender should try again.
    Busy,
}

/// Takes one delivery.
///
/// A signature or token is mandatory as soon as a Channel of the repository
/// has a webhook secret; upstream accepted unsigned pushes beside it. Without
/// a secret a push only makes the hub look sooner, which polling does anyway.
pub async fn receive(context: &Shared, headers: HeaderMap, body: Bytes) -> Answer {
    let delivery = match Delivery::parse(&headers, &body) {
        Ok(delivery) => delivery,
        Err(error) => return Answer::Malformed(super::chain(&error)),
    };
    let push = match &delivery.event {
        Event::Push(push) => push,
        Event::Ignored { name } => {
            return Answer::Accepted(format!("nothing to do for event {name}"));
        }
    };
    let secrets = match secrets(context, push).await {
        Ok(secrets) => secrets,
        Err(error) => {
            tracing::warn!(error = %super::chain(&error), "cannot read webhook secrets");
            return Answer::Busy;
        }
    };
    if let Err(error) = delivery.authenticate(&body, &secrets) {
        tracing::warn!(%error, "a webhook was refused");
        let message = format!("a push announcement was refused: {error}");
        context.note(Severity::Warning, "WebhookRefused", message, None, None);
        return Answer::Unauthorized;
    }
    let asked = trigger(context, push);
    Answer::Accepted(format!(
        "push understood, {asked} followed references asked"
    ))
}

fn trigger(context: &Shared, push: &PushEvent) -> usize {
    context.sources.trigger(|url, reference| {
        if !push.is_for(url) {
            return None;
        }
        let change = match reference {
            Reference::Branch(branch) => push.branch(branch)?,
            Reference::Tag(tag) => push.tag(tag)?,
            // Which branch HEAD names, only the server knows.
            Reference::Head => return Some(None),
            Reference::Commit(_) => return None,
        };
        Some(change.after.as_deref().and_then(|after| after.parse().ok()))
    })
}

/// Secrets of the repository's Channels. A named Secret that does not exist
/// counts as one that nothing matches, so that it never opens the door.
async fn secrets(context: &Shared, push: &PushEvent) -> Result<Vec<Vec<u8>>, kube::Error> {
    let named: BTreeSet<(String, String)> = context
        .stores
        .channels
        .state()
        .iter()
        .filter(|channel| push.is_for(&channel.spec.pathname))
        .filter_map(|channel| {
            let name = channel.annotations().get(ANNOTATION_WEBHOOK_SECRET)?;
            Some((channel.namespace()?, name.clone()))
        })
        .collect();
    let mut secrets = Vec::with_capacity(named.len());
    for (namespace, name) in named {
        let api: Api<Secret> = Api::namespaced(context.client.clone(), &namespace);
        let data = api
            .get_opt(&name)
            .await?
            .and_then(|secret| secret.data)
            .unwrap_or_default();
        secrets.push(
            data.get(SECRET_KEY)
                .map(|bytes| bytes.0.clone())
                .unwrap_or_default(),
        );
    }
    Ok(secrets)
}
