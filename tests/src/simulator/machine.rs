//! An interpreter of the Amazon States Language, for as much of it as our definition uses.
//!
//! It reads the deployed definition, so the retries and catches under test are the deployed ones.
//! Only the waits between attempts are shorter. What it does not know is an error, never a guess.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use super::function::FunctionError;

/// The factor for waits between attempts. With it, a minute becomes about half a second.
const HASTE: f64 = 0.01;

/// The names of errors that end the whole execution when a service answers with them: somebody
/// stops it, or its own time-out is over.
pub const INTERRUPTIONS: [&str; 2] = ["ABORTED", "TIMED_OUT"];

/// The errors that no Retry and no Catch takes, not even with `States.ALL`.
const TERMINAL: [&str; 2] = ["States.Runtime", "States.DataLimitExceeded"];

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

/// What `$$.Execution` says of an execution, whatever happens to it.
#[derive(Debug, Clone)]
pub struct Execution {
    /// The name, which is the run's id.
    pub name: String,
    /// The input.
    pub input: Value,
    /// When it was started.
    pub started_at: DateTime<Utc>,
}

/// How an execution ended.
#[derive(Debug, Clone)]
pub enum ExecutionEnd {
    /// It succeeded with this output.
    Succeeded(Value),
    /// It ended in this state, in which a redrive starts again.
    Failed {
        /// FAILED, ABORTED or TIMED_OUT.
        status: String,
        /// The execution.
        execution: Box<Execution>,
        /// The state.
        state: String,
        /// The state's input.
        input: Value,
        /// The items of the Map that was interrupted.
        map_run: Option<MapRun>,
        /// The name of the error.
        error: String,
        /// Its cause.
        cause: String,
        /// States that failed before, in order, with their errors.
        trail: Vec<String>,
    },
}

/// How far a Map has come. A redrive of the Map continues with it.
#[derive(Debug, Clone)]
pub struct MapRun {
    items: Vec<Value>,
    progress: Vec<Arc<Mutex<Progress>>>,
}

/// How far an item of a Map has come.
#[derive(Debug, Clone)]
enum Progress {
    NotStarted,
    /// In this state, with this input.
    In(String, Value),
    Succeeded,
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
    trail: Mutex<Vec<String>>,
    map_run: Mutex<Option<MapRun>>,
    progress: Option<Arc<Mutex<Progress>>>,
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
        self.start_at(services, name, input, Utc::now()).await
    }

    /// Like [`Machine::start`], at another time.
    ///
    /// # Errors
    /// Like [`Machine::start`].
    pub async fn start_at(
        &self,
        services: &impl Services,
        name: &str,
        input: &Value,
        started_at: DateTime<Utc>,
    ) -> Result<ExecutionEnd> {
        let execution = Execution { name: name.to_owned(), input: input.clone(), started_at };
        let start = text(&self.definition, "StartAt")?;
        self.execute(services, execution, 0, (start, input.clone(), None)).await
    }

    /// Starts an execution that has failed or was interrupted again, in the state in which it
    /// ended. A Map continues with the items that have not succeeded, each in the state in which it
    /// ended.
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
        let ExecutionEnd::Failed { execution, state, input, map_run, .. } = ended else {
            bail!("{name} did not fail")
        };

        let from = (state.as_str(), input.clone(), map_run.clone());
        self.execute(services, (**execution).clone(), redrives, from).await
    }

    async fn execute(
        &self,
        services: &impl Services,
        execution: Execution,
        redrives: u32,
        (start, input, map_run): (&str, Value, Option<MapRun>),
    ) -> Result<ExecutionEnd> {
        let started_at = execution.started_at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let scope = Scope {
            context: json!({
                "Execution": {
                    "Name": execution.name, "RedriveCount": redrives, "Input": execution.input,
                    "StartTime": started_at
                }
            }),
            run: execution.name.clone(),
            item: None,
            redrives,
            trail: Mutex::default(),
            map_run: Mutex::new(map_run),
            progress: None,
        };

        let outcome =
            run_states(services, &self.definition["States"], &scope, start.to_owned(), input)
                .await?;
        Ok(match outcome {
            Ok(output) => ExecutionEnd::Succeeded(output),
            Err((state, input, StateError { error, cause })) => ExecutionEnd::Failed {
                status: if is_interruption(&error) { error.clone() } else { "FAILED".to_owned() },
                execution: Box::new(execution),
                state,
                input,
                map_run: lock(&scope.map_run).take(),
                error,
                cause,
                trail: lock(&scope.trail).clone(),
            },
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
            if let Some(progress) = &scope.progress {
                *lock(progress) = Progress::In(name.clone(), data.clone());
            }

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
                    lock(&scope.trail).push(format!("{name} {}", error.error));

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
    let resumed = lock(&scope.map_run).take();
    let map_run = match resumed {
        Some(map_run) => map_run,
        None => match read_items(services, state, scope, &data).await? {
            Ok(map_run) => map_run,
            Err(error) => return Ok(Err(error)),
        },
    };

    let width = by_path(state, "MaxConcurrency", scope, &data)?.as_u64().unwrap_or(1).max(1);
    let share = state["ToleratedFailurePercentage"].as_f64().unwrap_or(0.0) / 100.0;
    let tolerated = share * map_run.items.len() as f64;
    let mut failed = 0;
    let run_item = |index| run_item(services, state, scope, &data, &map_run, index);
    let mut running = futures_util::stream::iter((0..map_run.items.len()).map(run_item))
        .buffer_unordered(usize::try_from(width)?);
    while let Some(outcome) = running.next().await {
        let Some((index, inner, error)) = outcome? else { continue };
        lock(&scope.trail).push(format!("item {index} {inner} {}", error.error));
        if is_interruption(&error.error) {
            drop(running);
            *lock(&scope.map_run) = Some(map_run);
            return Ok(Err(error));
        }

        failed += 1;
        if f64::from(failed) > tolerated {
            return Ok(Err(StateError {
                error: "States.ExceedToleratedFailureThreshold".to_owned(),
                cause: "the specified tolerated failure threshold was exceeded".into(),
            }));
        }
    }

    apply_result(state, scope, &data, Value::Null).map(Ok)
}

async fn read_items<S: Services>(
    services: &S,
    state: &Value,
    scope: &Scope,
    data: &Value,
) -> Result<std::result::Result<MapRun, StateError>> {
    let place = template(&state["ItemReader"]["Parameters"], scope, data)?;
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
    let not_started = || Arc::new(Mutex::new(Progress::NotStarted));
    let progress = items.iter().map(|_| not_started()).collect();
    Ok(Ok(MapRun { items, progress }))
}

/// Runs one item to its end, from where it was. The answer is the item's failure.
async fn run_item<S: Services>(
    services: &S,
    state: &Value,
    scope: &Scope,
    data: &Value,
    map_run: &MapRun,
    index: usize,
) -> Result<Option<(usize, String, StateError)>> {
    let mut context = scope.context.clone();
    context["Map"] = json!({ "Item": { "Index": index, "Value": map_run.items[index] } });
    let progress = map_run.progress[index].clone();
    let inner = Scope {
        context,
        run: scope.run.clone(),
        item: Some(index),
        redrives: scope.redrives,
        trail: Mutex::default(),
        map_run: Mutex::default(),
        progress: Some(progress.clone()),
    };

    let processor = &state["ItemProcessor"];
    let before = lock(&progress).clone();
    let (start, input) = match before {
        Progress::Succeeded => return Ok(None),
        Progress::In(state, input) => (state, input),
        Progress::NotStarted => (
            text(processor, "StartAt")?.to_owned(),
            template(&state["ItemSelector"], &inner, data)?,
        ),
    };

    let outcome = run_states(services, &processor["States"], &inner, start, input).await?;
    Ok(match outcome {
        Ok(_) => {
            *lock(&progress) = Progress::Succeeded;
            None
        }
        Err((state, _, error)) => Some((index, state, error)),
    })
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
    if TERMINAL.contains(&error) || is_interruption(error) {
        return Ok(false);
    }

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
        path.strip_prefix("States.Format('").and_then(|rest| rest.strip_suffix(')'))
    {
        let (pattern, argument) = argument.split_once("', ").context("States.Format")?;
        return Ok(pattern.replace("{}", &as_text(&select(argument, scope, data)?)).into());
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

fn is_interruption(error: &str) -> bool {
    INTERRUPTIONS.contains(&error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
