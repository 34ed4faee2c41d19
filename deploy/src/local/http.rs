//! One GET to a service on this machine: health checks, before any AWS client can talk to it.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// No answer of interest is larger.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// The body of a 200 answer. `headers` are whole lines, each ended by CRLF.
pub fn get(port: u16, path: &str, headers: &str, timeout: Duration) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // HTTP/1.0: the server ends the answer by closing, and never sends it in chunks.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n{headers}\r\n"
    )?;

    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is no HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("HTTP status {status}: {}", body.chars().take(500).collect::<String>());
    }

    Ok(body.to_owned())
}
