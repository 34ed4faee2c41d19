//! The `limit-increase` command line, as a library.
//!
//! What lives here: the local environment (processes, ports, state), building and deploying, the sample portfolio,
//! loading customers, starting and following runs, and how all of that is shown. What must not: the rules of the business and the
//! model; those run in the functions, and this crate only asks for them. Nothing depends on this crate but its binary and the
//! integration tests, which take an environment of their own with [`context::Context::isolated`].

pub mod aws;
pub mod cli;
pub mod commands;
pub mod context;
pub mod database;
pub mod load;
pub mod local;
pub mod portfolio;
pub mod problem;
pub mod project;
#[cfg(test)]
mod testing;
pub mod ui;
pub mod workflow;
