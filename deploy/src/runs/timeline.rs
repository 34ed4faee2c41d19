//! Turns the history of an execution into what an operator wants to know: which state was entered,
//! how long it took, and where the execution failed.
//!
//! It depends on the events alone, so that it can be tested without AWS.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sfn::types::{HistoryEvent, HistoryEventType};
use serde::Serialize;

/// The last state of a failed run; it fails on purpose with the failure that was recorded.
const FAILING_STATE: &str = "FailOrResume";

/// The state of an execution as far as its events have been seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Timeline {
    last_event: i64,
    /// The states that have not been left yet, with the time of their entry in milliseconds.
    entered: BTreeMap<String, i64>,
    /// The state that was entered last.
    current: Option<String>,
    failure: Option<StepFailure>,
    map_run: Option<String>,
    /// The number of attempts of the current state that have failed so far.
    attempts: u32,
}

/// One thing that happened in an execution and is worth showing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The execution entered a state.
    Entered {
        /// The name of the state.
        state: String,
    },
    /// The execution left a state.
    Left {
        /// The name of the state.
        state: String,
        /// The time between entry and exit.
        took: Duration,
    },
    /// An attempt of a state failed. The state machine decides whether there is another.
    Failed {
        /// The name of the state.
        state: String,
        /// The name of the error, for example `Permanent.ModelMissing`.
        error: String,
        /// The number of the attempt, counted from 1.
        attempt: u32,
    },
}

/// A failure in an execution. The last one seen is what ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StepFailure {
    /// The name of the state that failed.
    pub state: String,
    /// The name of the error, for example `Permanent.ModelMissing`.
    pub error: String,
    /// The cause as Step Functions gives it, often JSON.
    pub cause: String,
}

impl Timeline {
    /// Reads events of the history and returns what is worth showing. Events that were seen before
    /// are skipped.
    pub(crate) fn observe(&mut self, events: &[HistoryEvent]) -> Vec<Moment> {
        let mut moments = Vec::new();
        for event in events {
            if event.id() > self.last_event {
                self.last_event = event.id();
                moments.extend(self.event(event));
            }
        }

        moments
    }

    /// The ARN of the Distributed Map's run, once it has started.
    #[must_use]
    pub(crate) fn map_run(&self) -> Option<&str> {
        self.map_run.as_deref()
    }

    /// The state that was entered last, unless it has been left.
    #[must_use]
    pub(crate) fn current(&self) -> Option<&str> {
        self.current.as_deref().filter(|state| self.entered.contains_key(*state))
    }

    /// The failure that was seen last.
    #[must_use]
    pub(crate) fn failure(&self) -> Option<&StepFailure> {
        self.failure.as_ref()
    }

    fn event(&mut self, event: &HistoryEvent) -> Option<Moment> {
        let time = event.timestamp().to_millis().unwrap_or_default();
        if let Some(details) = event.state_entered_event_details() {
            let state = details.name().to_owned();
            self.entered.insert(state.clone(), time);
            self.current = Some(state.clone());
            self.attempts = 0;
            return Some(Moment::Entered { state });
        }

        if let Some(details) = event.state_exited_event_details() {
            let state = details.name().to_owned();
            let entered = self.entered.remove(&state).unwrap_or(time);
            let took = Duration::from_millis(u64::try_from(time - entered).unwrap_or_default());
            return Some(Moment::Left { state, took });
        }

        if let Some(details) = event.map_run_started_event_details() {
            self.map_run = details.map_run_arn().map(str::to_owned);
            return None;
        }

        if let Some(details) = event.execution_failed_event_details() {
            // The last state fails with the error of an earlier state, which `ended` knows.
            self.ended(details.error(), details.cause());
            return None;
        }

        if let Some(details) = event.execution_timed_out_event_details() {
            self.ended(details.error().or(Some("States.Timeout")), details.cause());
            return None;
        }

        if let Some(details) = event.execution_aborted_event_details() {
            self.ended(details.error().or(Some("Aborted")), details.cause());
            return None;
        }

        let (error, cause) = attempt_failure(event)?;
        let state = self.current.clone().unwrap_or_default();
        if state == FAILING_STATE && self.failure.is_some() {
            // This state fails on purpose and only repeats the failure that is known.
            return None;
        }

        self.attempts += 1;
        self.failure = Some(StepFailure { state: state.clone(), error: error.clone(), cause });
        Some(Moment::Failed { state, error, attempt: self.attempts })
    }

    /// Records the end of the execution. An error that was seen before keeps the name of its state.
    fn ended(&mut self, error: Option<&str>, cause: Option<&str>) {
        let state = match &self.failure {
            Some(failure) if error.is_none_or(|error| error == failure.error) => {
                failure.state.clone()
            }
            _ => self.current.clone().unwrap_or_default(),
        };

        self.failure = Some(StepFailure {
            state,
            error: error.unwrap_or("unknown").to_owned(),
            cause: cause.unwrap_or_default().to_owned(),
        });
    }
}

/// The error and the cause of an event that reports a failed attempt.
fn attempt_failure(event: &HistoryEvent) -> Option<(String, String)> {
    let owned = |error: Option<&str>, cause: Option<&str>| {
        Some((error.unwrap_or("unknown").to_owned(), cause.unwrap_or_default().to_owned()))
    };

    match event.r#type() {
        HistoryEventType::TaskFailed => event
            .task_failed_event_details()
            .and_then(|details| owned(details.error(), details.cause())),
        HistoryEventType::TaskTimedOut => event
            .task_timed_out_event_details()
            .and_then(|details| owned(details.error().or(Some("States.Timeout")), details.cause())),
        HistoryEventType::LambdaFunctionFailed => event
            .lambda_function_failed_event_details()
            .and_then(|details| owned(details.error(), details.cause())),
        HistoryEventType::MapRunFailed => event
            .map_run_failed_event_details()
            .and_then(|details| owned(details.error(), details.cause())),
        _ => None,
    }
}

/// The cause as readable text: the message inside Lambda's JSON, or other JSON with indentation, or
/// the text as it is.
#[must_use]
pub fn explain_cause(cause: &str) -> String {
    const NESTED_AT_MOST: usize = 4;
    let mut text = cause.trim().to_owned();
    for _ in 0..NESTED_AT_MOST {
        let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else { return text };
        let inner = ["errorMessage", "Cause", "cause", "message"]
            .into_iter()
            .find_map(|key| value.get(key).and_then(serde_json::Value::as_str));
        text = match (inner, &value) {
            (Some(inner), _) => inner.to_owned(),
            (None, serde_json::Value::String(inner)) => inner.clone(),
            (None, value) => return serde_json::to_string_pretty(value).unwrap_or(text),
        };
    }

    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_sdk_sfn::primitives::DateTime;
    use aws_sdk_sfn::types::builders::HistoryEventBuilder;
    use aws_sdk_sfn::types::{
        ExecutionFailedEventDetails, MapRunStartedEventDetails, StateEnteredEventDetails,
        StateExitedEventDetails, TaskFailedEventDetails,
    };

    use super::*;

    fn event(
        id: i64,
        kind: HistoryEventType,
        details: impl FnOnce(HistoryEventBuilder) -> HistoryEventBuilder,
    ) -> HistoryEvent {
        let base = HistoryEvent::builder()
            .id(id)
            .r#type(kind)
            .timestamp(DateTime::from_millis(1_000 * id));
        details(base).build().unwrap()
    }

    fn entered(id: i64, state: &str) -> HistoryEvent {
        let details = StateEnteredEventDetails::builder().name(state).build().unwrap();
        event(id, HistoryEventType::TaskStateEntered, |base| {
            base.state_entered_event_details(details)
        })
    }

    fn left(id: i64, state: &str) -> HistoryEvent {
        let details = StateExitedEventDetails::builder().name(state).build().unwrap();
        event(id, HistoryEventType::TaskStateExited, |base| {
            base.state_exited_event_details(details)
        })
    }

    fn task_failed(id: i64, error: &str) -> HistoryEvent {
        let details = TaskFailedEventDetails::builder()
            .resource_type("lambda")
            .resource("invoke")
            .error(error)
            .cause(r#"{"errorType":"x","errorMessage":"cannot connect to PostgreSQL"}"#)
            .build()
            .unwrap();
        event(id, HistoryEventType::TaskFailed, |base| base.task_failed_event_details(details))
    }

    #[test]
    fn states_are_shown_with_the_time_they_took() {
        let mut timeline = Timeline::default();
        let moments =
            timeline.observe(&[entered(1, "QueryBatchScores"), left(3, "QueryBatchScores")]);
        assert_eq!(
            moments,
            [
                Moment::Entered { state: "QueryBatchScores".to_owned() },
                Moment::Left { state: "QueryBatchScores".to_owned(), took: Duration::from_secs(2) },
            ]
        );

        assert_eq!(timeline.current(), None);
    }

    #[test]
    fn a_page_that_comes_again_shows_nothing_again() {
        let mut timeline = Timeline::default();
        let first = [entered(1, "QueryBatchScores")];
        assert_eq!(timeline.observe(&first).len(), 1);
        assert_eq!(timeline.observe(&first).len(), 0);
        assert_eq!(timeline.current(), Some("QueryBatchScores"));
    }

    #[test]
    fn attempts_that_fail_are_counted_until_the_next_state() {
        let mut timeline = Timeline::default();
        let events = [
            entered(1, "UpdateDatabase"),
            task_failed(2, "Transient.Database"),
            task_failed(3, "Transient.Database"),
        ];

        let attempts: Vec<u32> = timeline
            .observe(&events)
            .into_iter()
            .filter_map(|moment| {
                if let Moment::Failed { attempt, .. } = moment { Some(attempt) } else { None }
            })
            .collect();
        assert_eq!(attempts, [1, 2]);
    }

    #[test]
    fn the_failing_state_is_the_one_before_the_failure_was_recorded() {
        let mut timeline = Timeline::default();
        let failed = ExecutionFailedEventDetails::builder()
            .error("Permanent.ModelMissing")
            .cause(r#"{"errorMessage":"no model under models/x.tar.gz"}"#)
            .build();
        timeline.observe(&[
            entered(1, "QueryBatchScores"),
            task_failed(2, "Permanent.ModelMissing"),
            left(3, "QueryBatchScores"),
            entered(4, "RecordFailure"),
            left(5, "RecordFailure"),
            entered(6, "FailOrResume"),
            task_failed(7, "Permanent.ModelMissing"),
            event(8, HistoryEventType::ExecutionFailed, |base| {
                base.execution_failed_event_details(failed)
            }),
        ]);

        let failure = timeline.failure().unwrap();
        assert_eq!(
            (failure.state.as_str(), failure.error.as_str()),
            ("QueryBatchScores", "Permanent.ModelMissing")
        );

        assert_eq!(explain_cause(&failure.cause), "no model under models/x.tar.gz");
    }

    #[test]
    fn the_map_run_is_remembered() {
        let mut timeline = Timeline::default();
        let started = MapRunStartedEventDetails::builder().map_run_arn("arn:run").build();
        timeline.observe(&[event(1, HistoryEventType::MapRunStarted, |base| {
            base.map_run_started_event_details(started)
        })]);

        assert_eq!(timeline.map_run(), Some("arn:run"));
    }

    #[test]
    fn causes_are_unwrapped() {
        let cases = [
            ("plain text", "plain text"),
            (
                r#"{"errorType":"T","errorMessage":"limit: must be from 1","stackTrace":[]}"#,
                "limit: must be from 1",
            ),
            (r#"{"errorMessage":"{\"errorMessage\":\"inner\"}"}"#, "inner"),
            (r#""a string""#, "a string"),
            (r#"{"a":1}"#, "{\n  \"a\": 1\n}"),
            ("", ""),
        ];

        for (cause, expected) in cases {
            assert_eq!(explain_cause(cause), expected, "{cause}");
        }
    }
}
