//! Evaluates symmetric trees over blocks of rows.
//!
//! A block of rows is taken through all trees, one tree after the other. So a tree's leaves stay in
//! the nearest cache, and the comparisons compile to vector instructions. The trees do not ask
//! floats but bytes, of which [`block`] makes two kinds.

mod block;

use pulp::{Arch, Simd, WithSimd};

use self::block::{BinBlock, Block, BorderBlock, MAX_BORDERS, Quantiser, Question};
use crate::ensemble::Ensemble;
use crate::explainer::{Explainer, ShapAccumulator};
use crate::leaves::{LeafNumbers, SMALL_BLOCK, SPLITS_PER_BYTE, add_by_leaf, add_by_low_byte};

/// Rows in a block of a large batch.
pub(crate) const BLOCK: usize = 128;

/// An ensemble in the form in which it is evaluated.
#[derive(Debug)]
pub(crate) struct Kernel {
    width: usize,
    quantiser: Quantiser,
    /// The number of splits of each tree.
    depths: Vec<u8>,
    /// The questions of all trees, without a gap between trees: the processor has then fetched the
    /// next tree's questions by the time it needs them.
    questions: Vec<Question>,
    /// The leaf values of all trees, without a gap for the same reason.
    leaf_values: Vec<f64>,
    scale: f64,
    bias: f64,
}

impl Kernel {
    pub(crate) fn new(ensemble: &Ensemble) -> Self {
        let quantiser = Quantiser::new(ensemble);
        let splits = ensemble.trees.iter().flat_map(|tree| &tree.splits);
        Self {
            width: ensemble.columns.len(),
            questions: splits.map(|split| quantiser.question(split)).collect(),
            quantiser,
            // A tree has at most 16 splits.
            depths: ensemble.trees.iter().map(|tree| tree.splits.len() as u8).collect(),
            leaf_values: ensemble
                .trees
                .iter()
                .flat_map(|tree| &tree.leaf_values)
                .copied()
                .collect(),
            scale: ensemble.scale,
            bias: ensemble.bias,
        }
    }

    /// The number of columns of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Writes the raw value (log-odds of the bad class) of each row into `raw`. The rows are given
    /// one after the other.
    pub(crate) fn score(&self, rows: &[f32], raw: &mut [f64]) {
        Arch::new().dispatch(Evaluation { kernel: self, rows, raw, explanation: Unexplained });
    }

    /// As [`Kernel::score`], and writes the SHAP values of each row into `shap`, row after row.
    pub(crate) fn explain(
        &self,
        explainer: &Explainer,
        rows: &[f32],
        raw: &mut [f64],
        shap: &mut [f64],
    ) {
        let explanation = Explained { explainer, shap };
        Arch::new().dispatch(Evaluation { kernel: self, rows, raw, explanation });
    }

    fn is_small(&self, rows: usize) -> bool {
        rows <= SMALL_BLOCK && self.quantiser.borders() <= MAX_BORDERS
    }

    fn write_raw(&self, sums: &[f64], raw: &mut [f64]) {
        for (raw, sum) in raw.iter_mut().zip(sums) {
            *raw = self.scale * sum + self.bias;
        }
    }

    /// Takes a block through all trees.
    #[inline(always)]
    fn walk_trees<B: Block<ROWS>, E: Explanation, const ROWS: usize>(
        &self,
        rows: usize,
        block: &B,
        sums: &mut [f64; ROWS],
        explanation: &E,
        explanation_sums: &mut E::Sums<ROWS>,
    ) {
        let mut leaves = LeafNumbers { rows, low: [0; ROWS], high: [0; ROWS] };
        let leaves = &mut leaves;
        let mut walk = TreeWalk { block, leaves, sums, trees: 0, explanation, explanation_sums };
        let (mut questions, mut leaf_values) = (&self.questions[..], &self.leaf_values[..]);

        // Nearly all trees have the same depth. So the code for a depth is chosen once for a run
        // of trees, and not for every tree.
        for run in self.depths.chunk_by(|depth, next| depth == next) {
            let depth = usize::from(run[0]);
            let (run_questions, tables);
            (run_questions, questions) = questions.split_at(run.len() * depth);
            (tables, leaf_values) = leaf_values.split_at(run.len() << depth);
            match depth {
                1 => walk.shallow_trees::<1, 2>(run_questions, tables),
                2 => walk.shallow_trees::<2, 4>(run_questions, tables),
                3 => walk.shallow_trees::<3, 8>(run_questions, tables),
                4 => walk.shallow_trees::<4, 16>(run_questions, tables),
                5 => walk.shallow_trees::<5, 32>(run_questions, tables),
                6 => walk.shallow_trees::<6, 64>(run_questions, tables),
                7 => walk.shallow_trees::<7, 128>(run_questions, tables),
                8 => walk.shallow_trees::<8, 256>(run_questions, tables),
                _ => walk.other_trees(depth, run_questions, tables),
            }
        }
    }
}

/// The state of a block on its way from tree to tree.
struct TreeWalk<'a, B, E: Explanation, const ROWS: usize> {
    block: &'a B,
    leaves: &'a mut LeafNumbers<ROWS>,
    sums: &'a mut [f64; ROWS],
    /// How many trees were evaluated so far.
    trees: usize,
    explanation: &'a E,
    explanation_sums: &'a mut E::Sums<ROWS>,
}

impl<B: Block<ROWS>, E: Explanation, const ROWS: usize> TreeWalk<'_, B, E, ROWS> {
    /// Evaluates trees whose leaf numbers fit into a byte.
    #[inline(always)]
    fn shallow_trees<const DEPTH: usize, const LEAVES: usize>(
        &mut self,
        questions: &[Question],
        tables: &[f64],
    ) {
        for (questions, table) in
            questions.as_chunks::<DEPTH>().0.iter().zip(tables.as_chunks::<LEAVES>().0)
        {
            block::write_leaf_bits(questions, self.block, &mut self.leaves.low);
            add_by_low_byte(table, self.leaves, self.sums);
            self.finish_tree();
        }
    }

    /// Evaluates trees of any depth: those without splits, and those deeper than eight.
    #[inline(always)]
    fn other_trees(&mut self, depth: usize, questions: &[Question], tables: &[f64]) {
        for (tree, table) in tables.chunks_exact(1 << depth).enumerate() {
            let (low, high) =
                questions[tree * depth..][..depth].split_at(depth.min(SPLITS_PER_BYTE));
            self.leaves.low = block::leaf_bits(low, self.block);
            self.leaves.high = block::leaf_bits(high, self.block);
            add_by_leaf(table, self.leaves, self.sums);
            self.finish_tree();
        }

        // A shallow tree that follows has no high bits and does not write them.
        self.leaves.high = [0; ROWS];
    }

    #[inline(always)]
    fn finish_tree(&mut self) {
        self.explanation.add_tree(self.trees, self.leaves, self.explanation_sums);
        self.trees += 1;
    }
}

/// What is worked out of a row's leaves beside the raw value.
trait Explanation {
    /// Sums over the trees for each row of a block.
    type Sums<const ROWS: usize>;

    fn new_sums<const ROWS: usize>(&self) -> Self::Sums<ROWS>;

    /// Sets the sums to zero for a block of this many rows.
    fn start_block<const ROWS: usize>(&self, rows: usize, sums: &mut Self::Sums<ROWS>);

    /// Adds one tree's part for each row of the block.
    fn add_tree<const ROWS: usize>(
        &self,
        tree: usize,
        leaves: &LeafNumbers<ROWS>,
        sums: &mut Self::Sums<ROWS>,
    );

    /// Writes the block's sums behind those of the blocks before it.
    fn finish_block<const ROWS: usize>(&mut self, rows: usize, sums: &Self::Sums<ROWS>);
}

/// The explanation of rows that are only scored: none.
struct Unexplained;

impl Explanation for Unexplained {
    type Sums<const ROWS: usize> = ();

    #[inline(always)]
    fn new_sums<const ROWS: usize>(&self) {}

    #[inline(always)]
    fn start_block<const ROWS: usize>(&self, _: usize, (): &mut ()) {}

    #[inline(always)]
    fn add_tree<const ROWS: usize>(&self, _: usize, _: &LeafNumbers<ROWS>, (): &mut ()) {}

    #[inline(always)]
    fn finish_block<const ROWS: usize>(&mut self, _: usize, (): &()) {}
}

/// The explanation of rows by SHAP values.
struct Explained<'a> {
    explainer: &'a Explainer,
    /// Room for the values of the rows that are still to come.
    shap: &'a mut [f64],
}

impl Explanation for Explained<'_> {
    type Sums<const ROWS: usize> = ShapAccumulator<ROWS>;

    #[inline(always)]
    fn new_sums<const ROWS: usize>(&self) -> ShapAccumulator<ROWS> {
        self.explainer.accumulator()
    }

    #[inline(always)]
    fn start_block<const ROWS: usize>(&self, rows: usize, sums: &mut ShapAccumulator<ROWS>) {
        sums.start_block(rows);
    }

    #[inline(always)]
    fn add_tree<const ROWS: usize>(
        &self,
        tree: usize,
        leaves: &LeafNumbers<ROWS>,
        sums: &mut ShapAccumulator<ROWS>,
    ) {
        self.explainer.add_tree(tree, leaves, sums);
    }

    #[inline(always)]
    fn finish_block<const ROWS: usize>(&mut self, rows: usize, sums: &ShapAccumulator<ROWS>) {
        if let Some(shap) = self.shap.split_off_mut(..rows * self.explainer.groups()) {
            sums.write_rows(shap);
        }
    }
}

/// The evaluation of a batch, compiled for each kind of processor that it may meet.
struct Evaluation<'a, E> {
    kernel: &'a Kernel,
    rows: &'a [f32],
    raw: &'a mut [f64],
    explanation: E,
}

impl<E: Explanation> WithSimd for Evaluation<'_, E> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.kernel.is_small(self.raw.len()) {
            self.in_blocks::<S, BorderBlock, SMALL_BLOCK>(simd);
        } else {
            self.in_blocks::<S, BinBlock<BLOCK>, BLOCK>(simd);
        }
    }
}

impl<E: Explanation> Evaluation<'_, E> {
    #[inline(always)]
    fn in_blocks<S: Simd, B: Block<ROWS>, const ROWS: usize>(mut self, simd: S) {
        let kernel = self.kernel;
        let mut block = B::new(&kernel.quantiser);
        let mut explanation_sums = self.explanation.new_sums();

        for (rows, raw) in self.rows.chunks(ROWS * kernel.width).zip(self.raw.chunks_mut(ROWS)) {
            let mut sums = [0.0; ROWS];
            self.explanation.start_block(raw.len(), &mut explanation_sums);
            block.read(simd, &kernel.quantiser, rows.chunks_exact(kernel.width));

            let explanation = &self.explanation;
            kernel.walk_trees(raw.len(), &block, &mut sums, explanation, &mut explanation_sums);

            kernel.write_raw(&sums, raw);
            self.explanation.finish_block(raw.len(), &explanation_sums);
        }
    }
}

#[cfg(test)]
mod tests;
