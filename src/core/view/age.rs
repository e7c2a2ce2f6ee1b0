//! Durations, ages, times and round trips as people read them.

use jiff::Timestamp;

/// `0.4 s`, `41 s`, `2 min`, `3 h`, `6 d`: one unit, rounded down. A time in
/// the future (clocks differ) reads as `0 s`.
#[must_use]
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let millis = now
        .as_millisecond()
        .saturating_sub(since.as_millisecond())
        .max(0);
    duration(millis)
}

/// A duration in milliseconds, as [`age`] writes it.
#[must_use]
pub fn duration(millis: i64) -> String {
    match millis {
        ..0 => "0 s".to_owned(),
        0..1_000 => format!("0.{} s", millis / 100),
        1_000..120_000 => format!("{} s", millis / 1_000),
        120_000..7_200_000 => format!("{} min", millis / 60_000),
        7_200_000..172_800_000 => format!("{} h", millis / 3_600_000),
        _ => format!("{} d", millis / 86_400_000),
    }
}

/// Milliseconds with three figures: `240 ms`, `1.4 s`, `38 s`.
#[must_use]
pub fn latency(millis: u64) -> String {
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..10_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} s", millis / 1_000),
    }
}

/// A round trip in microseconds: `1.17 ms`, `38.4 ms`, `380 ms`, `95 µs`.
#[must_use]
pub fn round_trip(micros: u64) -> String {
    match micros {
        0..100 => format!("{micros} µs"),
        100..10_000 => format!("{}.{:02} ms", micros / 1_000, micros % 1_000 / 10),
        10_000..100_000 => format!("{}.{} ms", micros / 1_000, micros % 1_000 / 100),
        _ => latency(micros / 1_000),
    }
}

/// `01:42:07` (UTC) on the day of `now`, else `2026-11-24 01:42`.
#[must_use]
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let same_day = at.strftime("%F").to_string() == now.strftime("%F").to_string();
    at.strftime(if same_day { "%T" } else { "%F %H:%M" })
        .to_string()
}

/// `1 cluster`, `2 clusters`.
#[must_use]
pub fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{number} {stem}ies"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_unit() {
        for (millis, text) in [
            (-5, "0 s"),
            (430, "0.4 s"),
            (41_900, "41 s"),
            (119_000, "119 s"),
            (150_000, "2 min"),
            (3 * 3_600_000, "3 h"),
            (6 * 86_400_000, "6 d"),
        ] {
            assert_eq!(duration(millis), text);
        }
    }

    #[test]
    fn round_trips_keep_three_figures() {
        for (micros, text) in [
            (95, "95 µs"),
            (1_173, "1.17 ms"),
            (38_410, "38.4 ms"),
            (380_000, "380 ms"),
            (1_400_000, "1.4 s"),
        ] {
            assert_eq!(round_trip(micros), text);
        }
    }

    #[test]
    fn the_date_is_shown_only_for_other_days() {
        let at: Timestamp = "2026-11-25T01:42:07Z".parse().unwrap();
        let next: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        assert_eq!(clock(at, at), "01:42:07");
        assert_eq!(clock(at, next), "2026-11-25 01:42");
    }

    #[test]
    fn nouns_follow_the_number() {
        assert_eq!(count(1, "cluster"), "1 cluster");
        assert_eq!(count(2, "cluster"), "2 clusters");
        assert_eq!(count(0, "discovery"), "0 discoveries");
    }
}
