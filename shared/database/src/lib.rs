//! PostgreSQL: connecting, migrating, reading who is eligible, applying decisions, keeping the ledger.
//!
//! Every statement has its parameters bound; names that come from a model's manifest are checked against the
//! catalogue and quoted. Errors become failures by their SQLSTATE.

mod address;
mod connect;
mod credentials;
mod decisions;
mod eligible;
mod environment;
mod error;
mod ledger;
mod migrate;
mod tls;

pub use address::driver_config;
pub use connect::{Database, connect};
pub use credentials::{Credentials, DatabaseUrl};
pub use decisions::{HeldShard, Shard, ShardOutcome, hold_shard};
pub use eligible::{EligibleStream, Selection, open_eligible};
pub use error::{database_failure, pool_failure};
pub use ledger::{
    Failed, LedgerRun, applied_shard, applied_shards, find_run, finish_run, hold_run, open_run,
    record_failure, resume_run,
};
pub use migrate::migrate;
pub use tokio_postgres::Client;

/// A name as an SQL identifier: in double quotes, quotes inside doubled.
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
