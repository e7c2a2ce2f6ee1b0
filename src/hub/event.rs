//! Kubernetes Events about objects of the hub.

use kube::Resource;
use kube::runtime::events::{Event, EventType};

use super::context::Shared;
use super::report::shorten;

/// Bytes of an Event's note that the API takes.
const MAX_NOTE: usize = 1000;

/// Publishes an Event about an object. One that cannot be written is no
/// failure of what it tells of: it stands in the activity log too.
pub(super) async fn publish<K>(
    context: &Shared,
    about: &K,
    type_: EventType,
    (action, reason): (&str, &str),
    note: &str,
) where
    K: Resource<DynamicType = ()>,
{
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(shorten(note, MAX_NOTE)),
        action: action.to_owned(),
        secondary: None,
    };
    let about = about.object_ref(&());
    if let Err(error) = context.recorder.publish(&event, &about).await {
        tracing::debug!(
            kind = about.kind, namespace = about.namespace, name = about.name,
            error = %super::chain(&error), "event was not published"
        );
    }
}
