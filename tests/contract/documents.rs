//! Documents about the server: discovery in its forms, OpenAPI.

use super::step::{Part, Step, get};

const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
const AGGREGATED_BETA: &str =
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList";

pub fn documents() -> Vec<Step> {
    let mut steps = Vec::new();
    for path in ["/api", "/apis"] {
        let form = |name: &str| get(&format!("{path} {name}"), path).alike(Part);
        steps.extend([
            form("plain"),
            form("aggregated").accept(AGGREGATED),
            form("aggregated in beta").accept(AGGREGATED_BETA),
            form("aggregated in an unknown version").accept("application/json;g=apidiscovery.k8s.io;v=v9;as=APIGroupDiscoveryList,application/json"),
        ]);
    }
    let groups = [
        "apps",
        "autoscaling",
        "batch",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "apiextensions.k8s.io",
        "coordination.k8s.io",
        "discovery.k8s.io",
        "storage.k8s.io",
        "policy",
        "contract.example.com",
        "authorization.k8s.io",
        "authentication.k8s.io",
        "events.k8s.io",
        "scheduling.k8s.io",
    ];
    for group in groups {
        let version = format!("/apis/{group}/v1");
        steps.push(get(&format!("group {group}"), &format!("/apis/{group}")).alike(Part));
        steps.push(get(&format!("resources of {group}"), &version).alike(Part));
    }
    steps.push(get("resources of autoscaling/v2", "/apis/autoscaling/v2").alike(Part));
    steps.push(get("resources of core", "/api/v1").alike(Part));
    steps.push(get("unknown group's document", "/apis/foo.io"));
    steps.push(get("unknown version's document", "/apis/apps/v9"));
    steps.push(get("schemas", "/openapi/v3").alike(Part));
    steps.push(
        get(
            "schema of widgets",
            "/openapi/v3/apis/contract.example.com/v1",
        )
        .at("/components/schemas/com.example.contract.v1.Widget"),
    );
    steps.push(
        get("schema of widgets in v2", "/openapi/v2")
            .at("/definitions/com.example.contract.v1.Widget"),
    );
    steps.push(get("schema of nothing", "/openapi/v3/apis/foo.io/v1"));
    steps.push(get("readyz", "/readyz"));
    steps.push(get("livez", "/livez"));
    steps.push(get("healthz", "/healthz"));
    steps
}
