//! Proves that the trees keep the directions that the manifest promises of its columns.
//!
//! The proof goes tree by tree. When a column rises and all others stay, a row moves from one leaf
//! of a tree to another. If no such move goes against the direction in any tree, the sum of the
//! trees does not either. CatBoost keeps its `monotone_constraints` in each tree, so its models pass.
//! A model whose trees keep a direction only together is refused.
//!
//! A missing value lies below every border of its column or above it, so it is part of the proof:
//! it counts as the lowest number or as the highest.

use limit_increase_artifact::{Direction, ModelColumn};

use crate::ensemble::{Ensemble, Tree};
use crate::error::ScoringError;

/// What a tree asks about one column.
struct Chain {
    column: usize,
    /// For each border of the tree, the lowest first, the bits of the leaf's number that become
    /// one above it. A tree may ask the same question twice.
    steps: Vec<usize>,
}

/// A move from one leaf to another by a rise of one column, against the column's direction.
#[derive(Debug, PartialEq, Eq)]
struct Violation {
    column: usize,
    lower_leaf: usize,
    upper_leaf: usize,
}

/// Checks the directions of all columns.
///
/// # Errors
/// [`ScoringError::NotMonotone`] for the first move against a direction.
pub(crate) fn check(columns: &[ModelColumn], ensemble: &Ensemble) -> Result<(), ScoringError> {
    let directions: Vec<Option<Direction>> = columns.iter().map(|column| column.monotone).collect();
    if directions.iter().all(Option::is_none) {
        return Ok(());
    }

    for (number, tree) in ensemble.trees.iter().enumerate() {
        if let Some(found) = violation(tree, &directions, ensemble.scale) {
            return Err(ScoringError::NotMonotone {
                column: columns[found.column].name.clone(),
                promise: match directions[found.column] {
                    Some(Direction::Falling) => "-1, which never raises",
                    _ => "+1, which never lowers",
                },
                tree: number,
                lower_leaf: found.lower_leaf,
                lower: ensemble.scale * tree.leaf_values[found.lower_leaf],
                upper_leaf: found.upper_leaf,
                upper: ensemble.scale * tree.leaf_values[found.upper_leaf],
            });
        }
    }

    Ok(())
}

/// The first move of a tree against a direction.
///
/// Each leaf is compared with the next one above it in each column, because what holds for every
/// step holds for every rise.
fn violation(tree: &Tree, directions: &[Option<Direction>], scale: f64) -> Option<Violation> {
    let chains = chains(tree);
    let promised: Vec<(&Chain, Direction)> = chains
        .iter()
        .filter_map(|chain| Some((chain, directions.get(chain.column).copied()??)))
        .collect();
    if promised.is_empty() {
        return None;
    }

    let breaks = |direction: Direction, lower: f64, upper: f64| match direction {
        Direction::Rising => upper < lower,
        Direction::Falling => upper > lower,
    };

    let leaves = 0..tree.leaf_values.len();
    leaves.filter(|leaf| chains.iter().all(|chain| chain.allows(*leaf))).find_map(|leaf| {
        promised.iter().find_map(|(chain, direction)| {
            let above = leaf | chain.steps.iter().find(|step| leaf & **step == 0)?;
            let [lower, upper] = [leaf, above].map(|leaf| scale * tree.leaf_values[leaf]);
            breaks(*direction, lower, upper).then_some(Violation {
                column: chain.column,
                lower_leaf: leaf,
                upper_leaf: above,
            })
        })
    })
}

impl Chain {
    /// Whether some number gives the answers that the leaf stands for. No number is above a border
    /// and not above a lower one.
    fn allows(&self, leaf: usize) -> bool {
        let mut below = false;
        self.steps.iter().all(|step| {
            let answers = leaf & step;
            let allowed = answers == 0 || (answers == *step && !below);
            below |= answers == 0;
            allowed
        })
    }
}

fn chains(tree: &Tree) -> Vec<Chain> {
    let mut bits: Vec<(usize, usize, usize)> = tree
        .splits
        .iter()
        .enumerate()
        .map(|(bit, split)| (split.column, split.border, 1 << bit))
        .collect();
    bits.sort_unstable();

    bits.chunk_by(|left, right| left.0 == right.0)
        .map(|column| Chain {
            column: column[0].0,
            steps: column
                .chunk_by(|left, right| left.1 == right.1)
                .map(|same| same.iter().map(|(_, _, bit)| bit).sum())
                .collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests;
