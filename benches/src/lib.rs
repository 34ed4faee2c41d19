//! Rows of a CSV file as the model reads them. The programs that measure are in `criterion/` and
//! `src/bin/`.

use std::path::Path;

use anyhow::{Context, Result};
use limit_increase_artifact::ModelInput;
use limit_increase_domain::ColumnKind;
use limit_increase_scoring::{Column, Frame};

/// The columns of a CSV file that a model reads.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Values>,
    rows: usize,
}

#[derive(Debug)]
enum Values {
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Table {
    /// Reads the columns of a model's sources; an empty field is a missing value.
    ///
    /// # Errors
    /// When the file can't be read, has not all of the columns, or has a text where a number should
    /// be.
    pub fn read(path: &Path, sources: &[ModelInput]) -> Result<Self> {
        let mut reader =
            csv::Reader::from_path(path).with_context(|| format!("reading {}", path.display()))?;
        let headers = reader.headers()?.clone();
        let at = |source: &ModelInput| {
            headers
                .iter()
                .position(|header| header == source.column.name)
                .with_context(|| format!("no column {}", source.column.name))
        };

        let positions = sources.iter().map(at).collect::<Result<Vec<_>>>()?;
        let empty = |source: &ModelInput| match source.column.kind {
            ColumnKind::Number => Values::Numbers(Vec::new()),
            ColumnKind::Category => Values::Texts(Vec::new()),
        };

        let mut table = Self { columns: sources.iter().map(empty).collect(), rows: 0 };
        let mut record = csv::StringRecord::new();
        while reader.read_record(&mut record)? {
            table.rows += 1;
            for (column, position) in table.columns.iter_mut().zip(&positions) {
                let field = record.get(*position).unwrap_or_default();
                match column {
                    Values::Numbers(values) if field.is_empty() => values.push(f64::NAN),
                    Values::Numbers(values) => {
                        values.push(field.parse().with_context(|| format!("{field:?}"))?);
                    }
                    Values::Texts(values) => values.push(field.to_owned()),
                }
            }
        }

        Ok(table)
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// `count` rows from `start` as a frame.
    #[must_use]
    pub fn frame(&self, start: usize, count: usize) -> Frame<'_> {
        let columns = self.columns.iter().map(|values| values.column(start, count)).collect();
        Frame { columns, has_features: vec![true; count] }
    }
}

impl Values {
    fn column(&self, start: usize, count: usize) -> Column<'_> {
        match self {
            Self::Numbers(values) => Column::Numbers(values[start..start + count].to_vec()),
            Self::Texts(values) => {
                let texts = values[start..start + count].iter().map(String::as_str);
                Column::Texts(texts.map(|text| (!text.is_empty()).then_some(text)).collect())
            }
        }
    }
}
