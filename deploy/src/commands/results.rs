//! `results`: shows the decisions and the last runs as tables.

use anyhow::Result;

use crate::cli::ResultsArgs;
use limit_increase::aws::Aws;
use limit_increase::customers;
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::runs::policy;
use limit_increase::runs::results::{self, Reason, Results, Run};
use limit_increase::terminal::Problem;
use limit_increase::terminal::{self, Ui, money, thousands};

pub(super) async fn run(context: &Context, arguments: &ResultsArgs) -> Result<()> {
    let services = services::ensure(context).await?;
    let mut client = database::connect(&services.database_url).await?;
    if !customers::has_tables(&client).await? {
        return Err(Problem::new("there are no results yet")
            .at(database::masked(&services.database_url))
            .next("limit-increase run")
            .into());
    }

    let policy = policy::in_force(&Aws::local(services.localstack_port)).await?;
    let results = results::read(&mut client, i64::from(arguments.top), &policy.eligibility).await?;
    context.ui.line(render(&results));
    context.ui.json(&results)
}

/// The results as text with one table for each section.
pub(super) fn render(results: &Results) -> String {
    let mut sections = vec![totals(results)];
    if !results.top_increases.is_empty() {
        sections.push(increases(results));
    }

    if !results.declined.is_empty() {
        sections.push(reasons("Declined, for example", &results.declined));
    }

    if !results.referred.is_empty() {
        sections.push(reasons("Referred to a person, for example", &results.referred));
    }

    if !results.runs.is_empty() {
        sections.push(runs(&results.runs));
    }

    sections.join("\n\n")
}

fn heading(text: &str) -> String {
    console::style(text).bold().to_string()
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

fn increases(results: &Results) -> String {
    let mut table = terminal::table(&["Customer", "Old limit", "New limit", "Increase"]);
    for increase in &results.top_increases {
        table.add_row([
            increase.customer_id.clone(),
            money(increase.old_limit),
            money(increase.new_limit),
            format!("+{} %", increase.per_cent),
        ]);
    }

    format!("{}\n{table}", heading("Largest approved increases"))
}

fn reasons(title: &str, rows: &[Reason]) -> String {
    let mut table = terminal::table(&["Customer", "Limit", "Reason"]);
    for row in rows {
        let limit = row.limit.map_or_else(String::new, money);
        table.add_row([row.customer_id.clone(), limit, row.reason.clone()]);
    }

    format!("{}\n{table}", heading(title))
}

fn runs(rows: &[Run]) -> String {
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

    format!("{}\n{table}", heading("Last runs"))
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
    use limit_increase::runs::results::{Increase, Totals};
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
                },
            ],
        };

        console::set_colors_enabled(false);
        insta::assert_snapshot!(render(&results));
    }
}
