//! Hub controllers: they gather, call `core`, execute and report.
//!
//! ```text
//!  hub API ──watch──▶ stores ──▶ changes ──▶ queues ──▶ cluster      ─▶ member pool, ManagedCluster status
//!  git     ──poll───▶ sources ─────┘                ├─▶ placement    ─▶ PlacementDecisions
//!  members ──watch──▶ pool ────────┘                ├─▶ subscription ─▶ wishes to the pool, status, report
//!                                                   └─▶ fleet        ─▶ the view that the dashboard reads
//! ```
//!
//! Each trigger only names a key; the reconciler recomputes everything from
//! the stores, so a lost or doubled event changes nothing.

pub mod activity;
pub mod application;
pub mod cluster;
pub mod coexistence;
pub mod context;
pub mod controller;
pub mod credential;
pub mod definitions;
mod event;
pub mod failure;
pub mod fleet;
pub mod leadership;
pub mod lease;
pub mod mesh;
pub mod metrics;
pub mod placement;
pub mod queue;
pub mod record;
pub mod registration;
mod removal;
pub mod report;
pub mod selection;
pub mod sets;
pub mod sources;
pub mod stores;
pub mod subscription;
pub mod webhook;

use std::fmt::Write as _;

/// An error and its causes in one line, each cause once.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let message = source.to_string();
        // Many libraries print their source inside their own text.
        if !text.contains(&message) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {message}");
        }
        cause = source.source();
    }
    text
}
