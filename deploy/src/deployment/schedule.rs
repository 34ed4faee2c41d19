//! Reads the nightly schedule, and proves with a test event that it starts a run.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use crate::aws::clients::{Aws, describe};
use crate::aws::plain::{self, Call};
use crate::terminal::Problem;

/// How long an event may take to start an execution.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The rule that the test makes and removes again.
const TEST_RULE: &str = "limit-increase-schedule-test";
/// The source of the test's event, which only the test's rule matches.
const TEST_SOURCE: &str = "limit-increase.schedule-test";
/// The id of the test rule's target.
const TARGET: &str = "workflow";

/// The rule that starts the run each night.
#[derive(Debug, Clone, Serialize)]
pub struct Schedule {
    /// The name of the EventBridge rule.
    pub rule: String,
    /// The schedule expression, for example `cron(0 2 * * ? *)`.
    pub expression: String,
    /// The state of the rule: ENABLED or DISABLED.
    pub state: String,
    /// The ARN of the state machine that the rule starts.
    pub target: String,
    /// The ARN of the role that EventBridge starts it with.
    pub role: String,
    /// The number of times that a failed delivery is tried again; `None` stands for the default.
    pub retries: Option<i32>,
    /// The ARN of the queue for events that could not be delivered.
    pub dead_letters: Option<String>,
}

impl Schedule {
    /// When the rule starts a run next; `None` when it is disabled, or its expression is not of the
    /// form `cron(minute hour * * ? *)`.
    #[must_use]
    pub fn next_start(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if self.state == "DISABLED" {
            return None;
        }

        let fields = self.expression.strip_prefix("cron(")?.strip_suffix(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let [minute, hour, "*", "*", "?", "*"] = fields[..] else { return None };
        let time = NaiveTime::from_hms_opt(hour.parse().ok()?, minute.parse().ok()?, 0)?;
        let today = now.date_naive().and_time(time).and_utc();
        Some(if today > now { today } else { today + TimeDelta::days(1) })
    }
}

/// Reads the rule and its target.
pub async fn read(aws: &Aws, rule: &str) -> Result<Schedule> {
    let unreadable_error = |what: &str, why: String| {
        Problem::new(format!("cannot see the {what}: {why}"))
            .at(rule.to_owned())
            .next("limit-increase deploy")
    };

    let described = call(aws, "AWSEvents.DescribeRule", &json!({ "Name": rule }))
        .await
        .map_err(|why| unreadable_error("rule", why))?;
    let targets = call(aws, "AWSEvents.ListTargetsByRule", &json!({ "Rule": rule }))
        .await
        .map_err(|why| unreadable_error("rule's target", why))?;
    let target = targets["Targets"]
        .get(0)
        .ok_or_else(|| unreadable_error("rule's target", "it has none".to_owned()))?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let retries = target["RetryPolicy"]["MaximumRetryAttempts"].as_i64();
    Ok(Schedule {
        rule: rule.to_owned(),
        expression: text(&described["ScheduleExpression"]),
        state: text(&described["State"]),
        target: text(&target["Arn"]),
        role: text(&target["RoleArn"]),
        retries: retries.and_then(|retries| i32::try_from(retries).ok()),
        dead_letters: target["DeadLetterConfig"]["Arn"].as_str().map(str::to_owned),
    })
}

/// Calls an operation of EventBridge and returns its answer, or why there is none. The client of
/// EventBridge would make every first build longer.
async fn call(aws: &Aws, operation: &'static str, request: &Value) -> Result<Value, String> {
    let call = Call {
        service: "events",
        method: "POST",
        path: "/".to_owned(),
        content_type: "application/x-amz-json-1.1",
        target: operation,
        body: request.to_string(),
    };
    let answer = plain::send(aws, call).await?;
    if answer.is_empty() {
        return Ok(Value::Null);
    }

    serde_json::from_str(&answer).map_err(|error| format!("{operation} answers no JSON: {error}"))
}

/// Sends an event through EventBridge and returns the ARN of the execution that it starts. A test
/// rule with the role and the target of the schedule matches the event. The test rule is removed
/// even after an error.
pub async fn fire(aws: &Aws, schedule: &Schedule) -> Result<String> {
    let before = executions(aws, &schedule.target).await?;
    let result = match put_rule(aws, schedule).await {
        Ok(()) => send_and_wait(aws, schedule, &before).await,
        Err(error) => Err(error),
    };

    let removed = remove_rule(aws).await;
    let started = result?;
    removed?;
    Ok(started)
}

fn schedule_error(what: &str, why: &str) -> Problem {
    Problem::new(format!("{what}: {why}")).at(TEST_RULE).next(
        "see whether your credentials may manage EventBridge rules; \
             locally, logs/localstack.log says more",
    )
}

async fn put_rule(aws: &Aws, schedule: &Schedule) -> Result<()> {
    let rule = json!({
        "Name": TEST_RULE,
        "Description": "Proves that an event starts the limit-increase run; removed immediately.",
        "EventPattern": json!({ "source": [TEST_SOURCE] }).to_string(),
    });
    call(aws, "AWSEvents.PutRule", &rule)
        .await
        .map_err(|why| schedule_error("cannot make the test's rule", &why))?;
    let target = json!({ "Id": TARGET, "Arn": schedule.target, "RoleArn": schedule.role });
    let put = call(aws, "AWSEvents.PutTargets", &json!({ "Rule": TEST_RULE, "Targets": [target] }))
        .await
        .map_err(|why| schedule_error("cannot give the test's rule its target", &why))?;
    if let Some(why) = refused_entry(&put) {
        return Err(schedule_error("cannot give the test's rule its target", why).into());
    }

    Ok(())
}

/// Why EventBridge refused an entry of a request that it accepted.
fn refused_entry(answer: &Value) -> Option<&str> {
    if answer["FailedEntryCount"].as_u64() == Some(0) {
        return None;
    }

    let entries = ["Entries", "FailedEntries"].into_iter().find_map(|name| answer.get(name));
    let first = entries.and_then(|entries| entries.get(0));
    Some(first.and_then(|entry| entry["ErrorMessage"].as_str()).unwrap_or("no reason given"))
}

async fn send_and_wait(aws: &Aws, schedule: &Schedule, before: &HashSet<String>) -> Result<String> {
    let entry = json!({
        "Source": TEST_SOURCE,
        "DetailType": "Scheduled Event",
        "Resources": [schedule.rule],
        "Detail": "{}",
    });
    let sent = call(aws, "AWSEvents.PutEvents", &json!({ "Entries": [entry] }))
        .await
        .map_err(|why| schedule_error("cannot send the test's event", &why))?;
    if let Some(why) = refused_entry(&sent) {
        return Err(schedule_error("EventBridge refused the test's event", why).into());
    }

    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        if let Some(new) = executions(aws, &schedule.target).await?.difference(before).next() {
            return Ok(new.clone());
        }

        if Instant::now() > deadline {
            return Err(schedule_error(
                "no execution started from the event",
                &format!("waited {} s", START_TIMEOUT.as_secs()),
            )
            .into());
        }

        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

async fn executions(aws: &Aws, machine: &str) -> Result<HashSet<String>> {
    let listed = aws
        .states
        .list_executions()
        .state_machine_arn(machine)
        .max_results(100)
        .send()
        .await
        .map_err(|error| schedule_error("cannot list the executions", &describe(&error)))?;
    Ok(listed.executions().iter().map(|execution| execution.execution_arn().to_owned()).collect())
}

async fn remove_rule(aws: &Aws) -> Result<()> {
    let targets =
        call(aws, "AWSEvents.RemoveTargets", &json!({ "Rule": TEST_RULE, "Ids": [TARGET] })).await;
    let rule = call(aws, "AWSEvents.DeleteRule", &json!({ "Name": TEST_RULE })).await;
    targets.map_err(|why| schedule_error("cannot remove the test rule's target", &why))?;
    rule.map_err(|why| schedule_error("cannot remove the test's rule", &why))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn next(expression: &str, state: &str, now: &str) -> Option<String> {
        let schedule = Schedule {
            rule: "nightly".to_owned(),
            expression: expression.to_owned(),
            state: state.to_owned(),
            target: String::new(),
            role: String::new(),
            retries: None,
            dead_letters: None,
        };
        schedule.next_start(now.parse().unwrap()).map(|time| time.to_rfc3339())
    }

    #[test]
    fn the_next_start_is_today_or_tomorrow() {
        let nightly = "cron(0 2 * * ? *)";
        let after = |now| next(nightly, "ENABLED", now).unwrap();
        assert_eq!(after("2026-11-24T01:59:59Z"), "2026-11-24T02:00:00+00:00");
        assert_eq!(after("2026-11-30T02:00:00Z"), "2026-12-01T02:00:00+00:00");

        assert_eq!(next(nightly, "DISABLED", "2026-11-24T01:00:00Z"), None);
        for other in
            ["rate(1 day)", "cron(0 2 ? * MON *)", "cron(0/5 2 * * ? *)", "cron(0 25 * * ? *)"]
        {
            assert_eq!(next(other, "ENABLED", "2026-11-24T01:00:00Z"), None, "{other}");
        }
    }
}
