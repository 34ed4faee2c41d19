//! The Lambda runtime's side of a function: one event in, one answer or one named failure out.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use limit_increase_workflow::{Failure, FailureKind};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tracing::Instrument as _;

use crate::telemetry;

/// Step Functions and Lambda cut a longer cause off; so do we, at a character.
const MAX_MESSAGE_CHARS: usize = 4_000;

/// A failed invocation as the state machine sees it.
///
/// Made of a [`Failure`] wherever a step fails by itself. Its name is free text, because a failure that is passed on may
/// have been Lambda's or the state machine's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    /// What the state machine matches.
    pub name: String,
    /// For people.
    pub message: String,
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> Self {
        Self { name: failure.kind.name().to_owned(), message: failure.message }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.message)
    }
}

impl std::error::Error for StepError {}

/// An event as far as it could be read. What is no JSON, or nests deeper than is read, has to fail by a name that the state
/// machine knows, and the runtime's own error for it has none.
struct Event(Result<Value, String>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// Serves events until Lambda ends the process. Each is handled inside a span that carries the run's id, so
/// that the id is on every line of the log.
///
/// # Errors
/// When the Runtime API itself can't be reached.
pub async fn serve<H, F, R, E>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(Value, String) -> F,
    F: Future<Output = Result<R, E>>,
    R: Serialize,
    E: Into<StepError>,
{
    telemetry::init();
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let Event(payload) = event.payload;
        let run_id = payload.as_ref().ok().and_then(run_id_of).unwrap_or_default().to_owned();
        let span =
            tracing::info_span!("invocation", run_id, request_id = %event.context.request_id);
        let answer = payload.map(|payload| handler(payload, event.context.request_id));
        async move {
            let answer: Result<R, StepError> = match answer {
                Ok(answer) => match AssertUnwindSafe(answer).catch_unwind().await {
                    Ok(answer) => answer.map_err(Into::into),
                    Err(panic) => Err(panicked(&*panic)),
                },
                Err(problem) => Err(Failure::new(FailureKind::InvalidRequest, problem).into()),
            };

            match answer {
                Ok(answer) => {
                    tracing::info!("done");
                    Ok(answer)
                }
                Err(error) => {
                    tracing::error!(error = error.name, "{}", error.message);
                    Err(diagnostic(error))
                }
            }
        }
        .instrument(span)
    }))
    .await
}

/// A panic has a name too: the runtime would report it by the name of a type of Rust's, which no operator knows. What the
/// event had in hand is dropped, a transaction with it, and the environment goes on.
fn panicked(panic: &(dyn Any + Send)) -> StepError {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new(
        FailureKind::Internal,
        format!("panicked: {}", text.unwrap_or("without a message")),
    )
    .into()
}

/// The error as Lambda reports it: `errorType` is the stable name that the state machine matches.
fn diagnostic(error: StepError) -> Diagnostic {
    Diagnostic {
        error_type: error.name,
        error_message: error.message.chars().take(MAX_MESSAGE_CHARS).collect(),
    }
}

/// The run an event belongs to: `run_id`, or `run.run_id`, as the steps' contracts have it.
fn run_id_of(event: &Value) -> Option<&str> {
    event
        .get("run_id")
        .or_else(|| event.get("run").and_then(|run| run.get("run_id")))
        .and_then(Value::as_str)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[tokio::test]
    async fn a_panic_is_a_failure_with_a_name() {
        let number = 0;
        let panic = AssertUnwindSafe(async { assert_eq!(number, 1, "the counts differ") })
            .catch_unwind()
            .await
            .unwrap_err();
        let error = panicked(&*panic);
        assert_eq!(error.name, "Permanent.Internal");
        assert!(error.message.contains("the counts differ"), "{}", error.message);
        assert_eq!(panicked(&"in a word").message, "panicked: in a word");
        assert_eq!(panicked(&5).message, "panicked: without a message");
    }

    #[test]
    fn an_event_that_cannot_be_read_is_an_event_with_a_problem() {
        for (text, expected) in [
            ("", "EOF"),
            ("{", "EOF"),
            ("limit", "expected value"),
            (&"[".repeat(10_000), "recursion"),
        ] {
            let Event(payload) =
                Event::deserialize(&mut serde_json::Deserializer::from_str(text)).unwrap();
            assert!(
                payload.as_ref().is_err_and(|problem| problem.contains(expected)),
                "{text:.20}: {payload:?}"
            );
        }
    }

    #[test]
    fn the_run_id_is_found_in_every_contract() {
        assert_eq!(run_id_of(&json!({"run_id": "a"})), Some("a"));
        assert_eq!(run_id_of(&json!({"run": {"run_id": "b"}})), Some("b"));
        assert_eq!(run_id_of(&json!({"run": 5})), None);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = diagnostic(Failure::new(FailureKind::Internal, "ü".repeat(10_000)).into());
        assert_eq!(long.error_message.chars().count(), MAX_MESSAGE_CHARS);
        assert_eq!(long.error_type, "Permanent.Internal");
    }
}
