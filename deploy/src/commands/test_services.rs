//! `test-services`: checks each service by using it.

use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;

use limit_increase::aws::{clients::describe, storage};
use limit_increase::database;
use limit_increase::deployment::LOCAL_ARTIFACT_BUCKET;
use limit_increase::deployment::build::FUNCTIONS;
use limit_increase::local::Context;
use limit_increase::local::http;
use limit_increase::runs::{self, RunEnvironment};
use limit_increase::terminal::Task;
use limit_increase::terminal::{Exit, Problem};

pub(super) async fn run(context: &Context) -> Result<Exit> {
    let ready = runs::prepare(context).await?;
    let mut checks = Checks { context, outcomes: Vec::new() };
    let task = context.ui.task("PostgreSQL");
    checks.record(task, "PostgreSQL", database(&ready).await);
    let task = context.ui.task("S3");
    checks.record(task, "S3", objects(&ready).await);
    let task = context.ui.task("Lambda");
    checks.record(task, "Lambda", functions(&ready));
    let task = context.ui.task("Steps");
    checks.record(task, "Step Functions", machine(&ready).await);
    let task = context.ui.task("EventBridge");
    checks.record(task, "EventBridge", rule(&ready).await);
    checks.finish()
}

struct Checks<'a> {
    context: &'a Context,
    outcomes: Vec<(&'static str, Result<String, String>)>,
}

impl Checks<'_> {
    fn record(&mut self, task: Task, service: &'static str, outcome: Result<String>) {
        let outcome = outcome.map_err(|error| Problem::of(&error).what);
        match &outcome {
            Ok(text) => task.done(text),
            Err(why) => {
                task.clear();
                self.context
                    .ui
                    .note(format!("{} {service}: {why}", console::style("✗").red().for_stderr()));
            }
        }

        self.outcomes.push((service, outcome));
    }

    fn finish(self) -> Result<Exit> {
        let failed = self.outcomes.iter().filter(|(_, outcome)| outcome.is_err()).count();
        let rows: Vec<_> = self
            .outcomes
            .iter()
            .map(|(service, outcome)| match outcome {
                Ok(text) => serde_json::json!({ "service": service, "ok": true, "found": text }),
                Err(why) => serde_json::json!({ "service": service, "ok": false, "error": why }),
            })
            .collect();
        self.context.ui.json(&serde_json::json!({ "services": rows }))?;
        let total = self.outcomes.len();
        self.context.ui.line(if failed == 0 {
            format!("All {total} services work.")
        } else {
            format!(
                "{failed} of {total} services do not work; \
                 see limit-increase status, and the logs under the home."
            )
        });

        Ok(if failed == 0 { Exit::Ok } else { Exit::Failed })
    }
}

async fn database(ready: &RunEnvironment) -> Result<String> {
    let client = database::connect(&ready.services.database_url).await?;
    let one: i32 = client.query_one("SELECT 1", &[]).await?.get(0);
    anyhow::ensure!(one == 1, "SELECT 1 answered {one}");
    Ok(format!("{}: SELECT 1 answered", database::server_version(&client).await?))
}

async fn objects(ready: &RunEnvironment) -> Result<String> {
    const KEY: &str = "test-services/probe";
    let written = Bytes::from_static(b"limit-increase");
    storage::put(&ready.aws.s3, LOCAL_ARTIFACT_BUCKET, KEY, written.clone()).await?;
    let read = storage::get(&ready.aws.s3, LOCAL_ARTIFACT_BUCKET, KEY).await?;
    ready.aws.s3.delete_object().bucket(LOCAL_ARTIFACT_BUCKET).key(KEY).send().await?;
    anyhow::ensure!(
        read.as_ref() == Some(&written),
        "the object that was read is not the one that was written"
    );
    Ok("an object was written, read and deleted".to_owned())
}

fn functions(ready: &RunEnvironment) -> Result<String> {
    // LocalStack finds the service of a request by the scope of the credential. It does not check
    // the signature.
    const SCOPE: &str = "Authorization: AWS4-HMAC-SHA256 \
                         Credential=test/20260101/us-east-1/lambda/aws4_request, \
                         SignedHeaders=host, Signature=0\r\n";
    let timeout = Duration::from_secs(10);
    let body = http::get(ready.services.localstack_port, "/2015-03-31/functions/", SCOPE, timeout)?;
    let answer: serde_json::Value =
        serde_json::from_str(&body).context("Lambda's answer is not JSON")?;
    let listed: Vec<&str> = answer["Functions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["FunctionName"].as_str())
        .collect();
    let missing: Vec<&str> = FUNCTIONS
        .iter()
        .map(|function| function.name)
        .filter(|name| !listed.contains(name))
        .collect();
    anyhow::ensure!(missing.is_empty(), "functions are missing: {}", missing.join(", "));
    Ok(format!(
        "{} functions: {}",
        FUNCTIONS.len(),
        FUNCTIONS.map(|function| function.name).join(", ")
    ))
}

async fn machine(ready: &RunEnvironment) -> Result<String> {
    let arn = ready.stack.output("StateMachineArn")?;
    let described = ready
        .aws
        .states
        .describe_state_machine()
        .state_machine_arn(arn)
        .send()
        .await
        .map_err(|error| anyhow::anyhow!("{}", describe(&error)))?;
    let status = described.status().map_or("unknown", |status| status.as_str());
    Ok(format!("{} is {status}", described.name()))
}

async fn rule(ready: &RunEnvironment) -> Result<String> {
    let schedule = limit_increase::deployment::schedule::read(
        &ready.aws,
        ready.stack.output("EventBridgeRuleName")?,
    )
    .await?;
    Ok(format!("{} {} is {}", schedule.rule, schedule.expression, schedule.state))
}
