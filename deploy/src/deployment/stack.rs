//! Creates or updates the CloudFormation stack, and shows its events as they happen.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack as AwsStack, StackEvent};

use crate::aws::clients::describe;
use crate::terminal::Problem;
use crate::terminal::{Task, Ui};

/// The name of the stack in every account.
pub(crate) const NAME: &str = "limit-increase";
/// The longest wait for the stack. A new stack takes seconds locally and a few minutes on AWS.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The stack that should exist.
#[derive(Debug, Clone)]
pub(crate) struct StackSpec {
    /// The text of the CloudFormation template.
    pub(crate) template: String,
    /// The values of the parameters by name. Parameters that are left out have their defaults.
    pub(crate) parameters: BTreeMap<String, String>,
}

/// The stack as CloudFormation describes it.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The id of the stack. A stack that is created again has a new id.
    pub id: String,
    /// The status, for example `UPDATE_COMPLETE`.
    pub status: String,
    /// The outputs of the template by name.
    pub outputs: BTreeMap<String, String>,
}

impl Stack {
    /// Whether the last operation on the stack succeeded.
    #[must_use]
    pub(crate) fn is_sound(&self) -> bool {
        matches!(self.status.as_str(), "CREATE_COMPLETE" | "UPDATE_COMPLETE")
    }

    /// The value of an output.
    ///
    /// # Errors
    /// When the stack does not have the output, which an older template can cause.
    pub fn output(&self, name: &str) -> Result<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Problem::new(format!("the stack has no output {name}"))
                .at(NAME)
                .next("deploy it again: limit-increase deploy")
                .into()
        })
    }
}

/// The stack, if it exists.
pub async fn find(client: &Client) -> Result<Option<Stack>> {
    match client.describe_stacks().stack_name(NAME).send().await {
        Ok(found) => Ok(found
            .stacks()
            .first()
            .filter(|stack| status_of(stack) != "DELETE_COMPLETE")
            .map(deployed)),
        Err(error) if error.message().is_some_and(|text| text.contains("does not exist")) => {
            Ok(None)
        }
        Err(error) => {
            Err(Problem::new(format!("cannot see the stack: {}", describe(&error))).at(NAME).into())
        }
    }
}

/// Creates or updates the stack so that it is as `spec` says. A stack that failed before and takes
/// no update is removed first.
pub(crate) async fn apply(client: &Client, spec: &StackSpec, ui: &Ui) -> Result<Stack> {
    let mut task = ui.task("Stack");
    let mut existing = find(client).await?;
    if let Some(stack) = &existing
        && cannot_be_updated(&stack.status)
    {
        task.phase(format!("removing what is left of a failed one ({})", stack.status));
        delete(client, &stack.id).await?;
        existing = None;
    }

    let mut seen = event_ids(client).await;
    let parameters: Vec<Parameter> = spec
        .parameters
        .iter()
        .map(|(key, value)| Parameter::builder().parameter_key(key).parameter_value(value).build())
        .collect();
    let verb = if existing.is_some() { "updated" } else { "created" };
    if existing.is_some() {
        task.phase("updating");
        let sent = client
            .update_stack()
            .stack_name(NAME)
            .template_body(&spec.template)
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .send()
            .await;
        if let Err(error) = sent {
            if error.message().is_some_and(|text| text.contains("No updates are to be performed")) {
                task.done("unchanged");
                return found(client).await;
            }

            return Err(refusal_error(&describe(&error)).into());
        }
    } else {
        task.phase("creating");
        client
            .create_stack()
            .stack_name(NAME)
            .template_body(&spec.template)
            .set_parameters(Some(parameters))
            .capabilities(Capability::CapabilityNamedIam)
            .send()
            .await
            .map_err(|error| refusal_error(&describe(&error)))?;
    }

    let stack = wait(client, &mut seen, &task).await?;
    if !stack.is_sound() {
        return Err(stack_error(client, &stack).await.into());
    }

    task.done(verb);
    Ok(stack)
}

/// Whether a stack with this status can only be deleted.
fn cannot_be_updated(status: &str) -> bool {
    matches!(
        status,
        "ROLLBACK_COMPLETE"
            | "ROLLBACK_FAILED"
            | "CREATE_FAILED"
            | "DELETE_FAILED"
            | "REVIEW_IN_PROGRESS"
            // On AWS a stack in this state takes an update. LocalStack does not roll back.
            | "UPDATE_FAILED"
    )
}

fn refusal_error(why: &str) -> Problem {
    Problem::new(format!("CloudFormation refuses the stack: {why}"))
        .at("cloudformation/infrastructure.yml")
        .next("correct the template or its parameters, then: limit-increase deploy")
}

async fn found(client: &Client) -> Result<Stack> {
    find(client).await?.ok_or_else(|| {
        Problem::new("the stack disappeared while it was being deployed").at(NAME).into()
    })
}

async fn wait(client: &Client, seen: &mut HashSet<String>, task: &Task) -> Result<Stack> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for event in events(client).await {
            if seen.insert(event.event_id().unwrap_or_default().to_owned()) {
                let resource = event.logical_resource_id().unwrap_or_default();
                let status = event
                    .resource_status()
                    .map_or_else(String::new, |status| status.as_str().to_owned());
                task.tick(format!("{resource} {status}"));
            }
        }

        let stack = found(client).await?;
        if !stack.status.ends_with("_IN_PROGRESS") {
            return Ok(stack);
        }

        if Instant::now() > deadline {
            return Err(Problem::new(format!("the stack is still {}", stack.status))
                .at(NAME)
                .next("look at its events in CloudFormation; run deploy again when it has ended")
                .into());
        }
    }
}

/// Deletes the stack and waits until it is gone.
pub(crate) async fn delete(client: &Client, id: &str) -> Result<()> {
    client.delete_stack().stack_name(NAME).send().await.map_err(|error| {
        Problem::new(format!("cannot delete the failed stack: {}", describe(&error))).at(NAME)
    })?;

    let deadline = Instant::now() + TIMEOUT;
    while let Some(stack) = find(client).await? {
        if stack.id != id {
            break;
        }

        if stack.status == "DELETE_FAILED" || Instant::now() > deadline {
            return Err(stack_error(client, &stack).await.into());
        }

        tokio::time::sleep(Duration::from_millis(500)).await;
    }

    Ok(())
}

/// The failure of the stack: the first resource that failed by itself, and not because of another.
async fn stack_error(client: &Client, stack: &Stack) -> Problem {
    let events = events(client).await;
    let culprit = events.iter().find(|event| {
        let status = event.resource_status().map_or("", |status| status.as_str());
        let reason = event.resource_status_reason().unwrap_or_default();
        let by_itself = !reason.is_empty()
            && !reason.contains("cancelled")
            && !reason.contains("following resource");
        status.ends_with("_FAILED") && by_itself && event.logical_resource_id() != Some(NAME)
    });

    match culprit {
        Some(event) => Problem::new(format!(
            "the stack is {}: {} {}: {}",
            stack.status,
            event.resource_type().unwrap_or_default(),
            event.resource_status().map_or("", |status| status.as_str()),
            event.resource_status_reason().unwrap_or_default()
        ))
        .at(format!(
            "cloudformation/infrastructure.yml, resource {}",
            event.logical_resource_id().unwrap_or_default()
        )),
        None => Problem::new(format!("the stack is {}", stack.status)).at(NAME),
    }
    .next(
        "correct the cause, then deploy again: a failed stack is replaced. \
         Locally, logs/localstack.log under the home says more",
    )
}

/// The events of the stack, oldest first. An error gives an empty list: it must not hide the state
/// of the stack itself.
async fn events(client: &Client) -> Vec<StackEvent> {
    let answer = client.describe_stack_events().stack_name(NAME).send().await;
    let mut events =
        answer.map(|answer| answer.stack_events.unwrap_or_default()).unwrap_or_default();
    events.reverse();
    events
}

async fn event_ids(client: &Client) -> HashSet<String> {
    events(client)
        .await
        .iter()
        .map(|event| event.event_id().unwrap_or_default().to_owned())
        .collect()
}

fn status_of(stack: &AwsStack) -> &str {
    stack.stack_status().map_or("", |status| status.as_str())
}

fn deployed(stack: &AwsStack) -> Stack {
    let outputs = stack
        .outputs()
        .iter()
        .filter_map(|output| {
            Some((output.output_key()?.to_owned(), output.output_value()?.to_owned()))
        })
        .collect();
    Stack {
        id: stack.stack_id().unwrap_or_default().to_owned(),
        status: status_of(stack).to_owned(),
        outputs,
    }
}
