//! Schemas of built-in kinds.

use std::sync::Arc;

use super::Schema;

/// See [`Schema::builtin`].
pub(super) fn lookup(_group: &str, _version: &str, _kind: &str) -> Option<Arc<Schema>> {
    None
}

/// The schema of `metadata`.
pub(super) fn object_meta() -> Arc<Schema> {
    Arc::new(Schema {
        preserve_unknown: true,
        ..Schema::default()
    })
}
