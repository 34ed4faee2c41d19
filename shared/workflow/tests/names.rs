//! The texts of a run's id and of a shard's number: they are parts of S3 keys and of ledger rows.
#![allow(clippy::unwrap_used)]

use limit_increase_workflow::run::RunId;
use limit_increase_workflow::shard::ShardIndex;

#[test]
fn a_run_id_keeps_its_text_in_every_form() {
    let id = RunId::try_from("nightly.2026-11-24_1".to_owned()).unwrap();
    assert_eq!(id.as_str(), "nightly.2026-11-24_1");
    assert_eq!(id.to_string(), "nightly.2026-11-24_1");
    assert_eq!(serde_json::to_string(&id).unwrap(), r#""nightly.2026-11-24_1""#);
    assert_eq!(String::from(id), "nightly.2026-11-24_1");
}

#[test]
fn a_refused_run_id_is_shown_and_cut_at_100_characters() {
    let error = RunId::try_from("/".repeat(101)).unwrap_err().to_string();
    let found = "/".repeat(100);
    assert_eq!(
        error,
        format!("run_id: must have 1 to 80 characters out of A-Z a-z 0-9 . _ -, found {found:?}")
    );
}

#[test]
fn a_shard_s_number_is_shown_as_a_number() {
    for number in [0, 1, 7, u32::MAX] {
        assert_eq!(ShardIndex(number).to_string(), number.to_string());
        assert_eq!(serde_json::to_string(&ShardIndex(number)).unwrap(), number.to_string());
    }
}
