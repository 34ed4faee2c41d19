//! AWS, local or real: building and uploading the functions, the stack, executions, the schedule.

pub mod build;
pub mod clients;
pub mod execution;
pub mod schedule;
pub mod stack;
pub mod storage;
pub mod timeline;

pub use clients::Aws;
