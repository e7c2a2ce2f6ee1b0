//! Tables with subctl's columns, limits and words (subctl 0.20), from one
//! cluster's observation as it stands: like subctl, these do not judge.

use serde::Serialize;

use crate::core::mesh::observation::{
    ConnectionFacts, GatewayFacts, MeshKind, MeshObservation, Reading,
};

/// A column: heading, and the greatest width if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Heading.
    pub heading: &'static str,
    /// Cells are cut to this many characters, without a mark, as subctl does.
    pub limit: Option<usize>,
}

const fn column(heading: &'static str) -> Column {
    Column {
        heading,
        limit: None,
    }
}

const fn cut(heading: &'static str, limit: usize) -> Column {
    Column {
        heading,
        limit: Some(limit),
    }
}

/// A table of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Columns.
    pub columns: Vec<Column>,
    /// Rows; each has as many cells as there are columns.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Heading and rows as subctl prints them: each column as wide as its
    /// longest cell (within the limit) or heading, three spaces between.
    #[must_use]
    pub fn render(&self) -> String {
        let widths: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, column)| {
                let longest = self
                    .rows
                    .iter()
                    .filter_map(|row| row.get(index))
                    .map(|cell| cell.chars().count())
                    .max()
                    .unwrap_or(0);
                column
                    .heading
                    .chars()
                    .count()
                    .max(longest.min(column.limit.unwrap_or(usize::MAX)))
            })
            .collect();
        let headings = self.columns.iter().map(|column| column.heading);
        let mut text = line(headings, &widths);
        for row in &self.rows {
            text.push_str(&line(row.iter().map(String::as_str), &widths));
        }
        text
    }
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let mut text = String::new();
    for (cell, width) in cells.zip(widths) {
        let shown: String = cell.chars().take(*width).collect();
        text.push_str(&shown);
        text.extend(std::iter::repeat_n(' ', width + 3 - shown.chars().count()));
    }
    format!("{}\n", text.trim_end())
}

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

/// A component of Submariner on a cluster, for the versions table.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Component {
    /// Name of its DaemonSet or Deployment.
    pub component: String,
    /// Image repository without the image's own name.
    pub repository: String,
    /// Tag of the image.
    pub configured: String,
    /// What runs, when the API says so.
    pub running: Option<String>,
    /// Node architectures, when known.
    pub arch: Option<String>,
}

/// One row of `show connections`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ConnectionRow {
    /// Remote gateway's host name.
    pub gateway: String,
    /// Remote cluster.
    pub cluster: String,
    /// Address in use.
    pub remote_ip: String,
    /// Whether NAT is crossed.
    pub nat: bool,
    /// Driver.
    pub cable_driver: String,
    /// Remote networks.
    pub subnets: Vec<String>,
    /// As reported.
    pub status: String,
    /// Mean round trip as Go writes it; empty when not measured.
    pub rtt_avg: String,
}

/// One row of `show endpoints`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointRow {
    /// Cluster.
    pub cluster: String,
    /// Private address.
    pub endpoint_ip: String,
    /// Public address.
    pub public_ip: String,
    /// Driver.
    pub cable_driver: String,
    /// `local` or `remote`.
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// One row of `show gateways`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GatewayRow {
    /// Node.
    pub node: String,
    /// `active` or `passive`.
    pub ha_status: String,
    /// Sentence.
    pub summary: String,
}

/// What `show networks` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Networks {
    /// Network plugin.
    pub network_plugin: String,
    /// Service CIDRs.
    pub service_cidrs: Vec<String>,
    /// Pod CIDRs.
    pub cluster_cidrs: Vec<String>,
    /// Globalnet CIDRs.
    pub global_cidrs: Vec<String>,
    /// Clusterset IP CIDRs.
    pub clusterset_ip_cidrs: Vec<String>,
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
    pub brokers: Option<Vec<crate::core::mesh::observation::BrokerFacts>>,
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

fn gateways(observation: &MeshObservation) -> &[GatewayFacts] {
    if observation.gateways.is_empty() {
        observation
            .submariners
            .first()
            .map(|facts| facts.legacy_gateways.as_slice())
            .unwrap_or_default()
    } else {
        &observation.gateways
    }
}

/// Rows of `show connections`, gateway by gateway.
#[must_use]
pub fn connections(gateways: &[GatewayFacts]) -> Vec<ConnectionRow> {
    gateways
        .iter()
        .flat_map(|gateway| &gateway.connections)
        .map(connection_row)
        .collect()
}

fn connection_row(connection: &ConnectionFacts) -> ConnectionRow {
    let endpoint = &connection.endpoint;
    let nat = connection.using_nat.unwrap_or(endpoint.nat_enabled);
    let addresses = if endpoint.nat_enabled {
        &endpoint.public_ips
    } else {
        &endpoint.private_ips
    };
    ConnectionRow {
        gateway: endpoint.hostname.clone(),
        cluster: endpoint.cluster_id.clone(),
        remote_ip: connection
            .using_ip
            .clone()
            .or_else(|| addresses.first().cloned())
            .unwrap_or_default(),
        nat,
        cable_driver: endpoint.backend.clone(),
        subnets: endpoint.subnets.clone(),
        status: connection.status.clone(),
        rtt_avg: connection
            .rtt
            .and_then(|rtt| rtt.average)
            .map(|average| average.to_string())
            .unwrap_or_default(),
    }
}

fn endpoints(gateways: &[GatewayFacts]) -> Vec<EndpointRow> {
    gateways
        .iter()
        .flat_map(|gateway| {
            let remotes = gateway
                .connections
                .iter()
                .map(|connection| (&connection.endpoint, "remote"));
            std::iter::once((&gateway.local, "local")).chain(remotes)
        })
        .map(|(endpoint, kind)| EndpointRow {
            cluster: endpoint.cluster_id.clone(),
            endpoint_ip: endpoint.private_ips.first().cloned().unwrap_or_default(),
            public_ip: endpoint.public_ips.first().cloned().unwrap_or_default(),
            cable_driver: endpoint.backend.clone(),
            kind,
        })
        .collect()
}

fn gateway_row(gateway: &GatewayFacts) -> GatewayRow {
    let all = gateway.connections.len();
    let up = gateway
        .connections
        .iter()
        .filter(|connection| connection.status == "connected")
        .count();
    let summary = if !gateway.failure.is_empty() {
        gateway.failure.clone()
    } else if all == 0 {
        "There are no connections".to_owned()
    } else if up == all {
        format!("All connections ({all}) are established")
    } else {
        format!("{up} connections out of {all} are established")
    };
    GatewayRow {
        node: if gateway.local.hostname.is_empty() {
            gateway.name.clone()
        } else {
            gateway.local.hostname.clone()
        },
        ha_status: gateway.ha_status.clone(),
        summary,
    }
}

fn networks(observation: &MeshObservation) -> Option<Networks> {
    let facts = observation.submariners.first()?;
    Some(Networks {
        network_plugin: facts.network_plugin.clone(),
        service_cidrs: facts.service_cidr.clone(),
        cluster_cidrs: facts.cluster_cidr.clone(),
        global_cidrs: facts.global_cidr.clone(),
        clusterset_ip_cidrs: facts.clusterset_ip_cidr.clone(),
    })
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

fn brokers_table(rows: &[crate::core::mesh::observation::BrokerFacts]) -> Table {
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
