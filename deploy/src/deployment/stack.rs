//! Creates or updates the CloudFormation stack, and shows its events as they happen.

use std::collections::{BTreeMap, HashSet};
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::error::ProvideErrorMetadata as _;
use aws_sdk_cloudformation::types::{Capability, Parameter, Stack as AwsStack, StackEvent, Tag};

use crate::aws::clients::describe;
use crate::terminal::Problem;
use crate::terminal::{Task, Ui};

/// The name of the stack, unless the command line names another.
pub const DEFAULT_NAME: &str = "limit-increase";
/// The parameter with the id of the deployment, which is in the functions' versions.
pub(super) const DEPLOYMENT_ID: &str = "DeploymentId";
/// The longest wait for the stack. A new stack takes seconds locally and a few minutes on AWS.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// The stack that should exist.
#[derive(Debug, Clone)]
pub(crate) struct StackSpec {
    /// The stack's name.
    pub(crate) name: String,
    /// Where CloudFormation finds the template: a URL of S3. A template of more than 51,200 bytes
    /// cannot be part of a request.
    pub(crate) template_url: String,
    /// Values for its parameters. Those left out keep the template's defaults, or on AWS the values
    /// that the stack has.
    pub(crate) parameters: BTreeMap<String, String>,
    /// The stack's tags, which CloudFormation copies to its resources. Without one the stack keeps
    /// those that it has.
    pub(crate) tags: BTreeMap<String, String>,
}

impl StackSpec {
    pub(super) fn parameters(&self) -> Vec<Parameter> {
        let parameter = |(key, value): (&String, &String)| {
            Parameter::builder().parameter_key(key).parameter_value(value).build()
        };
        self.parameters.iter().map(parameter).collect()
    }

    /// The same stack as a deployment of its own: with a new id, so that new versions of the
    /// functions are published. The id is the time, and never one of an earlier deployment. After
    /// an update that was rolled back, Lambda would publish nothing with the id of that one.
    pub(super) fn with_new_id(&self) -> Self {
        let mut spec = self.clone();
        let id = chrono::Utc::now().format("%Y%m%dT%H%M%S%3fZ").to_string();
        spec.parameters.insert(DEPLOYMENT_ID.to_owned(), id);
        spec
    }

    /// The tags, or `None` to leave the stack's as they are.
    pub(super) fn tags(&self) -> Option<Vec<Tag>> {
        let tag = |(key, value): (&String, &String)| Tag::builder().key(key).value(value).build();
        (!self.tags.is_empty()).then(|| self.tags.iter().map(tag).collect())
    }
}

/// The stack as CloudFormation describes it.
#[derive(Debug, Clone)]
pub struct Stack {
    /// The name of the stack.
    pub name: String,
    /// The id of the stack. A stack that is created again has a new id.
    pub id: String,
    /// The status, for example `UPDATE_COMPLETE`.
    pub status: String,
    /// The outputs of the template by name.
    pub outputs: BTreeMap<String, String>,
    /// The values of its parameters. CloudFormation hides those that are secret.
    pub parameters: BTreeMap<String, String>,
    /// Whether CloudFormation refuses to delete it.
    pub(crate) protected: bool,
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
                .at(self.name.clone())
                .next("deploy it again: limit-increase deploy")
                .into()
        })
    }
}

/// The stack of the default name, if there is one.
pub async fn find(client: &Client) -> Result<Option<Stack>> {
    find_named(client, DEFAULT_NAME).await
}

/// The stack of this name, if there is one.
pub async fn find_named(client: &Client, name: &str) -> Result<Option<Stack>> {
    match client.describe_stacks().stack_name(name).send().await {
        Ok(found) => Ok(found
            .stacks()
            .first()
            .filter(|stack| status_of(stack) != "DELETE_COMPLETE")
            .map(deployed)),
        Err(error) if error.message().is_some_and(|text| text.contains("does not exist")) => {
            Ok(None)
        }
        Err(error) => {
            Err(Problem::new(format!("cannot see the stack: {}", describe(&error))).at(name).into())
        }
    }
}

/// Makes the stack on the local AWS what `spec` says. A failed one is replaced, because nothing in
/// it is worth keeping. [`super::change_set`] is the way on AWS.
pub(crate) async fn apply(client: &Client, spec: &StackSpec, ui: &Ui) -> Result<Stack> {
    let mut task = ui.task("Stack");
    let mut existing = find_named(client, &spec.name).await?;
    if let Some(stack) = &existing
        && cannot_be_updated(&stack.status)
    {
        task.phase(format!("removing what is left of a failed one ({})", stack.status));
        delete(client, stack).await?;
        existing = None;
    }

    let seen = event_ids(client, &spec.name).await;
    let verb = if existing.is_some() { "updated" } else { "created" };
    if existing.is_some() {
        task.phase("updating");
        if !update(client, spec).await? {
            task.done("unchanged");
            return found(client, &spec.name).await;
        }
    } else {
        task.phase("creating");
        client
            .create_stack()
            .stack_name(&spec.name)
            .template_url(&spec.template_url)
            .set_parameters(Some(spec.parameters()))
            .set_tags(spec.tags())
            .capabilities(Capability::CapabilityNamedIam)
            .send()
            .await
            .map_err(|error| refusal_error(&describe(&error)))?;
    }

    let stack = wait_until_sound(client, &spec.name, seen, &task).await?;
    task.done(verb);
    Ok(stack)
}

/// Begins an update. Returns whether there is something to update.
async fn update(client: &Client, spec: &StackSpec) -> Result<bool> {
    let sent = client
        .update_stack()
        .stack_name(&spec.name)
        .template_url(&spec.template_url)
        .set_parameters(Some(spec.parameters()))
        .set_tags(spec.tags())
        .capabilities(Capability::CapabilityNamedIam)
        .send()
        .await;
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.message().is_some_and(says_no_change) => Ok(false),
        Err(error) => Err(refusal_error(&describe(&error)).into()),
    }
}

/// Whether CloudFormation says that an update has nothing to do.
pub(super) fn says_no_change(text: &str) -> bool {
    text.contains("No updates are to be performed") || text.contains("didn't contain changes")
}

/// A stack in these states takes no update, only a deletion.
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

pub(super) fn refusal_error(why: &str) -> Problem {
    Problem::new(format!("CloudFormation refuses the stack: {why}"))
        .at("cloudformation/infrastructure.yml")
        .next("correct the template or its parameters, then: limit-increase deploy")
}

pub(super) async fn found(client: &Client, name: &str) -> Result<Stack> {
    find_named(client, name).await?.ok_or_else(|| {
        Problem::new("the stack has gone while it was being deployed").at(name).into()
    })
}

/// Waits for the end of an operation. Events that are not in `seen` are shown.
///
/// # Errors
/// With the first cause, when the operation failed.
pub(super) async fn wait_until_sound(
    client: &Client,
    name: &str,
    seen: HashSet<String>,
    task: &Task,
) -> Result<Stack> {
    let stack = wait(client, name, seen, task).await?;
    if stack.is_sound() { Ok(stack) } else { Err(stack_error(client, &stack).await.into()) }
}

async fn wait(
    client: &Client,
    name: &str,
    mut seen: HashSet<String>,
    task: &Task,
) -> Result<Stack> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        for event in events(client, name).await {
            if seen.insert(event.event_id().unwrap_or_default().to_owned()) {
                let resource = event.logical_resource_id().unwrap_or_default();
                let status = event
                    .resource_status()
                    .map_or_else(String::new, |status| status.as_str().to_owned());
                task.tick(format!("{resource} {status}"));
            }
        }

        let stack = found(client, name).await?;
        if !stack.status.ends_with("_IN_PROGRESS") {
            return Ok(stack);
        }

        if Instant::now() > deadline {
            return Err(Problem::new(format!("the stack is still {}", stack.status))
                .at(name)
                .next("look at its events in CloudFormation; run deploy again when it has ended")
                .into());
        }
    }
}

/// Deletes the stack and waits until it is gone.
pub(super) async fn delete(client: &Client, gone: &Stack) -> Result<()> {
    client.delete_stack().stack_name(&gone.name).send().await.map_err(|error| {
        Problem::new(format!("cannot delete the failed stack: {}", describe(&error)))
            .at(gone.name.clone())
    })?;

    let deadline = Instant::now() + TIMEOUT;
    while let Some(stack) = find_named(client, &gone.name).await? {
        if stack.id != gone.id {
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
    let events = events(client, &stack.name).await;
    let culprit = events.iter().find(|event| {
        let status = event.resource_status().map_or("", |status| status.as_str());
        let reason = event.resource_status_reason().unwrap_or_default();
        let by_itself = !reason.is_empty()
            && !reason.contains("cancelled")
            && !reason.contains("following resource");
        status.ends_with("_FAILED") && by_itself && event.logical_resource_id() != Some(&stack.name)
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
        None => Problem::new(format!("the stack is {}", stack.status)).at(stack.name.clone()),
    }
    .next(
        "correct the cause, then deploy again: a failed first creation is replaced. Locally, \
         logs/localstack.log under the home says more",
    )
}

/// The events, oldest first; an error here must not hide the stack's own state.
async fn events(client: &Client, name: &str) -> Vec<StackEvent> {
    let answer = client.describe_stack_events().stack_name(name).send().await;
    let mut events =
        answer.map(|answer| answer.stack_events.unwrap_or_default()).unwrap_or_default();
    events.reverse();
    events
}

pub(super) async fn event_ids(client: &Client, name: &str) -> HashSet<String> {
    events(client, name)
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
    let parameters = stack
        .parameters()
        .iter()
        .filter_map(|known| {
            Some((known.parameter_key()?.to_owned(), known.parameter_value()?.to_owned()))
        })
        .collect();
    Stack {
        name: stack.stack_name().unwrap_or_default().to_owned(),
        id: stack.stack_id().unwrap_or_default().to_owned(),
        status: status_of(stack).to_owned(),
        outputs,
        parameters,
        protected: stack.enable_termination_protection().unwrap_or_default(),
    }
}
