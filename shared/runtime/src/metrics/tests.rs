#![allow(clippy::unwrap_used)]
use limit_increase_domain::{Counts, Policy};
use limit_increase_workflow::{ModelPin, Release, RunStatus};

use super::*;

fn run() -> RunId {
    RunId::try_from("night".to_owned()).unwrap()
}

fn summary(counts: Counts, dry_run: bool) -> RunSummary {
    RunSummary {
        run_id: run(),
        status: RunStatus::Succeeded,
        as_of: "2026-11-24".parse().unwrap(),
        dry_run,
        eligible: counts.total(),
        counts,
        total_increase: "12500.00".parse().unwrap(),
        shard_count: 1,
        model: ModelPin {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            version_id: None,
            etag: "e".to_owned(),
            sha256: "s".to_owned(),
        },
        policy: Policy::default(),
        policy_sha256: "p".to_owned(),
        release: Release::default(),
        started_at: "2026-11-24T02:00:07Z".parse().unwrap(),
        finished_at: "2026-11-24T02:01:08.250Z".parse().unwrap(),
    }
}

#[test]
fn the_drift_of_a_run_is_told_with_its_other_metrics() {
    let drift = DriftFigures {
        score_psi: Some(0.02),
        score_ratio: Some(1.25),
        worst_csi: None,
        worst_ratio: None,
        most_missing: 0.125,
        most_unseen: 0.0,
    };
    let counts = Counts { approved: 1, ..Counts::default() };
    let line = run_closed_line(&summary(counts, false), Some(&drift), "INFO");
    let told = |name: &str| line.get(name).and_then(Value::as_f64);
    assert_eq!((told("ScorePsi"), told("ScoreDriftRatio")), (Some(0.02), Some(1.25)));
    assert_eq!((told("MissingShare"), told("UnseenShare")), (Some(12.5), Some(0.0)));
    assert_eq!(told("InputDriftRatio"), None, "what is not known is no metric");

    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    assert!(metrics.iter().any(|one| one["Name"] == "ScoreDriftRatio"), "{line}");
}

#[test]
fn a_closed_run_is_told_in_the_embedded_metric_format() {
    let line = run_closed_line(
        &summary(Counts { approved: 10, declined: 9, referred: 1, stale: 5 }, false),
        None,
        "WARN",
    );

    let expected = json!({
        "_aws": {
            "Timestamp": 1_795_485_668_250_i64,
            "CloudWatchMetrics": [{
                "Namespace": "LimitIncrease",
                "Dimensions": [["Mode"]],
                "Metrics": [
                    {"Name": "Eligible", "Unit": "Count"},
                    {"Name": "Decided", "Unit": "Count"},
                    {"Name": "Approved", "Unit": "Count"},
                    {"Name": "Declined", "Unit": "Count"},
                    {"Name": "Referred", "Unit": "Count"},
                    {"Name": "Stale", "Unit": "Count"},
                    {"Name": "RunSeconds", "Unit": "Seconds"},
                    {"Name": "ApprovedShare", "Unit": "Percent"},
                    {"Name": "ReferredShare", "Unit": "Percent"},
                ],
            }],
        },
        "timestamp": "2026-11-24T02:01:08.250Z",
        "level": "WARN",
        "message": "run closed",
        "run_id": "night",
        "Mode": "Live",
        "Eligible": 25, "Decided": 20, "Approved": 10, "Declined": 9, "Referred": 1, "Stale": 5,
        "RunSeconds": 61.25, "ApprovedShare": 50.0, "ReferredShare": 5.0,
    });

    assert_eq!(line, expected);
    assert!(!line.to_string().contains('\n'), "one line, or it is no metric");
}

#[test]
fn a_run_that_decided_nobody_has_no_shares() {
    let line =
        run_closed_line(&summary(Counts { stale: 3, ..Counts::default() }, true), None, "INFO");
    assert_eq!(
        (&line["Mode"], &line["Decided"], &line["Stale"]),
        (&json!("DryRun"), &json!(0), &json!(3))
    );

    let told = line.to_string();
    assert!(!told.contains("Share") && !told.contains("null"), "{told}");
}

#[test]
fn a_failure_is_told_in_all_and_by_its_name() {
    let now = "2026-11-24T02:01:08.250Z".parse().unwrap();
    let expected = json!({
        "_aws": {
            "Timestamp": 1_795_485_668_250_i64,
            "CloudWatchMetrics": [{
                "Namespace": "LimitIncrease",
                "Dimensions": [[], ["Error"]],
                "Metrics": [{"Name": "Failures", "Unit": "Count"}],
            }],
        },
        "timestamp": "2026-11-24T02:01:08.250Z",
        "level": "INFO",
        "message": "failure recorded",
        "run_id": "night",
        "Error": "Permanent.ModelMissing",
        "Failures": 1,
    });

    assert_eq!(failure_line(&run(), "Permanent.ModelMissing", now, "INFO"), expected);
    for odd in ["", "für", "two words", "line\nline", &"x".repeat(200)] {
        assert_eq!(failure_line(&run(), odd, now, "INFO")["Error"], "Other", "{odd:?}");
    }
}

#[test]
fn open_runs_are_told_without_a_dimension_so_that_the_alarm_finds_them() {
    let now = "2026-11-24T04:30:07Z".parse().unwrap();
    let open = OpenRuns { count: 2, oldest: Some(run()), oldest_seconds: 9000.0 };
    let line = open_runs_line(&open, now, "INFO");
    assert_eq!(line["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([[]]));
    assert_eq!(
        (&line["run_id"], &line["OpenRuns"], &line["OldestOpenRunMinutes"]),
        (&json!("night"), &json!(2), &json!(150.0))
    );

    let none = open_runs_line(&OpenRuns::default(), now, "INFO");
    assert_eq!((&none["run_id"], &none["OldestOpenRunMinutes"]), (&json!(""), &json!(0.0)));
}
