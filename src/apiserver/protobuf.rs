//! Protobuf bodies of kubectl's typed commands.

use serde_json::Value;

use super::failure::Failure;

/// Decodes a `k8s\0` envelope.
pub(super) fn decode(_body: &[u8]) -> Result<Value, Failure> {
    Err(Failure::unsupported_media_type("use kubectl apply -f"))
}
