//! `backtest`: the stored scores beside what became of the customers.

use anyhow::{Context as _, Result};
use limit_increase_analysis::outcomes::Outcomes;
use limit_increase_analysis::outcomes::backtest::{Backtest, BacktestReport, NUMBERS};
use limit_increase_analysis::{page, words};
use limit_increase_handoff::row_count;
use limit_increase_handoff::scored::Scored;
use limit_increase_workflow::keys::Stage;

use super::compare::{outcomes, write_page};
use super::results::run_id;
use crate::cli::BacktestArgs;
use limit_increase::aws::Aws;
use limit_increase::local::{Context, services};
use limit_increase::model::BUCKET;
use limit_increase::remote::{Account, Place};
use limit_increase::runs::stored::{StoredRun, closed};
use limit_increase::terminal::{self, Exit, Problem, Ui, bar, thousands};

/// The length of the longest bar, in characters.
const BAR: u32 = 24;

pub(super) async fn run(context: &Context, arguments: &BacktestArgs) -> Result<()> {
    let given = given(&context.ui, arguments)?;
    let services = services::ensure(context).await?;
    answer(&context.ui, &Aws::local(services.localstack_port), BUCKET, arguments, given).await
}

pub(super) async fn run_on_aws(ui: &Ui, place: &Place, arguments: &BacktestArgs) -> Result<Exit> {
    let given = given(ui, arguments)?;
    let account = Account::open(place).await?;
    answer(ui, &account.aws, account.stack.output("BucketName")?, arguments, given).await?;
    Ok(Exit::Ok)
}

fn given(ui: &Ui, arguments: &BacktestArgs) -> Result<Outcomes> {
    outcomes(ui, &arguments.outcomes)?.ok_or_else(|| {
        Problem::usage("a backtest needs what became of the customers")
            .next("give a file with a key and 1 for a bad customer: --outcomes FILE")
            .into()
    })
}

async fn answer(
    ui: &Ui,
    aws: &Aws,
    bucket: &str,
    arguments: &BacktestArgs,
    outcomes: Outcomes,
) -> Result<()> {
    let mut backtest = Backtest::new(outcomes);
    let mut runs = Vec::new();
    match &arguments.run {
        Some(name) => {
            let stored = StoredRun::open(aws, bucket, &run_id(name)?).await?;
            add(ui, &mut backtest, &stored).await?;
            runs.push(stored.summary.run_id.to_string());
        }
        None => {
            for stored in live(aws, bucket).await? {
                if backtest.is_complete() {
                    break;
                }

                add(ui, &mut backtest, &stored).await?;
                runs.push(stored.summary.run_id.to_string());
            }
        }
    }

    let report = backtest.report(runs);
    if report.discrimination.known == 0 {
        return Err(Problem::usage("no customer of the outcomes has a stored score")
            .at(format!("s3://{bucket}/pipeline/scored_customers/"))
            .next("check the keys, and that the dates are not before the runs; name a dry run to use its scores")
            .into());
    }

    show(ui, &report);
    write_page(ui, arguments.html.as_deref(), || page::backtest(&report))?;
    ui.json(&report)
}

/// The closed runs that were no dry runs, the newest business date first.
async fn live(aws: &Aws, bucket: &str) -> Result<Vec<StoredRun>> {
    let mut runs = Vec::new();
    for run in closed(aws, bucket).await? {
        let stored = StoredRun::open(aws, bucket, &run).await?;
        if !stored.summary.dry_run && stored.summary.eligible > 0 {
            runs.push(stored);
        }
    }

    runs.sort_by_key(|stored| std::cmp::Reverse((stored.summary.as_of, stored.summary.started_at)));
    if runs.is_empty() {
        return Err(Problem::usage("no run that wrote its decisions is closed yet")
            .at(format!("s3://{bucket}/pipeline/results/"))
            .next("name a dry run to use its scores: limit-increase backtest RUN --outcomes FILE")
            .into());
    }

    Ok(runs)
}

/// Adds the shards of a run. A run whose scores were removed, because their time was over, is left
/// out with a warning.
async fn add(ui: &Ui, backtest: &mut Backtest, stored: &StoredRun) -> Result<()> {
    let summary = &stored.summary;
    let task = ui.task("Scores");
    for shard in stored.shards() {
        let Some(bytes) = stored.find_file(Stage::ScoredCustomers, shard).await? else {
            ui.warn(format!("scores of run {} were removed, and are left out", summary.run_id));
            return Ok(());
        };
        let mut read = || {
            let rows = row_count(&bytes)?;
            let scored = Scored::read_with_numbers(bytes.clone(), rows, &NUMBERS)?;
            backtest.add(&summary.policy, summary.as_of, &scored)
        };
        read().with_context(|| stored.place(Stage::ScoredCustomers, shard))?;
    }

    task.done(format!("{} of {}", thousands(summary.eligible), summary.run_id));
    Ok(())
}

fn show(ui: &Ui, report: &BacktestReport) {
    let of = &report.discrimination;
    ui.heading(format!(
        "{} customers with a stored score and a known outcome, {} of them bad",
        thousands(of.known),
        thousands(of.bad)
    ));
    ui.line(format!("  Gini   {}", words::coefficient(of.gini, of.gini_interval)));
    ui.line(format!("  KS     {}", words::coefficient(of.ks, None)));
    ui.line(format!("  Brier  {}", words::coefficient(report.brier_score, None)));
    if report.without_score > 0 {
        ui.line(format!(
            "  {} customers of the file have no stored score from before their outcome",
            thousands(report.without_score)
        ));
    }

    calibration(ui, report);
    vintages(ui, report);
    ui.line(
        "  A raised limit may itself have changed what became of a customer: bad rates of the \
         approved and the declined are no effect of the policy.",
    );
}

fn per_cent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn calibration(ui: &Ui, report: &BacktestReport) {
    ui.heading("Predicted and observed, in bands of equal size");
    let most = report.calibration.iter().map(|band| band.observed.value).fold(0.0, f64::max);
    let mut table = terminal::table(&["Customers", "Predicted", "Observed (95 %)", ""]);
    for band in &report.calibration {
        table.add_row([
            thousands(band.known),
            per_cent(band.predicted),
            words::per_cent(Some(band.observed)),
            bar(band.observed.value / most, BAR),
        ]);
    }

    ui.line(table.to_string());
}

fn vintages(ui: &Ui, report: &BacktestReport) {
    ui.heading("By month of the run");
    let header = [
        "Month",
        "Customers",
        "Predicted",
        "Observed",
        "Bad of the approved",
        "Bad of the declined",
        "Gini",
    ];
    let mut table = terminal::table(&header);
    for of in &report.vintages {
        table.add_row([
            of.month.clone(),
            thousands(of.discrimination.known),
            per_cent(of.predicted),
            words::per_cent(of.bad_rate),
            words::per_cent(of.approved_bad_rate),
            words::per_cent(of.declined_bad_rate),
            words::coefficient(of.discrimination.gini, of.discrimination.gini_interval),
        ]);
    }

    ui.line(table.to_string());
}
