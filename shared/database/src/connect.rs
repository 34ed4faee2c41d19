//! Connecting: a pool of one connection, and credentials that are read again after a rotation
//! (promise 11).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use limit_increase_workflow::{Failure, FailureKind};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

use crate::credentials::{Credentials, DatabaseUrl};
use crate::error::{database_failure, pool_failure};
use crate::tls::PackedAuthorities;
use crate::{address, tls};

/// The database of one execution environment of a function.
///
/// The pool holds one connection, because an environment handles one event at a time. The pool
/// checks the connection before it is used again: it may have broken while the environment was
/// frozen.
///
/// Credentials from Secrets Manager are kept while the server accepts them. When the server refuses
/// them they may have been rotated, so they are read again, once (promise 11). An open connection
/// is not affected by a rotation.
#[derive(Debug)]
pub struct Database {
    credentials: Credentials,
    packed: PackedAuthorities,
    current: Mutex<Option<Current>>,
}

/// The credentials in use.
#[derive(Debug, Clone)]
struct Current {
    url: DatabaseUrl,
    pool: Pool,
}

impl Database {
    /// The database that these credentials open. Nothing is read or connected yet.
    #[must_use]
    pub const fn new(credentials: Credentials) -> Self {
        Self::trusting(credentials, PackedAuthorities::RDS)
    }

    /// Like [`Database::new`], with other authorities in the place of RDS's.
    #[must_use]
    pub const fn trusting(credentials: Credentials, packed: PackedAuthorities) -> Self {
        Self { credentials, packed, current: Mutex::new(None) }
    }

    /// A live connection.
    ///
    /// # Errors
    /// - `Permanent.Configuration` when the address or the file of certificates cannot be read.
    /// - `Transient.Secrets` when Secrets Manager cannot be reached, or still has the credentials
    ///   that the server refuses.
    /// - `Transient.Database` when the server cannot be reached.
    /// - `Permanent.DatabaseRefused` when the server refuses.
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
                    self.client_after_rotation(&current, secret, &state, &error).await
                }
                _ => Err(pool_failure(&error)),
            },
        }
    }

    /// A connection with credentials that are read again, after the server has refused the known
    /// ones.
    async fn client_after_rotation(
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

        // A rotation sets the password first, and the current version of the secret a moment later.
        // So the same credentials may be in the middle of a rotation, and the step is tried again.
        Err(Failure::new(
            FailureKind::TransientSecrets,
            format!(
                "PostgreSQL refuses the password of secret {secret} (SQLSTATE {}); if no rotation \
                 is under way, the secret and the database's user have different passwords: set \
                 one to the other",
                state.code()
            ),
        ))
    }

    /// Reads the credentials and keeps them.
    async fn read(&self) -> Result<Current, Failure> {
        let url = self.credentials.read().await?;
        let current = Current { pool: pool(&url, self.packed)?, url };
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(current.clone());
        Ok(current)
    }
}

/// The SQLSTATE with which the server refused the credentials; `None` for any other error.
fn refused_credentials(error: &PoolError) -> Option<SqlState> {
    let PoolError::Backend(error) = error else { return None };
    let refusals = [SqlState::INVALID_PASSWORD, SqlState::INVALID_AUTHORIZATION_SPECIFICATION];
    error.code().filter(|code| refusals.contains(code)).cloned()
}

fn pool(url: &DatabaseUrl, packed: PackedAuthorities) -> Result<Pool, Failure> {
    let address = address::parse(url)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Verified };
    let manager = match &address.tls {
        Some(roots) => {
            Manager::from_config(address.config, tls::connector(roots, packed)?, recycling)
        }
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

/// One connection without a pool, for the command line.
///
/// # Errors
/// As [`Database::client`].
pub async fn connect(url: &DatabaseUrl) -> Result<Client, Failure> {
    let address = address::parse(url)?;
    let connecting_failure = |error| database_failure("cannot connect to PostgreSQL", &error);
    // The task of the connection ends with the client. Its error reaches the next call of the
    // client.
    Ok(match &address.tls {
        Some(roots) => {
            let (client, connection) = address
                .config
                .connect(tls::connector(roots, PackedAuthorities::RDS)?)
                .await
                .map_err(connecting_failure)?;
            tokio::spawn(connection);
            client
        }
        None => {
            let (client, connection) =
                address.config.connect(NoTls).await.map_err(connecting_failure)?;
            tokio::spawn(connection);
            client
        }
    })
}
