//! The rules of a credit-limit increase, and nothing else.
//!
//! What lives here: who is eligible, what a score is, and how the policy turns a score and a limit into a decision.
//!
//! What must not: I/O of any kind, AWS, SQL, async, the model, the workflow. Everything here is a pure function of its
//! arguments, which is what makes a decision reproducible years later.

pub mod column;
pub mod counts;
pub mod customer;
pub mod decision;
mod digest;
mod object;
pub mod policy;

pub use column::{ColumnKind, SourceColumn};
pub use counts::Counts;
pub use customer::{CreditLimit, CreditScore, CustomerId};
pub use decision::{Decision, Outcome};
pub use digest::sha256_hex;
pub use policy::Policy;
