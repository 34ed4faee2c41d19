//! The services that a run meets, simulated where a test has to break them.
//!
//! The state machine is interpreted from its deployed definition. The Lambda service starts the
//! built functions as processes. PostgreSQL and S3 are real and stand behind proxies. Nothing here
//! knows about customers or decisions.

pub mod database_proxy;
pub mod function;
pub mod machine;
pub mod pool;
pub mod pooler;
pub mod storage_proxy;
