//! The database as the command line uses it: loading customers, reading results.

pub mod bulk;
mod connection;
pub mod features;
pub mod results;

pub use connection::{connect, masked, migrate, port_of, server_version};
