//! Makes the customers' tables, and fills them from the sample portfolio or a lender's own file.

pub(crate) mod bulk;
mod columns;
mod csv_file;
mod dates;
mod decode;
mod elsewhere;
mod fill;
mod identifiers;
mod key;
mod names;
mod outcomes;
mod parquet;
pub mod portfolio;
mod preview;
mod rows;
mod source;
mod spelling;
mod table;
pub(crate) mod training_rows;
mod values;

pub use columns::add_columns;
pub use csv_file::{CsvColumns, CustomerFile, column_names};
pub use elsewhere::require_this_machine;
pub use fill::{CustomerSource, ensure, fill, migrate};
pub use names::choose;
pub use outcomes::{OutcomeColumns, read_outcomes};
pub use preview::{Preview, preview};
pub use table::{customer_count, has_tables};
