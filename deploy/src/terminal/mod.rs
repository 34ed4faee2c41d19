//! Everything that a person sees: progress, answers, errors with the next step, readable numbers.

mod bars;
mod diverging;
mod format;
mod problem;
mod ui;

pub use bars::{Bar, bar, bars};
pub use diverging::diverging_bar;
pub use format::{duration, table};
pub use limit_increase_domain::figures::{money, thousands};
pub use problem::{Exit, Problem};
pub use ui::{Task, Ui};
