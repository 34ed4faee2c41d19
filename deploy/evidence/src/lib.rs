//! Why a customer was decided so, and the proof of it. All of it is worked out from what a run
//! leaves behind: its files, its row in the ledger, its model.
//!
//! * [`explanation`]: the score of one customer as points, the rule that decided, and the reasons, as
//!   data and as an HTML page.
//! * [`counterfactual`]: the smallest change of one input that would have reached the cut-off.
//! * [`replay`]: a shard scored and decided again, and compared bit for bit.
//! * [`seal`]: whether the runs of the ledger are those that were sealed, one after the other.
//!
//! The command line reads and writes; this crate does neither. What must not live here: S3, SQL.

pub mod counterfactual;
pub mod explanation;
pub mod replay;
pub mod seal;
