//! From an error of the database to the failure of a step.

use deadpool_postgres::PoolError;
use limit_increase_workflow::{Failure, FailureKind};
use rustls::CertificateError;
use tokio_postgres::error::SqlState;

/// The failure for a statement that failed, by its SQLSTATE. `doing` says what was being done and
/// begins the message.
///
/// PostgreSQL's DETAIL is left out, because it holds the row that offends: "Failing row contains
/// (CUST_0001, 640, ...)". The names of the table, the column and the constraint say as much.
#[must_use]
pub fn database_failure(doing: &str, error: &tokio_postgres::Error) -> Failure {
    let Some(db) = error.as_db_error() else {
        let (kind, next) = match advice_for_tls(error) {
            Some(next) => (FailureKind::DatabaseRefused, next),
            None => (FailureKind::TransientDatabase, ""),
        };

        return Failure::new(kind, format!("{doing}: {}{next}", with_causes(error)));
    };

    let (kind, next) = advice_for_pooler(db.code(), db.message()).unwrap_or(classify(db.code()));
    let mut message = format!("{doing}: {} (SQLSTATE {})", db.message(), db.code().code());
    let names = [("table", db.table()), ("column", db.column()), ("constraint", db.constraint())];
    for (what, name) in names {
        if let Some(name) = name.filter(|name| !message.contains(name)) {
            message.push_str(&format!(", {what} {name}"));
        }
    }

    if let Some(hint) = db.hint() {
        message.push_str(". ");
        message.push_str(hint);
    }

    message.push_str(next);
    Failure::new(kind, message)
}

/// The failure for a connection that the pool could not give.
#[must_use]
pub fn pool_failure(error: &PoolError) -> Failure {
    match error {
        PoolError::Backend(error) => database_failure("cannot connect to PostgreSQL", error),
        other => Failure::new(
            FailureKind::TransientDatabase,
            format!("cannot connect to PostgreSQL: {other}"),
        ),
    }
}

/// The failure for a row that does not have the columns of its statement. This is a defect in the
/// program.
pub(crate) fn row_failure(doing: &str, error: &tokio_postgres::Error) -> Failure {
    Failure::new(FailureKind::Internal, format!("{doing}: {}", with_causes(error)))
}

fn classify(code: &SqlState) -> (FailureKind, &'static str) {
    const SCHEMA: &str = "; run the migrations (limit-increase setup-db --schema-only) and load \
                          the features that the model reads";
    let text = code.code();
    match text.get(..2).unwrap_or_default() {
        // Connection exception; rollback (serialisation, deadlock); resources (connections, memory,
        // disk); operator intervention (restart, cancelled, time-out); system error.
        "08" | "40" | "53" | "57" | "58" => (FailureKind::TransientDatabase, ""),
        // Lock not available; read-only transaction, which a primary answers for a while after a
        // failover.
        "55" | "25" => (FailureKind::TransientDatabase, ""),
        // Syntax error or access rule: undefined table, column or function, wrong type. 42501 is a
        // missing grant, which the last arm takes.
        "42" if text != "42501" => (FailureKind::DatabaseSchema, SCHEMA),
        // No such schema.
        "3F" => (FailureKind::DatabaseSchema, SCHEMA),
        _ => (FailureKind::DatabaseRefused, "; check the database's user, its grants and the data"),
    }
}

/// What to do when a pooler stands before PostgreSQL and cannot do what was asked of it. It will not
/// do it the next time either.
fn advice_for_pooler(code: &SqlState, message: &str) -> Option<(FailureKind, &'static str)> {
    // PgBouncer (08P01) and RDS Proxy (0A000) refuse the startup packet.
    let refuses_options = message.contains("unsupported startup parameter")
        || (*code == SqlState::FEATURE_NOT_SUPPORTED && message.contains("command-line options"));
    // A pooler in transaction mode sends the use of a statement to another server than its
    // preparation.
    let loses_statements =
        [SqlState::INVALID_SQL_STATEMENT_NAME, SqlState::DUPLICATE_PSTATEMENT].contains(code);
    let next = if refuses_options {
        "; the address leads to a pooler: take options out of it, and set them for the database's \
         user instead (ALTER ROLE .. SET ..)"
    } else if loses_statements {
        "; a pooler loses prepared statements: use its session mode, or PgBouncer 1.21 or newer \
         with max_prepared_statements above 0"
    } else {
        return None;
    };

    Some((FailureKind::DatabaseRefused, next))
}

/// What to do about a TLS handshake that will fail again, such as one with a certificate that is
/// not accepted. A connection that breaks off may come back, and for it the answer is `None`.
fn advice_for_tls(error: &tokio_postgres::Error) -> Option<&'static str> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(current) = source {
        let inner = current.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(tls) = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
            return Some(match tls {
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    "; name the server's own authorities in DATABASE_CA_FILE, or in sslrootcert of the \
                     address (those of the web and of RDS are known)"
                }
                rustls::Error::InvalidCertificate(_) => {
                    "; renew the server's certificate, or connect by a name that it is for"
                }
                _ => "; the server has to speak TLS 1.2 or 1.3",
            });
        }

        // The driver has no type for these two errors, only a text.
        match current.to_string().as_str() {
            "server does not support TLS" => {
                return Some(
                    "; switch TLS on in the server (ssl = on), or ask for plain text (sslmode=disable)",
                );
            }
            "no hostname provided for TLS handshake" => {
                return Some("; a certificate is for a name: give host besides hostaddr");
            }
            _ => {}
        }

        source = current.source();
    }

    None
}

/// An error with its causes. The driver's own text alone is often just "db error".
fn with_causes(error: &dyn std::error::Error) -> String {
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
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::AsyncWriteExt as _;
    use tokio_postgres::{Config, NoTls};

    /// An error as a server sends it.
    async fn server_error(fields: &[(u8, &str)]) -> tokio_postgres::Error {
        let mut body = Vec::new();
        for (name, text) in fields {
            body.push(*name);
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }

        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap();
        let (client, mut server) = tokio::io::duplex(4_096);
        server.write_all(&[b"E".as_slice(), &length.to_be_bytes(), &body].concat()).await.unwrap();
        Config::new().user("bank").connect_raw(client, NoTls).await.err().unwrap()
    }

    #[tokio::test]
    async fn the_row_in_the_detail_is_not_in_the_failure() {
        let error = server_error(&[
            (b'S', "ERROR"),
            (b'V', "ERROR"),
            (b'C', "23514"),
            (b'M', "new row violates check constraint \"small_limits\""),
            (b'D', "Failing row contains (CUST_0001, 640, 4000.00)."),
            (b'H', "Ask the owner."),
            (b't', "batch_scores"),
            (b'n', "small_limits"),
        ])
        .await;

        let failure = database_failure("applying", &error);
        assert_eq!(failure.kind, FailureKind::DatabaseRefused);
        assert_eq!(
            failure.message,
            "applying: new row violates check constraint \"small_limits\" (SQLSTATE 23514), table \
             batch_scores. Ask the owner.; check the database's user, its grants and the data"
        );
    }

    #[test]
    fn what_a_pooler_cannot_do_is_permanent_and_says_what_to_change() {
        let cases = [
            ("08P01", "unsupported startup parameter: options", "take options out"),
            ("08P01", "unsupported startup parameter in options: geqo", "take options out"),
            (
                "0A000",
                "Feature not supported: RDS Proxy currently doesn\u{2019}t support command-line options.",
                "take options out",
            ),
            ("26000", "prepared statement \"s3\" does not exist", "session mode"),
            ("42P05", "prepared statement \"s3\" already exists", "session mode"),
        ];

        for (code, message, words) in cases {
            let advice = advice_for_pooler(&SqlState::from_code(code), message);
            assert!(
                advice.is_some_and(|(kind, next)| {
                    kind == FailureKind::DatabaseRefused && next.contains(words)
                }),
                "{message}: {advice:?}"
            );
        }

        for (code, message) in [
            ("08P01", "server login has been failing, try again later (server_login_retry)"),
            ("0A000", "cached plan must not change result type"),
            ("57P01", "terminating connection due to administrator command"),
        ] {
            assert_eq!(advice_for_pooler(&SqlState::from_code(code), message), None, "{message}");
        }
    }

    #[test]
    fn every_state_becomes_its_kind_of_failure() {
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
