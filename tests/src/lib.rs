//! What the suites share: a local environment, ways to read it, and a simulator that breaks it.
//!
//! There are no mocks. PostgreSQL is a real server, the local AWS is the one that `make start`
//! runs, and the functions are the binaries that cargo-lambda builds. Each suite uses free ports
//! and a directory of its own, which it removes. So the suites can run beside a `make start`.

pub mod aws_stand_in;
pub mod environment;
pub mod faults;
pub mod programs;
pub mod records;
pub mod roles;
pub mod simulator;
pub mod suite;
pub mod tls_postgres;

pub use environment::Environment;
