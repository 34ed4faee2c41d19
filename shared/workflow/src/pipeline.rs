//! The messages of the steps in the form that a SageMaker pipeline can carry.
//!
//! A Lambda step of a pipeline sends texts, numbers and booleans, and keeps of an answer only such
//! fields, each with at most [`MAX_TEXT`] characters. The messages of [`crate::contract`] nest. So
//! an event of a pipeline names its caller, and then it is unfolded before a function reads it, and
//! the answer is folded. The functions themselves know one form of each message.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::contract::{Execution, FailureReport};
use crate::failure::{Failure, FailureKind};
use crate::run::RunId;

/// The text of the field `caller` in an event of a pipeline.
const CALLER: &str = "sagemaker-pipeline";
/// The longest text that a step of a pipeline passes on: `OutputParameter` of SageMaker's API.
const MAX_TEXT: usize = 1_024;
/// The parameters of a pipeline always have a value. These two stand for a field that is left out.
const DEFAULT_POLICY: &str = "in force";
const DEFAULT_DATE: &str = "today";
/// A run of a pipeline is called like its execution, with this before it.
const RUN_PREFIX: &str = "pipeline-";

/// Whether the event comes from a step of a pipeline.
#[must_use]
pub fn is_from_pipeline(event: &Value) -> bool {
    event.get("caller").and_then(Value::as_str) == Some(CALLER)
}

/// The event of the contract that an event of a pipeline stands for.
///
/// The event that opens a run has the fields of the request beside `run_id`. In every other event
/// the texts of `run`, `model`, `policy`, `shard`, `scored` and `evaluations` are JSON. `run` is
/// without its model and its policy, because each text has to be short.
///
/// # Errors
/// `Permanent.InvalidRequest` with the name of a field whose text is not JSON, or
/// `Permanent.InvalidPolicy`.
pub fn unfold(event: Value) -> Result<Value, Failure> {
    let Value::Object(mut event) = event else { return Ok(event) };
    event.remove("caller");
    if !event.contains_key("run") {
        return unfold_request(event);
    }

    for name in ["run", "model", "policy", "shard", "scored", "evaluations"] {
        if let Some(text) = event.get_mut(name) {
            *text = read_text(name, text, FailureKind::InvalidRequest)?;
        }
    }

    let parts = ["model", "policy"].map(|name| (name, event.remove(name)));
    if let Some(run) = event.get_mut("run").and_then(Value::as_object_mut) {
        for (name, part) in parts {
            run.extend(part.map(|part| (name.to_owned(), part)));
        }
    }

    Ok(Value::Object(event))
}

/// The event that opens a run: its id, and the request without what is left out. An event without a
/// limit is one of another action, which is flat already.
fn unfold_request(mut event: Map<String, Value>) -> Result<Value, Failure> {
    if !event.contains_key("limit") {
        return Ok(Value::Object(event));
    }

    let run_id = event.remove("run_id");
    if event.get("as_of").and_then(Value::as_str) == Some(DEFAULT_DATE) {
        event.remove("as_of");
    }

    match event.remove("policy") {
        None => {}
        Some(text) if text.as_str() == Some(DEFAULT_POLICY) => {}
        Some(text) => {
            let policy = read_text("policy", &text, FailureKind::InvalidPolicy)?;
            event.insert("policy".to_owned(), policy);
        }
    }

    Ok(json!({ "run_id": run_id, "request": event }))
}

fn read_text(name: &str, text: &Value, kind: FailureKind) -> Result<Value, Failure> {
    let read = text.as_str().map(serde_json::from_str).unwrap_or_else(|| Ok(text.clone()));
    read.map_err(|error| Failure::new(kind, format!("{name}: not JSON: {error}")))
}

/// The answer of the contract, as a step of a pipeline can carry it: an object or an array is its
/// JSON as text, and `null` is an empty text, because a step has to answer each output that it
/// declares. The file of a hand-off is one text, so that the next step gets it as it is.
///
/// # Errors
/// `Permanent.InvalidRequest` with the name of a field that is too long. A run with such a policy
/// has to be started with Step Functions.
pub fn fold(answer: Value) -> Result<Value, Failure> {
    let Value::Object(mut answer) = answer else { return Ok(answer) };
    if answer.contains_key("sha256") {
        answer = Map::from_iter([("file".to_owned(), Value::Object(answer))]);
    }

    let parts = ["model", "policy"].map(|name| {
        let run = answer.get_mut("run").and_then(Value::as_object_mut);
        (name, run.and_then(|run| run.remove(name)))
    });
    for (name, part) in parts {
        answer.extend(part.map(|part| (name.to_owned(), part)));
    }

    let mut folded = Map::new();
    for (name, value) in answer {
        let value = match value {
            Value::Null => Value::String(String::new()),
            Value::Object(_) | Value::Array(_) => Value::String(value.to_string()),
            scalar => scalar,
        };

        check_length(&name, &value)?;
        folded.insert(name, value);
    }

    Ok(Value::Object(folded))
}

fn check_length(name: &str, value: &Value) -> Result<(), Failure> {
    let length = value.as_str().map_or(0, |text| text.chars().count());
    if length <= MAX_TEXT {
        return Ok(());
    }

    let message = format!(
        "{name}: has {length} characters as JSON, and a SageMaker pipeline carries at most \
         {MAX_TEXT}; start this run with Step Functions (limit-increase run)"
    );
    Err(Failure::new(FailureKind::InvalidRequest, message))
}

/// EventBridge's event about the status of a pipeline's execution, or of one of its steps.
///
/// A pipeline has no Catch: a step that fails ends the execution. So this event is what tells the
/// ledger.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct StatusChanged {
    /// The details.
    pub detail: ChangedStatus,
}

/// The part of the details that the steps read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangedStatus {
    /// ARN of the execution.
    pub pipeline_execution_arn: String,
    /// Name of the step, in an event about a step.
    #[serde(default)]
    pub step_name: Option<String>,
    /// Why the step failed.
    #[serde(default)]
    pub failure_reason: Option<String>,
    /// Status of the step, in an event about a step.
    #[serde(default)]
    pub current_step_status: Option<String>,
    /// Status of the execution, in an event about an execution.
    #[serde(default)]
    pub current_pipeline_execution_status: Option<String>,
}

impl StatusChanged {
    /// Whether an event of EventBridge is about a pipeline. It may be about a step or an execution.
    #[must_use]
    pub fn is_detail_type(detail_type: &str) -> bool {
        detail_type.starts_with("SageMaker Model Building Pipeline Execution ")
    }

    /// The failure to record.
    ///
    /// # Errors
    /// `Permanent.InvalidRequest` when the status is not that of an end without success, or the
    /// ARN has no id that can be a run's.
    pub fn into_report(self) -> Result<FailureReport, Failure> {
        let invalid = |message: String| Failure::new(FailureKind::InvalidRequest, message);
        let ChangedStatus { pipeline_execution_arn: arn, step_name, failure_reason, .. } =
            self.detail;
        let status =
            self.detail.current_step_status.or(self.detail.current_pipeline_execution_status);
        let error = match status.as_deref() {
            Some("Failed") => failure_reason
                .as_deref()
                .and_then(|reason| {
                    FailureKind::ALL.iter().find(|kind| reason.contains(kind.name()))
                })
                .map_or("Pipeline.Failed", |kind| kind.name()),
            Some("Stopped") => "Pipeline.Stopped",
            other => {
                let found = other.unwrap_or("nothing");
                return Err(invalid(format!(
                    "detail: a status of Failed or Stopped is recorded, found {found}"
                )));
            }
        };

        let execution = arn.rsplit('/').next().unwrap_or_default();
        let run_id = RunId::try_from(format!("{RUN_PREFIX}{execution}"))
            .map_err(|error| invalid(format!("detail.pipelineExecutionArn: {error}")))?;
        let cause = match (step_name, failure_reason) {
            (Some(step), Some(reason)) => format!("step {step}: {reason}"),
            (Some(step), None) => format!("step {step} ended without a reason: {arn}"),
            (None, _) => format!("The pipeline ended without success: {arn}"),
        };

        Ok(FailureReport {
            run_id,
            error: error.to_owned(),
            cause,
            execution: Some(Execution::default()),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::contract::{ApplyTask, EvaluateTask, RunOpened, ShardTask};
    use crate::document::parse;
    use serde::Serialize;

    fn text(value: &impl Serialize) -> Value {
        Value::String(serde_json::to_string(value).unwrap())
    }

    fn task() -> ShardTask {
        let event = include_str!("../../../events/score-customers.json");
        parse(serde_json::from_str(event).unwrap()).unwrap()
    }

    fn opened() -> RunOpened {
        let ShardTask { run, shard } = task();
        let shards = crate::ObjectRef { bucket: run.bucket.clone(), key: "list".to_owned() };
        RunOpened { run, eligible: 20, shard_count: 1, remaining: 1, shards, shard: Some(shard) }
    }

    #[test]
    fn what_the_first_step_answers_is_what_every_later_step_gets() {
        let answer = fold(serde_json::to_value(opened()).unwrap()).unwrap();
        for (name, value) in answer.as_object().unwrap() {
            assert!(value.is_string() || value.is_number(), "{name}: {value}");
        }

        assert_eq!((&answer["eligible"], &answer["remaining"]), (&json!(20), &json!(1)));
        let mut event = json!({ "caller": CALLER });
        for name in ["run", "model", "policy", "shard"] {
            event[name] = answer[name].clone();
        }

        assert!(is_from_pipeline(&event));
        assert_eq!(parse::<ShardTask>(unfold(event.clone()).unwrap()).unwrap(), task());

        // The file of a hand-off goes on as one text, whether the bucket has versions or not.
        for version in [Value::Null, json!("v1")] {
            let file = json!({ "sha256": "ab", "version_id": version });
            let answer = fold(file.clone()).unwrap();
            let mut next = event.clone();
            next["scored"] = answer["file"].clone();
            let task: EvaluateTask = parse(unfold(next).unwrap()).unwrap();
            assert_eq!(serde_json::to_value(task.scored).unwrap(), file);

            let mut next = event.clone();
            next["evaluations"] = answer["file"].clone();
            next["action"] = json!("apply_shard");
            let mut unfolded = unfold(next).unwrap();
            assert_eq!(unfolded["action"], "apply_shard");
            unfolded.as_object_mut().unwrap().remove("action");
            let task: ApplyTask = parse(unfolded).unwrap();
            assert_eq!(serde_json::to_value(task.evaluations).unwrap(), file);
        }
    }

    #[test]
    fn the_parameters_of_a_pipeline_are_a_request() {
        let event = |as_of: &str, policy: &str| {
            json!({
                "caller": CALLER, "run_id": "pipeline-1", "limit": 20, "shard_size": 25000,
                "dry_run": false, "as_of": as_of, "policy": policy,
            })
        };

        let request = json!({ "limit": 20, "shard_size": 25000, "dry_run": false });
        let expected = json!({ "run_id": "pipeline-1", "request": request });
        assert_eq!(unfold(event("today", "in force")).unwrap(), expected);

        let asked = unfold(event("2026-11-24", r#"{"minimum_score": 660}"#)).unwrap();
        assert_eq!(asked["request"]["as_of"], "2026-11-24");
        assert_eq!(asked["request"]["policy"], json!({ "minimum_score": 660 }));

        let failure = unfold(event("today", "{")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidPolicy);
        assert!(failure.message.starts_with("policy: not JSON"), "{}", failure.message);
    }

    #[test]
    fn a_night_without_customers_answers_every_output() {
        let RunOpened { run, shards, .. } = opened();
        let empty =
            RunOpened { run, eligible: 0, shard_count: 0, remaining: 0, shards, shard: None };
        let answer = fold(serde_json::to_value(empty).unwrap()).unwrap();
        assert_eq!((&answer["shard"], &answer["remaining"]), (&json!(""), &json!(0)));
    }

    #[test]
    fn an_event_of_another_caller_is_left_alone() {
        for event in [json!({}), json!([]), json!({ "caller": "me" }), json!({ "caller": 5 })] {
            assert!(!is_from_pipeline(&event), "{event}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_pipeline_is_named() {
        let fits = "x".repeat(MAX_TEXT);
        assert_eq!(fold(json!({ "policy": fits })).unwrap()["policy"], json!(fits));
        let long = json!({ "run": { "policy": { "tiers": "x".repeat(MAX_TEXT) } } });
        let failure = fold(long).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert!(failure.message.starts_with("policy: has 1036 characters"), "{}", failure.message);
        assert!(failure.message.contains("Step Functions"), "{}", failure.message);
    }

    #[test]
    fn a_text_that_is_not_json_is_refused_by_its_name() {
        let run = text(&task().run);
        let failure = unfold(json!({ "caller": CALLER, "run": run, "shard": "x" })).unwrap_err();
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert!(failure.message.starts_with("shard: not JSON"), "{}", failure.message);
    }

    fn report(detail: Value) -> Result<FailureReport, Failure> {
        parse::<StatusChanged>(json!({ "detail": detail })).unwrap().into_report()
    }

    #[test]
    fn the_end_of_a_pipeline_is_a_failure_of_its_run() {
        let arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/p4jn9xou8a8s";
        let cases = [
            (
                json!({ "stepName": "QueryBatchScores", "currentStepStatus": "Failed",
                        "failureReason": "Permanent.ModelMissing: no model" }),
                "Permanent.ModelMissing",
                "step QueryBatchScores: Permanent.ModelMissing: no model",
            ),
            (
                json!({ "stepName": "UpdateDatabase", "currentStepStatus": "Failed",
                        "failureReason": "timed out" }),
                "Pipeline.Failed",
                "step UpdateDatabase: timed out",
            ),
            (
                json!({ "currentPipelineExecutionStatus": "Stopped",
                        "executionStartTime": "2026-11-25T02:00:00Z" }),
                "Pipeline.Stopped",
                "The pipeline ended without success: arn:",
            ),
        ];

        for (mut detail, error, cause) in cases {
            detail["pipelineExecutionArn"] = json!(arn);
            let report = report(detail.clone()).unwrap();
            assert_eq!(report.run_id.as_str(), "pipeline-p4jn9xou8a8s");
            assert_eq!(report.error, error, "{detail}");
            assert!(report.cause.starts_with(cause), "{}", report.cause);
            assert!(report.execution.is_some(), "it is the run's end, not a shard's");
        }
    }

    #[test]
    fn a_status_that_is_no_end_is_refused() {
        let arn = "arn:aws:sagemaker:us-east-1:123456789012:pipeline/p/execution/e";
        for detail in [
            json!({ "pipelineExecutionArn": arn, "currentStepStatus": "Executing" }),
            json!({ "pipelineExecutionArn": arn }),
        ] {
            assert!(report(detail).unwrap_err().message.starts_with("detail: "));
        }

        let failure =
            report(json!({ "pipelineExecutionArn": "a/b c", "currentStepStatus": "Failed" }))
                .unwrap_err();
        assert!(failure.message.starts_with("detail.pipelineExecutionArn: "));
    }
}
