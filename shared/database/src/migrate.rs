//! Versioned migrations. They are embedded in the binary and applied in order, each exactly once.

use limit_increase_domain::sha256_hex;
use limit_increase_workflow::{Failure, FailureKind};
use tokio_postgres::{Client, Transaction};

use crate::error::{database_failure, row_failure};
use crate::schema::{dropped_advice, plan_migration};
use crate::transaction::begin;

/// Version, name and text. The schema keeps the SHA-256 of each text, so a released text must not
/// change.
const MIGRATIONS: [(i32, &str, &str); 7] = [
    (1, "batch_scores", include_str!("../migrations/0001_batch_scores.sql")),
    (2, "customer_features", include_str!("../migrations/0002_customer_features.sql")),
    (3, "ledger", include_str!("../migrations/0003_ledger.sql")),
    (4, "redrives", include_str!("../migrations/0004_redrives.sql")),
    (5, "decisions", include_str!("../migrations/0005_decisions.sql")),
    (6, "profiles", include_str!("../migrations/0006_profiles.sql")),
    (7, "seals", include_str!("../migrations/0007_seals.sql")),
];

/// The number of the advisory lock that makes two migrations wait for each other. It is arbitrary.
const LOCK: i64 = 0x6c69_6d69_7431;

/// Brings the schema up to date, and returns the names of the migrations that it applied. All of
/// them are applied in one transaction.
///
/// # Errors
/// `Permanent.DatabaseSchema` when a migration was applied before with another text, when a table
/// of a recorded migration is gone, or when a `batch_scores` that was there before cannot be used;
/// otherwise by SQLSTATE.
pub async fn migrate(client: &mut Client) -> Result<Vec<&'static str>, Failure> {
    let transaction = begin(client, "migrating the schema").await?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(migrating_failure)?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS limit_increase_migrations (
                 version INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL,
                 applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
        )
        .await
        .map_err(migrating_failure)?;

    let mut applied = Vec::new();
    for (version, name, sql) in MIGRATIONS {
        let sha256 = sha256_hex(sql.as_bytes());
        match applied_sha256(&transaction, version).await? {
            Some(known) if known == sha256 => {}
            Some(_) => return Err(changed_failure(version, name)),
            None => {
                check_own_table(&transaction, version).await?;
                apply(&transaction, (version, name, sql), &sha256).await?;
                applied.push(name);
            }
        }
    }

    check_tables(&transaction).await?;
    transaction.commit().await.map_err(migrating_failure)?;
    Ok(applied)
}

/// A lender may have a `batch_scores` before the first migration, which leaves it as it is. It is
/// checked first, because the messages of the migrations' statements do not say what to change.
///
/// The key of `customer_features` refers to it, so it gets its type. Migration 2 keeps that table.
async fn check_own_table(transaction: &Transaction<'_>, version: i32) -> Result<(), Failure> {
    if version > 2 {
        return Ok(());
    }

    let key = plan_migration(transaction.client()).await?;
    if let (2, Some(key)) = (version, key) {
        transaction
            .batch_execute(&format!(
                "CREATE TABLE IF NOT EXISTS customer_features (
                     customer_id {key} PRIMARY KEY REFERENCES batch_scores (customer_id)
                         ON DELETE CASCADE)"
            ))
            .await
            .map_err(migrating_failure)?;
    }

    Ok(())
}

/// Checks that every table of the migrations is there. A recorded migration is not applied again,
/// so a table that somebody has dropped stays away.
async fn check_tables(transaction: &Transaction<'_>) -> Result<(), Failure> {
    let rows = transaction
        .query(
            "SELECT name FROM (VALUES ('batch_scores'), ('customer_features'),
                 ('limit_increase_runs'), ('limit_increase_shards'),
                 ('limit_increase_decisions'), ('limit_increase_shard_files'),
                 ('limit_increase_seals')) AS tables (name)
             WHERE to_regclass(name) IS NULL",
            &[],
        )
        .await
        .map_err(migrating_failure)?;
    let Some(row) = rows.first() else { return Ok(()) };

    let name: &str =
        row.try_get("name").map_err(|error| row_failure("reading the catalogue", &error))?;
    let message = format!("there is no table {name}{}", dropped_advice(name));
    Err(Failure::new(FailureKind::DatabaseSchema, message))
}

/// The hash of a migration's text when it was applied; `None` if it was not applied yet.
async fn applied_sha256(
    transaction: &Transaction<'_>,
    version: i32,
) -> Result<Option<String>, Failure> {
    let row = transaction
        .query_opt("SELECT sha256 FROM limit_increase_migrations WHERE version = $1", &[&version])
        .await
        .map_err(migrating_failure)?;

    row.map(|row| row.try_get("sha256"))
        .transpose()
        .map_err(|error| row_failure("reading the migrations", &error))
}

async fn apply(
    transaction: &Transaction<'_>,
    (version, name, sql): (i32, &str, &str),
    sha256: &str,
) -> Result<(), Failure> {
    let doing = format!("applying migration {version} ({name})");
    transaction.batch_execute(sql).await.map_err(|error| database_failure(&doing, &error))?;
    transaction
        .execute(
            "INSERT INTO limit_increase_migrations (version, name, sha256) VALUES ($1, $2, $3)",
            &[&version, &name, &sha256],
        )
        .await
        .map_err(migrating_failure)?;
    Ok(())
}

fn migrating_failure(error: tokio_postgres::Error) -> Failure {
    database_failure("migrating the schema", &error)
}

fn changed_failure(version: i32, name: &str) -> Failure {
    Failure::new(
        FailureKind::DatabaseSchema,
        format!(
            "migration {version} ({name}) was applied in another form; use the release that \
             applied it"
        ),
    )
}
