//! The command line as a person or a program meets it: answers, JSON, exit codes.
#![allow(missing_docs)]

use std::path::PathBuf;
use std::process::{Command, ExitCode, Output};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use limit_increase::model::{BUCKET, KEY};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::suite;

fn main() -> ExitCode {
    suite::run(
        "command_line",
        &[
            ("a_run_shows_its_states_its_summary_and_its_results", run_shows),
            ("answers_are_json_where_asked", json_answers),
            ("a_run_that_fails_exits_with_3_and_says_why_and_what_next", failing_run),
            ("a_wrong_command_line_exits_with_2_and_names_the_option", wrong_usage),
            ("setup_db_never_overwrites_decisions_unless_asked", setup_db),
            ("customers_of_ones_own_are_loaded_and_a_bad_row_is_named", own_customers),
            ("test_schedule_and_test_services_use_what_they_test", self_tests),
            ("awslocal_starts_a_run", awslocal),
            ("stop_is_idempotent_and_the_next_command_starts_again", stop_and_start),
        ],
    )
}

/// The program, built as `make` builds it.
fn program() -> Result<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let build = || -> Option<PathBuf> {
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--bin", "limit-increase"])
            .status();
        let own = std::env::current_exe().ok()?;
        // target/debug/deps/command_line-0123 -> target/debug/limit-increase
        status
            .is_ok_and(|status| status.success())
            .then_some(own.parent()?.parent()?.join("limit-increase"))
    };

    PROGRAM.get_or_init(build).clone().context("the command line does not build")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn run(environment: &Environment, arguments: &[&str]) -> Result<Output> {
    environment.command(&program()?, arguments)
}

fn run_shows(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let output = run(environment, &["run"])?;
    let (shown, progress) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{shown}\n{progress}");
    for words in [
        "SUCCEEDED",
        "20 customers: ",
        " approved, ",
        " declined, ",
        "Totals",
        "Largest approved increases",
    ] {
        ensure!(shown.contains(words), "{words:?} is missing:\n{shown}");
    }

    for state in ["QueryBatchScores", "ProcessShards", "SaveResults"] {
        ensure!(progress.contains(state), "{state} is missing:\n{progress}");
    }

    let again = run(environment, &["run", "--limit", "all"])?;
    ensure!(again.status.success(), "{}", text(&again.stderr));
    let nothing = run(environment, &["run"])?;
    ensure!(
        nothing.status.success() && text(&nothing.stdout).contains("Nothing to do"),
        "{}",
        text(&nothing.stdout)
    );

    Ok(())
}

fn json_answers(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let program = program()?;
    let ran = environment.command_json(&program, &["run", "--limit", "5"])?;
    ensure!(ran["summary"]["eligible"] == 5 && ran["execution"]["status"] == "SUCCEEDED", "{ran}");
    let results = environment.command_json(&program, &["results"])?;
    let totals = &results["totals"];
    let count = |name: &str| totals[name].as_i64().unwrap_or(-1);
    ensure!(count("approved") + count("declined") + count("referred") == 5, "{totals}");
    let parts = ["approved", "declined", "referred", "pending", "not_eligible"];
    ensure!(parts.map(count).iter().sum::<i64>() == 50 && count("customers") == 50, "{totals}");
    let status = environment.command_json(&program, &["status"])?;
    ensure!(
        status["localstack"]["running"] == true && status["last_run"]["status"] == "SUCCEEDED",
        "{status}"
    );

    ensure!(!status.to_string().contains("postgres:postgres@"), "a password is shown: {status}");
    Ok(())
}

fn failing_run(environment: &Environment) -> Result<()> {
    environment.reset()?;
    // `run` would put the trained model back, so it is the policy in force that is broken here.
    const POLICY: &str = "policies/limit-increase-policy.json";
    environment.put_object(POLICY, r#"{"maximum_limit": "-1"}"#)?;
    let shown = run(environment, &["run"]);
    let json = run(environment, &["--json", "run"]);
    environment
        .block_on(environment.ready.aws.s3.delete_object().bucket(BUCKET).key(POLICY).send())?;
    let (shown, json) = (shown?, json?);
    ensure!(shown.status.code() == Some(3), "{shown:?}");
    let said = text(&shown.stderr);
    for words in
        ["error:", "QueryBatchScores", "Permanent.InvalidPolicy", "policy.maximum_limit", "next:"]
    {
        ensure!(said.contains(words), "{words:?} is missing:\n{said}");
    }

    ensure!(json.status.code() == Some(3), "{json:?}");
    let error: serde_json::Value = serde_json::from_slice(&json.stdout)?;
    ensure!(error["error"]["exit_code"] == 3, "{error}");
    Ok(())
}

fn wrong_usage(environment: &Environment) -> Result<()> {
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
            "{arguments:?}: {} {said}",
            output.status
        );
    }

    Ok(())
}

fn setup_db(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let program = program()?;
    environment.command_json(&program, &["run"])?;
    let decided = |environment: &Environment| limit_increase_tests::records::decisions(environment);
    let before = decided(environment)?;
    let loaded = environment.command_json(&program, &["setup-db"])?;
    ensure!(loaded["loaded"]["inserted"] == 0 && loaded["customers"] == 50, "{loaded}");
    ensure!(decided(environment)? == before, "setup-db touched decisions");
    let more = environment.command_json(&program, &["setup-db", "--customers", "3000"])?;
    ensure!(more["customers"] == 3000, "{more}");
    ensure!(decided(environment)? == before, "setup-db --customers touched decisions");
    let reset = environment.command_json(&program, &["setup-db", "--reset"])?;
    ensure!(reset["customers"] == 50 && decided(environment)?.is_empty(), "{reset}");
    let client = environment.database()?;
    let row = environment.block_on(client.query_one(
        "SELECT min(customer_id), max(customer_id), min(current_score) >= 550 AND max(current_score) <= 750,
                min(current_limit) >= 2000 AND max(current_limit) <= 12000,
                min(application_date) >= current_date - 184 AND max(application_date) <= current_date
         FROM batch_scores",
        &[],
    ))?;

    let (first, last): (String, String) = (row.get(0), row.get(1));
    ensure!((first.as_str(), last.as_str()) == ("CUST_0001", "CUST_0050"), "{first} to {last}");
    ensure!(row.get(2) && row.get(3) && row.get(4), "the sample is outside its ranges");
    Ok(())
}

fn own_customers(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let program = program()?;
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
    let loaded = environment.command_json(&program, &asked.each_ref().map(String::as_str))?;
    ensure!(loaded["customers"] == 52 && loaded["loaded"]["inserted"] == 2, "{loaded}");
    std::fs::write(&file, format!("{header}\nfine,700,4000,{row}\nbroken,700,a lot,{row}\n"))?;
    let output = run(environment, &asked.each_ref().map(String::as_str))?;
    let said = text(&output.stderr);
    ensure!(
        output.status.code() == Some(2) && said.contains("a lot") && said.contains("line 3"),
        "{said}"
    );

    let client = environment.database()?;
    let row = environment.block_on(client.query_one("SELECT count(*) FROM batch_scores", &[]))?;
    ensure!(row.get::<_, i64>(0) == 52, "part of a bad file was loaded");
    let ran = environment.command_json(&program, &["run", "--limit", "all"])?;
    ensure!(ran["summary"]["eligible"].as_u64().is_some_and(|eligible| eligible > 20), "{ran}");
    let decided = limit_increase_tests::records::decisions(environment)?;
    ensure!(
        decided.contains_key("O'Brien, Ann") && decided.contains_key("Ümit"),
        "own customers are undecided"
    );

    Ok(())
}

fn self_tests(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let program = program()?;
    let schedule = environment.command_json(&program, &["test-schedule"])?;
    ensure!(schedule["schedule"]["expression"] == "cron(0 2 * * ? *)", "{schedule}");
    ensure!(schedule["execution"]["status"] == "SUCCEEDED", "{schedule}");
    let services = environment.command_json(&program, &["test-services"])?;
    let checked = services["services"].as_array().context("no services")?;
    ensure!(
        checked.len() == 5 && checked.iter().all(|service| service["ok"] == true),
        "{services}"
    );

    Ok(())
}

/// The README's way without this command line.
fn awslocal(environment: &Environment) -> Result<()> {
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

    ensure!(output.status.success(), "{}", text(&output.stderr));
    let started: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let finished =
        environment.follow(started["executionArn"].as_str().context("no executionArn")?)?;
    ensure!(finished.succeeded(), "{}", finished.problem());
    ensure!(limit_increase_tests::records::decisions(environment)?.len() == 20, "not 20 decided");
    Ok(())
}

fn stop_and_start(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let program = program()?;
    environment.command_json(&program, &["run", "--limit", "3"])?;
    let stopped = environment.command_json(&program, &["stop"])?;
    ensure!(stopped["stopped"] == true, "{stopped}");
    let again = environment.command_json(&program, &["stop"])?;
    ensure!(again["stopped"] == false, "{again}");
    let status = environment.command_json(&program, &["status"])?;
    ensure!(
        status["localstack"]["running"] == false && status["postgres"]["running"] == false,
        "{status}"
    );

    // LocalStack forgets with its process; the stack, the bucket and the model come back by themselves.
    let ran = environment.command_json(&program, &["run", "--limit", "4"])?;
    ensure!(ran["summary"]["eligible"] == 4 && ran["summary"]["model"]["key"] == KEY, "{ran}");
    let results = environment.command_json(&program, &["results"])?;
    let totals = &results["totals"];
    let decided: i64 =
        ["approved", "declined", "referred"].iter().filter_map(|name| totals[name].as_i64()).sum();
    ensure!(decided == 7, "decisions were lost over a stop: {totals}");
    Ok(())
}
