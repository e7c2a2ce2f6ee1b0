//! Built-in kinds: defaults, rules of their own, strategic patches.

use super::step::{
    APPLY, DEPLOYMENTS, JSON, MERGE, Reason, SECRETS, SERVICES, STRATEGIC, Step, WEB, Whole, step,
};
use serde_json::{Value, json};

fn deployment(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"a": "b"}},
            "template": {"metadata": {"labels": labels}, "spec": {
                "containers": [{
                    "name": "c", "image": "nginx", "ports": [{"containerPort": 80}],
                    "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                    "livenessProbe": {"httpGet": {"port": 80}},
                }],
                "volumes": [{"name": "v", "configMap": {"name": "q"}}, {"name": "e", "emptyDir": {}}],
            }},
        },
    })
}

pub fn built_ins() -> Vec<Step> {
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    // The real plane's controllers write to Deployments meanwhile.
    let mut no_containers = deployment("bad", json!({"a": "b"}));
    no_containers["spec"]["template"]["spec"]["containers"] = Value::Null;
    let autoscaler = |name: &str, version: &str, spec: Value| {
        step(
            Whole,
            name,
            "POST",
            &format!(
                "/apis/autoscaling/{version}/namespaces/contract/horizontalpodautoscalers?dryRun=All"
            ),
            JSON,
            json!({
                "apiVersion": format!("autoscaling/{version}"), "kind": "HorizontalPodAutoscaler",
                "metadata": {"name": "a"}, "spec": spec,
            }),
        )
    };
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    vec![
        autoscaler(
            "autoscaler of v2",
            "v2",
            json!({"maxReplicas": 2, "scaleTargetRef": target}),
        ),
        autoscaler(
            "autoscaler of v1",
            "v1",
            json!({"maxReplicas": 2, "scaleTargetRef": target}),
        ),
        autoscaler(
            "autoscaler of v1 with a target",
            "v1",
            json!({"minReplicas": 2, "maxReplicas": 3, "scaleTargetRef": target, "targetCPUUtilizationPercentage": 70}),
        ),
        autoscaler(
            "autoscaler of v1 with a field too many",
            "v1",
            json!({"maxReplicas": 2, "scaleTargetRef": target, "foo": 1}),
        ),
        step(
            Whole,
            "deployment",
            "POST",
            DEPLOYMENTS,
            JSON,
            deployment("web", json!({"a": "b"})),
        ),
        step(
            Whole,
            "selector misses",
            "POST",
            DEPLOYMENTS,
            JSON,
            deployment("bad", json!({"z": "z"})),
        ),
        step(
            Whole,
            "no containers",
            "POST",
            DEPLOYMENTS,
            JSON,
            no_containers,
        ),
        step(
            Reason,
            "strategic",
            "PATCH",
            WEB,
            STRATEGIC,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "d", "image": "x:1"}]}}}}),
        ),
        step(
            Reason,
            "status",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/web/status",
            MERGE,
            json!({"status": {"replicas": 1, "readyReplicas": 1}, "spec": {"replicas": 9}}),
        ),
        step(
            Whole,
            "immutable selector",
            "PATCH",
            WEB,
            MERGE,
            json!({"spec": {"selector": {"matchLabels": {"q": "r"}}}}),
        ),
        step(
            Reason,
            "read scale",
            "GET",
            "/apis/apps/v1/namespaces/contract/deployments/web/scale",
            JSON,
            Value::Null,
        ),
        step(
            Reason,
            "write scale",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/web/scale",
            MERGE,
            json!({"spec": {"replicas": 3}}),
        ),
        step(
            Whole,
            "apply deployment",
            "PATCH",
            "/apis/apps/v1/namespaces/contract/deployments/ssa?fieldManager=m",
            APPLY,
            deployment("ssa", json!({"a": "b"})),
        ),
        step(
            Whole,
            "service",
            "POST",
            SERVICES,
            JSON,
            service(
                "svc",
                json!({"ports": [{"port": 80}], "selector": {"a": "b"}}),
            ),
        ),
        step(
            Whole,
            "external name",
            "POST",
            SERVICES,
            JSON,
            service(
                "ext",
                json!({"type": "ExternalName", "externalName": "x.io"}),
            ),
        ),
        step(
            Whole,
            "no ports",
            "POST",
            SERVICES,
            JSON,
            service("np", json!({})),
        ),
        step(
            Whole,
            "strategic service",
            "PATCH",
            "/api/v1/namespaces/contract/services/svc",
            STRATEGIC,
            json!({"spec": {"ports": [{"name": "new", "port": 82}, {"name": "old", "port": 80}]}}),
        ),
        step(
            Whole,
            "replace service",
            "PUT",
            "/api/v1/namespaces/contract/services/svc",
            JSON,
            service(
                "svc",
                json!({"ports": [{"port": 81}], "selector": {"a": "b"}}),
            ),
        ),
        step(
            Whole,
            "secret",
            "POST",
            SECRETS,
            JSON,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "b"}}),
        ),
        step(
            Whole,
            "secret type",
            "PATCH",
            "/api/v1/namespaces/contract/secrets/s",
            MERGE,
            json!({"type": "x"}),
        ),
        step(
            Whole,
            "lease",
            "POST",
            "/apis/coordination.k8s.io/v1/namespaces/contract/leases",
            JSON,
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "x", "renewTime": "2024-01-01T00:00:00.123456Z"}}),
        ),
        step(
            Whole,
            "role",
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/roles",
            JSON,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}),
        ),
        step(
            Whole,
            "role binding",
            "POST",
            "/apis/rbac.authorization.k8s.io/v1/namespaces/contract/rolebindings",
            JSON,
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "r"}, "subjects": [{"kind": "User", "name": "x"}], "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}}),
        ),
        step(
            Whole,
            "ingress",
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/contract/ingresses",
            JSON,
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"}, "spec": {"rules": [{"host": "a.b", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]}}),
        ),
        step(
            Whole,
            "network policy",
            "POST",
            "/apis/networking.k8s.io/v1/namespaces/contract/networkpolicies",
            JSON,
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "np"}, "spec": {"podSelector": {}}}),
        ),
        step(
            Whole,
            "stateful set",
            "POST",
            "/apis/apps/v1/namespaces/contract/statefulsets",
            JSON,
            json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "st"}, "spec": {"serviceName": "x", "selector": {"matchLabels": {"a": "b"}},
                "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x:1"}]}},
                "volumeClaimTemplates": [{"metadata": {"name": "d"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]}}),
        ),
        step(
            Whole,
            "protected namespace",
            "DELETE",
            "/api/v1/namespaces/kube-system",
            JSON,
            Value::Null,
        ),
    ]
}
