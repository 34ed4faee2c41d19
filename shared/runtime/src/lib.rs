//! The Lambda side of a function: the Runtime API, logs, metrics, environment variables.
//!
//! What lives here: everything that the four functions share because they are Lambda functions. What must not: rules
//! of lending, the content of events.

pub mod environment;
pub mod lambda;
pub mod metrics;
pub mod telemetry;
