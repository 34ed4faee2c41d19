//! The nightly run through the deployed state machine, from the start to the decisions in the
//! table.
#![allow(missing_docs)]

#[path = "workflow/categories.rs"]
mod categories;
#[path = "workflow/history.rs"]
mod history;
#[path = "workflow/pipeline.rs"]
mod pipeline;
#[path = "workflow/proof.rs"]
mod proof;
#[path = "workflow/report.rs"]
mod report;

use std::collections::BTreeMap;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail, ensure};
use categories::a_category_is_found_by_what_it_means_and_mostly_unknown_ones_end_the_run;
use history::*;
use limit_increase::deployment::stack::Stack;
use limit_increase::deployment::{self, Deployment, schedule};
use limit_increase::model::{BUCKET, KEY};
use limit_increase::runs::execution::ExecutionReport;
use limit_increase::runs::timeline::{StepFailure, explain_cause};
use limit_increase_domain::CreditScore;
use limit_increase_domain::policy::Policy;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::faults::lab::Lab;
use limit_increase_tests::faults::schedule::run_undisturbed;
use limit_increase_tests::records::{LedgerRow, RunRecord, StoredDecision, decisions};
use limit_increase_tests::{cases, roles, suite};
use limit_increase_workflow::ShardRef;
use limit_increase_workflow::keys::{Stage, remaining_list_key};
use limit_increase_workflow::{RunId, RunRequest};
use pipeline::*;
use proof::*;
use report::*;
use rust_decimal::Decimal;
use serde_json::json;
use tokio_postgres::error::SqlState;

fn main() -> ExitCode {
    suite::run(
        "workflow",
        &cases![
            three_runs_decide_twenty_then_the_rest_then_nobody,
            a_run_started_by_hand_with_an_empty_object_is_the_nightly_one,
            a_scheduled_event_starts_a_run,
            a_decision_follows_the_policy_to_the_cent,
            a_customer_who_cannot_be_scored_is_referred_and_stops_nobody,
            a_category_is_found_by_what_it_means_and_mostly_unknown_ones_end_the_run,
            a_customer_who_changed_meanwhile_is_left_alone,
            a_dry_run_decides_and_writes_nothing,
            a_policy_of_one_run_counts_for_that_run_alone,
            a_bad_request_fails_and_names_the_field,
            a_run_without_a_model_fails_and_is_recorded,
            a_run_with_a_damaged_model_fails_and_writes_nothing,
            a_run_that_failed_is_resumed_by_a_new_one,
            a_run_that_was_stopped_is_failed_in_the_ledger,
            a_poisoned_shard_fails_alone_and_a_redrive_does_only_that_one,
            a_deployment_during_a_run_counts_for_later_runs_alone,
            a_whole_run_needs_no_more_rights_than_each_function_has,
            a_customer_s_decisions_are_found_in_the_history,
            the_history_is_only_added_to,
            a_customer_is_explained_by_points_that_add_up,
            a_counterfactual_reaches_the_cut_off_by_catboost_itself,
            a_replay_repeats_a_run_bit_for_bit_and_names_an_edit,
            every_tampering_is_named_by_verify,
            every_figure_of_the_report_is_what_duckdb_counts_in_the_records,
            a_model_without_a_profile_still_decides_and_drift_is_not_known,
            the_pipeline_decides_as_the_state_machine,
            the_pipeline_and_the_state_machine_decide_nobody_twice,
            a_killed_or_failed_start_of_the_pipeline_is_shown_and_its_run_is_failed,
        ],
    )
}

/// The functions connect as the roles of docs/grants.sql, which can do nothing else. The fault suite
/// runs under them too.
fn a_whole_run_needs_no_more_rights_than_each_function_has(
    environment: &Environment,
) -> Result<()> {
    let lab = Lab::open(environment)?;
    environment.block_on(async {
        lab.reset().await?;
        run_undisturbed(&lab, "own-rights", &json!({ "limit": null })).await?;

        let url = &environment.ready.services.database_url;
        for (function, forbidden) in [
            ("query-batch-scores", "UPDATE batch_scores SET new_limit = 1"),
            ("query-batch-scores", "UPDATE batch_scores SET limit_increase_decision = NULL"),
            ("query-batch-scores", "SELECT decision_reason FROM batch_scores"),
            (
                "query-batch-scores",
                "INSERT INTO limit_increase_shards SELECT * FROM limit_increase_shards",
            ),
            ("update-database", "UPDATE batch_scores SET current_limit = 1"),
            ("update-database", "UPDATE batch_scores SET current_score = 1"),
            ("update-database", "DELETE FROM batch_scores"),
            ("update-database", "INSERT INTO batch_scores (customer_id) VALUES ('x')"),
            ("update-database", "SELECT * FROM customer_features"),
            ("update-database", "DELETE FROM limit_increase_runs"),
            ("update-database", "UPDATE limit_increase_shards SET approved = 0"),
            ("update-database", "UPDATE limit_increase_decisions SET new_limit = 1"),
            ("update-database", "DELETE FROM limit_increase_decisions"),
            ("query-batch-scores", "SELECT customer_id FROM limit_increase_decisions"),
            ("update-database", "UPDATE limit_increase_seals SET seal = ''"),
            ("update-database", "DELETE FROM limit_increase_seals"),
            ("update-database", "UPDATE limit_increase_shard_files SET results_sha256 = ''"),
            ("query-batch-scores", "SELECT * FROM limit_increase_seals"),
            ("update-database", "ALTER TABLE batch_scores ADD COLUMN x INTEGER"),
        ] {
            let user = roles::login(function).context("a function of the database")?;
            let client = limit_increase::database::connect(&roles::as_user(url, user)?).await?;
            let refused = client.batch_execute(forbidden).await.err();
            let state = refused.as_ref().and_then(tokio_postgres::Error::code);
            ensure!(
                state == Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                "{function} should not be allowed to {forbidden}: {refused:?}"
            );
        }

        Ok(())
    })
}

fn all() -> RunRequest {
    RunRequest { limit: None, ..RunRequest::default() }
}

/// The tutorial's demonstration: 20 customers, then the rest, then a night with nothing to do.
/// Every run is checked for promise 3 when its records are read.
fn three_runs_decide_twenty_then_the_rest_then_nobody(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let eligible = eligible(environment)?;
    ensure!(
        eligible > 20,
        "the sample should have more than 20 eligible customers, it has {eligible}"
    );

    let first = RunRecord::read(environment, &environment.run_well(&RunRequest::default())?)?;
    ensure!(
        first.summary.eligible == 20,
        "the first run should take 20 customers: {:?}",
        first.summary
    );

    let table = decisions(environment)?;
    ensure!(table.len() == 20, "20 decisions expected, found {}", table.len());

    first.check_table(&table)?;

    let second = RunRecord::read(environment, &environment.run_well(&all())?)?;
    ensure!(
        second.summary.eligible == eligible - 20,
        "the second run should take the rest of {eligible}: {:?}",
        second.summary
    );

    let table = decisions(environment)?;
    ensure!(table.len() as u64 == eligible, "{eligible} decisions expected, found {}", table.len());

    first.check_table(&table)?;
    second.check_table(&table)?;

    let third = RunRecord::read(environment, &environment.run_well(&RunRequest::default())?)?;
    ensure!(
        third.summary.eligible == 0 && third.summary.shard_count == 0,
        "the third run should find nobody: {:?}",
        third.summary
    );
    ensure!(
        decisions(environment)? == table,
        "promise 1: a run with nothing to do should change no decision"
    );

    let approved = first.summary.counts.approved + second.summary.counts.approved;
    let share = approved as f64 / eligible as f64;
    ensure!(
        (0.3..=0.7).contains(&share),
        "30 % to 70 % should be approved, but {approved} of {eligible} are"
    );

    Ok(())
}

fn a_run_started_by_hand_with_an_empty_object_is_the_nightly_one(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let finished = environment.execute("by-hand", "{}")?;
    ensure!(finished.succeeded(), "the run should succeed: {}", finished.problem());

    let record = RunRecord::read(environment, &RunId::try_from("by-hand".to_owned())?)?;
    ensure!(
        record.summary.eligible == 20,
        "an empty object should take 20 customers: {:?}",
        record.summary
    );

    record.check_table(&decisions(environment)?)
}

fn a_scheduled_event_starts_a_run(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let rule = environment.ready.stack.output("EventBridgeRuleName")?;
    let found = environment.block_on(schedule::read(&environment.ready.aws, rule))?;
    ensure!(
        found.rule == "LimitIncreaseDailySchedule" && found.expression == "cron(0 2 * * ? *)",
        "the rule should be LimitIncreaseDailySchedule at 02:00 UTC: {found:?}"
    );

    ensure!(
        found.state == "ENABLED" && found.target == environment.machine()?,
        "the rule should be enabled and start our state machine: {found:?}"
    );
    ensure!(
        found.retries.is_some() && found.dead_letters.is_some(),
        "the rule should have retries and a queue for dead letters: {found:?}"
    );

    let execution = environment.block_on(schedule::fire(&environment.ready.aws, &found))?;
    let finished = environment.follow(&execution)?;
    ensure!(finished.succeeded(), "the run should succeed: {}", finished.problem());

    let record = RunRecord::read(environment, &RunId::try_from(finished.name)?)?;
    ensure!(
        record.summary.eligible == 20,
        "a scheduled run should take 20 customers: {:?}",
        record.summary
    );

    record.check_table(&decisions(environment)?)
}

/// The tutorial's rules at their boundaries, through the whole chain: eligibility, growth, cap.
fn a_decision_follows_the_policy_to_the_cent(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    // Everybody gets the features of the customer with the best new score, so that all are
    // approved.
    let best = best_customer(environment)?;
    environment.reset()?;
    let set = |id: &str, score: i32, limit: &str| {
        format!(
            "UPDATE batch_scores SET current_score = {score}, current_limit = {limit} \
             WHERE customer_id = '{id}';"
        )
    };

    let cases = [
        ("CUST_0001", 600, "4999.99", Some("7499.00")),
        ("CUST_0002", 600, "5000.00", Some("6250.00")),
        ("CUST_0003", 600, "9999.99", Some("12499.00")),
        ("CUST_0004", 600, "10000.00", None),
        ("CUST_0005", 599, "4000.00", None),
        ("CUST_0006", 600, "0.01", None),
        ("CUST_0007", 600, "3333.33", Some("4999.00")),
    ];

    let columns: Vec<String> = environment
        .block_on(client.query(
            "SELECT format('%I', attname) FROM pg_attribute
             WHERE attrelid = 'customer_features'::regclass AND attnum > 0
             AND NOT attisdropped AND attname <> 'customer_id'",
            &[],
        ))?
        .iter()
        .map(|row| row.get(0))
        .collect();
    let assignments: Vec<String> =
        columns.iter().map(|column| format!("{column} = best.{column}")).collect();
    let mut sql = format!(
        "UPDATE customer_features f SET {} FROM (SELECT * FROM customer_features
         WHERE customer_id = '{best}') best;
         DELETE FROM batch_scores WHERE customer_id > 'CUST_0007';",
        assignments.join(", ")
    );

    for (id, score, limit, _) in cases {
        sql.push_str(&set(id, score, limit));
    }

    environment.block_on(client.batch_execute(&sql))?;
    environment.run_well(&all())?;
    let table = decisions(environment)?;
    for (id, score, limit, expected) in cases {
        let found = table.get(id).map(|stored| (stored.decision.as_str(), stored.new_limit));
        let expected = match (expected, id) {
            (Some(limit), _) => Some(("APPROVED", Some(limit.parse::<Decimal>()?))),
            // Eligible, but a limit grows by whole units, and half a cent is less than one.
            (None, "CUST_0006") => Some(("DECLINED", None)),
            (None, _) => None,
        };

        ensure!(
            found == expected,
            "{id} with score {score} and limit {limit}: expected {expected:?}, found {found:?}"
        );
    }

    Ok(())
}

fn best_customer(environment: &Environment) -> Result<String> {
    environment.run_well(&all())?;
    let client = environment.database()?;
    let row = environment.block_on(client.query_one(
        "SELECT customer_id FROM batch_scores WHERE limit_increase_decision = 'APPROVED'
         ORDER BY substring(decision_reason FROM 'Score (\\d+)')::int DESC LIMIT 1",
        &[],
    ))?;

    Ok(row.get(0))
}

fn a_customer_who_cannot_be_scored_is_referred_and_stops_nobody(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    environment.block_on(client.batch_execute(
        "UPDATE batch_scores SET current_score = 700, current_limit = 4000
         WHERE customer_id <= 'CUST_0004';
         DELETE FROM customer_features WHERE customer_id = 'CUST_0001';
         UPDATE customer_features SET bureau_score = 'Infinity' WHERE customer_id = 'CUST_0002';
         UPDATE customer_features SET utilisation = 'NaN' WHERE customer_id = 'CUST_0003';
         UPDATE customer_features SET employment_status = 'no such status'
         WHERE customer_id = 'CUST_0004';",
    ))?;

    let eligible = eligible(environment)?;
    let record = RunRecord::read(environment, &environment.run_well(&all())?)?;
    ensure!(
        record.summary.eligible == eligible,
        "all {eligible} should be taken: {:?}",
        record.summary
    );

    let table = decisions(environment)?;
    record.check_table(&table)?;
    for (id, words) in [
        ("CUST_0001", "features"),
        ("CUST_0002", "bureau score is infinite"),
        ("CUST_0003", "limit in use"),
    ] {
        let stored = table.get(id).with_context(|| format!("{id} is not decided"))?;
        ensure!(
            stored.decision == "REFERRED" && stored.new_limit.is_none(),
            "promise 9: {id} should be REFERRED without a limit: {stored:?}"
        );
        ensure!(
            stored.reason.contains(words),
            "promise 9: the reason for {id} should contain {words:?}: {stored:?}"
        );
    }

    ensure!(
        table.contains_key("CUST_0004"),
        "promise 9: a customer with an unknown category should be decided"
    );
    Ok(())
}

/// Promise 1: somebody else changes a customer between the query and the update. The run has
/// several shards.
fn a_customer_who_changed_meanwhile_is_left_alone(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let eligible = eligible(environment)?;
    let client = environment.database()?;
    // The trigger acts as another program: when the run is opened, it changes one eligible
    // customer.
    environment.block_on(client.batch_execute(
        "CREATE FUNCTION decide_another() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             UPDATE batch_scores SET current_limit = current_limit + 1
             WHERE customer_id = (SELECT customer_id FROM batch_scores
                                  WHERE limit_increase_decision IS NULL
                                  AND current_score >= 600 AND current_limit < 9000
                                  ORDER BY current_score, customer_id DESC LIMIT 1);
             RETURN NULL;
         END $$;
         CREATE TRIGGER decide_another AFTER INSERT ON limit_increase_runs
         EXECUTE FUNCTION decide_another();",
    ))?;

    let outcome = environment.run_well(&RunRequest { shard_size: 7, ..all() });
    environment.block_on(client.batch_execute(
        "DROP TRIGGER decide_another ON limit_increase_runs; DROP FUNCTION decide_another();",
    ))?;

    let record = RunRecord::read(environment, &outcome?)?;
    ensure!(
        u64::from(record.summary.shard_count) == eligible.div_ceil(7),
        "{eligible} customers should make shards of 7: {:?}",
        record.summary
    );
    ensure!(
        record.summary.counts.stale == 1,
        "promise 1: one customer should be stale: {:?}",
        record.summary.counts
    );

    let table = decisions(environment)?;
    record.check_table(&table)?;
    ensure!(
        table.len() as u64 == eligible - 1,
        "promise 1: all but the stale one of {eligible} should be decided, {} are",
        table.len()
    );

    let history: i64 = environment
        .block_on(client.query_one(
            "SELECT count(*) FROM limit_increase_decisions WHERE run_id = $1",
            &[&record.summary.run_id.as_str()],
        ))?
        .get(0);
    ensure!(
        history.unsigned_abs() == eligible - 1,
        "promise 14: the history should have all but the stale one of {eligible}: {history}"
    );

    // The next run takes the customer who was left.
    let next = RunRecord::read(environment, &environment.run_well(&all())?)?;
    ensure!(
        next.summary.eligible == 1 && next.summary.counts.stale == 0,
        "the next run should take the one who was left: {:?}",
        next.summary
    );
    Ok(())
}

fn a_dry_run_decides_and_writes_nothing(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let dry = RunRecord::read(
        environment,
        &environment.run_well(&RunRequest { dry_run: true, ..all() })?,
    )?;

    ensure!(decisions(environment)?.is_empty(), "a dry run should write no decision");
    ensure!(
        dry.effects.values().all(|effect| effect == "DRY_RUN"),
        "every result should be a DRY_RUN: {:?}",
        dry.effects
    );

    let real = RunRecord::read(environment, &environment.run_well(&all())?)?;
    ensure!(
        real.evaluated == dry.evaluated,
        "promise 2: the real run should decide as the dry one"
    );

    real.check_table(&decisions(environment)?)
}

fn a_policy_of_one_run_counts_for_that_run_alone(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let policy = Policy { minimum_score: CreditScore::new(10_000), ..Policy::default() };
    let request = RunRequest { policy: Some(policy), ..RunRequest::default() };
    let strict = RunRecord::read(environment, &environment.run_well(&request)?)?;
    ensure!(
        strict.summary.counts.declined == 20,
        "a minimum score of 10000 should decline all 20: {:?}",
        strict.summary.counts
    );

    let usual = RunRecord::read(environment, &environment.run_well(&all())?)?;
    ensure!(
        usual.summary.counts.approved > 0,
        "the default policy should approve somebody: {:?}",
        usual.summary.counts
    );
    ensure!(
        usual.summary.policy == Policy::default(),
        "the next run should use the default policy: {:?}",
        usual.summary.policy
    );
    Ok(())
}

fn a_bad_request_fails_and_names_the_field(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let cases = [
        (r#"{"limit": 0}"#, "Permanent.InvalidRequest", "limit: must be from 1"),
        (r#"{"limit": "many"}"#, "Permanent.InvalidRequest", "limit: invalid type"),
        (r#"{"limit": 20.5}"#, "Permanent.InvalidRequest", "limit: invalid type"),
        (r#"{"shard_size": 50001}"#, "Permanent.InvalidRequest", "shard_size: must be from 1"),
        (r#"{"as_of": "24.11.2026"}"#, "Permanent.InvalidRequest", "as_of: "),
        (r#"{"colour": "red"}"#, "Permanent.InvalidRequest", "colour: unknown field"),
        (
            r#"{"policy": {"maximum_limit": "-1"}}"#,
            "Permanent.InvalidPolicy",
            "policy.maximum_limit: must be above 0",
        ),
        (r#"[1, 2]"#, "Permanent.InvalidRequest", "invalid"),
    ];

    for (number, (input, error, words)) in cases.iter().enumerate() {
        let name = format!("bad-request-{number}");
        let finished = environment.execute(&name, input)?;
        let failure =
            finished.failure.as_ref().with_context(|| format!("{input}: {}", finished.status))?;
        ensure!(
            finished.status == "FAILED" && failure.error == *error,
            "{input}: expected FAILED with {error}, got {finished:?}"
        );

        let cause = explain_cause(&failure.cause);
        ensure!(
            cause.contains(words),
            "{input}: the cause should contain {words:?}, it is {cause}"
        );

        let ledger = LedgerRow::read(environment, &RunId::try_from(name)?)?;
        ensure!(
            ledger.status == "FAILED" && ledger.error.as_deref() == Some(error),
            "promise 5: {input}: the ledger should have the run FAILED with {error}, it \
             has {ledger:?}"
        );
    }

    ensure!(decisions(environment)?.is_empty(), "promise 10: a bad request should decide nobody");
    Ok(())
}

fn a_run_without_a_model_fails_and_is_recorded(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let model = environment.object(KEY)?;
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(KEY).send())?;
    let finished = environment.execute("no-model", "{}");
    environment.put_object(KEY, model)?;
    let finished = finished?;
    let failure = finished.failure.as_ref().with_context(|| finished.status.clone())?;
    ensure!(finished.status == "FAILED", "a run without a model should fail: {finished:?}");
    ensure!(
        failure.state == "QueryBatchScores" && failure.error == "Permanent.ModelMissing",
        "expected Permanent.ModelMissing in QueryBatchScores, got {failure:?}"
    );

    let ledger = LedgerRow::read(environment, &RunId::try_from("no-model".to_owned())?)?;
    ensure!(
        ledger.status == "FAILED" && ledger.error.as_deref() == Some("Permanent.ModelMissing"),
        "promise 5: the ledger should have the run FAILED with Permanent.ModelMissing, \
         it has {ledger:?}"
    );

    ensure!(
        ledger.cause.as_deref().is_some_and(|cause| cause.contains(KEY)),
        "promise 5: the ledger's cause should name {KEY}: {ledger:?}"
    );
    ensure!(
        decisions(environment)?.is_empty(),
        "promise 10: nobody should be decided without a model"
    );
    Ok(())
}

fn a_run_with_a_damaged_model_fails_and_writes_nothing(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let model = environment.object(KEY)?;
    let mut damaged = model.to_vec();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    environment.put_object(KEY, damaged)?;
    let finished = environment.execute("damaged-model", "{}");
    environment.put_object(KEY, model)?;
    let finished = finished?;
    let failure = finished.failure.as_ref().with_context(|| finished.status.clone())?;
    ensure!(
        finished.status == "FAILED" && failure.error == "Permanent.ModelInvalid",
        "expected FAILED with Permanent.ModelInvalid, got {finished:?}"
    );

    ensure!(
        decisions(environment)?.is_empty(),
        "promise 10: nobody should be decided with a damaged model"
    );
    Ok(())
}

/// Promise 4: a shard fails, and the run is FAILED. A new run decides exactly the customers who are
/// left, as an undisturbed run would have.
fn a_run_that_failed_is_resumed_by_a_new_one(environment: &Environment) -> Result<()> {
    let sabotaged = SabotagedRun::run(environment, "sabotaged")?;
    let table = decisions(environment)?;
    ensure!(
        !table.contains_key(&sabotaged.victim),
        "{} should not be decided against the constraint",
        sabotaged.victim
    );

    environment.run_well(&all())?;
    ensure!(
        decisions(environment)? == sabotaged.undisturbed,
        "promise 4: the table should be that of an undisturbed run"
    );

    Ok(())
}

/// Promise 5: nobody in the state machine learns that it is stopped. EventBridge reports it.
fn a_run_that_was_stopped_is_failed_in_the_ledger(environment: &Environment) -> Result<()> {
    environment.reset()?;

    // A lock keeps the run where it waits for a function. LocalStack 4.9.2 forgets a stop that
    // arrives before the first state, and reports another error for one between two states.
    let admin = environment.database()?;
    let lock = environment.database()?;
    environment.block_on(lock.batch_execute("BEGIN; LOCK TABLE batch_scores IN SHARE MODE"))?;

    let states = &environment.ready.aws.states;
    let started = environment.block_on(
        states
            .start_execution()
            .state_machine_arn(environment.machine()?)
            .name("stopped")
            .input(r#"{"limit": null}"#)
            .send(),
    )?;
    wait_for_sessions(environment, &admin, "wait_event_type = 'Lock'", 1)?;
    environment.block_on(states.stop_execution().execution_arn(&started.execution_arn).send())?;

    let run = RunId::try_from("stopped".to_owned())?;
    let row = wait_for_ledger(environment, &run, |row| row.status != "RUNNING")?;
    ensure!(
        row.status == "FAILED" && row.error.as_deref() == Some("ABORTED"),
        "promise 5: a stopped run should be FAILED with ABORTED, the ledger has {row:?}"
    );

    // The function goes on. The next case must not meet it.
    environment.block_on(lock.batch_execute("ROLLBACK"))?;
    wait_for_sessions(environment, &admin, "state <> 'idle'", 0)
}

/// Waits until this many sessions of update-database are in a state.
fn wait_for_sessions(
    environment: &Environment,
    admin: &tokio_postgres::Client,
    state: &str,
    wanted: i64,
) -> Result<()> {
    let sql = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE application_name = 'update-database' AND {state}"
    );
    for _ in 0..600 {
        if environment.block_on(admin.query_one(&sql, &[]))?.try_get::<_, i64>(0)? == wanted {
            return Ok(());
        }

        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    bail!("update-database never had {wanted} sessions with {state}")
}

/// The deployment changes a parameter that would fail every later step of the run under way: under
/// this ceiling update-database refuses the policy. The run keeps the versions that it began with.
fn a_deployment_during_a_run_counts_for_later_runs_alone(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let first = release_of(&environment.ready.stack)?;
    let client = environment.database()?;
    let states = &environment.ready.aws.states;
    // QueryBatchScores waits when it records the run, so every other step comes after the
    // deployment.
    environment
        .block_on(client.batch_execute("BEGIN; LOCK TABLE limit_increase_runs IN SHARE MODE"))?;
    let started = environment.block_on(
        states.start_execution().state_machine_arn(environment.machine()?).name("overtaken").send(),
    )?;
    wait_for_waiting_query(environment)?;

    let stack = deploy(environment, &[("Release", "2.0.0+test"), ("MaxLimitCeiling", "1.00")])?;
    ensure!(release_of(&stack)? == "2.0.0+test", "the stack should have the second release");
    environment.block_on(client.batch_execute("COMMIT"))?;
    let overtaken = environment.follow(&started.execution_arn)?;
    let refused = environment.run(&RunRequest::default())?;

    deploy(environment, &[])?;
    ensure!(
        overtaken.succeeded(),
        "the run should go on with the versions that it began with: {}",
        overtaken.problem()
    );
    let record = RunRecord::read(environment, &RunId::try_from("overtaken".to_owned())?)?;
    ensure!(
        record.summary.release.to_string() == first && record.summary.counts.total() == 20,
        "the run should be recorded for the release {first}: {:?}",
        record.summary
    );
    ensure!(
        refused
            .failure
            .as_ref()
            .is_some_and(|failure| failure.error == "Permanent.PolicyNotAllowed"),
        "the next run should be of the new deployment, whose ceiling no policy keeps: {refused:?}"
    );

    // The first release again: a version of its own, although an older one is the same.
    environment.run_well(&RunRequest::default())?;
    Ok(())
}

fn release_of(stack: &Stack) -> Result<String> {
    stack.parameters.get("Release").cloned().context("the stack should have a release")
}

/// Deploys the stack again, with other values of some parameters.
fn deploy(environment: &Environment, changes: &[(&str, &str)]) -> Result<Stack> {
    let mut deployment = Deployment::local(&environment.ready.services)?;
    for (name, value) in changes {
        deployment.parameters.insert((*name).to_owned(), (*value).to_owned());
    }

    let deployed = deployment::deploy(&environment.context, &environment.ready.aws, &deployment);
    environment.block_on(deployed)
}

/// Waits until a connection waits for a lock on the ledger's table of runs.
fn wait_for_waiting_query(environment: &Environment) -> Result<()> {
    let client = environment.database()?;
    for _ in 0..600 {
        let waiting = environment.block_on(client.query_opt(
            "SELECT 1 FROM pg_locks
             WHERE NOT granted AND relation = 'limit_increase_runs'::regclass LIMIT 1",
            &[],
        ))?;
        if waiting.is_some() {
            return Ok(());
        }

        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    bail!("the query should wait for the ledger")
}

/// The ledger's row of a run once it is as wanted, or an error after half a minute.
fn wait_for_ledger(
    environment: &Environment,
    run: &RunId,
    wanted: impl Fn(&LedgerRow) -> bool,
) -> Result<LedgerRow> {
    let mut last = None;
    for _ in 0..600 {
        last = LedgerRow::read(environment, run).ok();
        if let Some(row) = last.take_if(|row| wanted(row)) {
            return Ok(row);
        }

        std::thread::sleep(std::time::Duration::from_millis(50));
    }

    bail!("the ledger's row of {run} did not become what was waited for, it is {last:?}")
}

/// Promise 4. LocalStack 4.9.2 has no `redrive-execution`. So a second machine runs the same
/// definition from the state that failed, with that state's input, as a redrive does. It differs
/// only in its start and in the number of redrives, which AWS puts into `$$.Execution`.
fn a_poisoned_shard_fails_alone_and_a_redrive_does_only_that_one(
    environment: &Environment,
) -> Result<()> {
    let sabotaged = SabotagedRun::run(environment, "redriven")?;
    let run = RunId::try_from("redriven".to_owned())?;
    let shards = sabotaged.undisturbed.len().div_ceil(SABOTAGED_SHARD_SIZE);
    let applied = environment.keys(&Stage::Results.prefix(&run))?;
    ensure!(
        applied.len() == shards - 1,
        "all of {shards} shards but one should be applied, these are: {applied:?}"
    );

    let before = newest_versions(environment, &Stage::ScoredCustomers.prefix(&run))?;

    // A redrive before the repair fails again, once, and does not loop.
    sabotage(environment, &sabotaged.victim)?;
    let again = redrive(environment, &sabotaged.failed, 1);
    repair(environment)?;
    let again = again?.failure.context("a redrive into the same trouble succeeded")?;
    ensure!(
        again.error == sabotaged.failed.error,
        "a redrive before the repair should fail with {} again, it failed with {again:?}",
        sabotaged.failed.error
    );

    let finished = redrive(environment, &again, 2)?;
    ensure!(finished.succeeded(), "promise 4: the redrive should succeed: {}", finished.problem());

    let record = RunRecord::read(environment, &run)?;
    ensure!(
        record.summary.shard_count as usize == shards,
        "the run should have {shards} shards: {:?}",
        record.summary
    );
    ensure!(
        decisions(environment)? == sabotaged.undisturbed,
        "promise 4: the table should be that of an undisturbed run"
    );

    record.check_table(&sabotaged.undisturbed)?;

    let left: Vec<ShardRef> =
        serde_json::from_slice(&environment.object(&remaining_list_key(&run))?)?;
    ensure!(left.len() == 1, "only the poisoned shard should be left to do: {left:?}");

    let poisoned = Stage::ScoredCustomers.shard_key(&run, left[0].index);
    for (key, version) in newest_versions(environment, &Stage::ScoredCustomers.prefix(&run))? {
        ensure!(
            (before[&key] == version) == (key != poisoned),
            "only the poisoned shard should be scored again, {key} has the versions {} \
             and {version}",
            before[&key]
        );
    }

    Ok(())
}

const SABOTAGED_SHARD_SIZE: usize = 7;
const SABOTAGED_REQUEST: &str = r#"{"limit": null, "shard_size": 7}"#;

/// A run of several shards, of which one could not be applied. The reason is repaired afterwards.
struct SabotagedRun {
    /// The customer whose decision the database refused.
    victim: String,
    /// The decisions of an undisturbed run over the same customers.
    undisturbed: BTreeMap<String, StoredDecision>,
    /// The failure with which the run ended.
    failed: StepFailure,
}

impl SabotagedRun {
    fn run(environment: &Environment, name: &str) -> Result<Self> {
        environment.reset()?;
        environment.run_well(&all())?;
        let undisturbed = decisions(environment)?;
        environment.reset()?;
        let victim = undisturbed.keys().next_back().context("nobody is eligible")?.clone();
        sabotage(environment, &victim)?;
        let finished = environment.execute(name, SABOTAGED_REQUEST);
        repair(environment)?;
        let finished = finished?;
        let failed = finished.failure.clone().with_context(|| finished.status.clone())?;
        ensure!(
            finished.status == "FAILED" && failed.error == "Permanent.DatabaseRefused",
            "expected FAILED with Permanent.DatabaseRefused, got {finished:?}"
        );

        let ledger = LedgerRow::read(environment, &RunId::try_from(name.to_owned())?)?;
        ensure!(
            ledger.status == "FAILED"
                && ledger.error.as_deref() == Some("Permanent.DatabaseRefused"),
            "promise 5: the ledger should have the run FAILED with \
             Permanent.DatabaseRefused, it has {ledger:?}"
        );

        Ok(Self { victim, undisturbed, failed })
    }
}

/// Makes the database refuse to decide one customer.
fn sabotage(environment: &Environment, victim: &str) -> Result<()> {
    let client = environment.database()?;
    Ok(environment.block_on(client.batch_execute(&format!(
        "ALTER TABLE batch_scores ADD CONSTRAINT sabotage
         CHECK (customer_id <> '{victim}' OR limit_increase_decision IS NULL)"
    )))?)
}

fn repair(environment: &Environment) -> Result<()> {
    let client = environment.database()?;
    Ok(environment
        .block_on(client.batch_execute("ALTER TABLE batch_scores DROP CONSTRAINT sabotage"))?)
}

/// Continues the run `redriven` as a redrive would, and waits for its end.
fn redrive(
    environment: &Environment,
    failed: &StepFailure,
    redrives: u32,
) -> Result<ExecutionReport> {
    let machine = redriving_machine(environment, failed, redrives)?;
    let states = &environment.ready.aws.states;
    let started = environment.block_on(
        states
            .start_execution()
            .state_machine_arn(machine)
            .name("redriven")
            .input(SABOTAGED_REQUEST)
            .send(),
    )?;

    environment.follow(&started.execution_arn)
}

/// A state machine with the deployed definition that starts as a redriven execution does.
fn redriving_machine(
    environment: &Environment,
    failed: &StepFailure,
    redrives: u32,
) -> Result<String> {
    let states = &environment.ready.aws.states;
    let deployed = environment.block_on(
        states.describe_state_machine().state_machine_arn(environment.machine()?).send(),
    )?;

    let mut definition: serde_json::Value = serde_json::from_str(deployed.definition())?;
    definition["StartAt"] = "Redriven".into();
    definition["States"]["Redriven"] = serde_json::json!({
        "Type": "Pass",
        "Result": { "Error": failed.error, "Cause": failed.cause, "Recorded": true },
        "Next": "FailOrResume"
    });

    for state in ["QueryBatchScores", "SaveResults", "RecordFailure", "FailOrResume"] {
        let payload = &mut definition["States"][state]["Parameters"]["Payload"];
        ensure!(
            payload["execution.$"] == "$$.Execution",
            "{state} should pass $$.Execution on, its payload is {payload}"
        );

        payload.as_object_mut().context("no payload")?.remove("execution.$");
        payload["execution"] = serde_json::json!({
            "Name": "redriven",
            "Input": serde_json::from_str::<serde_json::Value>(SABOTAGED_REQUEST)?,
            "RedriveCount": redrives
        });
    }

    let created = environment.block_on(
        states
            .create_state_machine()
            .name(format!("LimitIncreaseWorkflow-redriven-{redrives}"))
            .role_arn(deployed.role_arn())
            .definition(definition.to_string())
            .send(),
    )?;

    Ok(created.state_machine_arn)
}

/// The newest version of each object under a prefix. The bucket is versioned, so a rewritten object
/// has another version.
fn newest_versions(environment: &Environment, prefix: &str) -> Result<BTreeMap<String, String>> {
    let listed = environment.block_on(
        environment.ready.aws.s3.list_object_versions().bucket(BUCKET).prefix(prefix).send(),
    )?;

    let newest = listed.versions().iter().filter(|version| version.is_latest() == Some(true));
    let entry = |version: &aws_sdk_s3::types::ObjectVersion| {
        Some((version.key()?.to_owned(), version.version_id()?.to_owned()))
    };

    newest.map(|version| entry(version).context("a version without key or id")).collect()
}

fn eligible(environment: &Environment) -> Result<u64> {
    let client = environment.database()?;
    let row = environment.block_on(client.query_one(
        "SELECT count(*) FROM batch_scores
         WHERE current_score >= 600 AND current_limit < 10000 AND limit_increase_decision IS NULL",
        &[],
    ))?;

    Ok(row.get::<_, i64>(0).unsigned_abs())
}
