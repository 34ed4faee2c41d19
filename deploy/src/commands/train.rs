//! `train`: trains the model, uploads it, and shows its quality on held-out rows and what the policy
//! would do with them.

use std::path::Path;

use anyhow::Result;
use limit_increase_domain::Policy;
use serde_json::Value;

use crate::cli::{TableArgs, Target, TrainArgs};
use limit_increase::aws::Aws;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model::forecast::{Forecast, Table};
use limit_increase::model::{self, TrainedModel, Training};
use limit_increase::runs::policy;
use limit_increase::terminal::{self, thousands};

pub(super) async fn run(context: &Context, arguments: TrainArgs) -> Result<()> {
    // A policy that cannot be used is told before the training.
    let given = arguments.policy.as_deref().map(policy::checked).transpose()?;
    let training = Training {
        options: options(&arguments.table),
        data: arguments.table.data.clone().map(std::path::absolute).transpose()?,
        force: arguments.force,
    };

    let shared = context.clone();
    let table = model::table_path(context, &training);
    let trained = tokio::task::spawn_blocking(move || model::train(&shared, &training)).await??;
    let aws = match arguments.environment {
        Target::Local => Aws::local(services::ensure(context).await?.localstack_port),
        Target::Aws => Aws::remote(None).await,
    };

    let forecast = forecast(context, &aws, &arguments, given, &trained, &table).await?;
    model::upload(context, &aws, &arguments.bucket).await?;
    show(context, &trained);
    if let Some(forecast) = &forecast {
        super::forecast::show(&context.ui, forecast);
    }

    show_notices(context, &trained);
    context.ui.json(&serde_json::json!({
        "trained": trained.fresh,
        "model": context.home.model(),
        "uploaded_to": format!("s3://{}/{}", arguments.bucket, model::KEY),
        "sha256": trained.sha256,
        "report": trained.report,
        "forecast": forecast,
    }))
}

/// What the policy would do with the held-out rows. `None` when the policy in force cannot be read,
/// which spoils no training.
async fn forecast(
    context: &Context,
    aws: &Aws,
    arguments: &TrainArgs,
    given: Option<Policy>,
    trained: &TrainedModel,
    table: &Path,
) -> Result<Option<Forecast>> {
    let (policy, origin) = match (given, &arguments.policy) {
        (Some(policy), Some(path)) => (policy, path.display().to_string()),
        _ => match policy::in_force(aws, &arguments.bucket).await {
            Ok(policy) => (policy, format!("the policy in force in s3://{}", arguments.bucket)),
            Err(error) => {
                context.ui.warn(format!("{error:#}; there is no forecast, give --policy FILE"));
                return Ok(None);
            }
        },
    };

    let table = Table {
        path: table,
        report: &trained.report,
        limit_column: arguments.limit_column.as_deref(),
    };
    model::forecast::forecast(&policy, origin, &context.home.scored_rows(), &table).map(Some)
}

/// The options of `train.py` that correspond to the options of the command line.
pub(super) fn options(arguments: &TableArgs) -> Vec<String> {
    let named = [
        ("--target", &arguments.target),
        ("--positive", &arguments.positive),
        ("--features", &arguments.features),
        ("--categorical", &arguments.categorical),
        ("--split-column", &arguments.split_column),
        ("--descriptions", &arguments.descriptions),
    ];

    let mut options = Vec::new();
    for (name, value) in named {
        if let Some(value) = value {
            // Name and value are one word, so that a value may begin with a dash.
            options.push(format!("{name}={value}"));
        }
    }

    options.extend(arguments.more.iter().cloned());
    options
}

fn show(context: &Context, trained: &TrainedModel) {
    let ui = &context.ui;
    let report = &trained.report;
    let training = &report["training"];
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let count = |value: &Value| thousands(value.as_u64().unwrap_or_default());
    let columns = report["features"].as_array().map_or(0, Vec::len);
    ui.heading("Model");
    ui.line(format!(
        "  {} trees of depth {} on {columns} columns; bad class {} = {}",
        training["trees"],
        training["depth"],
        report["target"]["column"].as_str().unwrap_or_default(),
        report["target"]["positive_class"].as_str().unwrap_or_default()
    ));

    ui.line(format!(
        "  {} rows for training, {} held out; {:.2} % of the training rows are bad",
        count(&training["rows"]),
        count(&training["validation_rows"]),
        100.0 * number(&training["bad_rate"])
    ));

    ui.heading("On the held-out rows");
    ui.line(format!(
        "  AUC {:.4}   Gini {:.4}   KS {:.4}   log-loss {:.4}",
        number(&training["auc"]),
        number(&training["gini"]),
        number(&training["ks"]),
        number(&training["log_loss"])
    ));

    let mut table =
        terminal::table(&["Band, safest first", "Rows", "Predicted bad", "Observed bad"]);
    for (position, band) in training["calibration"].as_array().into_iter().flatten().enumerate() {
        table.add_row([
            (position + 1).to_string(),
            count(&band["rows"]),
            format!("{:.3} %", 100.0 * number(&band["predicted"])),
            format!("{:.3} %", 100.0 * number(&band["observed"])),
        ]);
    }

    ui.line(table.to_string());
    // Only a cut-off that was given with --minimum-score is here; the policy's is in the forecast.
    let scores = &report["scores"];
    ui.line(format!(
        "  Scores from {} to {}, median {}",
        scores["lowest"], scores["highest"], scores["quantiles"][2]["score"]
    ));
    if let Some(share) = scores["share_at_or_above"].as_f64() {
        ui.line(format!(
            "  {:.1} % of the held-out rows have {} or more (--minimum-score)",
            100.0 * share,
            scores["minimum_score"]
        ));
    }

    let directions: Vec<String> = report["features"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|feature| {
            let direction = feature["monotone"].as_i64()?;
            Some(format!("{} {direction:+}", feature["name"].as_str()?))
        })
        .collect();
    if !directions.is_empty() {
        ui.line(format!("  Monotone in every tree: {}", directions.join(", ")));
    }
}

fn show_notices(context: &Context, trained: &TrainedModel) {
    for notice in trained.report["notices"].as_array().into_iter().flatten() {
        context.ui.line(format!("  Note: {}", notice.as_str().unwrap_or_default()));
    }
}
