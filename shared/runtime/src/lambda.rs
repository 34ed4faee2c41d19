//! The Lambda runtime's side of a function: one event in, one answer or one named failure out.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::{Failure, FailureKind, pipeline};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use tracing::Instrument as _;

use crate::telemetry;

/// Step Functions and Lambda cut a longer cause off. It is cut here first, between two characters.
const MAX_MESSAGE_CHARS: usize = 4_000;

/// A failed invocation as the state machine sees it.
///
/// It is made from a [`Failure`] when the step itself fails. Its name is free text, because
/// `update-database` also passes on failures that Lambda or Step Functions named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    /// What the state machine matches.
    pub name: String,
    /// What was wrong, where, and what to do next.
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

/// An event, or why it could not be read. An event that is not JSON, or that nests too deep, must
/// fail by a name that the state machine knows, and the error of the Lambda runtime has no such
/// name.
struct Event(Result<Value, String>);

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Value::deserialize(deserializer).map_err(|error| error.to_string())))
    }
}

/// Serves events until Lambda ends the process. The handler gets the event as its own type, and the
/// id of the request.
///
/// An event that is not of type `T` fails as `Permanent.InvalidRequest` with the field's name. Each
/// event is handled inside a span with the run's id, so the id is on every line of the log.
///
/// # Errors
/// When the Runtime API cannot be reached.
pub async fn serve<H, T, F, R, E>(handler: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(T, String) -> F,
    T: DeserializeOwned,
    F: Future<Output = Result<R, E>>,
    R: Serialize,
    E: Into<StepError>,
{
    telemetry::init();
    lambda_runtime::run(service_fn(|event: LambdaEvent<Event>| {
        let Event(payload) = event.payload;
        let form = Form::of(&payload);
        let payload = form.unfold(payload);
        let request_id = event.context.request_id;
        let run_id = payload.as_ref().ok().and_then(run_id_of).unwrap_or_default().to_owned();
        let span = tracing::info_span!("invocation", run_id, request_id);
        let answer = event_of(payload).map(|event_of_type| handler(event_of_type, request_id));
        async move {
            let answer: Result<R, StepError> = match answer {
                Ok(answer) => match AssertUnwindSafe(answer).catch_unwind().await {
                    Ok(answer) => answer.map_err(Into::into),
                    Err(panic) => Err(panic_error(&*panic)),
                },
                Err(failure) => Err(failure.into()),
            };

            match answer.and_then(|answer| Ok(form.fold(answer)?)) {
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

/// The form of an event and of its answer: as the contract has them, or as a SageMaker pipeline can
/// carry them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Contract,
    Pipeline,
}

/// An answer in the form of its event.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Answer<R> {
    Contract(R),
    Pipeline(Value),
}

impl Form {
    fn of(payload: &Result<Value, String>) -> Self {
        match payload {
            Ok(event) if pipeline::is_from_pipeline(event) => Self::Pipeline,
            _ => Self::Contract,
        }
    }

    fn unfold(self, payload: Result<Value, String>) -> Result<Value, Failure> {
        let event =
            payload.map_err(|problem| Failure::new(FailureKind::InvalidRequest, problem))?;
        match self {
            Self::Contract => Ok(event),
            Self::Pipeline => pipeline::unfold(event),
        }
    }

    fn fold<R: Serialize>(self, answer: R) -> Result<Answer<R>, Failure> {
        match self {
            Self::Contract => Ok(Answer::Contract(answer)),
            Self::Pipeline => {
                let answer = serde_json::to_value(answer).map_err(|error| {
                    Failure::new(FailureKind::Internal, format!("the answer: {error}"))
                })?;
                pipeline::fold(answer).map(Answer::Pipeline)
            }
        }
    }
}

/// The event as the handler's type.
fn event_of<T: DeserializeOwned>(payload: Result<Value, Failure>) -> Result<T, Failure> {
    parse(payload?)
}

/// The error for a panic. The Lambda runtime would report it under the name of a Rust type, which
/// means nothing to an operator. The panic dropped what the handler held, for example an open
/// transaction, and the environment serves the next event.
fn panic_error(panic: &(dyn Any + Send)) -> StepError {
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

/// The run of an event: `run_id`, `run.run_id`, or the name of the execution, depending on the step and
/// on who sends it.
fn run_id_of(event: &Value) -> Option<&str> {
    ["/run_id", "/run/run_id", "/execution/Name", "/detail/name"]
        .into_iter()
        .find_map(|place| event.pointer(place)?.as_str())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use limit_increase_workflow::contract::ShardTask;
    use serde_json::json;

    #[tokio::test]
    async fn a_panic_is_a_failure_with_a_name() {
        let number = 0;
        let panic = AssertUnwindSafe(async { assert_eq!(number, 1, "the counts differ") })
            .catch_unwind()
            .await
            .unwrap_err();
        let error = panic_error(&*panic);
        assert_eq!(error.name, "Permanent.Internal");
        assert!(error.message.contains("the counts differ"), "{}", error.message);
        assert_eq!(panic_error(&"in a word").message, "panicked: in a word");
        assert_eq!(panic_error(&5).message, "panicked: without a message");
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
    fn an_event_of_another_type_is_refused_by_the_name_of_its_field() {
        let task = json!({"run": {"run_id": "nightly-1"}, "shard": {}});
        let failure = event_of::<ShardTask>(Ok(task)).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert_eq!(failure.message, "run: missing field `bucket`");

        let failure = event_of::<Value>(Ok(json!([]))).unwrap_err();
        assert_eq!(failure.message, "invalid type: array, expected an object");
        let unread = Form::Contract.unfold(Err("EOF while parsing".to_owned()));
        let failure = event_of::<Value>(unread).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
    }

    /// The handler knows the contract's form alone; the caller gets the form that it sent.
    #[test]
    fn an_answer_has_the_form_of_its_event() {
        let answer = json!({"sha256": "ab", "version_id": null});
        for (event, expected) in [
            (json!({"run_id": "a"}), answer.clone()),
            (
                json!({"run_id": "a", "caller": "sagemaker-pipeline"}),
                json!({"file": r#"{"sha256":"ab","version_id":null}"#}),
            ),
        ] {
            let payload = Ok(event);
            let form = Form::of(&payload);
            assert_eq!(form.unfold(payload).unwrap(), json!({"run_id": "a"}));
            let folded = form.fold(answer.clone()).unwrap();
            assert_eq!(serde_json::to_value(folded).unwrap(), expected);
        }

        assert_eq!(Form::of(&Err("EOF".to_owned())), Form::Contract);
    }

    #[test]
    fn a_handler_may_take_any_event() {
        let event = json!({"run_id": "a", "request": {"limit": 1}});
        assert_eq!(event_of::<Value>(Ok(event.clone())), Ok(event));
    }

    #[test]
    fn the_run_id_is_found_in_every_contract() {
        assert_eq!(run_id_of(&json!({"run_id": "a"})), Some("a"));
        assert_eq!(run_id_of(&json!({"run": {"run_id": "b"}})), Some("b"));
        assert_eq!(run_id_of(&json!({"execution": {"Name": "c"}})), Some("c"));
        assert_eq!(run_id_of(&json!({"detail": {"name": "d"}})), Some("d"));
        assert_eq!(run_id_of(&json!({"run": 5})), None);
    }

    #[test]
    fn a_long_message_is_cut_at_a_character() {
        let long = diagnostic(Failure::new(FailureKind::Internal, "ü".repeat(10_000)).into());
        assert_eq!(long.error_message.chars().count(), MAX_MESSAGE_CHARS);
        assert_eq!(long.error_type, "Permanent.Internal");
    }
}
