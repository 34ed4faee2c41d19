//! Nobody moves a limit but the run (promise 2): forged files and forged events. Promise 11, with a
//! password that changes during a run and with everything logged; hostile names; and the metrics in
//! the log.
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials as AwsCredentials, Region};
use bytes::Bytes;
use limit_increase::deployment::{self, Deployment};
use limit_increase::model::{BUCKET, KEY};
use limit_increase_database::{Selection, open_eligible, quote_identifier};
use limit_increase_domain::policy::{Affordability, Policy};
use limit_increase_domain::{CreditLimit, Decision, Outcome, SourceColumn, sha256_hex};
use limit_increase_handoff::evaluations::{Evaluations, EvaluationsWriter, Facts};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::lab::another_model;
use limit_increase_tests::records::{LedgerRow, decisions};
use limit_increase_tests::simulator::function::{FunctionError, FunctionProcess, Launch};
use limit_increase_tests::{cases, programs, suite};
use limit_increase_workflow::rows::CellValue;
use limit_increase_workflow::{FailureKind, RunId, RunRequest};
use rust_decimal::Decimal;
use serde_json::{Value, json};

fn main() -> ExitCode {
    suite::run(
        "security",
        &cases![
            a_hostile_column_name_is_a_name_and_nothing_more,
            forged_decisions_are_refused_by_their_hash_and_by_the_policy,
            a_forged_shard_is_refused_by_the_list_of_shards,
            a_request_s_policy_is_for_dry_runs_and_no_policy_exceeds_a_ceiling,
            a_model_or_policy_that_is_not_approved_ends_the_run_before_anyone_is_read,
            a_forged_event_is_refused_by_what_the_run_was_opened_with,
            a_run_is_closed_only_when_its_shards_add_up,
            a_failed_run_is_closed_only_by_a_redrive,
            the_first_cause_of_a_failed_run_stays_until_a_redrive_fails,
            a_run_that_failed_before_it_was_open_is_opened_only_by_a_redrive,
            no_shard_is_applied_above_the_deployment_s_ceiling,
            a_model_that_is_kept_in_memory_scores_only_its_own_run,
            a_redriven_nightly_run_keeps_the_request_with_which_it_was_opened,
            the_row_of_a_violated_constraint_reaches_no_log_no_history_and_no_ledger,
            a_closed_run_and_a_failure_are_metrics_in_the_log,
            a_rotated_password_is_read_again_and_is_in_no_log,
        ],
    )
}

/// Names that would end a string, an identifier or a statement where they are not quoted.
const HOSTILE: [&str; 8] = [
    r#"a"; DROP TABLE batch_scores; --"#,
    "a'); DROP TABLE batch_scores; --",
    r#"" FROM batch_scores) TO PROGRAM 'touch /tmp/owned'; --"#,
    "$1",
    "a\\",
    "/* a */",
    "SELECT",
    "Größe, ünïcode",
];

/// The default policy with an affordability cap by this column.
fn capped_by(income_column: &str) -> Policy {
    let cap =
        Affordability { income_column: income_column.to_owned(), maximum_share: Decimal::ONE };
    Policy { affordability: Some(cap), ..Policy::default() }
}

fn a_hostile_column_name_is_a_name_and_nothing_more(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    let policy = Policy::default();
    let column = |name: &str| SourceColumn::number(name);
    for name in HOSTILE {
        // A name that is not in the catalogue is refused before it is part of a statement.
        let features = [column(name)];
        let selection =
            Selection { policy: &policy, limit: Some(5), features: &features, longest_reason: 0 };

        let failure = environment
            .block_on(open_eligible(&client, &selection))
            .err()
            .context("it was read")?;
        ensure!(
            failure.kind == FailureKind::DatabaseSchema,
            "{name}: expected DatabaseSchema, got {failure}"
        );
        ensure!(
            failure.message.contains("has no column"),
            "{name}: the error should say that there is no such column, it says {failure}"
        );

        let policy = capped_by(name);
        let selection =
            Selection { policy: &policy, limit: Some(5), features: &[], longest_reason: 0 };

        let failure = environment
            .block_on(open_eligible(&client, &selection))
            .err()
            .context("it was read")?;
        ensure!(
            failure.kind == FailureKind::DatabaseSchema,
            "{name} as the income: expected DatabaseSchema, got {failure}"
        );
    }

    // A name in the catalogue is read like any other.
    for name in HOSTILE {
        let name = quote_identifier(name);
        let sql = format!(
            "ALTER TABLE customer_features ADD COLUMN {name} DOUBLE PRECISION; UPDATE \
             customer_features SET {name} = 42"
        );

        environment.block_on(client.batch_execute(&sql))?;
    }

    let features = HOSTILE.map(column);
    for income in HOSTILE {
        let policy = capped_by(income);
        let selection =
            Selection { policy: &policy, limit: Some(5), features: &features, longest_reason: 0 };

        environment.block_on(async {
            let mut rows = open_eligible(&client, &selection).await?;
            let mut seen = 0;
            while let Some(row) = rows.next().await? {
                seen += 1;
                let read = row.features()?;
                ensure!(
                    read.iter().all(|value| matches!(value, CellValue::Number(Some(42.0)))),
                    "{income} as the income: every feature should be 42"
                );

                ensure!(
                    row.customer()?.annual_income == Some("42.00".parse()?),
                    "{income}: the income should be 42.00"
                );
            }

            ensure!(seen == 5, "{income}: 5 customers expected, read {seen}");
            Ok(())
        })?;
    }

    let dropped: Vec<String> =
        HOSTILE.iter().map(|name| format!("DROP COLUMN {}", quote_identifier(name))).collect();
    environment.block_on(
        client.batch_execute(&format!("ALTER TABLE customer_features {}", dropped.join(", "))),
    )?;

    ensure!(!std::path::Path::new("/tmp/owned").exists(), "a column's name was executed");

    environment.run_well(&RunRequest::default())?;
    ensure!(decisions(environment)?.len() == 20, "20 decisions expected");
    Ok(())
}

/// The functions of a run, one process of each, called by hand as an intruder could.
struct ForgedRun<'e> {
    environment: &'e Environment,
    functions: BTreeMap<&'static str, FunctionProcess>,
    run: Value,
    shard: Value,
}

type Answer = std::result::Result<Value, FunctionError>;

impl<'e> ForgedRun<'e> {
    /// Opens a run of the sample's customers, as one shard.
    fn open(environment: &'e Environment, name: &str, dry_run: bool) -> Result<Self> {
        environment.reset()?;
        let (run, shard) = (Value::Null, Value::Null);
        let mut opened = Self { environment, functions: BTreeMap::new(), run, shard };
        for step in
            ["query-batch-scores", "score-customers", "evaluate-limit-increase", "update-database"]
        {
            opened.restart(step, &[])?;
        }

        opened.open_next(name, dry_run)?;
        Ok(opened)
    }

    /// Opens another run with the same processes.
    fn open_next(&mut self, name: &str, dry_run: bool) -> Result<()> {
        let event = json!({ "run_id": name, "request": { "dry_run": dry_run } });
        self.run = self.call("query-batch-scores", &event)?["run"].clone();
        let key = format!("pipeline/customers/run={name}/manifest.json");
        let shards: Vec<Value> = serde_json::from_slice(&self.environment.object(&key)?)?;
        self.shard = shards.first().context("no shard")?.clone();
        Ok(())
    }

    /// Starts a new process of a function, with these variables besides the usual ones.
    fn restart(&mut self, step: &'static str, variables: &[(&str, &str)]) -> Result<()> {
        let mut launch = launch(self.environment, step)?
            .log(&self.environment.context.home.logs().join("forged.log"));
        for (name, value) in variables {
            launch = launch.env(name, value);
        }

        let process = self.environment.block_on(FunctionProcess::start(&launch))?;
        self.functions.insert(step, process);
        Ok(())
    }

    fn call(&self, function: &str, event: &Value) -> Answer {
        self.environment.block_on(self.functions[function].invoke(event))
    }

    /// The event of a step, with what the step before answered under this name.
    fn event(&self, more: &[(&str, &Value)]) -> Value {
        let mut event = json!({ "run": self.run, "shard": self.shard });
        for (name, value) in more {
            event[*name] = (*value).clone();
        }

        event
    }

    fn apply(&self, run: &Value, evaluations: &Value) -> Answer {
        let event = self.event(&[
            ("run", run),
            ("action", &json!("apply_shard")),
            ("evaluations", evaluations),
        ]);

        self.call("update-database", &event)
    }

    /// Scores and evaluates the shard, and returns the answers of both steps.
    fn score_and_evaluate(&self) -> Result<(Value, Value)> {
        let scored = self.call("score-customers", &self.event(&[]))?;
        let evaluations =
            self.call("evaluate-limit-increase", &self.event(&[("scored", &scored)]))?;
        Ok((scored, evaluations))
    }

    /// Writes an object as an intruder would: the hash beside it is right.
    /// Closes the run, with the counts with which it was opened.
    fn close(&self, run: &Value, redrives: u32) -> Answer {
        let event = json!({
            "action": "finish_run", "run": run, "eligible": self.shard["rows"], "shard_count": 1,
            "execution": { "RedriveCount": redrives }
        });
        self.call("update-database", &event)
    }

    fn put(&self, key: &str, content: &Bytes) -> Result<Value> {
        let sha256 = sha256_hex(content);
        self.environment.block_on(
            self.environment
                .ready
                .aws
                .s3
                .put_object()
                .bucket(BUCKET)
                .key(key)
                .metadata("sha256", &sha256)
                .body(content.clone().into())
                .send(),
        )?;

        Ok(json!({ "sha256": sha256, "version_id": null }))
    }

    fn refused(&self, what: &str, answer: Answer, name: &str) -> Result<()> {
        let error = answer.err().with_context(|| format!("{what} is accepted"))?;
        ensure!(error.error_type == name, "{what}: expected {name}, got {error}");
        let decided = decisions(self.environment)?;
        ensure!(decided.is_empty(), "{what}: nobody should be decided: {decided:?}");
        Ok(())
    }
}

/// The shard's decisions, with the highest limit that the table holds for everybody.
fn highest_limits(honest: Bytes, rows: u32) -> Result<Bytes> {
    let mut forged = EvaluationsWriter::default();
    for evaluation in Evaluations::read(honest, rows)?.iter()? {
        let evaluation = evaluation?;
        let facts = Facts {
            current_score: evaluation.current_score,
            current_limit: evaluation.current_limit,
            unreadable: evaluation.unreadable,
            annual_income: evaluation.annual_income,
            new_score: evaluation.new_score,
            driver: None,
        };
        let decision = Decision {
            outcome: Outcome::Approved,
            new_limit: Some(CreditLimit::try_from(CreditLimit::MAX)?),
            reason: evaluation.reason.to_owned(),
        };

        forged.push(evaluation.customer_id, &facts, &decision)?;
    }

    Ok(forged.finish()?)
}

/// Promise 2: whoever can write `pipeline/evaluations/` sets no limit. The hash that the state
/// carries refuses the file. An intruder who controls the hash too is refused by the policy.
fn forged_decisions_are_refused_by_their_hash_and_by_the_policy(
    environment: &Environment,
) -> Result<()> {
    let forged = ForgedRun::open(environment, "forged-decisions", false)?;
    let (_, honest) = forged.score_and_evaluate()?;
    let key = "pipeline/evaluations/run=forged-decisions/part-00000.parquet";
    let rows = u32::try_from(forged.shard["rows"].as_u64().context("no rows")?)?;
    let file = environment.object(key)?;
    let of_forged = forged.put(key, &highest_limits(file.clone(), rows)?)?;

    // As in a bucket without versions: the object under the key is the forged one.
    let unversioned = json!({ "sha256": honest["sha256"], "version_id": null });
    let answer = forged.apply(&forged.run, &unversioned);
    forged.refused("promise 2: a forged file", answer, "Permanent.HandoffInvalid")?;

    let answer = forged.apply(&forged.run, &of_forged);
    forged.refused(
        "promise 2: a forged file with its hash",
        answer,
        "Permanent.DecisionMismatch",
    )?;

    ensure!(
        honest["version_id"].is_string(),
        "the bucket has versions, so the answer should name one: {honest}"
    );
    forged.apply(&forged.run, &honest)?;
    let decided = decisions(environment)?;
    ensure!(decided.len() == rows as usize, "the honest version should be applied: {decided:?}");
    for evaluation in Evaluations::read(file, rows)?.iter()? {
        let evaluation = evaluation?;
        let stored = decided.get(evaluation.customer_id).context("not decided")?;
        ensure!(
            stored.new_limit == evaluation.new_limit,
            "promise 2: the honest limit should be written: {stored:?}, not {evaluation:?}"
        );
    }

    Ok(())
}

/// Promise 2: a customers' file that is not the query's gets no score, whatever the list in the
/// bucket says, and neither does a scored file pass that is not the scoring step's.
fn a_forged_shard_is_refused_by_the_list_of_shards(environment: &Environment) -> Result<()> {
    let mut forged = ForgedRun::open(environment, "forged-shard", false)?;
    let key = forged.shard["key"].as_str().context("no key")?.to_owned();
    let honest = forged.shard.clone();
    // A file that could be scored, so that nothing but the list refuses it.
    let other = forged.put(&key, &environment.object(&key)?)?;
    forged.shard["file"] = other;
    let list = serde_json::to_vec(&json!([forged.shard]))?;
    forged.put("pipeline/customers/run=forged-shard/manifest.json", &list.into())?;
    let answer = forged.call("score-customers", &forged.event(&[]));
    forged.refused("promise 2: a forged shard", answer, "Permanent.HandoffInvalid")?;

    forged.shard = honest;
    // The list that the query wrote is an older version now, and it is still the one that counts.
    let (scored, _) = forged.score_and_evaluate()?;
    let key = "pipeline/scored_customers/run=forged-shard/part-00000.parquet";
    forged.put(key, &environment.object(KEY)?)?;
    let unversioned = json!({ "sha256": scored["sha256"], "version_id": null });
    let event = forged.event(&[("scored", &unversioned)]);
    let answer = forged.call("evaluate-limit-increase", &event);
    forged.refused("promise 2: forged scores", answer, "Permanent.HandoffInvalid")
}

/// How a function is started.
fn launch(environment: &Environment, function: &str) -> Result<Launch> {
    let programs = programs::functions(&environment.context)?;
    let program = programs.get(function).with_context(|| format!("no program {function}"))?;
    let services = &environment.ready.services;
    Ok(Launch::new(program, function, &services.endpoint())
        .env("DATABASE_URL", &services.functions_database_url)
        .env("BUCKET", BUCKET))
}

/// A function that opens runs, under what a deployment allows.
fn query(environment: &Environment, allowed: &[(&str, &str)]) -> Result<FunctionProcess> {
    let mut launch = launch(environment, "query-batch-scores")?;
    for (variable, value) in allowed {
        launch = launch.env(variable, value);
    }

    environment.block_on(FunctionProcess::start(&launch))
}

/// Opens a run that must be refused before any customer is read.
fn refused_unread(
    environment: &Environment,
    function: &FunctionProcess,
    (run, request): (&str, Value),
    name: &str,
) -> Result<()> {
    let event = json!({ "run_id": run, "request": request });
    let answer = environment.block_on(function.invoke(&event));
    let error = answer.err().with_context(|| format!("{run} is opened"))?;
    ensure!(error.error_type == name, "{run}: expected {name}, got {error}");
    let read = environment.keys(&format!("pipeline/customers/run={run}/"))?;
    ensure!(read.is_empty(), "{run}: no customer should be read: {read:?}");
    Ok(())
}

fn a_request_s_policy_is_for_dry_runs_and_no_policy_exceeds_a_ceiling(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let (refused, policy) = ("Permanent.PolicyNotAllowed", json!({ "minimum_score": 660 }));
    let strict = query(environment, &[])?;
    let live = ("own-policy-live", json!({ "policy": policy }));
    refused_unread(environment, &strict, live, refused)?;
    let dry =
        json!({ "run_id": "own-policy-dry", "request": { "policy": policy, "dry_run": true } });
    environment.block_on(strict.invoke(&dry))?;

    let low = query(environment, &[("MAX_LIMIT_CEILING", "19999.99")])?;
    refused_unread(environment, &low, ("limit-too-high", json!({})), refused)?;
    let slow = query(environment, &[("MAX_GROWTH_CEILING", "0.49")])?;
    refused_unread(environment, &slow, ("growth-too-large", json!({ "dry_run": true })), refused)
}

fn a_model_or_policy_that_is_not_approved_ends_the_run_before_anyone_is_read(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let (model, policy) = (sha256_hex(&environment.object(KEY)?), Policy::default().sha256());
    let (other_model, other_policy) = (sha256_hex(b"model"), sha256_hex(b"policy"));
    let approving = |model: &str, policy: &str| {
        let approved = [("APPROVED_MODEL_SHA256", model), ("APPROVED_POLICY_SHA256", policy)];
        query(environment, &approved)
    };

    let function = approving(&other_model, &policy)?;
    let run = ("other-model", json!({}));
    refused_unread(environment, &function, run, "Permanent.ModelNotApproved")?;
    let function = approving(&model, &other_policy)?;
    let run = ("other-policy", json!({}));
    refused_unread(environment, &function, run, "Permanent.PolicyNotApproved")?;
    let event = json!({ "run_id": "both-approved", "request": {} });
    environment.block_on(approving(&model, &policy)?.invoke(&event))?;
    Ok(())
}

/// Promise 2: an event that names another request, policy or mode than the run was opened with.
fn a_forged_event_is_refused_by_what_the_run_was_opened_with(
    environment: &Environment,
) -> Result<()> {
    let forged = ForgedRun::open(environment, "forged-event", true)?;
    let (scored, evaluations) = forged.score_and_evaluate()?;
    let other_request = json!({ "run_id": "forged-event", "request": { "dry_run": false } });
    let answer = forged.call("query-batch-scores", &other_request);
    forged.refused("promise 7: another request", answer, "Permanent.RunConflict")?;

    let mut other_policy = forged.run.clone();
    other_policy["policy"]["minimum_score"] = json!(0);
    let event = forged.event(&[("run", &other_policy), ("scored", &scored)]);
    let answer = forged.call("evaluate-limit-increase", &event);
    forged.refused("promise 2: another policy", answer, "Permanent.InvalidPolicy")?;

    let mut live = forged.run.clone();
    live["dry_run"] = json!(false);
    let answer = forged.apply(&live, &evaluations);
    forged.refused("promise 2: a dry run made live", answer, "Permanent.RunConflict")?;

    forged.apply(&forged.run, &evaluations)?;
    let answer = forged.close(&live, 0);
    forged.refused("promise 2: a live run closed", answer, "Permanent.RunConflict")?;
    forged.close(&forged.run, 0)?;
    Ok(())
}

/// Promise 3: neither a run whose shards are not applied is closed, nor one of other sums.
fn a_run_is_closed_only_when_its_shards_add_up(environment: &Environment) -> Result<()> {
    let forged = ForgedRun::open(environment, "closed-early", true)?;
    let answer = forged.close(&forged.run, 0);
    forged.refused("promise 3: no shard applied", answer, "Permanent.RunConflict")?;

    let smaller = json!({
        "action": "finish_run", "run": forged.run, "eligible": 0, "shard_count": 0
    });
    let answer = forged.call("update-database", &smaller);
    forged.refused("promise 3: a smaller run", answer, "Permanent.RunConflict")
}

/// Promise 5: a run that has failed is closed by a redrive alone, and a closed run takes no further
/// shard.
fn a_failed_run_is_closed_only_by_a_redrive(environment: &Environment) -> Result<()> {
    let mut forged = ForgedRun::open(environment, "failed-run", true)?;
    let (_, evaluations) = forged.score_and_evaluate()?;
    forged.apply(&forged.run, &evaluations)?;
    let failure = json!({
        "action": "record_failure", "run_id": "failed-run", "error": "E", "cause": "c",
        "execution": { "RedriveCount": 0 }
    });
    forged.call("update-database", &failure)?;
    let answer = forged.close(&forged.run, 0);
    forged.refused("promise 5: a failed run", answer, "Permanent.RunConflict")?;
    forged.close(&forged.run, 1)?;

    let part = |number| format!("pipeline/evaluations/run=failed-run/part-0000{number}.parquet");
    let further = forged.put(&part(1), &environment.object(&part(0))?)?;
    forged.shard["index"] = json!(1);
    let answer = forged.apply(&forged.run, &further);
    forged.refused("promise 5: a shard of a closed run", answer, "Permanent.RunConflict")
}

/// Promise 5: what fails later is a consequence.
fn the_first_cause_of_a_failed_run_stays_until_a_redrive_fails(
    environment: &Environment,
) -> Result<()> {
    let forged = ForgedRun::open(environment, "first-cause", true)?;
    for (redrive, failed, kept) in
        [(0, "first", "first"), (0, "second", "first"), (1, "third", "third")]
    {
        let failure = json!({
            "action": "record_failure", "run_id": "first-cause", "error": failed, "cause": failed,
            "execution": { "RedriveCount": redrive }
        });
        let answer = forged.call("update-database", &failure)?;
        let row = LedgerRow::read(environment, &RunId::try_from("first-cause".to_owned())?)?;
        ensure!(
            answer == json!({ "error": kept, "cause": kept })
                && row.error.as_deref() == Some(kept)
                && row.cause.as_deref() == Some(kept),
            "promise 5: after {failed} the ledger should have {kept}: {answer}, {row:?}"
        );
    }

    Ok(())
}

/// Promise 5: an attempt that comes after its run has failed opens it no more. A redrive does.
fn a_run_that_failed_before_it_was_open_is_opened_only_by_a_redrive(
    environment: &Environment,
) -> Result<()> {
    let forged = ForgedRun::open(environment, "another-run", true)?;
    let failure = json!({
        "action": "record_failure", "run_id": "never-open", "error": "E", "cause": "c",
        "execution": { "RedriveCount": 0 }
    });
    forged.call("update-database", &failure)?;

    let open = |redrives: u32| {
        let execution =
            json!({ "Name": "never-open", "Input": { "limit": 3 }, "RedriveCount": redrives });
        forged.call("query-batch-scores", &json!({ "execution": execution }))
    };
    forged.refused("promise 5: a late attempt", open(0), "Permanent.RunConflict")?;
    ensure!(open(1)?["eligible"] == 3, "promise 4: the redrive should open the run");
    Ok(())
}

/// Promise 2: whoever can open a run without the deployment's ceilings cannot apply it.
fn no_shard_is_applied_above_the_deployment_s_ceiling(environment: &Environment) -> Result<()> {
    let mut forged = ForgedRun::open(environment, "above-the-ceiling", false)?;
    let (_, evaluations) = forged.score_and_evaluate()?;
    for ceiling in [("MAX_LIMIT_CEILING", "19999.99"), ("MAX_GROWTH_CEILING", "0.49")] {
        forged.restart("update-database", &[ceiling])?;
        let answer = forged.apply(&forged.run, &evaluations);
        let what = format!("promise 2: a shard above {ceiling:?}");
        forged.refused(&what, answer, "Permanent.PolicyNotAllowed")?;
    }

    Ok(())
}

/// Promise 2: a function keeps the model of the last run. The next run may have pinned another.
fn a_model_that_is_kept_in_memory_scores_only_its_own_run(environment: &Environment) -> Result<()> {
    let mut runs = ForgedRun::open(environment, "first-model", true)?;
    let first = runs.call("score-customers", &runs.event(&[]))?;

    let model = environment.object(KEY)?;
    environment.put_object(KEY, another_model(&model)?)?;
    runs.open_next("second-model", true)?;
    environment.put_object(KEY, model)?;

    let kept = runs.call("score-customers", &runs.event(&[]))?;
    runs.restart("score-customers", &[])?;
    let fresh = runs.call("score-customers", &runs.event(&[]))?;
    ensure!(
        first["sha256"] != fresh["sha256"],
        "the two models should give different scores, both gave {fresh}"
    );
    ensure!(
        kept["sha256"] == fresh["sha256"],
        "promise 2: the second run should be scored by its own model, as a new process does"
    );
    Ok(())
}

/// Promise 4: a deployment between a nightly run and its redrive may change the size of a night. A
/// request by hand under the same name is another run's (promise 7).
fn a_redriven_nightly_run_keeps_the_request_with_which_it_was_opened(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let mut event: Value =
        serde_json::from_str(include_str!("../../events/query-batch-scores-scheduled.json"))?;
    let before = query(environment, &[("NIGHTLY_LIMIT", "5")])?;
    let opened = environment.block_on(before.invoke(&event))?;

    let after = query(environment, &[("NIGHTLY_LIMIT", "7")])?;
    event["execution"]["RedriveCount"] = json!(1);
    let redriven = environment.block_on(after.invoke(&event)).context("promise 4: the redrive")?;
    ensure!(
        redriven["eligible"] == 5 && redriven == opened,
        "promise 4: the redrive should go on with the 5 customers: {opened}, {redriven}"
    );

    event["execution"]["Input"] = json!({ "limit": 7 });
    let answer = environment.block_on(after.invoke(&event));
    let error = answer.err().context("promise 7: another request is accepted")?;
    ensure!(error.error_type == "Permanent.RunConflict", "expected RunConflict, got {error}");
    Ok(())
}

/// PostgreSQL's DETAIL holds the row that offends: "Failing row contains (CUST_0001, 640, ...)".
fn the_row_of_a_violated_constraint_reaches_no_log_no_history_and_no_ledger(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    environment.block_on(client.batch_execute(
        "ALTER TABLE batch_scores ADD CONSTRAINT no_decisions \
         CHECK (limit_increase_decision IS NULL)",
    ))?;
    let ended = environment.execute("constraint", "{}");
    environment
        .block_on(client.batch_execute("ALTER TABLE batch_scores DROP CONSTRAINT no_decisions"))?;

    let ended = ended?;
    let failure = ended.failure.as_ref().context("it did not fail")?;
    let ledger = LedgerRow::read(environment, &RunId::try_from("constraint".to_owned())?)?;
    let cause = ledger.cause.context("no cause in the ledger")?;
    ensure!(
        failure.error == "Permanent.DatabaseRefused" && cause.contains("no_decisions"),
        "the failure should name the constraint: {failure:?}, {cause}"
    );

    let arn = environment.machine()?.replace(":stateMachine:", ":execution:");
    let states = &environment.ready.aws.states;
    let history = environment.block_on(
        states.get_execution_history().execution_arn(format!("{arn}:constraint")).send(),
    )?;
    let causes: Vec<&str> = history
        .events()
        .iter()
        .filter_map(|event| {
            let task = event.task_failed_event_details().and_then(|details| details.cause());
            task.or_else(|| event.execution_failed_event_details()?.cause())
        })
        .collect();
    let history = causes.join("\n");
    ensure!(history.contains("23514"), "the history should have the SQLSTATE: {history}");
    let log = log_of(environment, "update-database")?;
    for (place, text) in
        [("history", &history), ("ledger", &cause), ("log", &log), ("answer", &failure.cause)]
    {
        ensure!(!text.contains("Failing row"), "the {place} has the customer's row: {text}");
    }

    Ok(())
}

/// Each metric is one line of JSON, in CloudWatch's embedded format.
fn a_closed_run_and_a_failure_are_metrics_in_the_log(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let run = environment.run_well(&RunRequest::default())?;
    let failed = environment.execute("bad-metrics", r#"{"limit": 0}"#)?;
    ensure!(failed.status == "FAILED", "a limit of 0 should fail the run: {failed:?}");

    let lines = metric_lines(&log_of(environment, "update-database")?);
    let of = |run: &str| {
        lines
            .iter()
            .find(|line| line["run_id"] == run)
            .with_context(|| format!("no metric of {run} in {lines:?}"))
    };

    let closed = of(run.as_str())?;
    ensure!(
        closed["Mode"] == "Live" && closed["Eligible"] == 20 && closed["Decided"] == 20,
        "the metric should say 20 live decisions: {closed}"
    );

    let share = closed["ApprovedShare"].as_f64().context("no share")?;
    ensure!(
        (share - closed["Approved"].as_f64().context("no count")? * 5.0).abs() < 1e-9,
        "ApprovedShare should be the share of the approved in 20, in percent: {closed}"
    );

    let metrics = &closed["_aws"]["CloudWatchMetrics"][0];
    ensure!(
        metrics["Namespace"] == "LimitIncrease",
        "the namespace should be LimitIncrease: {closed}"
    );

    for metric in metrics["Metrics"].as_array().context("no metrics")? {
        let name = metric["Name"].as_str().context("no name")?;
        ensure!(closed[name].is_number(), "the metric {name} should have a number: {closed}");
    }

    let failure = of("bad-metrics")?;
    ensure!(
        failure["Error"] == "Permanent.InvalidRequest" && failure["Failures"] == 1,
        "one failure with Permanent.InvalidRequest expected: {failure}"
    );

    Ok(())
}

const FIRST: &str = "f1rst-s3cret-w0rd";
const SECOND: &str = "sec0nd:s3cret/w0rd'%";

/// Promise 11: the password is in Secrets Manager, and changes between two runs and during a third.
fn a_rotated_password_is_read_again_and_is_in_no_log(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    let port = limit_increase::database::port_of(&environment.ready.services.database_url)?;
    let database: String =
        environment.block_on(client.query_one("SELECT current_database()::text", &[]))?.get(0);
    // This user needs a password, as on AWS. The other users of the local environment need none.
    let file: String = environment.block_on(client.query_one("SHOW hba_file", &[]))?.get(0);
    let before = std::fs::read_to_string(&file)?;
    std::fs::write(&file, format!("host all bank all scram-sha-256\n{before}"))?;
    let set_password = |password: &str| {
        // ALTER ROLE takes no parameters.
        let sql = format!("ALTER ROLE bank PASSWORD '{}'", password.replace('\'', "''"));
        environment.block_on(client.batch_execute(&sql))
    };

    environment.block_on(client.batch_execute(
        "CREATE ROLE bank LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO bank; \
         SELECT pg_reload_conf();",
    ))?;

    set_password(FIRST)?;
    let secrets = secrets_client(environment);
    let url = |password: &str| {
        let encoded: String = password.bytes().map(|byte| format!("%{byte:02X}")).collect();
        format!("postgresql://bank:{encoded}@127.0.0.1:{port}/{database}")
    };

    let arn = environment
        .block_on(
            secrets
                .create_secret()
                .name("limit-increase/database")
                .secret_string(url(FIRST))
                .send(),
        )?
        .arn
        .context("the secret has no ARN")?;
    deploy_with_secret(environment, &arn)?;
    environment.run_well(&RunRequest { limit: Some(3), ..RunRequest::default() })?;
    ensure!(decisions(environment)?.len() == 3, "the secret's user should decide 3 customers");

    // A rotation: the secret and the database get a new password, and the old connections end.
    environment
        .block_on(secrets.put_secret_value().secret_id(&arn).secret_string(url(SECOND)).send())?;
    set_password(SECOND)?;
    environment.block_on(client.batch_execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bank'",
    ))?;

    environment.run_well(&RunRequest { limit: Some(4), ..RunRequest::default() })?;
    ensure!(
        decisions(environment)?.len() == 7,
        "promise 11: 4 more customers should be decided with the rotated password"
    );

    let said = log_of(environment, "query-batch-scores")?;
    ensure!(
        said.contains("reading them again"),
        "promise 11: the credentials should be read again:\n{said}"
    );

    // Only the database has the new password, as between the two steps of a rotation. The failure
    // is retried.
    set_password("a-th1rd-s3cret")?;
    environment.block_on(client.batch_execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'bank'",
    ))?;

    let started = environment.block_on(
        environment
            .ready
            .aws
            .states
            .start_execution()
            .state_machine_arn(environment.machine()?)
            .name("between")
            .send(),
    )?;

    for _ in 0..600 {
        if log_of(environment, "query-batch-scores")?.contains("Transient.Secrets") {
            break;
        }

        std::thread::sleep(std::time::Duration::from_millis(100));
    }

    environment.block_on(
        secrets.put_secret_value().secret_id(&arn).secret_string(url("a-th1rd-s3cret")).send(),
    )?;

    let finished = environment.follow(&started.execution_arn)?;
    ensure!(
        finished.succeeded(),
        "promise 11: the run should survive the rotation: {}",
        finished.problem()
    );

    let said = log_of(environment, "query-batch-scores")?;
    ensure!(
        said.contains("Transient.Secrets"),
        "the run should meet the moment between the two steps of the rotation:\n{said}"
    );

    for function in ["query-batch-scores", "update-database"] {
        let said = log_of(environment, function)?;
        ensure!(said.contains("TRACE"), "{function} should log at TRACE");

        for (number, secret) in [FIRST, SECOND, "a-th1rd-s3cret"].iter().enumerate() {
            let encoded: String = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let shown = said.contains(secret) || said.contains(&encoded);
            ensure!(!shown, "promise 11: password {number} is in the log of {function}");
        }
    }

    Ok(())
}

/// Deploys the stack with the secret, and with everything logged.
fn deploy_with_secret(environment: &Environment, arn: &str) -> Result<()> {
    let mut deployment = Deployment::local(&environment.ready.services)?;
    deployment.parameters.remove("DatabaseUrl");
    deployment.parameters.insert("DatabaseSecretArn".to_owned(), arn.to_owned());
    deployment.parameters.insert("LogLevel".to_owned(), "TRACE".to_owned());
    environment.block_on(deployment::deploy(
        &environment.context,
        &environment.ready.aws,
        &deployment,
    ))?;

    Ok(())
}

fn secrets_client(environment: &Environment) -> aws_sdk_secretsmanager::Client {
    let config = aws_sdk_secretsmanager::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(environment.ready.services.endpoint())
        .credentials_provider(AwsCredentials::new("test", "test", None, None, "local"))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    aws_sdk_secretsmanager::Client::from_conf(config)
}

/// The logs of all environments of a function.
fn log_of(environment: &Environment, function: &str) -> Result<String> {
    let mut said = String::new();
    let logs = environment.context.home.localstack().join("logs/functions");
    for entry in
        std::fs::read_dir(&logs).with_context(|| format!("no logs in {}", logs.display()))?
    {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(function)) {
            said.push_str(&String::from_utf8_lossy(&std::fs::read(&path)?));
        }
    }

    Ok(said)
}

fn metric_lines(log: &str) -> Vec<Value> {
    log.lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line.get("_aws").is_some())
        .collect()
}
