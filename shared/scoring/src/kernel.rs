//! Symmetric trees over blocks of rows.
//!
//! Questions are asked of small integers: a row is quantised once, a column becoming the count of its borders that lie
//! below the value; then `value > border i` is `bin > i`. Work goes tree by tree over a block of rows, so that a
//! tree's leaves stay in the nearest cache and the comparisons compile to vector instructions.

use pulp::Arch;

use crate::ensemble::{Ensemble, NanTreatment, Split};
use crate::explainer::{Explainer, Work};

/// Rows in a block.
pub(crate) const BLOCK: usize = 128;
/// Borders that a byte can count; a column with more of them has several bins.
const BORDERS_PER_BIN: usize = 255;
/// Splits whose answers fit a byte.
const SPLITS_PER_BYTE: usize = 8;
/// Rows counted together, so that their counters stay in registers.
const COUNTED: usize = 32;

/// A number per row of a block.
pub(crate) type PerRow<T> = [T; BLOCK];

/// A split as it is asked: `bins[bin] > at`.
#[derive(Debug, Clone, Copy)]
struct Question {
    bin: usize,
    at: u8,
}

/// A bin: how many of these borders lie below the value of this column.
#[derive(Debug, Clone)]
struct Bin {
    column: usize,
    borders: Vec<f32>,
    nan_is_above: bool,
}

#[derive(Debug, Clone)]
struct KernelTree {
    questions: Vec<Question>,
    leaf_values: Vec<f64>,
}

/// An ensemble made ready for evaluation.
#[derive(Debug)]
pub(crate) struct Kernel {
    width: usize,
    bins: Vec<Bin>,
    trees: Vec<KernelTree>,
    scale: f64,
    bias: f64,
}

/// The leaf of each row of a block in one tree: the low and the high byte of its number.
pub(crate) struct Leaves {
    pub(crate) low: PerRow<u8>,
    high: PerRow<u8>,
}

impl Leaves {
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
                    nan_is_above: feature.nan == NanTreatment::AsTrue,
                }));
            }
        }
        let question = |split: &Split| Question {
            bin: first_bin[split.column] + split.border / BORDERS_PER_BIN,
            // A remainder of a division by 255.
            at: (split.border % BORDERS_PER_BIN) as u8,
        };
        let tree = |tree: &crate::ensemble::Tree| KernelTree {
            questions: tree.splits.iter().map(question).collect(),
            leaf_values: tree.leaf_values.clone(),
        };
        Self {
            width: ensemble.columns.len(),
            bins,
            trees: ensemble.trees.iter().map(tree).collect(),
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
        let arch = Arch::new();
        let mut bins = self.empty_bins();
        for (rows, raw) in rows.chunks(BLOCK * self.width).zip(raw.chunks_mut(BLOCK)) {
            let mut sums = [0.0; BLOCK];
            arch.dispatch(
                #[inline(always)]
                || {
                    self.quantise(rows, &mut bins);
                    self.walk(&bins, &mut sums, None);
                },
            );
            self.finish(&sums, raw);
        }
    }

    /// As [`Kernel::score`], and the SHAP values of each row, row after row.
    pub(crate) fn explain(&self, explainer: &Explainer, rows: &[f32], raw: &mut [f64], shap: &mut [f64]) {
        let groups = explainer.groups();
        let arch = Arch::new();
        let mut bins = self.empty_bins();
        let mut work = explainer.work();
        let shap_blocks = shap.chunks_mut((BLOCK * groups).max(1)).map(Some).chain(std::iter::repeat_with(|| None));
        for ((rows, raw), shap) in rows.chunks(BLOCK * self.width).zip(raw.chunks_mut(BLOCK)).zip(shap_blocks) {
            let mut sums = [0.0; BLOCK];
            work.clear(raw.len());
            arch.dispatch(
                #[inline(always)]
                || {
                    self.quantise(rows, &mut bins);
                    self.walk(&bins, &mut sums, Some((explainer, &mut work)));
                    if let Some(shap) = shap {
                        work.write_rows(shap);
                    }
                },
            );
            self.finish(&sums, raw);
        }
    }

    fn finish(&self, sums: &PerRow<f64>, raw: &mut [f64]) {
        for (raw, sum) in raw.iter_mut().zip(sums) {
            *raw = self.scale * sum + self.bias;
        }
    }

    fn empty_bins(&self) -> Vec<PerRow<u8>> {
        vec![[0; BLOCK]; self.bins.len()]
    }

    #[inline(always)]
    fn quantise(&self, rows: &[f32], bins: &mut [PerRow<u8>]) {
        let mut values = [0.0; BLOCK];
        for (bin, counts) in self.bins.iter().zip(bins) {
            for (value, row) in values.iter_mut().zip(rows.chunks_exact(self.width)) {
                *value = row[bin.column];
            }
            bin.count(&values, counts);
        }
    }

    #[inline(always)]
    fn walk(&self, bins: &[PerRow<u8>], sums: &mut PerRow<f64>, mut explain: Option<(&Explainer, &mut Work)>) {
        let mut leaves = Leaves { low: [0; BLOCK], high: [0; BLOCK] };
        for (number, tree) in self.trees.iter().enumerate() {
            let (low, high) = tree.questions.split_at(tree.questions.len().min(SPLITS_PER_BYTE));
            ask(low, bins, &mut leaves.low);
            if !high.is_empty() {
                ask(high, bins, &mut leaves.high);
            }
            add_by_leaf(&tree.leaf_values, &leaves, sums);
            if let Some((explainer, work)) = explain.as_mut() {
                explainer.add_tree(number, &leaves, work);
            }
        }
    }
}

#[inline(always)]
fn ask(questions: &[Question], bins: &[PerRow<u8>], leaves: &mut PerRow<u8>) {
    *leaves = [0; BLOCK];
    for (bit, question) in questions.iter().enumerate() {
        let mask = 1_u8 << bit;
        for (leaf, bin) in leaves.iter_mut().zip(&bins[question.bin]) {
            *leaf |= if *bin > question.at { mask } else { 0 };
        }
    }
}

/// Adds to each row what `table` has for its leaf.
///
/// By the table's size, because then the compiler sees that a masked leaf number can't be out of bounds.
#[inline(always)]
pub(crate) fn add_by_leaf(table: &[f64], leaves: &Leaves, sums: &mut PerRow<f64>) {
    match table.len() {
        1 => add_small::<1>(table, &leaves.low, sums),
        2 => add_small::<2>(table, &leaves.low, sums),
        4 => add_small::<4>(table, &leaves.low, sums),
        8 => add_small::<8>(table, &leaves.low, sums),
        16 => add_small::<16>(table, &leaves.low, sums),
        32 => add_small::<32>(table, &leaves.low, sums),
        64 => add_small::<64>(table, &leaves.low, sums),
        128 => add_small::<128>(table, &leaves.low, sums),
        256 => add_small::<256>(table, &leaves.low, sums),
        _ => {
            for (row, sum) in sums.iter_mut().enumerate() {
                *sum += table[leaves.of(row)];
            }
        }
    }
}

#[inline(always)]
fn add_small<const LEAVES: usize>(table: &[f64], leaves: &PerRow<u8>, sums: &mut PerRow<f64>) {
    if let Ok(table) = <&[f64; LEAVES]>::try_from(table) {
        for (sum, leaf) in sums.iter_mut().zip(leaves) {
            *sum += table[usize::from(*leaf) & (LEAVES - 1)];
        }
    }
}

impl Bin {
    /// Borders below each value: a float32 comparison, as CatBoost's, which a NaN never passes.
    #[inline(always)]
    fn count(&self, values: &PerRow<f32>, counts: &mut PerRow<u8>) {
        let (values, _) = values.as_chunks::<COUNTED>();
        let (counts, _) = counts.as_chunks_mut::<COUNTED>();
        for (values, counts) in values.iter().zip(counts) {
            let mut below = [0_u32; COUNTED];
            for border in &self.borders {
                for (below, value) in below.iter_mut().zip(values) {
                    *below += u32::from(value > border);
                }
            }
            if self.nan_is_above {
                for (below, value) in below.iter_mut().zip(values) {
                    // At most 255 borders.
                    *below = if value.is_nan() { self.borders.len() as u32 } else { *below };
                }
            }
            for (count, below) in counts.iter_mut().zip(below) {
                *count = below as u8;
            }
        }
    }
}
