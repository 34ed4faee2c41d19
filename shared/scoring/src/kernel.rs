//! Symmetric trees over blocks of rows.
//!
//! Work goes tree by tree over a block of rows, so that a tree's leaves stay in the nearest cache and the comparisons
//! compile to vector instructions. Questions are asked of bytes, of which [`block`] makes two kinds.

mod block;

use pulp::{Arch, Simd, WithSimd};

use self::block::{Answers, Bins, Block, Form, MAX_ANSWERS, Question, SMALL_BLOCK};
use crate::ensemble::Ensemble;
use crate::explainer::{Explainer, Work};

/// Rows in a block of a large batch.
pub(crate) const BLOCK: usize = 128;
/// Splits whose answers fit a byte.
const SPLITS_PER_BYTE: usize = 8;

/// An ensemble made ready for evaluation.
#[derive(Debug)]
pub(crate) struct Kernel {
    width: usize,
    form: Form,
    /// Splits of each tree.
    depths: Vec<u8>,
    /// Of all trees, without a gap, so that the processor has fetched the next tree's when it comes to them.
    questions: Vec<Question>,
    /// Of all trees, likewise.
    leaf_values: Vec<f64>,
    scale: f64,
    bias: f64,
}

/// The leaf of each row of a block in one tree: the low and the high byte of its number.
pub(crate) struct Leaves<const ROWS: usize> {
    /// Rows of the block that are rows of the batch.
    rows: usize,
    low: [u8; ROWS],
    high: [u8; ROWS],
}

impl<const ROWS: usize> Leaves<ROWS> {
    /// The leaf of one row.
    #[inline(always)]
    pub(crate) fn of(&self, row: usize) -> usize {
        usize::from(self.low[row]) | usize::from(self.high[row]) << SPLITS_PER_BYTE
    }
}

impl Kernel {
    pub(crate) fn new(ensemble: &Ensemble) -> Self {
        let form = Form::new(ensemble);
        let splits = ensemble.trees.iter().flat_map(|tree| &tree.splits);
        Self {
            width: ensemble.columns.len(),
            questions: splits.map(|split| form.question(split)).collect(),
            form,
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

    /// Columns of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Raw values (log-odds of the bad class) of rows given one after the other, one per element of `raw`.
    pub(crate) fn score(&self, rows: &[f32], raw: &mut [f64]) {
        Arch::new().dispatch(Scoring { kernel: self, rows, raw });
    }

    /// As [`Kernel::score`], and the SHAP values of each row, row after row.
    pub(crate) fn explain(
        &self,
        explainer: &Explainer,
        rows: &[f32],
        raw: &mut [f64],
        shap: &mut [f64],
    ) {
        Arch::new().dispatch(Explaining { kernel: self, explainer, rows, raw, shap });
    }

    fn is_small(&self, rows: usize) -> bool {
        rows <= SMALL_BLOCK && self.form.borders() <= MAX_ANSWERS
    }

    fn finish(&self, sums: &[f64], raw: &mut [f64]) {
        for (raw, sum) in raw.iter_mut().zip(sums) {
            *raw = self.scale * sum + self.bias;
        }
    }

    #[inline(always)]
    fn walk<B: Block<ROWS>, const ROWS: usize>(
        &self,
        rows: usize,
        block: &B,
        sums: &mut [f64; ROWS],
        explain: Option<(&Explainer, &mut Work<ROWS>)>,
    ) {
        let mut leaves = Leaves { rows, low: [0; ROWS], high: [0; ROWS] };
        let mut walk = Walk { block, leaves: &mut leaves, sums, trees: 0, explain };
        let (mut questions, mut leaf_values) = (&self.questions[..], &self.leaf_values[..]);
        // All trees but a few have the same depth, so what depends on it is chosen once and not for every tree.
        for alike in self.depths.chunk_by(|depth, next| depth == next) {
            let depth = usize::from(alike[0]);
            let (asked, tables);
            (asked, questions) = questions.split_at(alike.len() * depth);
            (tables, leaf_values) = leaf_values.split_at(alike.len() << depth);
            match depth {
                1 => walk.shallow::<1, 2>(asked, tables),
                2 => walk.shallow::<2, 4>(asked, tables),
                3 => walk.shallow::<3, 8>(asked, tables),
                4 => walk.shallow::<4, 16>(asked, tables),
                5 => walk.shallow::<5, 32>(asked, tables),
                6 => walk.shallow::<6, 64>(asked, tables),
                7 => walk.shallow::<7, 128>(asked, tables),
                8 => walk.shallow::<8, 256>(asked, tables),
                _ => walk.any(depth, asked, tables),
            }
        }
    }
}

/// On the way from tree to tree with a block.
struct Walk<'a, B, const ROWS: usize> {
    block: &'a B,
    leaves: &'a mut Leaves<ROWS>,
    sums: &'a mut [f64; ROWS],
    /// Left behind.
    trees: usize,
    explain: Option<(&'a Explainer, &'a mut Work<ROWS>)>,
}

impl<B: Block<ROWS>, const ROWS: usize> Walk<'_, B, ROWS> {
    /// Trees whose leaves a byte can number.
    #[inline(always)]
    fn shallow<const DEPTH: usize, const LEAVES: usize>(
        &mut self,
        questions: &[Question],
        tables: &[f64],
    ) {
        for (questions, table) in
            questions.as_chunks::<DEPTH>().0.iter().zip(tables.as_chunks::<LEAVES>().0)
        {
            block::ask(questions, self.block, &mut self.leaves.low);
            add_small(table, self.leaves, self.sums);
            self.next();
        }
    }

    #[inline(always)]
    fn any(&mut self, depth: usize, questions: &[Question], tables: &[f64]) {
        for (tree, table) in tables.chunks_exact(1 << depth).enumerate() {
            let (low, high) =
                questions[tree * depth..][..depth].split_at(depth.min(SPLITS_PER_BYTE));
            self.leaves.low = block::ask_some(low, self.block);
            self.leaves.high = block::ask_some(high, self.block);
            add_by_leaf(table, self.leaves, self.sums);
            self.next();
        }

        // A tree of less depth has none.
        self.leaves.high = [0; ROWS];
    }

    #[inline(always)]
    fn next(&mut self) {
        if let Some((explainer, work)) = self.explain.as_mut() {
            explainer.add_tree(self.trees, self.leaves, work);
        }

        self.trees += 1;
    }
}

/// [`Kernel::score`], compiled for each of the processors that it may meet.
struct Scoring<'a> {
    kernel: &'a Kernel,
    rows: &'a [f32],
    raw: &'a mut [f64],
}

impl WithSimd for Scoring<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.kernel.is_small(self.raw.len()) {
            self.in_blocks::<S, Answers, SMALL_BLOCK>(simd);
        } else {
            self.in_blocks::<S, Bins<BLOCK>, BLOCK>(simd);
        }
    }
}

impl Scoring<'_> {
    #[inline(always)]
    fn in_blocks<S: Simd, B: Block<ROWS>, const ROWS: usize>(self, simd: S) {
        let kernel = self.kernel;
        let mut block = B::new(&kernel.form);
        for (rows, raw) in self.rows.chunks(ROWS * kernel.width).zip(self.raw.chunks_mut(ROWS)) {
            let mut sums = [0.0; ROWS];
            block.read(simd, &kernel.form, rows.chunks_exact(kernel.width));
            kernel.walk(raw.len(), &block, &mut sums, None);
            kernel.finish(&sums, raw);
        }
    }
}

/// [`Kernel::explain`], compiled for each of the processors that it may meet.
struct Explaining<'a> {
    kernel: &'a Kernel,
    explainer: &'a Explainer,
    rows: &'a [f32],
    raw: &'a mut [f64],
    shap: &'a mut [f64],
}

impl WithSimd for Explaining<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.kernel.is_small(self.raw.len()) {
            self.in_blocks::<S, Answers, SMALL_BLOCK>(simd);
        } else {
            self.in_blocks::<S, Bins<BLOCK>, BLOCK>(simd);
        }
    }
}

impl Explaining<'_> {
    #[inline(always)]
    fn in_blocks<S: Simd, B: Block<ROWS>, const ROWS: usize>(self, simd: S) {
        let kernel = self.kernel;
        // A manifest has at least one column, and so at least one group.
        let groups = self.explainer.groups().max(1);
        let mut block = B::new(&kernel.form);
        let mut work = self.explainer.work();
        let blocks = self.rows.chunks(ROWS * kernel.width).zip(self.raw.chunks_mut(ROWS));
        for ((rows, raw), shap) in blocks.zip(self.shap.chunks_mut(ROWS * groups)) {
            let mut sums = [0.0; ROWS];
            work.clear(raw.len());
            block.read(simd, &kernel.form, rows.chunks_exact(kernel.width));
            kernel.walk(raw.len(), &block, &mut sums, Some((self.explainer, &mut work)));
            kernel.finish(&sums, raw);
            work.write_rows(shap);
        }
    }
}

/// Adds to each row what `table` has for its leaf.
///
/// By the table's size, because then the compiler sees that a masked leaf number can't be out of bounds.
#[inline(always)]
pub(crate) fn add_by_leaf<const ROWS: usize>(
    table: &[f64],
    leaves: &Leaves<ROWS>,
    sums: &mut [f64; ROWS],
) {
    macro_rules! by_size {
        ($($leaves:literal)+) => {
            match table.len() {
                $($leaves => {
                    if let Ok(table) = <&[f64; $leaves]>::try_from(table) {
                        add_small(table, leaves, sums);
                    }
                })+
                _ => {
                    for (row, sum) in sums.iter_mut().enumerate().take(leaves.rows) {
                        *sum += table[leaves.of(row)];
                    }
                }
            }
        };
    }

    by_size!(1 2 4 8 16 32 64 128 256);
}

/// Several leaf numbers come in one load; the compiler's own idea, gathering into vectors, takes half as long again. Eight are
/// quicker; four leave fewer rows that are none in the last group, which counts in a small batch.
#[inline(always)]
fn add_small<const LEAVES: usize, const ROWS: usize>(
    table: &[f64; LEAVES],
    leaves: &Leaves<ROWS>,
    sums: &mut [f64; ROWS],
) {
    if ROWS > SMALL_BLOCK {
        let groups = leaves.rows.div_ceil(8);
        let (sums, _) = sums.as_chunks_mut::<8>();
        for (sums, leaves) in sums.iter_mut().zip(leaves.low.as_chunks::<8>().0).take(groups) {
            let leaves = u64::from_le_bytes(*leaves);
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum += table[(leaves >> (8 * row)) as usize & (LEAVES - 1)];
            }
        }
    } else {
        let groups = leaves.rows.div_ceil(4);
        let (sums, _) = sums.as_chunks_mut::<4>();
        for (sums, leaves) in sums.iter_mut().zip(leaves.low.as_chunks::<4>().0).take(groups) {
            let leaves = u32::from_le_bytes(*leaves);
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum += table[(leaves >> (8 * row)) as usize & (LEAVES - 1)];
            }
        }
    }
}

#[cfg(test)]
mod tests;
