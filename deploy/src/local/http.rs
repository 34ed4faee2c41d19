//! Sends one HTTP GET to a service on this machine. Health checks use it before an AWS client can
//! connect.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// The largest answer that is read; the rest is cut off.
const MAX_ANSWER_BYTES: u64 = 4 * 1024 * 1024;

/// Sends a GET to `port` on this machine and returns the body. `headers` are complete lines, each
/// ended by CRLF. `timeout` bounds the connection, each read and each write.
///
/// # Errors
/// When the service cannot be reached, or answers with another status than 200.
pub fn get(port: u16, path: &str, headers: &str, timeout: Duration) -> Result<String> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    // With HTTP/1.0 the server closes the connection after the answer, and sends it in one piece.
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAccept: application/json\r\n{headers}\r\n"
    )?;

    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split(' ').nth(1).unwrap_or_default();
    if status != "200" {
        bail!("HTTP status {status}: {}", body.chars().take(500).collect::<String>());
    }

    Ok(body.to_owned())
}
