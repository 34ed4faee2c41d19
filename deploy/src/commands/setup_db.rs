//! `setup-db`: makes the tables and loads customers.

use std::path::Path;

use anyhow::Result;

use crate::cli::SetupDbArgs;
use limit_increase::aws::Aws;
use limit_increase::customers::CsvColumns;
use limit_increase::customers::portfolio::SAMPLE_CUSTOMERS;
use limit_increase::customers::{self, CustomerSource, Preview};
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model;
use limit_increase::runs;
use limit_increase::runs::breakdown::{self, Breakdown};
use limit_increase::terminal::Problem;
use limit_increase::terminal::{money, thousands};
use limit_increase_domain::{ColumnKind, SourceColumn};
use tokio_postgres::Client;

pub(super) async fn run(context: &Context, arguments: SetupDbArgs) -> Result<()> {
    if arguments.schema_only {
        return schema_only(context, arguments.model.as_deref()).await;
    }

    // Before anything is started: the database may not be one for the sample.
    if arguments.data.is_none() && !arguments.sample {
        customers::require_this_machine(context).await?;
    }

    let services = services::ensure(context).await?;
    let aws = Aws::local(services.localstack_port);
    let model_columns = model::columns(context, Some(&aws)).await?;
    let (source, columns) = plan(&arguments, model_columns)?;
    let mut client = database::connect(&services.database_url).await?;
    if arguments.dry_run {
        let preview = customers::preview(context, &mut client, source, columns).await?;
        show_preview(context, &preview);
        return context.ui.json(&serde_json::json!({ "dry_run": true, "would_load": preview }));
    }

    customers::migrate(context, &mut client).await?;
    let loaded = customers::fill(context, &mut client, source, columns, arguments.reset).await?;
    let total = customers::customer_count(&client).await?.unwrap_or_default();
    context
        .ui
        .line(format!("\n  {} customers are in batch_scores.", thousands(total.unsigned_abs())));
    let breakdown = show_breakdown(context, &aws, &client).await;
    context.ui.json(&serde_json::json!({
        "loaded": loaded,
        "customers": total,
        "breakdown": breakdown,
    }))
}

/// Shows how many customers the policy in force would take. A policy or a table that cannot be used
/// is for the run to refuse, by name. Here it only means that there is nothing to count.
async fn show_breakdown(context: &Context, aws: &Aws, client: &Client) -> Option<Breakdown> {
    let eligibility = runs::policy::in_force(aws, model::BUCKET).await.ok()?.eligibility;
    let counts = breakdown::breakdown(client, &eligibility).await.ok()?;
    let line = |what: &str, count: i64| {
        context.ui.line(format!("    {what:<34} {:>9}", thousands(count.unsigned_abs())));
    };

    let score = eligibility.minimum_current_score.value();
    line(&format!("score of {score} or more"), counts.score_reached);
    line(&format!("limit below {}", money(eligibility.current_limit_below)), counts.limit_below);
    line("both", counts.both);
    line("both, and not decided: eligible", counts.eligible);
    Some(counts)
}

fn show_preview(context: &Context, preview: &Preview) {
    let Preview { rows, new, changed, columns } = preview;
    context.ui.line(format!(
        "\n  {} customers would be loaded: {} new, {} brought up to date, {} kept as they are.",
        thousands(*rows),
        thousands(*new),
        thousands(*changed),
        thousands(rows - new - changed)
    ));
    for column in columns {
        context.ui.line(format!(
            "  {}: {}, {} missing, {} different values{}",
            column.name,
            column.kind,
            thousands(column.missing),
            thousands(column.distinct),
            if column.added { ", a new column" } else { "" }
        ));
    }
    context.ui.line("  Nothing was written: this was a dry run.");
}

/// The tables and the columns of the model's features, without customers. A database that the
/// command line names needs no other service.
async fn schema_only(context: &Context, artifact: Option<&Path>) -> Result<()> {
    let url = match &context.options.database_url {
        Some(url) => url.clone(),
        None => services::ensure(context).await?.database_url,
    };

    let columns = match artifact {
        Some(path) => Some(model::columns_of(path)?),
        None => model::columns(context, None).await?,
    };

    let mut client = database::connect(&url).await?;
    customers::migrate(context, &mut client).await?;
    let added = match &columns {
        Some(columns) => customers::add_columns(&mut client, columns).await?,
        None => {
            context.ui.line(
                "  There is no model here, so no columns were added for its features: name it with \
                 --model.",
            );
            Vec::new()
        }
    };

    context.ui.line(format!(
        "\n  The tables are up to date. Columns added to customer_features: {}.",
        if added.is_empty() { "none".to_owned() } else { added.join(", ") }
    ));
    context.ui.json(&serde_json::json!({ "columns_added": added }))
}

/// Decides where the customers come from, and which feature columns they have.
fn plan(
    arguments: &SetupDbArgs,
    model: Option<Vec<SourceColumn>>,
) -> Result<(CustomerSource, Vec<SourceColumn>)> {
    let (Some(path), Some(id), Some(score), Some(limit)) =
        (&arguments.data, &arguments.id_column, &arguments.score_column, &arguments.limit_column)
    else {
        let count = arguments.customers.unwrap_or(SAMPLE_CUSTOMERS.into());
        return Ok((
            CustomerSource::Sample { count },
            model.unwrap_or_else(limit_increase_portfolio::own_columns),
        ));
    };

    let features = match arguments.features.is_empty() {
        false => {
            let names = customers::column_names(path, arguments.skip_lines)?;
            let asked = chosen(path, &arguments.features, "--features", &names)?;
            let categorical = chosen(path, &arguments.categorical, "--categorical", &names)?;
            asked_features(&asked, &categorical, model.as_deref().unwrap_or_default())
        }
        true => model.ok_or_else(|| {
            Problem::usage("there is no model yet, so it is not known which columns are features")
                .at("setup-db --data")
                .next(
                    "train the model first (limit-increase train --data ..), \
                     or name the columns with --features",
                )
        })?,
    };

    let columns = CsvColumns {
        id: id.clone(),
        score: score.clone(),
        limit: limit.clone(),
        date: arguments.date_column.clone(),
        date_format: arguments.date_format.clone(),
        skipped_lines: arguments.skip_lines,
        features: features.clone(),
    };

    Ok((CustomerSource::File { path: std::path::absolute(path)?, columns }, features))
}

/// The columns of the file that the lists of an option name.
fn chosen(path: &Path, lists: &[String], option: &str, known: &[String]) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for list in lists {
        let (found, unknown) = customers::choose(list, known);
        if let Some(name) = unknown.first() {
            return Err(Problem::usage(format!("there is no column {name:?} ({option})"))
                .at(path.display().to_string())
                .next(format!(
                    "use one of the file's columns: {}; a name with a comma stands in double \
                     quotes",
                    known.join(", ")
                ))
                .into());
        }
        all.extend(found);
    }

    Ok(all)
}

/// The columns that were asked for. A column has the kind that the options or the model give it;
/// every other column holds numbers.
fn asked_features(
    names: &[String],
    categorical: &[String],
    model: &[SourceColumn],
) -> Vec<SourceColumn> {
    let kind = |name: &String| {
        let known = model.iter().find(|column| column.name == *name).map(|column| column.kind);
        if categorical.contains(name) {
            ColumnKind::Category
        } else {
            known.unwrap_or(ColumnKind::Number)
        }
    };

    names.iter().map(|name| SourceColumn { name: name.clone(), kind: kind(name) }).collect()
}
