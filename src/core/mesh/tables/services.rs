//! `show services`: what subctl has no table for.

use crate::core::mesh::MeshView;
use crate::core::mesh::dns::{Answer, Response};
use crate::core::mesh::ladder::{Discoverable, Ladder};
use crate::core::mesh::tables::{Table, column, cut};

/// One row per service, exporter and consumer. DNS answers are computed.
#[must_use]
pub fn services(view: &MeshView) -> Table {
    let mut rows = Vec::new();
    for service in &view.services {
        for ladder in &service.ladders {
            let consumer = service
                .consumers
                .iter()
                .find(|consumer| consumer.cluster == ladder.consumer);
            rows.push(vec![
                service.service.to_string(),
                ladder.exporter.to_string(),
                ladder.consumer.to_string(),
                word(ladder.verdict).to_owned(),
                gate(ladder),
                consumer
                    .and_then(|consumer| consumer.dns.first())
                    .map(answer)
                    .unwrap_or_default(),
                if ladder.verdict == Discoverable::Yes {
                    String::new()
                } else {
                    ladder.reason.clone()
                },
            ]);
        }
    }
    Table {
        columns: vec![
            cut("SERVICE", 60),
            cut("EXPORTED BY", 24),
            cut("USED FROM", 24),
            column("DISCOVERABLE"),
            column("STOPS AT"),
            cut("DNS ANSWER (COMPUTED)", 48),
            column("WHY"),
        ],
        rows,
    }
}

fn word(verdict: Discoverable) -> &'static str {
    match verdict {
        Discoverable::Yes => "yes",
        Discoverable::Unknown => "unknown",
        Discoverable::Degraded => "degraded",
        Discoverable::No => "no",
    }
}

fn gate(ladder: &Ladder) -> String {
    ladder
        .stops_at
        .map(|gate| format!("{} {}", gate.code(), gate.label()))
        .unwrap_or_default()
}

fn answer(answer: &Answer) -> String {
    match (answer.response, answer.addresses.is_empty()) {
        (Response::Unknown, _) => "unknown".to_owned(),
        (Response::NxDomain, _) => "NXDOMAIN".to_owned(),
        (Response::NoError, true) => "NOERROR, empty".to_owned(),
        (Response::NoError, false) => {
            let addresses: Vec<&str> = answer
                .addresses
                .iter()
                .map(|address| address.ip.as_str())
                .collect();
            addresses.join(", ")
        }
    }
}
