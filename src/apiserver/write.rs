//! From a request's body to a stored object: decoding, pruning, defaults,
//! field ownership, validation, generation, and the comparison that keeps a
//! write without effect from becoming an event.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::Inner;
use super::decode::Decoded;
use super::failure::{Cause, Failure};
use super::managed_fields::{self, ApplyError, ApplyRequest, UpdateRequest};
use super::object::{self, is_deleting, meta_text, set, set_meta, unset, with_meta};
use super::query::{FieldValidation, Query};
use super::resource::Resource;
use super::route::Target;
use super::schema::{self, Schema};
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

    /// Brings a received object into stored form and drops what its kind
    /// does not know, as far as `fieldValidation` lets it.
    ///
    /// An applied object keeps its unknown fields: the merge refuses them.
    pub(super) fn admit(&mut self, decoded: Decoded, applied: bool) -> Result<Value, Failure> {
        let Decoded {
            mut value,
            duplicates,
        } = decoded;
        self.check_type(&mut value)?;
        let mut unknown = object::normalise_meta(&mut value)?;
        self.check_place(&mut value)?;
        object::to_stored(&self.resource, &mut value);
        if self.resource.custom.is_none() {
            kinds::drop_nulls(&mut value);
        }
        match self.schema() {
            Some(_) if applied => self.refuse_unknown(&value, &unknown)?,
            Some(schema) => unknown.extend(schema::prune(&schema, &mut value)),
            None => {}
        }
        self.report(&unknown, &duplicates)?;
        Ok(value)
    }

    /// structured-merge-diff's words for a field outside the schema.
    fn refuse_unknown(&self, value: &Value, unknown: &[String]) -> Result<(), Failure> {
        let Some(path) = unknown.first() else {
            return Ok(());
        };
        Err(Failure::untyped(format!(
            "failed to create typed patch object ({}/{}; {}, Kind={}): .{path}: field not declared in schema",
            meta_text(value, "namespace"),
            meta_text(value, "name"),
            self.resource.api_version(),
            self.resource.kind
        )))
    }

    fn report(&mut self, unknown: &[String], duplicates: &[String]) -> Result<(), Failure> {
        let unknown = unknown
            .iter()
            .map(|path| format!("unknown field \"{path}\""));
        let twice = duplicates
            .iter()
            .map(|path| format!("duplicate field \"{path}\""));
        let faults: Vec<String> = unknown.chain(twice).collect();
        match self.query.field_validation {
            FieldValidation::Ignore => {}
            FieldValidation::Warn => self.warnings.extend(faults),
            FieldValidation::Strict if faults.is_empty() => {}
            FieldValidation::Strict => {
                let list = faults.join(", ");
                let kind = &self.resource.kind;
                let version = &self.resource.version;
                return Err(Failure::bad_request(format!(
                    "{kind} in version \"{version}\" cannot be handled as a {kind}: strict decoding error: {list}"
                )));
            }
        }
        Ok(())
    }

    fn check_type(&self, value: &mut Value) -> Result<(), Failure> {
        if !value.is_object() {
            return Err(Failure::bad_request(
                "couldn't get version/kind; the body is not an object",
            ));
        }
        let expected = [
            ("apiVersion", self.resource.api_version()),
            ("kind", self.resource.kind.clone()),
        ];
        for (field, wanted) in expected {
            match value[field].as_str() {
                None | Some("") => set(value, field, json!(wanted)),
                Some(given) if given == wanted => {}
                Some(given) => {
                    let what = match field {
                        "kind" => "kind",
                        _ => "API version",
                    };
                    return Err(Failure::bad_request(format!(
                        "the {what} in the data ({given}) does not match the expected {what} ({wanted})"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Name and namespace of the object must be those of the path.
    fn check_place(&self, value: &mut Value) -> Result<(), Failure> {
        if self.resource.namespaced {
            let wanted = self.target.namespace();
            match meta_text(value, "namespace") {
                "" => set_meta(value, "namespace", json!(wanted)),
                given if given == wanted => {}
                given => {
                    return Err(Failure::bad_request(format!(
                        "the namespace of the provided object does not match the namespace sent on the request ({given} and {wanted})"
                    )));
                }
            }
        } else {
            with_meta(value, |meta| meta.remove("namespace"));
        }
        let given = meta_text(value, "name").to_owned();
        match self.target.name.as_deref() {
            Some(wanted) if given.is_empty() => set_meta(value, "name", json!(wanted)),
            Some(wanted) if given != wanted => {
                return Err(Failure::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({wanted})"
                )));
            }
            _ => {}
        }
        Ok(())
    }

    /// Creates an object.
    pub(super) fn create(&mut self, intent: Intent) -> Result<Written, Failure> {
        let schema = self.schema();
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
        let keeps_status = !self.resource.status || self.resource.is("", "nodes");
        if !keeps_status {
            unset(&mut new, "status");
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
        if !version.is_empty() && version != meta_text(old, "resourceVersion") {
            return Err(Failure::modified(&self.resource, name));
        }
        let uid = meta_text(new, "uid");
        if !uid.is_empty() && uid != meta_text(old, "uid") {
            let why = format!(
                "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                meta_text(old, "uid")
            );
            return Err(Failure::conflict(&self.resource, name, &why));
        }
        Ok(())
    }

    /// Puts back what a write to `part` may not change.
    fn keep(&self, mut new: Value, old: &Value, part: Part) -> Value {
        if part == Part::Status {
            let mut kept = old.clone();
            match new.get_mut("status").map(Value::take) {
                Some(Value::Null) | None => unset(&mut kept, "status"),
                Some(status) => set(&mut kept, "status", status),
            }
            let managed = new["metadata"]["managedFields"].take();
            if !managed.is_null() {
                set_meta(&mut kept, "managedFields", managed);
            }
            return kept;
        }
        with_meta(&mut new, |meta| {
            for field in [
                "uid",
                "creationTimestamp",
                "generation",
                "deletionTimestamp",
                "deletionGracePeriodSeconds",
                "resourceVersion",
                "generateName",
            ] {
                match &old["metadata"][field] {
                    Value::Null => meta.remove(field),
                    value => meta.insert(field.to_owned(), value.clone()),
                };
            }
        });
        if self.resource.status {
            match &old["status"] {
                Value::Null => unset(&mut new, "status"),
                status => set(&mut new, "status", status.clone()),
            }
        }
        if part == Part::Main && self.resource.is("", "namespaces") {
            // Only /finalize may change these.
            let finalizers = old["spec"]["finalizers"].clone();
            set(&mut new, "spec", json!({"finalizers": finalizers}));
        }
        new
    }

    /// Fills defaults and settles who owns which field.
    fn owned(&mut self, intent: Intent, old: Option<&Value>, part: Part) -> Result<Value, Failure> {
        let schema = self.schema();
        let api_version = self.resource.api_version();
        match intent {
            Intent::Update(mut new) => {
                self.fill(schema.as_deref(), &mut new);
                Ok(managed_fields::update(UpdateRequest {
                    schema: schema.as_deref(),
                    live: old,
                    new,
                    manager: &self.manager,
                    api_version: &api_version,
                    subresource: part.name(),
                    status_subresource: self.resource.status,
                    now: self.now,
                }))
            }
            Intent::Apply(applied) => {
                let merged = managed_fields::apply(&ApplyRequest {
                    schema: schema.as_deref(),
                    live: old,
                    applied: &applied,
                    manager: &self.manager,
                    api_version: &api_version,
                    subresource: part.name(),
                    status_subresource: self.resource.status,
                    force: self.query.force,
                    now: self.now,
                });
                let mut merged = merged.map_err(apply_failure)?;
                if let Some(schema) = &schema {
                    let unknown = schema::prune(schema, &mut merged);
                    self.report(&unknown, &[])?;
                }
                self.fill(schema.as_deref(), &mut merged);
                Ok(merged)
            }
        }
    }

    fn fill(&self, schema: Option<&Schema>, new: &mut Value) {
        if let Some(schema) = schema {
            schema::apply_defaults(schema, new);
            if self.resource.custom.is_none() {
                kinds::drop_empty(schema, new);
            }
        }
        kinds::defaults(&self.resource, new);
    }

    fn validate(
        &self,
        schema: Option<&Schema>,
        new: &Value,
        old: Option<&Value>,
        name: &str,
    ) -> Result<(), Failure> {
        let mut causes = object::check_meta(&self.resource, new);
        if let Some(schema) = schema {
            causes.extend(schema::validate(schema, new).into_iter().map(|e| Cause {
                field: e.path,
                reason: e.reason.as_str().to_owned(),
                message: e.message,
            }));
        }
        if self.resource.custom.is_none() {
            self.refuse_wrong_types(&causes)?;
        }
        causes.extend(kinds::check(&self.resource, new, old));
        if let Some(old) = old {
            causes.extend(new_finalizers(old, new));
        }
        match causes.is_empty() {
            true => Ok(()),
            false => Err(Failure::invalid(&self.resource, name, &causes)),
        }
    }

    /// Go cannot even decode a built-in object with a value of a wrong type.
    fn refuse_wrong_types(&self, causes: &[Cause]) -> Result<(), Failure> {
        let wrong = causes.iter().find(|c| c.reason == "FieldValueTypeInvalid");
        let Some(cause) = wrong else {
            return Ok(());
        };
        let kind = &self.resource.kind;
        Err(Failure::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: {}: {}",
            self.resource.version, cause.field, cause.message
        )))
    }
}

fn apply_failure(error: ApplyError) -> Failure {
    match error {
        ApplyError::Conflicts(conflicts) => {
            let causes: Vec<Cause> = conflicts
                .into_iter()
                .map(|c| Cause {
                    field: c.field,
                    reason: "FieldManagerConflict".to_owned(),
                    message: c.message,
                })
                .collect();
            Failure::apply_conflict(&causes)
        }
        ApplyError::BadObject { message } if message.contains("typed patch object") => {
            Failure::untyped(message)
        }
        ApplyError::BadObject { message } => Failure::bad_request(message),
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

/// An object that is going away takes no new finalizers.
fn new_finalizers(old: &Value, new: &Value) -> Option<Cause> {
    if !is_deleting(old) {
        return None;
    }
    let before = object::finalizers(old);
    let added: Vec<&str> = object::finalizers(new)
        .into_iter()
        .filter(|f| !before.contains(f))
        .collect();
    (!added.is_empty()).then(|| Cause {
        field: "metadata.finalizers".to_owned(),
        reason: "FieldValueForbidden".to_owned(),
        message: format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
        ),
    })
}
