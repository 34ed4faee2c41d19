//! A server that answers as AWS documents, for what LocalStack lacks: refusals, and the redrive of an
//! execution.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};

/// A request, as far as an answer depends on it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The operation, for example `DescribeStacks`; of S3 the method and the path.
    pub operation: String,
    /// The body.
    pub body: String,
}

/// An answer of the server.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
}

impl Answer {
    /// The answer of a service with a JSON protocol, as Step Functions is.
    #[must_use]
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, content_type: "application/x-amz-json-1.0", body: body.to_string() }
    }

    /// The answer of a service with the query protocol, as CloudFormation and STS are. `result` is
    /// what is inside of `<operation>Result`.
    #[must_use]
    pub fn query(operation: &str, result: &str) -> Self {
        let result = format!("<{operation}Result>{result}</{operation}Result>");
        let body = format!("<{operation}Response>{result}</{operation}Response>");
        Self { status: 200, content_type: "text/xml", body }
    }

    /// The refusal of a service with the query protocol.
    #[must_use]
    pub fn query_error(status: u16, code: &str, message: &str) -> Self {
        let error = format!("<Type>Sender</Type><Code>{code}</Code><Message>{message}</Message>");
        let body = format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>");
        Self { status, content_type: "text/xml", body }
    }
}

/// The server; it ends with the test's process.
#[derive(Debug)]
pub struct StandIn {
    /// Its address, for `AWS_ENDPOINT_URL`.
    pub endpoint: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl StandIn {
    /// Starts a server on a free port. `answer` may change with every request.
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(answer: impl FnMut(&Request) -> Answer + Send + 'static) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (noted, mut answer) = (Arc::clone(&seen), answer);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that hangs up has what it wanted.
                let _ = serve(stream, &noted, &mut answer);
            }
        });
        Ok(Self { endpoint, seen })
    }

    /// The operations that were asked for, in order.
    #[must_use]
    pub fn operations(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().map(|request| request.operation.clone()).collect()
    }
}

fn serve(
    stream: TcpStream,
    seen: &Mutex<Vec<Request>>,
    answer: &mut impl FnMut(&Request) -> Answer,
) -> Result<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }

    let header = |name: &str| {
        lines
            .iter()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let length = header("content-length").map_or(Ok(0), |length| length.parse())?;
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let first = lines.first().context("a request has a first line")?;
    let action = body.split('&').find_map(|field| field.strip_prefix("Action="));
    let operation = match (header("x-amz-target"), action) {
        (Some(target), _) => target.rsplit('.').next().unwrap_or_default().to_owned(),
        (None, Some(action)) => action.to_owned(),
        (None, None) => {
            first.rsplit_once(' ').map_or_else(String::new, |(what, _)| what.to_owned())
        }
    };

    let request = Request { operation, body };
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
    let Answer { status, content_type, body } = answer(&request);
    write!(
        reader.get_mut(),
        "HTTP/1.1 {status} Any\r\ncontent-type: {content_type}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    Ok(())
}
