//! A keyed work queue with client-go's semantics: a key is never worked on
//! twice at once, adding it while it runs makes it run again, and a failing
//! key backs off on its own.
//!
//! kube-runtime's `applier` is not used because its keys are objects of one
//! store and its error policy knows no attempts; our keys are also clusters,
//! and the back-off of one key must not depend on another.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// First delay after a failure; doubled at each further one.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// Longest delay after failures.
const BACKOFF_CAP: Duration = Duration::from_secs(300);

/// What to do with a key after it was worked on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Requeue {
    /// Wait for the next change.
    Await,
    /// Work on it again after this time even if nothing changes.
    After(Duration),
    /// It failed: exponential back-off from one second, capped at five minutes.
    BackOff,
}

/// The queue. Share it behind an `Arc`.
#[derive(Debug)]
pub struct Queue<K> {
    state: Mutex<State<K>>,
    wake: Notify,
    backoff_base: Duration,
}

#[derive(Debug)]
struct State<K> {
    due: BTreeMap<K, Instant>,
    running: BTreeSet<K>,
    attempts: BTreeMap<K, u32>,
}

impl<K: Ord + Clone> Default for Queue<K> {
    fn default() -> Self {
        Self::with_backoff_base(BACKOFF_BASE)
    }
}

impl<K: Ord + Clone> Queue<K> {
    fn with_backoff_base(backoff_base: Duration) -> Self {
        Self {
            backoff_base,
            state: Mutex::new(State {
                due: BTreeMap::new(),
                running: BTreeSet::new(),
                attempts: BTreeMap::new(),
            }),
            wake: Notify::new(),
        }
    }

    /// Asks for `key` to be worked on now.
    pub fn add(&self, key: K) {
        self.add_at(key, Instant::now());
    }

    /// Asks for `key` to be worked on at `at`; an earlier time already asked for stays.
    pub fn add_at(&self, key: K, at: Instant) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let due = state.due.entry(key).or_insert(at);
        *due = (*due).min(at);
        drop(state);
        self.wake.notify_one();
    }

    /// Waits for the next key that is due and marks it as running. The caller
    /// must call [`Queue::done`] with it.
    pub async fn next(&self) -> K {
        loop {
            let wait = match self.take(Instant::now()) {
                Ok(key) => {
                    // Another worker may wait for a further key that is due already.
                    self.wake.notify_one();
                    return key;
                }
                Err(wait) => wait,
            };
            match wait {
                Some(at) => {
                    tokio::select! {
                        () = self.wake.notified() => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
                None => self.wake.notified().await,
            }
        }
    }

    /// Reports that work on `key` ended.
    pub fn done(&self, key: &K, requeue: Requeue) {
        let now = Instant::now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.running.remove(key);
        let again = match requeue {
            Requeue::Await => {
                state.attempts.remove(key);
                None
            }
            Requeue::After(delay) => {
                state.attempts.remove(key);
                Some(now + delay)
            }
            Requeue::BackOff => {
                let attempts = state.attempts.entry(key.clone()).or_insert(0);
                let delay = backoff(self.backoff_base, *attempts);
                *attempts = attempts.saturating_add(1);
                Some(now + delay)
            }
        };
        if let Some(at) = again {
            let due = state.due.entry(key.clone()).or_insert(at);
            *due = (*due).min(at);
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Forgets everything about `key` (its object is gone).
    pub fn forget(&self, key: &K) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.due.remove(key);
        state.attempts.remove(key);
    }

    /// Keys that are due and wait for a worker; those that wait for a time, or
    /// for their own run to end, are not counted.
    pub fn depth(&self) -> usize {
        let now = Instant::now();
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |(key, at): &(&K, &Instant)| **at <= now && !state.running.contains(key);
        state.due.iter().filter(waiting).count()
    }

    /// Takes a due key that is not running, or tells when to look again.
    fn take(&self, now: Instant) -> Result<K, Option<Instant>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut earliest: Option<(Instant, K)> = None;
        for (key, at) in &state.due {
            if state.running.contains(key) {
                continue;
            }
            if earliest.as_ref().is_none_or(|(best, _)| at < best) {
                earliest = Some((*at, key.clone()));
            }
        }
        match earliest {
            Some((at, key)) if at <= now => {
                state.due.remove(&key);
                state.running.insert(key.clone());
                Ok(key)
            }
            Some((at, _)) => Err(Some(at)),
            None => Err(None),
        }
    }
}

fn backoff(base: Duration, attempts: u32) -> Duration {
    base.saturating_mul(2_u32.saturating_pow(attempts))
        .min(BACKOFF_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_running_key_runs_again_and_never_twice_at_once() {
        let queue = Queue::default();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        queue.add("a");
        queue.add("b");
        assert_eq!(queue.next().await, "b");
        assert_eq!(queue.depth(), 0, "a waits for its own run");
        queue.done(&"a", Requeue::Await);
        assert_eq!(queue.next().await, "a");
    }

    #[tokio::test]
    async fn failures_back_off_and_a_change_overtakes() {
        let base = Duration::from_millis(20);
        let queue = Queue::with_backoff_base(base);
        let start = Instant::now();
        queue.add("a");
        for waited in [0, 1, 3] {
            assert_eq!(queue.next().await, "a");
            assert!(start.elapsed() >= base * waited);
            queue.done(&"a", Requeue::BackOff);
        }
        let asked = Instant::now();
        queue.add("a");
        assert_eq!(queue.next().await, "a");
        assert!(asked.elapsed() < base * 4);
    }

    #[test]
    fn backoff_doubles_and_is_capped() {
        assert_eq!(backoff(BACKOFF_BASE, 0), Duration::from_secs(1));
        assert_eq!(backoff(BACKOFF_BASE, 3), Duration::from_secs(8));
        assert_eq!(backoff(BACKOFF_BASE, 40), BACKOFF_CAP);
    }
}
