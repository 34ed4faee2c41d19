//! A proxy before PostgreSQL that can cut connections: at any time, or exactly at a COMMIT.
//!
//! It passes the bytes unchanged, and looks only for the driver's simple query `COMMIT`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The driver's simple query, with the zero byte that ends its text.
const COMMIT: &[u8] = b"COMMIT\0";

/// A proxy before a server on this machine.
#[derive(Debug)]
pub struct DatabaseProxy {
    port: u16,
    wire: Arc<Wire>,
    server: JoinHandle<()>,
}

#[derive(Debug)]
struct Wire {
    upstream: u16,
    // Incremented to cut every open connection.
    cuts: watch::Sender<u64>,
    // How many of the next COMMITs do not reach the server, and how many answers do not come back.
    commits_lost: AtomicU64,
    answers_lost: AtomicU64,
    refusing: AtomicBool,
}

impl DatabaseProxy {
    /// Listens on a port of its own, for the server on the port `upstream`.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(upstream: u16) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let port = listener.local_addr()?.port();
        let wire = Arc::new(Wire {
            upstream,
            cuts: watch::Sender::new(0),
            commits_lost: AtomicU64::new(0),
            answers_lost: AtomicU64::new(0),
            refusing: AtomicBool::new(false),
        });

        let shared = wire.clone();
        let server = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                connections.spawn(connection(client, shared.clone()));
            }
        });

        Ok(Self { port, wire, server })
    }

    /// The port to connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every open connection.
    pub fn cut(&self) {
        self.wire.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Cuts every open connection and refuses new ones, until [`DatabaseProxy::calm`].
    pub fn refuse(&self) {
        self.wire.refusing.store(true, Ordering::SeqCst);
        self.cut();
    }

    /// Cuts the connection of the next COMMIT before the server sees it.
    pub fn lose_commit(&self) {
        self.wire.commits_lost.store(1, Ordering::SeqCst);
    }

    /// Lets the server see the next COMMIT, and cuts the connection instead of passing on the
    /// answer.
    pub fn lose_answer(&self) {
        self.wire.answers_lost.store(1, Ordering::SeqCst);
    }

    /// Takes back [`DatabaseProxy::lose_commit`] or [`DatabaseProxy::lose_answer`]. Returns whether
    /// it had happened.
    pub fn withdraw(&self, commit: bool) -> bool {
        !taken(if commit { &self.wire.commits_lost } else { &self.wire.answers_lost })
    }

    /// Takes back what has not happened yet, and takes new connections.
    pub fn calm(&self) {
        self.wire.refusing.store(false, Ordering::SeqCst);
        self.wire.commits_lost.store(0, Ordering::SeqCst);
        self.wire.answers_lost.store(0, Ordering::SeqCst);
    }
}

impl Drop for DatabaseProxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn connection(client: TcpStream, wire: Arc<Wire>) {
    if wire.refusing.load(Ordering::SeqCst) {
        return;
    }

    let Ok(server) = TcpStream::connect(("127.0.0.1", wire.upstream)).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mut cuts = wire.cuts.subscribe();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let silenced = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // The first of these to end closes the connection, because the halves are dropped with this
    // task.
    tokio::select! {
        () = forward_statements(from_client, to_server, &wire, &silenced) => {}
        () = forward_answers(from_server, to_client, &silenced) => {}
        _ = cuts.changed() => {}
    }
}

async fn forward_statements(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    wire: &Wire,
    silenced: &std::sync::atomic::AtomicBool,
) {
    let mut buffer = vec![0_u8; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let statements = &buffer[..length];
        if statements.windows(COMMIT.len()).any(|window| window == COMMIT) {
            if taken(&wire.commits_lost) {
                return;
            }

            if taken(&wire.answers_lost) {
                silenced.store(true, Ordering::SeqCst);
            }
        }

        if to.write_all(statements).await.is_err() {
            return;
        }
    }
}

async fn forward_answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    silenced: &std::sync::atomic::AtomicBool,
) {
    let mut buffer = vec![0_u8; 64 * 1024];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // The server has answered, so it has committed.
        if silenced.load(Ordering::SeqCst) || to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

fn taken(count: &AtomicU64) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| count.checked_sub(1)).is_ok()
}
