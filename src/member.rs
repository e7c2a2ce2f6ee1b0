//! Member clusters: connections, probes, observation and server-side apply.

pub mod client;
pub mod credential;
