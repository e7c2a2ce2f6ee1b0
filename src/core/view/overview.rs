//! The first page: five figures, what needs someone, the cables drawn, the
//! worst applications, the newest activity.

use jiff::Timestamp;
use serde::Serialize;

use super::activity::{self, Entry};
use super::application::ApplicationRow;
use super::cable::{self, PairRow};
use super::graph::Picture;
use super::need::Need;
use super::{Address, FleetView, Text, Tone, age};

/// Needs shown on the overview.
const NEEDS: usize = 10;

/// The first page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OverviewPage {
    /// What the fleet is, in a sentence.
    pub sentence: Text,
    /// The last commit that went out.
    pub push: Option<Push>,
    /// Five figures.
    pub figures: Vec<Figure>,
    /// What needs someone, worst first.
    pub needs: Vec<Need>,
    /// All of them.
    pub needs_total: usize,
    /// The cables drawn, when the fleet is small enough.
    pub picture: Option<Picture>,
    /// The worst pairs of clusters, at most 8.
    pub pairs: Vec<PairRow>,
    /// The worst applications, at most 8.
    pub applications: Vec<ApplicationRow>,
    /// All of them.
    pub applications_total: usize,
    /// The newest entries, at most 8.
    pub activity: Vec<Entry>,
}

/// A figure of the first page: `value` of `total`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Figure {
    /// How many are as they should be.
    pub value: usize,
    /// Of how many.
    pub total: usize,
    /// What is counted.
    pub what: String,
    /// Weight.
    pub tone: Tone,
    /// The word for the weight.
    pub word: &'static str,
    /// The list behind it.
    pub address: Address,
}

/// The last commit that went out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Push {
    /// Which branch.
    pub reference: String,
    /// When the hub saw the commit.
    pub at: Timestamp,
    /// Whether it is live everywhere, and after how long.
    pub live: String,
}

impl Figure {
    fn new(
        value: usize,
        total: usize,
        what: impl Into<String>,
        short: Tone,
        address: Address,
    ) -> Self {
        let tone = match (value == total, total) {
            (_, 0) => Tone::Unknown,
            (true, _) => Tone::Ok,
            (false, _) => short,
        };
        let word = match tone {
            Tone::Ok | Tone::Info => "all well",
            Tone::Busy => "on the way",
            Tone::Unknown if total == 0 => "none yet",
            Tone::Unknown => "not known",
            Tone::Warn => "look soon",
            Tone::Bad => "look now",
        };
        Self {
            value,
            total,
            what: what.into(),
            tone,
            word,
            address,
        }
    }
}

pub(super) fn page(view: &FleetView) -> OverviewPage {
    OverviewPage {
        sentence: sentence(view),
        push: push(view),
        figures: figures(view),
        needs: view.needs.iter().take(NEEDS).cloned().collect(),
        needs_total: view.needs.len(),
        picture: cable::picture(view),
        pairs: view.pairs.iter().take(8).cloned().collect(),
        applications: view.applications.iter().take(8).cloned().collect(),
        applications_total: view.applications.len(),
        activity: activity::newest(view, 8, |_| true),
    }
}

fn sentence(view: &FleetView) -> Text {
    let clusters = age::count(view.clusters.len(), "cluster");
    let mut sets: Vec<&str> = view
        .clusters
        .iter()
        .map(|row| row.set.as_str())
        .filter(|set| !set.is_empty())
        .collect();
    sets.sort_unstable();
    sets.dedup();
    let text = Text::new().plain(clusters);
    let text = match sets.as_slice() {
        [] => text,
        [set] => text.plain(" in the set ").strong(*set),
        many => text.plain(format!(" in {} sets", many.len())),
    };
    let applications = age::count(view.applications.len(), "application");
    text.plain(format!(
        ", {applications}, {}",
        age::count(view.services.len(), "exported service")
    ))
}

fn figures(view: &FleetView) -> Vec<Figure> {
    let rows = &view.applications;
    let reachable = view
        .clusters
        .iter()
        .filter(|row| row.reach.tone == Tone::Ok)
        .count();
    let synced = rows.iter().filter(|row| row.sync.tone == Tone::Ok).count();
    let healthy = rows
        .iter()
        .filter(|row| row.health.tone == Tone::Ok)
        .count();
    let moving = rows
        .iter()
        .filter(|row| row.health.tone == Tone::Busy)
        .count();
    let up = view
        .pairs
        .iter()
        .filter(|pair| pair.tone == Tone::Ok)
        .count();
    let found = view
        .services
        .iter()
        .filter(|row| row.verdict.tone == Tone::Ok)
        .count();
    let worst = |tones: &mut dyn Iterator<Item = Tone>| tones.max().unwrap_or(Tone::Unknown);
    let healthy_words = match moving {
        0 => "applications healthy".to_owned(),
        moving => format!("applications healthy, {moving} progressing"),
    };
    vec![
        Figure::new(
            reachable,
            view.clusters.len(),
            "clusters reachable",
            worst(&mut view.clusters.iter().map(|row| row.reach.tone)),
            Address::Clusters,
        ),
        Figure::new(
            synced,
            rows.len(),
            "applications synced",
            worst(&mut rows.iter().map(|row| row.sync.tone)),
            Address::Applications,
        ),
        Figure::new(
            healthy,
            rows.len(),
            healthy_words,
            worst(&mut rows.iter().map(|row| row.health.tone)),
            Address::Applications,
        ),
        Figure::new(
            up,
            view.pairs.len(),
            "cables connected both ways",
            worst(&mut view.pairs.iter().map(|pair| pair.tone)),
            Address::Cables,
        ),
        Figure::new(
            found,
            view.services.len(),
            "services discoverable by every consumer",
            worst(&mut view.services.iter().map(|row| row.verdict.tone)),
            Address::Services,
        ),
    ]
}

fn push(view: &FleetView) -> Option<Push> {
    let subscriptions = view.facts.fleet.subscriptions.values();
    let (subscription, record) = subscriptions
        .filter_map(|subscription| {
            subscription
                .history
                .first()
                .map(|record| (subscription, record))
        })
        .max_by_key(|(_, record)| record.seen_at)?;
    let live = match (record.live_after_ms, &record.failure) {
        (Some(millis), _) => format!("live on every cluster after {}", age::latency(millis)),
        (None, Some(failure)) => format!("not live: {}", failure.reason),
        (None, None) => format!(
            "live on {} of {} clusters so far",
            record.applied, record.placed
        ),
    };
    Some(Push {
        reference: subscription
            .source
            .reference
            .clone()
            .unwrap_or_else(|| "HEAD".to_owned()),
        at: record.seen_at,
        live,
    })
}
