//! Exact path-dependent SHAP values of one symmetric tree.
//!
//! The game is that of path-dependent TreeSHAP (Lundberg, Erion and Lee, "Consistent individualized
//! feature attribution for tree ensembles", 2018, algorithm 1; Lundberg et al., "From local
//! explanations to global understanding with explainable AI for trees", 2020) as CatBoost plays it:
//! a coalition of columns is worth what the tree returns when splits on its columns follow the row,
//! and all others go both ways in proportion to the training rows that did. What a column gets is
//! Shapley's formula ("A value for n-person games", 1953): for each coalition S of the others among
//! k columns, |S|! (k - |S| - 1)! / k! times what the column adds to S.
//!
//! TreeSHAP finds that sum without listing coalitions, for trees with many columns. A symmetric
//! tree of depth d asks at most d columns, so here all 2^d coalitions are valued together,
//! in d * 2^d steps, and the formula is applied as it stands.

use crate::ensemble::Tree;

/// One tree, with what its game needs.
#[derive(Debug, Clone)]
pub(crate) struct TreeGame {
    /// Distinct columns, in the order in which the levels above the leaves ask them.
    columns: Vec<usize>,
    /// By level from the leaves: which of `columns` it asks, and for each node the shares of
    /// training rows below it.
    levels: Vec<Level>,
    leaf_values: Vec<f64>,
    /// By coalition: |S|! (k - |S| - 1)! / k!, the weight of a column's joining S.
    weights: Vec<f64>,
}

#[derive(Debug, Clone)]
struct Level {
    player: usize,
    shares: Vec<[f64; 2]>,
}

impl TreeGame {
    pub(crate) fn new(tree: &Tree) -> Self {
        let mut columns: Vec<usize> = Vec::new();
        let mut levels = Vec::with_capacity(tree.splits.len());
        let mut below = tree.leaf_weights.clone();
        for split in &tree.splits {
            let player =
                columns.iter().position(|column| *column == split.column).unwrap_or_else(|| {
                    columns.push(split.column);
                    columns.len() - 1
                });
            let (pairs, _) = below.as_chunks::<2>();
            levels.push(Level { player, shares: pairs.iter().map(shares).collect() });
            below = pairs.iter().map(|[no, yes]| no + yes).collect();
        }

        let weights = join_weights(columns.len());
        Self { columns, levels, leaf_values: tree.leaf_values.clone(), weights }
    }

    /// The columns that [`TreeGame::play`] gives values for.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The SHAP value of each of the tree's columns, for a row in this leaf.
    #[inline(always)]
    pub(crate) fn play(&self, leaf: usize, worth: &mut Vec<f64>, values: &mut Vec<f64>) {
        self.value_coalitions(leaf, worth);
        values.clear();
        values.extend(
            (0..self.columns.len()).map(|player| shapley_value(player, worth, &self.weights)),
        );
    }

    /// What each coalition is worth, from the leaves up. Before a level, `worth` has for each node
    /// the worth of each coalition of the columns asked below it; a level joins two nodes into one,
    /// in place.
    #[inline(always)]
    fn value_coalitions(&self, leaf: usize, worth: &mut Vec<f64>) {
        worth.clear();
        worth.extend_from_slice(&self.leaf_values);
        let mut players = 0;
        for (bit, level) in self.levels.iter().enumerate() {
            let coalitions = 1_usize << players;
            let yes = leaf >> bit & 1 == 1;
            if level.player == players {
                players += 1;
                for (pair, shares) in worth.chunks_exact_mut(2 * coalitions).zip(&level.shares) {
                    join_new(pair, *shares, yes);
                }
            } else {
                for (node, shares) in level.shares.iter().enumerate() {
                    // Forward in place: what is written lies at or before what is read next.
                    join_known(worth, node * coalitions, coalitions, level.player, *shares, yes);
                }

                worth.truncate(level.shares.len() * coalitions);
            }
        }
    }
}

/// The shares of a node's training rows that go each way. Where none came, any shares will do: a
/// leaf without rows has the value 0 in CatBoost's models, and halves keep the SHAP values adding
/// up where it has not.
fn shares([no, yes]: &[f64; 2]) -> [f64; 2] {
    let total = no + yes;
    if total > 0.0 { [no / total, yes / total] } else { [0.5, 0.5] }
}

fn join_weights(players: usize) -> Vec<f64> {
    // By size: w(0) = 1/k, w(s) = w(s - 1) * s / (k - s).
    let mut by_size = vec![1.0 / players.max(1) as f64];
    for size in 1..players {
        by_size.push(by_size[size - 1] * size as f64 / (players - size) as f64);
    }

    // Nobody can join the coalition of all.
    by_size.push(0.0);
    (0..1_usize << players).map(|coalition| by_size[coalition.count_ones() as usize]).collect()
}

/// Joins two nodes whose question is about a column not asked below: coalitions without it, then
/// those with it.
#[inline(always)]
fn join_new(pair: &mut [f64], [no_share, yes_share]: [f64; 2], yes: bool) {
    let (no_worth, yes_worth) = pair.split_at_mut(pair.len() / 2);
    for (first, second) in no_worth.iter_mut().zip(yes_worth) {
        let taken = if yes { *second } else { *first };
        *first = no_share * *first + yes_share * *second;
        *second = taken;
    }
}

/// Joins two nodes whose question is about a column asked below as well.
#[inline(always)]
fn join_known(
    worth: &mut [f64],
    at: usize,
    coalitions: usize,
    player: usize,
    shares: [f64; 2],
    yes: bool,
) {
    let (no_at, yes_at) = (2 * at, 2 * at + coalitions);
    for coalition in 0..coalitions {
        let (no_worth, yes_worth) = (worth[no_at + coalition], worth[yes_at + coalition]);
        worth[at + coalition] = if coalition >> player & 1 == 0 {
            shares[0] * no_worth + shares[1] * yes_worth
        } else if yes {
            yes_worth
        } else {
            no_worth
        };
    }
}

/// The mean of what a column adds to a coalition, over the orders in which columns can join.
#[inline(always)]
fn shapley_value(player: usize, worth: &[f64], weights: &[f64]) -> f64 {
    let stride = 1_usize << player;
    let mut lanes = [0.0; 4];
    for (worth, weights) in worth.chunks_exact(2 * stride).zip(weights.chunks_exact(2 * stride)) {
        let (without, with) = worth.split_at(stride);
        // Four sums side by side, because the compiler may not reorder the terms of one.
        let quads = without.chunks(4).zip(with.chunks(4)).zip(weights.chunks(4));
        for ((without, with), weights) in quads {
            for (lane, ((without, with), weight)) in
                lanes.iter_mut().zip(without.iter().zip(with).zip(weights))
            {
                *lane += weight * (with - without);
            }
        }
    }

    (lanes[0] + lanes[1]) + (lanes[2] + lanes[3])
}

#[cfg(test)]
mod tests;
