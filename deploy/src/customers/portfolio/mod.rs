//! The sample portfolio: synthetic customers from a known process, specified in
//! `training/SAMPLE_PORTFOLIO.md`.
//!
//! This is the only implementation. Each customer of a seed is drawn from a random stream of its
//! own. It is therefore the same customer in a portfolio of any size, and threads can draw separate
//! ranges.

mod customer;
mod draw;
mod training_file;

pub(crate) use customer::{FEATURES, Portfolio};
pub(crate) use training_file::{POSITIVE, TARGET, write_training_file};

/// Seed of the portfolio that the model is trained on.
pub(crate) const TRAINING_SEED: u64 = 20_000;
/// Seed of the customers in the database. It differs from the training seed, so the model has not
/// seen these customers.
pub(crate) const CUSTOMER_SEED: u64 = 50;
/// Number of customers in the training portfolio.
pub(crate) const TRAINING_CUSTOMERS: u32 = 20_000;
/// Number of customers in the database unless another number is asked for.
pub const SAMPLE_CUSTOMERS: u32 = 50;
