//! What is on one cluster: applications and errors.

use jiff::Timestamp;
use serde::Serialize;

use super::failure::{self, ErrorBlock};
use super::revision::short;
use super::{Address, Chip, FleetView, Listing, Query, Text, Tone, placement};
use crate::api::{ClusterName, NamespacedName};
use crate::core::fleet::FleetSnapshot;

/// An application on this cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AppHere {
    /// Name.
    pub name: String,
    /// Its page.
    pub address: Address,
    /// Commit in place, seven digits.
    pub revision: String,
    /// Sync here.
    pub sync: Chip,
    /// Health here.
    pub health: Chip,
    /// When it was last applied.
    pub applied_at: Option<Timestamp>,
    /// Why it is here.
    pub why: Text,
    tone: Tone,
}

/// Applications placed here or still holding objects here, worst first.
pub(super) fn applications(
    view: &FleetView,
    cluster: &ClusterName,
    query: &Query,
) -> Listing<AppHere> {
    let mut here: Vec<AppHere> = view
        .facts
        .fleet
        .subscriptions
        .iter()
        .filter(|(_, subscription)| {
            subscription.placed.contains(cluster) || subscription.deliveries.contains_key(cluster)
        })
        .map(|(id, subscription)| {
            let delivery = subscription.deliveries.get(cluster);
            let unknown = || Chip::new(Tone::Unknown, "Unknown");
            let sync = delivery.map_or_else(unknown, |delivery| Chip::from(delivery.sync()));
            let health = delivery.map_or_else(unknown, |delivery| Chip::from(delivery.health()));
            AppHere {
                name: id.to_string(),
                address: Address::Application(id.clone()),
                revision: delivery
                    .and_then(|delivery| delivery.revision.as_deref())
                    .map_or_else(String::new, short),
                tone: sync.tone.max(health.tone),
                applied_at: delivery.and_then(|delivery| delivery.applied_at),
                why: placement::why(view, id, subscription, cluster),
                sync,
                health,
            }
        })
        .collect();
    here.sort_by(|a, b| (b.tone, &a.name).cmp(&(a.tone, &b.name)));
    let total = here.len();
    Listing::cut(here.into_iter(), total, query)
}

/// Errors of this cluster, with the application in the subject; at most 20.
pub(super) fn errors(fleet: &FleetSnapshot, cluster: &ClusterName) -> Vec<ErrorBlock> {
    let mut errors: Vec<ErrorBlock> = Vec::new();
    let subject =
        |id: &NamespacedName| Text::new().link(&id.name, Address::Application(id.clone()));
    for (id, subscription) in &fleet.subscriptions {
        let Some(delivery) = subscription.deliveries.get(cluster) else {
            continue;
        };
        let whole = delivery
            .failure
            .iter()
            .map(|failure| (subject(id), failure, None));
        let each = delivery.objects.iter().filter_map(|state| {
            let failure = state.failure.as_ref()?;
            let subject = subject(id)
                .plain(format!(", {} ", state.id.kind))
                .strong(&state.id.name);
            Some((subject, failure, Some(state.since)))
        });
        errors.extend(
            whole
                .chain(each)
                .map(|(subject, failure, since)| ErrorBlock {
                    tone: failure::tone(failure),
                    subject,
                    reason: failure.reason.clone(),
                    message: failure.message.clone(),
                    next: failure::next_step(failure.class),
                    since,
                    clusters: Vec::new(),
                }),
        );
    }
    errors.sort_by_key(|error| std::cmp::Reverse(error.tone));
    errors.truncate(20);
    errors
}
