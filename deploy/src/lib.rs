//! The library behind the `limit-increase` program, divided by subject.
//!
//! The arguments, the commands and what they print belong to the program: `main.rs`, `cli.rs` and
//! `commands/`. The rules of lending and the model run in the functions, so nothing here decides
//! about a customer. Only the program and the integration tests depend on this library.
//!
//! Each module depends only on modules to its left: `terminal`, `output_file`, `database` <- `local`,
//! `aws` <- `customers` <- `model` <- `deployment` <- `runs` <- `remote` <- `proof`.

pub mod aws;
pub mod customers;
pub mod database;
pub mod deployment;
pub mod local;
pub mod model;
pub mod output_file;
pub mod proof;
pub mod remote;
pub mod runs;
pub mod terminal;
#[cfg(test)]
mod testing;
