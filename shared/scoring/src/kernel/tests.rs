#![allow(clippy::unwrap_used, clippy::float_cmp)]
use proptest::prelude::*;

use super::*;
use crate::ensemble::{FloatFeature, NanTreatment, Split, Tree};

fn column(borders: Vec<f32>, nan: NanTreatment) -> FloatFeature {
    FloatFeature { borders, nan }
}

/// A model of one question. The raw value is 1 where the answer is yes.
fn question(column: FloatFeature, border: usize) -> Kernel {
    let splits = vec![Split { column: 0, border }];
    let tree = Tree { splits, leaf_values: vec![0.0, 1.0], leaf_weights: vec![1.0, 1.0] };
    Kernel::new(&Ensemble { columns: vec![column], trees: vec![tree], scale: 1.0, bias: 0.0 })
}

/// Asks the question of one row in a small block and of many in a large one, which use different
/// code.
fn answer(kernel: &Kernel, value: f32) -> bool {
    let (mut alone, mut among) = ([0.0], [0.0; BLOCK]);
    kernel.score(&[value], &mut alone);
    kernel.score(&[value; BLOCK], &mut among);
    assert!(
        among.iter().all(|raw| *raw == alone[0]),
        "{value}: alone {alone:?}, among others {among:?}"
    );

    alone == [1.0]
}

#[test]
fn a_threshold_hit_exactly_is_not_passed() {
    let kernel = question(column(vec![0.1], NanTreatment::AsIs), 0);
    assert!(!answer(&kernel, 0.1));
    assert!(answer(&kernel, 0.1_f32.next_up()));
    assert!(!answer(&kernel, 0.1_f32.next_down()));
}

#[test]
fn zeros_of_both_signs_are_one_threshold() {
    for border in [0.0, -0.0] {
        let kernel = question(column(vec![border], NanTreatment::AsIs), 0);
        assert!(!answer(&kernel, 0.0));
        assert!(!answer(&kernel, -0.0));
        assert!(answer(&kernel, f32::from_bits(1)));
    }
}

#[test]
fn missing_values_and_infinities_are_where_catboost_has_them() {
    let borders = vec![f32::MIN, 0.0, f32::MAX];
    for (treatment, expected) in
        [(NanTreatment::AsIs, false), (NanTreatment::AsFalse, false), (NanTreatment::AsTrue, true)]
    {
        for border in 0..3 {
            let kernel = question(column(borders.clone(), treatment), border);
            assert_eq!(answer(&kernel, f32::NAN), expected, "{treatment:?}");
            assert!(answer(&kernel, f32::INFINITY));
            assert!(!answer(&kernel, f32::NEG_INFINITY));
        }
    }
}

#[test]
fn more_borders_than_a_byte_counts() {
    let borders: Vec<f32> = (0..1000).map(|border| border as f32).collect();
    for border in [0, 254, 255, 256, 510, 511, 999] {
        let kernel = question(column(borders.clone(), NanTreatment::AsTrue), border);
        assert!(!answer(&kernel, border as f32), "{border}");
        assert!(answer(&kernel, border as f32 + 0.5), "{border}");
        assert!(answer(&kernel, f32::NAN), "{border}");
    }
}

/// The raw value by the definition of an ensemble.
fn by_definition(ensemble: &Ensemble, row: &[f32]) -> f64 {
    let leaf = |tree: &Tree| {
        let answer = |split: &Split| {
            let column = &ensemble.columns[split.column];
            let value = row[split.column];
            if value.is_nan() {
                column.nan == NanTreatment::AsTrue
            } else {
                value > column.borders[split.border]
            }
        };

        let number = |(bit, split)| usize::from(answer(split)) << bit;
        tree.leaf_values[tree.splits.iter().enumerate().map(number).sum::<usize>()]
    };

    ensemble.scale * ensemble.trees.iter().map(leaf).sum::<f64>() + ensemble.bias
}

#[test]
fn any_number_of_rows_and_any_depth() {
    for depth in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16] {
        let columns: Vec<_> = (0..16).map(|_| column(vec![0.5], NanTreatment::AsIs)).collect();
        let splits = (0..depth).map(|column| Split { column, border: 0 }).collect();
        let leaves = 1_usize << depth;
        let leaf_values = (0..leaves).map(|leaf| leaf as f64).collect();
        let tree = Tree { splits, leaf_values, leaf_weights: vec![1.0; leaves] };
        let kernel = Kernel::new(&Ensemble { columns, trees: vec![tree], scale: 2.0, bias: 0.25 });
        for count in [0_usize, 1, 8, 20, 32, 33, 127, 128, 129, 1000] {
            // Row r has the bits of 40503 * r.
            let number = |row: usize| (row * 40503) & 0xffff;
            let rows: Vec<f32> = (0..count)
                .flat_map(|row| (0..16).map(move |bit| (number(row) >> bit & 1) as f32))
                .collect();
            let mut raw = vec![0.0; count];
            kernel.score(&rows, &mut raw);
            for (row, raw) in raw.iter().enumerate() {
                assert_eq!(
                    *raw,
                    2.0 * (number(row) & (leaves - 1)) as f64 + 0.25,
                    "depth {depth}, row {row}"
                );
            }
        }
    }
}

const COLUMNS: usize = 3;

fn ensembles() -> impl Strategy<Value = Ensemble> {
    let nan = prop_oneof![
        Just(NanTreatment::AsIs),
        Just(NanTreatment::AsFalse),
        Just(NanTreatment::AsTrue)
    ];

    let borders = proptest::collection::btree_set(-50_i16..50, 1..20);
    let column = (borders, nan).prop_map(|(borders, nan)| FloatFeature {
        borders: borders.into_iter().map(|border| f32::from(border) / 4.0).collect(),
        nan,
    });

    proptest::collection::vec(column, COLUMNS).prop_flat_map(|columns| {
        let sizes: Vec<usize> = columns.iter().map(|column| column.borders.len()).collect();
        let split = (0..COLUMNS, any::<prop::sample::Index>()).prop_map(move |(column, border)| {
            Split { column, border: border.index(sizes[column]) }
        });

        let tree = proptest::collection::vec(split, 0..11).prop_flat_map(|splits| {
            let leaves = 1 << splits.len();
            let values = proptest::collection::vec(-1.0..1.0_f64, leaves);
            (Just(splits), values, proptest::collection::vec(0.1..9.0_f64, leaves)).prop_map(
                |(splits, leaf_values, leaf_weights)| Tree { splits, leaf_values, leaf_weights },
            )
        });

        (Just(columns), proptest::collection::vec(tree, 1..4), -2.0..2.0_f64, -2.0..2.0_f64)
            .prop_map(|(columns, trees, scale, bias)| Ensemble { columns, trees, scale, bias })
    })
}

/// Values that often lie on thresholds.
fn values() -> impl Strategy<Value = f32> {
    prop_oneof![
        8 => (-60_i16..60).prop_map(|value| f32::from(value) / 4.0),
        4 => any::<f32>(),
        1 => prop_oneof![Just(f32::NAN), Just(f32::INFINITY), Just(f32::NEG_INFINITY)],
    ]
}

proptest! {
    #[test]
    fn rows_score_as_defined(
        ensemble in ensembles(),
        rows in proptest::collection::vec(proptest::collection::vec(values(), COLUMNS), 0..200),
    ) {
        let kernel = Kernel::new(&ensemble);
        let mut raw = vec![0.0; rows.len()];
        kernel.score(&rows.concat(), &mut raw);
        for (row, raw) in rows.iter().zip(&raw) {
            let expected = by_definition(&ensemble, row);
            prop_assert!((raw - expected).abs() < 1e-12, "{row:?}: {raw}, not {expected}");
        }

        // The code for a processor without vector instructions.
        let mut plain = vec![0.0; rows.len()];
        Evaluation { kernel: &kernel, rows: &rows.concat(), raw: &mut plain, explanation: Unexplained }
            .with_simd(pulp::Scalar::new());
        prop_assert_eq!(plain, raw);
    }

    #[test]
    fn tables_and_playing_each_row_explain_alike_and_add_up(
        ensemble in ensembles(),
        rows in proptest::collection::vec(proptest::collection::vec(values(), COLUMNS), 0..150),
    ) {
        let kernel = Kernel::new(&ensemble);
        let rows_flat = rows.concat();
        let explain = |groups: &[usize], bytes: usize| {
            let explainer = Explainer::new(&ensemble, groups, bytes);
            let mut raw = vec![0.0; rows.len()];
            let mut shap = vec![0.0; rows.len() * explainer.groups()];
            kernel.explain(&explainer, &rows_flat, &mut raw, &mut shap);
            (raw, shap, explainer.base_value())
        };

        let (raw, tables, base) = explain(&[0, 1, 2], usize::MAX);
        let (_, played, _) = explain(&[0, 1, 2], 0);
        let (_, grouped, _) = explain(&[0, 1, 1], 1_000);
        for row in 0..rows.len() {
            let [first, second, third] = tables[row * COLUMNS..][..COLUMNS] else { unreachable!() };
            prop_assert!((base + first + second + third - raw[row]).abs() < 1e-11);
            for (table, played) in tables[row * COLUMNS..][..COLUMNS].iter().zip(&played[row * COLUMNS..]) {
                prop_assert!((table - played).abs() < 1e-12);
            }

            prop_assert!((grouped[2 * row] - first).abs() < 1e-12);
            prop_assert!((grouped[2 * row + 1] - (second + third)).abs() < 1e-12);
        }

        // A column that no split asks about explains nothing.
        for column in 0..COLUMNS {
            if ensemble.trees.iter().flat_map(|tree| &tree.splits).all(|split| split.column != column) {
                prop_assert!(tables.iter().skip(column).step_by(COLUMNS).all(|value| *value == 0.0));
            }
        }
    }
}
