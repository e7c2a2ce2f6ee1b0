//! What is shipped in `deploy/`: it renders, its alerts and its dashboard know
//! the metrics that are served, and its rights are those that the product uses.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    unreachable_pub,
    dead_code,
    reason = "modules of a test binary"
)]

#[path = "deploy/audit.rs"]
mod audit;
#[path = "deploy/image.rs"]
mod image;
#[path = "deploy/metrics.rs"]
mod metrics;
#[path = "deploy/render.rs"]
mod render;
#[path = "deploy/replica.rs"]
mod replica;
#[path = "deploy/rights.rs"]
mod rights;
#[path = "deploy/rules.rs"]
mod rules;
#[path = "deploy/scenario.rs"]
mod scenario;
#[path = "support/support.rs"]
mod support;
