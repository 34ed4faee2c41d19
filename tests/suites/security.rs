//! Nobody moves a limit but the run (promise 2): forged files and forged events. Promise 11, with a password that changes during a run and with everything logged; hostile names;
//! and the metrics in the log.
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
        let programs = programs::functions(&environment.context)?;
        let services = &environment.ready.services;
        let log = environment.context.home.logs().join("forged.log");
        let mut functions = BTreeMap::new();
        for step in
            ["query-batch-scores", "score-customers", "evaluate-limit-increase", "update-database"]
        {
            let program = programs.get(step).with_context(|| format!("no program {step}"))?;
            let launch = Launch::new(program, step, &services.endpoint())
                .env("DATABASE_URL", &services.functions_database_url)
                .env("BUCKET", BUCKET)
                .log(&log);
            functions.insert(step, environment.block_on(FunctionProcess::start(&launch))?);
        }

        let (run, shard) = (Value::Null, Value::Null);
        let mut opened = Self { environment, functions, run, shard };
        let request = json!({ "dry_run": dry_run });
        let event = json!({ "run_id": name, "request": request });
        opened.run = opened.call("query-batch-scores", &event)?["run"].clone();
        let list = environment.object(&format!("pipeline/customers/run={name}/manifest.json"))?;
        let shards: Vec<Value> = serde_json::from_slice(&list)?;
        opened.shard = shards.first().context("no shard")?.clone();
        Ok(opened)
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

/// A function that opens runs, under what a deployment allows.
fn query(environment: &Environment, allowed: &[(&str, &str)]) -> Result<FunctionProcess> {
    let programs = programs::functions(&environment.context)?;
    let services = &environment.ready.services;
    let name = "query-batch-scores";
    let mut launch =
        Launch::new(programs.get(name).context("no program")?, name, &services.endpoint())
            .env("DATABASE_URL", &services.functions_database_url)
            .env("BUCKET", BUCKET);
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

    let mut close = json!({ "action": "finish_run", "eligible": 20, "shard_count": 1 });
    close["run"] = live;
    let answer = forged.call("update-database", &close);
    forged.refused("promise 2: a live run closed", answer, "Permanent.RunConflict")?;

    forged.apply(&forged.run, &evaluations)?;
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
