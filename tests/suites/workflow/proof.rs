//! Why and proof: explanations, counterfactuals scored by CatBoost itself, replays, and tamperings
//! that `verify` names.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use limit_increase::local::{Venv, python};
use limit_increase::model::BUCKET;
use limit_increase::proof::run_files::RunFiles;
use limit_increase_artifact::{Artifact, ModelColumn, ModelColumnKind};
use limit_increase_evidence::counterfactual::{Change, MayMove, Questions};
use limit_increase_handoff::customers::{Customers, FeatureArray};
use limit_increase_scoring::Model;
use limit_increase_scoring_step::frame;
use limit_increase_tests::environment::Environment;
use limit_increase_workflow::keys::{Stage, shard_list_key, summary_key};
use limit_increase_workflow::{RunId, RunRequest, ShardIndex};
use serde_json::{Value, json};

use crate::all;

/// Scores rows of model columns by CatBoost, from `model.json`.
const CATBOOST: &str = "
import json, sys
import numpy as np
from catboost import CatBoostClassifier
asked = json.load(sys.stdin)
model = CatBoostClassifier()
model.load_model(asked['model'], format='json')
rows = np.array([[np.nan if v is None else v for v in row] for row in asked['rows']], np.float32)
json.dump(model.predict(rows, prediction_type='RawFormulaVal').tolist(), sys.stdout)
";

/// Whoever owns the database can switch the triggers off that keep the history.
const AS_REPLICA: &str = "SET LOCAL session_replication_role = replica;";

/// Each customer who was declined for the score is moved as the counterfactual says, and CatBoost
/// itself then gives a score that reaches the cut-off.
pub(crate) fn a_counterfactual_reaches_the_cut_off_by_catboost_itself(
    environment: &Environment,
) -> Result<()> {
    environment.reset_to(1_500)?;
    let run = environment.run_well(&RunRequest { dry_run: true, ..all() })?;
    let aws = &environment.ready.aws;
    let files = environment.block_on(RunFiles::open(aws, BUCKET, &run))?;
    let artifact = environment.block_on(files.artifact())?;
    let model = Model::load(&artifact)?;
    let questions = Questions::new(&model, &artifact)?;
    let cut_off = files.facts.policy.minimum_score;

    let mut rows: Vec<Vec<Option<f64>>> = Vec::new();
    let (mut declined, mut reached) = (0, 0);
    for shard in &files.shards {
        let file = environment.block_on(files.stage(shard.index, Stage::Customers))?;
        let customers = Customers::read(file, shard.rows)?;
        let frame = frame(model.inputs(), &customers)?;
        let scores = model.predict(&frame)?;
        for (row, prediction) in scores.iter().enumerate() {
            if prediction.is_none_or(|prediction| prediction.score >= cut_off) {
                continue;
            }

            declined += 1;
            let answer = questions.ask(&frame, row, cut_off, &MayMove::ByName)?;
            reached += usize::from(!answer.reaching.is_empty());
            for one in &answer.reaching {
                rows.push(model_row(&artifact, &customers, row, &one.column, &one.change)?);
            }
        }
    }

    ensure!(declined > 100, "more than 100 customers should be declined, {declined} are");
    ensure!(reached > declined / 2, "a change should reach the cut-off for most, {reached}");
    let raw_values = by_catboost(environment, &artifact, &rows)?;
    ensure!(raw_values.len() == rows.len(), "a raw value for each of {} rows", rows.len());
    let below: Vec<usize> = raw_values
        .iter()
        .enumerate()
        .filter(|(_, raw_value)| model.scorecard().score(**raw_value) < cut_off)
        .map(|(row, _)| row)
        .collect();
    ensure!(below.is_empty(), "{} of {} stay below: rows {below:?}", below.len(), rows.len());
    Ok(())
}

/// The customer's model columns with one source at another value.
fn model_row(
    artifact: &Artifact,
    customers: &Customers,
    row: usize,
    moved: &str,
    change: &Change,
) -> Result<Vec<Option<f64>>> {
    let inputs = artifact.manifest.source_columns();
    let value = |column: &ModelColumn| {
        let is_moved = column.source_column == moved;
        let source = inputs.iter().find(|input| input.name == column.source_column);
        let array = customers.feature(source.context("a column of a source")?)?;
        Ok(match (array, column.kind) {
            (FeatureArray::Numbers(array), ModelColumnKind::Numeric) => {
                let own = array.iter().nth(row).flatten();
                let to = match change {
                    Change::Number { to, .. } if is_moved => Some(*to),
                    _ => own,
                };
                let is_special = |value: &f64| {
                    column.special.iter().any(|special| special.value.to_bits() == value.to_bits())
                };
                to.filter(|value| !value.is_nan() && !is_special(value))
            }
            (FeatureArray::Texts(array), ModelColumnKind::OneHot) => {
                let own = array.iter().nth(row).flatten().filter(|text| !text.is_empty());
                let to = match change {
                    Change::Category { to, .. } if is_moved => Some(to.as_str()),
                    _ => own,
                };
                let is_it = column.category.clone().flatten().as_deref() == to;
                Some(if is_it { 1.0 } else { 0.0 })
            }
            _ => anyhow::bail!("{} is of another kind than its source", column.name),
        })
    };
    artifact.manifest.columns.iter().map(value).collect()
}

fn by_catboost(
    environment: &Environment,
    artifact: &Artifact,
    rows: &[Vec<Option<f64>>],
) -> Result<Vec<f64>> {
    let context = &environment.context;
    python::ensure_venv(&context.project, Venv::Training, &context.ui)?;
    let model = context.home.root().join("model-of-the-counterfactuals.json");
    std::fs::write(&model, &artifact.model_json)?;
    let mut child = Command::new(context.project.venv_program(Venv::Training, "python"))
        .args(["-c", CATBOOST])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let asked = serde_json::to_vec(&json!({ "model": model, "rows": rows }))?;
    child.stdin.take().context("standard input")?.write_all(&asked)?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "CatBoost ended with {}", output.status);
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// What `explain` says is what the table and the records say.
pub(crate) fn a_customer_is_explained_by_points_that_add_up(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let run = environment.run_well(&RunRequest { shard_size: 7, ..all() })?;
    let decided = limit_increase_tests::records::decisions(environment)?;
    let page = environment.context.home.root().join("why.html");
    for wanted in ["APPROVED", "DECLINED"] {
        let (customer, stored) =
            decided.iter().find(|(_, one)| one.decision == wanted).context("such a customer")?;
        // The history says which run it was.
        let answer = environment.command_json(&[
            "explain",
            customer,
            "--counterfactual",
            "--html",
            page.to_str().context("a path")?,
        ])?;
        let explained = &answer["explanation"];
        ensure!(explained["outcome"] == *wanted, "{explained}");
        ensure!(explained["decision_reason"] == *stored.reason, "{explained}");

        let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let inputs = explained["inputs"].as_array().context("inputs")?;
        let steps: f64 = inputs.iter().map(|input| number(&input["points"])).sum();
        let score = &explained["score"];
        let sum = number(&score["base"]) + steps + number(&score["rounding"]);
        ensure!((sum - number(&score["score"])).abs() < 1e-6, "{sum} should be {score}");
        ensure!(
            std::fs::read_to_string(&page)?.contains(customer.as_str()),
            "a page about {customer}"
        );

        let text = environment.command(&["explain", customer, "--run", run.as_str()])?;
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        let model = explained["run"]["model"]["sha256"].as_str().unwrap_or_default();
        for words in ["Average customer", "Rounding", "By what it was decided", model] {
            ensure!(text.contains(words), "`explain` should show {words:?}:\n{text}");
        }
    }

    let nobody = environment.command(&["explain", "nobody", "--run", run.as_str()])?;
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    ensure!(nobody.status.code() == Some(2) && said.contains("is not in run"), "{said}");
    let customer = decided.keys().next().context("a customer")?;
    let unknown =
        ["explain", customer, "--run", run.as_str(), "--counterfactual", "--may-move", "x"];
    let unknown = environment.command(&unknown)?;
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    ensure!(unknown.status.code() == Some(2) && said.contains("reads no input x"), "{said}");
    Ok(())
}

/// Whole and in part, and an edit of a record is named by its place.
pub(crate) fn a_replay_repeats_a_run_bit_for_bit_and_names_an_edit(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let run = environment.run_well(&RunRequest { shard_size: 7, ..all() })?;
    let other = environment.run_well(&RunRequest { dry_run: true, shard_size: 7, ..all() })?;
    let whole = environment.command_json(&["replay", run.as_str()])?;
    let customers = whole["replay"]["customers"].as_u64().unwrap_or_default();
    ensure!(customers > 20 && whole["replay"]["differences"] == 0, "{whole}");
    let part = environment.command_json(&["replay", run.as_str(), "--sample", "9"])?;
    ensure!(part["replay"]["customers"] == 9 && part["replay"]["differences"] == 0, "{part}");
    drop(other);

    let key = |stage: Stage, shard: u32| stage.shard_key(&run, ShardIndex(shard));
    let [first, second] = [0, 1].map(|shard| key(Stage::ScoredCustomers, shard));
    let content = environment.object(&first)?;
    environment.put_object(&first, environment.object(&second)?)?;
    let output = environment.command(&["replay", run.as_str()])?;
    environment.put_object(&first, content)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{said}");
    ensure!(said.contains("scored_customers") && said.contains("customer_id"), "{said}");
    Ok(())
}

/// A way to tamper, and how `verify` has to name it.
struct Tampering<'a> {
    name: &'a str,
    /// Statements for the ledger.
    sql: String,
    /// Objects that are replaced, or removed where there is nothing to put in their place.
    objects: Vec<(String, Option<Vec<u8>>)>,
    /// The run that has to be named; `None` where nothing says which one it was.
    run: Option<&'a str>,
    /// Words of the finding: of its place or of its problem.
    words: &'a str,
}

/// Promise 15: more than twelve tamperings, each named by `verify` with its run.
pub(crate) fn every_tampering_is_named_by_verify(environment: &Environment) -> Result<()> {
    environment.reset()?;
    // What is left of other cases, whose runs the empty ledger does not know.
    let client = environment.database()?;
    let empty = format!("BEGIN; {AS_REPLICA} TRUNCATE limit_increase_decisions; COMMIT");
    environment.block_on(client.batch_execute(&empty))?;
    for key in environment.keys("pipeline/results/")? {
        remove(environment, &key)?;
    }
    let night = || {
        environment.run_well(&RunRequest { limit: Some(8), shard_size: 4, ..RunRequest::default() })
    };
    let runs: Vec<RunId> = (0..4).map(|_| night()).collect::<Result<_>>()?;
    let untouched = environment.command_json(&["verify"])?;
    ensure!(untouched["findings"] == json!([]) && untouched["seals"] == 4, "{untouched}");
    // Four nights of two shards with four files each, a list of shards, a summary, a report of two
    // files, and a model.
    ensure!(untouched["objects_checked"] == 4 * (2 * 4 + 5), "{untouched}");

    let kept = untouched["newest"].as_str().context("a seal")?;
    ensure!(environment.command(&["verify", "--chain", "--seal", kept])?.status.success(), "kept");
    environment.block_on(client.batch_execute(&copies("CREATE TABLE kept_{0} AS TABLE {0}")))?;
    let tampered = tamperings(environment, &runs)?
        .into_iter()
        .try_for_each(|tampering| try_tampering(environment, &tampering));
    environment.block_on(client.batch_execute(&copies("DROP TABLE kept_{0}")))?;
    tampered?;

    let restored = environment.command_json(&["verify", runs[1].as_str()])?;
    ensure!(restored["findings"] == json!([]) && restored["runs_checked"] == 1, "{restored}");
    let unknown = environment.command(&["verify", "--chain", "--seal", &"0".repeat(64)])?;
    let said = String::from_utf8_lossy(&unknown.stdout).into_owned();
    ensure!(unknown.status.code() == Some(1) && said.contains("made anew"), "{said}");
    Ok(())
}

fn tamperings<'a>(environment: &Environment, runs: &'a [RunId]) -> Result<Vec<Tampering<'a>>> {
    let (second, third) = (runs[1].as_str(), runs[2].as_str());
    let flipped = |key: &str| -> Result<Vec<u8>> {
        let mut content = environment.object(key)?.to_vec();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        Ok(content)
    };
    let of_ledger = |name: &'a str, sql: String, run: Option<&'a str>, words: &'a str| Tampering {
        name,
        sql,
        objects: Vec::new(),
        run,
        words,
    };

    let mut all = Vec::new();
    for stage in [Stage::Customers, Stage::ScoredCustomers, Stage::Evaluations, Stage::Results] {
        let key = stage.shard_key(&runs[1], ShardIndex(1));
        all.push(Tampering {
            name: "one bit of a stage's file",
            sql: String::new(),
            objects: vec![(key.clone(), Some(flipped(&key)?))],
            run: Some(second),
            words: stage.folder(),
        });
    }

    let summary = summary_key(&runs[1]);
    let edited = String::from_utf8(environment.object(&summary)?.to_vec())?
        .replace("\"total_increase\": \"", "\"total_increase\": \"1");
    let list = shard_list_key(&runs[1]);
    let results = Stage::Results.shard_key(&runs[2], ShardIndex(0));
    let [one, other] = [1, 2].map(|run: usize| {
        let key = Stage::Evaluations.shard_key(&runs[run], ShardIndex(0));
        environment.object(&key).map(|content| (key, content.to_vec()))
    });
    let ((one_key, one), (other_key, other)) = (one?, other?);
    let object = |name, objects, run, words| Tampering {
        name,
        sql: String::new(),
        objects,
        run: Some(run),
        words,
    };
    all.push(object(
        "an edited summary",
        vec![(summary, Some(edited.into_bytes()))],
        second,
        "summary.json",
    ));
    all.push(object(
        "an edited list",
        vec![(list.clone(), Some(flipped(&list)?))],
        second,
        "manifest.json",
    ));
    all.push(object("a removed object", vec![(results, None)], third, "the object is missing"));
    all.push(object(
        "two swapped runs' objects",
        vec![(one_key, Some(other)), (other_key, Some(one))],
        third,
        "evaluations",
    ));

    all.push(of_ledger(
        "edited counts",
        format!(
            "UPDATE limit_increase_runs SET approved = approved + 1, declined = declined - 1
             WHERE run_id = '{second}'"
        ),
        Some(second),
        "approved was sealed as",
    ));
    all.push(of_ledger(
        "an edited policy",
        format!(
            "UPDATE limit_increase_runs
             SET context = jsonb_set(context, '{{policy,minimum_score}}', '600')
             WHERE run_id = '{second}'"
        ),
        Some(second),
        "context.policy.minimum_score was sealed as 650 and is 600",
    ));
    all.push(of_ledger(
        "a re-dated run",
        format!(
            "UPDATE limit_increase_runs SET finished_at = finished_at - interval '1 day',
                 context = jsonb_set(context, '{{as_of}}', '\"2020-01-01\"')
             WHERE run_id = '{second}'"
        ),
        Some(second),
        "context.as_of",
    ));
    all.push(of_ledger(
        "an edited shard",
        format!(
            "UPDATE limit_increase_shards SET total_increase = total_increase + 1
             WHERE run_id = '{second}' AND shard_index = 0"
        ),
        Some(second),
        "limit_increase_shards",
    ));
    all.push(of_ledger(
        "an edited hash of a file",
        format!(
            "UPDATE limit_increase_shard_files SET results_sha256 = repeat('0', 64)
             WHERE run_id = '{second}' AND shard_index = 0"
        ),
        Some(second),
        "limit_increase_shard_files",
    ));
    all.push(of_ledger(
        "an edited seal",
        "UPDATE limit_increase_seals SET seal = repeat('0', 64) WHERE number = 2".to_owned(),
        Some(second),
        "is not the hash of its document",
    ));
    all.push(of_ledger(
        "a removed night",
        format!("DELETE FROM limit_increase_runs WHERE run_id = '{second}'"),
        Some(second),
        "removed from the ledger",
    ));
    all.push(of_ledger(
        "a removed night and its seal",
        format!(
            "DELETE FROM limit_increase_runs WHERE run_id = '{second}';
             DELETE FROM limit_increase_seals WHERE number = 2"
        ),
        Some(second),
        "the ledger has no such run",
    ));
    all.push(of_ledger(
        "the last night and its seal",
        format!(
            "DELETE FROM limit_increase_runs WHERE run_id = '{last}';
             DELETE FROM limit_increase_seals WHERE number = 4",
            last = runs[3]
        ),
        Some(runs[3].as_str()),
        "the ledger has no such run",
    ));
    all.push(of_ledger(
        "two swapped runs",
        format!(
            "UPDATE limit_increase_runs AS run SET context = other.context, approved = other.approved,
                 declined = other.declined, referred = other.referred,
                 finished_at = other.finished_at
             FROM limit_increase_runs AS other
             WHERE (run.run_id, other.run_id) IN (('{second}', '{third}'), ('{third}', '{second}'))"
        ),
        Some(third),
        "context.run_id",
    ));
    all.push(of_ledger(
        "an edited decision of the history",
        format!(
            "BEGIN; {AS_REPLICA}
             UPDATE limit_increase_decisions SET new_score = new_score + 1
             WHERE run_id = '{second}' AND shard_index = 0 AND row_index = 2;
             COMMIT"
        ),
        Some(second),
        "the first that differs is of row 2",
    ));
    all.push(of_ledger(
        "a decision put into the history",
        format!(
            "BEGIN; {AS_REPLICA}
             INSERT INTO limit_increase_decisions (decided_at, shard_index, row_index, as_of,
                 customer_id, run_id, outcome)
             SELECT decided_at, shard_index, row_index, as_of, customer_id, 'forged', outcome
             FROM limit_increase_decisions WHERE run_id = '{second}' LIMIT 1;
             COMMIT"
        ),
        Some("forged"),
        "of no shard of the ledger",
    ));
    all.push(of_ledger(
        "a forged run in the middle",
        format!(
            "INSERT INTO limit_increase_runs (run_id, status, request, context, eligible,
                 shard_count, approved, declined, referred, stale, total_increase, started_at,
                 finished_at)
             SELECT 'forged', status, request, context, eligible, shard_count, approved, declined,
                 referred, stale, total_increase, started_at, finished_at
             FROM limit_increase_runs WHERE run_id = '{second}'"
        ),
        Some("forged"),
        "has no seal",
    ));
    Ok(all)
}

/// Tampers, verifies, and puts everything back.
fn try_tampering(environment: &Environment, tampering: &Tampering<'_>) -> Result<()> {
    let client = environment.database()?;
    let mut before = Vec::new();
    for (key, content) in &tampering.objects {
        before.push((key.clone(), environment.object(key)?));
        match content {
            Some(content) => environment.put_object(key, content.clone())?,
            None => remove(environment, key)?,
        }
    }
    environment.block_on(client.batch_execute(&tampering.sql))?;

    let output = environment.command(&["--json", "verify"])?;

    for (key, content) in before {
        environment.put_object(&key, content)?;
    }
    let restore = copies("INSERT INTO {0} SELECT * FROM kept_{0}");
    environment.block_on(client.batch_execute(&format!(
        "BEGIN; {AS_REPLICA} TRUNCATE limit_increase_decisions; COMMIT;
         DELETE FROM limit_increase_seals; DELETE FROM limit_increase_runs; {restore}"
    )))?;

    let Tampering { name, run, words, .. } = tampering;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.code() == Some(1), "{name}: verify should end with 1: {said}");
    let answer: Value = serde_json::from_slice(&output.stdout).context(said.clone())?;
    let findings = answer["findings"].as_array().context("findings")?;
    let is_it = |finding: &&Value| {
        let text = format!("{} {}", finding["place"], finding["problem"]);
        finding["run_id"].as_str() == *run && text.contains(words)
    };
    ensure!(findings.iter().any(|finding| is_it(&finding)), "{name} of {run:?}: {said}");
    Ok(())
}

fn remove(environment: &Environment, key: &str) -> Result<()> {
    let s3 = &environment.ready.aws.s3;
    environment.block_on(s3.delete_object().bucket(BUCKET).key(key).send())?;
    Ok(())
}

/// A statement for each table of the ledger, in the order of their references.
fn copies(statement: &str) -> String {
    let tables = [
        "limit_increase_runs",
        "limit_increase_shards",
        "limit_increase_shard_files",
        "limit_increase_seals",
        "limit_increase_decisions",
    ];
    tables.map(|table| format!("{};", statement.replace("{0}", table))).join(" ")
}
