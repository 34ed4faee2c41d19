//! A block of rows as bytes that the trees' questions are asked of.
//!
//! In a large block a row is quantised once, a column becoming the count of its borders that lie below the value; then
//! `value > border i` is `bin > i`. In a small one, where a byte for every border and row fits into the nearest caches, each
//! border is compared with the rows once, and a tree, whose questions others have asked before, looks its answers up.

use pulp::Simd;

use crate::ensemble::{Ensemble, NanTreatment, Split};

/// Rows in the one block of a small batch.
pub(super) const SMALL_BLOCK: usize = 32;
/// Borders of a model whose answers are worth their memory, which is this times [`SMALL_BLOCK`]: 512 KiB.
pub(super) const MAX_ANSWERS: usize = 16 << 10;
/// Borders that a byte can count; a column with more of them has several bins.
const BORDERS_PER_BIN: usize = 255;
/// Vectors of values counted together, so that their counters stay in registers and do not wait for each other.
const TOGETHER: usize = 4;

/// A split as it is asked: of [`Bins`], whether the bin is above `at`; of [`Answers`], the answer for the border.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    bin: u32,
    at: u8,
    border: u32,
}

/// How rows become bytes.
#[derive(Debug)]
pub(super) struct Form {
    bins: Vec<Bin>,
    /// By column: its first bin, and the borders of the columns before it.
    first: Vec<(usize, usize)>,
    borders: usize,
}

/// Borders of a column, as many as a byte can count.
#[derive(Debug)]
struct Bin {
    column: usize,
    borders: Vec<f32>,
    nan_is_above: bool,
}

impl Form {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let mut used = vec![false; ensemble.columns.len()];
        for split in ensemble.trees.iter().flat_map(|tree| &tree.splits) {
            used[split.column] = true;
        }

        let mut form = Self { bins: Vec::new(), first: Vec::with_capacity(used.len()), borders: 0 };
        for (column, feature) in ensemble.columns.iter().enumerate() {
            form.first.push((form.bins.len(), form.borders));
            if used[column] {
                form.bins.extend(feature.borders.chunks(BORDERS_PER_BIN).map(|borders| Bin {
                    column,
                    borders: borders.to_vec(),
                    nan_is_above: feature.nan == NanTreatment::AsTrue,
                }));

                form.borders += feature.borders.len();
            }
        }

        form
    }

    /// Borders of all columns that a tree asks about.
    pub(super) fn borders(&self) -> usize {
        self.borders
    }

    pub(super) fn question(&self, split: &Split) -> Question {
        let (bin, border) = self.first[split.column];
        Question {
            // Columns and borders were read from a file of a few hundred megabytes at most.
            bin: (bin + split.border / BORDERS_PER_BIN) as u32,
            border: (border + split.border) as u32,
            // A remainder of a division by 255.
            at: (split.border % BORDERS_PER_BIN) as u8,
        }
    }
}

/// A block of rows, ready to be asked.
pub(super) trait Block<const ROWS: usize> {
    /// A block without rows.
    fn new(form: &Form) -> Self;

    /// Takes rows, [`ROWS`](Block) of them at most.
    fn read<'r, S: Simd>(
        &mut self,
        simd: S,
        form: &Form,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    );

    /// What this question is asked of, row by row.
    fn bytes(&self, question: &Question) -> &[u8; ROWS];

    /// The answer, in this bit of a byte.
    fn answer(byte: u8, at: u8, bit: usize) -> u8;
}

/// Of each bin, how many of its borders lie below the value.
pub(super) struct Bins<const ROWS: usize>(Vec<[u8; ROWS]>);

impl<const ROWS: usize> Block<ROWS> for Bins<ROWS> {
    fn new(form: &Form) -> Self {
        Self(vec![[0; ROWS]; form.bins.len()])
    }

    #[inline(always)]
    fn read<'r, S: Simd>(
        &mut self,
        simd: S,
        form: &Form,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    ) {
        let mut values = [0.0; ROWS];
        for (bin, counts) in form.bins.iter().zip(&mut self.0) {
            bin.values(rows.clone(), &mut values);
            bin.count(simd, &values, counts);
        }
    }

    #[inline(always)]
    fn bytes(&self, question: &Question) -> &[u8; ROWS] {
        &self.0[question.bin as usize]
    }

    #[inline(always)]
    fn answer(byte: u8, at: u8, bit: usize) -> u8 {
        u8::from(byte > at) << bit
    }
}

/// For each border, all bits where it lies below the value, and none where it does not.
pub(super) struct Answers(Vec<[u8; SMALL_BLOCK]>);

impl Block<SMALL_BLOCK> for Answers {
    fn new(form: &Form) -> Self {
        Self(Vec::with_capacity(form.borders))
    }

    #[inline(always)]
    fn read<'r, S: Simd>(
        &mut self,
        _: S,
        form: &Form,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    ) {
        self.0.clear();
        let mut values = [0.0; SMALL_BLOCK];
        for bin in &form.bins {
            bin.values(rows.clone(), &mut values);
            self.0.extend(bin.borders.iter().map(
                #[inline(always)]
                |border| {
                    let mut above = [0; SMALL_BLOCK];
                    for (above, value) in above.iter_mut().zip(&values) {
                        *above = if value > border { u8::MAX } else { 0 };
                    }

                    above
                },
            ));
        }
    }

    #[inline(always)]
    fn bytes(&self, question: &Question) -> &[u8; SMALL_BLOCK] {
        &self.0[question.border as usize]
    }

    #[inline(always)]
    fn answer(byte: u8, _: u8, bit: usize) -> u8 {
        byte & (1 << bit)
    }
}

impl Bin {
    /// This column of the rows. A missing value is where the model takes it to be: a comparison says no to every NaN.
    #[inline(always)]
    fn values<'r, const ROWS: usize>(
        &self,
        rows: impl Iterator<Item = &'r [f32]>,
        values: &mut [f32; ROWS],
    ) {
        for (value, row) in values.iter_mut().zip(rows) {
            *value = row[self.column];
            if value.is_nan() && self.nan_is_above {
                *value = f32::INFINITY;
            }
        }
    }

    /// Borders below each value: a float32 comparison, as CatBoost's.
    ///
    /// By counting, which reads nothing but what lies in registers. A search would do fewer comparisons and be slower:
    /// each waits for the one before.
    #[inline(always)]
    fn count<S: Simd, const ROWS: usize>(
        &self,
        simd: S,
        values: &[f32; ROWS],
        counts: &mut [u8; ROWS],
    ) {
        let mut below = [0_u32; ROWS];
        let (vectors, _) = S::as_simd_f32s(values);
        let (sums, _) = S::as_mut_simd_u32s(&mut below);
        for (vectors, sums) in vectors.chunks(TOGETHER).zip(sums.chunks_mut(TOGETHER)) {
            if let (Ok(vectors), Ok(sums)) =
                (<&[_; TOGETHER]>::try_from(vectors), <&mut [_; TOGETHER]>::try_from(sums))
            {
                count_together(simd, &self.borders, vectors, sums);
            }
        }

        for (count, below) in counts.iter_mut().zip(below) {
            // At most 255 borders.
            *count = below as u8;
        }
    }
}

#[inline(always)]
fn count_together<S: Simd>(
    simd: S,
    borders: &[f32],
    values: &[S::f32s; TOGETHER],
    sums: &mut [S::u32s; TOGETHER],
) {
    let one = simd.splat_u32s(1);
    let mut counts = [simd.splat_u32s(0); TOGETHER];
    for border in borders {
        let border = simd.splat_f32s(*border);
        for (count, value) in counts.iter_mut().zip(values) {
            let above = simd.greater_than_f32s(*value, border);
            *count = simd.add_u32s(*count, simd.select_u32s(above, one, simd.splat_u32s(0)));
        }
    }

    *sums = counts;
}

/// Asks some questions of every row; the answers are the bits of its byte.
///
/// By their number, because then the compiler lays them out one after the other and works on many rows at once;
/// given a loop, it works on many questions at once and gathers.
#[inline(always)]
pub(super) fn ask<B: Block<ROWS>, const QUESTIONS: usize, const ROWS: usize>(
    questions: &[Question; QUESTIONS],
    block: &B,
    leaves: &mut [u8; ROWS],
) {
    // Both in arrays of their own, or the bytes might be the leaves for all that the compiler knows.
    let mut asked = [(&[0; ROWS], 0); QUESTIONS];
    for (asked, question) in asked.iter_mut().zip(questions) {
        *asked = (block.bytes(question), question.at);
    }

    let mut answers = [0; ROWS];
    for (row, answers) in answers.iter_mut().enumerate() {
        for (bit, (bytes, at)) in asked.iter().enumerate() {
            *answers |= B::answer(bytes[row], *at, bit);
        }
    }

    *leaves = answers;
}

/// As [`ask`], of no more than eight questions.
#[inline(always)]
pub(super) fn ask_some<B: Block<ROWS>, const ROWS: usize>(
    questions: &[Question],
    block: &B,
) -> [u8; ROWS] {
    let mut answers = [0; ROWS];
    for (bit, question) in questions.iter().enumerate() {
        for (answers, byte) in answers.iter_mut().zip(block.bytes(question)) {
            *answers |= B::answer(*byte, question.at, bit);
        }
    }

    answers
}
