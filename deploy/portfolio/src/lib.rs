//! The sample portfolio: synthetic customers from a known process, specified in
//! `training/SAMPLE_PORTFOLIO.md`. And customers as PostgreSQL's COPY reads them.
//!
//! This is the only implementation. Each customer of a seed is drawn from a random stream of its
//! own. It is therefore the same customer in a portfolio of any size, and threads can draw separate
//! ranges.
//!
//! It is a crate of its own because the local profile optimises it: a million customers are drawn
//! and written in a few seconds instead of half a minute.

mod copy_rows;
mod customer;
mod draw;
mod sample;

pub use copy_rows::{CopyRows, Head};
pub use customer::{Customer, FEATURES, Feature, Portfolio};
pub use sample::{Sample, missing_columns, own_columns};

/// Seed of the portfolio that the model is trained on.
pub const TRAINING_SEED: u64 = 20_000;
/// Seed of the customers in the database. It differs from the training seed, so the model has not
/// seen these customers.
pub const CUSTOMER_SEED: u64 = 50;
/// Number of customers in the training portfolio.
pub const TRAINING_CUSTOMERS: u32 = 20_000;
/// Number of customers in the database unless another number is asked for.
pub const SAMPLE_CUSTOMERS: u32 = 50;
