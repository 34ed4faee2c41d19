//! Bringing the schema up to date, in a database that only the VPC reaches. A person asks for it.

use limit_increase_database::Database;
use limit_increase_workflow::Failure;
use serde::Serialize;

/// The answer: the migrations that were applied now. It is empty when the schema was up to date.
#[derive(Serialize)]
pub(crate) struct SchemaMigrated {
    pub(crate) migrations: Vec<&'static str>,
}

/// Applies the migrations that the database lacks. It loads no customer, and adds no column for a
/// feature: which features there are is the model's business, and a run names a column that is
/// missing.
///
/// # Errors
/// The failure of the database. Its user needs the rights of `limit_increase_owner`.
pub(crate) async fn migrate(database: &Database) -> Result<SchemaMigrated, Failure> {
    let mut client = database.client().await?;
    let migrations = limit_increase_database::migrate(&mut client).await?;
    tracing::info!(?migrations, "the schema is up to date");
    Ok(SchemaMigrated { migrations })
}
