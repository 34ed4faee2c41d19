//! Reading the event: a request or EventBridge's scheduled event, alone or in the envelope of the
//! state machine.

use aws_lambda_events::eventbridge::EventBridgeEvent;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use limit_increase_workflow::contract::Execution;
use limit_increase_workflow::document::parse;
use limit_increase_workflow::request::RequestError;
use limit_increase_workflow::{Failure, FailureKind, RunId, RunRequest};
use serde::Deserialize;
use serde_json::Value;

/// The largest request that is read. The state machine's own limit is 256 KiB.
const MAX_REQUEST_BYTES: usize = 64 * 1024;

/// What the state machine sends: its `$$.Execution`, with the input unchanged. The input is in it
/// once, because a payload has at most 256 KiB.
#[derive(Deserialize)]
struct StartedExecution {
    #[serde(rename = "Name")]
    name: RunId,
    #[serde(rename = "Input")]
    input: Value,
    #[serde(flatten)]
    execution: Execution,
}

/// What a caller sends who has no execution: the run's id and the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    run_id: RunId,
    request: Value,
}

/// A run to open.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunOrder {
    /// The run's id.
    pub(crate) run_id: RunId,
    /// What the run is asked to do.
    pub(crate) request: RunRequest,
    /// The run's business date.
    pub(crate) as_of: NaiveDate,
    /// The execution that opens the run.
    pub(crate) execution: Execution,
    /// What identifies the scheduled event that starts the run.
    pub(crate) scheduled_event: Option<String>,
    /// Whether the schedule asks for it, with the request that the deployment names.
    pub(crate) nightly: bool,
}

/// Reads an event of any of the accepted forms. Without an envelope, `request_id` names the run,
/// which is the id that Lambda gives to the invocation. A scheduled event stands for the request
/// `nightly`, under the date of the event.
///
/// A bad request is refused here, before anything is written (promise 10).
///
/// # Errors
/// `Permanent.InvalidRequest` with the name of the field, or `Permanent.InvalidPolicy`.
pub(crate) fn read(
    event: Value,
    request_id: &str,
    now: DateTime<Utc>,
    nightly: &Result<RunRequest, Failure>,
) -> Result<RunOrder, Failure> {
    let (run_id, execution, request) = unwrap(event, request_id)?;

    if request.to_string().len() > MAX_REQUEST_BYTES {
        let message = format!("the request is larger than {MAX_REQUEST_BYTES} bytes");
        return Err(Failure::new(FailureKind::InvalidRequest, message));
    }

    let is_nightly = is_eventbridge(&request);
    let (request, asked_at, scheduled_event) = if is_nightly {
        let event: EventBridgeEvent = parse(request)?;
        let scheduled_event = identity(&event);
        tracing::info!(
            source = event.source,
            detail_type = event.detail_type,
            "started by EventBridge"
        );

        (nightly.clone()?, event.time.unwrap_or(now), scheduled_event)
    } else {
        (parse(request)?, now, None)
    };

    if let Err(error) = request.validate() {
        let kind = match error {
            RequestError::Policy(_) => FailureKind::InvalidPolicy,
            _ => FailureKind::InvalidRequest,
        };

        return Err(Failure::new(kind, error.to_string()));
    }

    let as_of = request.as_of.unwrap_or_else(|| asked_at.date_naive());
    Ok(RunOrder { run_id, as_of, request, nightly: is_nightly, execution, scheduled_event })
}

/// The run's id, the execution and the request in an event of any form.
fn unwrap(event: Value, request_id: &str) -> Result<(RunId, Execution, Value), Failure> {
    if let Some(execution) = event.get("execution") {
        let started: StartedExecution = parse(execution.clone())?;
        return Ok((started.name, started.execution, started.input));
    }

    if event.get("run_id").is_some() && event.get("request").is_some() {
        let envelope: Envelope = parse(event)?;
        return Ok((envelope.run_id, Execution::default(), envelope.request));
    }

    let run_id = RunId::try_from(request_id.to_owned())
        .map_err(|error| Failure::new(FailureKind::InvalidRequest, error.to_string()))?;
    Ok((run_id, Execution::default(), event))
}

/// What two deliveries of one event have in common. EventBridge may trigger a rule more than once
/// for one scheduled time, and such events differ in their id. So a scheduled event is its rule and
/// its time.
fn identity(event: &EventBridgeEvent) -> Option<String> {
    let rule = event.resources.as_ref().and_then(|resources| resources.first()).map(String::as_str);
    match (event.detail_type.as_str(), rule, event.time) {
        ("Scheduled Event", Some(rule), Some(time)) => {
            Some(format!("{rule} at {}", time.to_rfc3339_opts(SecondsFormat::Secs, true)))
        }
        _ => event.id.clone(),
    }
}

/// Whether this is an event of EventBridge. A request has neither of these fields.
fn is_eventbridge(request: &Value) -> bool {
    request.get("detail-type").is_some() && request.get("source").is_some()
}

#[cfg(test)]
mod events;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    fn now() -> DateTime<Utc> {
        "2026-11-24T02:00:07Z".parse().unwrap()
    }

    fn scheduled() -> Value {
        json!({
            "version": "0", "id": "89d1a02d-5ec7-412e-82f5-13505f849b41", "detail-type": "Scheduled Event",
            "source": "aws.events", "account": "123456789012", "time": "2026-11-23T02:00:00Z", "region": "us-east-1",
            "resources": ["arn:aws:events:us-east-1:123456789012:rule/LimitIncreaseDailySchedule"], "detail": {}
        })
    }

    fn read(event: Value, request_id: &str, now: DateTime<Utc>) -> Result<RunOrder, Failure> {
        super::read(event, request_id, now, &Ok(RunRequest::default()))
    }

    #[test]
    fn the_scheduled_event_asks_for_what_the_deployment_names() {
        let nightly = RunRequest { limit: None, shard_size: 7, ..RunRequest::default() };
        let event = json!({"run_id": "night", "request": scheduled()});
        let order = super::read(event, "x", now(), &Ok(nightly.clone())).unwrap();
        assert!(order.nightly);
        assert_eq!((&order.request, order.as_of.to_string().as_str()), (&nightly, "2026-11-23"));

        let by_hand = super::read(json!({}), "x", now(), &Ok(nightly)).unwrap();
        assert!(!by_hand.nightly);
        assert_eq!(by_hand.request, RunRequest::default());
    }

    #[test]
    fn the_scheduled_event_is_the_default_request_of_its_own_day() {
        let order = read(json!({"run_id": "night", "request": scheduled()}), "x", now()).unwrap();
        assert_eq!(order.run_id.as_str(), "night");
        assert_eq!(order.request, RunRequest::default());
        assert_eq!(order.as_of.to_string(), "2026-11-23");
    }

    #[test]
    fn without_an_envelope_lambda_names_the_run() {
        let order = read(scheduled(), "req-1", now()).unwrap();
        assert_eq!((order.run_id.as_str(), order.request.limit), ("req-1", Some(20)));
        let order = read(json!({}), "req-2", now()).unwrap();
        assert_eq!(
            (order.run_id.as_str(), order.as_of.to_string().as_str()),
            ("req-2", "2026-11-24")
        );
    }

    #[test]
    fn an_array_is_not_a_request() {
        for event in [json!([]), json!({"run_id": "r", "request": []})] {
            let failure = read(event, "x", now()).unwrap_err();
            assert_eq!(failure.message, "invalid type: array, expected an object");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (json!({"run_id": "r", "request": {"limit": 0}}), "limit: must be from 1"),
            (json!({"run_id": "r", "request": {"limit": "5"}}), "limit: invalid type"),
            (json!({"run_id": "r", "request": {"colour": "red"}}), "colour: unknown field"),
            (json!({"run_id": "r", "request": 5}), "invalid type"),
            (json!({"run_id": "a/b", "request": {}}), "run_id: "),
            (json!({"run_id": "r", "request": {"as_of": "2026-13-01"}}), "as_of: "),
            (
                json!({"run_id": "r", "request": {"policy": {"round_down_to": "0"}}}),
                "policy.round_down_to: must",
            ),
            (json!({"run_id": "r", "request": {}, "more": 1}), "more: unknown field"),
            (json!({"run_id": "r", "request": {"x": "y".repeat(70_000)}}), "the request is larger"),
        ];

        for (event, expected) in cases {
            let failure = read(event.clone(), "x", now()).unwrap_err();
            assert!(failure.message.starts_with(expected), "{event}: {}", failure.message);
            assert!(!failure.kind.is_transient());
        }
    }
}
