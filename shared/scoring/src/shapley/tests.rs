#![allow(clippy::unwrap_used)]
use proptest::prelude::*;

use super::*;
use crate::ensemble::Split;

/// What a coalition is worth by its definition, from the root down.
fn worth(tree: &Tree, leaf: usize, coalition: &[usize], levels: usize, node: usize) -> f64 {
    if levels == 0 {
        return tree.leaf_values[node];
    }

    let column = tree.splits[levels - 1].column;
    let child = |yes: usize| worth(tree, leaf, coalition, levels - 1, 2 * node + yes);
    if coalition.contains(&column) {
        return child(leaf >> (levels - 1) & 1);
    }

    let below = 1 << (levels - 1);
    let rows = |yes: usize| -> f64 {
        let first = (2 * node + yes) * below;
        tree.leaf_weights[first..first + below].iter().sum()
    };

    let (no, yes) = (rows(0), rows(1));
    if no + yes > 0.0 {
        (no * child(0) + yes * child(1)) / (no + yes)
    } else {
        0.5 * (child(0) + child(1))
    }
}

/// Shapley's formula over all orders in which the columns can join.
fn by_definition(tree: &Tree, leaf: usize, columns: &[usize]) -> Vec<f64> {
    let mut values = vec![0.0; columns.len()];
    let mut orders = 0.0;
    let mut order: Vec<usize> = (0..columns.len()).collect();
    permute(&mut order, 0, &mut |order| {
        orders += 1.0;
        let mut coalition = Vec::new();
        let mut before = worth(tree, leaf, &coalition, tree.splits.len(), 0);
        for player in order {
            coalition.push(columns[*player]);
            let after = worth(tree, leaf, &coalition, tree.splits.len(), 0);
            values[*player] += after - before;
            before = after;
        }
    });

    values.iter().map(|value| value / orders).collect()
}

fn permute(order: &mut [usize], fixed: usize, visit: &mut impl FnMut(&[usize])) {
    if fixed == order.len() {
        return visit(order);
    }

    for next in fixed..order.len() {
        order.swap(fixed, next);
        permute(order, fixed + 1, visit);
        order.swap(fixed, next);
    }
}

/// Trees of few columns, so that splits repeat, with leaves that no row has reached.
fn trees() -> impl Strategy<Value = Tree> {
    (0_usize..6, 1_usize..6).prop_flat_map(|(depth, columns)| {
        let leaves = 1 << depth;
        let splits = proptest::collection::vec(
            (0..columns).prop_map(|column| Split { column, border: 0 }),
            depth,
        );

        let values = proptest::collection::vec(-2.0..2.0_f64, leaves);
        let weights = proptest::collection::vec(prop_oneof![Just(0.0), 0.1..50.0_f64], leaves);
        (splits, values, weights).prop_map(|(splits, leaf_values, mut leaf_weights)| {
            leaf_weights[0] = 1.0;
            Tree { splits, leaf_values, leaf_weights }
        })
    })
}

proptest! {
    #[test]
    fn values_are_those_of_the_definition(tree in trees()) {
        let game = TreeGame::new(&tree);
        let (mut scratch, mut values) = (Vec::new(), Vec::new());
        for leaf in 0..tree.leaf_values.len() {
            game.play(leaf, &mut scratch, &mut values);
            let expected = by_definition(&tree, leaf, game.columns());
            for (found, expected) in values.iter().zip(&expected) {
                prop_assert!((found - expected).abs() < 1e-12, "leaf {leaf}: {values:?}, not {expected:?}");
            }
        }
    }

    #[test]
    fn values_add_up_to_the_leaf_even_where_no_training_row_came(tree in trees()) {
        let game = TreeGame::new(&tree);
        let (mut scratch, mut values) = (Vec::new(), Vec::new());
        for (leaf, value) in tree.leaf_values.iter().enumerate() {
            game.play(leaf, &mut scratch, &mut values);
            let sum = tree.mean() + values.iter().sum::<f64>();
            prop_assert!((sum - value).abs() < 1e-12, "leaf {leaf}: {sum}, not {value}");
        }
    }
}

#[test]
fn join_weights_of_a_column_add_up_to_one() {
    for players in 1..=16 {
        let weights = join_weights(players);
        // Over the coalitions without the first player.
        let sum: f64 = weights.iter().step_by(2).sum();
        assert!((sum - 1.0).abs() < 1e-12, "{players}: {sum}");
    }
}

#[test]
fn the_deepest_tree_adds_up() {
    let splits = (0..16).map(|column| Split { column, border: 0 }).collect();
    let leaf_values: Vec<f64> = (0..1 << 16).map(|leaf| f64::from(leaf).sin()).collect();
    let leaf_weights = (0..1 << 16).map(|leaf| f64::from(leaf % 7)).collect();
    let tree = Tree { splits, leaf_values, leaf_weights };
    let game = TreeGame::new(&tree);
    let (mut scratch, mut values) = (Vec::new(), Vec::new());
    for leaf in [0, 1, 40_503, 65_535] {
        game.play(leaf, &mut scratch, &mut values);
        let sum = tree.mean() + values.iter().sum::<f64>();
        assert!((sum - tree.leaf_values[leaf]).abs() < 1e-12, "{sum}");
    }
}
