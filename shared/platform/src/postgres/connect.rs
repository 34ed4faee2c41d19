//! Connecting: TLS by the URL's `sslmode`, time-outs on everything, a pool of one.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use limit_increase_domain::{Failure, FailureKind};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{database_failure, pool_failure};
use crate::environment;
use crate::secrets::DatabaseUrl;

/// A statement that runs longer is cancelled; generous, since the query of a large run streams for minutes.
const STATEMENT_TIMEOUT_SECONDS: u32 = 840;
/// A lock not had within this time is a transient failure.
const LOCK_TIMEOUT_SECONDS: u32 = 30;
/// A transaction whose function has died is ended by the server after this time, and its locks with it.
const IDLE_IN_TRANSACTION_SECONDS: u32 = 60;

/// Connections for one function environment.
///
/// The pool holds a single connection: an environment handles one event at a time. Its point is the check of a
/// connection that slept through a freeze of the environment before it is used again.
#[derive(Debug, Clone)]
pub struct Database {
    pool: Pool,
}

impl Database {
    /// A pool for this database. Nothing is connected yet.
    ///
    /// # Errors
    /// `Permanent.Configuration` when the URL or the certificate bundle can't be read.
    pub fn new(url: &DatabaseUrl) -> Result<Self, Failure> {
        let config = parse(url)?;
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
        let manager = match tls_for(&config)? {
            Some(tls) => Manager::from_config(config, tls, recycling),
            None => Manager::from_config(config, NoTls, recycling),
        };
        let pool = Pool::builder(manager)
            .max_size(1)
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .create_timeout(Some(Duration::from_secs(20)))
            .recycle_timeout(Some(Duration::from_secs(5)))
            .wait_timeout(Some(Duration::from_secs(20)))
            .build()
            .map_err(|error| Failure::new(FailureKind::Configuration, format!("connection pool: {error}")))?;
        Ok(Self { pool })
    }

    /// A live connection.
    ///
    /// # Errors
    /// `Transient.Database` when the server can't be reached, `Permanent.DatabaseRefused` when it refuses.
    pub async fn client(&self) -> Result<Object, Failure> {
        self.pool.get().await.map_err(|error| pool_failure(&error))
    }
}

/// One connection outside any pool, for the command line.
///
/// # Errors
/// As [`Database::client`].
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Failure> {
    let config = parse(url)?;
    let refused = |error| database_failure("cannot connect to PostgreSQL", &error);
    // The connection's task ends with the client; its error reaches the client's next call.
    Ok(match tls_for(&config)? {
        Some(tls) => {
            let (client, connection) = config.connect(tls).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
        None => {
            let (client, connection) = config.connect(NoTls).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
    })
}

fn parse(url: &DatabaseUrl) -> Result<Config, Failure> {
    // The parser's message names the key that is wrong, never a value.
    let mut config: Config = url.expose().parse().map_err(|error: tokio_postgres::Error| {
        Failure::new(
            FailureKind::Configuration,
            format!(
                "DATABASE_URL is no PostgreSQL URL: {error}; expected postgresql://user:password@host:5432/database"
            ),
        )
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(Duration::from_secs(10));
    }
    config.keepalives_idle(Duration::from_secs(30));
    config.tcp_user_timeout(Duration::from_secs(60));
    if config.get_application_name().is_none() {
        let name = environment::or_default("AWS_LAMBDA_FUNCTION_NAME", "limit-increase");
        config.application_name(name);
    }
    // Ours first: an option of the URL's own comes later and wins.
    let options = format!(
        "-c statement_timeout={STATEMENT_TIMEOUT_SECONDS}s -c lock_timeout={LOCK_TIMEOUT_SECONDS}s \
         -c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_SECONDS}s -c timezone=UTC {}",
        config.get_options().unwrap_or_default()
    );
    config.options(options.trim());
    Ok(config)
}

/// TLS as `sslmode` asks for it; `None` for plain text.
///
/// `sslmode=disable`, and loopback addresses without `sslmode=require`, are plain. Everything else is verified against
/// the Mozilla roots and the PEM bundle in `DATABASE_CA_FILE` (RDS's, for example), host name included; there is no
/// unverified TLS.
///
/// # Errors
/// `Permanent.Configuration` when the bundle can't be read.
pub fn tls_for(config: &Config) -> Result<Option<MakeRustlsConnect>, Failure> {
    let local = config.get_hosts().iter().all(|host| match host {
        Host::Tcp(name) => name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        #[cfg(unix)]
        Host::Unix(_) => true,
    });
    match config.get_ssl_mode() {
        SslMode::Disable => return Ok(None),
        SslMode::Prefer if local => return Ok(None),
        _ => {}
    }
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = environment::optional("DATABASE_CA_FILE") {
        let unreadable = |error: &dyn std::fmt::Display| {
            Failure::new(
                FailureKind::Configuration,
                format!("DATABASE_CA_FILE {path}: {error}; expected certificates in PEM"),
            )
        };
        for certificate in CertificateDer::pem_file_iter(&path).map_err(|error| unreadable(&error))? {
            let certificate = certificate.map_err(|error| unreadable(&error))?;
            roots.add(certificate).map_err(|error| unreadable(&error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::new(FailureKind::Configuration, format!("TLS: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Some(MakeRustlsConnect::new(tls)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn plain_text_is_for_loopback_or_when_asked_for() {
        let cases = [
            ("postgresql://u@127.0.0.1/d", false),
            ("postgresql://u@localhost/d", false),
            ("postgresql://u@[::1]/d", false),
            ("postgresql://u@127.0.0.1/d?sslmode=require", true),
            ("postgresql://u@db.example.com/d", true),
            ("postgresql://u@db.example.com/d?sslmode=disable", false),
        ];
        for (url, encrypted) in cases {
            let config = parse(&DatabaseUrl::new(url)).unwrap();
            assert_eq!(tls_for(&config).unwrap().is_some(), encrypted, "{url}");
        }
    }

    #[test]
    fn a_bad_url_is_explained_without_its_password() {
        let failure = parse(&DatabaseUrl::new("postgresql://u:hunter2@h/d?sslmode=perhaps")).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Configuration);
        assert!(!failure.message.contains("hunter2"), "{}", failure.message);
    }
}
