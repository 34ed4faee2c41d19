//! The job as a SageMaker pipeline: the SDK's local mode executes the definition, over the functions
//! and the database of the state machine.

use super::*;

use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use limit_increase::aws::clients::send_to_local;
use limit_increase::local::Venv;
use limit_increase_report::page;
use serde_json::Value;

/// How long a local execution may take to come to a step.
const PATIENCE: Duration = Duration::from_secs(60);

/// What `limit-increase --json pipeline ..` answers, and its exit code.
fn pipeline(environment: &Environment, arguments: &[&str]) -> Result<(Option<i32>, Value)> {
    let output = environment.command(&[&["--json", "pipeline"], arguments].concat())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let answer = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("pipeline {arguments:?} should answer JSON, it said {said}"))?;
    Ok((output.status.code(), answer))
}

/// Starts an execution that must succeed. Returns the id of its run.
fn start_well(environment: &Environment, options: &[&str]) -> Result<RunId> {
    let (code, answer) = pipeline(environment, &[&["start"], options].concat())?;
    ensure!(code == Some(0) && answer["status"] == "Succeeded", "it should succeed: {answer}");
    run_of(&answer)
}

fn run_of(answer: &Value) -> Result<RunId> {
    let id = answer["run_id"].as_str().context("an execution names its run")?;
    Ok(RunId::try_from(id.to_owned())?)
}

/// The names of the steps that were executed, in order.
fn steps(answer: &Value) -> Vec<&str> {
    let steps = answer["steps"].as_array().into_iter().flatten();
    steps.filter_map(|step| step["name"].as_str()).collect()
}

/// The objects of a run by their key, without what differs from run to run: its id, its times, and
/// the versions that S3 gives to the objects. The page of the report has to be that of its JSON.
fn objects(environment: &Environment, run: &RunId) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut objects = BTreeMap::new();
    for stage in [Stage::Customers, Stage::ScoredCustomers, Stage::Evaluations, Stage::Results] {
        for key in environment.keys(&stage.prefix(run))? {
            let content = environment.object(&key)?.to_vec();
            let content = match key.rsplit_once('.') {
                Some((_, "json")) => timeless(&content, run)?,
                Some((name, "html")) => {
                    let report = environment.object(&format!("{name}.json"))?;
                    let rendered = page::render(&serde_json::from_slice(&report)?);
                    ensure!(content == rendered.as_bytes(), "{key} should show {name}.json");
                    Vec::new()
                }
                _ => content,
            };
            objects.insert(key.replace(run.as_str(), "<run>"), content);
        }
    }

    Ok(objects)
}

fn timeless(json: &[u8], run: &RunId) -> Result<Vec<u8>> {
    let text = std::str::from_utf8(json)?.replace(run.as_str(), "<run>");
    let mut document: Value = serde_json::from_str(&text)?;
    remove_times(&mut document);

    for shard in document.as_array_mut().into_iter().flatten() {
        shard["file"].as_object_mut().map(|file| file.remove("version_id"));
    }

    Ok(serde_json::to_vec_pretty(&document)?)
}

/// Removes the times of runs, wherever they are in a document.
fn remove_times(document: &mut Value) {
    match document {
        Value::Object(fields) => {
            fields.retain(|name, _| !["started_at", "finished_at", "seconds"].contains(&&**name));
            fields.values_mut().for_each(remove_times);
        }
        Value::Array(values) => values.iter_mut().for_each(remove_times),
        _ => {}
    }
}

/// Promise 2: what drives the functions does not matter. The same twenty customers are decided with
/// the same numbers, and the objects in S3 have the same bytes.
pub(super) fn the_pipeline_decides_as_the_state_machine(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let by_machine = environment.run_well(&RunRequest::default())?;
    let machine = RunRecord::read(environment, &by_machine)?;
    let decided = decisions(environment)?;
    ensure!(decided.len() == 20, "20 decisions expected, found {}", decided.len());

    environment.reset()?;
    let by_pipeline = start_well(environment, &[])?;
    ensure!(
        decisions(environment)? == decided,
        "promise 2: the pipeline should decide the same customers as the state machine"
    );

    // The record checks the ledger, the summary and the sums too. The reset has emptied the ledger,
    // so the record of the other run was read before.
    let pipeline = RunRecord::read(environment, &by_pipeline)?;
    ensure!(pipeline.evaluated == machine.evaluated, "promise 2: the evaluations should be equal");
    ensure!(pipeline.effects == machine.effects, "every decision should be written by both");

    let (expected, found) =
        (objects(environment, &by_machine)?, objects(environment, &by_pipeline)?);
    ensure!(
        found.keys().eq(expected.keys()) && expected.len() == 8,
        "both should write the same objects: {:?} and {:?}",
        expected.keys(),
        found.keys()
    );
    for (key, content) in &expected {
        ensure!(&found[key] == content, "promise 2: {key} should have the same bytes");
    }

    Ok(())
}

/// Promise 1: a customer who was decided by one is not decided by the other. A second start takes
/// others, a repeated start takes nobody, and at the end there is nobody left.
pub(super) fn the_pipeline_and_the_state_machine_decide_nobody_twice(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let eligible = eligible(environment)?;
    let (_, first) = pipeline(environment, &["start", "--limit", "7", "--token", "night-1"])?;
    let by_machine =
        environment.run_well(&RunRequest { limit: Some(8), ..RunRequest::default() })?;
    let table = decisions(environment)?;
    ensure!(table.len() == 15, "15 decisions expected, found {}", table.len());

    let (code, again) = pipeline(environment, &["start", "--limit", "7", "--token", "night-1"])?;
    ensure!(
        code == Some(0) && again["id"] == first["id"] && decisions(environment)? == table,
        "promise 7: a start with the same token should start nothing: {again}"
    );

    let rest = start_well(environment, &["--limit", "100"])?;
    let table = decisions(environment)?;
    ensure!(table.len() as u64 == eligible, "all {eligible} should be decided: {}", table.len());
    let mut taken = 0;
    for run in [run_of(&first)?, by_machine, rest] {
        let record = RunRecord::read(environment, &run)?;
        record.check_table(&table)?;
        ensure!(record.summary.counts.stale == 0, "promise 1: {run} should find nobody decided");
        taken += record.summary.eligible;
    }
    ensure!(taken == eligible, "promise 1: {taken} were taken, {eligible} are eligible");

    // The night with nobody goes the other way and closes its run.
    let (code, empty) = pipeline(environment, &["start"])?;
    ensure!(code == Some(0), "a night with nobody should succeed: {empty}");
    let expected = ["OneShard", "QueryBatchScores", "AnyEligible", "SaveEmptyResults"];
    ensure!(steps(&empty) == expected, "nothing is left to do: {empty}");
    let record = RunRecord::read(environment, &run_of(&empty)?)?;
    ensure!(record.summary.eligible == 0, "nobody should be left: {:?}", record.summary);

    // Everything that was executed is kept, with its inputs, its outputs and its definition.
    let kept = list(environment)?;
    ensure!(kept.iter().any(|execution| execution["id"] == first["id"]), "{first} should be kept");
    let id = first["id"].as_str().context("an id")?;
    let (_, described) = pipeline(environment, &["describe", id])?;
    ensure!(described == first, "the description should be the answer of the start: {described}");
    let query = &described["steps"][1];
    ensure!(
        query["inputs"]["limit"] == 7 && query["outputs"]["remaining"] == 1,
        "the step should be kept with its inputs and outputs: {query}"
    );
    Ok(())
}

/// Promise 5: a step that fails ends the execution with its cause, and the ledger has the run FAILED
/// with the same cause. After the repair the next start takes the same customers (promise 4).
///
/// An execution that is killed can tell the ledger nothing, so the next start does.
pub(super) fn a_killed_or_failed_start_of_the_pipeline_is_shown_and_its_run_is_failed(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let killed = killed_start(environment)?;
    environment.put_object(limit_increase_workflow::keys::DEFAULT_POLICY_KEY, "{")?;
    let failed = pipeline(environment, &["start"]);
    let policy = limit_increase_workflow::keys::DEFAULT_POLICY_KEY;
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(policy).send())?;
    check_failure(environment, &failed?, "QueryBatchScores", "Permanent.InvalidPolicy")?;

    let ledger = LedgerRow::read(environment, &killed)?;
    ensure!(
        ledger.status == "FAILED" && ledger.error.as_deref() == Some("Pipeline.Stopped"),
        "promise 5: the next start should record the killed run as FAILED, found {ledger:?}"
    );
    ensure!(list(environment)?.iter().all(|one| one["unrecorded"].is_null()), "it is told once");

    let run = environment.run_well(&RunRequest { dry_run: true, ..RunRequest::default() })?;
    let dry = RunRecord::read(environment, &run)?;
    let victim = dry.evaluated.keys().next().context("somebody is eligible")?;
    sabotage(environment, victim)?;
    let failed = pipeline(environment, &["start"]);
    repair(environment)?;
    check_failure(environment, &failed?, "UpdateDatabase", "Permanent.")?;

    let run = start_well(environment, &[])?;
    let record = RunRecord::read(environment, &run)?;
    ensure!(
        record.evaluated == dry.evaluated,
        "promise 4: the next start should decide whom the failed one took"
    );
    record.check_table(&decisions(environment)?)
}

/// Kills the program of a start while its first function waits for the table. Returns its run, which
/// the function then opens.
fn killed_start(environment: &Environment) -> Result<RunId> {
    // The first command installs the environment if it has to.
    list(environment)?;
    let mut client = environment.database()?;
    let waiting = environment.block_on(client.transaction())?;
    environment.block_on(waiting.batch_execute("LOCK TABLE batch_scores"))?;

    let project = &environment.context.project;
    let mut command = Command::new(project.venv_program(Venv::Pipeline, "python"));
    command.arg(project.root().join("pipeline/sagemaker_pipeline.py")).args(["start", "--json"]);
    command.env("LIMIT_INCREASE_HOME", environment.context.home.root()).stdout(Stdio::null());
    send_to_local(&mut command, environment.ready.services.localstack_port);
    let mut program = command.spawn()?;
    let begun = begun_execution(environment);
    program.kill()?;
    program.wait()?;

    let id = begun?["id"].clone();
    let listed = list(environment)?;
    let listed = listed.iter().find(|one| one["id"] == id).context("it should be listed")?;
    let (_, described) = pipeline(environment, &["describe", id.as_str().unwrap_or_default()])?;
    let reason = described["failure_reason"].as_str().unwrap_or_default();
    ensure!(
        *listed == described && described["status"] == "Stopped" && reason.contains("was killed"),
        "an execution whose process is gone should be Stopped: {listed}"
    );

    environment.block_on(waiting.rollback())?;
    let run = run_of(&described)?;
    let deadline = Instant::now() + PATIENCE;
    while LedgerRow::read(environment, &run).is_err() {
        ensure!(Instant::now() < deadline, "the function should open {run}");
        sleep(Duration::from_millis(100));
    }

    Ok(run)
}

/// The execution that is under way, once it has called its first function.
fn begun_execution(environment: &Environment) -> Result<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed = list(environment)?;
        let begun = listed.into_iter().find(|one| one["status"] == "Executing");
        if let Some(one) = begun.filter(|one| steps(one).contains(&"QueryBatchScores")) {
            return Ok(one);
        }

        ensure!(Instant::now() < deadline, "no execution has begun after {PATIENCE:?}");
        sleep(Duration::from_millis(300));
    }
}

fn list(environment: &Environment) -> Result<Vec<Value>> {
    let (_, kept) = pipeline(environment, &["list"])?;
    kept["executions"].as_array().cloned().context("a list of executions")
}

fn check_failure(
    environment: &Environment,
    (code, answer): &(Option<i32>, Value),
    step: &str,
    error: &str,
) -> Result<()> {
    ensure!(*code == Some(3) && answer["status"] == "Failed", "it should fail: {answer}");
    let reason = answer["failure_reason"].as_str().context("a failure has its reason")?;
    ensure!(
        reason.contains(step) && reason.contains(error) && steps(answer).last() == Some(&step),
        "{step} should fail with {error}, and nothing come after it: {answer}"
    );

    let ledger = LedgerRow::read(environment, &run_of(answer)?)?;
    ensure!(
        ledger.status == "FAILED" && ledger.error.as_deref().is_some_and(|e| e.starts_with(error)),
        "promise 5: the ledger should have the run FAILED with {error}, it has {ledger:?}"
    );
    let cause = ledger.cause.context("a failed run has its cause")?;
    ensure!(
        cause.starts_with(&format!("step {step}: {error}")),
        "promise 5: the cause should be that of the step: {cause}"
    );
    ensure!(decisions(environment)?.is_empty(), "promise 10: nobody should be decided");
    Ok(())
}
