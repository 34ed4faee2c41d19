//! What must hold for any customer and any model: above all, that base value and SHAP values add up
//! to the raw value (promise 13). The golden models are asked with values at and around their
//! thresholds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::float_cmp)]

mod support;

use std::sync::LazyLock;

use limit_increase_artifact::Manifest;
use limit_increase_scoring::{Model, RowOutcome};
use proptest::prelude::*;
use support::{Reference, by_source, distance, frame, golden, source_columns};

const TOLERANCE: f64 = 1e-9;
/// Models that are small enough for Shapley values by their definition.
const NAMES: [&str; 11] = [
    "constant_feature",
    "depth_1",
    "depth_6",
    "many_columns",
    "monotone",
    "nan_max",
    "nan_min",
    "negative_scale",
    "one_hot",
    "repeated_splits",
    "row_weights",
];

struct Loaded {
    name: &'static str,
    manifest: Manifest,
    model: Model,
    reference: Reference,
}

static MODELS: LazyLock<Vec<Loaded>> = LazyLock::new(|| {
    let load = |name| {
        let artifact = golden(name);
        let (model, reference) =
            (Model::load(&artifact).unwrap(), Reference::read(&artifact.model_json));
        Loaded { name, manifest: artifact.manifest, model, reference }
    };
    NAMES.into_iter().map(load).collect()
});

impl Loaded {
    /// Makes model inputs that a customer can have out of random numbers: thresholds, their
    /// neighbours, and any other number.
    fn row(&self, picks: &[u64]) -> Vec<f32> {
        let mut row = vec![0.0; self.reference.columns];
        for (source, columns) in source_columns(&self.manifest).iter().enumerate() {
            let pick = picks[source % picks.len()].rotate_left((source / picks.len()) as u32);
            if columns.len() > 1 {
                row[columns[pick as usize % columns.len()]] = 1.0;
            } else {
                row[columns[0]] = self.number(columns[0], pick);
            }
        }

        row
    }

    fn number(&self, column: usize, pick: u64) -> f32 {
        let borders = &self.reference.borders[column];
        let border =
            borders.get((pick >> 8) as usize % borders.len().max(1)).copied().unwrap_or_default();
        let anything = f32::from_bits((pick >> 16) as u32);
        let neighbour =
            [border, border.next_up(), border.next_down(), -border, anything][pick as usize % 5];
        match neighbour {
            _ if self.reference.has_nan[column] && pick.is_multiple_of(7) => f32::NAN,
            value if value.is_finite() => value,
            _ => border,
        }
    }
}

fn random_rows(most: usize) -> impl Strategy<Value = Vec<Vec<u64>>> {
    prop::collection::vec(prop::collection::vec(any::<u64>(), 24), 1..=most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// The reference evaluates the trees and works out Shapley values by their definition. It
    /// shares no code with the crate.
    #[test]
    fn values_are_those_of_the_definition(which in 0..NAMES.len(), picks in random_rows(3)) {
        let loaded = &MODELS[which];
        let rows: Vec<Vec<f32>> = picks.iter().map(|picks| loaded.row(picks)).collect();
        let frame = frame(&loaded.manifest, &rows);
        let batch = loaded.model.score(&frame).unwrap();
        for (at, row) in rows.iter().enumerate() {
            let RowOutcome::Scored(scored) = batch.row(at) else { panic!("{}: {row:?} is not scored", loaded.name) };
            prop_assert!(distance(scored.raw_value, loaded.reference.raw_value(row)) <= TOLERANCE, "{}", loaded.name);
            prop_assert!(distance(scored.base_value, loaded.reference.base_value()) <= TOLERANCE, "{}", loaded.name);
            let expected = by_source(&loaded.manifest, &loaded.reference.shap_values(row));
            for (source, (found, expected)) in scored.shap_values.iter().zip(expected).enumerate() {
                prop_assert!(
                    distance(*found, expected) <= TOLERANCE,
                    "{}, source {source} of {row:?}: {found} for {expected}", loaded.name
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// Promise 13.
    #[test]
    fn base_and_shap_values_add_up_and_unused_sources_have_none(which in 0..NAMES.len(), picks in random_rows(20)) {
        let loaded = &MODELS[which];
        let rows: Vec<Vec<f32>> = picks.iter().map(|picks| loaded.row(picks)).collect();
        let frame = frame(&loaded.manifest, &rows);
        let batch = loaded.model.score(&frame).unwrap();
        let columns = source_columns(&loaded.manifest);
        for at in 0..rows.len() {
            let RowOutcome::Scored(scored) = batch.row(at) else { panic!("{}: row {at}", loaded.name) };
            let sum = scored.base_value + scored.shap_values.iter().sum::<f64>();
            prop_assert!(distance(sum, scored.raw_value) <= TOLERANCE, "promise 13: {}: {sum} {}", loaded.name, scored.raw_value);
            let odds = (scored.probability / (1.0 - scored.probability)).ln();
            prop_assert!(distance(odds, scored.raw_value) <= 1e-6, "{}: probability", loaded.name);
            for (value, columns) in scored.shap_values.iter().zip(&columns) {
                let used = columns.iter().any(|column| loaded.reference.uses(*column));
                prop_assert!(used || *value == 0.0, "{}: {columns:?} is not used and has {value}", loaded.name);
            }
        }
    }

    /// A customer's score does not depend, to the last bit, on who else is in the batch.
    #[test]
    fn a_batch_is_its_rows_one_by_one(which in 0..NAMES.len(), picks in random_rows(20), size in 0_usize..300) {
        let loaded = &MODELS[which];
        let distinct: Vec<Vec<f32>> = picks.iter().map(|picks| loaded.row(picks)).collect();
        let rows: Vec<Vec<f32>> = (0..size).map(|at| distinct[at % distinct.len()].clone()).collect();
        let all = frame(&loaded.manifest, &rows);
        let batch = loaded.model.score(&all).unwrap();
        let predictions = loaded.model.predict(&all).unwrap();
        prop_assert_eq!((batch.len(), predictions.len(), batch.is_empty()), (size, size, size == 0));
        let alone: Vec<_> = distinct.iter().map(|row| frame(&loaded.manifest, std::slice::from_ref(row))).collect();
        let alone: Vec<_> = alone.iter().map(|frame| loaded.model.score(frame).unwrap()).collect();
        for at in 0..size {
            let (RowOutcome::Scored(found), RowOutcome::Scored(single)) = (batch.row(at), alone[at % distinct.len()].row(0))
            else { panic!("{}: row {at}", loaded.name) };
            prop_assert_eq!(found.raw_value.to_bits(), single.raw_value.to_bits());
            prop_assert_eq!(found.shap_values, single.shap_values);
            let prediction = predictions[at].unwrap();
            prop_assert_eq!(prediction.raw_value.to_bits(), found.raw_value.to_bits());
            prop_assert_eq!(prediction.probability.to_bits(), found.probability.to_bits());
            prop_assert_eq!(prediction.score, found.score);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// What is proven over the trees holds for raw values to the last bit, and so for points.
    #[test]
    fn a_monotone_column_moves_every_customer_in_its_direction(
        picks in random_rows(20), column in prop::sample::select(vec![(0_usize, 1.0), (2, -1.0)]), other in any::<u64>(),
    ) {
        let loaded = MODELS.iter().find(|loaded| loaded.name == "monotone").unwrap();
        let (column, direction) = column;
        let mut rows: Vec<Vec<f32>> = picks.iter().map(|picks| loaded.row(picks)).collect();
        let with_another = |row: &Vec<f32>| -> Vec<f32> {
            let mut row = row.clone();
            row[column] = loaded.number(column, other);
            row
        };

        rows.extend(rows.iter().map(with_another).collect::<Vec<_>>());
        let scored = loaded.model.predict(&frame(&loaded.manifest, &rows)).unwrap();
        for (at, high) in picks.iter().zip(scored.len() / 2..).map(|(_, other)| other).enumerate() {
            // A missing value of this model lies below every number.
            let place = |row: &[f32]| if row[column].is_nan() { f32::NEG_INFINITY } else { row[column] };
            let rise = (place(&rows[high]) - place(&rows[at])) * direction;
            let [before, after] = [at, high].map(|row| scored[row].unwrap());
            let moved = after.raw_value - before.raw_value;
            prop_assert!(rise.is_nan() || f64::from(rise.signum()) * moved >= 0.0 || rise == 0.0, "{rise}: {moved}");
            prop_assert!(rise.is_nan() || rise <= 0.0 || after.score <= before.score);
            prop_assert!(rise.is_nan() || rise >= 0.0 || after.score >= before.score);
        }
    }
}

/// The batch has more rows than one call of tract, and their number is not a multiple of a block.
#[test]
fn a_batch_larger_than_one_call_of_tract_is_scored_alike() {
    let loaded = MODELS.iter().find(|loaded| loaded.name == "many_columns").unwrap();
    let distinct: Vec<Vec<f32>> =
        (0..97_u64).map(|at| loaded.row(&[at.wrapping_mul(0x9E37_79B9_7F4A_7C15)])).collect();
    let rows: Vec<Vec<f32>> = (0..4_001).map(|at| distinct[at % distinct.len()].clone()).collect();
    let frame = frame(&loaded.manifest, &rows);
    let batch = loaded.model.score(&frame).unwrap();
    for at in 0..rows.len() {
        let (RowOutcome::Scored(found), RowOutcome::Scored(first)) =
            (batch.row(at), batch.row(at % distinct.len()))
        else {
            panic!("row {at}")
        };

        assert_eq!(
            (found.raw_value, found.shap_values),
            (first.raw_value, first.shap_values),
            "row {at}"
        );
    }
}
