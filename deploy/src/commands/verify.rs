//! `verify`: checks the chain of seals and the objects of the runs, and names what is not as sealed.

use anyhow::Result;
use limit_increase_evidence::seal::{Finding, check_chain, check_known};
use serde_json::json;
use tokio_postgres::Client;

use super::results::run_id;
use crate::cli::VerifyArgs;
use limit_increase::aws::Aws;
use limit_increase::database;
use limit_increase::local::{Context, services};
use limit_increase::model::BUCKET;
use limit_increase::proof::history::check_strays;
use limit_increase::proof::ledger::{self, Ledger};
use limit_increase::proof::verify::{check_objects, check_unknown_runs};
use limit_increase::terminal::{Exit, Problem, Ui, thousands};

pub(super) async fn run(context: &Context, arguments: &VerifyArgs) -> Result<Exit> {
    if let Some(run) = &arguments.run {
        run_id(run)?;
    }
    let services = services::ensure(context).await?;
    let mut client = database::connect(&services.database_url).await?;
    let aws = Aws::local(services.localstack_port);
    show(&context.ui, &aws, BUCKET, &mut client, arguments).await
}

/// Verifies, and shows the findings. The exit code says whether there are any.
pub(super) async fn show(
    ui: &Ui,
    aws: &Aws,
    bucket: &str,
    client: &mut Client,
    arguments: &VerifyArgs,
) -> Result<Exit> {
    let mut task = ui.task("verify");
    task.phase("the ledger and its seals");
    require_seals(client).await?;
    let ledger = ledger::read(client).await?;
    let chain = check_chain(&ledger.seals, &ledger.runs);
    let mut findings = chain.findings.clone();
    findings.extend(arguments.seal.as_deref().and_then(|seal| check_known(&ledger.seals, seal)));

    let runs = match &arguments.run {
        _ if arguments.chain => Vec::new(),
        Some(run) => vec![known(&ledger, run)?],
        None => (0..ledger.runs.len()).collect(),
    };
    let mut objects = 0;
    for at in &runs {
        let run = &ledger.runs[*at];
        task.phase(format!("the objects of {}", run.run_id));
        let seal = ledger
            .seals
            .iter()
            .find(|seal| seal.run_id == run.run_id && seal.started_at == run.started_at);
        let report = check_objects((aws, &*client), run, seal, &task).await?;
        objects += report.objects;
        findings.extend(report.findings);
    }
    if arguments.run.is_none() && !arguments.chain {
        findings.extend(check_unknown_runs(aws, bucket, &ledger.runs).await?);
        findings.extend(check_strays(client).await?);
    }
    task.done(format!("{} seals, {} objects", thousands(chain.seals), thousands(objects)));

    ui.line(text(&findings, chain.seals, (runs.len(), objects)));
    if let Some(newest) = &chain.newest {
        ui.line(format!("The newest seal, to be kept elsewhere: {newest}"));
    }
    if chain.before_the_seals > 0 {
        let count = thousands(chain.before_the_seals);
        ui.line(format!(
            "{count} closed runs are from before the seals; nothing vouches for them."
        ));
    }
    ui.json(&json!({
        "seals": chain.seals,
        "newest": chain.newest,
        "before_the_seals": chain.before_the_seals,
        "runs_checked": runs.len(),
        "objects_checked": objects,
        "findings": findings,
    }))?;
    Ok(if findings.is_empty() { Exit::Ok } else { Exit::Failed })
}

/// The run's place in the ledger. A run that the chain knows and the ledger does not is a finding of
/// the chain, and an unknown name is the user's error.
fn known(ledger: &Ledger, run: &str) -> Result<usize> {
    let found = ledger.runs.iter().position(|known| known.run_id == run);
    found.ok_or_else(|| {
        let sealed = ledger.seals.iter().any(|seal| seal.run_id == run);
        let problem = Problem::usage(format!("the ledger has no run {run} that has ended"));
        match sealed {
            true => {
                problem.at("its seal is there: the run was removed").next("limit-increase verify")
            }
            false => problem.next("limit-increase results lists the last runs"),
        }
        .into()
    })
}

async fn require_seals(client: &Client) -> Result<()> {
    let row = client
        .query_one("SELECT to_regclass('limit_increase_seals') IS NOT NULL AS known", &[])
        .await?;
    if row.try_get("known")? {
        return Ok(());
    }

    Err(Problem::new("this database has no seals")
        .at("limit_increase_seals")
        .next("bring its schema up to date: limit-increase setup-db --schema-only")
        .into())
}

fn text(findings: &[Finding], seals: u64, (runs, objects): (usize, u64)) -> String {
    let checked = format!(
        "{} seals in the chain; {} objects of {} runs",
        thousands(seals),
        thousands(objects),
        thousands(runs as u64)
    );
    if findings.is_empty() {
        return format!("{checked}: all is as it was sealed.");
    }

    // Lines and no table: a key and a hash have to be copied whole.
    let mut text =
        format!("{checked}. Not as it was sealed: {}.", thousands(findings.len() as u64));
    for Finding { run_id, place, problem } in findings {
        let run = run_id.as_deref().unwrap_or("an unknown run");
        text.push_str(&format!("\n  {run}: {place}\n    {problem}"));
    }
    text
}
