//! Conditions in the status of OCM's kinds.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Puts a condition into a list by its type, as `meta.SetStatusCondition`: the
/// transition time moves only when the status does, so that writing the same
/// status twice changes nothing.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    (status, reason, message): (&str, &str, String),
    now: Timestamp,
) {
    let fresh = Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: Time(now),
        observed_generation: None,
    };
    match conditions
        .iter_mut()
        .find(|condition| condition.type_ == type_)
    {
        None => conditions.push(fresh),
        Some(old) if old.status == fresh.status => {
            old.reason = fresh.reason;
            old.message = fresh.message;
        }
        Some(old) => *old = fresh,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut list = Vec::new();
        set(&mut list, "A", ("True", "R", "m".into()), at(1));
        set(&mut list, "A", ("True", "S", "n".into()), at(2));
        assert_eq!(list.len(), 1);
        assert_eq!(
            (list[0].reason.as_str(), list[0].message.as_str()),
            ("S", "n")
        );
        assert_eq!(list[0].last_transition_time, Time(at(1)));
        set(&mut list, "A", ("False", "S", "n".into()), at(3));
        assert_eq!(list[0].last_transition_time, Time(at(3)));
    }
}
