//! CustomResourceDefinitions: which are refused, what their schemas refuse,
//! default and prune, their subresources, versions, columns and end.

use super::step::{APPLY, CRDS, JSON, MERGE, Step, Whole, delete, get, merge, post, put, step};
use serde_json::{Value, json};

const GIZMOS: &str = "/apis/more.example.com/v1/namespaces/contract/gizmos";

fn gizmo_definition() -> Value {
    let text = json!({"type": "string"});
    let spec = json!({"type": "object", "properties": {
        "replicas": {"type": "integer", "default": 1, "maximum": 10, "exclusiveMaximum": true},
        "text": {"type": "string", "minLength": 2, "maxLength": 4},
        "ratio": {"type": "number", "multipleOf": 0.5},
        "when": {"type": "string", "format": "date-time"},
        "address": {"type": "string", "format": "ipv4"},
        "port": {"x-kubernetes-int-or-string": true},
        "count": {"type": "integer", "format": "int32"},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": text},
        "map": {"type": "object", "maxProperties": 1, "additionalProperties": {"type": "integer"}},
        "parts": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name", "side"],
            "items": {"type": "object", "required": ["name"], "properties": {
                "name": text, "side": {"type": "string", "default": "left"}, "size": {"type": "integer", "default": 3}}}},
        "nest": {"type": "object", "default": {}, "properties": {"deep": {"type": "object", "default": {"a": "b"},
            "properties": {"a": text, "c": {"type": "string", "default": "d"}}}}},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true,
            "properties": {"known": {"type": "object", "properties": {"a": text}}}},
        "template": {"type": "object", "x-kubernetes-embedded-resource": true, "x-kubernetes-preserve-unknown-fields": true},
        "either": {"type": "object", "properties": {"a": text, "b": text},
            "oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "any": {"type": "object", "properties": {"a": text, "b": text},
            "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        "not": {"type": "string", "not": {"enum": ["bad"]}},
        "flag": {"type": "boolean"},
        "none": {"type": "string", "nullable": true},
    }});
    let status = json!({"type": "object", "properties": {"replicas": {"type": "integer"}, "selector": text, "phase": text}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "gizmos.more.example.com"},
        "spec": {
            "group": "more.example.com", "scope": "Namespaced",
            "names": {"kind": "Gizmo", "plural": "gizmos", "categories": ["all"]},
            "versions": [
                {"name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.replicas",
                        "statusReplicasPath": ".status.replicas", "labelSelectorPath": ".status.selector"}},
                    "additionalPrinterColumns": [
                        {"name": "Replicas", "type": "integer", "jsonPath": ".spec.replicas", "description": "How many."},
                        {"name": "Parts", "type": "string", "jsonPath": ".spec.parts[*].name", "priority": 1},
                        {"name": "When", "type": "date", "jsonPath": ".spec.when"},
                        {"name": "Flag", "type": "boolean", "jsonPath": ".spec.flag"},
                        {"name": "Ratio", "type": "number", "jsonPath": ".spec.ratio"},
                        {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                    ],
                    "selectableFields": [{"jsonPath": ".spec.text"}],
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec, "status": status}}}},
                {"name": "v1beta1", "served": true, "storage": false, "deprecated": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}},
                {"name": "v0", "served": false, "storage": false,
                    "schema": {"openAPIV3Schema": {"type": "object"}}},
            ],
        },
    })
}

fn gizmo(name: &str, spec: Value) -> Value {
    json!({"apiVersion": "more.example.com/v1", "kind": "Gizmo", "metadata": {"name": name}, "spec": spec})
}

/// A definition of one version with this schema.
fn plain(kind: &str, schema: &Value) -> Value {
    let plural = format!("{}s", kind.to_lowercase());
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.more.example.com")},
        "spec": {"group": "more.example.com", "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}}]},
    })
}

pub fn definitions() -> Vec<Step> {
    let mut steps = refused();
    steps.push(post("gizmos", CRDS, gizmo_definition()));
    steps.push(get("gizmos are served", GIZMOS).until(200));
    steps.push(get(
        "gizmos stand",
        &format!("{CRDS}/gizmos.more.example.com"),
    ));
    steps.extend(values());
    steps.extend(subresources());
    steps.extend(forms());
    steps.extend(rules());
    steps.extend(changes());
    steps
}

fn refused() -> Vec<Step> {
    let object = json!({"type": "object"});
    let with = |name: &str, change: &dyn Fn(&mut Value)| {
        let mut crd = plain("Bad", &object);
        change(&mut crd);
        post(name, CRDS, crd)
    };
    let schema = |name: &str, schema: Value| post(name, CRDS, plain("Bad", &schema));
    let field = |name: &str, field: Value| {
        post(
            name,
            CRDS,
            plain(
                "Bad",
                &json!({"type": "object", "properties": {"spec": field}}),
            ),
        )
    };
    // Accepted here: without leaving it behind.
    let rule = |name: &str, field: Value| {
        let schema = json!({"type": "object", "properties": {"spec": field}});
        post(name, &format!("{CRDS}?dryRun=All"), plain("Bad", &schema))
    };
    vec![
        with("definition of another name", &|crd| {
            crd["metadata"]["name"] = json!("x.more.example.com")
        }),
        with("definition without group", &|crd| {
            crd["spec"]["group"] = Value::Null
        }),
        with("definition without scope", &|crd| {
            crd["spec"]["scope"] = Value::Null
        }),
        with("definition of an unknown scope", &|crd| {
            crd["spec"]["scope"] = json!("Foo")
        }),
        with("definition without kind", &|crd| {
            crd["spec"]["names"]["kind"] = Value::Null
        }),
        with("definition of an upper plural", &|crd| {
            crd["spec"]["names"]["plural"] = json!("Bads")
        }),
        with("definition without versions", &|crd| {
            crd["spec"]["versions"] = json!([])
        }),
        with("definition without storage", &|crd| {
            crd["spec"]["versions"][0]["storage"] = json!(false)
        }),
        with("definition of two storages", &|crd| {
            let mut other = crd["spec"]["versions"][0].clone();
            other["name"] = json!("v2");
            crd["spec"]["versions"].as_array_mut().unwrap().push(other);
        }),
        with("definition of a version twice", &|crd| {
            let mut other = crd["spec"]["versions"][0].clone();
            other["storage"] = json!(false);
            crd["spec"]["versions"].as_array_mut().unwrap().push(other);
        }),
        with("definition of a bad version", &|crd| {
            crd["spec"]["versions"][0]["name"] = json!("V_1")
        }),
        with("definition without schema", &|crd| {
            crd["spec"]["versions"][0]["schema"] = Value::Null
        }),
        with("definition of a preserved root", &|crd| {
            crd["spec"]["preserveUnknownFields"] = json!(true)
        }),
        with("definition of a protected group", &|crd| {
            crd["spec"]["group"] = json!("foo.k8s.io");
            crd["metadata"]["name"] = json!("bads.foo.k8s.io");
        }),
        with("column without path", &|crd| {
            crd["spec"]["versions"][0]["additionalPrinterColumns"] =
                json!([{"name": "A", "type": "string"}]);
        }),
        with("column of an unknown type", &|crd| {
            crd["spec"]["versions"][0]["additionalPrinterColumns"] =
                json!([{"name": "A", "type": "foo", "jsonPath": ".a"}]);
        }),
        with("scale without a path", &|crd| {
            crd["spec"]["versions"][0]["subresources"] =
                json!({"scale": {"specReplicasPath": "a", "statusReplicasPath": ".status.a"}});
        }),
        schema("root of no object", json!({"type": "string"})),
        schema("root without type", json!({})),
        field("field without type", json!({})),
        field("field of an unknown type", json!({"type": "foo"})),
        field("array without items", json!({"type": "array"})),
        field(
            "properties and additional ones",
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}}),
        ),
        field(
            "a default that does not fit",
            json!({"type": "integer", "default": "x"}),
        ),
        field(
            "a default to be pruned",
            json!({"type": "object", "properties": {}, "default": {"a": "b"}}),
        ),
        field(
            "a pattern that is none",
            json!({"type": "string", "pattern": "("}),
        ),
        field(
            "keys without required",
            json!({"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["n"],
            "items": {"type": "object", "properties": {"n": {"type": "string"}}}}),
        ),
        field(
            "keys without map",
            json!({"type": "array", "x-kubernetes-list-map-keys": ["n"], "items": {"type": "string"}}),
        ),
        field(
            "map without keys",
            json!({"type": "array", "x-kubernetes-list-type": "map", "items": {"type": "object"}}),
        ),
        field(
            "unknown list type",
            json!({"type": "array", "x-kubernetes-list-type": "foo", "items": {"type": "string"}}),
        ),
        field(
            "set of maps",
            json!({"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "object"}}),
        ),
        field("reference", json!({"$ref": "#/a"})),
        field(
            "unique items",
            json!({"type": "array", "uniqueItems": true, "items": {"type": "string"}}),
        ),
        field(
            "type below anyOf",
            json!({"type": "string", "anyOf": [{"type": "string"}]}),
        ),
        rule(
            "a rule that is none",
            json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self >"}]}),
        ),
        rule(
            "a rule of another type",
            json!({"type": "integer", "x-kubernetes-validations": [{"rule": "self"}]}),
        ),
    ]
}

fn values() -> Vec<Step> {
    let refused = |field: &str, value: Value| {
        post(
            &format!("gizmo of {field} {value}"),
            GIZMOS,
            gizmo("bad", json!({field: value})),
        )
    };
    vec![
        post(
            "gizmo",
            GIZMOS,
            gizmo(
                "g",
                json!({"text": "abc", "parts": [{"name": "x", "extra": 1}], "port": "http", "when": "2024-01-01T00:00:00Z", "flag": true, "ratio": 1.5,
            "free": {"a": {"b": 1}, "known": {"a": "b", "c": "d"}}, "unknown": {"a": 1}, "nest": {},
            "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "foo": 1}, "spec": {"a": 1}}}),
            ),
        ),
        post("gizmo of nothing", GIZMOS, gizmo("h", json!({}))),
        post(
            "gizmo without spec",
            GIZMOS,
            json!({"apiVersion": "more.example.com/v1", "kind": "Gizmo", "metadata": {"name": "i"}}),
        ),
        post(
            "gizmo of null",
            GIZMOS,
            gizmo(
                "j",
                json!({"none": null, "text": null, "replicas": null, "list": null}),
            ),
        ),
        refused("replicas", json!(10)),
        refused("text", json!("a")),
        refused("text", json!("abcde")),
        refused("ratio", json!(0.3)),
        refused("when", json!("yesterday")),
        refused("address", json!("1.2.3")),
        refused("port", json!(true)),
        refused("port", json!(1.5)),
        refused("count", json!(3_000_000_000_i64)),
        refused("count", json!(1.5)),
        refused("list", json!([])),
        refused("list", json!(["a", "b", "c"])),
        refused("list", json!("a")),
        refused("list", json!([1, null])),
        refused("map", json!({"a": 1, "b": 2})),
        refused("map", json!({"a": "b"})),
        refused(
            "parts",
            json!([{"name": "x"}, {"name": "x", "side": "left"}]),
        ),
        refused("parts", json!([{"side": "x"}])),
        refused("template", json!({"metadata": {}})),
        refused(
            "template",
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"a": 1}}}),
        ),
        refused("either", json!({})),
        refused("either", json!({"a": "1", "b": "2"})),
        refused("any", json!({})),
        refused("not", json!("bad")),
        refused("flag", json!("yes")),
        post(
            "several faults",
            GIZMOS,
            gizmo("bad", json!({"text": "a", "flag": 1, "replicas": 20})),
        ),
        post("gizmo of a bad name", GIZMOS, gizmo("A_", json!({}))),
        post(
            "gizmo of another kind",
            GIZMOS,
            json!({"apiVersion": "more.example.com/v1", "kind": "Foo", "metadata": {"name": "x"}}),
        ),
        post(
            "gizmo of another version",
            GIZMOS,
            json!({"apiVersion": "more.example.com/v1beta1", "kind": "Gizmo", "metadata": {"name": "x"}}),
        ),
        post(
            "gizmo without type",
            GIZMOS,
            json!({"metadata": {"name": "x"}}),
        ),
        post(
            "gizmo, strictly",
            &format!("{GIZMOS}?fieldValidation=Strict"),
            gizmo(
                "x",
                json!({"unknown": 1, "free": {"known": {"c": 1}}, "parts": [{"name": "a", "foo": 1}], "template": {"apiVersion": "v1", "kind": "Pod", "metadata": {"foo": 1}}}),
            ),
        ),
        merge(
            "gizmo of a wrong patch",
            &format!("{GIZMOS}/g"),
            json!({"spec": {"text": 5}}),
        ),
        merge("gizmo unchanged", &format!("{GIZMOS}/g"), json!({})),
        merge(
            "gizmo of a list of numbers",
            &format!("{GIZMOS}/g"),
            json!({"spec": {"list": [1]}}),
        ),
        step(
            Whole,
            "apply to the gizmo",
            "PATCH",
            &format!("{GIZMOS}/g?fieldManager=m"),
            APPLY,
            gizmo(
                "g",
                json!({"parts": [{"name": "y"}, {"name": "y", "side": "right"}]}),
            ),
        ),
        step(
            Whole,
            "apply twice the same",
            "PATCH",
            &format!("{GIZMOS}/g?fieldManager=m"),
            APPLY,
            gizmo(
                "g",
                json!({"parts": [{"name": "y"}, {"name": "y", "side": "left"}]}),
            ),
        ),
        step(
            Whole,
            "apply without a key",
            "PATCH",
            &format!("{GIZMOS}/g?fieldManager=m"),
            APPLY,
            gizmo("g", json!({"parts": [{"side": "left"}]})),
        ),
        step(
            Whole,
            "apply an unknown field",
            "PATCH",
            &format!("{GIZMOS}/g?fieldManager=m"),
            APPLY,
            gizmo("g", json!({"foo": 1})),
        ),
    ]
}

fn subresources() -> Vec<Step> {
    let g = format!("{GIZMOS}/g");
    let scale = format!("{g}/scale");
    let status = format!("{g}/status");
    let web = "/apis/apps/v1/namespaces/contract/deployments/ssa/scale";
    let of = |kind: &str, replicas: Value| json!({"apiVersion": "autoscaling/v1", "kind": kind, "metadata": {"name": "g", "namespace": "contract"}, "spec": {"replicas": replicas}});
    vec![
        get("scale of a gizmo", &scale),
        put("scaled", &scale, of("Scale", json!(3))),
        merge(
            "scaled by a patch",
            &scale,
            json!({"spec": {"replicas": 4}}),
        ),
        merge("scaled below", &scale, json!({"spec": {"replicas": -1}})),
        merge("scaled too far", &scale, json!({"spec": {"replicas": 11}})),
        put("scale of another kind", &scale, of("Foo", json!(3))),
        step(
            Whole,
            "scale by apply",
            "PATCH",
            &format!("{scale}?fieldManager=s&force=true&dryRun=All"),
            APPLY,
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "g"}, "spec": {"replicas": 5}}),
        ),
        get("scaled gizmo", &g),
        merge(
            "status of a gizmo",
            &status,
            json!({"status": {"replicas": 2, "selector": "a=b", "foo": 1}}),
        ),
        get("scale with a status", &scale),
        merge(
            "wrong status",
            &status,
            json!({"status": {"replicas": "x"}}),
        ),
        merge(
            "status by the main path",
            &g,
            json!({"status": {"replicas": 9}}),
        ),
        get("status", &status),
        step(
            Whole,
            "delete a status",
            "DELETE",
            &status,
            JSON,
            Value::Null,
        ),
        post("post a status", &status, json!({})),
        get("scale of nothing", &format!("{GIZMOS}/zz/scale")),
        merge(
            "scale of nothing, written",
            &format!("{GIZMOS}/zz/scale"),
            json!({"spec": {"replicas": 1}}),
        ),
        get(
            "scale without one",
            "/api/v1/namespaces/contract/configmaps/a/scale",
        ),
        merge(
            "deployment scaled below",
            web,
            json!({"spec": {"replicas": -1}}),
        ),
        put(
            "deployment scaled by another name",
            web,
            json!({"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "x"}, "spec": {"replicas": 1}}),
        ),
    ]
}

fn forms() -> Vec<Step> {
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    vec![
        get("gizmos in a table", GIZMOS).accept(table),
        get(
            "gizmo in a table",
            &format!("{GIZMOS}/g?includeObject=None"),
        )
        .accept(table),
        get(
            "gizmos by text",
            &format!("{GIZMOS}?fieldSelector=spec.text%3Dabc"),
        ),
        get(
            "gizmos by flag",
            &format!("{GIZMOS}?fieldSelector=spec.flag%3Dtrue"),
        ),
        get(
            "gizmos of another version",
            "/apis/more.example.com/v1beta1/namespaces/contract/gizmos?fieldSelector=metadata.name%3Dg",
        ),
        get(
            "gizmos of no served version",
            "/apis/more.example.com/v0/namespaces/contract/gizmos",
        ),
        get(
            "gizmos of the other version in a table",
            "/apis/more.example.com/v1beta1/namespaces/contract/gizmos",
        )
        .accept(table),
        get(
            "scale of the other version",
            "/apis/more.example.com/v1beta1/namespaces/contract/gizmos/g/scale",
        ),
        get("all gizmos", "/apis/more.example.com/v1/gizmos?limit=1"),
        get("group of gizmos", "/apis/more.example.com"),
        get("resources of gizmos", "/apis/more.example.com/v1"),
        get(
            "resources of older gizmos",
            "/apis/more.example.com/v1beta1",
        ),
        get("schema of gizmos", "/openapi/v3/apis/more.example.com/v1")
            .at("/components/schemas/com.example.more.v1.Gizmo"),
    ]
}

/// Rules in CEL (`x-kubernetes-validations`).
fn rules() -> Vec<Step> {
    const RULED: &str = "/apis/more.example.com/v1/namespaces/contract/ruleds";
    let schema = json!({"type": "object", "properties": {"spec": {"type": "object",
        "properties": {"low": {"type": "integer"}, "high": {"type": "integer"},
            "fixed": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "may not change"}]}},
        "x-kubernetes-validations": [{"rule": "self.low <= self.high", "message": "low is above high"}]}}});
    let ruled = |low: i64, fixed: &str| json!({"apiVersion": "more.example.com/v1", "kind": "Ruled", "metadata": {"name": "r"}, "spec": {"low": low, "high": 5, "fixed": fixed}});
    vec![
        post("rules", CRDS, plain("Ruled", &schema)),
        get("rules are served", RULED).until(200),
        post(
            "against a rule",
            &format!("{RULED}?dryRun=All"),
            ruled(9, "a"),
        ),
        post("by the rules", RULED, ruled(1, "a")),
        merge(
            "against a rule of changes",
            &format!("{RULED}/r?dryRun=All"),
            json!({"spec": {"fixed": "b"}}),
        ),
    ]
}

fn changes() -> Vec<Step> {
    let name = format!("{CRDS}/gizmos.more.example.com");
    vec![
        step(
            Whole,
            "definition of another scope",
            "PATCH",
            &name,
            MERGE,
            json!({"spec": {"scope": "Cluster"}}),
        ),
        step(
            Whole,
            "definition of another group",
            "PATCH",
            &name,
            MERGE,
            json!({"spec": {"group": "x.io"}}),
        ),
        step(
            Whole,
            "definition of another kind",
            "PATCH",
            &name,
            MERGE,
            json!({"spec": {"names": {"kind": "Gizmo2"}}}),
        ),
        step(
            Whole,
            "definition without its stored version",
            "PATCH",
            &name,
            super::step::PATCH,
            json!([{"op": "remove", "path": "/spec/versions/0"}, {"op": "replace", "path": "/spec/versions/0/storage", "value": true}]),
        ),
        step(
            Whole,
            "definition with a short name",
            "PATCH",
            &name,
            MERGE,
            json!({"spec": {"names": {"shortNames": ["gz"]}}}),
        ),
        post("same kind, other plural", CRDS, {
            let mut crd = plain("Other", &json!({"type": "object"}));
            crd["spec"]["names"]["kind"] = json!("Gizmo");
            crd
        }),
        merge(
            "gizmo held",
            &format!("{GIZMOS}/g"),
            json!({"metadata": {"finalizers": ["contract.io/hold"]}}),
        ),
        delete("definition goes", &name, Value::Null),
        // The real plane's objects begin to end a moment later.
        get("gizmo is ending", &format!("{GIZMOS}/g")).at("/metadata/name"),
        post("gizmo too late", GIZMOS, gizmo("late", json!({}))),
        merge(
            "gizmo let go",
            &format!("{GIZMOS}/g"),
            json!({"metadata": {"finalizers": null}}),
        )
        .at("/metadata/name"),
        get("definition is gone", &name).until(404),
        get("no gizmos", GIZMOS).until(404),
    ]
}
