//! Reading JSON documents, so that an error names the field.

use limit_increase_domain::Policy;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::{Failure, FailureKind};

/// Reads an event as a type; the error names the field.
///
/// # Errors
/// `Permanent.InvalidRequest`, with the path of the field that is unknown, missing or of the wrong
/// type.
pub fn parse<T: DeserializeOwned>(event: Value) -> Result<T, Failure> {
    // The code that serde derives reads a struct from an array too, field by field. An empty array
    // would then be a request with nothing but defaults.
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

/// Reads the document of a policy and validates it.
///
/// # Errors
/// What is wrong, with the field. The caller adds where the document is.
pub fn parse_policy(document: &[u8]) -> Result<Policy, String> {
    // Some editors write a mark at the start of a text, which JSON does not have.
    let document = document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document);
    let document =
        serde_json::from_slice(document).map_err(|error| format!("not JSON: {error}"))?;
    let policy: Policy = parse(document).map_err(|failure| failure.message)?;
    policy.validate().map_err(|error| error.to_string())?;
    Ok(policy)
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
            // The document itself has no path, so the message starts with the problem.
            (json!(7), "invalid type: integer `7`, expected an object"),
            (json!(null), "invalid type: null, expected an object"),
        ];

        for (event, expected) in cases {
            let failure = parse::<RunRequest>(event.clone()).unwrap_err();
            assert_eq!(failure.kind, FailureKind::InvalidRequest);
            assert!(failure.message.starts_with(expected), "{event}: {}", failure.message);
        }
    }

    #[test]
    fn a_good_request_is_read_as_written() {
        let request: RunRequest = parse(json!({"limit": 7, "dry_run": true})).unwrap();
        assert_eq!(request, RunRequest { limit: Some(7), dry_run: true, ..RunRequest::default() });
    }

    #[test]
    fn a_policy_is_read_and_validated_and_an_error_names_the_field() {
        assert_eq!(parse_policy(b"{}"), Ok(Policy::default()));
        assert_eq!(parse_policy("\u{feff}{}".as_bytes()), Ok(Policy::default()));
        for (document, words) in [
            ("{", "not JSON: "),
            ("[]", "expected an object"),
            (r#"{"colour": 1}"#, "unknown field `colour`"),
            (r#"{"maximum_limit": "-1"}"#, "policy.maximum_limit: "),
        ] {
            let problem = parse_policy(document.as_bytes()).unwrap_err();
            assert!(problem.contains(words), "{document}: {problem}");
        }
    }
}
