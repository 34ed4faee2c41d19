//! Reading JSON documents, so that an error names the field.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, FailureKind};

/// Reads an event as a type; the error names the field.
///
/// # Errors
/// `Permanent.InvalidRequest` with the path of the field that is unknown, missing or of the wrong type.
pub fn parse<T: DeserializeOwned>(event: Value) -> Result<T, Failure> {
    // serde would take an array for a struct, field by field, and an empty one for a struct of nothing but defaults.
    if event.is_array() {
        return Err(Failure::new(
            FailureKind::InvalidRequest,
            "invalid type: array, expected an object",
        ));
    }

    serde_path_to_error::deserialize(event).map_err(|error| {
        let path = error.path().to_string();
        let problem = error.into_inner();
        let message = if path == "." { problem.to_string() } else { format!("{path}: {problem}") };
        Failure::new(FailureKind::InvalidRequest, message)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::request::RunRequest;
    use serde_json::json;

    #[test]
    fn a_bad_request_names_the_field() {
        let cases = [
            (json!({"limit": "many"}), "limit: "),
            (json!({"limits": 3}), "limits: unknown field"),
            (json!({"policy": {"tiers": [{"growth": "x"}]}}), "policy.tiers[0].growth: "),
            (json!({"policy": {"floor": 1}}), "policy.floor: unknown field"),
            (json!({"as_of": "yesterday"}), "as_of: "),
            (json!([]), "invalid type: array"),
        ];

        for (event, expected) in cases {
            let failure = parse::<RunRequest>(event.clone()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::InvalidRequest);
            assert!(failure.message.starts_with(expected), "{event}: {}", failure.message);
        }
    }
}
