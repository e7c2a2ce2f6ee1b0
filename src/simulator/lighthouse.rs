//! Plays Lighthouse of release 0.21 and later: ServiceExports become
//! conditions, the broker's imports and slices, and copies of them on every
//! member that has the namespace.
//!
//! ```text
//! observe (watches, one task per cluster) ─▶ plan (pure) ─▶ write (one task per cluster)
//! ```
//!
//! Nothing polls. A cluster that does not answer keeps its last known state,
//! as the real broker would, and holds nobody else up.

mod observe;
mod plan;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use observe::Seen;
use plan::Wanted;

/// Label of every object that the simulator makes; only those does it delete.
const MADE_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "lighthouse-simulator");

/// How long a cluster that does not answer at the start keeps the others
/// waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays Lighthouse between `members` (by cluster name) through the broker
/// until `shutdown`.
pub async fn run(
    members: BTreeMap<String, Client>,
    broker: Option<Client>,
    shutdown: CancellationToken,
) {
    let mut tasks = JoinSet::new();
    let (wake, mut woken) = watch::channel(());
    let mut seats: Vec<Seat> = Vec::new();
    let clusters = members
        .into_iter()
        .map(|(name, client)| (Some(name), client))
        .chain(broker.map(|client| (None, client)));
    for (name, client) in clusters {
        let (seen, seen_now) = watch::channel(Arc::new(Seen::default()));
        let (wanted, wanted_now) = watch::channel(None);
        let broker = name.is_none();
        tasks.spawn(observe::observe(
            client.clone(),
            broker,
            seen,
            wake.clone(),
            shutdown.clone(),
        ));
        tasks.spawn(write::keep(
            client,
            seen_now.clone(),
            wanted_now,
            shutdown.clone(),
        ));
        seats.push(Seat {
            name,
            seen: seen_now,
            wanted,
        });
    }
    // Who decides before all have been read takes the exports of the others
    // for withdrawn, and a restart would take every import away for a moment.
    let patience = tokio::time::Instant::now() + PATIENCE;
    let mut waited = false;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            changed = woken.changed() => if changed.is_err() { break },
            () = tokio::time::sleep_until(patience), if !waited => waited = true,
        }
        if waited || seats.iter().all(|seat| seat.seen.borrow().complete) {
            waited = true;
            decide(&seats);
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// One cluster: what is seen there and what is wanted there.
struct Seat {
    /// `None` for the broker.
    name: Option<String>,
    seen: watch::Receiver<Arc<Seen>>,
    wanted: watch::Sender<Option<Arc<Wanted>>>,
}

fn decide(seats: &[Seat]) {
    let mut members: BTreeMap<String, Arc<Seen>> = BTreeMap::new();
    let mut broker = None;
    for seat in seats {
        let seen = seat.seen.borrow().clone();
        match &seat.name {
            Some(name) => drop(members.insert(name.clone(), seen)),
            None => broker = Some(seen),
        }
    }
    let plan = plan::plan(&members, broker.as_deref(), Timestamp::now());
    for seat in seats {
        let mut wanted = match &seat.name {
            Some(name) => plan.members.get(name).cloned().unwrap_or_default(),
            None => plan.broker.clone(),
        };
        // Nothing is decided for a cluster before it was read once.
        wanted.ready = seat.seen.borrow().complete;
        seat.wanted.send_if_modified(|current| {
            let changed = current.as_deref() != Some(&wanted);
            if changed {
                *current = Some(Arc::new(wanted));
            }
            changed
        });
    }
}
