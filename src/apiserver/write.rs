//! From a request's body to a stored object: decoding, pruning, defaults,
//! field ownership, validation, generation, and the comparison that keeps a
//! write without effect from becoming an event.

mod admit;
mod settle;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Inner;
use super::failure::{Cause, Failure};
use super::managed_fields;
use super::object::{self, is_deleting, meta_text, set, set_meta, unset, with_meta};
use super::query::Query;
use super::resource::Resource;
use super::route::Target;
use super::schema::Schema;
use super::store::{Expect, Key, Stored, WriteError};
use super::{collect, crd, kinds};

/// One request to a resource.
pub(super) struct Call<'a> {
    pub(super) inner: &'a Inner,
    pub(super) resource: Arc<Resource>,
    pub(super) target: &'a Target,
    pub(super) query: &'a Query,
    /// `fieldManager`, or the first word of the user agent.
    pub(super) manager: String,
    pub(super) now: Timestamp,
    /// The object is the outcome of a patch other than an apply: what is wrong with it is told as
    /// a fault of the patch.
    pub(super) patched: bool,
    /// Texts for `Warning` headers.
    pub(super) warnings: Vec<String>,
}

/// The object that a write left behind, in its stored form.
#[derive(Debug)]
pub(super) enum Written {
    Stored(Arc<Stored>),
    /// The result of a dry run.
    Imagined(Value),
}

/// Which part of the object a write may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Main,
    Status,
    /// `spec.finalizers` of a Namespace.
    Finalize,
    /// The replicas of a workload.
    Scale,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Finalize => "finalize",
            Self::Scale => "scale",
        }
    }
}

/// How the new object came to be: this decides its field ownership.
pub(super) enum Intent {
    /// A whole object: create, replace, or a patch already worked in.
    Update(Value),
    /// A server-side apply of this object.
    Apply(Value),
}

impl Call<'_> {
    pub(super) fn key(&self, name: &str) -> Key {
        self.resource.key(self.target.namespace(), name)
    }

    fn schema(&self) -> Option<Arc<Schema>> {
        self.resource.schema()
    }

    /// Creates an object.
    pub(super) fn create(&mut self, intent: Intent) -> Result<Written, Failure> {
        let schema = self.schema();
        let (Intent::Update(sent) | Intent::Apply(sent)) = &intent;
        let node_status = self
            .resource
            .is("", "nodes")
            .then(|| sent["status"].clone());
        let mut new = self.owned(intent, None, Part::Main)?;
        // The path of an apply names the object; a POST may leave it to us.
        if meta_text(&new, "name").is_empty() {
            let stem = meta_text(&new, "generateName").to_owned();
            if stem.is_empty() {
                return Err(Failure::invalid(
                    &self.resource,
                    "",
                    &[Cause {
                        field: "metadata.name".to_owned(),
                        reason: "FieldValueRequired".to_owned(),
                        message: "Required value: name or generateName is required".to_owned(),
                    }],
                ));
            }
            let stem: String = stem.chars().take(58).collect();
            set_meta(
                &mut new,
                "name",
                json!(format!("{stem}{}", object::suffix()?)),
            );
        }
        let name = meta_text(&new, "name").to_owned();
        self.check_namespace(&name)?;
        if !meta_text(&new, "resourceVersion").is_empty() {
            return Err(Failure::bad_request(
                "resourceVersion should not be set on objects to be created",
            ));
        }
        let stamp = object::time(self.now);
        let uid = object::uid()?;
        with_meta(&mut new, |meta| {
            meta.insert("uid".to_owned(), json!(uid));
            meta.insert("creationTimestamp".to_owned(), json!(stamp));
            for field in [
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "generation",
            ] {
                meta.remove(field);
            }
            if self.resource.generation {
                meta.insert("generation".to_owned(), json!(1));
            }
        });
        match node_status {
            // Kubelets create their Node with its status.
            Some(status) if !status.is_null() => set(&mut new, "status", status),
            None if !self.resource.status => {}
            _ => unset(&mut new, "status"),
        }
        kinds::prepare(self.inner, &self.resource, &mut new, None, self.now)?;
        self.validate(schema.as_deref(), &new, None, &name)?;
        if self.query.dry_run {
            let taken = self.inner.store.get(&self.key(&name)).is_some();
            return match taken {
                true => Err(Failure::already_exists(&self.resource, &name)),
                false => Ok(Written::Imagined(new)),
            };
        }
        let put = self.inner.store.put(&self.key(&name), Expect::Absent, new);
        let stored = put.map_err(|_| Failure::already_exists(&self.resource, &name))?;
        self.after(&stored);
        collect::after_create(self.inner, &self.key(&name), self.now);
        Ok(Written::Stored(stored))
    }

    fn check_namespace(&self, name: &str) -> Result<(), Failure> {
        if self.resource.custom.is_some() {
            let definition = crd::key(&self.resource.group, &self.resource.plural);
            let found = self.inner.store.get(&definition);
            if found.is_some_and(|found| is_deleting(&found.value())) {
                let why = "create not allowed while custom resource definition is terminating";
                return Err(Failure::forbidden(&self.resource, name, why));
            }
        }
        if !self.resource.namespaced {
            return Ok(());
        }
        let namespace = self.target.namespace();
        let Some(found) = self.inner.namespace(namespace) else {
            return Err(Failure::namespace_not_found(namespace));
        };
        match is_deleting(&found) {
            true => Err(Failure::terminating(&self.resource, name, namespace)),
            false => Ok(()),
        }
    }

    /// Replaces a part of `live`; `None` when somebody else wrote meanwhile.
    pub(super) fn update(
        &mut self,
        live: &Arc<Stored>,
        intent: Intent,
        part: Part,
    ) -> Result<Option<Written>, Failure> {
        let name = live.name.clone();
        let old = live.value();
        let schema = self.schema();
        let applied = matches!(intent, Intent::Apply(_));
        self.check_preconditions(&intent, &old, &name)?;
        let intent = match intent {
            Intent::Update(new) => Intent::Update(self.keep(new, &old, part)),
            apply @ Intent::Apply(_) => apply,
        };
        let mut new = self.owned(intent, Some(&old), part)?;
        if applied {
            new = self.keep(new, &old, part);
        }
        if part != Part::Status {
            kinds::prepare(self.inner, &self.resource, &mut new, Some(&old), self.now)?;
        }
        self.validate(schema.as_deref(), &new, Some(&old), &name)?;
        if self.resource.generation && part != Part::Status && spec_differs(&old, &new) {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or(0);
            set_meta(&mut new, "generation", json!(generation.saturating_add(1)));
        }
        managed_fields::keep_times(&old, &mut new);
        set_meta(
            &mut new,
            "resourceVersion",
            old["metadata"]["resourceVersion"].clone(),
        );
        if new == old {
            return Ok(Some(Written::Stored(Arc::clone(live))));
        }
        if self.query.dry_run {
            return Ok(Some(Written::Imagined(new)));
        }
        self.store_update(live, new)
    }

    fn store_update(&mut self, live: &Arc<Stored>, new: Value) -> Result<Option<Written>, Failure> {
        let key = self.key(&live.name);
        let expect = Expect::Revision(live.revision);
        let finished = collect::is_finished(&self.resource, &new);
        let result = match finished {
            true => self.inner.store.remove(&key, expect, new),
            false => self.inner.store.put(&key, expect, new),
        };
        let stored = match result {
            Ok(stored) => stored,
            Err(WriteError::Stale | WriteError::Exists) => return Ok(None),
        };
        self.after(&stored);
        if finished {
            collect::after_remove(self.inner, &key, &stored, self.now);
        } else {
            collect::after_update(self.inner, &key, &stored, self.now);
        }
        Ok(Some(Written::Stored(stored)))
    }

    /// A changed definition changes what is served.
    fn after(&self, _stored: &Stored) {
        if self.resource.collection == crd::collection() {
            self.inner.served.refresh(&self.inner.store);
        }
    }

    fn check_preconditions(&self, intent: &Intent, old: &Value, name: &str) -> Result<(), Failure> {
        let (Intent::Update(new) | Intent::Apply(new)) = intent;
        let version = meta_text(new, "resourceVersion");
        if !version.is_empty() && version.parse::<u64>().is_err() {
            return Err(Failure::untyped(format!(
                "strconv.ParseUint: parsing {version:?}: invalid syntax"
            )));
        }
        if !version.is_empty() && version != meta_text(old, "resourceVersion") {
            return Err(Failure::modified(&self.resource, name));
        }
        let uid = meta_text(new, "uid");
        if !uid.is_empty() && uid != meta_text(old, "uid") && self.patched {
            let cause = Cause {
                field: "metadata.uid".to_owned(),
                reason: "FieldValueInvalid".to_owned(),
                message: format!("Invalid value: {uid:?}: field is immutable"),
            };
            // Told twice, as there: by the metadata's rules and the object's.
            return Err(Failure::invalid(
                &self.resource,
                name,
                &[cause.clone(), cause],
            ));
        }
        if !uid.is_empty() && uid != meta_text(old, "uid") {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                meta_text(old, "uid")
            );
            return Err(Failure::conflict(&self.resource, name, &why));
        }
        Ok(())
    }
}

/// Everything but `metadata` and `status` counts as spec.
fn spec_differs(old: &Value, new: &Value) -> bool {
    let (Some(old), Some(new)) = (old.as_object(), new.as_object()) else {
        return old != new;
    };
    let spec = |field: &String| !matches!(field.as_str(), "metadata" | "status");
    let fields = old.keys().chain(new.keys()).filter(|f| spec(f));
    fields
        .into_iter()
        .any(|field| old.get(field) != new.get(field))
}
