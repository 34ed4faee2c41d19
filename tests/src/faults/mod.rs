//! Runs under faults: the state machine's own definition, carried out by hand on the built functions, with real PostgreSQL
//! and S3 behind proxies that break on request, and the checks of what must hold whatever breaks.
//!
//! Everything that happens is decided by a seed, so that a failure can be seen again. How fast the machine is decides only
//! what a fault meets on its way.

pub mod database_proxy;
pub mod injector;
pub mod lab;
pub mod machine;
pub mod plan;
pub mod pool;
pub mod sabotage;
pub mod schedule;
pub mod storage_proxy;
pub mod verdict;
