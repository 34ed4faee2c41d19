//! Connecting: a pool of one, and credentials that are read again when the server no longer takes them.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use limit_increase_workflow::{Failure, FailureKind};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::{database_failure, pool_failure};
use crate::{address, tls};

/// Connections for one function environment.
///
/// The pool holds a single connection: an environment handles one event at a time. Its point is the check of a
/// connection that slept through a freeze of the environment before it is used again.
///
/// Credentials from Secrets Manager are kept as long as the server takes them. Once it refuses them they are read again,
/// once, because they may have been rotated; connections that are open already do not notice a rotation.
#[derive(Debug)]
pub struct Database {
    credentials: Credentials,
    current: Mutex<Option<Current>>,
}

/// The credentials in use.
#[derive(Debug, Clone)]
struct Current {
    url: DatabaseUrl,
    pool: Pool,
}

impl Database {
    /// A pool for the database that these credentials open. Nothing is read or connected yet.
    #[must_use]
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials, current: Mutex::new(None) }
    }

    /// A live connection.
    ///
    /// # Errors
    /// `Permanent.Configuration` when the URL or the certificate bundle can't be read, `Transient.Secrets` when Secrets
    /// Manager can't be reached or still has the credentials that the server refuses, `Transient.Database` when
    /// the server can't be reached, `Permanent.DatabaseRefused` when it refuses.
    pub async fn client(&self) -> Result<Object, Failure> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let current = match known {
            Some(current) => current,
            None => self.read().await?,
        };

        match current.pool.get().await {
            Ok(client) => Ok(client),
            Err(error) => match (refused_credentials(&error), self.credentials.secret()) {
                (Some(state), Some(secret)) => {
                    self.client_with_renewed(&current, secret, &state, &error).await
                }
                _ => Err(pool_failure(&error)),
            },
        }
    }

    async fn client_with_renewed(
        &self,
        refused: &Current,
        secret: &str,
        state: &SqlState,
        error: &PoolError,
    ) -> Result<Object, Failure> {
        tracing::warn!(
            secret,
            sqlstate = state.code(),
            "PostgreSQL refuses the credentials; reading them again"
        );

        let renewed = self.read().await?;
        if renewed.url != refused.url {
            return renewed.pool.get().await.map_err(|error| pool_failure(&error));
        }

        if *state != SqlState::INVALID_PASSWORD {
            return Err(pool_failure(error));
        }

        // A rotation sets the password first and the secret's current version a moment later.
        Err(Failure::new(
            FailureKind::TransientSecrets,
            format!(
                "PostgreSQL refuses the password of secret {secret} (SQLSTATE {}); if no rotation is under way, the secret \
                 and the database's user have different passwords: set one to the other",
                state.code()
            ),
        ))
    }

    /// Reads the credentials, and uses them from now on.
    async fn read(&self) -> Result<Current, Failure> {
        let url = self.credentials.read().await?;
        let current = Current { pool: pool(&url)?, url };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }
}

/// The state with which the server turned the credentials down, if that is what it did.
fn refused_credentials(error: &PoolError) -> Option<SqlState> {
    let PoolError::Backend(error) = error else { return None };
    let refusals = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
    error.code().filter(|code| refusals.contains(code)).cloned()
}

fn pool(url: &DatabaseUrl) -> Result<Pool, Failure> {
    let address = address::parse(url)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
    let manager = match &address.tls {
        Some(roots) => Manager::from_config(address.config, tls::connector(roots)?, recycling),
        None => Manager::from_config(address.config, NoTls, recycling),
    };

    Pool::builder(manager)
        .max_size(1)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .create_timeout(Some(Duration::from_secs(20)))
        .recycle_timeout(Some(Duration::from_secs(5)))
        .wait_timeout(Some(Duration::from_secs(20)))
        .build()
        .map_err(|error| {
            Failure::new(FailureKind::Configuration, format!("connection pool: {error}"))
        })
}

/// One connection outside any pool, for the command line.
///
/// # Errors
/// As [`Database::client`].
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Failure> {
    let address = address::parse(url)?;
    let refused = |error| database_failure("cannot connect to PostgreSQL", &error);
    // The connection's task ends with the client; its error reaches the client's next call.
    Ok(match &address.tls {
        Some(roots) => {
            let (client, connection) =
                address.config.connect(tls::connector(roots)?).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
        None => {
            let (client, connection) = address.config.connect(NoTls).await.map_err(refused)?;
            tokio::spawn(connection);
            client
        }
    })
}
