//! Go's `time.Duration` as Submariner writes it in `latencyRTT`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// A duration in nanoseconds, read from and written as Go's text form
/// (`1.16693ms`, `68.57µs`, `1m2.5s`, `0s`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(i64);

/// The text is no Go duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a Go duration such as 1.5ms")]
pub struct NotADuration(String);

/// Units that Go accepts, longest name first where one is the prefix of another.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

impl GoDuration {
    /// From nanoseconds.
    #[must_use]
    pub fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds; negative when the source says so.
    #[must_use]
    pub fn nanos(self) -> i64 {
        self.0
    }

    /// Whole microseconds, at least 0.
    #[must_use]
    pub fn micros(self) -> u64 {
        u64::try_from(self.0 / 1_000).unwrap_or(0)
    }
}

impl FromStr for GoDuration {
    type Err = NotADuration;

    fn from_str(text: &str) -> Result<Self, NotADuration> {
        parse(text)
            .map(Self)
            .ok_or_else(|| NotADuration(text.chars().take(40).collect()))
    }
}

fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(end);
        let (unit, scale) = UNITS.iter().find(|(unit, _)| {
            tail.starts_with(unit)
                // `m` must not swallow the first letter of `ms`.
                && !(*unit == "m" && tail.starts_with("ms"))
        })?;
        total = total.checked_add(scaled(number, *scale)?)?;
        rest = &tail[unit.len()..];
    }
    let total = i64::try_from(total).ok()?;
    Some(if negative { -total } else { total })
}

/// `number` (digits with at most one point) times `scale`, rounded down.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanos = whole.checked_mul(scale)?;
    let mut unit = scale;
    for digit in fraction.bytes() {
        unit /= 10;
        nanos = nanos.checked_add(u64::from(digit - b'0').checked_mul(unit)?)?;
    }
    Some(nanos)
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.unsigned_abs();
        if self.0 < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => decimal(f, nanos, 1_000, "\u{b5}s"),
            1_000_000..1_000_000_000 => decimal(f, nanos, 1_000_000, "ms"),
            _ => {
                let (hours, minutes) = (nanos / UNITS[7].1, nanos % UNITS[7].1 / UNITS[6].1);
                if hours > 0 {
                    write!(f, "{hours}h")?;
                }
                if hours > 0 || minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                decimal(f, nanos % UNITS[6].1, UNITS[5].1, "s")
            }
        }
    }
}

fn decimal(f: &mut fmt::Formatter<'_>, nanos: u64, scale: u64, unit: &str) -> fmt::Result {
    let width = scale.ilog10() as usize;
    let fraction = format!("{:0width$}", nanos % scale);
    match fraction.trim_end_matches('0') {
        "" => write!(f, "{}{unit}", nanos / scale),
        digits => write!(f, "{}.{digits}{unit}", nanos / scale),
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_text_is_read_and_written_alike() {
        for (text, nanos) in [
            ("1.16693ms", 1_166_930),
            ("68.57\u{b5}s", 68_570),
            ("0s", 0),
            ("1m2.5s", 62_500_000_000),
            ("1h0m0s", 3_600_000_000_000),
            ("250ns", 250),
            ("-1.5s", -1_500_000_000),
        ] {
            assert_eq!(text.parse(), Ok(GoDuration(nanos)), "{text}");
            assert_eq!(GoDuration(nanos).to_string(), text);
        }
        assert_eq!("2us".parse(), Ok(GoDuration(2_000)));
        assert_eq!("0".parse(), Ok(GoDuration(0)));
    }

    #[test]
    fn other_text_is_refused() {
        for text in [
            "",
            "1",
            "ms",
            ".s",
            "1.2.3s",
            "1x",
            "99999999999999999999h",
            "1s2",
            "-",
        ] {
            assert!(text.parse::<GoDuration>().is_err(), "{text}");
        }
    }
}
