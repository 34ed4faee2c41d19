//! What a person meets: progress and answers, errors with the next step, numbers as people read
//! them.

mod format;
mod problem;
mod ui;

pub use format::{duration, money, table, thousands};
pub use problem::{Exit, Problem};
pub use ui::{Task, Ui};
