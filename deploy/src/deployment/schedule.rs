//! Reads the nightly schedule, and proves with a test event that it starts a run.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, Target};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde::Serialize;

use crate::aws::clients::{Aws, describe};
use crate::terminal::Problem;

/// How long an event may take to start an execution.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The rule that the test makes and removes again.
const TEST_RULE: &str = "limit-increase-schedule-test";
/// The source of the test's event, which only the test's rule matches.
const TEST_SOURCE: &str = "limit-increase.schedule-test";

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

    let described = aws
        .events
        .describe_rule()
        .name(rule)
        .send()
        .await
        .map_err(|error| unreadable_error("rule", describe(&error)))?;
    let targets = aws
        .events
        .list_targets_by_rule()
        .rule(rule)
        .send()
        .await
        .map_err(|error| unreadable_error("rule's target", describe(&error)))?;
    let target = targets
        .targets()
        .first()
        .ok_or_else(|| unreadable_error("rule's target", "it has none".to_owned()))?;
    Ok(Schedule {
        rule: rule.to_owned(),
        expression: described.schedule_expression().unwrap_or_default().to_owned(),
        state: described.state().map_or_else(String::new, |state| state.as_str().to_owned()),
        target: target.arn().to_owned(),
        role: target.role_arn().unwrap_or_default().to_owned(),
        retries: target.retry_policy().and_then(|policy| policy.maximum_retry_attempts()),
        dead_letters: target
            .dead_letter_config()
            .and_then(|config| config.arn())
            .map(str::to_owned),
    })
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
    let pattern = serde_json::json!({ "source": [TEST_SOURCE] });
    aws.events
        .put_rule()
        .name(TEST_RULE)
        .description("Proves that an event starts the limit-increase run; removed immediately.")
        .event_pattern(pattern.to_string())
        .send()
        .await
        .map_err(|error| schedule_error("cannot make the test's rule", &describe(&error)))?;
    let target =
        Target::builder().id("workflow").arn(&schedule.target).role_arn(&schedule.role).build()?;
    aws.events.put_targets().rule(TEST_RULE).targets(target).send().await.map_err(|error| {
        schedule_error("cannot give the test's rule its target", &describe(&error))
    })?;
    Ok(())
}

async fn send_and_wait(aws: &Aws, schedule: &Schedule, before: &HashSet<String>) -> Result<String> {
    let entry = PutEventsRequestEntry::builder()
        .source(TEST_SOURCE)
        .detail_type("Scheduled Event")
        .resources(&schedule.rule)
        .detail("{}")
        .build();
    let sent = aws
        .events
        .put_events()
        .entries(entry)
        .send()
        .await
        .map_err(|error| schedule_error("cannot send the test's event", &describe(&error)))?;
    if sent.failed_entry_count() > 0 {
        let why = sent
            .entries()
            .first()
            .and_then(|entry| entry.error_message())
            .unwrap_or("no reason given");
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
    let targets = aws.events.remove_targets().rule(TEST_RULE).ids("workflow").send().await;
    let rule = aws.events.delete_rule().name(TEST_RULE).send().await;
    targets.map_err(|error| {
        schedule_error("cannot remove the test rule's target", &describe(&error))
    })?;
    rule.map_err(|error| schedule_error("cannot remove the test's rule", &describe(&error)))?;
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
