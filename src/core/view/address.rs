//! Where a page lives: the typed form of every link of the dashboard.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::api::NamespacedName;

/// A page of the dashboard. Its `Display` is the path of the page; the JSON
/// twin lives at `/api/v1` plus the same path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// The fleet.
    Overview,
    /// All clusters.
    Clusters,
    /// One cluster.
    Cluster(String),
    /// Cables: matrix, findings, connections.
    Cables,
    /// Both directions between two clusters.
    Cable(String, String),
    /// All applications.
    Applications,
    /// One Subscription.
    Application(NamespacedName),
    /// All services of the cluster sets.
    Services,
    /// One service.
    Service(NamespacedName),
    /// All placements.
    Placements,
    /// One placement: kind in lower case, and its name.
    Placement(String, NamespacedName),
    /// What happened.
    Activity,
    /// Search results; the text is in the query.
    Search,
}

/// Sections of the navigation, in order, with their names.
pub const SECTIONS: [(Address, &str); 7] = [
    (Address::Overview, "Overview"),
    (Address::Clusters, "Clusters"),
    (Address::Cables, "Cables"),
    (Address::Applications, "Applications"),
    (Address::Services, "Services"),
    (Address::Placements, "Placements"),
    (Address::Activity, "Activity"),
];

impl Address {
    /// Reads a path, percent-encoding undone. `None` when no page has that
    /// shape; whether the thing exists is for the view to say.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        let parts: Vec<String> = path
            .strip_prefix('/')?
            .split('/')
            .map(decode)
            .collect::<Option<_>>()?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        if parts.len() > 1 && parts.iter().any(|part| part.is_empty()) {
            return None;
        }
        Some(match parts.as_slice() {
            [""] => Self::Overview,
            ["clusters"] => Self::Clusters,
            ["clusters", name] => Self::Cluster((*name).to_owned()),
            ["cables"] => Self::Cables,
            ["cables", from, to] => Self::Cable((*from).to_owned(), (*to).to_owned()),
            ["applications"] => Self::Applications,
            ["applications", namespace, name] => Self::Application(named(namespace, name)),
            ["services"] => Self::Services,
            ["services", namespace, name] => Self::Service(named(namespace, name)),
            ["placements"] => Self::Placements,
            ["placements", kind, namespace, name] => {
                Self::Placement((*kind).to_owned(), named(namespace, name))
            }
            ["activity"] => Self::Activity,
            ["search"] => Self::Search,
            _ => return None,
        })
    }

    /// The name of the thing, without its namespace; empty for a list.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Cluster(name) | Self::Cable(name, _) => name,
            Self::Application(id) | Self::Service(id) | Self::Placement(_, id) => &id.name,
            _ => "",
        }
    }

    /// The section of the navigation that this page belongs to.
    #[must_use]
    pub fn section(&self) -> Self {
        match self {
            Self::Cluster(_) => Self::Clusters,
            Self::Cable(..) => Self::Cables,
            Self::Application(_) => Self::Applications,
            Self::Service(_) => Self::Services,
            Self::Placement(..) => Self::Placements,
            other => other.clone(),
        }
    }
}

fn named(namespace: &str, name: &str) -> NamespacedName {
    NamespacedName::new(namespace, name)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overview => f.write_str("/"),
            Self::Clusters => f.write_str("/clusters"),
            Self::Cluster(name) => write!(f, "/clusters/{}", Segment(name)),
            Self::Cables => f.write_str("/cables"),
            Self::Cable(from, to) => write!(f, "/cables/{}/{}", Segment(from), Segment(to)),
            Self::Applications => f.write_str("/applications"),
            Self::Application(id) => write!(
                f,
                "/applications/{}/{}",
                Segment(&id.namespace),
                Segment(&id.name)
            ),
            Self::Services => f.write_str("/services"),
            Self::Service(id) => {
                write!(
                    f,
                    "/services/{}/{}",
                    Segment(&id.namespace),
                    Segment(&id.name)
                )
            }
            Self::Placements => f.write_str("/placements"),
            Self::Placement(kind, id) => write!(
                f,
                "/placements/{}/{}/{}",
                Segment(kind),
                Segment(&id.namespace),
                Segment(&id.name)
            ),
            Self::Activity => f.write_str("/activity"),
            Self::Search => f.write_str("/search"),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Percent-encodes everything but RFC 3986 unreserved characters.
struct Segment<'a>(&'a str);

impl fmt::Display for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

/// Encodes a value of a query string.
#[must_use]
pub fn encode(value: &str) -> String {
    Segment(value).to_string()
}

/// Undoes percent-encoding; `None` when the bytes are no UTF-8 or an escape is cut.
fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_read_back_from_its_path() {
        let id = NamespacedName::new("guest/book", "käse 100%");
        for address in [
            Address::Overview,
            Address::Clusters,
            Address::Cluster("aws-sub1".into()),
            Address::Cables,
            Address::Cable("a".into(), "b".into()),
            Address::Applications,
            Address::Application(id.clone()),
            Address::Services,
            Address::Service(id.clone()),
            Address::Placements,
            Address::Placement("placementrule".into(), id),
            Address::Activity,
            Address::Search,
        ] {
            assert_eq!(Address::parse(&address.to_string()), Some(address));
        }
    }

    #[test]
    fn odd_paths_are_no_pages() {
        for path in [
            "",
            "//",
            "/clusters/",
            "/clusters/a/b",
            "/x",
            "/clusters/%",
            "/clusters/%ff",
        ] {
            assert_eq!(Address::parse(path), None, "{path}");
        }
    }
}
