//! The request of a run that the schedule starts, as the deployment's parameters name it.
//!
//! The parameters arrive as environment variables of the function. An input of the rule's target
//! would replace the event, and with it the time that gives the run its date.

use limit_increase_runtime::environment;
use limit_increase_workflow::{Failure, FailureKind, RunRequest};

/// The variable of the largest number of customers, or `all`.
const LIMIT: &str = "NIGHTLY_LIMIT";
/// The variable of the customers in one shard.
const SHARD_SIZE: &str = "NIGHTLY_SHARD_SIZE";

/// The request that the function's environment names.
///
/// # Errors
/// `Permanent.InvalidRequest`, when a variable is not a number in its range.
pub(crate) fn from_environment() -> Result<RunRequest, Failure> {
    read(environment::optional(LIMIT).as_deref(), environment::optional(SHARD_SIZE).as_deref())
}

fn read(limit: Option<&str>, shard_size: Option<&str>) -> Result<RunRequest, Failure> {
    let defaults = RunRequest::default();
    let request = RunRequest {
        limit: match limit {
            None => defaults.limit,
            Some("all") => None,
            Some(text) => Some(number(LIMIT, text)?),
        },
        shard_size: match shard_size {
            None => defaults.shard_size,
            Some(text) => number(SHARD_SIZE, text)?,
        },
        ..defaults
    };

    request.validate().map_err(|error| setting_failure(&error.to_string()))?;
    Ok(request)
}

fn number<N: std::str::FromStr>(name: &str, text: &str) -> Result<N, Failure> {
    text.parse()
        .map_err(|_| setting_failure(&format!("{name}: {text:?} is not a number in its range")))
}

fn setting_failure(problem: &str) -> Failure {
    let message = format!("the nightly request of the deployment: {problem}");
    Failure::new(FailureKind::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_not_set_keeps_its_default() {
        assert_eq!(read(None, None).unwrap(), RunRequest::default());
    }

    #[test]
    fn a_number_and_all_are_limits() {
        let request = read(Some("7"), Some("3")).unwrap();
        assert_eq!((request.limit, request.shard_size), (Some(7), 3));
        assert_eq!(read(Some("all"), None).unwrap().limit, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (Some("0"), None, "limit: must be from 1"),
            (Some("many"), None, "NIGHTLY_LIMIT: \"many\""),
            (None, Some("50001"), "shard_size: must be from 1"),
            (None, Some("-1"), "NIGHTLY_SHARD_SIZE: \"-1\""),
        ];

        for (limit, shard_size, expected) in cases {
            let failure = read(limit, shard_size).unwrap_err();
            assert!(failure.message.contains(expected), "{}", failure.message);
            assert!(!failure.kind.is_transient());
        }
    }
}
