//! What was asked of one cluster: the JSON form, and subctl's text.

use serde::Serialize;

use crate::core::mesh::observation::{BrokerFacts, MeshKind, MeshObservation, Reading};
use crate::core::mesh::tables::rows::{
    Component, ConnectionRow, EndpointRow, GatewayRow, Networks, connections, endpoints,
    gateway_row, gateways, networks,
};
use crate::core::mesh::tables::{Table, column, cut};

/// What `show` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Section {
    /// Brokers hosted by the cluster.
    Brokers,
    /// Connections of its gateways.
    Connections,
    /// Endpoints that its gateways know.
    Endpoints,
    /// Its gateways.
    Gateways,
    /// Its networks.
    Networks,
    /// Versions of Submariner's components.
    Versions,
}

impl Section {
    /// The order of `show all` where Submariner is installed.
    pub const ALL: [Self; 6] = [
        Self::Brokers,
        Self::Connections,
        Self::Endpoints,
        Self::Gateways,
        Self::Networks,
        Self::Versions,
    ];

    fn title(self) -> &'static str {
        match self {
            Self::Brokers => "Showing Brokers",
            Self::Connections => "Showing Connections",
            Self::Endpoints => "Showing Endpoints",
            Self::Gateways => "Showing Gateways",
            Self::Networks => "Showing Network details",
            Self::Versions => "Showing versions",
        }
    }
}

/// Everything that was asked of one cluster; also the JSON and YAML form.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ClusterReport {
    /// Cluster.
    pub cluster: String,
    /// Why it could not be read, instead of everything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether Submariner's connectivity part is installed.
    pub submariner: bool,
    /// Brokers hosted here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub brokers: Option<Vec<BrokerFacts>>,
    /// Connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<Vec<ConnectionRow>>,
    /// Endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoints: Option<Vec<EndpointRow>>,
    /// Gateways.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateways: Option<Vec<GatewayRow>>,
    /// Networks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub networks: Option<Networks>,
    /// Versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<Vec<Component>>,
}

impl ClusterReport {
    /// The report of a cluster that could not be read.
    #[must_use]
    pub fn failed(cluster: &str, error: String) -> Self {
        Self {
            cluster: cluster.to_owned(),
            error: Some(error),
            ..Self::default()
        }
    }

    /// The sections asked for, from what was read.
    #[must_use]
    pub fn of(
        cluster: &str,
        sections: &[Section],
        observation: &MeshObservation,
        components: &[Component],
    ) -> Self {
        let asked = |section| sections.contains(&section);
        let installed = observation.runs_submariner();
        let gateways = gateways(observation);
        Self {
            cluster: cluster.to_owned(),
            error: None,
            submariner: installed,
            brokers: (asked(Section::Brokers)
                && *observation.reading(MeshKind::Broker) != Reading::NotServed)
                .then(|| observation.brokers.clone()),
            connections: (installed && asked(Section::Connections)).then(|| connections(gateways)),
            endpoints: (installed && asked(Section::Endpoints)).then(|| endpoints(gateways)),
            gateways: (installed && asked(Section::Gateways))
                .then(|| gateways.iter().map(gateway_row).collect()),
            networks: asked(Section::Networks)
                .then(|| networks(observation))
                .flatten(),
            versions: asked(Section::Versions).then(|| components.to_vec()),
        }
    }

    /// The report as subctl prints it.
    #[must_use]
    pub fn render(&self, sections: &[Section]) -> String {
        let mut text = format!("Cluster \"{}\"\n", self.cluster);
        if let Some(error) = &self.error {
            text.push_str(&format!(" \u{2717} {error}\n"));
            return text;
        }
        let order: Vec<Section> = if self.submariner {
            Section::ALL.to_vec()
        } else {
            vec![Section::Brokers, Section::Versions]
        };
        for section in order
            .into_iter()
            .filter(|section| sections.contains(section))
        {
            if let Some(body) = self.section(section) {
                text.push_str(&format!(" \u{2713} {}\n{body}", section.title()));
            }
        }
        let about_cables =
            |section: &Section| !matches!(section, Section::Brokers | Section::Versions);
        if !self.submariner && sections.iter().any(about_cables) {
            text.push_str(" \u{26a0} Submariner connectivity feature is not installed\n");
        }
        text
    }

    fn section(&self, section: Section) -> Option<String> {
        match section {
            Section::Brokers => self
                .brokers
                .as_ref()
                .filter(|rows| !rows.is_empty())
                .map(|rows| brokers_table(rows).render()),
            Section::Connections => self.connections.as_ref().map(|rows| {
                if !rows.is_empty() {
                    connections_table(rows).render()
                } else if self.gateways.as_ref().is_some_and(Vec::is_empty) {
                    "no gateways detected\n".to_owned()
                } else {
                    "no connections found\n".to_owned()
                }
            }),
            Section::Endpoints => self
                .endpoints
                .as_ref()
                .map(|rows| endpoints_table(rows).render()),
            Section::Gateways => self.gateways.as_ref().map(|rows| {
                if rows.is_empty() {
                    "no gateways detected\n".to_owned()
                } else {
                    gateways_table(rows).render()
                }
            }),
            Section::Networks => self.networks.as_ref().map(networks_text),
            Section::Versions => self
                .versions
                .as_ref()
                .map(|rows| versions_table(rows).render()),
        }
    }
}

fn yes_no(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

fn connections_table(rows: &[ConnectionRow]) -> Table {
    Table {
        columns: vec![
            cut("GATEWAY", 30),
            cut("CLUSTER", 24),
            column("REMOTE IP"),
            column("NAT"),
            column("CABLE DRIVER"),
            cut("SUBNETS", 40),
            column("STATUS"),
            column("RTT avg."),
        ],
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    row.gateway.clone(),
                    row.cluster.clone(),
                    row.remote_ip.clone(),
                    yes_no(row.nat),
                    row.cable_driver.clone(),
                    row.subnets.join(", "),
                    row.status.clone(),
                    row.rtt_avg.clone(),
                ]
            })
            .collect(),
    }
}

fn endpoints_table(rows: &[EndpointRow]) -> Table {
    Table {
        columns: vec![
            cut("CLUSTER", 24),
            column("ENDPOINT IP"),
            column("PUBLIC IP"),
            column("CABLE DRIVER"),
            column("TYPE"),
        ],
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    row.cluster.clone(),
                    row.endpoint_ip.clone(),
                    row.public_ip.clone(),
                    row.cable_driver.clone(),
                    row.kind.to_owned(),
                ]
            })
            .collect(),
    }
}

fn gateways_table(rows: &[GatewayRow]) -> Table {
    Table {
        columns: vec![cut("NODE", 30), column("HA STATUS"), column("SUMMARY")],
        rows: rows
            .iter()
            .map(|row| vec![row.node.clone(), row.ha_status.clone(), row.summary.clone()])
            .collect(),
    }
}

fn brokers_table(rows: &[BrokerFacts]) -> Table {
    Table {
        columns: vec![
            cut("NAMESPACE", 24),
            cut("NAME", 24),
            column("COMPONENTS"),
            column("GLOBALNET"),
            column("GLOBALNET CIDR"),
            column("DEFAULT GLOBALNET SIZE"),
            cut("DEFAULT DOMAINS", 40),
        ],
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    row.namespace.clone(),
                    row.name.clone(),
                    row.components.join(", "),
                    yes_no(row.globalnet),
                    row.globalnet_cidr.clone(),
                    row.globalnet_size.to_string(),
                    row.domains.join(", "),
                ]
            })
            .collect(),
    }
}

fn versions_table(rows: &[Component]) -> Table {
    let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    Table {
        columns: ["COMPONENT", "REPOSITORY", "CONFIGURED", "RUNNING", "ARCH"]
            .map(column)
            .to_vec(),
        rows: rows
            .iter()
            .map(|row| {
                vec![
                    row.component.clone(),
                    row.repository.clone(),
                    row.configured.clone(),
                    or_dash(&row.running),
                    or_dash(&row.arch),
                ]
            })
            .collect(),
    }
}

fn networks_text(networks: &Networks) -> String {
    let mut text = format!(
        "    Discovered network details via Submariner:\n        Network plugin:  {}\n        Service CIDRs:   [{}]\n        Cluster CIDRs:   [{}]\n",
        networks.network_plugin,
        networks.service_cidrs.join(" "),
        networks.cluster_cidrs.join(" "),
    );
    if !networks.global_cidrs.is_empty() {
        text.push_str(&format!(
            "        Global CIDR:     {}\n",
            networks.global_cidrs.join(" ")
        ));
    }
    if !networks.clusterset_ip_cidrs.is_empty() {
        text.push_str(&format!(
            "        ClustersetIP CIDR: {}\n",
            networks.clusterset_ip_cidrs.join(" ")
        ));
    }
    text
}
