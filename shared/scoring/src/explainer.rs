//! SHAP values of an ensemble, by tables.
//!
//! In a symmetric tree a row's SHAP values depend on nothing but its leaf. So they are worked out once per leaf when the
//! model is loaded, and explaining a row is then looking up and adding. Trees too deep for a table are played
//! anew for every row.

use crate::ensemble::Ensemble;
use crate::kernel::{Leaves, add_by_leaf};
use crate::shapley::TreeGame;

/// The most memory for all tables of a model.
pub(crate) const MAX_TABLE_BYTES: usize = 32 << 20;
/// The deepest tree that gets a table: making one takes 4^depth steps, and a larger one leaves the nearest caches.
const MAX_TABLE_DEPTH: usize = 10;

/// The SHAP values of an ensemble's columns, added up by group.
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
    /// Which groups the tree has something to say about.
    groups: Vec<usize>,
    method: Method,
}

#[derive(Debug)]
enum Method {
    /// By group, then by leaf.
    Table(Vec<f64>),
    /// Each row again; for each of the game's columns, its place among the tree's groups.
    Game(Box<TreeGame>, Vec<usize>),
}

/// SHAP values of a block in the making.
pub(crate) struct Work<const ROWS: usize> {
    rows: usize,
    by_group: Vec<[f64; ROWS]>,
    scratch: Scratch,
}

#[derive(Default)]
struct Scratch {
    worth: Vec<f64>,
    values: Vec<f64>,
    /// Leaves of the block that were played already, with their values.
    played: Vec<(usize, Vec<f64>)>,
}

impl Explainer {
    /// An explainer that adds up columns by group, with tables up to so many bytes.
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
            let places: Vec<usize> = game
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
                    || fill(&game, &places, ensemble.scale, leaves, &mut table, &mut scratch),
                );

                Method::Table(table)
            } else {
                Method::Game(Box::new(game), places)
            };

            explainer.trees.push(TreeExplainer { groups, method });
        }

        explainer
    }

    /// Groups that values are given for.
    pub(crate) fn groups(&self) -> usize {
        self.groups
    }

    /// What SHAP values start from.
    pub(crate) fn base_value(&self) -> f64 {
        self.base_value
    }

    /// Memory of the tables.
    pub(crate) fn table_bytes(&self) -> usize {
        self.table_bytes
    }

    /// An empty block.
    pub(crate) fn work<const ROWS: usize>(&self) -> Work<ROWS> {
        Work { rows: 0, by_group: vec![[0.0; ROWS]; self.groups], scratch: Scratch::default() }
    }

    /// Adds one tree's part for each row of a block.
    #[inline(always)]
    pub(crate) fn add_tree<const ROWS: usize>(
        &self,
        number: usize,
        leaves: &Leaves<ROWS>,
        work: &mut Work<ROWS>,
    ) {
        let tree = &self.trees[number];
        match &tree.method {
            Method::Table(table) => {
                let size = table.len() / tree.groups.len().max(1);
                for (group, table) in tree.groups.iter().zip(table.chunks_exact(size.max(1))) {
                    add_by_leaf(table, leaves, &mut work.by_group[*group]);
                }
            }
            Method::Game(game, places) => self.play_rows(tree, game, places, leaves, work),
        }
    }

    #[inline(always)]
    fn play_rows<const ROWS: usize>(
        &self,
        tree: &TreeExplainer,
        game: &TreeGame,
        places: &[usize],
        leaves: &Leaves<ROWS>,
        work: &mut Work<ROWS>,
    ) {
        let scratch = &mut work.scratch;
        scratch.played.clear();
        for row in 0..work.rows {
            let leaf = leaves.of(row);
            let at = scratch.played.iter().position(|(played, _)| *played == leaf).unwrap_or_else(
                || {
                    game.play(leaf, &mut scratch.worth, &mut scratch.values);
                    scratch.played.push((leaf, scratch.values.clone()));
                    scratch.played.len() - 1
                },
            );

            for (value, place) in scratch.played[at].1.iter().zip(places) {
                work.by_group[tree.groups[*place]][row] += self.scale * value;
            }
        }
    }
}

/// Fills a tree's table, group by group.
#[inline(always)]
fn fill(
    game: &TreeGame,
    places: &[usize],
    scale: f64,
    leaves: usize,
    table: &mut [f64],
    scratch: &mut Scratch,
) {
    for leaf in 0..leaves {
        game.play(leaf, &mut scratch.worth, &mut scratch.values);
        for (value, place) in scratch.values.iter().zip(places) {
            table[place * leaves + leaf] += scale * value;
        }
    }
}

impl<const ROWS: usize> Work<ROWS> {
    /// Makes ready for a block of so many rows.
    pub(crate) fn clear(&mut self, rows: usize) {
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
