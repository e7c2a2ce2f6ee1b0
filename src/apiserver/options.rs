//! What a server is started with.

use std::path::PathBuf;

/// How one [`Server`](super::Server) is set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// The cluster's name: context and cluster of its kubeconfig.
    pub name: String,
    /// Where objects, the CA and the admin token are kept; `None` keeps
    /// everything in memory.
    pub data_dir: Option<PathBuf>,
    /// IPv4 range from which Services get their `clusterIP`.
    pub service_cidr: String,
    /// More DNS names and IP addresses for the serving certificate, besides
    /// `localhost` and `127.0.0.1`.
    pub server_names: Vec<String>,
    /// How many events per resource a watch may lag or resume behind before
    /// it gets 410 Expired.
    pub watch_history: usize,
}

impl Options {
    /// A server that forgets everything when it is dropped.
    #[must_use]
    pub fn in_memory(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            data_dir: None,
            service_cidr: "172.31.0.0/16".to_owned(),
            server_names: Vec::new(),
            watch_history: 1000,
        }
    }

    /// A server that keeps its objects under `data_dir`.
    #[must_use]
    pub fn durable(name: impl Into<String>, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: Some(data_dir.into()),
            ..Self::in_memory(name)
        }
    }
}
