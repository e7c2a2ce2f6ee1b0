//! Time for judging silence.

use std::sync::OnceLock;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

/// The wall clock's time when first asked, and from then on that plus what has
/// really passed. A wall clock that is set forward would make every gateway
/// silent at once, and one that is set back would keep a dead one alive.
///
/// Compare its values with each other only: after the wall clock was set they
/// differ from it.
#[must_use]
pub fn steady_now() -> Timestamp {
    static START: OnceLock<(Timestamp, Instant)> = OnceLock::new();
    let (wall, begun) = *START.get_or_init(|| (Timestamp::now(), Instant::now()));
    after(wall, begun, Instant::now())
}

fn after(wall: Timestamp, begun: Instant, now: Instant) -> Timestamp {
    let passed = now.saturating_duration_since(begun);
    SignedDuration::try_from(passed)
        .ok()
        .and_then(|passed| wall.checked_add(passed).ok())
        .unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_has_passed_counts() {
        let wall = Timestamp::from_second(1_800_000_000).unwrap();
        let begun = Instant::now();
        let later = after(wall, begun, begun + Duration::from_secs(31));
        assert_eq!(later.as_second(), 1_800_000_031);
        // An instant before the beginning is the beginning.
        assert_eq!(after(wall, begun + Duration::from_secs(5), begun), wall);
        assert!(steady_now() <= steady_now());
    }
}
