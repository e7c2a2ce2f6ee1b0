//! Waiting: a test polls for the state it wants until a deadline, and says
//! what it saw last when the deadline passes.

use std::future::Future;
use std::time::{Duration, Instant};

/// Pause between two looks. Short enough that waiting costs little, long
/// enough that a loaded machine is not kept busy by looking.
const POLL: Duration = Duration::from_millis(50);

/// Polls `probe` until it returns `Ok`, whose value is returned. `Err` is the
/// state seen meanwhile; the last one is in the panic once `limit` has passed.
#[track_caller]
pub fn await_condition<T, F, Fut>(
    what: &str,
    limit: Duration,
    mut probe: F,
) -> impl Future<Output = T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, String>>,
{
    let caller = std::panic::Location::caller();
    let what = what.to_owned();
    async move {
        let deadline = Instant::now() + limit;
        let mut last = "nothing yet".to_owned();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match tokio::time::timeout(left, probe()).await {
                Ok(Ok(value)) => return value,
                Ok(Err(state)) => last = state,
                Err(_) => {}
            }
            assert!(
                Instant::now() < deadline,
                "{caller}: not within {limit:?}: {what}; last seen: {last}"
            );
            tokio::time::sleep(POLL).await;
        }
    }
}
