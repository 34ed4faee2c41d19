//! The hand-off between the steps: one Parquet file per shard and stage.
//!
//! The names and types of the columns are the contract between two steps, and one module holds one
//! stage. Reading checks all of it, so a step works on exactly what the previous step wrote, or it
//! fails by name. [`StepFiles`] finds, verifies and writes the files of one shard.
//!
//! What must not live here: SQL, and the meaning of the rows.
//!
//! # Example
//!
//! ```
//! use limit_increase_domain::SourceColumn;
//! use limit_increase_handoff::customers::{Customers, CustomersWriter};
//! use limit_increase_workflow::rows::{CellValue, CustomerRow};
//!
//! let mut writer = CustomersWriter::new(&[SourceColumn::number("bureau_score")]);
//! let row = CustomerRow {
//!     customer_id: "CUST_0001",
//!     current_score: Some(640),
//!     current_limit: Some("4000.00".parse()?),
//!     unreadable: None,
//!     application_date: None,
//!     annual_income: None,
//!     has_features: true,
//! };
//! writer.push(&row, [CellValue::Number(Some(712.0))])?;
//!
//! let customers = Customers::read(writer.finish()?, 1)?;
//! assert_eq!(customers.ids()?.value(0), "CUST_0001");
//! assert_eq!(customers.limits()?.value(0), 400_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod comparison;
pub mod customers;
pub mod evaluations;
mod parquet_file;
pub mod results;
pub mod scored;
mod step_files;

pub use parquet_file::{CONTENT_TYPE, HandoffError, find_customer, row_count};
pub use step_files::{StageFile, StepFiles};
