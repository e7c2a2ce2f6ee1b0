//! The clusters that the simulator plays.

/// A cluster with one gateway node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Cluster name, and its id in Submariner.
    pub cluster: String,
    /// Host name of the gateway node.
    pub gateway: String,
    /// Its address in the cluster's network.
    pub private_ip: String,
    /// Its address as others see it.
    pub public_ip: String,
    /// Address that the others' health checkers ping.
    pub health_check_ip: String,
    /// Service network.
    pub service_cidr: String,
    /// Pod network.
    pub cluster_cidr: String,
}

impl Site {
    fn new(cluster: &str, addresses: [&str; 3], networks: [&str; 2]) -> Self {
        let [private_ip, public_ip, health_check_ip] = addresses.map(str::to_owned);
        let [service_cidr, cluster_cidr] = networks.map(str::to_owned);
        Self {
            cluster: cluster.to_owned(),
            gateway: format!("ip-{}", private_ip.replace('.', "-")),
            private_ip,
            public_ip,
            health_check_ip,
            service_cidr,
            cluster_cidr,
        }
    }
}

/// The fleet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// Clusters that are meant to be connected.
    pub sites: Vec<Site>,
    /// The cluster that joins with a network that is taken, when that fault is on.
    pub intruder: Site,
    /// Release of Submariner.
    pub version: String,
    /// Create the operator's DaemonSets and Deployments too.
    pub workloads: bool,
}

impl Fleet {
    /// The article's two clusters: addresses, networks and release as there,
    /// public addresses from TEST-NET-3.
    #[must_use]
    pub fn article() -> Self {
        Self {
            sites: vec![
                Site::new(
                    "aws-sub1",
                    ["10.10.37.208", "203.0.113.21", "10.132.2.1"],
                    ["172.31.0.0/16", "10.132.0.0/14"],
                ),
                Site::new(
                    "aws-sub2",
                    ["10.0.31.78", "203.0.113.22", "10.128.2.1"],
                    ["172.30.0.0/16", "10.128.0.0/14"],
                ),
            ],
            intruder: Site::new(
                "aws-sub3",
                ["10.20.5.9", "203.0.113.23", "10.128.9.1"],
                ["172.29.0.0/16", "10.128.0.0/14"],
            ),
            version: "0.8.1".to_owned(),
            workloads: true,
        }
    }

    /// `count` clusters `prefix-001` … with networks that do not overlap, for
    /// scale (at most 200).
    #[must_use]
    pub fn of_size(prefix: &str, count: u8) -> Self {
        let sites = (1..=count.min(200))
            .map(|number| {
                Site::new(
                    &format!("{prefix}-{number:03}"),
                    [
                        &format!("192.168.{number}.10"),
                        &format!("198.51.100.{number}"),
                        &format!("10.{number}.2.1"),
                    ],
                    [
                        &format!("172.16.{number}.0/24"),
                        &format!("10.{number}.0.0/16"),
                    ],
                )
            })
            .collect();
        Self {
            sites,
            workloads: false,
            ..Self::article()
        }
    }

    /// The cluster of that name.
    #[must_use]
    pub fn site(&self, cluster: &str) -> Option<&Site> {
        self.sites.iter().find(|site| site.cluster == cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::mesh::cidr::Cidr;

    #[test]
    fn only_the_intruder_overlaps() {
        let networks = |site: &Site| {
            [&site.service_cidr, &site.cluster_cidr].map(|text| Cidr::parse(text).unwrap())
        };
        for fleet in [Fleet::article(), Fleet::of_size("edge", 120)] {
            for (index, one) in fleet.sites.iter().enumerate() {
                for two in &fleet.sites[index + 1..] {
                    for a in networks(one) {
                        assert!(
                            networks(two).into_iter().all(|b| !a.overlaps(b)),
                            "{} {}",
                            one.cluster,
                            two.cluster
                        );
                    }
                }
            }
        }
        let fleet = Fleet::article();
        let overlaps = |site: &Site| {
            networks(site)
                .into_iter()
                .any(|a| networks(&fleet.intruder).into_iter().any(|b| a.overlaps(b)))
        };
        assert!(overlaps(&fleet.sites[1]) && !overlaps(&fleet.sites[0]));
    }
}
