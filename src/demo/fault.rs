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

impl Fault {
    /// The clusters that it names.
    pub(super) fn clusters(&self) -> Vec<&str> {
        match self {
            Self::CutCable { a, b, .. } | Self::RestoreCable { a, b } => vec![a, b],
            Self::StaleGateway { cluster, .. } => vec![cluster],
            Self::StopCluster { name } | Self::StartCluster { name } => vec![name],
            Self::Overlap { .. } => Vec::new(),
        }
    }

    /// What was done and where it shows, for people.
    pub(super) fn done(&self) -> String {
        match self {
            Self::CutCable {
                a,
                b,
                one_way: false,
            } => format!(
                "Cut the cable between {a} and {b}.\n\
                 Both gateways report the loss with their next words: see `pilothouse show connections`\n\
                 and the pages /cables and /services of the dashboard. Mend it with\n  \
                 pilothouse demo fault restore-cable {a} {b}"
            ),
            Self::CutCable { a, b, .. } => format!(
                "Cut the cable as {a} sees it; {b} still believes in it.\n\
                 See the page /cables of the dashboard: the two directions differ. Mend it with\n  \
                 pilothouse demo fault restore-cable {a} {b}"
            ),
            Self::RestoreCable { a, b } => format!(
                "Mended the cable between {a} and {b}.\n\
                 See `pilothouse show connections` and the page /cables of the dashboard."
            ),
            Self::StaleGateway {
                cluster,
                restore: false,
            } => format!(
                "Silenced the gateway of {cluster}: its last report stays as it is.\n\
                 After 20 s without news the page /cables of the dashboard no longer believes it. Mend it with\n  \
                 pilothouse demo fault stale-gateway {cluster} --restore"
            ),
            Self::StaleGateway { cluster, .. } => {
                format!("The gateway of {cluster} reports again: see the page /cables of the dashboard.")
            }
            Self::Overlap { restore: false } => "A third cluster joined Submariner with a network that is taken.\n\
                 See the findings on the page /cables of the dashboard. Mend it with\n  \
                 pilothouse demo fault overlap --restore"
                .to_owned(),
            Self::Overlap { .. } => {
                "The cluster with the taken network left again: see the page /cables of the dashboard."
                    .to_owned()
            }
            Self::StopCluster { name } => format!(
                "Stopped the API server of {name}; what runs there runs on.\n\
                 See `kubectl get managedclusters` and the page /clusters/{name} of the dashboard. Start it with\n  \
                 pilothouse demo fault start-cluster {name}"
            ),
            Self::StartCluster { name } => format!(
                "Started the API server of {name}.\n\
                 See `kubectl get managedclusters` and the page /clusters/{name} of the dashboard."
            ),
        }
    }
}
