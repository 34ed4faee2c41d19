//! An interpreter of the Amazon States Language, for as much of it as our definition uses.
//!
//! It reads the deployed definition, so the retries and catches under test are the deployed ones.
//! Only the waits between attempts are shorter. What it does not know is an error, never a guess.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::function::FunctionError;

/// The factor for waits between attempts. With it, a minute becomes about half a second.
const HASTE: f64 = 0.01;

/// The services that an execution calls.
pub trait Services: Sync {
    /// Invokes a function.
    fn invoke(
        &self,
        call: Call,
    ) -> impl Future<Output = std::result::Result<Value, FunctionError>> + Send;
    /// Reads an object.
    fn object(
        &self,
        bucket: &str,
        key: &str,
    ) -> impl Future<Output = std::result::Result<Bytes, FunctionError>> + Send;
}

/// One attempt of a state to call a function.
#[derive(Debug, Clone)]
pub struct Call {
    /// The function's name.
    pub function: String,
    /// The state that calls.
    pub state: String,
    /// The execution's name, which is the run's id.
    pub run: String,
    /// The index of the Map's item, if the state is inside a Map.
    pub item: Option<usize>,
    /// The number of the attempt, from 0.
    pub attempt: usize,
    /// How often the execution was redriven before.
    pub redrives: u32,
    /// The event.
    pub payload: Value,
}

/// How an execution ended.
#[derive(Debug, Clone)]
pub enum ExecutionEnd {
    /// It succeeded with this output.
    Succeeded(Value),
    /// It failed in this state, in which a redrive starts again.
    Failed {
        /// The state.
        state: String,
        /// The state's input.
        input: Value,
        /// The execution's input.
        started_with: Value,
        /// The name of the error.
        error: String,
        /// Its cause.
        cause: String,
        /// States that failed before, in order, with their errors.
        trail: Vec<String>,
    },
}

/// A state machine.
#[derive(Debug, Clone)]
pub struct Machine {
    definition: Value,
}

/// The context of the states that run: the context object (`$$`) and its parts.
struct Scope {
    context: Value,
    run: String,
    item: Option<usize>,
    redrives: u32,
    trail: std::sync::Mutex<Vec<String>>,
}

/// Why a state failed.
struct StateError {
    error: String,
    cause: String,
}

type FailedState = (String, Value, StateError);

impl Machine {
    /// Reads a definition. The `substitutions` are those of CloudFormation. A function's ARN is its
    /// name here.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn new(definition: &str, substitutions: &BTreeMap<&str, &str>) -> Result<Self> {
        let mut text = definition.to_owned();
        for (name, value) in substitutions {
            text = text.replace(&format!("${{{name}}}"), value);
        }

        Ok(Self {
            definition: serde_json::from_str(&text).context("the state machine's definition")?,
        })
    }

    /// Starts an execution and runs it to its end.
    ///
    /// # Errors
    /// When the definition uses what the interpreter does not know.
    pub async fn start(
        &self,
        services: &impl Services,
        name: &str,
        input: &Value,
    ) -> Result<ExecutionEnd> {
        let start = text(&self.definition, "StartAt")?;
        self.execute(services, (name, 0, input), start, input.clone()).await
    }

    /// Starts a failed execution again in the state that failed.
    ///
    /// # Errors
    /// When it did not fail, or like [`Machine::start`].
    pub async fn redrive(
        &self,
        services: &impl Services,
        name: &str,
        redrives: u32,
        ended: &ExecutionEnd,
    ) -> Result<ExecutionEnd> {
        let ExecutionEnd::Failed { state, input, started_with, .. } = ended else {
            bail!("{name} did not fail")
        };

        self.execute(services, (name, redrives, started_with), state, input.clone()).await
    }

    async fn execute(
        &self,
        services: &impl Services,
        (name, redrives, started_with): (&str, u32, &Value),
        start: &str,
        input: Value,
    ) -> Result<ExecutionEnd> {
        let scope = Scope {
            context: json!({
                "Execution": { "Name": name, "RedriveCount": redrives, "Input": started_with }
            }),
            run: name.to_owned(),
            item: None,
            redrives,
            trail: std::sync::Mutex::default(),
        };

        let outcome =
            run_states(services, &self.definition["States"], &scope, start.to_owned(), input)
                .await?;
        Ok(match outcome {
            Ok(output) => ExecutionEnd::Succeeded(output),
            Err((state, input, StateError { error, cause })) => {
                let trail = scope.trail.into_inner().unwrap_or_default();
                ExecutionEnd::Failed {
                    state,
                    input,
                    started_with: started_with.clone(),
                    error,
                    cause,
                    trail,
                }
            }
        })
    }
}

/// States that run: their output, or the state that failed. The outer error means that the
/// interpreter cannot run the definition.
type StatesFuture<'a> =
    Pin<Box<dyn Future<Output = Result<std::result::Result<Value, FailedState>>> + Send + 'a>>;

/// Runs states from `start` to an end. Boxed, because a Map runs states inside a state.
fn run_states<'a, S: Services>(
    services: &'a S,
    states: &'a Value,
    scope: &'a Scope,
    start: String,
    input: Value,
) -> StatesFuture<'a> {
    Box::pin(async move {
        let (mut name, mut data) = (start, input);
        loop {
            let state = states.get(&name).with_context(|| format!("there is no state {name:?}"))?;
            let input = data.clone();
            let outcome = match text(state, "Type")? {
                "Task" => task(services, state, scope, &name, data).await?,
                "Map" => map(services, state, scope, data).await?,
                "Choice" => {
                    name = choose(state, scope, &data)?;
                    continue;
                }
                "Pass" => apply_result(state, scope, &data, Value::Null).map(Ok)?,
                "Fail" => Err(StateError {
                    error: as_text(&by_path(state, "Error", scope, &data)?),
                    cause: as_text(&by_path(state, "Cause", scope, &data)?),
                }),
                "Succeed" => return Ok(Ok(data)),
                other => bail!("a state of type {other} is not known here"),
            };

            match outcome {
                Ok(output) if state["End"] == true => return Ok(Ok(output)),
                Ok(output) => (name, data) = (text(state, "Next")?.to_owned(), output),
                Err(error) => {
                    if let Ok(mut trail) = scope.trail.lock() {
                        trail.push(format!("{name} {}", error.error));
                    }

                    match caught(state, &error)? {
                        None => return Ok(Err((name, input, error))),
                        Some(catcher) => {
                            let told = json!({ "Error": error.error, "Cause": error.cause });
                            data = placed(&catcher["ResultPath"], &input, told)?;
                            name = text(catcher, "Next")?.to_owned();
                        }
                    }
                }
            }
        }
    })
}

async fn task<S: Services>(
    services: &S,
    state: &Value,
    scope: &Scope,
    name: &str,
    data: Value,
) -> Result<std::result::Result<Value, StateError>> {
    let parameters = template(&state["Parameters"], scope, &data)?;
    let mut retries = vec![0_u64; state["Retry"].as_array().map_or(0, Vec::len)];
    for attempt in 0.. {
        let call = Call {
            function: text(&parameters, "FunctionName")?.to_owned(),
            state: name.to_owned(),
            run: scope.run.clone(),
            item: scope.item,
            attempt,
            redrives: scope.redrives,
            payload: parameters["Payload"].clone(),
        };

        let error = match services.invoke(call).await {
            Ok(payload) => {
                return apply_result(
                    state,
                    scope,
                    &data,
                    json!({ "Payload": payload, "StatusCode": 200 }),
                )
                .map(Ok);
            }
            Err(error) => error,
        };

        let Some(wait) = next_wait(state, &mut retries, &error.error_type)? else {
            // Step Functions puts the function's own answer into the cause, as JSON in a text.
            let cause =
                json!({ "errorType": error.error_type, "errorMessage": error.message }).to_string();
            return Ok(Err(StateError { error: error.error_type, cause }));
        };

        tokio::time::sleep(wait).await;
    }

    bail!("attempts have no end")
}

/// How long to wait before the next attempt, or `None` when there is none.
fn next_wait(state: &Value, retries: &mut [u64], error: &str) -> Result<Option<Duration>> {
    for (retrier, used) in state["Retry"].as_array().into_iter().flatten().zip(retries) {
        if !matches(retrier, error)? {
            continue;
        }

        if *used >= retrier["MaxAttempts"].as_u64().unwrap_or(3) {
            return Ok(None);
        }

        let number = |name: &str, default: f64| retrier[name].as_f64().unwrap_or(default);
        let grown = number("IntervalSeconds", 1.0) * number("BackoffRate", 2.0).powf(*used as f64);
        *used += 1;
        // Full jitter waits between zero and this time; half of it is the mean.
        return Ok(Some(Duration::from_secs_f64(
            grown.min(number("MaxDelaySeconds", f64::MAX)) / 2.0 * HASTE,
        )));
    }

    Ok(None)
}

/// A Map as AWS runs it: when more items have failed than are tolerated, it starts no further item
/// and abandons those that run. The functions that they called continue without them.
async fn map<S: Services>(
    services: &S,
    state: &Value,
    scope: &Scope,
    data: Value,
) -> Result<std::result::Result<Value, StateError>> {
    let place = template(&state["ItemReader"]["Parameters"], scope, &data)?;
    let list = match services.object(text(&place, "Bucket")?, text(&place, "Key")?).await {
        Ok(list) => list,
        Err(error) => {
            return Ok(Err(StateError {
                error: "States.ItemReaderFailed".to_owned(),
                cause: error.to_string(),
            }));
        }
    };

    let items: Vec<Value> = serde_json::from_slice(&list).context("the Map's list of items")?;
    let width = by_path(state, "MaxConcurrency", scope, &data)?.as_u64().unwrap_or(1).max(1);
    let tolerated =
        state["ToleratedFailurePercentage"].as_f64().unwrap_or(0.0) / 100.0 * items.len() as f64;
    let mut failed = 0;
    let processor = &state["ItemProcessor"];
    let start = text(processor, "StartAt")?;
    let run_item = |(index, item): (usize, Value)| {
        let data = &data;
        async move {
            let mut context = scope.context.clone();
            context["Map"] = json!({ "Item": { "Index": index, "Value": item } });
            let inner = Scope {
                context,
                run: scope.run.clone(),
                item: Some(index),
                redrives: scope.redrives,
                trail: std::sync::Mutex::default(),
            };

            let input = template(&state["ItemSelector"], &inner, data)?;
            let outcome =
                run_states(services, &processor["States"], &inner, start.to_owned(), input).await?;
            Ok::<_, anyhow::Error>(outcome.err().map(|(state, _, error)| (index, state, error)))
        }
    };

    let mut running = futures_util::stream::iter(items.into_iter().enumerate().map(run_item))
        .buffer_unordered(usize::try_from(width)?);
    while let Some(outcome) = running.next().await {
        if let Some((index, inner, error)) = outcome? {
            if let Ok(mut trail) = scope.trail.lock() {
                trail.push(format!("item {index} {inner} {}", error.error));
            }

            failed += 1;
            if f64::from(failed) <= tolerated {
                continue;
            }

            let error = "States.ExceedToleratedFailureThreshold".to_owned();
            return Ok(Err(StateError {
                error,
                cause: "the specified tolerated failure threshold was exceeded".into(),
            }));
        }
    }

    apply_result(state, scope, &data, Value::Null).map(Ok)
}

fn choose(state: &Value, scope: &Scope, data: &Value) -> Result<String> {
    for choice in state["Choices"].as_array().into_iter().flatten() {
        let variable = select(text(choice, "Variable")?, scope, data);
        let holds = if let Some(bound) = choice["NumericGreaterThan"].as_f64() {
            variable?.as_f64().is_some_and(|value| value > bound)
        } else if let Some(wanted) = choice.get("BooleanEquals") {
            variable? == *wanted
        } else if let Some(wanted) = choice.get("StringEquals") {
            variable? == *wanted
        } else if let Some(wanted) = choice["IsPresent"].as_bool() {
            variable.is_ok() == wanted
        } else {
            bail!("this comparison is not known here: {choice}")
        };

        if holds {
            return Ok(text(choice, "Next")?.to_owned());
        }
    }

    Ok(text(state, "Default")?.to_owned())
}

fn caught<'s>(state: &'s Value, error: &StateError) -> Result<Option<&'s Value>> {
    for catcher in state["Catch"].as_array().into_iter().flatten() {
        if matches(catcher, &error.error)? {
            return Ok(Some(catcher));
        }
    }

    Ok(None)
}

fn matches(rule: &Value, error: &str) -> Result<bool> {
    let names = rule["ErrorEquals"].as_array().context("a rule without ErrorEquals")?;
    Ok(names.iter().filter_map(Value::as_str).any(|name| {
        name == error
            || name == "States.ALL"
            || (name == "States.TaskFailed" && error != "States.Timeout")
    }))
}

/// Applies ResultSelector, ResultPath and OutputPath, in this order.
fn apply_result(state: &Value, scope: &Scope, data: &Value, result: Value) -> Result<Value> {
    let result = match state.get("ResultSelector") {
        Some(selector) => template(selector, scope, &result)?,
        None => result,
    };

    let output = match state.get("ResultPath") {
        None if state["Type"] == "Pass" => data.clone(),
        None => result,
        Some(path) => placed(path, data, result)?,
    };

    match state.get("OutputPath").and_then(Value::as_str) {
        None => Ok(output),
        Some(path) => select(path, scope, &output),
    }
}

/// Puts `result` into `data` where a ResultPath says.
fn placed(path: &Value, data: &Value, result: Value) -> Result<Value> {
    let path = match path {
        Value::Null => return Ok(data.clone()),
        path => path.as_str().context("a ResultPath that is not a text")?,
    };

    if path == "$" {
        return Ok(result);
    }

    let field = path
        .strip_prefix("$.")
        .filter(|field| !field.contains(['.', '[']))
        .context("a ResultPath")?;
    let mut data = if data.is_object() { data.clone() } else { json!({}) };
    data[field] = result;
    Ok(data)
}

/// The value of the field `name`, or what its variant with the suffix `Path` points at.
fn by_path(state: &Value, name: &str, scope: &Scope, data: &Value) -> Result<Value> {
    match state.get(format!("{name}Path")).and_then(Value::as_str) {
        Some(path) => select(path, scope, data),
        None => Ok(state[name].clone()),
    }
}

/// A payload template: fields whose name ends in `.$` are paths or intrinsic functions.
fn template(value: &Value, scope: &Scope, data: &Value) -> Result<Value> {
    let Value::Object(fields) = value else { return Ok(value.clone()) };
    let mut made = Map::new();
    for (name, field) in fields {
        match (name.strip_suffix(".$"), field.as_str()) {
            (Some(name), Some(path)) => made.insert(name.to_owned(), select(path, scope, data)?),
            _ => made.insert(name.clone(), template(field, scope, data)?),
        };
    }

    Ok(Value::Object(made))
}

fn select(path: &str, scope: &Scope, data: &Value) -> Result<Value> {
    if let Some(argument) =
        path.strip_prefix("States.ArrayGetItem(").and_then(|rest| rest.strip_suffix(", 0)"))
    {
        return select(argument, scope, data)?
            .get(0)
            .cloned()
            .with_context(|| format!("{path}: nothing there"));
    }

    if let Some(argument) =
        path.strip_prefix("States.StringToJson('").and_then(|rest| rest.strip_suffix("')"))
    {
        return Ok(serde_json::from_str(argument)?);
    }

    let (root, fields) = match path.strip_prefix("$$") {
        Some(fields) => (&scope.context, fields),
        None => {
            (data, path.strip_prefix('$').with_context(|| format!("{path} is not known here"))?)
        }
    };

    let mut found = root;
    for field in fields.split('.').filter(|field| !field.is_empty()) {
        found = found.get(field).with_context(|| format!("{path} is not in {data}"))?;
    }

    Ok(found.clone())
}

fn text<'v>(value: &'v Value, name: &str) -> Result<&'v str> {
    value[name].as_str().with_context(|| format!("{name} is missing"))
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
