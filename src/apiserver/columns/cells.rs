//! Cells that take more than a look at one field.

use jiff::Timestamp;
use serde_json::Value;

use super::{since, text_at};

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    let found = object.pointer(pointer).and_then(Value::as_array);
    found.into_iter().flatten()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn or_none(text: String) -> String {
    match text.is_empty() {
        true => "<none>".to_owned(),
        false => text,
    }
}

fn joined<'a>(items: impl Iterator<Item = &'a str>) -> String {
    or_none(items.collect::<Vec<_>>().join(","))
}

/// At most three items, then how many more.
fn shortened(items: &[String]) -> String {
    match items.len() {
        0..=3 => or_none(items.join(",")),
        more => format!("{} + {} more...", items[..3].join(","), more - 3),
    }
}

fn map_text(object: &Value, pointer: &str) -> String {
    let map = object.pointer(pointer).and_then(Value::as_object);
    let pairs = map.into_iter().flatten();
    let pairs = pairs.map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()));
    or_none(pairs.collect::<Vec<_>>().join(","))
}

pub(super) fn data_count(object: &Value) -> i64 {
    let size = |field: &str| object[field].as_object().map_or(0, serde_json::Map::len);
    i64::try_from(size("data") + size("binaryData")).unwrap_or(i64::MAX)
}

/// What an IngressClass refers to: `KIND.GROUP/NAME`.
pub(super) fn parameters(object: &Value, _: Timestamp) -> String {
    let parameters = &object["spec"]["parameters"];
    let text = |field: &str| parameters[field].as_str().unwrap_or_default();
    match text("apiGroup") {
        _ if parameters.is_null() => "<none>".to_owned(),
        "" => format!("{}/{}", text("kind"), text("name")),
        group => format!("{}.{group}/{}", text("kind"), text("name")),
    }
}

pub(super) fn revision(object: &Value) -> i64 {
    number(object, "/revision")
}

/// The owner that controls the object: `KIND.GROUP/NAME`.
pub(super) fn controller(object: &Value, _: Timestamp) -> String {
    let owner = list(object, "/metadata/ownerReferences").find(|o| o["controller"] == true);
    let Some(owner) = owner else {
        return "<none>".to_owned();
    };
    let text = |field: &str| owner[field].as_str().unwrap_or_default();
    let kind = text("kind").to_lowercase();
    match text("apiVersion").split_once('/') {
        Some((group, _)) => format!("{kind}.{group}/{}", text("name")),
        None => format!("{kind}/{}", text("name")),
    }
}

pub(super) fn updated(object: &Value) -> i64 {
    number(object, "/status/updatedReplicas")
}

pub(super) fn available(object: &Value) -> i64 {
    number(object, "/status/availableReplicas")
}

pub(super) fn hpa_most(object: &Value) -> i64 {
    number(object, "/spec/maxReplicas")
}

pub(super) fn hpa_now(object: &Value) -> i64 {
    number(object, "/status/currentReplicas")
}

pub(super) fn external_ip(object: &Value, _: Timestamp) -> String {
    let balancer = list(object, "/status/loadBalancer/ingress")
        .filter_map(|i| i["ip"].as_str().or_else(|| i["hostname"].as_str()));
    let external = list(object, "/spec/externalIPs").filter_map(Value::as_str);
    match object["spec"]["type"].as_str() {
        Some("ExternalName") => text_at(object, "/spec/externalName"),
        Some("LoadBalancer") => {
            let all = balancer.chain(external).collect::<Vec<_>>().join(",");
            match all.is_empty() {
                true => "<pending>".to_owned(),
                false => all,
            }
        }
        _ => joined(external),
    }
}

pub(super) fn service_ports(object: &Value, _: Timestamp) -> String {
    let ports = list(object, "/spec/ports").map(|port| {
        let protocol = port["protocol"].as_str().unwrap_or("TCP");
        match port["nodePort"].as_u64() {
            Some(node) => format!("{}:{node}/{protocol}", port["port"]),
            None => format!("{}/{protocol}", port["port"]),
        }
    });
    or_none(ports.collect::<Vec<_>>().join(","))
}

pub(super) fn selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/selector")
}

pub(super) fn match_labels(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/selector/matchLabels")
}

pub(super) fn pod_selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/podSelector/matchLabels")
}

pub(super) fn node_selector(object: &Value, _: Timestamp) -> String {
    map_text(object, "/spec/template/spec/nodeSelector")
}

pub(super) fn endpoints(object: &Value, _: Timestamp) -> String {
    let mut all = Vec::new();
    for subset in list(object, "/subsets") {
        for port in list(subset, "/ports") {
            for address in list(subset, "/addresses") {
                let ip = address["ip"].as_str().unwrap_or_default();
                all.push(format!("{ip}:{}", port["port"]));
            }
        }
    }
    shortened(&all)
}

fn first_time<'a>(object: &'a Value, pointers: &[&str]) -> &'a str {
    let mut found = pointers.iter().filter_map(|p| object.pointer(p)?.as_str());
    found.find(|text| !text.is_empty()).unwrap_or_default()
}

pub(super) fn last_seen(object: &Value, now: Timestamp) -> String {
    let pointers = [
        "/series/lastObservedTime",
        "/lastTimestamp",
        "/firstTimestamp",
        "/eventTime",
    ];
    since(first_time(object, &pointers), now)
}

pub(super) fn first_seen(object: &Value, now: Timestamp) -> String {
    since(first_time(object, &["/firstTimestamp", "/eventTime"]), now)
}

pub(super) fn event_object(object: &Value, _: Timestamp) -> String {
    let about = &object["involvedObject"];
    let kind = about["kind"].as_str().unwrap_or_default().to_lowercase();
    format!("{kind}/{}", about["name"].as_str().unwrap_or_default())
}

pub(super) fn event_source(object: &Value, _: Timestamp) -> String {
    let pointers = ["/reportingComponent", "/source/component"];
    or_none(first_time(object, &pointers).to_owned())
}

pub(super) fn node_status(object: &Value, _: Timestamp) -> String {
    let ready = list(object, "/status/conditions").find(|c| c["type"] == "Ready");
    let mut words = vec![match ready.map(|c| &c["status"]) {
        Some(status) if status == "True" => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    }];
    if object["spec"]["unschedulable"] == true {
        words.push("SchedulingDisabled");
    }
    words.join(",")
}

pub(super) fn node_roles(object: &Value, _: Timestamp) -> String {
    let labels = object["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flat_map(|l| l.keys());
    joined(labels.filter_map(|key| key.strip_prefix("node-role.kubernetes.io/")))
}

fn node_address(object: &Value, kind: &str) -> String {
    let found = list(object, "/status/addresses").find(|a| a["type"] == kind);
    or_none(
        found
            .and_then(|a| a["address"].as_str())
            .unwrap_or_default()
            .to_owned(),
    )
}

pub(super) fn node_internal(object: &Value, _: Timestamp) -> String {
    node_address(object, "InternalIP")
}

pub(super) fn node_external(object: &Value, _: Timestamp) -> String {
    node_address(object, "ExternalIP")
}

pub(super) fn pod_ready(object: &Value, _: Timestamp) -> String {
    let ready = list(object, "/status/containerStatuses").filter(|c| c["ready"] == true);
    format!(
        "{}/{}",
        ready.count(),
        list(object, "/spec/containers").count()
    )
}

pub(super) fn pod_status(object: &Value, _: Timestamp) -> String {
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let waiting = list(object, "/status/containerStatuses")
        .find_map(|c| c["state"]["waiting"]["reason"].as_str());
    let reason = object["status"]["reason"].as_str();
    match waiting.or(reason) {
        Some(reason) => reason.to_owned(),
        None => text_at(object, "/status/phase"),
    }
}

pub(super) fn pod_restarts(object: &Value, _: Timestamp) -> String {
    let restarts =
        list(object, "/status/containerStatuses").filter_map(|c| c["restartCount"].as_i64());
    restarts.sum::<i64>().to_string()
}

pub(super) fn access_modes(object: &Value, _: Timestamp) -> String {
    joined(list(object, "/spec/accessModes").filter_map(|mode| {
        Some(match mode.as_str()? {
            "ReadWriteOnce" => "RWO",
            "ReadOnlyMany" => "ROX",
            "ReadWriteMany" => "RWX",
            "ReadWriteOncePod" => "RWOP",
            other => other,
        })
    }))
}

pub(super) fn deployment_ready(object: &Value, _: Timestamp) -> String {
    let ready = number(object, "/status/readyReplicas");
    format!("{ready}/{}", number(object, "/spec/replicas"))
}

pub(super) fn containers(object: &Value, _: Timestamp) -> String {
    let all = list(object, "/spec/template/spec/containers");
    joined(all.filter_map(|c| c["name"].as_str()))
}

pub(super) fn images(object: &Value, _: Timestamp) -> String {
    let all = list(object, "/spec/template/spec/containers");
    joined(all.filter_map(|c| c["image"].as_str()))
}

pub(super) fn job_status(object: &Value, _: Timestamp) -> String {
    let holds = |kind: &str| {
        list(object, "/status/conditions").any(|c| c["type"] == kind && c["status"] == "True")
    };
    match () {
        () if holds("Complete") => "Complete",
        () if holds("Failed") => "Failed",
        () if object["metadata"]["deletionTimestamp"].is_string() => "Terminating",
        () if holds("Suspended") => "Suspended",
        () => "Running",
    }
    .to_owned()
}

pub(super) fn job_completions(object: &Value, _: Timestamp) -> String {
    let done = number(object, "/status/succeeded");
    format!("{done}/{}", number(object, "/spec/completions").max(1))
}

pub(super) fn ingress_hosts(object: &Value, _: Timestamp) -> String {
    let hosts = joined(list(object, "/spec/rules").filter_map(|r| r["host"].as_str()));
    match hosts.as_str() {
        "<none>" => "*".to_owned(),
        _ => hosts,
    }
}

pub(super) fn ingress_address(object: &Value, _: Timestamp) -> String {
    let found = list(object, "/status/loadBalancer/ingress")
        .filter_map(|i| i["ip"].as_str().or_else(|| i["hostname"].as_str()));
    found.collect::<Vec<_>>().join(",")
}

pub(super) fn hpa_reference(object: &Value, _: Timestamp) -> String {
    let target = &object["spec"]["scaleTargetRef"];
    let text = |field: &str| target[field].as_str().unwrap_or_default();
    format!("{}/{}", text("kind"), text("name"))
}

pub(super) fn role_ref(object: &Value, _: Timestamp) -> String {
    let role = &object["roleRef"];
    let text = |field: &str| role[field].as_str().unwrap_or_default();
    format!("{}/{}", text("kind"), text("name"))
}

pub(super) fn expansion(object: &Value, _: Timestamp) -> String {
    (object["allowVolumeExpansion"] == true).to_string()
}

pub(super) fn slice_ports(object: &Value, _: Timestamp) -> String {
    let ports: Vec<String> = list(object, "/ports")
        .map(|p| p["port"].to_string())
        .collect();
    match ports.is_empty() {
        true => "<unset>".to_owned(),
        false => shortened(&ports),
    }
}

pub(super) fn slice_endpoints(object: &Value, _: Timestamp) -> String {
    let addresses = list(object, "/endpoints").flat_map(|e| list(e, "/addresses"));
    let addresses = addresses.filter_map(Value::as_str).map(str::to_owned);
    let addresses: Vec<String> = addresses.collect();
    match addresses.is_empty() {
        true => "<unset>".to_owned(),
        false => shortened(&addresses),
    }
}

fn bound(object: &Value, kind: &str) -> String {
    let subjects = list(object, "/subjects").filter(|subject| subject["kind"] == kind);
    let names = subjects.map(|subject| {
        let text = |field: &str| subject[field].as_str().unwrap_or_default();
        match kind {
            "ServiceAccount" => format!("{}/{}", text("namespace"), text("name")),
            _ => text("name").to_owned(),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(super) fn bound_users(object: &Value, _: Timestamp) -> String {
    bound(object, "User")
}

pub(super) fn bound_groups(object: &Value, _: Timestamp) -> String {
    bound(object, "Group")
}

pub(super) fn bound_accounts(object: &Value, _: Timestamp) -> String {
    bound(object, "ServiceAccount")
}

/// Hard limits with what is used of them, requests or limits.
fn quota(object: &Value, limits: bool) -> String {
    let hard = object.pointer("/status/hard").and_then(Value::as_object);
    let pairs = hard.into_iter().flatten();
    let pairs = pairs.filter(|(name, _)| name.starts_with("limits.") == limits);
    let shown = pairs.map(|(name, hard)| {
        let text = |value: &Value| value.as_str().unwrap_or("0").to_owned();
        let used = &object["status"]["used"][name.as_str()];
        format!("{name}: {}/{}", text(used), text(hard))
    });
    shown.collect::<Vec<_>>().join(", ")
}

pub(super) fn quota_requests(object: &Value, _: Timestamp) -> String {
    quota(object, false)
}

pub(super) fn quota_limits(object: &Value, _: Timestamp) -> String {
    quota(object, true)
}

pub(super) fn attributes_class(object: &Value, _: Timestamp) -> String {
    match text_at(object, "/spec/volumeAttributesClassName").as_str() {
        "<none>" => "<unset>".to_owned(),
        name => name.to_owned(),
    }
}

pub(super) fn volume_claim(object: &Value, _: Timestamp) -> String {
    let claim = &object["spec"]["claimRef"];
    match (claim["namespace"].as_str(), claim["name"].as_str()) {
        (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
        _ => String::new(),
    }
}

pub(super) fn volume_reason(object: &Value, _: Timestamp) -> String {
    object["status"]["reason"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

pub(super) fn job_duration(object: &Value, now: Timestamp) -> String {
    let time =
        |pointer: &str| -> Option<Timestamp> { object.pointer(pointer)?.as_str()?.parse().ok() };
    let Some(start) = time("/status/startTime") else {
        return String::new();
    };
    let end = time("/status/completionTime").unwrap_or(now);
    super::human(end.as_second() - start.as_second())
}

pub(super) fn last_schedule(object: &Value, now: Timestamp) -> String {
    match object["status"]["lastScheduleTime"].as_str() {
        Some(time) => since(time, now),
        None => "<none>".to_owned(),
    }
}

pub(super) fn cron_containers(object: &Value, now: Timestamp) -> String {
    containers(&object["spec"]["jobTemplate"], now)
}

pub(super) fn cron_images(object: &Value, now: Timestamp) -> String {
    images(&object["spec"]["jobTemplate"], now)
}

pub(super) fn cron_selector(object: &Value, now: Timestamp) -> String {
    match_labels(&object["spec"]["jobTemplate"], now)
}

pub(super) fn ingress_ports(object: &Value, _: Timestamp) -> String {
    match list(object, "/spec/tls").next() {
        Some(_) => "80, 443".to_owned(),
        None => "80".to_owned(),
    }
}

/// Targets are told by name only: nothing here measures them.
pub(super) fn hpa_targets(object: &Value, _: Timestamp) -> String {
    let metrics = list(object, "/spec/metrics");
    let names = metrics.filter_map(|metric| {
        let name = metric["resource"]["name"].as_str()?;
        let wanted = &metric["resource"]["target"]["averageUtilization"];
        Some(match wanted.as_i64() {
            Some(percent) => format!("{name}: <unknown>/{percent}%"),
            None => format!("{name}: <unknown>"),
        })
    });
    or_none(names.collect::<Vec<_>>().join(", "))
}

fn or_not_set(object: &Value, pointer: &str) -> String {
    match text_at(object, pointer).as_str() {
        "<none>" => "N/A".to_owned(),
        text => text.to_owned(),
    }
}

pub(super) fn least_available(object: &Value, _: Timestamp) -> String {
    or_not_set(object, "/spec/minAvailable")
}

pub(super) fn most_unavailable(object: &Value, _: Timestamp) -> String {
    or_not_set(object, "/spec/maxUnavailable")
}
