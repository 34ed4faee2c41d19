//! `results`: shows the decisions and the last runs as tables.

use anyhow::Result;
use comfy_table::Table;
use limit_increase_workflow::{RunId, RunSummary};

use crate::cli::ResultsArgs;
use limit_increase::aws::Aws;
use limit_increase::customers;
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model::BUCKET;
use limit_increase::remote::records::{self, Records};
use limit_increase::runs::policy;
use limit_increase::runs::results::{self, Increase, Reason, Results, Run};
use limit_increase::terminal::Problem;
use limit_increase::terminal::{self, Ui, money, thousands};

pub(super) async fn run(context: &Context, arguments: &ResultsArgs) -> Result<()> {
    let services = services::ensure(context).await?;
    if let Some(run) = &arguments.run {
        let aws = Aws::local(services.localstack_port);
        let records = records::read(&aws, BUCKET, &run_id(run)?, arguments.top as usize).await?;
        context.ui.line(render_records(&records));
        return context.ui.json(&records);
    }

    let mut client = database::connect(&services.database_url).await?;
    if !customers::has_tables(&client).await? {
        return Err(Problem::new("there are no results yet")
            .at(database::masked(&services.database_url))
            .next("limit-increase run")
            .into());
    }

    let policy = policy::in_force(&Aws::local(services.localstack_port), BUCKET).await?;
    let results = results::read(&mut client, i64::from(arguments.top), &policy.eligibility).await?;
    context.ui.line(render(&results));
    context.ui.json(&results)
}

/// The run that was typed.
pub(super) fn run_id(text: &str) -> Result<RunId> {
    RunId::try_from(text.to_owned()).map_err(|error| {
        let next = "give the name of a run: limit-increase results lists the last ones";
        Problem::usage(error.to_string()).next(next).into()
    })
}

/// The records of one run as text with one table for each section.
pub(super) fn render_records(records: &Records) -> String {
    let sections = [
        Some(decided(&records.summary)),
        increases(&records.top_increases),
        reasons("Declined, for example", &records.declined),
        reasons("Referred to a person, for example", &records.referred),
    ];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn decided(summary: &RunSummary) -> String {
    let mut table =
        terminal::table(&["Customers", "Approved", "Declined", "Referred", "Stale", "Increase"]);
    let counts = summary.counts;
    let numbers =
        [summary.eligible, counts.approved, counts.declined, counts.referred, counts.stale];
    let cells = numbers.map(thousands).into_iter().chain([money(summary.total_increase)]);
    table.add_row(cells);
    let mode = if summary.dry_run { " (dry run: nothing was written)" } else { "" };
    let title = format!("Run {} of {}{mode}", summary.run_id, summary.as_of);
    format!("{}\n{table}", heading(&title))
}

/// The results as text with one table for each section.
pub(super) fn render(results: &Results) -> String {
    let sections = [
        Some(totals(results)),
        increases(&results.top_increases),
        reasons("Declined, for example", &results.declined),
        reasons("Referred to a person, for example", &results.referred),
        runs(&results.runs),
    ];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn heading(text: &str) -> String {
    console::style(text).bold().to_string()
}

/// A heading and its table; nothing for a table without rows.
fn section(title: &str, table: &Table, rows: usize) -> Option<String> {
    (rows > 0).then(|| format!("{}\n{table}", heading(title)))
}

fn count(number: i64) -> String {
    thousands(number.unsigned_abs())
}

fn totals(results: &Results) -> String {
    let totals = &results.totals;
    let mut table = terminal::table(&[
        "Customers",
        "Approved",
        "Declined",
        "Referred",
        "Pending",
        "Not eligible",
        "Increase",
    ]);

    table.add_row([
        count(totals.customers),
        count(totals.approved),
        count(totals.declined),
        count(totals.referred),
        count(totals.pending),
        count(totals.not_eligible),
        money(totals.total_increase),
    ]);

    format!("{}\n{table}", heading("Totals"))
}

fn increases(rows: &[Increase]) -> Option<String> {
    let mut table = terminal::table(&["Customer", "Old limit", "New limit", "Increase"]);
    for increase in rows {
        table.add_row([
            increase.customer_id.clone(),
            money(increase.old_limit),
            money(increase.new_limit),
            format!("+{} %", increase.per_cent),
        ]);
    }

    section("Largest approved increases", &table, rows.len())
}

fn reasons(title: &str, rows: &[Reason]) -> Option<String> {
    let mut table = terminal::table(&["Customer", "Limit", "Reason"]);
    for row in rows {
        let limit = row.limit.map_or_else(String::new, money);
        table.add_row([row.customer_id.clone(), limit, row.reason.clone()]);
    }

    section(title, &table, rows.len())
}

/// The table of the last runs; `None` if there was none.
pub(super) fn runs(rows: &[Run]) -> Option<String> {
    let mut table = terminal::table(&[
        "Run",
        "Started (UTC)",
        "Status",
        "Took",
        "Customers",
        "Appr./decl./ref./stale",
        "Increase",
    ]);

    for run in rows {
        let known = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), count);
        let took = run.seconds.map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.1} s"));
        table.add_row([
            run.run_id.clone(),
            run.started_at.format("%Y-%m-%d %H:%M:%S").to_string(),
            run.error
                .as_ref()
                .map_or_else(|| run.status.to_string(), |error| format!("{}: {error}", run.status)),
            took,
            known(run.eligible),
            run.counts.map(known).join(" / "),
            run.total_increase.map_or_else(|| "-".to_owned(), money),
        ]);
    }

    let newest = rows.first().and_then(|run| run.release.as_ref());
    let newest = newest.map(|release| format!(", the newest by release {release}"));
    section(&format!("Last runs{}", newest.unwrap_or_default()), &table, rows.len())
}

/// Shows the results after a run.
pub(super) fn show(ui: &Ui, results: &Results) {
    ui.line(format!("\n{}", render(results)));
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use rust_decimal::Decimal;

    use super::*;
    use limit_increase::runs::results::Totals;
    use limit_increase_workflow::RunStatus;

    #[test]
    fn the_tables_read_well() {
        let results = Results {
            totals: Totals {
                customers: 1_000_050,
                approved: 12,
                declined: 7,
                referred: 1,
                pending: 22,
                not_eligible: 8,
                total_increase: Decimal::new(2_645_000, 2),
            },
            top_increases: vec![Increase {
                customer_id: "CUST_0007".to_owned(),
                old_limit: Decimal::new(490_000, 2),
                new_limit: Decimal::new(735_000, 2),
                per_cent: Decimal::new(500, 1),
            }],
            declined: vec![Reason {
                customer_id: "CUST_0031".to_owned(),
                limit: Some(Decimal::new(310_000, 2)),
                reason:
                    "Score 612 is below the minimum of 650. Main reasons: Bureau score is low; \
                         Share of the credit limit in use is high; \
                         Missed payments in the last 12 months are many."
                        .to_owned(),
            }],
            referred: Vec::new(),
            runs: vec![
                Run {
                    run_id: "manual-20261124T020000-123".to_owned(),
                    status: RunStatus::Succeeded,
                    started_at: DateTime::UNIX_EPOCH,
                    seconds: Some(3.21),
                    eligible: Some(20),
                    counts: [Some(12), Some(7), Some(1), Some(0)],
                    total_increase: Some(Decimal::new(2_645_000, 2)),
                    error: None,
                    release: Some("0.1.0+5fe4d4105b1e".to_owned()),
                },
                Run {
                    run_id: "broken".to_owned(),
                    status: RunStatus::Failed,
                    started_at: DateTime::UNIX_EPOCH,
                    seconds: None,
                    eligible: None,
                    counts: [None; 4],
                    total_increase: None,
                    error: Some("Permanent.ModelMissing".to_owned()),
                    release: None,
                },
            ],
        };

        console::set_colors_enabled(false);
        insta::assert_snapshot!(render(&results));
    }
}
