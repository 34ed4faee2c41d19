//! SHA-256 of bytes and documents, in hexadecimal.

use limit_increase_domain::{Failure, FailureKind, Policy};
use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`, 64 lower-case hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// SHA-256 of a policy's JSON, fields in the order of the type.
///
/// # Errors
/// `Permanent.Internal` when the policy can't be serialised, which no policy of this type can cause.
pub fn policy_sha256(policy: &Policy) -> Result<String, Failure> {
    let json = serde_json::to_vec(policy)
        .map_err(|error| Failure::new(FailureKind::Internal, format!("policy: cannot be written as JSON: {error}")))?;
    Ok(sha256_hex(&json))
}
