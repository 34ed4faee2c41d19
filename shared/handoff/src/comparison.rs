//! Two files of one stage, compared cell by cell and bit by bit: the one that a run recorded, and
//! one that was made again from the same inputs.

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array,
    RecordBatch, StringArray,
};
use bytes::Bytes;
use rust_decimal::Decimal;

use crate::parquet_file::{HandoffError, Table, row_count};

/// Differences that are described. All of them are counted.
const DESCRIBED: usize = 10;

/// How a file differs from the recorded one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// Cells that differ, and one for each column that only one of the files has.
    pub count: u64,
    /// The first of them, by column and row.
    pub first: Vec<Difference>,
}

/// A cell that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The column.
    pub column: String,
    /// The row in the recorded file, from 0; absent where a whole column differs.
    pub row: Option<u32>,
    /// What was recorded.
    pub recorded: String,
    /// What was made again.
    pub repeated: String,
}

/// Compares a file that was made again with the recorded one. Floats are compared by their bits.
///
/// With `taken`, the file was made of these rows of the recorded one.
///
/// # Errors
/// When one of them is not a file of the hand-off, or they have not the same number of rows.
pub fn compare(
    recorded: &Bytes,
    repeated: &Bytes,
    taken: Option<&[u32]>,
) -> Result<Differences, HandoffError> {
    // The same bytes have the same cells. The same release writes the same bytes.
    if taken.is_none() && recorded == repeated {
        return Ok(Differences::default());
    }

    let table = |bytes: &Bytes| Table::from_parquet(bytes.clone(), row_count(bytes)?);
    let (whole, repeated) = (table(recorded)?, table(repeated)?);
    let recorded = match taken {
        Some(rows) => whole.take(rows)?,
        None => whole,
    };
    if recorded.rows() != repeated.rows() {
        return Err(HandoffError::Rows {
            found: recorded.rows() as u64,
            expected: repeated.rows() as u64,
        });
    }

    let mut differences = Differences::default();
    let row_of = |row: usize| taken.map_or(row as u32, |rows| rows[row]);
    differences.add_columns(recorded.batch(), repeated.batch());
    for (field, column) in recorded.batch().schema().fields().iter().zip(recorded.batch().columns())
    {
        let Some(other) = repeated.batch().column_by_name(field.name()) else { continue };
        differences.add_cells(field.name(), column, other, row_of);
    }

    Ok(differences)
}

impl Differences {
    /// The columns that one of the files lacks.
    fn add_columns(&mut self, recorded: &RecordBatch, repeated: &RecordBatch) {
        let lacks = |of: &RecordBatch, name: &str| of.column_by_name(name).is_none();
        let (here, there) = (recorded.schema(), repeated.schema());
        for field in here.fields().iter().filter(|field| lacks(repeated, field.name())) {
            self.add(field.name(), None, "a column", "no column");
        }
        for field in there.fields().iter().filter(|field| lacks(recorded, field.name())) {
            self.add(field.name(), None, "no column", "a column");
        }
    }

    fn add_cells(
        &mut self,
        name: &str,
        recorded: &ArrayRef,
        repeated: &ArrayRef,
        row_of: impl Fn(usize) -> u32,
    ) {
        if recorded.data_type() != repeated.data_type() {
            let types = [recorded, repeated].map(|array| array.data_type().to_string());
            self.add(name, None, &types[0], &types[1]);
            return;
        }
        // Arrays are equal when their bits are.
        if recorded.to_data() == repeated.to_data() {
            return;
        }

        for row in 0..recorded.len() {
            let cells = [recorded, repeated].map(|array| shown(array, row));
            if cells[0] != cells[1] {
                self.add(name, Some(row_of(row)), &cells[0], &cells[1]);
            }
        }
    }

    fn add(&mut self, column: &str, row: Option<u32>, recorded: &str, repeated: &str) {
        self.count += 1;
        if self.first.len() < DESCRIBED {
            let (recorded, repeated) = (recorded.to_owned(), repeated.to_owned());
            self.first.push(Difference { column: column.to_owned(), row, recorded, repeated });
        }
    }
}

/// A cell as text. Two cells of one type have the same text exactly if they have the same bits.
fn shown(array: &ArrayRef, row: usize) -> String {
    if array.is_null(row) {
        return "NULL".to_owned();
    }

    let any = array.as_any();
    if let Some(array) = any.downcast_ref::<Float64Array>() {
        let value = array.value(row);
        format!("{value:?} (bits {:016x})", value.to_bits())
    } else if let Some(array) = any.downcast_ref::<StringArray>() {
        format!("{:?}", array.value(row))
    } else if let Some(array) = any.downcast_ref::<Int32Array>() {
        array.value(row).to_string()
    } else if let Some(array) = any.downcast_ref::<Decimal128Array>() {
        Decimal::from_i128_with_scale(array.value(row), 2).to_string()
    } else if let Some(array) = any.downcast_ref::<BooleanArray>() {
        array.value(row).to_string()
    } else if let Some(array) = any.downcast_ref::<Date32Array>() {
        format!("day {} since 1970", array.value(row))
    } else {
        format!("{:?}", array.slice(row, 1).to_data())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::parquet_file::Columns;

    fn file(numbers: &[Option<f64>], texts: &[&str], extra: bool) -> Bytes {
        let mut columns = Columns::new();
        columns.push("number", true, Float64Array::from(numbers.to_vec()));
        columns.push("text", false, StringArray::from(texts.to_vec()));
        if extra {
            columns.push("extra", false, BooleanArray::from(vec![true; texts.len()]));
        }
        columns.into_parquet(texts.len()).unwrap()
    }

    #[test]
    fn one_bit_of_one_cell_is_found_with_its_place() {
        let one = 0.1_f64;
        let next = f64::from_bits(one.to_bits() + 1);
        let recorded = file(&[Some(one), None, Some(-0.0)], &["a", "b", "c"], false);
        assert_eq!(compare(&recorded, &recorded, None).unwrap(), Differences::default());

        let repeated = file(&[Some(next), None, Some(0.0)], &["a", "b", "d"], false);
        let found = compare(&recorded, &repeated, None).unwrap();
        assert_eq!(found.count, 3);
        let places: Vec<(&str, Option<u32>)> =
            found.first.iter().map(|one| (one.column.as_str(), one.row)).collect();
        assert_eq!(places, [("number", Some(0)), ("number", Some(2)), ("text", Some(2))]);
        assert!(found.first[0].recorded.contains("3fb999999999999a"), "{:?}", found.first[0]);
    }

    #[test]
    fn nan_is_the_same_as_itself_and_null_is_not_nan() {
        let nan = file(&[Some(f64::NAN)], &["a"], false);
        let again = file(&[Some(f64::NAN)], &["a"], true);
        let found = compare(&nan, &again, None).unwrap();
        assert_eq!((found.count, found.first[0].column.as_str()), (1, "extra"));

        let null = file(&[None], &["a"], false);
        assert_eq!(compare(&nan, &null, None).unwrap().count, 1);
    }

    #[test]
    fn some_rows_are_compared_with_the_same_rows_of_the_record() {
        let recorded = file(&[Some(1.0), Some(2.0), Some(3.0)], &["a", "b", "c"], false);
        let repeated = file(&[Some(3.0), Some(9.0)], &["c", "b"], false);
        let found = compare(&recorded, &repeated, Some(&[2, 1])).unwrap();
        assert_eq!(found.count, 1);
        assert_eq!(found.first[0].row, Some(1));

        let too_few = compare(&recorded, &repeated, None);
        assert!(matches!(too_few, Err(HandoffError::Rows { found: 3, expected: 2 })));
        assert!(compare(&recorded, &repeated, Some(&[0, 7])).is_err(), "no such row");
    }

    #[test]
    fn many_differences_are_counted_and_a_few_described() {
        let (ones, twos) = (vec![Some(1.0); 50], vec![Some(2.0); 50]);
        let texts = vec!["a"; 50];
        let found =
            compare(&file(&ones, &texts, false), &file(&twos, &texts, false), None).unwrap();
        assert_eq!((found.count, found.first.len()), (50, DESCRIBED));
    }
}
