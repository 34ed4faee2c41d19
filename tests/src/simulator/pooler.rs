//! A pooler before PostgreSQL that answers a startup packet as PgBouncer and RDS Proxy do: one with
//! `options` is refused.
//!
//! What comes after the startup packet it passes on unchanged, so it pools nothing. The real
//! PgBouncer is in the suite `pgbouncer`.

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The requests for TLS and for GSSAPI, in the place of a version.
const REQUESTS_FOR_ENCRYPTION: [u32; 2] = [80_877_103, 80_877_104];
/// Longest startup packet that the server would read.
const MAX_PACKET_BYTES: u32 = 10_000;

/// Whose refusal it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolerKind {
    /// PgBouncer with its default configuration.
    PgBouncer,
    /// Amazon RDS Proxy.
    RdsProxy,
}

impl PoolerKind {
    /// SQLSTATE and message.
    const fn refusal(self) -> (&'static str, &'static str) {
        match self {
            Self::PgBouncer => ("08P01", "unsupported startup parameter: options"),
            Self::RdsProxy => (
                "0A000",
                "Feature not supported: RDS Proxy currently doesn\u{2019}t support command-line \
                 options.",
            ),
        }
    }
}

/// A pooler before a server on this machine; it ends when dropped.
#[derive(Debug)]
pub struct Pooler {
    port: u16,
    server: JoinHandle<()>,
}

impl Pooler {
    /// Listens on a port of its own, for the server on the port `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(kind: PoolerKind, upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                // A connection that breaks off is the client's to report.
                tokio::spawn(async move { connection(client, kind, upstream).await.ok() });
            }
        });

        Ok(Self { port, server })
    }

    /// The port to connect to.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn connection(mut client: TcpStream, kind: PoolerKind, upstream: u16) -> Result<()> {
    let packet = loop {
        let length = client.read_u32().await?;
        anyhow::ensure!((8..=MAX_PACKET_BYTES).contains(&length), "no startup packet");
        let mut packet = length.to_be_bytes().to_vec();
        packet.resize(length as usize, 0);
        client.read_exact(&mut packet[4..]).await?;
        let code = u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]);
        if !REQUESTS_FOR_ENCRYPTION.contains(&code) {
            break packet;
        }

        client.write_all(b"N").await?;
    };

    if asks_for_options(&packet[8..]) {
        client.write_all(&error_response(kind.refusal())).await?;
        return Ok(client.shutdown().await?);
    }

    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.write_all(&packet).await?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}

/// The parameters are names and values in turn, each with a zero byte after it.
fn asks_for_options(parameters: &[u8]) -> bool {
    parameters.split(|byte| *byte == 0).step_by(2).any(|name| name == b"options")
}

fn error_response((state, message): (&str, &str)) -> Vec<u8> {
    let mut fields = Vec::new();
    for (field, value) in [(b'S', "FATAL"), (b'V', "FATAL"), (b'C', state), (b'M', message)] {
        fields.push(field);
        fields.extend_from_slice(value.as_bytes());
        fields.push(0);
    }

    fields.push(0);
    let mut response = vec![b'E'];
    response.extend_from_slice(&(fields.len() as u32 + 4).to_be_bytes());
    response.extend_from_slice(&fields);
    response
}
