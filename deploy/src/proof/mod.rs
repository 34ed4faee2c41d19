//! What a run left behind, for whoever asks why or wants to see it proved: its files in S3, its row in
//! the ledger, its model. What is worked out of them is the crate `deploy/evidence`.

pub mod find;
pub mod history;
pub mod ledger;
pub mod replay;
pub mod run_files;
pub mod verify;
