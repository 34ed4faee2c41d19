//! The Lambda side of a function: the Runtime API, logs, metrics, environment variables.
//!
//! What lives here: what the four functions share because they are Lambda functions. A `main` makes
//! its handler and gives it to [`lambda::serve`].
//!
//! What must not live here: rules of lending, and the content of events.

pub mod environment;
pub mod lambda;
pub mod metrics;
pub mod telemetry;
