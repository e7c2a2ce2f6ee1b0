//! Strings and numbers: bounds, patterns, formats.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

use super::super::Schema;
use super::{FieldError, NO_FIELD, Reason, invalid, is_whole, push};

/// Checks a string. Only the first broken bound is reported.
pub(super) fn check_text(schema: &Schema, text: &str, path: &str, errors: &mut Vec<FieldError>) {
    let value = Value::from(text);
    if let Some(rules) = &schema.rules {
        let length = text.chars().count() as u64;
        if let Some(most) = rules.max_length.filter(|most| length > *most) {
            let message = format!("Too long: may not be more than {most} bytes");
            push(errors, path, Reason::TooLong, message);
        } else if let Some(least) = rules.min_length.filter(|least| length < *least) {
            let rule = format!("should be at least {least} chars long");
            invalid(errors, path, &value, &rule);
        } else if let Some(pattern) = rules.pattern.as_ref().filter(|known| !known.matches(text)) {
            invalid(
                errors,
                path,
                &value,
                &format!("should match '{}'", pattern.as_str()),
            );
        }
    }
    if let Some(format) = schema.format.as_deref()
        && !text_fits(format, text)
    {
        let message =
            format!("Invalid value: {value}: {path} in body must be of type {format}: {value}");
        push(errors, path, Reason::TypeInvalid, message);
    }
}

/// Whether a string has a format; formats that kube-apiserver does not know always fit.
fn text_fits(format: &str, text: &str) -> bool {
    match format {
        "date-time" | "datetime" => text.parse::<jiff::Timestamp>().is_ok() && text.contains('T'),
        "date" => text.len() == 10 && text.parse::<jiff::civil::Date>().is_ok(),
        "byte" => STANDARD.decode(text).is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" | "uuid3" | "uuid4" | "uuid5" => is_uuid(text),
        "uri" => text.contains("://") && text.parse::<http::Uri>().is_ok(),
        "email" => is_email(text),
        "hostname" => is_host_name(text),
        "duration" => is_duration(text),
        _ => true,
    }
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else {
        return false;
    };
    let most = match address.parse() {
        Ok(IpAddr::V4(_)) => 32,
        Ok(IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let hex = |part: &&str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(parts.len(), 6 | 8) && parts.iter().all(hex)
}

fn is_uuid(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b'-').collect();
    digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit)
}

fn is_email(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(user, host)| !user.is_empty() && !host.is_empty())
        && !text.contains(char::is_whitespace)
}

fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    text.len() <= 255 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

/// Go durations (`1h30m`), and a number with a word (`5 minutes`, `3d`).
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 22] = [
        "ns", "us", "µs", "ms", "s", "m", "h", "d", "w", "nano", "micro", "milli", "sec", "second",
        "seconds", "min", "minute", "minutes", "hour", "hours", "day", "days",
    ];
    let mut rest = text.trim_start_matches(['+', '-']);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if number.len() == rest.len() {
            return false;
        }
        let unit_start = number.trim_start();
        rest = unit_start.trim_start_matches(|c: char| c.is_alphabetic());
        let unit = &unit_start[..unit_start.len() - rest.len()];
        if !UNITS.contains(&unit) {
            return false;
        }
        rest = rest.trim_start();
        parts += 1;
    }
    parts > 0
}

/// Checks a number: every broken bound is reported.
pub(super) fn check_number(
    schema: &Schema,
    number: &Number,
    path: &str,
    errors: &mut Vec<FieldError>,
) {
    let value = Value::from(number.clone());
    let in_range = match schema.format.as_deref() {
        Some("int32") => number
            .as_i64()
            .is_some_and(|number| i32::try_from(number).is_ok()),
        Some("int64") => number.is_i64(),
        _ => true,
    };
    if !in_range && is_whole(number) && !number.is_f64() {
        let format = schema.format.as_deref().unwrap_or_default();
        let message = format!(
            "Invalid value: \"\": Checked value must be of type integer with format {format} in {path}"
        );
        push(errors, NO_FIELD, Reason::Invalid, message);
    }
    let (Some(rules), Some(number)) = (&schema.rules, number.as_f64()) else {
        return;
    };
    let mut broken = |rule: String| invalid(errors, path, &value, &rule);
    let show = super::super::parse::number_value;
    if let Some(factor) = rules.multiple_of.filter(|factor| *factor > 0.0) {
        let quotient = number / factor;
        if quotient.fract() != 0.0 {
            broken(format!("should be a multiple of {}", show(factor)));
        }
    }
    if let Some(most) = rules.maximum {
        if rules.exclusive_maximum && number >= most {
            broken(format!("should be less than {}", show(most)));
        } else if number > most {
            broken(format!("should be less than or equal to {}", show(most)));
        }
    }
    if let Some(least) = rules.minimum {
        if rules.exclusive_minimum && number <= least {
            broken(format!("should be greater than {}", show(least)));
        } else if number < least {
            broken(format!(
                "should be greater than or equal to {}",
                show(least)
            ));
        }
    }
}
