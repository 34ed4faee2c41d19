//! AWS configuration, and S3 as the steps use it.
//!
//! What lives here: the time-outs and retries of the clients, and whole objects that are bounded in
//! size and verified by their SHA-256.
//!
//! What must not live here: the content of the objects.

pub mod aws;
mod storage;

pub use storage::{APPLICATION_JSON, MAX_OBJECT_BYTES, Object, SHA256, Storage};
