//! A proxy before S3 that breaks requests by rules: it refuses, delays, truncates, or closes the
//! connection.

use std::convert::Infallible;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

type Body = UnsyncBoxBody<Bytes, io::Error>;

/// What happens to a request to S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StorageFault {
    /// The answer is this status (403, 404, 500, 503), and nothing is done.
    Status(u16),
    /// The answer comes late.
    Slow(Duration),
    /// Half of the object arrives, and the connection ends.
    Truncated,
    /// The connection ends without an answer, and nothing is done.
    Refused,
    /// The connection ends without an answer, and the request is done.
    Forgotten,
}

/// A fault, the requests that it breaks, and how many of them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The method of the requests.
    pub method: Method,
    /// Texts that the path must contain.
    pub path: Vec<String>,
    /// What happens to them.
    pub fault: StorageFault,
    /// How many requests it breaks. The client tries three times by itself.
    pub times: u32,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    active: Vec<ActiveRule>,
}

#[derive(Debug)]
struct ActiveRule {
    number: u64,
    times: u32,
    rule: Rule,
}

/// A proxy before an S3 on this machine.
#[derive(Debug)]
pub struct StorageProxy {
    port: u16,
    rules: Arc<Mutex<Rules>>,
    server: JoinHandle<()>,
}

impl StorageProxy {
    /// Listens on a port of its own, for the service on the port `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let rules = Arc::<Mutex<Rules>>::default();
        let shared = rules.clone();
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let rules = shared.clone();
                let service = service_fn(move |request| answer(request, upstream, rules.clone()));
                connections.spawn(async move {
                    let http = hyper::server::conn::http1::Builder::new();
                    let _ = http.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });

        Ok(Self { port, rules, server })
    }

    /// The address for requests.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Adds a rule and returns its number. The first rule that matches a request counts.
    pub fn add(&self, rule: Rule) -> u64 {
        let mut rules = lock(&self.rules);
        rules.next += 1;
        let number = rules.next;
        rules.active.push(ActiveRule { number, times: rule.times, rule });
        number
    }

    /// Removes a rule. Returns how many requests it broke.
    pub fn withdraw(&self, number: u64) -> u32 {
        let mut rules = lock(&self.rules);
        let Some(position) = rules.active.iter().position(|active| active.number == number) else {
            return 0;
        };

        let active = rules.active.remove(position);
        active.times - active.rule.times
    }

    /// Removes every rule.
    pub fn calm(&self) {
        lock(&self.rules).active.clear();
    }
}

impl Drop for StorageProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(rules: &Mutex<Rules>) -> std::sync::MutexGuard<'_, Rules> {
    rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

async fn answer(
    request: Request<Incoming>,
    upstream: u16,
    rules: Arc<Mutex<Rules>>,
) -> io::Result<Response<Body>> {
    let fault = fault_for(&request, &rules);
    match fault {
        Some(StorageFault::Status(status)) => {
            // The request is read to its end, so that the client gets the answer.
            let _ = request.into_body().collect().await;
            Ok(refusal(status))
        }
        Some(StorageFault::Refused) => Err(io::ErrorKind::ConnectionReset.into()),
        Some(StorageFault::Forgotten) => {
            forward(request, upstream).await?;
            Err(io::ErrorKind::ConnectionReset.into())
        }
        Some(StorageFault::Slow(time)) => {
            tokio::time::sleep(time).await;
            forward(request, upstream).await.map(whole)
        }
        Some(StorageFault::Truncated) => forward(request, upstream).await.map(cut_short),
        None => forward(request, upstream).await.map(whole),
    }
}

fn fault_for(request: &Request<Incoming>, rules: &Mutex<Rules>) -> Option<StorageFault> {
    // A client escapes this one character of our keys.
    let path = request.uri().path().replace("%3D", "=");
    let mut rules = lock(rules);
    let rule = rules.active.iter_mut().map(|active| &mut active.rule).find(|rule| {
        rule.times > 0
            && rule.method == request.method()
            && rule.path.iter().all(|part| path.contains(part.as_str()))
    })?;

    rule.times -= 1;
    Some(rule.fault)
}

async fn forward(request: Request<Incoming>, upstream: u16) -> io::Result<Response<Bytes>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    for hop in [CONNECTION, EXPECT, TRANSFER_ENCODING] {
        parts.headers.remove(hop);
    }

    parts.headers.insert(CONTENT_LENGTH, body.len().into());
    let stream = TcpStream::connect(("127.0.0.1", upstream)).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let response = sender
        .send_request(Request::from_parts(parts, Full::new(body)))
        .await
        .map_err(io::Error::other)?;
    let (mut parts, body) = response.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    for hop in [CONNECTION, TRANSFER_ENCODING] {
        parts.headers.remove(hop);
    }

    Ok(Response::from_parts(parts, body))
}

fn whole(response: Response<Bytes>) -> Response<Body> {
    response.map(|bytes| Full::new(bytes).map_err(never).boxed_unsync())
}

/// Announces the whole length, and sends half of the bytes.
fn cut_short(mut response: Response<Bytes>) -> Response<Body> {
    let length = response.body().len();
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response.map(|bytes| {
        let frames: [io::Result<_>; 2] = [
            Ok(Frame::data(bytes.slice(..length / 2))),
            Err(io::ErrorKind::ConnectionReset.into()),
        ];

        StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync()
    })
}

fn refusal(status: u16) -> Response<Body> {
    let code = match status {
        403 => "AccessDenied",
        404 => "NoSuchKey",
        503 => "SlowDown",
        _ => "InternalError",
    };

    let document =
        format!("<Error><Code>{code}</Code><Message>by the test's order</Message></Error>");
    let mut response =
        Response::new(Full::new(Bytes::from(document)).map_err(never).boxed_unsync());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn never(error: Infallible) -> io::Error {
    match error {}
}
