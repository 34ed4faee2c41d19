//! PostgreSQL: the connection, the migrations, the eligible customers, the decisions and their
//! history, the ledger.
//!
//! A guard ([`OpeningRun`], [`HeldShard`], [`ClosingRun`]) owns its transaction. What must run
//! inside a lock is a method of the guard; `commit` consumes the guard, and dropping it rolls back.
//!
//! Every statement has its parameters bound. Names that come from a model's manifest are checked
//! against PostgreSQL's catalogue and quoted. An error becomes a failure by its SQLSTATE.

mod address;
mod closing;
mod connect;
mod credentials;
mod customer_filter;
mod decisions;
mod eligible;
mod environment;
mod error;
mod history;
mod ledger;
mod migrate;
mod opening;
mod reporting;
mod schema;
mod seal;
mod secret;
mod tls;
mod transaction;

pub use address::{driver_config, is_loopback};
pub use closing::{ClosedRun, ClosingRun};
pub use connect::{Database, connect};
pub use credentials::{Credentials, DatabaseUrl};
pub use decisions::{HeldShard, ShardFiles, ShardLock, StaleIds};
pub use eligible::{EligibleRow, EligibleStream, Selection, open_eligible};
pub use error::{database_failure, pool_failure};
pub use history::{PastDecision, find_decisions};
pub use ledger::{FailedPart, ShardOutcome, open_runs, record_failure, resume_run};
pub use migrate::migrate;
pub use opening::{OpeningRun, RecordedRun, Schedule};
pub use reporting::{Candidates, LedgerRun, RunOrigin, past_runs};
pub use tls::PackedAuthorities;
pub use tokio_postgres::Client;
pub use transaction::begin;

/// A name as an SQL identifier: in double quotes, with each quote inside doubled.
///
/// ```
/// use limit_increase_database::quote_identifier;
///
/// assert_eq!(quote_identifier("utilisation"), r#""utilisation""#);
/// assert_eq!(quote_identifier(r#"a"; DROP TABLE x; --"#), r#""a""; DROP TABLE x; --""#);
/// ```
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
