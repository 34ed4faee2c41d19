//! The fixtures of the folder `events/` are requests that this function accepts.
#![allow(clippy::unwrap_used)]
use super::*;

fn order(event: &str) -> RunOrder {
    let now = "2026-11-30T12:00:00Z".parse().unwrap();
    read(serde_json::from_str(event).unwrap(), "request-1", now, &Ok(RunRequest::default()))
        .unwrap()
}

#[test]
fn the_manual_event_asks_for_a_dry_run_of_twenty() {
    let order = order(include_str!("../../../../events/query-batch-scores.json"));
    assert_eq!(order.run_id.as_str(), "manual-20261125T020212-250");
    assert_eq!((order.request.limit, order.request.dry_run), (Some(20), true));
    assert_eq!(order.as_of.to_string(), "2026-11-25");
}

#[test]
fn the_event_of_a_pipeline_asks_for_a_dry_run_of_twenty() {
    let event = include_str!("../../../../events/query-batch-scores-pipeline.json");
    let event: Value = serde_json::from_str(event).unwrap();
    assert!(limit_increase_workflow::pipeline::is_from_pipeline(&event));
    let event = limit_increase_workflow::pipeline::unfold(event).unwrap();
    let order = order(&event.to_string());
    assert_eq!(order.run_id.as_str(), "pipeline-p4jn9xou8a8s");
    assert_eq!(order.request, RunRequest { dry_run: true, ..RunRequest::default() });
}

#[test]
fn the_scheduled_event_asks_for_the_default_run_of_its_own_day() {
    let order = order(include_str!("../../../../events/query-batch-scores-scheduled.json"));
    assert_eq!(order.request, RunRequest::default());
    assert_eq!(order.as_of.to_string(), "2026-11-25");
}
