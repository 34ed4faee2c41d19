//! `status`: shows what runs, what is deployed and what is in the tables. It starts nothing.

use anyhow::Result;
use serde_json::json;

use limit_increase::aws::Aws;
use limit_increase::deployment::stack::{self, Stack};
use limit_increase::local::Context;
use limit_increase::local::services;
use limit_increase::local::state::State;
use limit_increase::model::{self, BUCKET, TrainedModel};
use limit_increase::runs::policy;
use limit_increase::runs::results::{self, Results, Run};
use limit_increase::terminal::{money, thousands};
use limit_increase::{customers, database};
use limit_increase_domain::policy::Eligibility;

/// Everything that `status` shows; a part is `None` when it does not exist or does not run.
struct Status {
    url: Option<String>,
    version: Option<String>,
    tables: Option<Results>,
    localstack_runs: bool,
    endpoint: Option<String>,
    stack: Option<Stack>,
    model: Option<TrainedModel>,
}

pub(super) async fn run(context: &Context) -> Result<()> {
    let status = look(context).await?;
    show(context, &status);

    let Status { url, version, tables, localstack_runs, endpoint, stack, model } = status;
    context.ui.json(&json!({
        "home": context.home.root(),
        "localstack": { "running": localstack_runs, "endpoint": endpoint },
        "postgres": {
            "running": version.is_some(),
            "version": version,
            "url": url.as_deref().map(database::masked),
        },
        "stack": stack.map(|stack| json!({
            "status": stack.status,
            "release": stack.parameters.get("Release"),
            "outputs": stack.outputs,
        })),
        "model": model.map(|known| {
            json!({ "sha256": known.sha256, "training": known.report["training"] })
        }),
        "totals": tables.as_ref().map(|results| &results.totals),
        "last_run": tables.as_ref().and_then(|results| results.runs.first()),
    }))
}

async fn look(context: &Context) -> Result<Status> {
    let state = State::read(&context.home.state_file())?;
    let localstack_runs = services::localstack_answers(&state);
    let aws = state.localstack.as_ref().filter(|_| localstack_runs).map(|aws| Aws::local(aws.port));
    let stack = match &aws {
        Some(aws) => stack::find(&aws.cloudformation).await?,
        None => None,
    };

    let known_url = || state.postgres.as_ref().map(|known| known.url().to_owned());
    let url = context.options.database_url.clone().or_else(known_url);
    let (mut version, mut tables) = (None, None);
    if let Some(url) = &url
        && let Ok(mut client) = database::connect(url).await
    {
        version = Some(database::server_version(&client).await?);
        if customers::has_tables(&client).await? {
            let eligibility = eligibility(context, aws.as_ref()).await;
            tables = Some(results::read(&mut client, 2, &eligibility).await?);
        }
    }

    Ok(Status {
        url,
        version,
        tables,
        localstack_runs,
        endpoint: state.localstack.as_ref().map(|aws| aws.endpoint()),
        stack,
        model: model::trained(context)?,
    })
}

/// Who is eligible by the policy in force. While S3 does not run, or its policy is broken, it is the
/// built-in policy.
async fn eligibility(context: &Context, aws: Option<&Aws>) -> Eligibility {
    let Some(aws) = aws else { return Eligibility::default() };
    policy::in_force(aws, BUCKET).await.map_or_else(
        |error| {
            context.ui.warn(format!("{error}; counting by the built-in policy"));
            Eligibility::default()
        },
        |policy| policy.eligibility,
    )
}

fn show(context: &Context, status: &Status) {
    let row = |name: &str, text: String| context.ui.line(format!("  {name:<12} {text}"));
    let stopped = || "is not running".to_owned();

    context.ui.line(format!("Home {}", context.home.root().display()));
    let localstack = status.endpoint.as_ref().filter(|_| status.localstack_runs);
    row("LocalStack", localstack.map_or_else(stopped, |endpoint| format!("runs at {endpoint}")));

    let server = status.version.as_ref().zip(status.url.as_ref());
    let shown =
        |(version, url): (&String, &String)| format!("{version} at {}", database::masked(url));
    row("PostgreSQL", server.map_or_else(stopped, shown));

    let stack = status.stack.as_ref().map(|stack| {
        let release = stack.parameters.get("Release");
        let release = release.map(|release| format!(", release {release}"));
        format!("{}{}", stack.status, release.unwrap_or_default())
    });
    row("Stack", stack.unwrap_or_else(|| "is not deployed".to_owned()));
    row("Model", model_text(context, status.model.as_ref()));

    match &status.tables {
        Some(results) => {
            row("Customers", totals_text(results));
            row("Last run", results.runs.first().map_or_else(|| "none".to_owned(), run_text));
        }
        None => row("Customers", "no tables yet".to_owned()),
    }
}

fn model_text(context: &Context, model: Option<&TrainedModel>) -> String {
    let path = context.home.model();
    match model {
        Some(known) => {
            let gini = known.report["training"]["gini"].as_f64().unwrap_or_default();
            format!("{} (Gini {gini:.3})", path.display())
        }
        None if path.exists() => path.display().to_string(),
        None => "is not trained".to_owned(),
    }
}

fn totals_text(results: &Results) -> String {
    let totals = &results.totals;
    let count = |number: i64| thousands(number.unsigned_abs());
    format!(
        "{}: {} approved, {} declined, {} referred, {} pending, {} not eligible",
        count(totals.customers),
        count(totals.approved),
        count(totals.declined),
        count(totals.referred),
        count(totals.pending),
        count(totals.not_eligible)
    )
}

fn run_text(run: &Run) -> String {
    let raised = run.total_increase.map(|sum| format!(", limits raised by {}", money(sum)));
    let release = run.release.as_ref().map(|release| format!(", by release {release}"));
    format!(
        "{} {} at {} UTC{}{}",
        run.run_id,
        run.status,
        run.started_at.format("%Y-%m-%d %H:%M:%S"),
        raised.unwrap_or_default(),
        release.unwrap_or_default()
    )
}
