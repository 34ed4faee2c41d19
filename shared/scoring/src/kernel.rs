//! Symmetric trees over blocks of rows.
//!
//! Questions are asked of small integers: a row is quantised once, a column becoming the count of its borders that lie
//! below the value; then `value > border i` is `bin > i`. Work goes tree by tree over a block of rows, so that a
//! tree's leaves stay in the nearest cache and the comparisons compile to vector instructions.

use pulp::{Arch, Simd, WithSimd};

use crate::ensemble::{Ensemble, NanTreatment, Split};
use crate::explainer::{Explainer, Work};

/// Rows in a block of a large batch.
pub(crate) const BLOCK: usize = 128;
/// Rows in the one block of a small batch, which then costs a quarter.
const SMALL_BLOCK: usize = 32;
/// Borders that a byte can count; a column with more of them has several bins.
const BORDERS_PER_BIN: usize = 255;
/// Splits whose answers fit a byte.
const SPLITS_PER_BYTE: usize = 8;
/// Vectors of values counted together at most, so that their counters stay in registers and do not wait for each other.
const TOGETHER: usize = 4;

/// A split as it is asked: `bins[bin] > at`.
#[derive(Debug, Clone, Copy)]
struct Question {
    bin: u32,
    at: u8,
}

/// A bin: how many of these borders lie below the value of this column.
#[derive(Debug, Clone)]
struct Bin {
    column: usize,
    borders: Vec<f32>,
    nan_count: u8,
}

/// An ensemble made ready for evaluation.
#[derive(Debug)]
pub(crate) struct Kernel {
    width: usize,
    bins: Vec<Bin>,
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
        let mut used = vec![false; ensemble.columns.len()];
        for split in ensemble.trees.iter().flat_map(|tree| &tree.splits) {
            used[split.column] = true;
        }
        let mut bins = Vec::new();
        let mut first_bin = Vec::with_capacity(used.len());
        for (column, feature) in ensemble.columns.iter().enumerate() {
            first_bin.push(bins.len());
            if used[column] {
                bins.extend(feature.borders.chunks(BORDERS_PER_BIN).map(|borders| Bin {
                    column,
                    borders: borders.to_vec(),
                    nan_count: if feature.nan == NanTreatment::AsTrue { borders.len() as u8 } else { 0 },
                }));
            }
        }
        let question = |split: &Split| Question {
            // Columns and borders were read from a file of a few hundred megabytes at most.
            bin: (first_bin[split.column] + split.border / BORDERS_PER_BIN) as u32,
            // A remainder of a division by 255.
            at: (split.border % BORDERS_PER_BIN) as u8,
        };
        Self {
            width: ensemble.columns.len(),
            bins,
            depths: ensemble.trees.iter().map(|tree| tree.splits.len() as u8).collect(),
            questions: ensemble.trees.iter().flat_map(|tree| &tree.splits).map(question).collect(),
            leaf_values: ensemble.trees.iter().flat_map(|tree| &tree.leaf_values).copied().collect(),
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
        if raw.len() <= SMALL_BLOCK {
            Arch::new().dispatch(Scoring::<SMALL_BLOCK> { kernel: self, rows, raw });
        } else {
            Arch::new().dispatch(Scoring::<BLOCK> { kernel: self, rows, raw });
        }
    }

    /// As [`Kernel::score`], and the SHAP values of each row, row after row.
    pub(crate) fn explain(&self, explainer: &Explainer, rows: &[f32], raw: &mut [f64], shap: &mut [f64]) {
        if raw.len() <= SMALL_BLOCK {
            Arch::new().dispatch(Explaining::<SMALL_BLOCK> { kernel: self, explainer, rows, raw, shap });
        } else {
            Arch::new().dispatch(Explaining::<BLOCK> { kernel: self, explainer, rows, raw, shap });
        }
    }

    fn finish(&self, sums: &[f64], raw: &mut [f64]) {
        for (raw, sum) in raw.iter_mut().zip(sums) {
            *raw = self.scale * sum + self.bias;
        }
    }

    fn empty_bins<const ROWS: usize>(&self) -> Vec<[u8; ROWS]> {
        vec![[0; ROWS]; self.bins.len()]
    }

    #[inline(always)]
    fn quantise<S: Simd, const ROWS: usize>(&self, simd: S, rows: &[f32], bins: &mut [[u8; ROWS]]) {
        let mut values = [0.0; ROWS];
        for (bin, counts) in self.bins.iter().zip(bins) {
            for (value, row) in values.iter_mut().zip(rows.chunks_exact(self.width)) {
                *value = row[bin.column];
            }
            bin.count(simd, &values, rows.len() / self.width, counts);
        }
    }

    #[inline(always)]
    fn walk<const ROWS: usize>(
        &self,
        rows: usize,
        bins: &[[u8; ROWS]],
        sums: &mut [f64; ROWS],
        mut explain: Option<(&Explainer, &mut Work<ROWS>)>,
    ) {
        let mut leaves = Leaves { rows, low: [0; ROWS], high: [0; ROWS] };
        let (mut questions, mut tables) = (&self.questions[..], &self.leaf_values[..]);
        for (number, depth) in self.depths.iter().enumerate() {
            let (asked, later) = questions.split_at(usize::from(*depth));
            let (table, others) = tables.split_at(1 << depth);
            (questions, tables) = (later, others);
            let (low, high) = asked.split_at(asked.len().min(SPLITS_PER_BYTE));
            ask(low, bins, &mut leaves.low);
            if !high.is_empty() {
                ask(high, bins, &mut leaves.high);
            }
            add_by_leaf(table, &leaves, sums);
            if let Some((explainer, work)) = explain.as_mut() {
                explainer.add_tree(number, &leaves, work);
            }
        }
    }
}

/// [`Kernel::score`], compiled for each of the processors that it may meet.
struct Scoring<'a, const ROWS: usize> {
    kernel: &'a Kernel,
    rows: &'a [f32],
    raw: &'a mut [f64],
}

impl<const ROWS: usize> WithSimd for Scoring<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let kernel = self.kernel;
        let mut bins = kernel.empty_bins::<ROWS>();
        for (rows, raw) in self.rows.chunks(ROWS * kernel.width).zip(self.raw.chunks_mut(ROWS)) {
            let mut sums = [0.0; ROWS];
            kernel.quantise(simd, rows, &mut bins);
            kernel.walk(raw.len(), &bins, &mut sums, None);
            kernel.finish(&sums, raw);
        }
    }
}

/// [`Kernel::explain`], compiled for each of the processors that it may meet.
struct Explaining<'a, const ROWS: usize> {
    kernel: &'a Kernel,
    explainer: &'a Explainer,
    rows: &'a [f32],
    raw: &'a mut [f64],
    shap: &'a mut [f64],
}

impl<const ROWS: usize> WithSimd for Explaining<'_, ROWS> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let kernel = self.kernel;
        // A manifest has at least one column, and so at least one group.
        let groups = self.explainer.groups().max(1);
        let mut bins = kernel.empty_bins::<ROWS>();
        let mut work = self.explainer.work();
        let blocks = self.rows.chunks(ROWS * kernel.width).zip(self.raw.chunks_mut(ROWS));
        for ((rows, raw), shap) in blocks.zip(self.shap.chunks_mut(ROWS * groups)) {
            let mut sums = [0.0; ROWS];
            work.clear(raw.len());
            kernel.quantise(simd, rows, &mut bins);
            kernel.walk(raw.len(), &bins, &mut sums, Some((self.explainer, &mut work)));
            kernel.finish(&sums, raw);
            work.write_rows(shap);
        }
    }
}

/// Asks up to eight questions of every row.
///
/// By their number, because then the compiler lays them out one after the other and works on many rows at once;
/// given a loop, it works on many questions at once and gathers.
#[inline(always)]
fn ask<const ROWS: usize>(questions: &[Question], bins: &[[u8; ROWS]], leaves: &mut [u8; ROWS]) {
    match questions.len() {
        1 => ask_each::<1, ROWS>(questions, bins, leaves),
        2 => ask_each::<2, ROWS>(questions, bins, leaves),
        3 => ask_each::<3, ROWS>(questions, bins, leaves),
        4 => ask_each::<4, ROWS>(questions, bins, leaves),
        5 => ask_each::<5, ROWS>(questions, bins, leaves),
        6 => ask_each::<6, ROWS>(questions, bins, leaves),
        7 => ask_each::<7, ROWS>(questions, bins, leaves),
        8 => ask_each::<8, ROWS>(questions, bins, leaves),
        _ => *leaves = [0; ROWS],
    }
}

#[inline(always)]
fn ask_each<const QUESTIONS: usize, const ROWS: usize>(
    questions: &[Question],
    bins: &[[u8; ROWS]],
    leaves: &mut [u8; ROWS],
) {
    if let Ok(questions) = <&[Question; QUESTIONS]>::try_from(questions) {
        // In an array of its own, or the bins might be the leaves for all that the compiler knows.
        let mut asked = [(&[0; ROWS], 0); QUESTIONS];
        for (asked, question) in asked.iter_mut().zip(questions) {
            *asked = (&bins[question.bin as usize], question.at);
        }
        for (row, leaf) in leaves.iter_mut().enumerate() {
            let mut number = 0;
            for (bit, (bins, at)) in asked.iter().enumerate() {
                number |= u8::from(bins[row] > *at) << bit;
            }
            *leaf = number;
        }
    }
}

/// Adds to each row what `table` has for its leaf.
///
/// By the table's size, because then the compiler sees that a masked leaf number can't be out of bounds.
#[inline(always)]
pub(crate) fn add_by_leaf<const ROWS: usize>(table: &[f64], leaves: &Leaves<ROWS>, sums: &mut [f64; ROWS]) {
    match table.len() {
        1 => add_small::<1, ROWS>(table, leaves, sums),
        2 => add_small::<2, ROWS>(table, leaves, sums),
        4 => add_small::<4, ROWS>(table, leaves, sums),
        8 => add_small::<8, ROWS>(table, leaves, sums),
        16 => add_small::<16, ROWS>(table, leaves, sums),
        32 => add_small::<32, ROWS>(table, leaves, sums),
        64 => add_small::<64, ROWS>(table, leaves, sums),
        128 => add_small::<128, ROWS>(table, leaves, sums),
        256 => add_small::<256, ROWS>(table, leaves, sums),
        _ => {
            for (row, sum) in sums.iter_mut().enumerate().take(leaves.rows) {
                *sum += table[leaves.of(row)];
            }
        }
    }
}

#[inline(always)]
fn add_small<const LEAVES: usize, const ROWS: usize>(table: &[f64], leaves: &Leaves<ROWS>, sums: &mut [f64; ROWS]) {
    if let Ok(table) = <&[f64; LEAVES]>::try_from(table) {
        // Several leaf numbers in one load; the compiler's own idea, gathering into vectors, takes half as long again.
        // Eight are quicker; four leave fewer rows that are none in the last group, which counts in a small batch.
        if ROWS > SMALL_BLOCK {
            let (sums, _) = sums.as_chunks_mut::<8>();
            let groups = leaves.rows.div_ceil(8);
            for (sums, leaves) in sums.iter_mut().zip(leaves.low.as_chunks::<8>().0).take(groups) {
                let leaves = u64::from_le_bytes(*leaves);
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum += table[(leaves >> (8 * row)) as usize & (LEAVES - 1)];
                }
            }
        } else {
            let (sums, _) = sums.as_chunks_mut::<4>();
            let groups = leaves.rows.div_ceil(4);
            for (sums, leaves) in sums.iter_mut().zip(leaves.low.as_chunks::<4>().0).take(groups) {
                let leaves = u32::from_le_bytes(*leaves);
                for (row, sum) in sums.iter_mut().enumerate() {
                    *sum += table[(leaves >> (8 * row)) as usize & (LEAVES - 1)];
                }
            }
        }
    }
}

impl Bin {
    /// Borders below each of the first `rows` values: a float32 comparison, as CatBoost's, which a NaN never passes.
    ///
    /// By counting, which reads nothing but what lies in registers. A search would do fewer comparisons and be slower:
    /// each waits for the one before.
    #[inline(always)]
    fn count<S: Simd, const ROWS: usize>(&self, simd: S, values: &[f32; ROWS], rows: usize, counts: &mut [u8; ROWS]) {
        let mut below = [0_u32; ROWS];
        let (vectors, _) = S::as_simd_f32s(values);
        let (sums, _) = S::as_mut_simd_u32s(&mut below);
        let used = rows.div_ceil(S::F32_LANES);
        for (vectors, sums) in vectors[..used].chunks(TOGETHER).zip(sums[..used].chunks_mut(TOGETHER)) {
            match vectors.len() {
                1 => count_together::<S, 1>(simd, &self.borders, vectors, sums),
                2 => count_together::<S, 2>(simd, &self.borders, vectors, sums),
                3 => count_together::<S, 3>(simd, &self.borders, vectors, sums),
                _ => count_together::<S, TOGETHER>(simd, &self.borders, vectors, sums),
            }
        }
        for ((count, below), value) in counts.iter_mut().zip(below).zip(values) {
            // At most 255 borders.
            *count = if value.is_nan() { self.nan_count } else { below as u8 };
        }
    }
}

#[inline(always)]
fn count_together<S: Simd, const VECTORS: usize>(simd: S, borders: &[f32], values: &[S::f32s], sums: &mut [S::u32s]) {
    let (Ok(values), Ok(sums)) = (<&[_; VECTORS]>::try_from(values), <&mut [_; VECTORS]>::try_from(sums)) else {
        return;
    };
    let one = simd.splat_u32s(1);
    let mut counts = [simd.splat_u32s(0); VECTORS];
    for border in borders {
        let border = simd.splat_f32s(*border);
        for (count, value) in counts.iter_mut().zip(values) {
            let above = simd.greater_than_f32s(*value, border);
            *count = simd.add_u32s(*count, simd.select_u32s(above, one, simd.splat_u32s(0)));
        }
    }
    *sums = counts;
}

#[cfg(test)]
mod tests;
