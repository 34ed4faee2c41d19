//! What a step makes of a shard's file, without reading or writing anything.
//!
//! A function calls it for a run, and `limit-increase replay` calls it again years later. Because it
//! is the same code, a replay can be compared bit for bit.
//!
//! * [`score`]: from the customers of a shard to the model's frame, and from its scores to the file.
//! * [`evaluate`]: from the scores of a shard to its decisions.
//!
//! What must not live here: S3, SQL, events. A step that only evaluates calls nothing of [`score`],
//! so the linker leaves the model out of its program.

pub mod evaluate;
pub mod score;

pub use evaluate::evaluate;
pub use score::{ScoreCounts, frame, write_scores};
