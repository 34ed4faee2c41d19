//! What the integration tests share: a whole local environment of their own, and how to look into it.
//!
//! Nothing here is a stand-in: PostgreSQL is PostgreSQL, the local AWS is the one that `make start` runs, the functions are
//! the binaries that cargo-lambda builds. Ports are whichever are free, and all data is in a directory that goes away, so that the
//! tests run beside a `make start`.

pub mod environment;
pub mod faults;
pub mod programs;
pub mod records;
pub mod simulator;
pub mod suite;
pub mod tls_postgres;

pub use environment::Environment;
