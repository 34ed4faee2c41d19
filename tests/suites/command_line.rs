//! The command line as people and programs use it: answers, JSON, exit codes.
#![allow(missing_docs)]

#[path = "command_line/on_aws.rs"]
mod on_aws;
#[path = "command_line/training.rs"]
mod training;
#[path = "command_line/what_if.rs"]
mod what_if;

use std::path::Path;
use std::process::{ExitCode, Output};

use anyhow::{Context as _, Result, bail, ensure};
use limit_increase::model::{BUCKET, KEY};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::LedgerRow;
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::{RunId, RunRequest};
use on_aws::*;
use serde_json::json;
use training::*;
use what_if::*;

const POLICY: &str = limit_increase_workflow::keys::DEFAULT_POLICY_KEY;

fn main() -> ExitCode {
    suite::run(
        "command_line",
        &cases![
            a_run_shows_its_states_its_summary_and_its_results,
            answers_are_json_when_json_is_asked_for,
            a_run_counts_what_each_step_did_as_the_ledger_has_it,
            results_count_who_is_pending_by_the_policy_in_force,
            a_run_that_fails_exits_with_3_and_says_why_and_what_next,
            a_wrong_command_line_exits_with_2_and_names_the_option,
            setup_db_never_overwrites_decisions_unless_asked,
            setup_db_makes_the_tables_alone_when_asked_and_starts_nothing,
            the_sample_goes_only_into_a_database_on_this_machine,
            own_customers_are_loaded_and_a_bad_row_is_named,
            training_says_what_the_policy_would_do_and_keeps_directions,
            own_customers_of_parquet_are_those_of_csv_whatever_the_type_of_the_key,
            own_customers_whose_key_does_not_fit_are_refused_before_a_row,
            own_customers_whose_limit_would_be_rounded_are_refused,
            own_customers_have_columns_of_any_name,
            test_schedule_and_test_services_use_what_they_test,
            a_deployment_sets_the_size_of_a_night_and_the_next_one_keeps_it,
            a_second_stage_runs_beside_the_first,
            a_stack_on_aws_is_not_changed_without_a_question,
            the_run_s_own_policy_decides_everybody_as_the_run_did,
            a_challenger_scores_the_stored_inputs_again,
            a_comparison_that_cannot_be_made_says_why_and_what_next,
            scores_are_held_against_what_became_of_the_customers,
            awslocal_starts_a_run,
            the_deployed_function_makes_the_tables_of_an_empty_database,
            on_aws_a_run_is_started_followed_and_read_without_the_database,
            on_aws_a_live_run_is_not_started_without_a_question,
            on_aws_a_run_that_failed_says_how_to_resume_it,
            on_aws_status_shows_the_stack_and_its_alarms,
            on_aws_test_schedule_starts_nothing_unless_a_dry_run_is_asked_for,
            on_aws_a_redrive_resumes_a_run_or_says_what_to_do_instead,
            on_aws_each_error_says_the_next_step,
            stop_is_idempotent_and_the_next_command_starts_again,
        ],
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(environment: &Environment, arguments: &[&str]) -> Result<Output> {
    environment.command(arguments)
}

fn a_run_shows_its_states_its_summary_and_its_results(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let output = run(environment, &["run"])?;
    let (shown, progress) = (text(&output.stdout), text(&output.stderr));
    ensure!(
        output.status.success(),
        "`run` should succeed, it ended with {}:\n{shown}\n{progress}",
        output.status
    );

    for words in [
        "SUCCEEDED",
        "20 customers in 1 shard",
        "20 scored, 0 referred",
        " approved, ",
        "20 written, 0 stale",
        " declined, ",
        "Totals",
        "Largest approved increases",
    ] {
        ensure!(shown.contains(words), "`run` should show {words:?}, it shows:\n{shown}");
    }

    for state in ["QueryBatchScores", "ProcessShards", "SaveResults"] {
        ensure!(
            progress.contains(state),
            "`run` should show the state {state}, it shows:\n{progress}"
        );
    }

    let again = run(environment, &["run", "--limit", "all"])?;
    ensure!(again.status.success(), "`run --limit all` should succeed: {}", text(&again.stderr));

    let nothing = run(environment, &["run"])?;
    ensure!(
        nothing.status.success() && text(&nothing.stdout).contains("Nothing to do"),
        "a run without customers should say \"Nothing to do\": {}",
        text(&nothing.stdout)
    );

    Ok(())
}

fn answers_are_json_when_json_is_asked_for(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let ran = environment.command_json(&["run", "--limit", "5"])?;
    ensure!(
        ran["summary"]["eligible"] == 5 && ran["execution"]["status"] == "SUCCEEDED",
        "5 customers and SUCCEEDED expected: {ran}"
    );

    let results = environment.command_json(&["results"])?;
    let totals = &results["totals"];
    let count = |name: &str| totals[name].as_i64().unwrap_or(-1);
    ensure!(
        count("approved") + count("declined") + count("referred") == 5,
        "5 decisions expected: {totals}"
    );

    let parts = ["approved", "declined", "referred", "pending", "not_eligible"];
    ensure!(
        parts.map(count).iter().sum::<i64>() == 50 && count("customers") == 50,
        "the totals should add up to 50 customers: {totals}"
    );

    let status = environment.command_json(&["status"])?;
    let version = environment.command(&["--version"])?;
    let version = String::from_utf8_lossy(&version.stdout).trim().replace("limit-increase ", "");
    let releases =
        [&ran["summary"]["release"], &status["stack"]["release"], &status["last_run"]["release"]];
    ensure!(
        version.contains('+') && releases.iter().all(|release| **release == *version),
        "the run, the ledger and the stack should have the release {version}: {releases:?}"
    );
    ensure!(
        status["localstack"]["running"] == true && status["last_run"]["status"] == "SUCCEEDED",
        "a running LocalStack and a last run that SUCCEEDED expected: {status}"
    );

    ensure!(
        !status.to_string().contains("postgres:postgres@"),
        "promise 11: a password is shown: {status}"
    );
    Ok(())
}

/// Promise 3: the counts of each step add up, and are those of the ledger. One customer has no
/// features, so that not everybody is scored.
fn a_run_counts_what_each_step_did_as_the_ledger_has_it(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    environment.block_on(client.batch_execute(
        "DELETE FROM customer_features WHERE customer_id = (
             SELECT min(customer_id) FROM batch_scores
             WHERE current_score >= 600 AND current_limit < 10000)",
    ))?;

    let arguments = ["run", "--limit", "all", "--shard-size", "9"];
    let dry = environment.command_json(&[&arguments[..], &["--dry-run"]].concat())?;
    let ran = environment.command_json(&arguments)?;
    let run = ran["summary"]["run_id"].as_str().context("a run has its id")?.to_owned();
    let ledger = LedgerRow::read(environment, &RunId::try_from(run.clone())?)?;
    let (Some(eligible), Some(counts)) = (ledger.eligible, ledger.counts) else {
        bail!("the run should be closed: {ledger:?}")
    };
    let shards: i64 = environment.block_on(async {
        let statement = "SELECT count(*) FROM limit_increase_shards WHERE run_id = $1";
        anyhow::Ok(client.query_one(statement, &[&run]).await?.get(0))
    })?;
    ensure!(shards > 1 && counts.stale == 0, "several shards, undisturbed: {ledger:?}");

    let evaluated = json!({
        "approved": counts.approved, "declined": counts.declined, "referred": counts.referred,
    });
    let expected = json!({
        "QueryBatchScores": { "customers": eligible, "shards": shards },
        "ScoreCustomers": { "scored": eligible - 1, "referred": 1 },
        "EvaluateLimitIncrease": evaluated,
        "UpdateDatabase": { "written": counts.total(), "stale": 0, "dry_run": 0 },
    });
    ensure!(ran["steps"] == expected, "promise 3: {} expected: {}", expected, ran["steps"]);
    ensure!(
        dry["steps"]["EvaluateLimitIncrease"] == evaluated
            && dry["steps"]["UpdateDatabase"]
                == json!({ "written": 0, "stale": 0, "dry_run": eligible }),
        "a dry run should decide the same and write nothing: {}",
        dry["steps"]
    );
    Ok(())
}

fn results_count_who_is_pending_by_the_policy_in_force(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let built_in = environment.command_json(&["results"])?["totals"].clone();
    let policy =
        r#"{"eligibility": {"minimum_current_score": 650, "current_limit_below": "5000"}}"#;
    environment.put_object(POLICY, policy)?;
    let results = environment.command_json(&["results"]);
    let status = environment.command_json(&["status"]);
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(POLICY).send())?;

    let client = environment.database()?;
    let eligible: i64 = environment
        .block_on(client.query_one(
            "SELECT count(*) FROM batch_scores WHERE current_score >= 650 AND current_limit < 5000",
            &[],
        ))?
        .get(0);
    for shown in [results?, status?] {
        let totals = &shown["totals"];
        ensure!(
            totals["pending"] == eligible && totals["not_eligible"] == 50 - eligible,
            "{eligible} should be pending by the policy in force: {totals}"
        );
        ensure!(
            totals["pending"] != built_in["pending"],
            "the policy should make a difference: {built_in}"
        );
    }

    Ok(())
}

fn a_run_that_fails_exits_with_3_and_says_why_and_what_next(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    // `run` would repair a broken model, so the case breaks the policy.
    environment.put_object(POLICY, r#"{"maximum_limit": "-1"}"#)?;
    let shown = run(environment, &["run"]);
    let json = run(environment, &["--json", "run"]);
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(POLICY).send())?;
    let (shown, json) = (shown?, json?);
    ensure!(shown.status.code() == Some(3), "a failed run should end with 3: {shown:?}");

    let said = text(&shown.stderr);
    for words in
        ["error:", "QueryBatchScores", "Permanent.InvalidPolicy", "policy.maximum_limit", "next:"]
    {
        ensure!(said.contains(words), "the error should say {words:?}:\n{said}");
    }

    ensure!(json.status.code() == Some(3), "a failed run with --json should end with 3: {json:?}");

    let error: serde_json::Value = serde_json::from_slice(&json.stdout)?;
    ensure!(error["error"]["exit_code"] == 3, "the JSON should have the exit code 3: {error}");
    Ok(())
}

fn a_wrong_command_line_exits_with_2_and_names_the_option(environment: &Environment) -> Result<()> {
    let cases: [(&[&str], &str); 6] = [
        (&["run", "--limit", "several"], "--limit"),
        (&["run", "--limit", "0"], "limit"),
        (&["run", "--shard-size", "0"], "shard_size"),
        (&["run", "--policy", "/no/such/policy.json"], "/no/such/policy.json"),
        (&["setup-db", "--data", "x.csv"], "--id-column"),
        (&["deploy", "--target", "aws"], "--artifact-bucket"),
    ];

    for (arguments, words) in cases {
        let output = run(environment, arguments)?;
        let said = text(&output.stderr);
        ensure!(
            output.status.code() == Some(2) && said.contains(words),
            "{arguments:?}: expected the exit code 2 and {words:?}, got {} and {said}",
            output.status
        );
    }

    Ok(())
}

/// A database of the lender's own gets its tables from a machine that has nothing but the program.
fn setup_db_makes_the_tables_alone_when_asked_and_starts_nothing(
    environment: &Environment,
) -> Result<()> {
    let admin = environment.database()?;
    environment.block_on(admin.batch_execute("DROP DATABASE IF EXISTS lender"))?;
    environment.block_on(admin.batch_execute("CREATE DATABASE lender"))?;
    let (server, _) = environment
        .ready
        .services
        .database_url
        .rsplit_once('/')
        .context("the database's URL should end with its name")?;
    let url = format!("{server}/lender");

    let home = environment.context.home.root().join("another-home");
    let model = environment.context.home.model();
    let (home, model) = (home.display().to_string(), model.display().to_string());
    let first = ["setup-db", "--schema-only", "--home", &home, "--database-url", &url];
    let bare = environment.command_json(&first)?;
    ensure!(bare["columns_added"] == json!([]), "without a model no column is known: {bare}");
    let made = environment.command_json(&[&first[..], &["--model", &model]].concat())?;
    ensure!(
        made["columns_added"].as_array().is_some_and(|columns| !columns.is_empty()),
        "the model's features should become columns: {made}"
    );
    let again = environment.command_json(&[&first[..], &["--model", &model]].concat())?;
    ensure!(again["columns_added"] == json!([]), "the second time nothing is missing: {again}");

    let state = Path::new(&home).join("state.json");
    ensure!(!state.exists(), "no local service should be started: {}", state.display());
    environment.block_on(async {
        let client = limit_increase::database::connect(&url).await?;
        let count = limit_increase::customers::customer_count(&client).await?;
        ensure!(count == Some(0), "the tables should be there and empty, found {count:?}");
        Ok(())
    })
}

/// 192.0.2.1 is an address of nobody (RFC 5737). It is refused before anything is connected to or
/// started.
fn the_sample_goes_only_into_a_database_on_this_machine(environment: &Environment) -> Result<()> {
    let url = "postgresql://u:hunter2@192.0.2.1/lender";
    let home = environment.context.home.root().join("another-home").display().to_string();
    for more in [&[][..], &["--customers", "10"], &["--reset"]] {
        let arguments = [&["setup-db", "--home", &home, "--database-url", url], more].concat();
        let output = environment.command(&arguments)?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(2)
                && said.contains("--schema-only")
                && said.contains("--sample")
                && !said.contains("hunter2"),
            "{arguments:?} should be refused with what to write: {said}"
        );
    }

    Ok(())
}

fn setup_db_never_overwrites_decisions_unless_asked(environment: &Environment) -> Result<()> {
    environment.reset()?;
    environment.command_json(&["run"])?;
    let decided = |environment: &Environment| limit_increase_tests::records::decisions(environment);
    let before = decided(environment)?;
    let loaded = environment.command_json(&["setup-db"])?;
    ensure!(
        loaded["loaded"]["inserted"] == 0 && loaded["customers"] == 50,
        "a second setup-db should insert nobody and keep 50 customers: {loaded}"
    );
    ensure!(decided(environment)? == before, "setup-db should leave the decisions alone");

    let more = environment.command_json(&["setup-db", "--customers", "3000"])?;
    ensure!(more["customers"] == 3000, "3000 customers expected: {more}");
    ensure!(
        decided(environment)? == before,
        "setup-db --customers should leave the decisions alone"
    );

    let reset = environment.command_json(&["setup-db", "--reset"])?;
    ensure!(
        reset["customers"] == 50 && decided(environment)?.is_empty(),
        "setup-db --reset should leave 50 customers and no decision: {reset}"
    );

    let client = environment.database()?;
    let counted = environment.block_on(client.query_one(
        "SELECT count(*) FILTER (WHERE current_score >= 600),
                count(*) FILTER (WHERE current_limit < 10000),
                count(*) FILTER (WHERE current_score >= 600 AND current_limit < 10000)
         FROM batch_scores",
        &[],
    ))?;
    let [score, limit, both] = [0, 1, 2].map(|column| counted.get::<_, i64>(column));
    let expected =
        json!({ "score_reached": score, "limit_below": limit, "both": both, "eligible": both });
    ensure!(
        reset["breakdown"] == expected && both > 20,
        "setup-db should count whom the policy takes, {expected}: {reset}"
    );

    let row = environment.block_on(client.query_one(
        "SELECT min(customer_id), max(customer_id),
                min(current_score) >= 550 AND max(current_score) <= 750,
                min(current_limit) >= 2000 AND max(current_limit) <= 12000,
                min(application_date) >= current_date - 184
                    AND max(application_date) <= current_date
         FROM batch_scores",
        &[],
    ))?;

    let (first, last): (String, String) = (row.get(0), row.get(1));
    ensure!(
        (first.as_str(), last.as_str()) == ("CUST_0001", "CUST_0050"),
        "the sample should have the ids CUST_0001 to CUST_0050, it has {first} to {last}"
    );
    ensure!(
        row.get(2) && row.get(3) && row.get(4),
        "the sample's scores, limits or dates are outside their ranges"
    );
    Ok(())
}

fn own_customers_are_loaded_and_a_bad_row_is_named(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let file = environment.context.home.root().join("customers.csv");
    let header = "id,score,limit,bureau_score,utilisation,payment_ratio,missed_payments_12m,credit_searches_6m,\
                  employment_status,residential_status,gross_annual_income,months_in_employment,months_on_book,\
                  debt_to_income,existing_products";
    let row = "720,0.2,0.5,0,1,permanent,owner,40000,60,48,0.2,2";
    let arguments = |path: &str| {
        [
            "setup-db",
            "--data",
            path,
            "--id-column",
            "id",
            "--score-column",
            "score",
            "--limit-column",
            "limit",
        ]
        .map(str::to_owned)
    };

    let path = file.display().to_string();
    std::fs::write(
        &file,
        format!("{header}\n\"O'Brien, Ann\",700,4000,{row}\nÜmit,650,8000.50,{row}\n"),
    )?;

    let asked = arguments(&path);
    let previewed = |changed: u64, new: u64| -> Result<()> {
        let dry = [&asked.each_ref().map(String::as_str)[..], &["--dry-run"]].concat();
        let shown = environment.command_json(&dry)?["would_load"].clone();
        let utilisation = &shown["columns"][1];
        ensure!(
            shown["rows"] == 2
                && shown["new"] == new
                && shown["changed"] == changed
                && utilisation["name"] == "utilisation"
                && utilisation["type"] == "DOUBLE PRECISION"
                && utilisation["missing"] == 0,
            "2 customers, {new} new and {changed} changed expected: {shown}"
        );
        Ok(())
    };
    previewed(0, 2)?;
    let loaded = environment.command_json(&asked.each_ref().map(String::as_str))?;
    ensure!(
        loaded["customers"] == 52 && loaded["loaded"]["inserted"] == 2,
        "2 new customers and 52 in all expected: {loaded}"
    );

    std::fs::write(
        &file,
        format!("{header}\n\"O'Brien, Ann\",700,4000,{row}\nÜmit,650,9000,{row}\n"),
    )?;
    previewed(1, 0)?;

    std::fs::write(&file, format!("{header}\nfine,700,4000,{row}\nbroken,700,a lot,{row}\n"))?;
    let output = run(environment, &asked.each_ref().map(String::as_str))?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(2) && said.contains("a lot") && said.contains("line 3"),
        "expected the exit code 2, the value and its line, got {said}"
    );

    // The quote opens in a column that is not read, and the last line closes none.
    let lines: Vec<String> = (1..=10)
        .map(|customer| {
            let note = if customer == 4 { "\"called back" } else { "ok" };
            format!("C{customer},700,4000,{row},{note}\n")
        })
        .collect();
    std::fs::write(&file, format!("{header},note\n{}", lines.concat()))?;
    let output = run(environment, &asked.each_ref().map(String::as_str))?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(2) && said.contains("never closed") && said.contains("line 5"),
        "expected the exit code 2 and the line of the open quote, got {said}"
    );

    let client = environment.database()?;
    let row = environment.block_on(client.query_one("SELECT count(*) FROM batch_scores", &[]))?;
    ensure!(row.get::<_, i64>(0) == 52, "no row of a bad file or a dry run should be loaded");
    let limit = "SELECT current_limit::text FROM batch_scores WHERE customer_id = 'Ümit'";
    let row = environment.block_on(client.query_one(limit, &[]))?;
    ensure!(row.get::<_, String>(0) == "8000.50", "a dry run should change no limit");

    let ran = environment.command_json(&["run", "--limit", "all"])?;
    ensure!(
        ran["summary"]["eligible"].as_u64().is_some_and(|eligible| eligible > 20),
        "more than 20 eligible customers expected: {ran}"
    );

    let decided = limit_increase_tests::records::decisions(environment)?;
    ensure!(
        decided.contains_key("O'Brien, Ann") && decided.contains_key("Ümit"),
        "the lender's own customers should be decided"
    );

    Ok(())
}

/// Makes a database with a `batch_scores` that somebody else designed, and returns its URL.
fn lender_with_key(environment: &Environment, key: &str) -> Result<String> {
    let name = format!("lender_{}", key.to_lowercase());
    let admin = environment.database()?;
    environment.block_on(admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")))?;
    environment.block_on(admin.batch_execute(&format!("CREATE DATABASE {name}")))?;
    let server = environment.ready.services.database_url.rsplit_once('/');
    let url =
        format!("{}/{name}", server.context("the database's URL should end with its name")?.0);
    environment.block_on(async {
        let client = limit_increase::database::connect(&url).await?;
        let table = format!(
            "CREATE TABLE batch_scores (customer_id {key} PRIMARY KEY,
                 current_score INTEGER NOT NULL, current_limit DECIMAL(10,2) NOT NULL,
                 application_date DATE NOT NULL, limit_increase_decision VARCHAR(10),
                 new_limit DECIMAL(10,2), decision_reason TEXT, updated_at TIMESTAMP)"
        );
        anyhow::Ok(client.batch_execute(&table).await?)
    })?;
    Ok(url)
}

/// The command that loads a file into a lender's database.
fn loading<'a>(url: &'a str, file: &'a str) -> Vec<&'a str> {
    let columns = ["--id-column", "id", "--score-column", "score", "--limit-column", "limit"];
    [&["setup-db", "--database-url", url, "--data", file][..], &columns].concat()
}

fn own_customers_of_parquet_are_those_of_csv_whatever_the_type_of_the_key(
    environment: &Environment,
) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("parquet_values");
    let parquet = folder.join("customers.parquet").display().to_string();
    let csv = folder.join("customers.csv").display().to_string();
    let more = ["--date-column", "date", "--features", "income,home", "--categorical", "home"];
    for key in ["BIGINT", "NUMERIC", "TEXT"] {
        let url = lender_with_key(environment, key)?;
        let load = |file: &str, last: &[&str]| {
            environment.command_json(&[&loading(&url, file)[..], &more, last].concat())
        };

        let shown = load(&parquet, &["--dry-run"])?["would_load"].clone();
        ensure!(
            shown["rows"] == 6
                && shown["new"] == 6
                && shown["columns"][0]["missing"] == 1
                && shown["columns"][1]["distinct"] == 4,
            "{key}: 6 new customers, 5 of them with an income, expected: {shown}"
        );
        let loaded = load(&parquet, &[])?["loaded"].clone();
        ensure!(loaded["inserted"] == 6, "{key}: 6 new customers expected: {loaded}");

        let rows = |url: &str| {
            environment.block_on(async {
                let client = limit_increase::database::connect(url).await?;
                let all = "SELECT string_agg(concat_ws('|', b::text, f::text), ';' ORDER BY b)
                           FROM batch_scores b JOIN customer_features f USING (customer_id)";
                anyhow::Ok(client.query_one(all, &[]).await?.get::<_, String>(0))
            })
        };
        let before = rows(&url)?;
        ensure!(before.contains("4000.04") && before.contains("1e+16"), "{before}");
        let shown = load(&csv, &["--dry-run"])?["would_load"].clone();
        ensure!(
            shown["new"] == 0 && shown["changed"] == 0,
            "{key}: the customers of the CSV file should be there already: {shown}"
        );
        let loaded = load(&csv, &[])?["loaded"].clone();
        ensure!(loaded["inserted"] == 0 && loaded["updated"] == 0, "{key}: {loaded}");
        let after = rows(&url)?;
        ensure!(before == after, "{key}: CSV should give the same rows: {before} and {after}");
    }

    Ok(())
}

fn own_customers_whose_key_does_not_fit_are_refused_before_a_row(
    environment: &Environment,
) -> Result<()> {
    let uuid = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
    for (key, good, bad) in [("BIGINT", "7", "007"), ("UUID", uuid, "CUST_0001")] {
        let url = lender_with_key(environment, key)?;
        let path = environment.context.home.root().join("keys.csv");
        let file = path.display().to_string();
        let load = [&loading(&url, &file)[..], &["--features", "income"]].concat();
        let row = "700,4000,1.5\n";
        std::fs::write(&path, format!("id,score,limit,income\n{good},{row}{bad},{row}"))?;
        for last in [&["--dry-run"][..], &[]] {
            let output = run(environment, &[&load[..], last].concat())?;
            let said = text(&output.stderr);
            ensure!(
                output.status.code() == Some(2)
                    && said.contains(&format!("id \"{bad}\" does not fit the type"))
                    && said.contains("line 3, column id"),
                "{key}: expected the key, its line and the type, got {said}"
            );
        }

        std::fs::write(&path, format!("id,score,limit,income\n{good},{row}"))?;
        for expected in [1, 0] {
            let loaded = environment.command_json(&load)?;
            ensure!(
                loaded["loaded"]["inserted"] == expected && loaded["customers"] == 1,
                "{key}: one customer expected, new at the first time: {loaded}"
            );
        }

        let sample = ["setup-db", "--database-url", &url, "--customers", "10"];
        let output = run(environment, &sample)?;
        let said = text(&output.stderr);
        ensure!(
            output.status.code() == Some(2) && said.contains("a key of the sample"),
            "{key}: the sample should be refused: {said}"
        );
    }

    Ok(())
}

fn own_customers_whose_limit_would_be_rounded_are_refused(environment: &Environment) -> Result<()> {
    let path = environment.context.home.root().join("limits.csv");
    let file = path.display().to_string();
    for (kind, whole, fraction) in
        [("integer", "4000", "4700.50"), ("numeric(8,1)", "4700.5", "4700.55")]
    {
        let url = lender_with_key(environment, "TEXT")?;
        environment.block_on(async {
            let client = limit_increase::database::connect(&url).await?;
            let change = format!("ALTER TABLE batch_scores ALTER COLUMN current_limit TYPE {kind}");
            anyhow::Ok(client.batch_execute(&change).await?)
        })?;

        let load = [&loading(&url, &file)[..], &["--features", "income"]].concat();
        let header = "id,score,limit,income\n";
        std::fs::write(&path, format!("{header}7,700,{whole},1.5\n8,700,{fraction},1.5\n"))?;
        for last in [&["--dry-run"][..], &[]] {
            let output = run(environment, &[&load[..], last].concat())?;
            let said = text(&output.stderr);
            ensure!(
                output.status.code() == Some(2)
                    && said.contains("of 8 would be rounded to a")
                    && said.contains(kind),
                "{kind}: expected the limit, its customer and the type, got {said}"
            );
        }

        std::fs::write(&path, format!("{header}7,700,{whole},1.5\n"))?;
        let loaded = environment.command_json(&load)?;
        ensure!(loaded["customers"] == 1, "{kind}: one customer expected: {loaded}");
    }

    Ok(())
}

fn own_customers_have_columns_of_any_name(environment: &Environment) -> Result<()> {
    let url = lender_with_key(environment, "VARCHAR")?;
    let path = environment.context.home.root().join("names.csv");
    let file = path.display().to_string();
    std::fs::write(
        &path,
        "id, score,limit,\"Income, annual\", it's in $\n7,700,4000,1.5,a\n8,700,4000,2.5,b\n",
    )?;
    let named = ["--features", "\"Income, annual\",it's in $", "--categorical", " it's in $"];
    let load = [&loading(&url, &file)[..], &named].concat();
    let shown = environment.command_json(&[&load[..], &["--dry-run"]].concat())?;
    let columns = &shown["would_load"]["columns"];
    ensure!(
        columns[0]["name"] == "Income, annual"
            && columns[0]["type"] == "DOUBLE PRECISION"
            && columns[1]["name"] == " it's in $"
            && columns[1]["type"] == "TEXT"
            && columns[1]["distinct"] == 2,
        "a column of numbers and one of texts expected: {shown}"
    );
    let loaded = environment.command_json(&load)?;
    ensure!(loaded["loaded"]["inserted"] == 2, "2 new customers expected: {loaded}");

    let unknown = [&loading(&url, &file)[..], &["--features", "Income"]].concat();
    let output = run(environment, &unknown)?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(2)
            && said.contains("there is no column \"Income\" (--features)"),
        "expected the exit code 2 and the name, got {said}"
    );
    Ok(())
}

fn test_schedule_and_test_services_use_what_they_test(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let schedule = environment.command_json(&["test-schedule"])?;
    ensure!(
        schedule["schedule"]["expression"] == "cron(0 2 * * ? *)",
        "the schedule should be the nightly one: {schedule}"
    );
    ensure!(
        schedule["execution"]["status"] == "SUCCEEDED",
        "the event's run should succeed: {schedule}"
    );

    let services = environment.command_json(&["test-services"])?;
    let checked = services["services"].as_array().context("no services")?;
    ensure!(
        checked.len() == 5 && checked.iter().all(|service| service["ok"] == true),
        "5 services that work expected: {services}"
    );

    Ok(())
}

fn a_deployment_sets_the_size_of_a_night_and_the_next_one_keeps_it(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    environment.command_json(&["deploy", "--nightly-limit", "all"])?;
    // It prepares the environment as every command does, and must not set the limit back.
    let night = environment.command_json(&["test-schedule"])?;
    ensure!(night["execution"]["status"] == "SUCCEEDED", "the night should succeed: {night}");

    let pending = environment.command_json(&["results"])?["totals"]["pending"].clone();
    ensure!(pending == 0, "a night of `all` should leave nobody pending, it leaves {pending}");
    Ok(())
}

fn a_second_stage_runs_beside_the_first(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let deployed =
        environment.command_json(&["deploy", "--stage", "second", "--tag", "team=risk"])?;
    let output = |name: &str| deployed["outputs"][name].as_str().unwrap_or_default().to_owned();
    ensure!(
        output("StateMachineName") == "LimitIncreaseWorkflow-second"
            && output("BucketName") == format!("{BUCKET}-second"),
        "the second stage should have names of its own: {deployed}"
    );

    let aws = &environment.ready.aws;
    for name in ["limit-increase", "limit-increase-second"] {
        let found =
            environment.block_on(aws.cloudformation.describe_stacks().stack_name(name).send())?;
        let status = found.stacks().first().and_then(|stack| stack.stack_status().cloned());
        let complete = status.as_ref().is_some_and(|status| status.as_str().ends_with("COMPLETE"));
        ensure!(complete, "the stack {name} should be deployed, it is {status:?}");
    }

    let started = environment.block_on(
        aws.states
            .start_execution()
            .state_machine_arn(output("StateMachineArn"))
            .name("in-the-second-stage")
            .input(r#"{"limit": 3}"#)
            .send(),
    )?;
    let finished = environment.follow(&started.execution_arn)?;
    ensure!(finished.succeeded(), "the second stage's run should succeed: {}", finished.problem());
    ensure!(
        limit_increase_tests::records::decisions(environment)?.len() == 3,
        "3 decisions of the second stage expected"
    );
    Ok(())
}

/// LocalStack stands for an account in which the stack is deployed.
fn a_stack_on_aws_is_not_changed_without_a_question(environment: &Environment) -> Result<()> {
    let endpoint = format!("http://127.0.0.1:{}", environment.ready.services.localstack_port);
    let program = limit_increase_tests::programs::command_line(&environment.context.project)?;
    let output = std::process::Command::new(program)
        .args(["deploy", "--target", "aws"])
        .env("LIMIT_INCREASE_HOME", environment.context.home.root())
        .env("AWS_ENDPOINT_URL", endpoint)
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(std::process::Stdio::null())
        .output()?;

    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(2), "a usage error expected: {output:?}");
    for words in ["nobody to ask", "stack limit-increase", "--yes", "nothing was changed"] {
        ensure!(said.contains(words), "the error should say {words:?}:\n{said}");
    }

    Ok(())
}

/// A run can be started without this command line, as the README shows.
fn awslocal_starts_a_run(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let arn = environment.machine()?;
    let output = run(
        environment,
        &[
            "awslocal",
            "--",
            "stepfunctions",
            "start-execution",
            "--state-machine-arn",
            arn,
            "--name",
            "by-awslocal",
            "--input",
            "{}",
        ],
    )?;

    ensure!(output.status.success(), "awslocal should succeed: {}", text(&output.stderr));

    let started: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let finished =
        environment.follow(started["executionArn"].as_str().context("no executionArn")?)?;
    ensure!(finished.succeeded(), "the run should succeed: {}", finished.problem());
    ensure!(
        limit_increase_tests::records::decisions(environment)?.len() == 20,
        "20 decisions expected"
    );
    Ok(())
}

/// As docs/aws.md says it for a database that only the VPC reaches.
fn the_deployed_function_makes_the_tables_of_an_empty_database(
    environment: &Environment,
) -> Result<()> {
    const TABLES: [&str; 8] = [
        "batch_scores",
        "customer_features",
        "limit_increase_decisions",
        "limit_increase_migrations",
        "limit_increase_runs",
        "limit_increase_seals",
        "limit_increase_shard_files",
        "limit_increase_shards",
    ];
    let client = environment.database()?;
    environment
        .block_on(client.batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public"))?;

    let answer = environment.context.home.root().join("migrate.json");
    let event = environment.context.project.root().join("events/update-database-migrate.json");
    let payload = format!("file://{}", event.display());
    let migrate = || {
        let output = run(
            environment,
            &[
                "awslocal",
                "--",
                "lambda",
                "invoke",
                "--function-name",
                "update-database",
                "--payload",
                &payload,
                &answer.display().to_string(),
            ],
        )?;
        let said = text(&[output.stdout.as_slice(), &output.stderr].concat());
        ensure!(output.status.success() && !said.contains("FunctionError"), "it failed: {said}");
        let answer: serde_json::Value = serde_json::from_slice(&std::fs::read(&answer)?)?;
        answer["migrations"].as_array().cloned().with_context(|| format!("no list: {answer}"))
    };

    let (first, second) = (migrate()?, migrate()?);
    ensure!(
        first.len() >= 6 && second.is_empty(),
        "the first call should apply every migration, the second none: {first:?}, {second:?}"
    );

    let rows = environment.block_on(client.query(
        "SELECT relname::text FROM pg_class
         WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace ORDER BY 1",
        &[],
    ))?;
    let tables: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(tables == TABLES, "these tables should be there: {TABLES:?}, found {tables:?}");
    for table in TABLES.iter().filter(|table| **table != "limit_increase_migrations") {
        let count: i64 = environment
            .block_on(client.query_one(&format!("SELECT count(*) FROM {table}"), &[]))?
            .get(0);
        ensure!(count == 0, "{table} should be empty, nobody asked for customers: {count} rows");
    }

    environment.reset()?;
    environment.run_well(&RunRequest::default())?;
    Ok(())
}

fn stop_is_idempotent_and_the_next_command_starts_again(environment: &Environment) -> Result<()> {
    environment.reset()?;
    environment.command_json(&["run", "--limit", "3"])?;
    let stopped = environment.command_json(&["stop"])?;
    ensure!(stopped["stopped"] == true, "the first stop should stop something: {stopped}");

    let again = environment.command_json(&["stop"])?;
    ensure!(again["stopped"] == false, "the second stop should find nothing to stop: {again}");

    let status = environment.command_json(&["status"])?;
    ensure!(
        status["localstack"]["running"] == false && status["postgres"]["running"] == false,
        "nothing should run after a stop: {status}"
    );

    // LocalStack keeps nothing over a stop. The next command restores the stack, the bucket and the
    // model.
    let ran = environment.command_json(&["run", "--limit", "4"])?;
    ensure!(
        ran["summary"]["eligible"] == 4 && ran["summary"]["model"]["key"] == KEY,
        "4 customers and the trained model expected: {ran}"
    );

    let results = environment.command_json(&["results"])?;
    let totals = &results["totals"];
    let decided: i64 =
        ["approved", "declined", "referred"].iter().filter_map(|name| totals[name].as_i64()).sum();
    ensure!(decided == 7, "7 decisions should survive a stop: {totals}");
    Ok(())
}
