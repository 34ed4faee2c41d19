//! The protocol of the workflow: what one step says to the next.
//!
//! Four functions work on a run, and each reads what another has written. This crate holds the
//! words that they share, as plain data. A request is read with [`document::parse`], and a wrong
//! field is named in the failure:
//!
//! ```
//! use limit_increase_workflow::{FailureKind, RunRequest, document};
//! use serde_json::json;
//!
//! let request: RunRequest = document::parse(json!({"limit": 500, "dry_run": true}))?;
//! assert_eq!((request.limit, request.dry_run), (Some(500), true));
//!
//! let refused = document::parse::<RunRequest>(json!({"policy": {"minimum_score": "high"}}));
//! let failure = refused.unwrap_err();
//! assert_eq!(failure.kind, FailureKind::InvalidRequest);
//! assert!(failure.message.starts_with("policy.minimum_score: "));
//! # Ok::<(), limit_increase_workflow::Failure>(())
//! ```
//!
//! # Overview
//!
//! * [`RunRequest`] is what a run is asked to do. [`RunContext`] is everything about a run that is
//!   fixed when it opens.
//! * [`contract`] has the events and the answers of the four functions.
//! * [`pipeline`] has the form of these messages that a SageMaker pipeline can carry.
//! * [`keys`] gives the S3 key of each object. A key follows from the run and the shard.
//! * [`rows`] has the rows that travel, independent of what carries them.
//! * [`RunSummary`] is the content of `summary.json`.
//! * [`FailureKind`] names the ways in which a step fails. The state machine matches these names.
//!
//! This crate does no I/O. The rules of lending are in `limit-increase-domain`.

pub mod contract;
pub mod document;
pub mod failure;
pub mod keys;
pub mod pipeline;
pub mod release;
pub mod request;
pub mod rows;
pub mod run;
pub mod seal;
pub mod shard;
pub mod summary;

pub use failure::{Failure, FailureKind};
pub use keys::{HandoffRef, ObjectRef};
pub use release::Release;
pub use request::RunRequest;
pub use run::{ModelPin, RunContext, RunId, RunStatus};
pub use shard::{ShardIndex, ShardRef};
pub use summary::RunSummary;
