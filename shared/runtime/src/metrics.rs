//! Metrics for CloudWatch, in its embedded metric format: one line of JSON on standard output,
//! which CloudWatch Logs turns into metrics. This needs no call, no permission and no client.
//!
//! What lives here: names and units, and the exact form of the lines. The alarms that read them are
//! in `cloudformation/infrastructure.yml`; `docs/runbook.md` explains them.

use std::io::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use limit_increase_workflow::contract::OpenRuns;
use limit_increase_workflow::{RunId, RunSummary};
use serde_json::{Map, Value, json};

use crate::environment;

/// The namespace of every metric, unless `METRIC_NAMESPACE` names another. Two stages in an account
/// must not raise each other's alarms.
pub const NAMESPACE: &str = "LimitIncrease";
/// A dimension's value may have 1024 characters. The names of our errors are far shorter, so a
/// longer one is counted as `Other`.
const MAX_ERROR_CHARS: usize = 128;

/// How far a run's customers are from the rows that the model was trained with.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct DriftFigures {
    /// The stability index of the scores.
    pub score_psi: Option<f64>,
    /// The same as a multiple of its limit (`limit_increase_report::drift`).
    pub score_ratio: Option<f64>,
    /// The stability index of the input that has drifted most.
    pub worst_csi: Option<f64>,
    /// The same as a multiple of its limit (`limit_increase_report::drift`).
    pub worst_ratio: Option<f64>,
    /// The largest share of missing values beyond that of the training rows, from 0 to 1.
    pub most_missing: f64,
    /// The largest share of values that the model cannot read, from 0 to 1.
    pub most_unseen: f64,
}

/// Tells CloudWatch how a successful run ended.
///
/// The dimension `Mode` separates dry runs, so trying a policy raises no alarm. If a run is
/// reported twice, both data points have the time at which it closed. The alarms look at the
/// largest value of a period, so they see the run once.
pub fn run_closed(summary: &RunSummary, drift: Option<&DriftFigures>) {
    write(&run_closed_line(summary, drift, &level()));
}

/// Tells CloudWatch that a failure was recorded in the ledger: of a shard, or of a run.
pub fn failure_recorded(run: &RunId, error: &str) {
    write(&failure_line(run, error, Utc::now(), &level()));
}

/// Tells CloudWatch which runs are open. The alarm for a run that hangs reads it, because a run that
/// does not end writes nothing else.
pub fn open_runs(open: &OpenRuns) {
    write(&open_runs_line(open, Utc::now(), &level()));
}

/// Writes the line with one call, because a log line that arrives in pieces is not valid JSON.
fn write(line: &Value) {
    let mut text = line.to_string();
    text.push('\n');
    // A metric that cannot be written must not fail the run.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The level that the function is set to. Lambda drops lines below it, and treats a line without a
/// level as INFO. With exactly this level, a metric always arrives.
fn level() -> String {
    environment::or_default("AWS_LAMBDA_LOG_LEVEL", "INFO")
}

fn run_closed_line(summary: &RunSummary, drift: Option<&DriftFigures>, level: &str) -> Value {
    let counts = summary.counts;
    let decided = counts.approved + counts.declined + counts.referred;
    let seconds = (summary.finished_at - summary.started_at).num_milliseconds() as f64 / 1000.0;
    let mut metrics = vec![
        ("Eligible", "Count", json!(summary.eligible)),
        ("Decided", "Count", json!(decided)),
        ("Approved", "Count", json!(counts.approved)),
        ("Declined", "Count", json!(counts.declined)),
        ("Referred", "Count", json!(counts.referred)),
        ("Stale", "Count", json!(counts.stale)),
        ("RunSeconds", "Seconds", json!(seconds)),
    ];

    if decided > 0 {
        let share = |count: u64| json!(count as f64 * 100.0 / decided as f64);
        metrics.push(("ApprovedShare", "Percent", share(counts.approved)));
        metrics.push(("ReferredShare", "Percent", share(counts.referred)));
    }

    if let Some(drift) = drift {
        let known = |number: Option<f64>| number.map(|number| json!(number));
        let figures = [
            ("ScorePsi", "None", known(drift.score_psi)),
            ("ScoreDriftRatio", "None", known(drift.score_ratio)),
            ("WorstInputCsi", "None", known(drift.worst_csi)),
            ("InputDriftRatio", "None", known(drift.worst_ratio)),
            ("MissingShare", "Percent", known(Some(drift.most_missing * 100.0))),
            ("UnseenShare", "Percent", known(Some(drift.most_unseen * 100.0))),
        ];
        let known =
            figures.into_iter().filter_map(|(name, unit, value)| Some((name, unit, value?)));
        metrics.extend(known);
    }

    let mode = if summary.dry_run { "DryRun" } else { "Live" };
    line(
        (summary.finished_at, level, "run closed", summary.run_id.as_str()),
        json!([["Mode"]]),
        &[("Mode", mode.to_owned())],
        metrics,
    )
}

fn failure_line(run: &RunId, error: &str, now: DateTime<Utc>, level: &str) -> Value {
    // A dimension takes printable ASCII, but a function that is called by hand may get any text.
    let known = !error.is_empty()
        && error.len() <= MAX_ERROR_CHARS
        && error.bytes().all(|byte| byte.is_ascii_graphic());
    let error = if known { error } else { "Other" };
    line(
        (now, level, "failure recorded", run.as_str()),
        json!([[], ["Error"]]),
        &[("Error", error.to_owned())],
        vec![("Failures", "Count", json!(1))],
    )
}

fn open_runs_line(open: &OpenRuns, now: DateTime<Utc>, level: &str) -> Value {
    let minutes = open.oldest_seconds / 60.0;
    line(
        (now, level, "open runs", open.oldest.as_ref().map_or("", RunId::as_str)),
        json!([[]]),
        &[],
        vec![
            ("OpenRuns", "Count", json!(open.count)),
            ("OldestOpenRunMinutes", "None", json!(minutes)),
        ],
    )
}

fn line(
    (time, level, message, run): (DateTime<Utc>, &str, &str, &str),
    dimension_sets: Value,
    dimensions: &[(&str, String)],
    metrics: Vec<(&str, &str, Value)>,
) -> Value {
    let definitions: Vec<Value> =
        metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({
            "Timestamp": time.timestamp_millis(),
            "CloudWatchMetrics": [{"Namespace": environment::or_default("METRIC_NAMESPACE", NAMESPACE), "Dimensions": dimension_sets, "Metrics": definitions}],
        }),
    );

    line.insert("timestamp".to_owned(), json!(time.to_rfc3339_opts(SecondsFormat::Millis, true)));
    line.insert("level".to_owned(), json!(level));
    line.insert("message".to_owned(), json!(message));
    line.insert("run_id".to_owned(), json!(run));
    line.extend(dimensions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    line.extend(metrics.into_iter().map(|(name, _, value)| (name.to_owned(), value)));
    Value::Object(line)
}

#[cfg(test)]
mod tests;
