//! The leaf that each row of a block reaches, and sums over it.

/// Rows in the one block of a small batch.
pub(crate) const SMALL_BLOCK: usize = 32;
/// Splits whose answers fit into a byte.
pub(crate) const SPLITS_PER_BYTE: usize = 8;

/// The leaf that each row of a block reaches in one tree, as the low and the high byte of its
/// number.
pub(crate) struct LeafNumbers<const ROWS: usize> {
    /// How many rows of the block are rows of the batch. The others are padding.
    pub(crate) rows: usize,
    pub(crate) low: [u8; ROWS],
    pub(crate) high: [u8; ROWS],
}

impl<const ROWS: usize> LeafNumbers<ROWS> {
    /// The leaf of one row.
    #[inline(always)]
    pub(crate) fn of(&self, row: usize) -> usize {
        usize::from(self.low[row]) | usize::from(self.high[row]) << SPLITS_PER_BYTE
    }
}

/// Adds to the sum of each row what `table` has for the row's leaf.
///
/// There is one case per size of table, because then the compiler sees that a masked leaf number
/// can't be out of bounds.
#[inline(always)]
pub(crate) fn add_by_leaf<const ROWS: usize>(
    table: &[f64],
    leaves: &LeafNumbers<ROWS>,
    sums: &mut [f64; ROWS],
) {
    macro_rules! by_size {
        ($($leaves:literal)+) => {
            match table.len() {
                $($leaves => {
                    if let Ok(table) = <&[f64; $leaves]>::try_from(table) {
                        add_by_low_byte(table, leaves, sums);
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

/// [`add_by_leaf`] for a tree whose leaf numbers fit into the low byte.
///
/// One load reads several leaf numbers. Left alone, the compiler gathers into vectors, which takes
/// half as long again. Groups of eight rows are quicker; groups of four waste fewer padding rows,
/// which matters for small batches.
#[inline(always)]
pub(crate) fn add_by_low_byte<const LEAVES: usize, const ROWS: usize>(
    table: &[f64; LEAVES],
    leaves: &LeafNumbers<ROWS>,
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
