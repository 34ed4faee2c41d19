//! What a run is asked to do.

use chrono::NaiveDate;
use limit_increase_domain::deserialize_from_object;
use limit_increase_domain::policy::{Policy, PolicyError};
use serde::{Deserialize, Deserializer, Serialize};

/// What a run is asked to do; `{}` is the nightly request. A field that is left out keeps its
/// default, and an unknown field is refused.
///
/// ```json
/// {
///   "limit": 20,
///   "shard_size": 25000,
///   "as_of": "2026-11-24",
///   "dry_run": false,
///   "policy": { "minimum_score": 660 }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, remote = "Self")]
pub struct RunRequest {
    /// The largest number of customers; `null` takes all who are eligible. Default 20.
    pub limit: Option<u64>,
    /// Customers in one shard.
    pub shard_size: u32,
    /// The business date under which the run is recorded. Default: the day (UTC) on which it
    /// starts.
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub as_of: Option<NaiveDate>,
    /// Score and decide, but leave the table as it is.
    pub dry_run: bool,
    /// A policy for this run only. Default: the policy in force.
    #[serde(deserialize_with = "not_null", skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
}

deserialize_from_object!(RunRequest);

/// Reads a value and refuses `null`, which has a meaning only for `limit`.
fn not_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Why a request was refused; the message starts with the field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// `limit` outside its range.
    #[error("limit: must be from 1 to {max}, or null for no cap; found {found}", max = RunRequest::MAX_LIMIT)]
    Limit {
        /// The value found.
        found: u64,
    },
    /// `shard_size` outside its range.
    #[error("shard_size: must be from 1 to {max}; found {found}", max = RunRequest::MAX_SHARD_SIZE)]
    ShardSize {
        /// The value found.
        found: u32,
    },
    /// The policy is wrong.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl RunRequest {
    /// Customers in a nightly run that names no limit.
    pub const DEFAULT_LIMIT: u64 = 20;
    /// Above this, ask for no cap at all.
    pub const MAX_LIMIT: u64 = 1_000_000_000;
    /// Default rows per shard: a million customers are forty shards, and each takes about 60 MB in
    /// a function. Smaller shards cost more requests and invocations. Larger shards cost more
    /// memory, and fewer of them run simultaneously. ARCHITECTURE.md has the figures.
    pub const DEFAULT_SHARD_SIZE: u32 = 25_000;
    /// The largest shard. A function holds a whole shard in memory.
    pub const MAX_SHARD_SIZE: u32 = 50_000;

    /// Checks every field.
    ///
    /// # Errors
    /// The first field that is out of range.
    pub fn validate(&self) -> Result<(), RequestError> {
        if let Some(found) = self.limit
            && !(1..=Self::MAX_LIMIT).contains(&found)
        {
            return Err(RequestError::Limit { found });
        }

        if !(1..=Self::MAX_SHARD_SIZE).contains(&self.shard_size) {
            return Err(RequestError::ShardSize { found: self.shard_size });
        }

        if let Some(policy) = &self.policy {
            policy.validate()?;
        }

        Ok(())
    }
}

impl Default for RunRequest {
    fn default() -> Self {
        Self {
            limit: Some(Self::DEFAULT_LIMIT),
            shard_size: Self::DEFAULT_SHARD_SIZE,
            as_of: None,
            dry_run: false,
            policy: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(json: &str) -> Result<RunRequest, String> {
        let request: RunRequest = serde_json::from_str(json).map_err(|error| error.to_string())?;
        request.validate().map_err(|error| error.to_string())?;
        Ok(request)
    }

    #[test]
    fn an_empty_request_is_the_nightly_default() {
        assert_eq!(parse("{}").unwrap(), RunRequest::default());
        assert_eq!(RunRequest::default().limit, Some(20));
    }

    /// The ledger keeps the request, and a repeated attempt reads it there.
    #[test]
    fn a_request_reads_back_what_it_wrote() {
        let requests = [
            RunRequest::default(),
            RunRequest {
                limit: None,
                as_of: NaiveDate::from_ymd_opt(2026, 11, 24),
                ..RunRequest::default()
            },
            RunRequest { policy: Some(Policy::default()), ..RunRequest::default() },
        ];

        for request in requests {
            assert_eq!(parse(&serde_json::to_string(&request).unwrap()).unwrap(), request);
        }
    }

    #[test]
    fn null_limit_means_no_cap() {
        assert_eq!(parse(r#"{"limit":null}"#).unwrap().limit, None);
    }

    #[test]
    fn every_bound_itself_is_accepted() {
        for limit in [1, RunRequest::MAX_LIMIT] {
            let request = parse(&format!(r#"{{"limit":{limit}}}"#)).unwrap();
            assert_eq!(request.limit, Some(limit));
        }

        for shard_size in [1, RunRequest::MAX_SHARD_SIZE] {
            let request = parse(&format!(r#"{{"shard_size":{shard_size}}}"#)).unwrap();
            assert_eq!(request.shard_size, shard_size);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#"{"limit":0}"#, "limit"),
            (r#"{"limit":-1}"#, "-1"),
            (r#"{"limit":1000000001}"#, "limit"),
            (r#"{"shard_size":0}"#, "shard_size"),
            (r#"{"shard_size":50001}"#, "shard_size"),
            (r#"{"as_of":"24.11.2026"}"#, ""),
            (r#"{"as_of":null}"#, ""),
            (r#"{"policy":null}"#, ""),
            (r#"{"limits":5}"#, "limits"),
            (r#"{"policy":{"maximum_limit":"-1"}}"#, "policy.maximum_limit"),
            ("[]", "expected an object"),
            ("7", "expected an object"),
            (r#"{"policy":[]}"#, "expected an object"),
            (r#"{"policy":{"eligibility":[600, "10000"]}}"#, "expected an object"),
            (r#"{"policy":{"tiers":[["5000", "0.5"], {"growth":"0.25"}]}}"#, "expected an object"),
            (r#"{"policy":{"affordability":["income", "0.5"]}}"#, "expected an object"),
        ];

        for (json, expected) in cases {
            let message = parse(json).unwrap_err();
            assert!(message.contains(expected), "{json}: {message}");
        }
    }
}
