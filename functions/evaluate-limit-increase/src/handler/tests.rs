#![allow(clippy::unwrap_used)]
use limit_increase_domain::CreditScore;
use limit_increase_workflow::document::parse;
use rust_decimal::Decimal;

use super::*;

/// The event of `events/evaluate-limit-increase.json`.
fn task() -> EvaluateTask {
    let event = include_str!("../../../../events/evaluate-limit-increase.json");
    parse(serde_json::from_str(event).unwrap()).unwrap()
}

#[test]
fn the_event_of_the_folder_events_is_a_task() {
    let EvaluateTask { run, shard, .. } = task();
    assert_eq!((shard.index.0, shard.rows), (0, 20));
    check_policy(&run).unwrap();
}

#[test]
fn a_policy_other_than_that_of_the_run_is_refused() {
    let mut run = task().run;
    run.policy.minimum_score = CreditScore::new(0);
    let failure = check_policy(&run).unwrap_err();
    assert_eq!(failure.kind, FailureKind::InvalidPolicy);
    assert!(failure.message.contains(&run.policy_sha256), "{}", failure.message);
}

#[test]
fn a_policy_that_is_not_valid_is_refused_even_with_its_own_hash() {
    let mut run = task().run;
    run.policy.round_down_to = Decimal::ZERO;
    run.policy_sha256 = run.policy.sha256();
    let failure = check_policy(&run).unwrap_err();
    assert_eq!(failure.kind, FailureKind::InvalidPolicy);
    assert!(failure.message.contains("round_down_to"), "{}", failure.message);
}
