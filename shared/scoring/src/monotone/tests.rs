#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::ensemble::Split;

const COLUMNS: usize = 3;
const BORDERS: usize = 4;

fn tree(splits: &[(usize, usize)], leaf_values: &[f64]) -> Tree {
    Tree {
        splits: splits.iter().map(|&(column, border)| Split { column, border }).collect(),
        leaf_values: leaf_values.to_vec(),
        leaf_weights: vec![1.0; leaf_values.len()],
    }
}

/// The leaf of a customer whose numbers lie above this many borders of each column.
fn leaf(tree: &Tree, cell: &[usize]) -> usize {
    let bit = |(at, split): (usize, &Split)| usize::from(cell[split.column] > split.border) << at;
    tree.splits.iter().enumerate().map(bit).sum()
}

/// Whether any rise of any promised column goes against its direction, over all pairs of cells.
fn breaks_by_definition(tree: &Tree, directions: &[Option<Direction>], scale: f64) -> bool {
    let cells = (BORDERS + 1).pow(COLUMNS as u32);
    let cell = |number: usize| -> Vec<usize> {
        (0..COLUMNS).map(|at| number / (BORDERS + 1).pow(at as u32) % (BORDERS + 1)).collect()
    };

    (0..cells).map(cell).any(|low| {
        (0..COLUMNS).any(|column| {
            (low[column]..=BORDERS).any(|place| {
                let mut high = low.clone();
                high[column] = place;
                let [low, high] =
                    [&low, &high].map(|cell| scale * tree.leaf_values[leaf(tree, cell)]);
                match directions[column] {
                    None => false,
                    Some(Direction::Rising) => high < low,
                    Some(Direction::Falling) => high > low,
                }
            })
        })
    })
}

fn any_direction() -> impl Strategy<Value = Option<Direction>> {
    prop_oneof![Just(None), Just(Some(Direction::Rising)), Just(Some(Direction::Falling))]
}

/// Trees with few different leaf values, so that many of them keep a direction.
fn any_tree() -> impl Strategy<Value = Tree> {
    prop::collection::vec((0..COLUMNS, 0..BORDERS), 0..=4).prop_flat_map(|splits| {
        prop::collection::vec(-1_i8..=1, 1 << splits.len()).prop_map(move |values| {
            tree(&splits, &values.iter().map(|value| f64::from(*value)).collect::<Vec<_>>())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn the_proof_says_what_all_pairs_of_cells_say(
        tree in any_tree(),
        directions in prop::collection::vec(any_direction(), COLUMNS),
        scale in prop_oneof![Just(1.0), Just(-0.5), Just(0.0)],
    ) {
        let found = violation(&tree, &directions, scale);
        prop_assert_eq!(found.is_some(), breaks_by_definition(&tree, &directions, scale));
    }
}

#[test]
fn the_two_leaves_of_a_violation_are_named() {
    let tree = tree(&[(0, 1), (1, 0)], &[0.0, 1.0, 0.5, 0.25]);
    let rising = [Some(Direction::Rising), None, None];
    let found = Violation { column: 0, lower_leaf: 2, upper_leaf: 3 };
    assert_eq!(violation(&tree, &rising, 1.0), Some(found));
    let falling = [Some(Direction::Falling), None, None];
    let found = Violation { column: 0, lower_leaf: 0, upper_leaf: 1 };
    assert_eq!(violation(&tree, &falling, 1.0), Some(found));
    assert_eq!(violation(&tree, &[None; 3], 1.0), None);
}

#[test]
fn a_leaf_that_no_number_reaches_breaks_nothing() {
    // Leaf 2 is above border 1 and not above border 0.
    let values = [0.0, 1.0, -9.0, 2.0];
    let rising = [Some(Direction::Rising), None, None];
    assert_eq!(violation(&tree(&[(0, 0), (0, 1)], &values), &rising, 1.0), None);
    assert!(violation(&tree(&[(0, 0), (1, 1)], &values), &rising, 1.0).is_none());
    let second = [None, Some(Direction::Rising), None];
    assert!(violation(&tree(&[(0, 0), (1, 1)], &values), &second, 1.0).is_some());
}

#[test]
fn equal_leaves_keep_both_directions_and_the_last_digit_counts() {
    let rising = [Some(Direction::Rising), None, None];
    assert_eq!(violation(&tree(&[(0, 0)], &[0.0, -0.0]), &rising, 1.0), None);
    assert!(violation(&tree(&[(0, 0)], &[0.1, 0.1_f64.next_down()]), &rising, 1.0).is_some());
}
