//! Pure decisions: no I/O, no clock, no randomness. Inputs in, plan with reasons out.
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod manifest;
pub mod object;
pub mod plan;
pub mod webhook;
