//! AWS configuration, and S3 as the steps use it.
//!
//! What lives here: the clients' time-outs and retries, and whole objects that are bounded in size and verified by
//! their SHA-256. What must not: the content of the objects.

pub mod aws;
mod storage;

pub use storage::{MAX_OBJECT_BYTES, Object, Storage};
