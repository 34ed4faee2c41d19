//! Where customers come from: the sample portfolio, or a file of the user's own.

pub mod csv_file;
mod dates;
pub mod sample;
mod values;

pub use csv_file::{CsvColumns, CustomerFile};
