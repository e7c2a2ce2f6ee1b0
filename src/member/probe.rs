//! One probe a member: it gates everything else, so that a dead member costs
//! nothing, and it gathers the facts for ManagedCluster status.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::{Notify, watch};

use super::calls::{CallError, Calls};
use super::failure;
use super::ledger::Ledger;
use super::pool::PoolOptions;
use crate::core::delivery::Failure;
use crate::core::fleet::Connection;

/// Longest time for one probe.
const DEADLINE: Duration = Duration::from_secs(5);
/// Before a first failure is believed, the probe is repeated after this.
const SECOND_LOOK: Duration = Duration::from_millis(300);
/// How often facts are gathered.
const FACTS_EVERY: Duration = Duration::from_secs(60);
/// Longest delay between two probes of a member that does not answer, in
/// intervals of one that does.
const MAX_INTERVALS: u32 = 3;

/// Probes until it is aborted. `reachable` gates the member's session; `nudge`
/// asks for a probe now (a call failed).
pub(super) async fn run(
    calls: Calls,
    ledger: Arc<Ledger>,
    options: PoolOptions,
    reachable: watch::Sender<bool>,
    nudge: Arc<Notify>,
) {
    let mut state = State {
        since: None,
        down: None,
        facts_at: None,
    };
    loop {
        let begun = std::time::Instant::now();
        let mut result = probe(&calls).await;
        if result.is_err() && state.down.is_none() {
            tokio::time::sleep(SECOND_LOOK).await;
            result = probe(&calls).await;
        }
        let delay = match result {
            Ok(()) => {
                let now = (options.clock)();
                state.down = None;
                let since = *state.since.get_or_insert(now);
                ledger.set_connection(Connection::Reachable {
                    last_probe: now,
                    latency_micros: u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX),
                    since,
                });
                reachable.send_replace(true);
                if state.facts_due() {
                    gather(&calls, &ledger).await;
                }
                options.probe_interval
            }
            Err(failure) => state.failed(failure, &ledger, &reachable, &options),
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = nudge.notified() => tokio::time::sleep(SECOND_LOOK).await,
        }
    }
}

struct State {
    since: Option<Timestamp>,
    down: Option<(Timestamp, u32)>,
    facts_at: Option<std::time::Instant>,
}

impl State {
    fn facts_due(&mut self) -> bool {
        let due = self.facts_at.is_none_or(|at| at.elapsed() >= FACTS_EVERY);
        if due {
            self.facts_at = Some(std::time::Instant::now());
        }
        due
    }

    fn failed(
        &mut self,
        failure: Failure,
        ledger: &Ledger,
        reachable: &watch::Sender<bool>,
        options: &PoolOptions,
    ) -> Duration {
        let now = (options.clock)();
        let (since, attempts) = self
            .down
            .map_or((now, 0), |(since, attempts)| (since, attempts + 1));
        self.down = Some((since, attempts));
        self.since = None;
        self.facts_at = None;
        let delay = backoff(
            options.retry_base,
            options
                .retry_max
                .min(options.probe_interval.saturating_mul(MAX_INTERVALS)),
            attempts,
            ledger.cluster.as_str(),
        );
        ledger.set_connection(Connection::Unreachable {
            since,
            failure,
            next_probe: now.checked_add(delay).ok(),
        });
        reachable.send_replace(false);
        delay
    }
}

/// Exponential back-off with half of it jittered, so that a thousand members
/// behind one broken link do not come back in step.
pub(super) fn backoff(base: Duration, max: Duration, attempts: u32, salt: &str) -> Duration {
    use std::hash::BuildHasher as _;
    let full = base
        .saturating_mul(2_u32.saturating_pow(attempts.min(16)))
        .min(max);
    let random = std::hash::RandomState::new().hash_one(salt);
    let share = u32::try_from(random % 1_024).unwrap_or(0);
    full / 2 + (full / 2).saturating_mul(share) / 1_024
}

/// `/livez`, or what stands in for it where it is hidden: any answer to
/// `/version` shows an API server that lives.
async fn probe(calls: &Calls) -> Result<(), Failure> {
    for path in ["/livez", "/healthz", "/version"] {
        match calls.probe(path, DEADLINE).await {
            Ok(_) => return Ok(()),
            Err(CallError::Answer {
                code: 403 | 404, ..
            }) => {}
            Err(error) => return Err(failure::of_call(&error)),
        }
    }
    // It answers but shows nothing: deliveries will say what is forbidden.
    Ok(())
}

async fn gather(calls: &Calls, ledger: &Ledger) {
    let mut facts = ledger.facts().unwrap_or_default();
    if let Ok(version) = get(calls, "/version").await {
        facts.kubernetes_version = version
            .get("gitVersion")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
    }
    if let Ok(namespace) = get(calls, "/api/v1/namespaces/kube-system").await {
        facts.cluster_id = namespace
            .pointer("/metadata/uid")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
    }
    if let Ok(nodes) = get(calls, "/api/v1/nodes?limit=5000").await {
        let items: &[Value] = nodes
            .get("items")
            .and_then(Value::as_array)
            .map_or(&[], Vec::as_slice);
        facts.capacity = sum(items, "/status/capacity");
        facts.allocatable = sum(items, "/status/allocatable");
    }
    if let Ok(claims) = get(
        calls,
        "/apis/cluster.open-cluster-management.io/v1alpha1/clusterclaims?limit=500",
    )
    .await
    {
        let items = claims.get("items").and_then(Value::as_array);
        facts.claims = items
            .into_iter()
            .flatten()
            .filter_map(|claim| {
                let text = |pointer: &str| {
                    claim
                        .pointer(pointer)
                        .and_then(Value::as_str)
                        .map(str::to_owned)
                };
                Some((text("/metadata/name")?, text("/spec/value")?))
            })
            .collect();
    }
    ledger.set_facts(facts);
}

async fn get(calls: &Calls, path: &str) -> Result<Value, CallError> {
    let body = calls.probe(path, DEADLINE).await?;
    serde_json::from_slice(&body).map_err(|error| CallError::Unreadable(error.to_string()))
}

/// Sums quantities over nodes, in thousandths so that `100m` counts.
fn sum(nodes: &[Value], pointer: &str) -> BTreeMap<String, String> {
    let mut totals: BTreeMap<&str, i128> = BTreeMap::new();
    for (name, quantity) in nodes
        .iter()
        .filter_map(|node| node.pointer(pointer)?.as_object())
        .flatten()
    {
        if let Some(milli) = quantity.as_str().and_then(milli) {
            *totals.entry(name).or_default() += milli;
        }
    }
    totals
        .into_iter()
        .map(|(name, milli)| (name.to_owned(), format_milli(milli)))
        .collect()
}

/// A Kubernetes quantity in thousandths; `None` when it is none.
fn milli(quantity: &str) -> Option<i128> {
    let end = quantity
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(quantity.len());
    let (number, suffix) = quantity.split_at_checked(end)?;
    let factor: i128 = match suffix {
        "m" => 1,
        "" => 1_000,
        "k" => 1_000_000,
        "M" => 1_000_000_000,
        "G" => 1_000_000_000_000,
        "T" => 1_000_000_000_000_000,
        "Ki" => 1_000 << 10,
        "Mi" => 1_000 << 20,
        "Gi" => 1_000 << 30,
        "Ti" => 1_000 << 40,
        _ => return None,
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: i128 = whole.parse().ok()?;
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    whole
        .checked_mul(factor)?
        .checked_add(fraction.checked_mul(factor)?.checked_div(scale)?)
}

fn format_milli(milli: i128) -> String {
    let kibi = 1_000 << 10;
    if milli % 1_000 != 0 {
        format!("{milli}m")
    } else if milli != 0 && milli % kibi == 0 {
        format!("{}Ki", milli / kibi)
    } else {
        (milli / 1_000).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn quantities_add_up() {
        let nodes = [
            json!({"status": {"capacity": {"cpu": "3920m", "memory": "16Gi", "pods": "110"}}}),
            json!({"status": {"capacity": {"cpu": "4", "memory": "1048576Ki", "pods": "110"}}}),
            json!({"status": {}}),
        ];
        let total = sum(&nodes, "/status/capacity");
        assert_eq!(total.get("cpu").map(String::as_str), Some("7920m"));
        assert_eq!(total.get("memory").map(String::as_str), Some("17825792Ki"));
        assert_eq!(total.get("pods").map(String::as_str), Some("220"));
    }

    #[test]
    fn back_off_grows_to_its_limit_and_is_never_zero() {
        let (base, max) = (Duration::from_millis(500), Duration::from_secs(60));
        for (attempts, low, high) in [(0, 250, 500), (3, 2_000, 4_000), (40, 30_000, 60_000)] {
            let delay = backoff(base, max, attempts, "x");
            assert!(
                delay >= Duration::from_millis(low) && delay <= Duration::from_millis(high),
                "{attempts}: {delay:?}"
            );
        }
    }
}
