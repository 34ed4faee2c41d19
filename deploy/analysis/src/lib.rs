//! What other policies and models would decide about the customers of a stored run, and how scores
//! turned out.

pub mod interval;
pub mod outcomes;
pub mod simulate;
