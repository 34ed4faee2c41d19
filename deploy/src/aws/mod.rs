//! Access to AWS, local or real: the clients of one account and region, and the objects in S3.

pub mod clients;
pub(crate) mod plain;
pub mod storage;

pub use clients::Aws;
