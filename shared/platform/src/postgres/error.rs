//! Which failure a database error is.

use deadpool_postgres::PoolError;
use limit_increase_domain::{Failure, FailureKind};
use tokio_postgres::error::SqlState;

/// The failure of a statement, by SQLSTATE; `doing` says what was being done, for the message.
#[must_use]
pub fn database_failure(doing: &str, error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        let kind = if is_refused_tls(error) { FailureKind::DatabaseRefused } else { FailureKind::TransientDatabase };
        return Failure::new(kind, format!("{doing}: {}", chain(error)));
    };
    let (kind, next) = classify(db.code());
    let mut message = format!("{doing}: {} (SQLSTATE {})", db.message(), db.code().code());
    for more in [db.detail(), db.hint()].into_iter().flatten() {
        message.push_str(". ");
        message.push_str(more);
    }
    message.push_str(next);
    Failure::new(kind, message)
}

/// The failure of taking a connection from the pool.
#[must_use]
pub fn pool_failure(error: &PoolError) -> Failure {
    match error {
        PoolError::Backend(error) => database_failure("cannot connect to PostgreSQL", error),
        other => Failure::new(FailureKind::TransientDatabase, format!("cannot connect to PostgreSQL: {other}")),
    }
}

fn classify(code: &SqlState) -> (FailureKind, &'static str) {
    const SCHEMA: &str = "; run the migrations (limit-increase setup-db) and load the features that the model reads";
    let text = code.code();
    match text.get(..2).unwrap_or_default() {
        // Connection exception, rollback (serialisation, deadlock), resources (connections, memory, disk), operator
        // intervention (restart, cancelled, time-out), system error.
        "08" | "40" | "53" | "57" | "58" => (FailureKind::TransientDatabase, ""),
        // Lock not available; read-only transaction, which is what a failed-over primary answers for a while.
        "55" | "25" => (FailureKind::TransientDatabase, ""),
        // Syntax error or access rule: undefined table, column, function, wrong type; but 42501 is a missing grant.
        "42" if text != "42501" => (FailureKind::DatabaseSchema, SCHEMA),
        // No such database, schema.
        "3F" => (FailureKind::DatabaseSchema, SCHEMA),
        _ => (FailureKind::DatabaseRefused, "; check the database's user, its grants and the data"),
    }
}

/// A certificate that isn't accepted stays so; a connection that breaks may come back.
fn is_refused_tls(error: &tokio_postgres::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = source {
        if let Some(io) = current.downcast_ref::<std::io::Error>()
            && io.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
        {
            return true;
        }
        source = current.source();
    }
    error.to_string().contains("server does not support TLS")
}

/// An error with its causes; the driver's own text alone is often just "db error".
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_told_apart() {
        let cases = [
            (SqlState::ADMIN_SHUTDOWN, FailureKind::TransientDatabase),
            (SqlState::CANNOT_CONNECT_NOW, FailureKind::TransientDatabase),
            (SqlState::TOO_MANY_CONNECTIONS, FailureKind::TransientDatabase),
            (SqlState::DISK_FULL, FailureKind::TransientDatabase),
            (SqlState::T_R_DEADLOCK_DETECTED, FailureKind::TransientDatabase),
            (SqlState::LOCK_NOT_AVAILABLE, FailureKind::TransientDatabase),
            (SqlState::READ_ONLY_SQL_TRANSACTION, FailureKind::TransientDatabase),
            (SqlState::UNDEFINED_TABLE, FailureKind::DatabaseSchema),
            (SqlState::UNDEFINED_COLUMN, FailureKind::DatabaseSchema),
            (SqlState::INSUFFICIENT_PRIVILEGE, FailureKind::DatabaseRefused),
            (SqlState::INVALID_PASSWORD, FailureKind::DatabaseRefused),
            (SqlState::CHECK_VIOLATION, FailureKind::DatabaseRefused),
        ];
        for (state, kind) in cases {
            assert_eq!(classify(&state).0, kind, "{}", state.code());
        }
    }
}
