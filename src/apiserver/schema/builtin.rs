//! Schemas of built-in kinds: the types of `k8s-openapi`, completed by [`merge_keys`].

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use k8s_openapi::api::{
    admissionregistration::v1 as admissionregistration, apps::v1 as apps,
    autoscaling::v1 as autoscaling, autoscaling::v2 as autoscaling_v2, batch::v1 as batch,
    certificates::v1 as certificates, coordination::v1 as coordination, core::v1 as corev1,
    discovery::v1 as discovery, events::v1 as events, networking::v1 as networking,
    policy::v1 as policy, rbac::v1 as rbac, scheduling::v1 as scheduling, storage::v1 as storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as apiextensions;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1 as apiregistration;
use schemars::JsonSchema;
use schemars::generate::{SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

use super::parse::Reader;
use super::{Rules, Schema, SchemaError, Type};
use merge_keys::{ALWAYS_PRESENT, ATOMIC_MAPS, DEFAULTS, MERGES, Patch};

mod merge_keys;

/// Prefixes that the table leaves out of definition names.
const PREFIXES: [&str; 4] = [
    "io.k8s.api.",
    "io.k8s.apimachinery.pkg.apis.",
    "io.k8s.apiextensions-apiserver.pkg.apis.",
    "io.k8s.kube-aggregator.pkg.apis.",
];

type Generate = fn() -> Value;

struct Kind {
    group: &'static str,
    version: &'static str,
    kind: &'static str,
    generate: Generate,
}

macro_rules! kinds {
    ($($group:literal $version:literal $path:ident { $($kind:ident)* })*) => {
        &[$($(Kind {
            group: $group,
            version: $version,
            kind: stringify!($kind),
            generate: generate::<$path::$kind>,
        },)*)*]
    };
}

#[rustfmt::skip]
const KINDS: &[Kind] = kinds! {
    "" "v1" corev1 {
        ConfigMap Endpoints Event LimitRange Namespace Node PersistentVolume PersistentVolumeClaim
        Pod PodTemplate ReplicationController ResourceQuota Secret Service ServiceAccount
    }
    "admissionregistration.k8s.io" "v1" admissionregistration {
        MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding
        ValidatingWebhookConfiguration
    }
    "apiextensions.k8s.io" "v1" apiextensions { CustomResourceDefinition }
    "apiregistration.k8s.io" "v1" apiregistration { APIService }
    "apps" "v1" apps { ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet }
    "autoscaling" "v1" autoscaling { HorizontalPodAutoscaler }
    "autoscaling" "v2" autoscaling_v2 { HorizontalPodAutoscaler }
    "batch" "v1" batch { CronJob Job }
    "certificates.k8s.io" "v1" certificates { CertificateSigningRequest }
    "coordination.k8s.io" "v1" coordination { Lease }
    "discovery.k8s.io" "v1" discovery { EndpointSlice }
    "events.k8s.io" "v1" events { Event }
    "networking.k8s.io" "v1" networking { Ingress IngressClass NetworkPolicy }
    "policy" "v1" policy { PodDisruptionBudget }
    "rbac.authorization.k8s.io" "v1" rbac {
        ClusterRole ClusterRoleBinding Role RoleBinding
    }
    "scheduling.k8s.io" "v1" scheduling { PriorityClass }
    "storage.k8s.io" "v1" storage { StorageClass }
};

fn generate<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.meta_schema = None;
    SchemaGenerator::new(settings)
        .into_root_schema_for::<T>()
        .to_value()
}

/// Schemas by definition name, shared by all kinds.
static DEFINITIONS: LazyLock<Mutex<BTreeMap<String, Arc<Schema>>>> = LazyLock::new(Mutex::default);

/// Schemas by position in [`KINDS`].
static ROOTS: LazyLock<Mutex<BTreeMap<usize, Option<Arc<Schema>>>>> = LazyLock::new(Mutex::default);

/// See [`Schema::builtin`].
pub(super) fn lookup(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    let at = KINDS
        .iter()
        .position(|known| known.group == group && known.version == version && known.kind == kind)?;
    let known = &KINDS[at];
    let mut roots = ROOTS.lock().unwrap_or_else(PoisonError::into_inner);
    roots
        .entry(at)
        .or_insert_with(|| {
            let mut schema = build(&(known.generate)()).ok()?;
            schema.docs.insert(
                "x-kubernetes-group-version-kind".to_owned(),
                json!([{ "group": group, "kind": kind, "version": version }]),
            );
            Some(Arc::new(schema))
        })
        .clone()
}

/// The schema of `metadata`.
pub(super) fn object_meta() -> Arc<Schema> {
    static OBJECT: LazyLock<Arc<Schema>> = LazyLock::new(|| {
        let built = build(&generate::<meta::ObjectMeta>());
        Arc::new(built.unwrap_or_else(|_| Schema {
            preserve_unknown: true,
            ..Schema::default()
        }))
    });
    Arc::clone(&OBJECT)
}

fn build(generated: &Value) -> Result<Schema, SchemaError> {
    let definitions = generated.get("$defs").and_then(Value::as_object);
    let empty = Map::new();
    let mut cache = DEFINITIONS.lock().unwrap_or_else(PoisonError::into_inner);
    let resolver = Resolver {
        definitions: definitions.unwrap_or(&empty),
        known: RefCell::new(std::mem::take(&mut *cache)),
    };
    let title = generated
        .get("title")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let built = resolver.read(title, generated, 0);
    *cache = resolver.known.into_inner();
    built
}

struct Resolver<'a> {
    definitions: &'a Map<String, Value>,
    known: RefCell<BTreeMap<String, Arc<Schema>>>,
}

impl Resolver<'_> {
    fn resolve(&self, name: &str, depth: usize) -> Result<Arc<Schema>, SchemaError> {
        if let Some(schema) = self.known.borrow().get(name) {
            return Ok(Arc::clone(schema));
        }
        let schema = match (special(name), self.definitions.get(name)) {
            (Some(schema), _) => schema,
            (None, Some(value)) => self.read(name, value, depth)?,
            (None, None) => Schema {
                preserve_unknown: true,
                ..Schema::default()
            },
        };
        let schema = Arc::new(schema);
        self.known
            .borrow_mut()
            .insert(name.to_owned(), Arc::clone(&schema));
        Ok(schema)
    }

    fn read(&self, name: &str, value: &Value, depth: usize) -> Result<Schema, SchemaError> {
        let follow = |name: &str, depth: usize| self.resolve(name, depth);
        let mut schema = Reader {
            resolve: Some(&follow),
            go_type: true,
        }
        .node(value, name, depth)?;
        complete(name, &mut schema);
        schema.definition = Some(name.into());
        Ok(schema)
    }
}

/// Types that Go decodes by code, so that their generated schema says too much or too little.
fn special(name: &str) -> Option<Schema> {
    let short = name.rsplit('.').next().unwrap_or_default();
    let base = Schema {
        definition: Some(name.into()),
        ..Schema::default()
    };
    let text = |kind| {
        Arc::new(Schema {
            kind: Some(kind),
            ..Schema::default()
        })
    };
    match short {
        "Quantity" => Some(Schema {
            rules: Some(Box::new(Rules {
                one_of: vec![text(Type::String), text(Type::Number)],
                ..Rules::default()
            })),
            ..base
        }),
        "IntOrString" => Some(Schema {
            int_or_string: true,
            ..base
        }),
        "RawExtension" => Some(Schema {
            kind: Some(Type::Object),
            preserve_unknown: true,
            map_atomic: true,
            ..base
        }),
        "FieldsV1" => Some(Schema {
            kind: Some(Type::Object),
            preserve_unknown: true,
            ..base
        }),
        // Contains itself; the server walks it no further than this.
        "JSON"
        | "JSONSchemaProps"
        | "JSONSchemaPropsOrArray"
        | "JSONSchemaPropsOrBool"
        | "JSONSchemaPropsOrStringArray" => Some(Schema {
            preserve_unknown: true,
            ..base
        }),
        _ => None,
    }
}

/// Adds merge keys and defaults, and drops requirements that Go's zero values satisfy.
fn complete(name: &str, schema: &mut Schema) {
    let short = PREFIXES
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
        .unwrap_or(name);
    for row in MERGES.iter().filter(|row| row.definition == short) {
        change(schema, row.field, |field| {
            field.list_type = row.list.list_type();
            (
                field.patch_merge,
                field.patch_merge_key,
                field.patch_retain_keys,
            ) = match row.patch {
                Patch::Replace => (false, None, false),
                Patch::Merge => (true, None, false),
                Patch::By(key) => (true, Some(key.to_owned()), false),
                Patch::RetainBy(key) => (true, Some(key.to_owned()), true),
                Patch::Retain => (false, None, true),
            };
        });
    }
    for (_, field) in ATOMIC_MAPS
        .iter()
        .filter(|(definition, _)| *definition == short)
    {
        if field.is_empty() {
            schema.map_atomic = true;
        } else {
            change(schema, field, |field| field.map_atomic = true);
        }
    }
    for (_, field, value) in DEFAULTS
        .iter()
        .filter(|(definition, ..)| *definition == short)
    {
        change(schema, field, |field| field.default = Some((*value).into()));
    }
    let values = ALWAYS_PRESENT
        .iter()
        .filter(|(definition, _)| *definition == short);
    // Go writes an empty required list or map as `null`, not as nothing.
    let required = schema.required.clone();
    let nulls = required.iter().map(String::as_str);
    let structs = values
        .map(|(_, field)| *field)
        .chain(["metadata", "spec", "status"]);
    for name in structs.chain(nulls) {
        change(schema, name, |field| {
            field.always_present = matches!(field.kind, Some(Type::Object | Type::Array));
        });
    }
    let observed = short.ends_with("Status") || short.ends_with("Condition");
    let properties = &schema.properties;
    schema.required.retain(|field| {
        let list = properties
            .get(field)
            .is_some_and(|field| field.kind == Some(Type::Array));
        !observed && field != "metadata" && !list
    });
}

fn change(schema: &mut Schema, field: &str, with: impl FnOnce(&mut Schema)) {
    if let Some(known) = schema.properties.get_mut(field) {
        with(Arc::make_mut(known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_schema() {
        for kind in KINDS {
            let schema = lookup(kind.group, kind.version, kind.kind);
            let schema = schema.unwrap_or_else(|| panic!("{} {}", kind.group, kind.kind));
            assert!(schema.properties.contains_key("metadata"), "{}", kind.kind);
            assert!(
                schema.properties["metadata"]
                    .properties
                    .contains_key("labels")
            );
        }
    }

    /// What the real server stores and returns is known and valid.
    #[test]
    fn real_objects_fit_their_schema() {
        let recording = include_str!("../../../tests/fixtures/ssa/histories.json");
        let recording: Value = serde_json::from_str(recording).expect("recording");
        let mut checked = 0;
        for case in recording["cases"].as_array().expect("cases") {
            let text = |name: &str| case[name].as_str().unwrap_or_default();
            let version = text("version").rsplit('/').next().unwrap_or_default();
            let Some(schema) = lookup(text("group"), version, text("kind")) else {
                continue;
            };
            for step in case["steps"].as_array().expect("steps") {
                if step["status"].as_u64().is_none_or(|status| status >= 300) {
                    continue;
                }
                let mut object = step["response"].clone();
                assert_eq!(
                    super::super::prune(&schema, &mut object),
                    Vec::<String>::new()
                );
                assert_eq!(super::super::validate(&schema, &object), Vec::new());
                checked += 1;
            }
        }
        assert!(checked > 50, "only {checked} objects");
    }

    /// `tests/fixtures/ssa/list-keys.json` is what kube-apiserver 1.36 says of these types.
    #[test]
    fn merge_keys_are_those_of_the_real_server() {
        let fixture = include_str!("../../../tests/fixtures/ssa/list-keys.json");
        let real: BTreeMap<String, BTreeMap<String, Value>> =
            serde_json::from_str(fixture).expect("fixture");
        for kind in KINDS {
            lookup(kind.group, kind.version, kind.kind);
        }
        object_meta();
        let known = DEFINITIONS.lock().expect("lock").clone();
        let roots = ROOTS.lock().expect("lock").clone();
        let all = known
            .into_values()
            .chain(roots.into_values().flatten())
            .chain([object_meta()]);
        let mut checked = 0;
        for schema in all {
            let name = schema.definition.clone().unwrap_or_default();
            let short = PREFIXES
                .iter()
                .find_map(|p| name.strip_prefix(p))
                .unwrap_or(&name);
            if special(&name).is_some() {
                continue;
            }
            let empty = BTreeMap::new();
            let real = real.get(short).unwrap_or(&empty);
            assert_eq!(schema.map_atomic, real.contains_key(""), "{short}");
            for (field, node) in &schema.properties {
                let mut ours = super::super::openapi::merge_keywords(node);
                if let Some(node) = &node.definition
                    && known_atomic(node)
                {
                    ours.remove("x-kubernetes-map-type");
                }
                let mut theirs = real
                    .get(field)
                    .and_then(Value::as_object)
                    .cloned()
                    .unwrap_or_default();
                if theirs.get("x-kubernetes-list-type") == Some(&"atomic".into()) {
                    theirs.remove("x-kubernetes-list-type");
                }
                theirs.retain(|_, value| value != "replace" && value != "granular");
                assert_eq!(ours, theirs, "{short}.{field}");
                checked += theirs.len();
            }
        }
        assert!(checked > 100, "only {checked} keywords checked");
    }

    fn known_atomic(name: &str) -> bool {
        let short = PREFIXES
            .iter()
            .find_map(|p| name.strip_prefix(p))
            .unwrap_or(name);
        ATOMIC_MAPS.contains(&(short, "")) || special(name).is_some()
    }
}
