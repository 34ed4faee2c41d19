//! Structured logs: JSON in Lambda, readable lines elsewhere.

use tracing_subscriber::{EnvFilter, fmt};

/// Starts logging to standard output, at the level of `RUST_LOG` (default `info`).
///
/// In Lambda each line is one JSON object with the fields of the current span, for example
/// `run_id`. A second call changes nothing.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = fmt().with_env_filter(filter).with_target(true);
    let result = if std::env::var_os("AWS_LAMBDA_FUNCTION_NAME").is_some() {
        builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init()
    } else {
        builder.compact().try_init()
    };

    // An error means that a subscriber is installed already, for example by a test. It stays.
    drop(result);
}
