//! The faults that can be asked of a running demo.

/// What to break or mend.
#[derive(Clone, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum Fault {
    /// Cut the cable between two clusters.
    CutCable {
        /// One cluster; the one that no longer hears the other with --one-way.
        a: String,
        /// The other cluster.
        b: String,
        /// Only A reports the loss; B still believes in the cable.
        #[arg(long)]
        one_way: bool,
    },
    /// Mend the cable between two clusters.
    RestoreCable {
        /// One cluster.
        a: String,
        /// The other cluster.
        b: String,
    },
    /// Let a cluster's gateway fall silent: its last words stay, no new ones come.
    StaleGateway {
        /// The cluster.
        cluster: String,
        /// Let it speak again.
        #[arg(long)]
        restore: bool,
    },
    /// Give both clusters overlapping networks.
    Overlap {
        /// Give them their own networks back.
        #[arg(long)]
        restore: bool,
    },
    /// Stop a cluster's API server for everyone outside.
    StopCluster {
        /// The cluster.
        name: String,
    },
    /// Start a stopped cluster's API server.
    StartCluster {
        /// The cluster.
        name: String,
    },
}
