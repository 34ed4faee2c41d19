//! `setup-db`: makes the tables and loads customers.

use anyhow::Result;

use crate::cli::SetupDbArgs;
use limit_increase::aws::Aws;
use limit_increase::customers::portfolio::SAMPLE_CUSTOMERS;
use limit_increase::customers::{self, CustomerSource};
use limit_increase::customers::{CsvColumns, sample};
use limit_increase::database;
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::model;
use limit_increase::terminal::Problem;
use limit_increase::terminal::thousands;
use limit_increase_domain::{ColumnKind, SourceColumn};

pub(super) async fn run(context: &Context, arguments: SetupDbArgs) -> Result<()> {
    let services = services::ensure(context).await?;
    let aws = Aws::local(services.localstack_port);
    let model_columns = model::columns(context, Some(&aws)).await?;
    let (source, columns) = plan(&arguments, model_columns)?;
    let mut client = database::connect(&services.database_url).await?;
    customers::migrate(context, &mut client).await?;
    let loaded = customers::fill(context, &mut client, source, columns, arguments.reset).await?;
    let total = customers::customer_count(&client).await?.unwrap_or_default();
    context
        .ui
        .line(format!("\n  {} customers are in batch_scores.", thousands(total.unsigned_abs())));
    context.ui.json(&serde_json::json!({ "loaded": loaded, "customers": total }))
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
        return Ok((CustomerSource::Sample { count }, model.unwrap_or_else(sample::own_columns)));
    };

    let features = match &arguments.features {
        Some(names) => {
            let known = model.as_deref().unwrap_or_default();
            asked_features(names, &arguments.categorical, known)
        }
        None => model.ok_or_else(|| {
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
        features: features.clone(),
    };

    Ok((CustomerSource::File { path: std::path::absolute(path)?, columns }, features))
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
