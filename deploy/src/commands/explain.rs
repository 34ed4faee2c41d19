//! `explain`: shows why a customer was decided so.

mod text;

use anyhow::{Context as _, Result};
use limit_increase_artifact::Artifact;
use limit_increase_evidence::counterfactual::{Counterfactual, MayMove, Questions};
use limit_increase_evidence::explanation::{Explanation, Record, explain, page};
use limit_increase_handoff::customers::Customers;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_handoff::scored::Scored;
use limit_increase_handoff::{results, row_count};
use limit_increase_scoring::Model;
use limit_increase_scoring_step::frame;
use serde_json::json;

use super::results::run_id;
use crate::cli::ExplainArgs;
use limit_increase::aws::Aws;
use limit_increase::local::{Context, services};
use limit_increase::model::BUCKET;
use limit_increase::proof::find::{self, Place};
use limit_increase::proof::run_files::RunFiles;
use limit_increase::terminal::{Problem, Ui};
use limit_increase::{customers, database};

pub(super) async fn run(context: &Context, arguments: &ExplainArgs) -> Result<()> {
    let run = arguments.run.as_deref().map(run_id).transpose()?;
    let services = services::ensure(context).await?;
    let aws = Aws::local(services.localstack_port);
    let client = database::connect(&services.database_url).await?;
    let known = match customers::has_tables(&client).await? {
        true => find::in_history(&client, &arguments.customer, run.as_ref()).await?,
        false => None,
    };

    let (files, place) = match (known, run) {
        (Some(place), _) => (RunFiles::open(&aws, BUCKET, &place.run).await?, place),
        (None, Some(run)) => {
            let files = RunFiles::open(&aws, BUCKET, &run).await?;
            let task = context.ui.task("search");
            let place = find::in_run(&files, &arguments.customer, &task).await?;
            task.clear();
            (files, place)
        }
        (None, None) => return Err(unknown_problem(&arguments.customer).into()),
    };

    show(&context.ui, &files, &place, arguments).await
}

fn unknown_problem(customer: &str) -> Problem {
    Problem::usage(format!("the history has no decision on customer {customer}"))
        .at("limit_increase_decisions")
        .next(
            "check the id, which is compared exactly; a run before the history began is named: \
             --run RUN (limit-increase results lists the last ones)",
        )
}

/// Explains the decision at a place, as text, page and JSON.
pub(super) async fn show(
    ui: &Ui,
    files: &RunFiles,
    place: &Place,
    arguments: &ExplainArgs,
) -> Result<()> {
    let (recorded, artifact) = tokio::try_join!(files.recorded(place.shard), files.artifact())?;
    let rows = row_count(&recorded.customers)?;
    let customers = Customers::read(recorded.customers, rows)?;
    let scored = Scored::read(recorded.scored, rows)?;
    let evaluations = Evaluations::read(recorded.evaluations, rows)?;
    let effects = results::read(recorded.results, rows)?;
    let missing = || format!("shard {} of run {} has no row {}", place.shard, place.run, place.row);
    let evaluation = evaluations.iter()?.nth(place.row).with_context(missing)??;
    let [id, _, effect] = effects.get(place.row).with_context(missing)?;
    if evaluation.customer_id != arguments.customer || id != &arguments.customer {
        let what = format!("row {} is of another customer than the history says", place.row);
        return Err(Problem::new(what)
            .at(format!("shard {} of run {}", place.shard, place.run))
            .next(format!("limit-increase verify {}", place.run))
            .into());
    }

    let record = Record {
        shard: place.shard,
        row: place.row,
        customers: &customers,
        scored: &scored,
        evaluation: &evaluation,
        effect,
    };
    let explanation = explain(files.facts.clone(), &record, &artifact.manifest)?;
    let counterfactual = match arguments.counterfactual {
        true => counterfactual(&explanation, &artifact, &customers, arguments)?,
        false => None,
    };

    if let Some(path) = &arguments.html {
        let page = page(&explanation, counterfactual.as_ref());
        std::fs::write(path, page).map_err(|error| {
            Problem::usage(format!("cannot write the page: {error}")).at(path.display().to_string())
        })?;
    }

    ui.line(text::explanation(&explanation));
    if arguments.counterfactual {
        ui.line(text::counterfactual(&explanation, counterfactual.as_ref()));
    }
    if let Some(path) = &arguments.html {
        ui.line(format!("\nThe page is {}. It names the customer.", path.display()));
    }
    ui.json(&json!({
        "explanation": explanation,
        "counterfactual": counterfactual,
        "page": arguments.html,
    }))
}

/// What would have reached the minimum score; `None` if there is no score, or it reaches.
fn counterfactual(
    explanation: &Explanation,
    artifact: &Artifact,
    customers: &Customers,
    arguments: &ExplainArgs,
) -> Result<Option<Counterfactual>> {
    let may_move = may_move(artifact, &arguments.may_move)?;
    let cut_off = explanation.run.policy.minimum_score;
    if explanation.new_score().is_none_or(|score| score >= cut_off) {
        return Ok(None);
    }

    let model = Model::load(artifact)?;
    let questions = Questions::new(&model, artifact)?;
    let frame = frame(model.inputs(), customers)?;
    Ok(Some(questions.ask(&frame, explanation.row, cut_off, &may_move)?))
}

/// The inputs that were listed, each of which the model must read.
fn may_move(artifact: &Artifact, listed: &[String]) -> Result<MayMove> {
    if listed.is_empty() {
        return Ok(MayMove::ByName);
    }

    let known: Vec<String> =
        artifact.manifest.source_columns().into_iter().map(|column| column.name).collect();
    match listed.iter().find(|name| !known.contains(name)) {
        Some(unknown) => Err(Problem::usage(format!("the model reads no input {unknown}"))
            .at("--may-move")
            .next(format!("choose from: {}", known.join(", ")))
            .into()),
        None => Ok(MayMove::Listed(listed.iter().cloned().collect())),
    }
}
