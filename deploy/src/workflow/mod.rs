//! The steps that the commands share, each idempotent, each doing first what it depends on.

pub mod customers;
pub mod deployment;
pub mod model;
pub mod runs;
pub mod sagemaker;
