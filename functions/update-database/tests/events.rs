//! Each fixture `events/update-database-*.json` is a task of this function, one for each action.
#![allow(clippy::unwrap_used)]
use limit_increase_workflow::contract::{ExecutionEnded, FailureReport, UpdateTask};
use limit_increase_workflow::document::parse;
use limit_increase_workflow::pipeline::StatusChanged;

const RUN: &str = "manual-20261125T020212-250";

fn task(event: &str) -> UpdateTask {
    parse(serde_json::from_str(event).unwrap()).unwrap()
}

#[test]
fn apply_shard() {
    let task = task(include_str!("../../../events/update-database-apply-shard.json"));
    assert!(matches!(task, UpdateTask::ApplyShard(task)
        if task.run.run_id.as_str() == RUN && task.shard.rows == 20));
}

#[test]
fn finish_run() {
    let task = task(include_str!("../../../events/update-database-finish-run.json"));
    assert!(matches!(task, UpdateTask::FinishRun(opened)
        if opened.run.run_id.as_str() == RUN && (opened.eligible, opened.shard_count) == (20, 1)));
}

#[test]
fn record_failure() {
    let task = task(include_str!("../../../events/update-database-record-failure.json"));
    assert!(matches!(task, UpdateTask::RecordFailure(report)
        if report.run_id.as_str() == RUN
            && report.error == "Permanent.ModelMissing"
            && report.execution.is_some()));
}

#[test]
fn migrate() {
    let task = task(include_str!("../../../events/update-database-migrate.json"));
    assert_eq!(task, UpdateTask::Migrate);
}

#[test]
fn execution_ended() {
    let event = include_str!("../../../events/update-database-execution-ended.json");
    let ended: ExecutionEnded = parse(serde_json::from_str(event).unwrap()).unwrap();
    let report = FailureReport::from(ended.detail);
    assert_eq!((report.run_id.as_str(), report.error.as_str()), (RUN, "TIMED_OUT"));
    assert!(report.cause.ends_with(RUN), "{}", report.cause);
    let execution = report.execution.unwrap();
    assert_eq!(execution.redrive_count, 0);
    assert_eq!(execution.start_time.unwrap().to_rfc3339(), "2026-11-25T02:02:12.250+00:00");
}

#[test]
fn pipeline_step_failed() {
    let event = include_str!("../../../events/update-database-pipeline-step-failed.json");
    let event: serde_json::Value = serde_json::from_str(event).unwrap();
    assert!(StatusChanged::is_detail_type(event["detail-type"].as_str().unwrap()));
    let report = parse::<StatusChanged>(event).unwrap().into_report().unwrap();
    assert_eq!(report.run_id.as_str(), "pipeline-p4jn9xou8a8s");
    assert_eq!(report.error, "Permanent.ModelMissing");
    assert!(report.cause.starts_with("step QueryBatchScores: Permanent."), "{}", report.cause);
}

#[test]
fn report_open_runs() {
    let task = task(include_str!("../../../events/update-database-report-open-runs.json"));
    assert_eq!(task, UpdateTask::ReportOpenRuns);
}

#[test]
fn fail_or_resume_resumes() {
    let task = task(include_str!("../../../events/update-database-fail-or-resume.json"));
    assert!(matches!(task, UpdateTask::FailOrResume(task)
        if task.run_id.as_str() == RUN
            && task.failure.recorded
            && task.execution.redrive_count == 1));
}
