//! The protocol of the workflow: what one step says to the next.
//!
//! What lives here: runs, shards, requests, the messages between the steps, the keys of the objects, the rows they
//! hold, the run's summary, and the names of the ways in which a step fails.
//!
//! What must not: I/O of any kind, the rules of lending (those are the domain's), the model.

pub mod contract;
pub mod document;
pub mod failure;
pub mod keys;
pub mod request;
pub mod rows;
pub mod run;
pub mod shard;
pub mod summary;

pub use failure::{Failure, FailureKind};
pub use keys::ObjectRef;
pub use request::RunRequest;
pub use run::{ModelPin, RunContext, RunId, RunStatus};
pub use shard::{ShardIndex, ShardRef};
pub use summary::RunSummary;
