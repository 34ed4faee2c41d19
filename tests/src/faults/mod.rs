//! Runs that are broken on purpose, on the [simulator](crate::simulator), and the checks of what
//! must hold afterwards.
//!
//! A seed decides everything that happens, so that a failure can be reproduced. The speed of the
//! machine decides only how far a process has come when a fault meets it.

pub mod events;
pub mod injector;
pub mod lab;
pub mod plan;
pub mod sabotage;
pub mod schedule;
pub mod script;
pub mod verdict;
