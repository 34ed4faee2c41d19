//! Opening a transaction, with a limit on the time of everything that can wait in it.
//!
//! The limits are local to the transaction. A startup packet with `options` would set them for the
//! connection, but RDS Proxy and PgBouncer refuse such a packet. A plain SET would stay with the
//! pooler's connection to the server, where another client would get it.

use limit_increase_workflow::Failure;
use tokio_postgres::{Client, Transaction};

use crate::error::database_failure;

/// A statement that runs longer is cancelled: the limit is generous, because the query of a large
/// run streams for minutes. Waiting longer for a lock is a transient failure. After a longer pause
/// inside a transaction its function has probably died, and the server ends the transaction and
/// releases its locks.
///
/// Somebody may have set a limit in the address (`options`), for the user or for the database.
/// That one has precedence. What another client of a pooler has set has not.
const SET_LIMITS: &str = "
    SELECT set_config(name, wanted, true)
    FROM (VALUES ('statement_timeout', '840s'), ('lock_timeout', '30s'),
                 ('idle_in_transaction_session_timeout', '60s')) AS limits (name, wanted)
    JOIN pg_settings USING (name)
    WHERE source NOT IN ('client', 'user', 'database', 'database user')";

/// Begins a transaction whose limits are set.
///
/// # Errors
/// By SQLSTATE. `doing` says what was being done.
pub async fn begin<'c>(client: &'c mut Client, doing: &str) -> Result<Transaction<'c>, Failure> {
    let begin_failure = |error| database_failure(doing, &error);
    let transaction = client.transaction().await.map_err(begin_failure)?;
    transaction.batch_execute(SET_LIMITS).await.map_err(begin_failure)?;
    Ok(transaction)
}
