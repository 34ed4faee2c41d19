//! The sample portfolio, and the file that a model is trained on.

mod training_file;

pub use limit_increase_portfolio::SAMPLE_CUSTOMERS;
pub(crate) use limit_increase_portfolio::TRAINING_CUSTOMERS;
pub(crate) use training_file::{POSITIVE, TARGET, write_training_file};
