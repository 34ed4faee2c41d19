//! SHAP values of an ensemble, from tables.
//!
//! In a symmetric tree a row's SHAP values depend only on its leaf. So they are worked out once per
//! leaf when the model is loaded. Explaining a row is then a look-up and an addition per tree. For
//! a tree that is too deep for a table, the values are worked out for each leaf that a block
//! reaches.

use crate::ensemble::Ensemble;
use crate::leaves::{LeafNumbers, add_by_leaf};
use crate::shapley::TreeGame;

/// The most bytes that all tables of a model may take.
pub(crate) const MAX_TABLE_BYTES: usize = 32 << 20;
/// The deepest tree that gets a table. Making a table takes 4^depth steps, and a larger one does
/// not fit into the nearest caches.
const MAX_TABLE_DEPTH: usize = 10;

/// Gives the SHAP values of an ensemble's columns, added up by group of columns.
///
/// A group is a source column of the customer's table, or a single model column.
#[derive(Debug)]
pub(crate) struct Explainer {
    groups: usize,
    base_value: f64,
    scale: f64,
    trees: Vec<TreeExplainer>,
    table_bytes: usize,
}

#[derive(Debug)]
struct TreeExplainer {
    /// The groups whose columns the tree asks about, rising.
    groups: Vec<usize>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// SHAP values, one row of leaves per group of the tree.
    Table(Vec<f64>),
    /// The game is played when a row needs it. The second part has for each of the game's columns
    /// its group's position among the tree's groups.
    Game(Box<TreeGame>, Vec<usize>),
}

/// Adds up the SHAP values of a block over the trees.
pub(crate) struct ShapAccumulator<const ROWS: usize> {
    rows: usize,
    by_group: Vec<[f64; ROWS]>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    worth: Vec<f64>,
    values: Vec<f64>,
    /// The leaves that the block has reached in the current tree, with their values.
    played: Vec<(usize, Vec<f64>)>,
}

impl Explainer {
    /// Makes an explainer that adds up columns by group, with tables of at most `table_bytes`.
    /// `group_of` has the group of each model column.
    pub(crate) fn new(ensemble: &Ensemble, group_of: &[usize], table_bytes: usize) -> Self {
        let groups = group_of.iter().max().map_or(0, |last| last + 1);
        let mut explainer = Self {
            groups,
            base_value: ensemble.base_value(),
            scale: ensemble.scale,
            trees: Vec::with_capacity(ensemble.trees.len()),
            table_bytes: 0,
        };

        let arch = pulp::Arch::new();
        let mut scratch = Scratch::default();
        for tree in &ensemble.trees {
            let game = TreeGame::new(tree);
            let mut groups: Vec<usize> =
                game.columns().iter().map(|column| group_of[*column]).collect();
            groups.sort_unstable();
            groups.dedup();

            let positions: Vec<usize> = game
                .columns()
                .iter()
                .map(|column| groups.partition_point(|group| *group < group_of[*column]))
                .collect();

            let bytes = groups.len() * tree.leaf_values.len() * size_of::<f64>();
            let fits = tree.splits.len() <= MAX_TABLE_DEPTH
                && explainer.table_bytes + bytes <= table_bytes;
            let method = if fits {
                explainer.table_bytes += bytes;
                let leaves = tree.leaf_values.len();
                let mut table = vec![0.0; groups.len() * leaves];
                arch.dispatch(
                    #[inline(always)]
                    || {
                        fill_table(
                            &game,
                            &positions,
                            ensemble.scale,
                            leaves,
                            &mut table,
                            &mut scratch,
                        );
                    },
                );

                Method::Table(table)
            } else {
                Method::Game(Box::new(game), positions)
            };

            explainer.trees.push(TreeExplainer { groups, method });
        }

        explainer
    }

    /// The number of groups, which is the number of SHAP values per row.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// What SHAP values start from, in log-odds.
    pub(crate) fn base_value(&self) -> f64 {
        self.base_value
    }

    /// The bytes that the tables take.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    /// Makes an accumulator for blocks of at most `ROWS` rows.
    pub(crate) fn accumulator<const ROWS: usize>(&self) -> ShapAccumulator<ROWS> {
        ShapAccumulator {
            rows: 0,
            by_group: vec![[0.0; ROWS]; self.groups],
            scratch: Scratch::default(),
        }
    }

    /// Adds one tree's part for each row of a block.
    #[inline(always)]
    pub(crate) fn add_tree<const ROWS: usize>(
        &self,
        number: usize,
        leaves: &LeafNumbers<ROWS>,
        accumulator: &mut ShapAccumulator<ROWS>,
    ) {
        let tree = &self.trees[number];
        match &tree.method {
            Method::Table(table) => {
                let size = table.len() / tree.groups.len().max(1);
                for (group, table) in tree.groups.iter().zip(table.chunks_exact(size.max(1))) {
                    add_by_leaf(table, leaves, &mut accumulator.by_group[*group]);
                }
            }
            Method::Game(game, positions) => {
                self.play_rows(tree, game, positions, leaves, accumulator);
            }
        }
    }

    /// Adds the part of a tree without a table.
    #[inline(always)]
    fn play_rows<const ROWS: usize>(
        &self,
        tree: &TreeExplainer,
        game: &TreeGame,
        positions: &[usize],
        leaves: &LeafNumbers<ROWS>,
        accumulator: &mut ShapAccumulator<ROWS>,
    ) {
        let scratch = &mut accumulator.scratch;
        scratch.played.clear();
        for row in 0..accumulator.rows {
            let leaf = leaves.of(row);
            let at = scratch.played.iter().position(|(played, _)| *played == leaf).unwrap_or_else(
                || {
                    game.play(leaf, &mut scratch.worth, &mut scratch.values);
                    scratch.played.push((leaf, scratch.values.clone()));
                    scratch.played.len() - 1
                },
            );

            for (value, position) in scratch.played[at].1.iter().zip(positions) {
                accumulator.by_group[tree.groups[*position]][row] += self.scale * value;
            }
        }
    }
}

/// Fills a tree's table.
#[inline(always)]
fn fill_table(
    game: &TreeGame,
    positions: &[usize],
    scale: f64,
    leaves: usize,
    table: &mut [f64],
    scratch: &mut Scratch,
) {
    for leaf in 0..leaves {
        game.play(leaf, &mut scratch.worth, &mut scratch.values);
        for (value, position) in scratch.values.iter().zip(positions) {
            table[position * leaves + leaf] += scale * value;
        }
    }
}

impl<const ROWS: usize> ShapAccumulator<ROWS> {
    /// Sets all sums to zero, for a block of this many rows.
    pub(crate) fn start_block(&mut self, rows: usize) {
        self.rows = rows;
        self.by_group.fill([0.0; ROWS]);
    }

    /// Writes the block's values, row after row.
    #[inline(always)]
    pub(crate) fn write_rows(&self, shap: &mut [f64]) {
        for (row, values) in shap.chunks_exact_mut(self.by_group.len().max(1)).enumerate() {
            for (value, group) in values.iter_mut().zip(&self.by_group) {
                *value = group[row];
            }
        }
    }
}

#[cfg(test)]
mod tests;
