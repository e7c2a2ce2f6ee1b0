//! Service addresses: `clusterIP` from the configured range, node ports from
//! Kubernetes' own.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::super::Inner;
use super::super::failure::{Cause, Failure};
use super::super::object::{self, set};
use super::super::resource::{self, Resource};

/// An IPv4 range in CIDR form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Range {
    first: u32,
    size: u32,
}

impl Range {
    /// Reads `172.31.0.0/16`; prefixes from 8 to 30.
    pub(in super::super) fn parse(cidr: &str) -> Option<Self> {
        let (address, prefix) = cidr.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix: u32 = prefix.parse().ok().filter(|p| (8..=30).contains(p))?;
        let size = 1u32 << (32 - prefix);
        Some(Self {
            first: u32::from(address) & !(size - 1),
            size,
        })
    }

    /// A free address; the first ten are left for fixed ones, as
    /// kube-apiserver prefers too.
    fn pick(self, taken: &BTreeSet<String>, seed: u32) -> Option<String> {
        let usable = self.size.saturating_sub(2);
        let skip = 10.min(usable / 4);
        let free = usable - skip;
        (0..free)
            .map(|step| self.first + 1 + skip + (seed.wrapping_add(step)) % free)
            .map(|address| Ipv4Addr::from(address).to_string())
            .find(|address| !taken.contains(address))
    }
}

const NODE_PORTS: std::ops::Range<u64> = 30_000..32_768;

/// Gives a Service its addresses and ports, or keeps those it has.
pub(super) fn allocate(
    inner: &Inner,
    resource: &Resource,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Failure> {
    if !new["spec"].is_object() {
        return Ok(());
    }
    let kind = new["spec"]["type"].as_str().unwrap_or_default().to_owned();
    if kind == "ExternalName" {
        return Ok(());
    }
    let name = object::meta_text(new, "name").to_owned();
    let others: Vec<Value> = inner
        .store
        .list(&resource::collection("", "services"), None)
        .objects
        .iter()
        .filter(|s| s.uid != object::meta_text(new, "uid"))
        .map(|s| s.value())
        .collect();
    let spec = &mut new["spec"];
    if let Some(old) = old {
        for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
            let unset = spec[field].as_str().is_none_or(str::is_empty) && !spec[field].is_array();
            if unset && !old["spec"][field].is_null() {
                set(spec, field, old["spec"][field].clone());
            }
        }
    }
    let taken: BTreeSet<String> = others
        .iter()
        .filter_map(|s| Some(s["spec"]["clusterIP"].as_str()?.to_owned()))
        .collect();
    let wanted = spec["clusterIP"].as_str().unwrap_or_default().to_owned();
    let address = match wanted.as_str() {
        "None" => wanted,
        "" => {
            let seed = u32::from_be_bytes(object::random()?);
            let free = inner.services.pick(&taken, seed);
            free.ok_or_else(|| Failure::internal("no service addresses are left"))?
        }
        given if taken.contains(given) => {
            return Err(Failure::invalid(
                resource,
                &name,
                &[Cause {
                    field: "spec.clusterIPs".to_owned(),
                    reason: "FieldValueInvalid".to_owned(),
                    message: format!(
                        "Invalid value: [\"{given}\"]: failed to allocate IP {given}: provided IP is already allocated"
                    ),
                }],
            ));
        }
        _ => wanted,
    };
    set(spec, "clusterIPs", json!([address.clone()]));
    set(spec, "clusterIP", json!(address));
    for (field, value) in [
        ("ipFamilies", json!(["IPv4"])),
        ("ipFamilyPolicy", json!("SingleStack")),
    ] {
        if spec[field].is_null() {
            set(spec, field, value);
        }
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        node_ports(spec, old, &others);
    }
    Ok(())
}

fn ports(service: &Value) -> impl Iterator<Item = &Value> {
    service["spec"]["ports"].as_array().into_iter().flatten()
}

fn node_ports(spec: &mut Value, old: Option<&Value>, others: &[Value]) {
    let mut taken: BTreeSet<u64> = others
        .iter()
        .flat_map(ports)
        .filter_map(|p| p["nodePort"].as_u64())
        .collect();
    let list = spec["ports"].as_array_mut();
    for port in list.into_iter().flatten() {
        if port["nodePort"].as_u64().is_some_and(|n| n > 0) {
            continue;
        }
        let before = old.into_iter().flat_map(ports);
        let mut before =
            before.filter(|p| p["port"] == port["port"] && p["protocol"] == port["protocol"]);
        let kept = before.find_map(|p| p["nodePort"].as_u64());
        if let Some(free) = kept.or_else(|| NODE_PORTS.clone().find(|n| !taken.contains(n))) {
            taken.insert(free);
            set(port, "nodePort", json!(free));
        }
    }
}

const TYPES: [&str; 4] = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];

/// A Service with several ports must name them.
pub(super) fn check(new: &Value) -> Vec<Cause> {
    let list: Vec<&Value> = ports(new).collect();
    let mut causes = Vec::new();
    let headless = new["spec"]["clusterIP"] == "None" || new["spec"]["type"] == "ExternalName";
    if list.is_empty() && !headless && new["spec"].is_object() {
        causes.push(Cause {
            field: "spec.ports".to_owned(),
            reason: "FieldValueRequired".to_owned(),
            message: "Required value".to_owned(),
        });
    }
    let kind = new["spec"]["type"].as_str().unwrap_or("ClusterIP");
    if !TYPES.contains(&kind) {
        causes.push(Cause {
            field: "spec.type".to_owned(),
            reason: "FieldValueNotSupported".to_owned(),
            message: format!(
                "Unsupported value: \"{kind}\": supported values: \"ClusterIP\", \"ExternalName\", \"LoadBalancer\", \"NodePort\""
            ),
        });
    }
    for (at, port) in list.iter().enumerate() {
        if list.len() > 1 && port["name"].as_str().is_none_or(str::is_empty) {
            causes.push(Cause {
                field: format!("spec.ports[{at}].name"),
                reason: "FieldValueRequired".to_owned(),
                message: "Required value".to_owned(),
            });
        }
        let name = port["name"].as_str().unwrap_or_default();
        if !name.is_empty() && list[..at].iter().any(|other| other["name"] == name) {
            causes.push(Cause {
                field: format!("spec.ports[{at}].name"),
                reason: "FieldValueDuplicate".to_owned(),
                message: format!("Duplicate value: \"{name}\""),
            });
        }
        let number = port["port"].as_i64().unwrap_or_default();
        if !(1..=65_535).contains(&number) {
            causes.push(Cause {
                field: format!("spec.ports[{at}].port"),
                reason: "FieldValueInvalid".to_owned(),
                message: format!("Invalid value: {number}: must be between 1 and 65535, inclusive"),
            });
        }
    }
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        let range = Range::parse("172.31.5.0/16").unwrap();
        assert_eq!(Ipv4Addr::from(range.first).to_string(), "172.31.0.0");
        for bad in ["", "1.2.3.4", "1.2.3.4/31", "1.2.3.4/x", "::1/64"] {
            assert!(Range::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn every_usable_address_is_given_once() {
        let range = Range::parse("10.0.0.0/28").unwrap();
        let mut taken = BTreeSet::new();
        while let Some(address) = range.pick(&taken, 7) {
            assert!(taken.insert(address));
        }
        assert_eq!(taken.len(), 11);
    }

    #[test]
    fn ports_have_names_of_their_own() {
        let service =
            json!({"spec": {"ports": [{"port": 1, "name": "a"}, {"port": 2, "name": "a"}]}});
        let fields: Vec<String> = check(&service).into_iter().map(|c| c.field).collect();
        assert_eq!(fields, ["spec.ports[1].name"]);
    }

    #[test]
    fn several_ports_need_names() {
        let service = json!({"spec": {"ports": [{"port": 1}, {"port": 2, "name": "b"}]}});
        let fields: Vec<String> = check(&service).into_iter().map(|c| c.field).collect();
        assert_eq!(fields, ["spec.ports[0].name"]);
    }
}
