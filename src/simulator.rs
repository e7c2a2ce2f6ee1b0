//! Plays what a cluster's own controllers would, as an ordinary API client.

pub mod lighthouse;
pub mod submariner;
pub mod workloads;
