//! Pure decisions: no I/O, no clock, no randomness. Inputs in, plan with
//! reasons out.
//!
//! The shells gather facts, call one function of this layer, and execute what
//! it returns. Time comes in as `now`; order comes from sorted maps; a reason
//! travels in data beside every decision, so that events, `explain`, the
//! dashboard and the tests read the same structure.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod activity;
pub mod adoption;
pub mod cluster;
pub mod coexistence;
pub mod delivery;
pub mod desired;
pub mod fleet;
pub mod health;
pub mod inventory;
pub mod manifest;
pub mod mesh;
pub mod object;
pub mod placement;
pub mod plan;
pub mod removal;
pub mod source;
pub mod stages;
pub mod subscription;
pub mod view;
pub mod webhook;
