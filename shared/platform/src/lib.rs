//! The outside world: PostgreSQL, S3, configuration, telemetry, and the Lambda runtime.
//!
//! What lives here: every byte that enters or leaves a function, and the translation of the outside's errors
//! into [`Failure`](limit_increase_domain::Failure)s with stable names. What must not: rules of the business
//! (those are the domain's) and the model (scoring's; this crate has never heard of tract).

pub mod aws;
pub mod digest;
pub mod environment;
pub mod handoff;
pub mod lambda;
pub mod metrics;
#[cfg(feature = "postgres")]
pub mod postgres;
#[cfg(feature = "postgres")]
pub mod secrets;
pub mod storage;
pub mod telemetry;
