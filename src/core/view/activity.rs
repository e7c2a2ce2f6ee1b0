//! The activity page and the entries that other pages borrow.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::{Address, FleetView, Listing, Query, Text, Tone};
use crate::api::NamespacedName;
use crate::core::activity::{Activity, Severity};

/// One thing that happened, with names linked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Weight.
    pub tone: Tone,
    /// When the hub saw it.
    pub at: Timestamp,
    /// Stable word.
    pub reason: String,
    /// The sentence.
    pub text: Text,
    /// The application concerned.
    pub application: Option<Address>,
    /// The cluster concerned.
    pub cluster: Option<Address>,
}

/// All entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ActivityPage {
    /// Entries of this page.
    pub entries: Listing<Entry>,
    /// Reasons that occur, for the filter.
    pub reasons: Vec<String>,
}

impl From<Severity> for Tone {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Good => Self::Ok,
            Severity::Info => Self::Info,
            Severity::Warning => Self::Warn,
            Severity::Bad => Self::Bad,
        }
    }
}

impl From<&Activity> for Entry {
    fn from(activity: &Activity) -> Self {
        let application = activity.application.clone();
        let cluster = activity.cluster.as_ref().map(ToString::to_string);
        let mut names = Vec::new();
        if let Some(id) = &application {
            names.push((id.name.as_str(), Address::Application(id.clone())));
        }
        if let Some(name) = &cluster {
            names.push((name.as_str(), Address::Cluster(name.clone())));
        }
        let service = service_of(activity);
        if let Some(id) = &service {
            names.push((
                activity.message.split(' ').next().unwrap_or_default(),
                Address::Service(id.clone()),
            ));
        }
        Self {
            tone: activity.severity.into(),
            at: activity.at,
            reason: activity.reason.clone(),
            text: Text::of(&activity.message, &names),
            application: application.clone().map(Address::Application),
            cluster: cluster.clone().map(Address::Cluster),
        }
    }
}

/// The service that an entry of the mesh begins with (core::mesh::history).
fn service_of(activity: &Activity) -> Option<NamespacedName> {
    let word = activity.message.split(' ').next()?;
    activity
        .reason
        .starts_with("Service")
        .then(|| word.parse().ok())?
}

/// The newest `most` entries that pass `keep`.
pub(super) fn newest(
    view: &FleetView,
    most: usize,
    keep: impl Fn(&Activity) -> bool,
) -> Vec<Entry> {
    let activity = view.facts.fleet.activity.iter().rev();
    activity
        .filter(|entry| keep(entry))
        .take(most)
        .map(Entry::from)
        .collect()
}

pub(super) fn page(view: &FleetView, query: &Query) -> ActivityPage {
    let all = &view.facts.fleet.activity;
    let reasons: BTreeSet<&str> = all.iter().map(|entry| entry.reason.as_str()).collect();
    let kept: Vec<&Activity> = all
        .iter()
        .rev()
        .filter(|entry| query.wants(entry.severity.into(), &entry.reason))
        .filter(|entry| query.q.is_empty() || query.matches(&searchable(entry)))
        .collect();
    ActivityPage {
        entries: Listing::cut(kept.into_iter().map(Entry::from), all.len(), query),
        reasons: reasons.into_iter().map(str::to_owned).collect(),
    }
}

fn searchable(entry: &Activity) -> String {
    let mut text = format!("{} {}", entry.reason, entry.message);
    if let Some(application) = &entry.application {
        text.push_str(&format!(" {application}"));
    }
    if let Some(cluster) = &entry.cluster {
        text.push_str(&format!(" {cluster}"));
    }
    text
}
