//! The rules of a credit-limit increase.
//!
//! A run asks one question about each customer: may the limit grow, and to what amount? [`decide`]
//! answers it from a [`Policy`], the current limit, the income and the new score. It is a pure
//! function, so a decision can be repeated years later from what was recorded.
//!
//! ```
//! use limit_increase_domain::{CreditScore, Outcome, Policy, Scoring, decide};
//!
//! let scoring = Scoring::Scored { score: CreditScore::new(687), reasons: &[] };
//! let decision = decide(&Policy::default(), 4000.into(), None, scoring);
//! assert_eq!(decision.outcome, Outcome::Approved);
//! assert_eq!(decision.new_limit.map(|limit| limit.to_string()), Some("6000.00".to_owned()));
//! assert_eq!(
//!     decision.reason,
//!     "Score 687 meets the minimum of 650; limit raised from 4000.00 to 6000.00."
//! );
//! ```
//!
//! # Overview
//!
//! * [`Policy`] is the document that a risk analyst writes. [`Policy::validate`] refuses one that
//!   could not be applied to every limit.
//! * [`CustomerId`], [`CreditScore`] and [`CreditLimit`] are values that are checked when they are
//!   made. Money is an exact decimal, never a floating-point number.
//! * [`Decision`] is the result, and [`Counts`] adds results up. [`applied_rule`] says which rule
//!   of the policy it comes from.
//! * [`SourceColumn`] names a column of the lender's table that the model reads, and
//!   [`Distribution`] says how its values are spread.
//!
//! This crate does no I/O, and it knows no AWS, no SQL, no model and no workflow.

pub mod ceilings;
pub mod column;
pub mod counts;
pub mod customer;
pub mod decision;
mod digest;
pub mod distribution;
pub mod figures;
mod object;
pub mod policy;

pub use ceilings::Ceilings;
pub use column::{ColumnKind, SourceColumn};
pub use counts::Counts;
pub use customer::{CreditLimit, CreditScore, CustomerId};
pub use decision::{AppliedRule, Decision, Outcome, Rule, Scoring, applied_rule, decide};
pub use digest::sha256_hex;
pub use distribution::{Bins, Distribution, Tally};
pub use policy::Policy;
