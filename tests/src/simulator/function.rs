//! The Lambda service for one function: starts its program as a process and serves it the Runtime
//! API.
//!
//! LocalStack's executor does the same for whole runs. This one can also do what Lambda does only
//! on a bad day: kill the process at a chosen moment, freeze it, lose an answer.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

const RUNTIME: &str = "/2018-06-01/runtime";

/// How to start a function.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Its `bootstrap`.
    pub program: PathBuf,
    /// The name that the program is given.
    pub name: String,
    /// Its environment variables beside those that Lambda sets. The test's own variables do not
    /// reach it.
    pub environment: Vec<(String, String)>,
    /// Its time-out. An event that takes longer ends the process, as on Lambda.
    pub timeout: Duration,
    /// The file to which its output is appended. Without a file the output is dropped.
    pub log: Option<PathBuf>,
    /// The command that runs the program, for one of another processor. Empty for none.
    pub runner: Vec<String>,
}

impl Launch {
    /// A function with a generous time-out, and with the address of a local AWS in its environment.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>, name: &str, endpoint: &str) -> Self {
        let local = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL", endpoint),
            ("RUST_BACKTRACE", "1"),
        ];

        Self {
            program: program.into(),
            name: name.to_owned(),
            environment: local.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            timeout: Duration::from_secs(120),
            log: None,
            runner: Vec::new(),
        }
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the time-out.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Appends the output to this file.
    #[must_use]
    pub fn log(mut self, file: &Path) -> Self {
        self.log = Some(file.to_owned());
        self
    }
}

/// Why an invocation failed, as Lambda would tell Step Functions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionError {
    /// The name that a state machine matches: the function's own (`Transient.Database`), or
    /// `Runtime.ExitError`, `Sandbox.Timedout`, `Lambda.ServiceException`.
    pub error_type: String,
    /// The message for people.
    pub message: String,
}

impl FunctionError {
    fn new(error_type: &str, message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), message: message.into() }
    }

    fn from_body(body: &[u8]) -> Self {
        let error: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        Self { error_type: text("errorType"), message: text("errorMessage") }
    }
}

impl fmt::Display for FunctionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.error_type, self.message)
    }
}

impl std::error::Error for FunctionError {}

/// What becomes of an answer that a function has given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// The caller gets it.
    Delivered,
    /// The service loses it, and the function does not know.
    Lost,
    /// The function is killed when it answers, and the answer is lost.
    Killed,
}

/// A running function.
#[derive(Debug)]
pub struct FunctionProcess {
    pid: Pid,
    timeout: Duration,
    shared: Arc<Connection>,
    events: mpsc::UnboundedSender<Event>,
    exited: watch::Receiver<Option<String>>,
    server: JoinHandle<()>,
}

/// An event on its way to the function.
#[derive(Debug)]
struct Event {
    request_id: String,
    payload: Bytes,
    deadline_ms: u128,
}

/// What the server of the Runtime API and the caller share.
#[derive(Debug)]
struct Connection {
    name: String,
    queue: Mutex<mpsc::UnboundedReceiver<Event>>,
    // By request id. Who removes an entry answers it.
    waiting: std::sync::Mutex<HashMap<String, PendingInvocation>>,
    init_error: std::sync::Mutex<Option<FunctionError>>,
}

#[derive(Debug)]
struct PendingInvocation {
    delivery: Delivery,
    answer: oneshot::Sender<Answer>,
}

#[derive(Debug)]
enum Answer {
    Delivered(std::result::Result<Bytes, FunctionError>),
    Lost,
    Kill,
}

impl FunctionProcess {
    /// Starts the program. Does not wait until it asks for its first event, as Lambda does not
    /// either.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start(launch: &Launch) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;

        let mut words = launch.runner.iter().map(OsStr::new).chain([launch.program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command
            .args(words)
            .env_clear()
            .env("TZ", "UTC")
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &launch.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1024")
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output(launch)?)
            .stderr(output(launch)?);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", launch.program.display()))?;

        let pid = Pid::from_child(&child);
        let (exit, exited) = watch::channel(None);
        std::thread::spawn(move || {
            let status = child.wait();
            let _ = exit.send(Some(
                status.map_or_else(|error| error.to_string(), |status| status.to_string()),
            ));
        });

        let (events, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Connection {
            name: launch.name.clone(),
            queue: Mutex::new(queue),
            waiting: std::sync::Mutex::default(),
            init_error: std::sync::Mutex::default(),
        });

        let server = tokio::spawn(serve(listener, shared.clone()));
        Ok(Self { pid, timeout: launch.timeout, shared, events, exited, server })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get().cast_unsigned()
    }

    /// Whether the process runs, or is frozen.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Sends an event and waits for the answer. Further events wait until the function asks for
    /// them.
    ///
    /// # Errors
    /// The function's own error, or Lambda's when the function dies or takes too long.
    pub async fn invoke(&self, payload: &Value) -> std::result::Result<Value, FunctionError> {
        self.invoke_with(payload, Delivery::Delivered).await
    }

    /// Like [`FunctionProcess::invoke`], and decides what becomes of the answer.
    ///
    /// # Errors
    /// Like [`FunctionProcess::invoke`]. A lost answer is a `Lambda.ServiceException`.
    pub async fn invoke_with(
        &self,
        payload: &Value,
        delivery: Delivery,
    ) -> std::result::Result<Value, FunctionError> {
        let answer = self.invoke_bytes(payload.to_string().into(), delivery).await?;
        serde_json::from_slice(&answer).map_err(|error| {
            FunctionError::new(
                "Runtime.MalformedResponse",
                format!("the answer is not JSON: {error}"),
            )
        })
    }

    /// Like [`FunctionProcess::invoke_with`], with an event that need not be JSON.
    ///
    /// # Errors
    /// Like [`FunctionProcess::invoke_with`].
    pub async fn invoke_bytes(
        &self,
        payload: Bytes,
        delivery: Delivery,
    ) -> std::result::Result<Bytes, FunctionError> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let request_id =
            format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed));
        let deadline =
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + self.timeout;

        let (sender, answer) = oneshot::channel();
        lock(&self.shared.waiting)
            .insert(request_id.clone(), PendingInvocation { delivery, answer: sender });
        let event =
            Event { request_id: request_id.clone(), payload, deadline_ms: deadline.as_millis() };
        // The queue closes with its receiver, which this function's own `shared` keeps.
        let _ = self.events.send(event);

        let outcome = tokio::select! {
            biased;
            answer = answer => match answer {
                Ok(Answer::Delivered(outcome)) => outcome,
                Ok(Answer::Lost) => {
                    Err(FunctionError::new("Lambda.ServiceException", "the answer was lost"))
                }
                Ok(Answer::Kill) | Err(_) => {
                    self.kill().await;
                    Err(self.exit_error())
                }
            },
            () = self.gone() => Err(self.exit_error()),
            () = tokio::time::sleep(self.timeout) => {
                self.kill().await;
                let seconds = self.timeout.as_secs_f64();
                let message = format!("Task timed out after {seconds:.2} seconds");
                Err(FunctionError::new("Sandbox.Timedout", message))
            }
        };

        lock(&self.shared.waiting).remove(&request_id);
        outcome
    }

    /// Ends the process as a lost machine would, and waits until it is gone.
    pub async fn kill(&self) {
        self.signal(Signal::KILL);
        self.gone().await;
    }

    async fn gone(&self) {
        let _ = self.exited.clone().wait_for(Option::is_some).await;
    }

    /// Freezes the process, as Lambda does between two events.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Continues a frozen process.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        // The id of a process that is gone may belong to another process.
        if self.is_alive() {
            let _ = kill_process(self.pid, signal);
        }
    }

    fn exit_error(&self) -> FunctionError {
        if let Some(error) = lock(&self.shared.init_error).clone() {
            return error;
        }

        let status = self.exited.borrow().clone().unwrap_or_default();
        FunctionError::new("Runtime.ExitError", format!("the function's process ended: {status}"))
    }
}

impl Drop for FunctionProcess {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        self.server.abort();
    }
}

fn output(launch: &Launch) -> Result<Stdio> {
    let Some(path) = &launch.log else { return Ok(Stdio::null()) };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    Ok(file.with_context(|| format!("cannot write the log {}", path.display()))?.into())
}

/// A lock that a panicking test has poisoned is still good, because what it guards is only replaced
/// as a whole.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn serve(listener: TcpListener, shared: Arc<Connection>) {
    // When this task ends, the set is dropped, and with it every connection.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        connections.spawn(serve_connection(stream, shared.clone()));
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Connection>) {
    let service = service_fn(move |request| {
        let shared = shared.clone();
        async move { Ok::<_, Infallible>(shared.answer(request).await) }
    });

    // A function that is killed closes the connection early. That is not an error of the server.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl Connection {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path().strip_prefix(RUNTIME).unwrap_or_default().to_owned();
        if parts.method == Method::GET && path == "/invocation/next" {
            return self.next_event().await;
        }

        let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
            return reply(StatusCode::BAD_REQUEST, "the body was cut short");
        };

        if path == "/init/error" {
            *lock(&self.init_error) = Some(FunctionError::from_body(&body));
            return reply(StatusCode::ACCEPTED, "OK");
        }

        let Some((request_id, what)) =
            path.strip_prefix("/invocation/").and_then(|path| path.split_once('/'))
        else {
            return reply(StatusCode::NOT_FOUND, "no such path");
        };

        let outcome = match what {
            "response" => Ok(body),
            "error" => Err(FunctionError::from_body(&body)),
            _ => return reply(StatusCode::NOT_FOUND, "no such path"),
        };

        let Some(waiting) = lock(&self.waiting).remove(request_id) else {
            return reply(StatusCode::BAD_REQUEST, "no such request id");
        };

        match waiting.delivery {
            Delivery::Delivered => {
                let _ = waiting.answer.send(Answer::Delivered(outcome));
            }
            Delivery::Lost => {
                let _ = waiting.answer.send(Answer::Lost);
            }
            Delivery::Killed => {
                let _ = waiting.answer.send(Answer::Kill);
                // It dies before it hears that its answer has arrived.
                std::future::pending::<()>().await;
            }
        }

        reply(StatusCode::ACCEPTED, "OK")
    }

    /// Waits for an event. If the function closes the connection meanwhile, the wait ends and no
    /// event is lost.
    async fn next_event(&self) -> Response<Full<Bytes>> {
        let Some(event) = self.queue.lock().await.recv().await else {
            return reply(StatusCode::GONE, "the environment is shutting down");
        };

        let mut response = Response::new(Full::new(event.payload));
        let arn = format!("arn:aws:lambda:us-east-1:000000000000:function:{}", self.name);
        let trace = "Root=1-00000000-000000000000000000000000;Sampled=0".to_owned();
        for (name, value) in [
            ("lambda-runtime-aws-request-id", event.request_id),
            ("lambda-runtime-deadline-ms", event.deadline_ms.to_string()),
            ("lambda-runtime-invoked-function-arn", arn),
            ("lambda-runtime-trace-id", trace),
            (CONTENT_TYPE.as_str(), "application/json".to_owned()),
        ] {
            if let (Ok(name), Ok(value)) =
                (hyper::header::HeaderName::try_from(name), HeaderValue::try_from(value.as_str()))
            {
                response.headers_mut().insert(name, value);
            }
        }

        response
    }
}

fn reply(status: StatusCode, message: &str) -> Response<Full<Bytes>> {
    let mut response =
        Response::new(Full::new(Bytes::from(json!({ "status": message }).to_string())));
    *response.status_mut() = status;
    response
}
