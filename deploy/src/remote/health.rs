//! The health of a stack's parts: the states of its alarms and functions, and the events that nobody
//! could deliver.

use anyhow::Result;
use aws_smithy_xml::decode::{Document, ScopedDecoder, XmlDecodeError, try_data};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::Account;
use crate::aws::clients::describe;
use crate::aws::plain::{self, Call};
use crate::terminal::Problem;

/// The outputs of the stack that name its functions.
const FUNCTIONS: [&str; 4] = [
    "QueryBatchScoresFunctionName",
    "ScoreCustomersFunctionName",
    "EvaluateLimitIncreaseFunctionName",
    "UpdateDatabaseFunctionName",
];

/// An alarm, as CloudWatch describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// Since when, as CloudWatch writes it.
    pub since: String,
    /// What it means, and where the runbook says what to do.
    pub description: String,
}

/// A function, as Lambda describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all(deserialize = "PascalCase"))]
pub struct Function {
    /// Its name.
    #[serde(rename(deserialize = "FunctionName"))]
    pub name: String,
    /// `Active`, or `Pending`, `Inactive`, `Failed`.
    pub state: String,
    /// Why it is not active.
    pub state_reason: Option<String>,
    /// How the last change of it ended.
    pub last_update_status: Option<String>,
    /// When it was last changed.
    pub last_modified: String,
}

/// The alarms of the stack.
///
/// # Errors
/// When CloudFormation or CloudWatch refuses.
pub async fn alarms(account: &Account) -> Result<Vec<Alarm>> {
    let names = alarm_names(account).await?;
    if names.is_empty() {
        return Ok(Vec::new());
    }

    let mut body = "Action=DescribeAlarms&Version=2010-08-01&MaxRecords=100".to_owned();
    for (index, name) in names.iter().enumerate() {
        let name = utf8_percent_encode(name, NON_ALPHANUMERIC);
        body.push_str(&format!("&AlarmNames.member.{}={name}", index + 1));
    }

    let call = Call {
        service: "monitoring",
        method: "POST",
        path: "/".to_owned(),
        content_type: "application/x-www-form-urlencoded",
        body,
        ..Call::default()
    };
    let answer = plain::send(&account.aws, call).await.map_err(|why| {
        Problem::new(format!("cannot see the alarms: {why}")).at(account.location())
    })?;
    parse_alarms(&answer).map_err(|error| {
        Problem::new(format!("CloudWatch's answer cannot be read: {error}")).into()
    })
}

/// The names of the alarms that belong to the stack. Their prefix is the same in every stage.
async fn alarm_names(account: &Account) -> Result<Vec<String>> {
    let mut names = Vec::new();
    let mut token = None;
    loop {
        let page = account
            .aws
            .cloudformation
            .list_stack_resources()
            .stack_name(&account.stack.name)
            .set_next_token(token)
            .send()
            .await
            .map_err(|error| {
                Problem::new(format!("cannot list the stack's resources: {}", describe(&error)))
                    .at(account.location())
            })?;
        let alarms = page.stack_resource_summaries().iter().filter_map(|resource| {
            let is_alarm = resource.resource_type() == Some("AWS::CloudWatch::Alarm");
            resource.physical_resource_id().filter(|_| is_alarm).map(str::to_owned)
        });
        names.extend(alarms);
        token = page.next_token().map(str::to_owned);
        if token.is_none() {
            return Ok(names);
        }
    }
}

/// Reads `DescribeAlarmsResponse / DescribeAlarmsResult / MetricAlarms / member`.
fn parse_alarms(xml: &str) -> Result<Vec<Alarm>, XmlDecodeError> {
    let mut document = Document::new(xml);
    let mut root = document.root_element()?;
    let mut alarms = Vec::new();
    while let Some(mut result) = root.next_tag() {
        if !result.start_el().matches("DescribeAlarmsResult") {
            continue;
        }

        while let Some(mut list) = result.next_tag() {
            while let Some(mut member) = list.next_tag() {
                alarms.push(parse_alarm(&mut member)?);
            }
        }
    }

    Ok(alarms)
}

fn parse_alarm(member: &mut ScopedDecoder<'_, '_>) -> Result<Alarm, XmlDecodeError> {
    let mut alarm = Alarm::default();
    while let Some(mut field) = member.next_tag() {
        let place = match field.start_el().local() {
            "AlarmName" => &mut alarm.name,
            "StateValue" => &mut alarm.state,
            "StateUpdatedTimestamp" => &mut alarm.since,
            "AlarmDescription" => &mut alarm.description,
            _ => continue,
        };
        *place = try_data(&mut field)?.into_owned();
    }

    Ok(alarm)
}

/// The functions of the stack.
///
/// # Errors
/// When the stack does not name them, or Lambda refuses.
pub async fn functions(account: &Account) -> Result<Vec<Function>> {
    let mut functions = Vec::new();
    for output in FUNCTIONS {
        let name = account.stack.output(output)?;
        let call = Call {
            service: "lambda",
            method: "GET",
            path: format!("/2015-03-31/functions/{name}/configuration"),
            ..Call::default()
        };
        let unseen = |why: String| {
            Problem::new(format!("cannot see the function {name}: {why}")).at(account.location())
        };
        let answer = plain::send(&account.aws, call).await.map_err(unseen)?;
        let function =
            serde_json::from_str(&answer).map_err(|error| unseen(format!("not JSON: {error}")))?;
        functions.push(function);
    }

    Ok(functions)
}

/// How many events wait in the dead-letter queue.
///
/// # Errors
/// When the stack names no queue, or SQS refuses.
pub async fn undelivered_events(account: &Account) -> Result<u64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        attributes: Attributes,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Attributes {
        approximate_number_of_messages: String,
    }

    let url = account.stack.output("DeadLetterQueueUrl")?;
    let names = ["ApproximateNumberOfMessages"];
    let call = Call {
        service: "sqs",
        method: "POST",
        path: "/".to_owned(),
        content_type: "application/x-amz-json-1.0",
        target: "AmazonSQS.GetQueueAttributes",
        body: serde_json::json!({ "QueueUrl": url, "AttributeNames": names }).to_string(),
    };
    let unseen = |why: String| {
        Problem::new(format!("cannot see the dead-letter queue: {why}")).at(url.to_owned())
    };
    let answer = plain::send(&account.aws, call).await.map_err(unseen)?;
    let answer: Answer =
        serde_json::from_str(&answer).map_err(|error| unseen(format!("not JSON: {error}")))?;
    let count = answer.attributes.approximate_number_of_messages;
    Ok(count.parse().map_err(|_| unseen(format!("{count:?} is not a number")))?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn alarms_are_read_from_the_documented_answer() {
        let xml = r#"<DescribeAlarmsResponse xmlns="http://monitoring.amazonaws.com/doc/2010-08-01/">
          <DescribeAlarmsResult><MetricAlarms>
            <member><AlarmName>LimitIncreaseRunFailed</AlarmName><StateValue>ALARM</StateValue>
              <Metrics><member><Id>failed</Id><AlarmName>not this</AlarmName></member></Metrics>
              <AlarmDescription>A run &amp; its end</AlarmDescription>
              <StateUpdatedTimestamp>2026-11-24T02:10:00.000Z</StateUpdatedTimestamp></member>
            <member><AlarmName>LimitIncreaseRunHangs</AlarmName><StateValue>OK</StateValue></member>
          </MetricAlarms><CompositeAlarms/></DescribeAlarmsResult>
          <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeAlarmsResponse>"#;
        let alarms = parse_alarms(xml).unwrap();
        let first = Alarm {
            name: "LimitIncreaseRunFailed".to_owned(),
            state: "ALARM".to_owned(),
            since: "2026-11-24T02:10:00.000Z".to_owned(),
            description: "A run & its end".to_owned(),
        };
        assert_eq!(alarms[0], first);
        assert_eq!((alarms.len(), alarms[1].state.as_str()), (2, "OK"));
        assert!(parse_alarms("no XML").is_err());
    }
}
