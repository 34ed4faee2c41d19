//! The commands with `--target aws`. LocalStack stands for the account, because its executions really
//! run. What it lacks is answered by a stand-in.

use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use limit_increase::model::BUCKET;
use limit_increase_tests::aws_stand_in::{Answer, Request, StandIn};
use limit_increase_tests::environment::Environment;
use limit_increase_tests::{programs, records};
use serde_json::{Value, json};

use super::{POLICY, text};

const KEYS: [(&str, &str); 3] =
    [("AWS_REGION", "us-east-1"), ("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];

/// The command with only these AWS variables. The database's address is one of nobody (RFC 5737), so
/// a command that connects to it fails.
fn with_variables(
    environment: &Environment,
    endpoint: &str,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> Result<Output> {
    let program = programs::command_line(&environment.context.project)?;
    let home = environment.context.home.root();
    let output = Command::new(&program)
        .args(arguments)
        .args(["--target", "aws"])
        .env_clear()
        .env("HOME", home)
        .env("LIMIT_INCREASE_HOME", home.join("not-used"))
        .env("DATABASE_URL", "postgresql://u:hunter2@192.0.2.1/lender")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_ENDPOINT_URL", endpoint)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()?;
    ensure!(!home.join("not-used").exists(), "a command on AWS should write no local file");
    Ok(output)
}

fn on_aws(environment: &Environment, arguments: &[&str]) -> Result<Output> {
    let endpoint = format!("http://127.0.0.1:{}", environment.ready.services.localstack_port);
    with_variables(environment, &endpoint, &KEYS, arguments)
}

fn on_aws_json(environment: &Environment, arguments: &[&str]) -> Result<Value> {
    let output = on_aws(environment, &[arguments, &["--json"]].concat())?;
    let said = text(&[output.stdout.as_slice(), &output.stderr].concat());
    ensure!(output.status.success(), "{arguments:?} should succeed: {said}");
    serde_json::from_slice(&output.stdout).with_context(|| format!("{arguments:?}: {said}"))
}

fn executions(environment: &Environment) -> Result<usize> {
    let listed = environment.block_on(
        environment
            .ready
            .aws
            .states
            .list_executions()
            .state_machine_arn(environment.machine()?)
            .send(),
    )?;
    Ok(listed.executions().len())
}

fn ends_with(output: &Output, code: i32, words: &[&str]) -> Result<()> {
    let said = text(&output.stderr);
    ensure!(output.status.code() == Some(code), "expected the exit code {code}: {output:?}");
    for words in words {
        ensure!(said.contains(words), "the error should say {words:?}:\n{said}");
    }

    Ok(())
}

pub(super) fn on_aws_a_run_is_started_followed_and_read_without_the_database(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let dry = on_aws_json(environment, &["run", "--dry-run", "--limit", "5", "--shard-size", "2"])?;
    let summary = &dry["records"]["summary"];
    ensure!(
        summary["dry_run"] == true && summary["eligible"] == 5 && summary["shard_count"] == 3,
        "a dry run of 5 customers in 3 shards expected: {dry}"
    );
    let steps = &dry["steps"];
    ensure!(
        steps["QueryBatchScores"] == json!({ "customers": 5, "shards": 3 })
            && steps["UpdateDatabase"] == json!({ "written": 0, "stale": 0, "dry_run": 5 }),
        "promise 3: each step should count the 5 customers: {steps}"
    );
    ensure!(records::decisions(environment)?.is_empty(), "a dry run should write nothing");

    let run = on_aws(environment, &["run", "--yes", "--limit", "all", "--shard-size", "7"])?;
    let (shown, progress) = (text(&run.stdout), text(&run.stderr));
    ensure!(run.status.success(), "`run` should succeed:\n{shown}\n{progress}");
    for words in [
        "SUCCEEDED",
        " scored, ",
        " written, ",
        "Limits raised by",
        "Largest approved increases",
        "Declined",
    ] {
        ensure!(shown.contains(words), "`run` should show {words:?}, it shows:\n{shown}");
    }
    for state in ["QueryBatchScores", "ProcessShards", "SaveResults"] {
        ensure!(progress.contains(state), "`run` should show {state}, it shows:\n{progress}");
    }

    // The records say the same as the table, which this run alone has filled.
    let found = on_aws_json(environment, &["results", "--top", "12"])?;
    let table = environment.command_json(&["results", "--top", "12"])?;
    let records = &found["records"];
    ensure!(
        records["top_increases"] == table["top_increases"]
            && records["top_increases"].as_array().is_some_and(|rows| rows.len() == 12),
        "the same increases expected: {found}\n{table}"
    );
    for outcome in ["approved", "declined", "referred"] {
        ensure!(
            records["summary"][outcome] == table["totals"][outcome],
            "the same number of {outcome} expected: {found}\n{table}"
        );
    }

    let last = &found["runs"][0];
    ensure!(
        last["status"] == "SUCCEEDED" && last["eligible"] == records["summary"]["eligible"],
        "the run should be the last one: {found}"
    );
    let name = last["run_id"].as_str().context("no run_id")?;
    ensure!(
        environment.command_json(&["results", name, "--top", "12"])? == *records,
        "`results RUN` should read the same records locally"
    );
    let followed = on_aws_json(environment, &["run", "--follow", name])?;
    ensure!(followed["execution"]["name"] == name, "the old run should be followed: {followed}");

    let key = format!("pipeline/results/run={name}/summary.json");
    let mut forged: Value = serde_json::from_slice(&environment.object(&key)?)?;
    forged["approved"] = json!(1);
    environment.put_object(&key, forged.to_string())?;
    let output = on_aws(environment, &["results", name])?;
    ends_with(&output, 1, &["do not add up", &format!("run={name}"), "CloudTrail"])?;

    let key = format!("pipeline/evaluations/run={name}/part-00002.parquet");
    let s3 = &environment.ready.aws.s3;
    environment.block_on(s3.delete_object().bucket(BUCKET).key(&key).send())?;
    let output = on_aws(environment, &["results", name])?;
    ends_with(&output, 1, &["is missing", &key, "RecordsRetentionDays"])
}

pub(super) fn on_aws_a_live_run_is_not_started_without_a_question(
    environment: &Environment,
) -> Result<()> {
    let before = executions(environment)?;
    let output = on_aws(environment, &["run"])?;
    ends_with(&output, 2, &["nobody to ask", "--yes", "--dry-run", "nothing was started"])?;
    ensure!(executions(environment)? == before, "nothing should be started");

    let output = environment.command(&["run", "--region", "eu-west-1"])?;
    ends_with(&output, 2, &["--region", "--target aws"])
}

pub(super) fn on_aws_a_run_that_failed_says_how_to_resume_it(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    environment.put_object(POLICY, r#"{"maximum_limit": "-1"}"#)?;
    let failed = on_aws(environment, &["run", "--yes", "--name", "fails-on-aws"]);
    let s3 = &environment.ready.aws.s3;
    environment.block_on(s3.delete_object().bucket(BUCKET).key(POLICY).send())?;
    let resume = "limit-increase resume fails-on-aws --target aws";
    ends_with(&failed?, 3, &["Permanent.InvalidPolicy", "docs/runbook.md", resume])?;

    let last = &on_aws_json(environment, &["status"])?["runs"][0];
    ensure!(
        last["run_id"] == "fails-on-aws" && last["error"] == "Permanent.InvalidPolicy",
        "the last run should have failed by name: {last}"
    );

    // LocalStack 4.9.2 has no redrive.
    let resumed = on_aws(environment, &["resume", "fails-on-aws", "--yes"])?;
    ends_with(&resumed, 1, &["not redriven", "limit-increase run --target aws"])?;
    let locally = environment.command(&["resume", "fails-on-aws"])?;
    ends_with(&locally, 2, &["local AWS has no redrive", "--target aws"])?;
    let unknown = on_aws(environment, &["resume", "nobody", "--yes"])?;
    ends_with(&unknown, 1, &["ExecutionDoesNotExist", "status --target aws"])
}

pub(super) fn on_aws_status_shows_the_stack_and_its_alarms(
    environment: &Environment,
) -> Result<()> {
    let alarm = "LimitIncreaseRunFailed";
    let set = |state: &str| {
        let arguments = ["cloudwatch", "set-alarm-state", "--alarm-name", alarm, "--state-value"];
        let more = [state, "--state-reason", "test"];
        environment.command(&[&["awslocal", "--"], &arguments[..], &more].concat())
    };
    ensure!(set("ALARM")?.status.success(), "LocalStack should set the alarm");
    let shown = on_aws(environment, &["status"]);
    let status = on_aws_json(environment, &["status"]);
    set("OK")?;

    let (shown, status) = (text(&shown?.stdout), status?);
    for words in ["Account 000000000000, us-east-1", "limit-increase: ", " in ALARM", alarm] {
        ensure!(shown.contains(words), "`status` should show {words:?}, it shows:\n{shown}");
    }

    let alarms = status["alarms"].as_array().context("no alarms")?;
    let state = |name: &str| alarms.iter().find(|known| known["name"] == name).map(|a| &a["state"]);
    ensure!(
        alarms.len() > 5 && state(alarm).is_some_and(|state| state == "ALARM"),
        "all alarms of the stack, one of them in ALARM, expected: {status}"
    );
    let functions = status["functions"].as_array().context("no functions")?;
    ensure!(
        functions.len() == 4 && functions.iter().all(|known| known["state"] == "Active"),
        "4 active functions expected: {status}"
    );
    ensure!(
        status["undelivered_events"] == 0
            && status["schedule"]["expression"] == "cron(0 2 * * ? *)"
            && status["next_start"].as_str().is_some_and(|time| time.contains("T02:00:00")),
        "an empty queue and the nightly schedule expected: {status}"
    );
    Ok(())
}

pub(super) fn on_aws_test_schedule_starts_nothing_unless_a_dry_run_is_asked_for(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let before = executions(environment)?;
    let shown = on_aws(environment, &["test-schedule"])?;
    let said = text(&shown.stdout);
    for words in
        ["cron(0 2 * * ? *)", "Next start", "02:00 UTC", "stateMachine", "events-not-delivered"]
    {
        ensure!(said.contains(words), "`test-schedule` should show {words:?}, it shows:\n{said}");
    }
    ensure!(executions(environment)? == before, "nothing should be started");

    let dry = on_aws_json(environment, &["test-schedule", "--dry-run"])?;
    ensure!(
        dry["records"]["summary"]["dry_run"] == true && dry["execution"]["status"] == "SUCCEEDED",
        "a dry run that succeeds expected: {dry}"
    );
    ensure!(executions(environment)? == before + 1, "one dry run should be started");
    ensure!(records::decisions(environment)?.is_empty(), "a dry run should write nothing");
    Ok(())
}

const MACHINE: &str = "arn:aws:states:eu-west-1:123456789012:stateMachine:LimitIncreaseWorkflow";

/// The account 123456789012 with a stack, and nothing else.
fn account(request: &Request) -> Answer {
    let output = |name: &str, value: &str| {
        format!("<member><OutputKey>{name}</OutputKey><OutputValue>{value}</OutputValue></member>")
    };
    match request.operation.as_str() {
        "GetCallerIdentity" => {
            Answer::query("GetCallerIdentity", "<Account>123456789012</Account>")
        }
        "DescribeStacks" => Answer::query(
            "DescribeStacks",
            &format!(
                "<Stacks><member><StackName>limit-increase</StackName><StackId>arn:stack</StackId>\
                 <CreationTime>2026-11-25T02:00:00Z</CreationTime>\
                 <StackStatus>UPDATE_COMPLETE</StackStatus><Outputs>{}{}</Outputs></member></Stacks>",
                output("StateMachineArn", MACHINE),
                output("BucketName", "bucket")
            ),
        ),
        other => Answer::query_error(400, "InvalidAction", other),
    }
}

/// Step Functions with one execution. After a redrive was accepted it goes on describing the old end
/// twice, and then the run, which succeeds.
fn redrivable(redrive_status: &'static str) -> impl FnMut(&Request) -> Answer + Send {
    let mut looks_since = None;
    move |request| match request.operation.as_str() {
        "RedriveExecution" => {
            looks_since = Some(0);
            Answer::json(200, &json!({ "redriveDate": 1_764_036_000.5 }))
        }
        "DescribeExecution" => {
            let looks = looks_since.map(|looks| looks + 1);
            looks_since = looks;
            let (status, redrives) = match looks {
                None | Some(1 | 2) => ("FAILED", 0),
                Some(3 | 4) => ("RUNNING", 1),
                Some(_) => ("SUCCEEDED", 1),
            };
            Answer::json(
                200,
                &json!({
                    "executionArn": format!("{}:night", MACHINE.replace("stateMachine", "execution")),
                    "stateMachineArn": MACHINE,
                    "name": "night",
                    "status": status,
                    "startDate": 1_764_036_000.0,
                    "stopDate": 1_764_036_060.0,
                    "input": r#"{"limit": null}"#,
                    "redriveCount": redrives,
                    "redriveStatus": redrive_status,
                    "redriveStatusReason": "Execution redrivable period exceeded",
                }),
            )
        }
        "GetExecutionHistory" => Answer::json(200, &json!({ "events": [] })),
        key if key.contains("run%3Dnight/summary.json") => Answer::json(
            200,
            &json!({
                "run_id": "night", "status": "SUCCEEDED", "as_of": "2026-11-25", "dry_run": false,
                "eligible": 0, "approved": 0, "declined": 0, "referred": 0, "stale": 0,
                "total_increase": "0.00", "shard_count": 0,
                "model": { "bucket": "bucket", "key": "m", "version_id": null, "etag": "e", "sha256": "s" },
                "policy": {}, "policy_sha256": "p",
                "started_at": "2026-11-25T02:00:00Z", "finished_at": "2026-11-25T02:01:00Z",
            }),
        ),
        _ => account(request),
    }
}

pub(super) fn on_aws_a_redrive_resumes_a_run_or_says_what_to_do_instead(
    environment: &Environment,
) -> Result<()> {
    let resume = |stand_in: &StandIn, more: &[&str]| {
        let arguments = [&["resume", "night", "--region", "eu-west-1"], more].concat();
        with_variables(environment, &stand_in.endpoint, &KEYS, &arguments)
    };
    let redrives = |stand_in: &StandIn| {
        stand_in.operations().iter().filter(|name| *name == "RedriveExecution").count()
    };

    let stand_in = StandIn::start(redrivable("REDRIVABLE"))?;
    let unasked = resume(&stand_in, &[])?;
    ends_with(&unasked, 2, &["nobody to ask", "--yes"])?;
    ensure!(redrives(&stand_in) == 0, "nothing should be redriven without an answer");

    let resumed = resume(&stand_in, &["--yes"])?;
    let shown = text(&resumed.stdout);
    ensure!(
        resumed.status.success() && shown.contains("SUCCEEDED") && shown.contains("night"),
        "the redriven run should be followed to its end: {resumed:?}"
    );
    ensure!(redrives(&stand_in) == 1, "one redrive expected: {:?}", stand_in.operations());

    let done = resume(&stand_in, &["--yes"])?;
    ends_with(&done, 2, &["has succeeded", "limit-increase results night --target aws"])?;

    let old = StandIn::start(redrivable("NOT_REDRIVABLE"))?;
    let refused = resume(&old, &["--yes"])?;
    let words =
        ["redrivable period exceeded", "limit-increase run --target aws --region eu-west-1"];
    ends_with(&refused, 2, &words)?;
    ensure!(redrives(&old) == 0, "what cannot be redriven should not be tried");

    let mut forbidden = redrivable("REDRIVABLE");
    let forbidden = StandIn::start(move |request| match request.operation.as_str() {
        "RedriveExecution" => Answer::json(
            400,
            &json!({
                "__type": "AccessDeniedException",
                "message": "User: x is not authorized to perform: states:RedriveExecution",
            }),
        ),
        _ => forbidden(request),
    })?;
    let denied = resume(&forbidden, &["--yes"])?;
    ends_with(&denied, 1, &["states:RedriveExecution", "AWS_PROFILE", "docs/aws.md"])
}

pub(super) fn on_aws_each_error_says_the_next_step(environment: &Environment) -> Result<()> {
    let status = |endpoint: &str, variables: &[(&str, &str)]| {
        with_variables(environment, endpoint, variables, &["status"])
    };
    let account_with =
        |operation: &'static str, status: u16, code: &'static str, why: &'static str| {
            StandIn::start(move |request| {
                if request.operation == operation {
                    Answer::query_error(status, code, why)
                } else {
                    account(request)
                }
            })
        };

    let empty = StandIn::start(account)?;
    let nobody = status(&empty.endpoint, &KEYS[..1])?;
    ends_with(&nobody, 2, &["no AWS credentials", "export-credentials", "AWS_PROFILE"])?;
    let nowhere = status(&empty.endpoint, &KEYS[1..])?;
    ends_with(&nowhere, 2, &["which AWS region", "--region", "AWS_REGION"])?;
    ensure!(empty.operations().is_empty(), "AWS should not be asked without a sign-in");

    let gone = account_with(
        "DescribeStacks",
        400,
        "ValidationError",
        "Stack with id limit-increase does not exist",
    )?;
    let missing = status(&gone.endpoint, &KEYS)?;
    let words =
        ["no stack limit-increase", "123456789012, us-east-1", "--region", "deploy --target aws"];
    ends_with(&missing, 2, &words)?;

    let denied = "User: x is not authorized to perform: cloudformation:DescribeStacks";
    let closed = account_with("DescribeStacks", 403, "AccessDenied", denied)?;
    ends_with(&status(&closed.endpoint, &KEYS)?, 1, &[denied, "AWS_PROFILE", "docs/aws.md"])?;

    let late = "The security token included in the request is expired";
    let expired = account_with("GetCallerIdentity", 403, "ExpiredToken", late)?;
    ends_with(&status(&expired.endpoint, &KEYS)?, 1, &["ExpiredToken", "sign in again"])?;

    let unreachable = status("http://127.0.0.1:9", &KEYS)?;
    ends_with(&unreachable, 1, &["AWS was not reached"])?;

    // A part that may not be seen does not hide the others.
    let partly = StandIn::start(account)?;
    let seen = status(&partly.endpoint, &KEYS)?;
    ensure!(
        seen.status.success() && text(&seen.stdout).contains("UPDATE_COMPLETE"),
        "the stack should be shown: {seen:?}"
    );
    Ok(())
}
