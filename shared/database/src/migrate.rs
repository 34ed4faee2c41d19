//! Versioned migrations, embedded in the binary and applied in order, each exactly once.

use limit_increase_workflow::{Failure, FailureKind};
use tokio_postgres::Client;

use crate::error::database_failure;
use limit_increase_domain::sha256_hex;

const MIGRATIONS: [(i32, &str, &str); 3] = [
    (1, "batch_scores", include_str!("../migrations/0001_batch_scores.sql")),
    (2, "customer_features", include_str!("../migrations/0002_customer_features.sql")),
    (3, "ledger", include_str!("../migrations/0003_ledger.sql")),
];

/// Held while migrating, so that two at once take turns. The number is arbitrary, but ours.
const LOCK: i64 = 0x6c69_6d69_7431;

/// Brings the schema up to date; returns the names of the migrations that were applied now.
///
/// All of them, or none: one transaction.
///
/// # Errors
/// `Permanent.DatabaseSchema` when a migration that was applied before has changed since; else by SQLSTATE.
pub async fn migrate(client: &mut Client) -> Result<Vec<&'static str>, Failure> {
    let failed = |error: tokio_postgres::Error| database_failure("migrating the schema", &error);
    let transaction = client.transaction().await.map_err(failed)?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.map_err(failed)?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS limit_increase_migrations (
                 version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
                 applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
        )
        .await
        .map_err(failed)?;
    let mut applied = Vec::new();
    for (version, name, sql) in MIGRATIONS {
        let sha256 = sha256_hex(sql.as_bytes());
        let known = transaction
            .query_opt(
                "SELECT sha256 FROM limit_increase_migrations WHERE version = $1",
                &[&version],
            )
            .await
            .map_err(failed)?;
        match known.map(|row| row.get::<_, String>(0)) {
            Some(known) if known == sha256 => {}
            Some(_) => {
                return Err(Failure::new(
                    FailureKind::DatabaseSchema,
                    format!(
                        "migration {version} ({name}) was applied in another form; use the release that applied it"
                    ),
                ));
            }
            None => {
                let doing = format!("applying migration {version} ({name})");
                transaction
                    .batch_execute(sql)
                    .await
                    .map_err(|error| database_failure(&doing, &error))?;
                transaction
                    .execute(
                        "INSERT INTO limit_increase_migrations (version, name, sha256) VALUES ($1, $2, $3)",
                        &[&version, &name, &sha256],
                    )
                    .await
                    .map_err(failed)?;
                applied.push(name);
            }
        }
    }

    transaction.commit().await.map_err(failed)?;
    Ok(applied)
}
