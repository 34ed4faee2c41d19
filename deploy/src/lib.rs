//! What the `limit-increase` program is made of: a library cut by subject.
//!
//! The program's words (arguments, commands, what they print) are in its own crate: `main.rs`,
//! `cli.rs`, `commands/`. The rules of lending and the model run in the functions; nothing here
//! decides about a customer. Only the program and the integration tests depend on this library.
//!
//! Arrows between the modules point one way: `terminal`, `database` <- `local`, `aws` <-
//! `customers` <- `model` <- `deployment` <- `runs`.

pub mod aws;
pub mod customers;
pub mod database;
pub mod deployment;
pub mod local;
pub mod model;
pub mod runs;
pub mod terminal;
#[cfg(test)]
mod testing;
