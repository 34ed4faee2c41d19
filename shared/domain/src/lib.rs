//! The rules of a credit-limit increase, and nothing else.
//!
//! What lives here: who is eligible, what a score is, how the policy turns a score and a limit into a decision,
//! what each step of the workflow says to the next, and the names of the ways in which a step fails.
//!
//! What must not: I/O of any kind, AWS, SQL, async, the model. Everything here is a pure function of its
//! arguments, which is what makes a decision reproducible years later.

pub mod contract;
pub mod customer;
pub mod decision;
pub mod failure;
pub mod keys;
mod object;
pub mod policy;
pub mod request;
pub mod summary;

pub use contract::{ModelPin, RunContext, ShardRef};
pub use customer::{CreditLimit, CreditScore, CustomerId};
pub use decision::{Decision, Outcome};
pub use failure::{Failure, FailureKind};
pub use keys::{RunId, ShardIndex};
pub use policy::Policy;
pub use request::RunRequest;
pub use summary::{Counts, RunSummary};
