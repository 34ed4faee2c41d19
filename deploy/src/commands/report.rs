//! `report`: the report of a run as a picture in the terminal, and as a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;
use limit_increase_report::drift::share;
use limit_increase_report::{Outcomes, RunReport};
use limit_increase_workflow::{RunId, RunStatus};
use serde_json::json;

use super::results::run_id;
use crate::cli::ReportArgs;
use limit_increase::aws::Aws;
use limit_increase::customers;
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model::BUCKET;
use limit_increase::runs::report::{self, Report, SavedIndex};
use limit_increase::terminal::{Bar, Problem, Ui, bars, money, thousands};

/// The most runs of an index.
pub(super) const MAX_RUNS: usize = 100;
/// The most bars of a section.
const MAX_BARS: usize = 8;

pub(super) async fn run(context: &Context, arguments: &ReportArgs) -> Result<()> {
    let services = services::ensure(context).await?;
    let aws = Aws::local(services.localstack_port);
    let directory = arguments.output.clone().unwrap_or_else(|| context.home.reports());
    let runs = match &arguments.run {
        Some(name) => vec![run_id(name)?],
        None => succeeded(&services.database_url).await?,
    };

    show(&context.ui, (&aws, BUCKET), &runs, &directory, arguments).await
}

/// The runs of the ledger that have succeeded, the newest first.
async fn succeeded(database_url: &str) -> Result<Vec<RunId>> {
    let client = database::connect(database_url).await?;
    let runs = if customers::has_tables(&client).await? {
        limit_increase_database::past_runs(&client, MAX_RUNS).await?
    } else {
        Vec::new()
    };
    let succeeded = runs.into_iter().rev().filter(|run| run.status == RunStatus::Succeeded);
    let names: Vec<RunId> = succeeded.map(|run| run.run_id).collect();
    if names.is_empty() {
        return Err(Problem::new("no run has succeeded yet, so there is no report")
            .at(database::masked(database_url))
            .next("limit-increase run")
            .into());
    }

    Ok(names)
}

/// Shows the report of the first run, or an index of all of them.
pub(super) async fn show(
    ui: &Ui,
    (aws, bucket): (&Aws, &str),
    runs: &[RunId],
    directory: &Path,
    arguments: &ReportArgs,
) -> Result<()> {
    let page = if arguments.all {
        let task = ui.task("Reports");
        let SavedIndex { path, runs, pages } =
            report::save_all(aws, bucket, runs, directory).await?;
        task.done(format!("{} runs, {pages} with a page: {}", runs.len(), path.display()));
        ui.json(&json!({ "page": path, "runs": runs }))?;
        path
    } else {
        let [run, ..] = runs else {
            return Err(Problem::usage("there is no run to report").into());
        };
        let Report { content, page, place } = report::fetch(aws, bucket, run).await?;
        let path = report::save(directory, run, &page)?;
        ui.line(picture(&content));
        ui.line(format!("\nThe page: {}\nIn S3:    {place}", path.display()));
        ui.json(&json!({ "run_id": run, "page": path, "place": place, "report": content }))?;
        path
    };

    if arguments.open {
        open(ui, &page);
    }

    Ok(())
}

/// Opens a page in the browser. Without one the page is still there.
fn open(ui: &Ui, page: &PathBuf) {
    let program = match std::env::consts::OS {
        "macos" => "open",
        "windows" => "explorer",
        _ => "xdg-open",
    };
    let started = Command::new(program)
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    if let Err(error) = started {
        ui.note(format!("{program} could not be started ({error}); open {}", page.display()));
    }
}

/// The report as text: the verdict, and bars for what the page has figures of.
fn picture(report: &RunReport) -> String {
    let summary = &report.summary;
    let mode = if summary.dry_run { " (dry run: nothing was written)" } else { "" };
    let heading = console::style(format!(
        "Run {} of {}: {}{mode}",
        summary.run_id, summary.as_of, summary.status
    ));
    let mut sections = vec![format!("{}\n{}", heading.bold(), findings(report))];
    sections.push(section("Who was decided", &waterfall(report)));
    sections.extend(scores(report));
    let outcomes = report.profile.as_ref().and_then(|profile| profile.outcomes.as_ref());
    sections.extend(outcomes.and_then(declines));
    sections.extend(drift(report));
    sections.join("\n\n")
}

fn findings(report: &RunReport) -> String {
    let findings = report.findings();
    match (findings.is_empty(), report.drift_is_unknown()) {
        (true, false) => "Nothing unusual was found.".to_owned(),
        (true, true) => "Drift is not known: train the model again to know.".to_owned(),
        _ => findings.iter().map(|one| format!("! {one}")).collect::<Vec<_>>().join("\n"),
    }
}

fn section(title: &str, lines: &[Bar]) -> String {
    format!("{}\n{}", console::style(title).bold(), bars(lines))
}

fn counted(label: &str, count: u64) -> Bar {
    Bar { label: label.to_owned(), value: count as f64, shown: thousands(count) }
}

fn waterfall(report: &RunReport) -> Vec<Bar> {
    let (summary, opening) = (&report.summary, &report.opening);
    let counts = summary.counts;
    let before = [("Undecided", opening.undecided), ("Qualify", opening.qualifying)];
    let known = before.into_iter().filter_map(|(label, count)| Some(counted(label, count?)));
    let mut lines: Vec<Bar> = known.collect();
    lines.extend([
        counted("Eligible", summary.eligible),
        Bar {
            shown: format!(
                "{}, limits raised by {}",
                thousands(counts.approved),
                money(summary.total_increase)
            ),
            ..counted("Approved", counts.approved)
        },
        counted("Declined", counts.declined),
        counted("Referred", counts.referred),
        counted("Stale", counts.stale),
    ]);
    lines
}

/// The share of the customers in each band of scores, beside that of the training.
fn scores(report: &RunReport) -> Option<String> {
    let scores = report.profile.as_ref()?.scores.as_ref()?;
    let total = |counts: &[u64]| counts.iter().sum::<u64>();
    let (all, all_training) = (total(&scores.customers.bins), total(&scores.training.bins));
    let counts = scores.customers.bins.iter().zip(&scores.training.bins);
    let lines: Vec<Bar> = scores
        .bins
        .labels()
        .into_iter()
        .zip(counts)
        .map(|(label, (own, training))| {
            let (own, training) = (share(*own, all), share(*training, all_training));
            let shown = format!("{:.1} % (training {:.1} %)", own * 100.0, training * 100.0);
            Bar { label, value: own, shown }
        })
        .collect();
    Some(section("Scores", &lines))
}

fn declines(outcomes: &Outcomes) -> Option<String> {
    let declines = &outcomes.declines;
    let mut drivers: Vec<Bar> =
        declines.inputs.iter().map(|(input, count)| counted(input, *count)).collect();
    drivers.push(counted("no single input", declines.no_single_input));
    drivers.push(counted("no higher limit by the policy", declines.no_higher_limit));
    drivers.retain(|bar| bar.value > 0.0);
    drivers.sort_by(|one, other| other.value.total_cmp(&one.value));
    drivers.truncate(MAX_BARS);
    (!drivers.is_empty()).then(|| section("What drove the declines", &drivers))
}

fn drift(report: &RunReport) -> Option<String> {
    let drift = report.drift.as_ref()?;
    let line = |(label, index): (String, limit_increase_report::drift::Index)| Bar {
        label,
        value: index.ratio(),
        shown: format!(
            "{:.2} times (index {:.4}, without drift below {:.4}){}",
            index.ratio(),
            index.value,
            index.without_drift,
            if index.is_drift() { " !" } else { "" }
        ),
    };
    let scores = drift.scores.map(|index| ("the scores".to_owned(), index));
    let inputs = drift.inputs.iter().map(|input| (input.source_column.clone(), input.csi));
    let lines: Vec<Bar> = scores.into_iter().chain(inputs).take(MAX_BARS).map(line).collect();
    Some(section("Drift, as a multiple of its limit", &lines))
}
