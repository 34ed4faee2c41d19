//! The way to a stack on AWS: a change set, shown and agreed to, and never a deletion of anything
//! that has worked.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use aws_sdk_cloudformation::Client;
use aws_sdk_cloudformation::types::{
    Capability, Change, ChangeSetStatus, ChangeSetType, Parameter, ResourceChange,
};

use super::stack::{self, Stack, StackSpec};
use crate::aws::clients::describe;
use crate::terminal::{Problem, Task, Ui};

/// CloudFormation computes a change set within seconds.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);
const POLL: Duration = Duration::from_millis(500);

/// What the state of a stack allows.
#[derive(Debug, PartialEq, Eq)]
enum Situation {
    /// There is none, or one that was only ever planned.
    New,
    /// What is left of a first creation that failed.
    Remains,
    /// One that works, or that was rolled back to what worked.
    Live,
    /// One on which something is under way.
    Busy,
    /// One that only a person can judge.
    Stuck,
}

impl Situation {
    fn of(stack: Option<&Stack>) -> Self {
        match stack.map_or("", |stack| stack.status.as_str()) {
            "" | "REVIEW_IN_PROGRESS" => Self::New,
            // A stack that was ever complete has neither of these states again.
            "ROLLBACK_COMPLETE" | "CREATE_FAILED" => Self::Remains,
            "CREATE_COMPLETE"
            | "UPDATE_COMPLETE"
            | "UPDATE_ROLLBACK_COMPLETE"
            | "UPDATE_FAILED"
            | "IMPORT_COMPLETE"
            | "IMPORT_ROLLBACK_COMPLETE" => Self::Live,
            status if status.ends_with("_IN_PROGRESS") => Self::Busy,
            _ => Self::Stuck,
        }
    }
}

/// Whether this stack can be deployed to, asked before anything is built. An update wants a person
/// who can answer, or the word that no question is wanted.
///
/// # Errors
/// With what to do about the stack, or about the question.
pub fn check(stack: Option<&Stack>, yes: bool, ui: &Ui) -> Result<()> {
    let Some(stack) = stack else { return Ok(()) };
    let problem = |what: String, next: &str| {
        Err(Problem::usage(what).at(format!("stack {}", stack.name)).next(next).into())
    };

    match Situation::of(Some(stack)) {
        Situation::Busy => problem(
            format!("the stack is {}", stack.status),
            "wait until the other deployment has ended, then deploy again",
        ),
        Situation::Stuck if stack.status == "UPDATE_ROLLBACK_FAILED" => problem(
            format!("the stack is {} and takes no update", stack.status),
            "remove the cause that its events name, then: aws cloudformation continue-update-rollback; \
             this command deletes no stack that has worked",
        ),
        Situation::Stuck => problem(
            format!("the stack is {} and takes no update", stack.status),
            "look at its events in CloudFormation, and delete it there if nothing in it is needed",
        ),
        Situation::Live if !yes && !ui.can_ask() => problem(
            "there is nobody to ask whether the stack may be changed".to_owned(),
            "give --yes, or run the command in a terminal; nothing was changed",
        ),
        _ => Ok(()),
    }
}

/// Makes the stack on AWS what `spec` says. Parameters that `spec` does not name keep their values.
/// `agree` is asked before an existing stack is changed.
///
/// # Errors
/// When the stack cannot be changed, the change is refused, or it fails.
pub(crate) async fn apply(
    client: &Client,
    spec: &StackSpec,
    agree: impl FnOnce(&[ResourceChange]) -> Result<bool>,
    ui: &Ui,
) -> Result<Stack> {
    let mut task = ui.task("Stack");
    let mut existing = stack::find_named(client, &spec.name).await?;
    if Situation::of(existing.as_ref()) == Situation::Remains
        && let Some(remains) = &existing
    {
        task.phase(format!("removing what is left of its first creation ({})", remains.status));
        stack::delete(client, remains).await?;
        existing = None;
    }

    // A stack of any other state was refused by `check`; CloudFormation refuses it again.
    let live = existing.filter(|stack| Situation::of(Some(stack)) != Situation::New);
    task.phase("comparing");
    if !is_changed(client, spec, live.as_ref()).await? {
        task.done("unchanged");
        return protect(client, stack::found(client, &spec.name).await?).await;
    }

    let spec = &spec.with_new_id();
    let Some(changes) = plan(client, spec, live.as_ref()).await? else {
        return Err(stack::refusal_error("it sees no change in a new deployment").into());
    };

    if live.is_some() {
        task.clear();
        if !agree(&changes.list)? {
            discard(client, &changes).await;
            let problem = Problem::usage("the stack was not changed").at(spec.name.clone());
            return Err(problem.next("answer y, or give --yes").into());
        }
        task = ui.task("Stack");
    }

    let verb = if live.is_some() { "updated" } else { "created" };
    let stack = execute(client, spec, &changes, &task).await?;
    task.done(verb);
    protect(client, stack).await
}

/// Whether CloudFormation sees a change when the deployment keeps its id. A new id is a change by
/// itself, because it publishes the functions again.
async fn is_changed(client: &Client, spec: &StackSpec, live: Option<&Stack>) -> Result<bool> {
    let Some(stack) = live.filter(|stack| stack.parameters.contains_key(stack::DEPLOYMENT_ID))
    else {
        return Ok(true);
    };

    let planned = plan(client, spec, Some(stack)).await?;
    if let Some(changes) = &planned {
        discard(client, changes).await;
    }
    Ok(planned.is_some())
}

/// A change set that CloudFormation has computed.
struct ChangeSet {
    /// Its ARN.
    id: String,
    list: Vec<ResourceChange>,
}

/// Lets CloudFormation compute what would change. `None` when that is nothing.
async fn plan(
    client: &Client,
    spec: &StackSpec,
    live: Option<&Stack>,
) -> Result<Option<ChangeSet>> {
    let mut parameters = spec.parameters();
    if let Some(stack) = live {
        parameters.extend(kept(client, spec, stack).await?);
    }

    let created = client
        .create_change_set()
        .stack_name(&spec.name)
        .change_set_name(format!(
            "limit-increase-{}",
            chrono::Utc::now().format("%Y%m%dT%H%M%S%3f")
        ))
        .change_set_type(if live.is_some() { ChangeSetType::Update } else { ChangeSetType::Create })
        .template_url(&spec.template_url)
        .set_parameters(Some(parameters))
        .set_tags(spec.tags())
        .capabilities(Capability::CapabilityNamedIam)
        .send()
        .await
        .map_err(|error| stack::refusal_error(&describe(&error)))?;

    let mut changes =
        ChangeSet { id: created.id().unwrap_or_default().to_owned(), list: Vec::new() };
    match wait_for_changes(client, &mut changes).await? {
        None => Ok(Some(changes)),
        Some(reason) => {
            discard(client, &changes).await;
            if stack::says_no_change(&reason) {
                Ok(None)
            } else {
                Err(stack::refusal_error(&reason).into())
            }
        }
    }
}

/// The parameters that keep the values of the stack: those that the template still has, the stack
/// has too, and `spec` does not name.
async fn kept(client: &Client, spec: &StackSpec, stack: &Stack) -> Result<Vec<Parameter>> {
    let summary = client
        .get_template_summary()
        .template_url(&spec.template_url)
        .send()
        .await
        .map_err(|error| stack::refusal_error(&describe(&error)))?;
    let in_template: HashSet<&str> =
        summary.parameters().iter().filter_map(|known| known.parameter_key()).collect();
    Ok(stack
        .parameters
        .keys()
        .filter(|name| in_template.contains(name.as_str()))
        .filter(|name| !spec.parameters.contains_key(*name))
        .map(|name| Parameter::builder().parameter_key(name).use_previous_value(true).build())
        .collect())
}

/// Waits until the change set is complete and reads its changes. Returns the reason if it failed.
async fn wait_for_changes(client: &Client, changes: &mut ChangeSet) -> Result<Option<String>> {
    let deadline = Instant::now() + TIMEOUT;
    let mut next_page = None;
    loop {
        let page = client
            .describe_change_set()
            .change_set_name(&changes.id)
            .set_next_token(next_page.take())
            .send()
            .await
            .map_err(|error| stack::refusal_error(&describe(&error)))?;
        match page.status() {
            Some(ChangeSetStatus::CreateComplete) => {
                let resource = |change: &Change| change.resource_change().cloned();
                changes.list.extend(page.changes().iter().filter_map(resource));
                next_page = page.next_token().map(str::to_owned);
                if next_page.is_none() {
                    return Ok(None);
                }
            }
            Some(ChangeSetStatus::Failed) => {
                return Ok(Some(page.status_reason().unwrap_or("no reason given").to_owned()));
            }
            _ if Instant::now() > deadline => {
                let problem = Problem::new("CloudFormation does not finish the change set");
                return Err(problem.at(changes.id.clone()).next("deploy again").into());
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

async fn execute(
    client: &Client,
    spec: &StackSpec,
    changes: &ChangeSet,
    task: &Task,
) -> Result<Stack> {
    let seen = stack::event_ids(client, &spec.name).await;
    client
        .execute_change_set()
        .change_set_name(&changes.id)
        .send()
        .await
        .map_err(|error| stack::refusal_error(&describe(&error)))?;
    stack::wait_until_sound(client, &spec.name, seen, task).await
}

/// Removes a change set that is not wanted. One that stays does no harm.
async fn discard(client: &Client, changes: &ChangeSet) {
    let _ = client.delete_change_set().change_set_name(&changes.id).send().await;
}

/// Protects the stack against deletion, once it is complete.
async fn protect(client: &Client, mut stack: Stack) -> Result<Stack> {
    if !stack.protected {
        client
            .update_termination_protection()
            .stack_name(&stack.name)
            .enable_termination_protection(true)
            .send()
            .await
            .map_err(|error| {
                Problem::new(format!("cannot protect the stack: {}", describe(&error)))
                    .at(stack.name.clone())
                    .next("the stack is deployed; allow cloudformation:UpdateTerminationProtection")
            })?;
        stack.protected = true;
    }

    Ok(stack)
}

/// A change as one line: what happens, to which resource, and whether it is replaced.
#[must_use]
pub(crate) fn line(change: &ResourceChange) -> String {
    let action = change.action().map_or("?", |action| action.as_str());
    let replacement = match change.replacement().map(|replacement| replacement.as_str()) {
        Some("True") => "  REPLACED by a new one",
        Some("Conditional") => "  perhaps REPLACED by a new one",
        _ => "",
    };
    format!(
        "  {action:<7} {:<28} {}{replacement}",
        change.logical_resource_id().unwrap_or_default(),
        change.resource_type().unwrap_or_default()
    )
}

#[cfg(test)]
mod stand_in;
#[cfg(test)]
mod tests;
