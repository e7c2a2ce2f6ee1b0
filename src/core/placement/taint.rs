//! Taints and tolerations of Placements (ocm-placement §3.5).

use jiff::{SignedDuration, Timestamp};

use crate::api::cluster::{Taint, Toleration};

/// How a cluster's taints are put up with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// All are tolerated, the first of them until then.
    Tolerated { until: Option<Timestamp> },
    /// This one is not; its toleration ran out then, if it had one.
    Refused {
        taint: String,
        ran_out: Option<Timestamp>,
    },
}

/// What upstream's webhook-less validation says of tolerations.
pub(super) fn validate(tolerations: &[Toleration]) -> Result<(), String> {
    for toleration in tolerations {
        let exists = toleration.operator.as_deref() == Some("Exists");
        let filled = |field: &Option<String>| field.as_deref().is_some_and(|text| !text.is_empty());
        if !filled(&toleration.key) && !exists {
            return Err("If the key is empty, operator must be Exists.".to_owned());
        }
        if exists && filled(&toleration.value) {
            return Err("If the operator is Exists, the value should be empty.".to_owned());
        }
    }
    Ok(())
}

/// Whether every taint is tolerated.
///
/// `PreferNoSelect` always is, `NoSelectIfNew` is where the cluster was `chosen`
/// before. A toleration that ran out does not end the search: a later one may hold.
pub(super) fn tolerance(
    taints: &[Taint],
    tolerations: &[Toleration],
    chosen: bool,
    now: Timestamp,
) -> Tolerance {
    let mut until: Option<Timestamp> = None;
    for taint in taints {
        if taint.effect == "PreferNoSelect" || (taint.effect == "NoSelectIfNew" && chosen) {
            continue;
        }
        match taint_tolerance(taint, tolerations, now) {
            Tolerance::Tolerated { until: None } => {}
            Tolerance::Tolerated { until: Some(end) } => {
                until = Some(until.map_or(end, |other| other.min(end)));
            }
            refused @ Tolerance::Refused { .. } => return refused,
        }
    }
    Tolerance::Tolerated { until }
}

fn taint_tolerance(taint: &Taint, tolerations: &[Toleration], now: Timestamp) -> Tolerance {
    let mut ran_out = None;
    for toleration in tolerations
        .iter()
        .filter(|toleration| fits(toleration, taint))
    {
        let Some(seconds) = toleration.toleration_seconds else {
            return Tolerance::Tolerated { until: None };
        };
        // A taint without timeAdded is as old as time: any limit has passed.
        let end = taint
            .time_added
            .as_ref()
            .and_then(|added| added.0.checked_add(SignedDuration::from_secs(seconds)).ok());
        match end {
            Some(end) if now < end => return Tolerance::Tolerated { until: Some(end) },
            Some(end) => ran_out = Some(end),
            None => {}
        }
    }
    Tolerance::Refused {
        taint: text(taint),
        ran_out,
    }
}

fn fits(toleration: &Toleration, taint: &Taint) -> bool {
    let same = |wanted: &Option<String>, found: &str| {
        wanted
            .as_deref()
            .is_none_or(|wanted| wanted.is_empty() || wanted == found)
    };
    if !same(&toleration.effect, &taint.effect) || !same(&toleration.key, &taint.key) {
        return false;
    }
    match toleration.operator.as_deref().unwrap_or_default() {
        "" | "Equal" => {
            toleration.value.as_deref().unwrap_or_default()
                == taint.value.as_deref().unwrap_or_default()
        }
        "Exists" => true,
        _ => false,
    }
}

fn text(taint: &Taint) -> String {
    match taint.value.as_deref() {
        None | Some("") => format!("{}:{}", taint.key, taint.effect),
        Some(value) => format!("{}={value}:{}", taint.key, taint.effect),
    }
}
