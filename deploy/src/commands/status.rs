//! `status`: what runs, what is deployed, what is in the tables. Starts nothing.

use anyhow::Result;
use serde_json::json;

use limit_increase::aws::Aws;
use limit_increase::deployment::stack;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::local::state::State;
use limit_increase::model;
use limit_increase::runs::results;
use limit_increase::terminal::{money, thousands};
use limit_increase::{customers, database};

pub(super) async fn run(context: &Context) -> Result<()> {
    let state = State::read(&context.home.state_file())?;
    let aws_up = services::localstack_answers(&state);
    let endpoint = state.localstack.as_ref().map(|aws| aws.endpoint());
    let stack = match &state.localstack {
        Some(aws) if aws_up => stack::find(&Aws::local(aws.port).cloudformation).await?,
        _ => None,
    };

    let url = context
        .options
        .database_url
        .as_deref()
        .or(state.postgres.as_ref().map(|known| known.url()));
    let mut version = None;
    let mut tables = None;
    if let Some(url) = url
        && let Ok(mut client) = database::connect(url).await
    {
        version = Some(database::server_version(&client).await?);
        if customers::has_tables(&client).await? {
            tables = Some(results::read(&mut client, 2).await?);
        }
    }

    let trained = model::trained(context)?;
    let ui = &context.ui;
    let row = |name: &str, text: String| ui.line(format!("  {name:<12} {text}"));
    ui.line(format!("Home {}", context.home.root().display()));
    row(
        "LocalStack",
        match (&endpoint, aws_up) {
            (Some(endpoint), true) => format!("runs at {endpoint}"),
            _ => "is not running".to_owned(),
        },
    );

    row(
        "PostgreSQL",
        match (&version, url) {
            (Some(version), Some(url)) => format!("{version} at {}", database::masked(url)),
            _ => "is not running".to_owned(),
        },
    );

    row("Stack", stack.as_ref().map_or("is not deployed".to_owned(), |stack| stack.status.clone()));
    row(
        "Model",
        match &trained {
            Some(known) => format!(
                "{} (Gini {:.3})",
                context.home.model().display(),
                known.report["training"]["gini"].as_f64().unwrap_or_default()
            ),
            None if context.home.model().exists() => context.home.model().display().to_string(),
            None => "is not trained".to_owned(),
        },
    );

    match &tables {
        Some(results) => {
            let totals = &results.totals;
            let count = |number: i64| thousands(number.unsigned_abs());
            row(
                "Customers",
                format!(
                    "{}: {} approved, {} declined, {} referred, {} pending, {} not eligible",
                    count(totals.customers),
                    count(totals.approved),
                    count(totals.declined),
                    count(totals.referred),
                    count(totals.pending),
                    count(totals.not_eligible)
                ),
            );

            row(
                "Last run",
                results.runs.first().map_or("none".to_owned(), |run| {
                    format!(
                        "{} {} at {} UTC{}",
                        run.run_id,
                        run.status,
                        run.started_at.format("%Y-%m-%d %H:%M:%S"),
                        run.total_increase.map_or_else(String::new, |sum| format!(
                            ", limits raised by {}",
                            money(sum)
                        ))
                    )
                }),
            );
        }
        None => row("Customers", "no tables yet".to_owned()),
    }

    ui.json(&json!({
        "home": context.home.root(),
        "localstack": { "running": aws_up, "endpoint": endpoint },
        "postgres": { "running": version.is_some(), "version": version, "url": url.map(database::masked) },
        "stack": stack.map(|stack| json!({ "status": stack.status, "outputs": stack.outputs })),
        "model": trained.map(|known| json!({ "sha256": known.sha256, "training": known.report["training"] })),
        "totals": tables.as_ref().map(|results| &results.totals),
        "last_run": tables.as_ref().and_then(|results| results.runs.first()),
    }))
}
