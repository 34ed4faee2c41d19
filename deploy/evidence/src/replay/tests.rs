#![allow(clippy::unwrap_used)]
use limit_increase_artifact::Artifact;
use limit_increase_domain::CreditScore;
use limit_increase_handoff::customers::CustomersWriter;
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use rust_decimal::Decimal;

use super::*;

const DEPTH_6: &[u8] = include_bytes!("../../../../shared/scoring/tests/golden/depth_6.tar.gz");
const STUMPS: &[u8] = include_bytes!("../../../../shared/scoring/tests/golden/stumps.tar.gz");

fn model(archive: &[u8]) -> Model {
    Model::load(&Artifact::open(archive).unwrap()).unwrap()
}

fn policy() -> Policy {
    Policy { minimum_score: CreditScore::new(580), ..Policy::default() }
}

/// The files that a run records of 300 customers, every tenth without features and every seventh
/// stale.
fn recorded(model: &Model) -> RecordedShard {
    let columns: Vec<_> = model.inputs().iter().map(|input| input.column.clone()).collect();
    let mut writer = CustomersWriter::new(&columns);
    for number in 0..300_u32 {
        let id = format!("CUST_{number:04}");
        let row = CustomerRow {
            customer_id: &id,
            current_score: Some(640),
            current_limit: Some(Decimal::new(i64::from(number) * 2_000, 2)),
            unreadable: None,
            application_date: None,
            annual_income: None,
            has_features: number % 10 != 0,
        };
        let value = |source: usize| {
            let spread = f64::from(number) - 150.0;
            CellValue::Number(Some(spread * 10_f64.powi(source as i32 % 7 - 3)))
        };
        writer.push(&row, (0..columns.len()).map(value)).unwrap();
    }

    let customers = writer.finish().unwrap();
    let read = Customers::read(customers.clone(), 300).unwrap();
    let scored = score(model, &read).unwrap();
    let evaluations = decide(&policy(), &scored, 300).unwrap();
    let results = {
        let evaluations = Evaluations::read(evaluations.clone(), 300).unwrap();
        let mut writer = ResultsWriter::default();
        for (row, evaluation) in evaluations.iter().unwrap().enumerate() {
            let effect = if row % 7 == 0 { Effect::Stale } else { Effect::Written };
            writer.push(&evaluation.unwrap(), effect);
        }
        writer.finish().unwrap()
    };
    RecordedShard { customers, scored, evaluations, results }
}

#[test]
fn a_shard_comes_out_again_to_the_last_bit_whole_and_in_part() {
    let model = model(DEPTH_6);
    let recorded = recorded(&model);
    let whole = replay_shard(&model, &policy(), &recorded, None).unwrap();
    assert_eq!(whole, Replay { customers: 300, ..Replay::default() });

    for count in [1, 7, 33, 299] {
        let rows: Vec<u32> = sample(count, 300).map(|row| row as u32).collect();
        let part = replay_shard(&model, &policy(), &recorded, Some(&rows)).unwrap();
        assert_eq!(part, Replay { customers: count, ..Replay::default() }, "{count} of 300");
    }
}

#[test]
fn another_policy_or_model_is_seen_in_each_stage_that_it_changes() {
    let right = model(DEPTH_6);
    let recorded = recorded(&right);
    let stricter = Policy { minimum_score: CreditScore::new(700), ..policy() };
    let found = replay_shard(&right, &stricter, &recorded, None).unwrap();
    assert!(found.differences > 0);
    assert!(found.first.iter().all(|one| one.stage != "scored_customers"), "{:?}", found.first);

    let found = replay_shard(&model(STUMPS), &policy(), &recorded, None).unwrap();
    assert_eq!(found.first[0].stage, "scored_customers");
}

#[test]
fn an_edited_cell_is_named_by_stage_column_and_row() {
    let model = model(DEPTH_6);
    let recorded = recorded(&model);
    let evaluations = Evaluations::read(recorded.evaluations.clone(), 300).unwrap();
    let mut writer = ResultsWriter::default();
    for (row, evaluation) in evaluations.iter().unwrap().enumerate() {
        let mut evaluation = evaluation.unwrap();
        if row == 123 {
            evaluation.reason = "Because.";
        }
        let effect = if row % 7 == 0 { Effect::Stale } else { Effect::Written };
        writer.push(&evaluation, effect);
    }

    let forged = RecordedShard { results: writer.finish().unwrap(), ..recorded };
    let found = replay_shard(&model, &policy(), &forged, None).unwrap();
    assert_eq!(found.differences, 1);
    let first = &found.first[0];
    assert_eq!(
        (first.stage, first.column.as_str(), first.row),
        ("results", "decision_reason", Some(123))
    );
    assert_eq!(first.recorded, "\"Because.\"");

    let damaged = RecordedShard { scored: Bytes::from_static(b"PAR1"), ..forged };
    let error = replay_shard(&model, &policy(), &damaged, None).unwrap_err().to_string();
    assert!(error.starts_with("pipeline/scored_customers: "), "{error}");
}

#[test]
fn a_sample_is_spread_evenly_and_never_repeats_a_row() {
    assert_eq!(sample(3, 9).collect::<Vec<_>>(), [1, 4, 7]);
    assert_eq!(sample(9, 3).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(sample(0, 3).count() + sample(3, 0).count(), 0);
    for (count, total) in [(7, 11), (1_000, 600_353), (600_353, 600_353)] {
        let rows: Vec<u64> = sample(count, total).collect();
        assert_eq!(rows.len() as u64, count);
        assert!(rows.windows(2).all(|pair| pair[0] < pair[1]) && rows[rows.len() - 1] < total);
    }
}

#[test]
fn replays_of_shards_add_up() {
    let one = |count: u64| {
        let difference = |row: u32| ReplayDifference {
            stage: "results",
            column: "effect".to_owned(),
            row: Some(row),
            recorded: String::new(),
            replayed: String::new(),
        };
        let described = (0..count.min(DESCRIBED as u64)).map(|row| difference(row as u32));
        Replay { customers: 100, differences: count, first: described.collect() }
    };
    let mut sum = Replay::default();
    for count in [0, 7, 9] {
        sum.add(one(count));
    }
    assert_eq!((sum.customers, sum.differences, sum.first.len()), (300, 16, DESCRIBED));
}
