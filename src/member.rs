//! Member clusters: connections, probes, observation and server-side apply.
