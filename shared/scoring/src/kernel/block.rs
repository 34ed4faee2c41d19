//! A block of rows as bytes, of which the trees ask their questions.
//!
//! There are two kinds of blocks. In a large block each value is quantised once: it becomes its
//! bin, the number of its column's borders that lie below it. Then `value > border i` is
//! `bin > i`. In a small block each border is compared with each row once. A byte per border and
//! row still fits into the nearest caches there, and many trees ask about the same border, so a
//! tree finds its answers ready.

use pulp::Simd;

use crate::ensemble::{Ensemble, NanTreatment, Split};
use crate::leaves::SMALL_BLOCK;

/// The most borders of a model for a [`BorderBlock`], whose bytes are this times [`SMALL_BLOCK`]:
/// 512 KiB.
pub(super) const MAX_BORDERS: usize = 16 << 10;
/// Borders that a byte can count. A column with more of them has several bins.
const BORDERS_PER_BIN: usize = 255;
/// Vectors of values that are counted in one loop, so that their counters stay in registers and do
/// not wait for each other.
const VECTORS_PER_LOOP: usize = 4;

/// A split as a block answers it. A [`BinBlock`] compares the value's bin with `at`. A
/// [`BorderBlock`] has the answer for `border` ready.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    bin: u32,
    at: u8,
    border: u32,
}

/// Turns rows into bytes.
#[derive(Debug)]
pub(super) struct Quantiser {
    bins: Vec<Bin>,
    /// For each column: its first bin, and the number of borders of the columns before it.
    first: Vec<(usize, usize)>,
    borders: usize,
}

/// Some borders of one column, at most as many as a byte can count.
#[derive(Debug)]
struct Bin {
    column: usize,
    borders: Vec<f32>,
    nan_is_above: bool,
}

impl Quantiser {
    pub(super) fn new(ensemble: &Ensemble) -> Self {
        let mut used = vec![false; ensemble.columns.len()];
        for split in ensemble.trees.iter().flat_map(|tree| &tree.splits) {
            used[split.column] = true;
        }

        let mut quantiser =
            Self { bins: Vec::new(), first: Vec::with_capacity(used.len()), borders: 0 };
        for (column, feature) in ensemble.columns.iter().enumerate() {
            quantiser.first.push((quantiser.bins.len(), quantiser.borders));
            if used[column] {
                quantiser.bins.extend(feature.borders.chunks(BORDERS_PER_BIN).map(|borders| Bin {
                    column,
                    borders: borders.to_vec(),
                    nan_is_above: feature.nan == NanTreatment::AsTrue,
                }));

                quantiser.borders += feature.borders.len();
            }
        }

        quantiser
    }

    /// The number of borders of all columns that a tree asks about.
    pub(super) fn borders(&self) -> usize {
        self.borders
    }

    pub(super) fn question(&self, split: &Split) -> Question {
        let (bin, border) = self.first[split.column];
        Question {
            // These fit: columns and borders come from a file of at most 128 MiB.
            bin: (bin + split.border / BORDERS_PER_BIN) as u32,
            border: (border + split.border) as u32,
            // A remainder of a division by 255 fits into a byte.
            at: (split.border % BORDERS_PER_BIN) as u8,
        }
    }
}

/// A block of rows that answers questions.
pub(super) trait Block<const ROWS: usize> {
    /// Makes a block without rows.
    fn new(quantiser: &Quantiser) -> Self;

    /// Replaces the block's rows by these, at most `ROWS` of them.
    fn read<'r, S: Simd>(
        &mut self,
        simd: S,
        quantiser: &Quantiser,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    );

    /// For each row the byte that answers this question.
    fn bytes(&self, question: &Question) -> &[u8; ROWS];

    /// The answer that a row's byte gives, as the given bit of a leaf number.
    fn answer_bit(byte: u8, at: u8, bit: usize) -> u8;
}

/// For each bin and row, how many of the bin's borders lie below the row's value.
pub(super) struct BinBlock<const ROWS: usize>(Vec<[u8; ROWS]>);

impl<const ROWS: usize> Block<ROWS> for BinBlock<ROWS> {
    fn new(quantiser: &Quantiser) -> Self {
        Self(vec![[0; ROWS]; quantiser.bins.len()])
    }

    #[inline(always)]
    fn read<'r, S: Simd>(
        &mut self,
        simd: S,
        quantiser: &Quantiser,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    ) {
        let mut values = [0.0; ROWS];
        for (bin, counts) in quantiser.bins.iter().zip(&mut self.0) {
            bin.values(rows.clone(), &mut values);
            bin.count(simd, &values, counts);
        }
    }

    #[inline(always)]
    fn bytes(&self, question: &Question) -> &[u8; ROWS] {
        &self.0[question.bin as usize]
    }

    #[inline(always)]
    fn answer_bit(byte: u8, at: u8, bit: usize) -> u8 {
        u8::from(byte > at) << bit
    }
}

/// For each border and row, a byte that has all bits set where the border lies below the row's
/// value, and none where it does not.
pub(super) struct BorderBlock(Vec<[u8; SMALL_BLOCK]>);

impl Block<SMALL_BLOCK> for BorderBlock {
    fn new(quantiser: &Quantiser) -> Self {
        Self(Vec::with_capacity(quantiser.borders))
    }

    #[inline(always)]
    fn read<'r, S: Simd>(
        &mut self,
        _: S,
        quantiser: &Quantiser,
        rows: impl Iterator<Item = &'r [f32]> + Clone,
    ) {
        self.0.clear();
        let mut values = [0.0; SMALL_BLOCK];
        for bin in &quantiser.bins {
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
    fn answer_bit(byte: u8, _: u8, bit: usize) -> u8 {
        byte & (1 << bit)
    }
}

impl Bin {
    /// Copies this bin's column of the rows into `values`.
    ///
    /// Every comparison with NaN is false, which puts missing values below all borders. Where the
    /// model has them above all borders, they become infinite.
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

    /// Counts the borders below each value, with the float32 comparison that CatBoost uses.
    ///
    /// All borders are compared, and everything that this reads lies in registers. A binary search
    /// would do fewer comparisons but be slower, because each of them waits for the one before.
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
        for (vectors, sums) in
            vectors.chunks(VECTORS_PER_LOOP).zip(sums.chunks_mut(VECTORS_PER_LOOP))
        {
            if let (Ok(vectors), Ok(sums)) = (
                <&[_; VECTORS_PER_LOOP]>::try_from(vectors),
                <&mut [_; VECTORS_PER_LOOP]>::try_from(sums),
            ) {
                count_vectors(simd, &self.borders, vectors, sums);
            }
        }

        for (count, below) in counts.iter_mut().zip(below) {
            // A bin has at most 255 borders.
            *count = below as u8;
        }
    }
}

#[inline(always)]
fn count_vectors<S: Simd>(
    simd: S,
    borders: &[f32],
    values: &[S::f32s; VECTORS_PER_LOOP],
    sums: &mut [S::u32s; VECTORS_PER_LOOP],
) {
    let one = simd.splat_u32s(1);
    let mut counts = [simd.splat_u32s(0); VECTORS_PER_LOOP];
    for border in borders {
        let border = simd.splat_f32s(*border);
        for (count, value) in counts.iter_mut().zip(values) {
            let above = simd.greater_than_f32s(*value, border);
            *count = simd.add_u32s(*count, simd.select_u32s(above, one, simd.splat_u32s(0)));
        }
    }

    *sums = counts;
}

/// Answers a tree's questions for every row. Question `i` gives bit `i` of the row's byte.
///
/// The number of questions is known when this is compiled. So the compiler lays the questions out
/// one after the other and works on many rows in one instruction. Given a loop over questions, it
/// works on many questions in one instruction and gathers their bytes, which is slower.
#[inline(always)]
pub(super) fn write_leaf_bits<B: Block<ROWS>, const QUESTIONS: usize, const ROWS: usize>(
    questions: &[Question; QUESTIONS],
    block: &B,
    leaves: &mut [u8; ROWS],
) {
    // Bytes and answers have arrays of their own. Otherwise the compiler must assume that writing
    // a leaf could change the bytes.
    let mut sources = [(&[0; ROWS], 0); QUESTIONS];
    for (source, question) in sources.iter_mut().zip(questions) {
        *source = (block.bytes(question), question.at);
    }

    let mut answers = [0; ROWS];
    for (row, answers) in answers.iter_mut().enumerate() {
        for (bit, (bytes, at)) in sources.iter().enumerate() {
            *answers |= B::answer_bit(bytes[row], *at, bit);
        }
    }

    *leaves = answers;
}

/// As [`write_leaf_bits`], for any number of questions up to eight.
#[inline(always)]
pub(super) fn leaf_bits<B: Block<ROWS>, const ROWS: usize>(
    questions: &[Question],
    block: &B,
) -> [u8; ROWS] {
    let mut answers = [0; ROWS];
    for (bit, question) in questions.iter().enumerate() {
        for (answers, byte) in answers.iter_mut().zip(block.bytes(question)) {
            *answers |= B::answer_bit(*byte, question.at, bit);
        }
    }

    answers
}
