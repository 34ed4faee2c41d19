//! Promise 11, with a password that changes during a run and with everything logged; hostile names;
//! and the metrics in the log.
#![allow(missing_docs)]

use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials as AwsCredentials, Region};
use limit_increase::deployment::{self, Deployment};
use limit_increase_database::{Selection, open_eligible, quote_identifier};
use limit_increase_domain::SourceColumn;
use limit_increase_domain::policy::Eligibility;
use limit_increase_tests::environment::Environment;
use limit_increase_tests::records::decisions;
use limit_increase_tests::{cases, suite};
use limit_increase_workflow::rows::CellValue;
use limit_increase_workflow::{FailureKind, RunRequest};
use serde_json::Value;

fn main() -> ExitCode {
    suite::run(
        "security",
        &cases![
            a_hostile_column_name_is_a_name_and_nothing_more,
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

fn a_hostile_column_name_is_a_name_and_nothing_more(environment: &Environment) -> Result<()> {
    environment.reset()?;
    let client = environment.database()?;
    let eligibility = Eligibility::default();
    let column = |name: &str| SourceColumn::number(name);
    for name in HOSTILE {
        // A name that is not in the catalogue is refused before it is part of a statement.
        let features = [column(name)];
        let selection = Selection {
            eligibility: &eligibility,
            limit: Some(5),
            features: &features,
            income_column: None,
        };

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

        let selection = Selection {
            eligibility: &eligibility,
            limit: Some(5),
            features: &[],
            income_column: Some(name),
        };

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
        let selection = Selection {
            eligibility: &eligibility,
            limit: Some(5),
            features: &features,
            income_column: Some(income),
        };

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
