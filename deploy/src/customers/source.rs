//! The rows of a file of customers, whether it is text or Parquet. Its first bytes decide.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;

use anyhow::Result;

use super::decode;
use super::parquet::{ParquetProblem, ParquetRows};
use super::rows::{Record, RowError, RowErrorKind, Rows};
use crate::terminal::Problem;

/// How a Parquet file begins.
const PARQUET: &[u8] = b"PAR1";

/// A file that is being read, row by row.
pub(super) enum Source {
    Text(Rows),
    Parquet(Box<ParquetRows>),
}

impl Source {
    /// Opens a file, and reads the names of its columns.
    pub(super) fn open(path: &Path, skipped_lines: u64) -> Result<(Self, Record)> {
        let open_error = |error: std::io::Error| {
            Problem::usage(format!("cannot read the customers: {error}"))
                .at(path.display().to_string())
                .next("give the path of a CSV, CSV.gz or Parquet file with --data")
        };

        let mut file = File::open(path).map_err(open_error)?;
        if is_parquet(&mut file).map_err(open_error)? {
            return Ok(open_parquet(path, file, skipped_lines)?);
        }

        let text = decode::open(file).map_err(open_error)?.map_err(|other| {
            Problem::usage(format!("the file is {}, not a table of text", other.what))
                .at(path.display().to_string())
                .next(format!("{}; nothing was loaded", other.next))
        })?;
        let opened = Rows::open(text, skipped_lines);
        let (rows, header) = opened.map_err(|error| text_problem(path, &error))?;
        Ok((Self::Text(rows), header))
    }

    /// Says which columns are used, by their positions.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub(super) fn select(
        &mut self,
        path: &Path,
        positions: impl IntoIterator<Item = usize>,
    ) -> Result<()> {
        match self {
            Self::Text(_) => Ok(()),
            Self::Parquet(rows) => {
                Ok(rows.select(positions).map_err(|problem| parquet_problem(path, &problem))?)
            }
        }
    }

    /// Whether a column holds days, which need no format.
    pub(super) fn holds_days(&self, position: usize) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Parquet(rows) => rows.holds_days(position),
        }
    }

    /// Reads the next row into `record`; false after the last one.
    pub(super) fn read(&mut self, path: &Path, record: &mut Record) -> Result<bool> {
        Ok(match self {
            Self::Text(rows) => rows.read(record).map_err(|error| text_problem(path, &error)),
            Self::Parquet(rows) => {
                rows.read(record).map_err(|problem| parquet_problem(path, &problem))
            }
        }?)
    }

    /// What the number of a record counts.
    pub(super) const fn unit(&self) -> &'static str {
        match self {
            Self::Text(_) => "line",
            Self::Parquet(_) => "row",
        }
    }

    /// A place in the file. Only the header of a Parquet file has the number 0.
    pub(super) fn place(&self, path: &Path, number: u64) -> String {
        match number {
            0 => path.display().to_string(),
            _ => format!("{}, {} {number}", path.display(), self.unit()),
        }
    }
}

fn is_parquet(file: &mut File) -> std::io::Result<bool> {
    let mut head = Vec::with_capacity(PARQUET.len());
    file.take(PARQUET.len() as u64).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(head == PARQUET)
}

fn open_parquet(path: &Path, file: File, skipped_lines: u64) -> Result<(Source, Record), Problem> {
    if skipped_lines > 0 {
        return Err(Problem::usage("a Parquet file has no lines above its table")
            .at(path.display().to_string())
            .next("leave out --skip-lines"));
    }

    let rows = ParquetRows::open(file).map_err(|problem| parquet_problem(path, &problem))?;
    let header = rows.header();
    Ok((Source::Parquet(Box::new(rows)), header))
}

fn text_problem(path: &Path, error: &RowError) -> Problem {
    let place = match error.kind {
        RowErrorKind::Empty => path.display().to_string(),
        _ => format!("{}, line {}", path.display(), error.line),
    };

    Problem::usage(error.to_string())
        .at(place)
        .next(format!("{}; nothing was loaded", error.advice()))
}

fn parquet_problem(path: &Path, problem: &ParquetProblem) -> Problem {
    let path = path.display();
    let (what, place, next) = match problem {
        ParquetProblem::Column { name, holds } => (
            format!("column {name:?} holds {holds}, which are neither numbers nor texts"),
            format!("{path}, column {name}"),
            "write the column as numbers or as text, or leave it out of the model".to_owned(),
        ),
        ParquetProblem::Zone { name, zone } => (
            format!("column {name:?} holds moments in the zone {zone}, and not the days there"),
            format!("{path}, column {name}"),
            "write the days, with pandas: df[..].dt.tz_localize(None)".to_owned(),
        ),
        ParquetProblem::Codec { name, codec } => (
            format!("column {name:?} is compressed with {codec}, which is not read here"),
            format!("{path}, column {name}"),
            "write the file with snappy, zstd, gzip or without compression, \
             with pandas: to_parquet(.., compression=\"snappy\")"
                .to_owned(),
        ),
        ParquetProblem::Value { name, row, why } => (
            format!("{name} {why}"),
            format!("{path}, row {row}, column {name}"),
            "correct the row and write the file again".to_owned(),
        ),
        ParquetProblem::Damaged(why) => (
            format!("the Parquet file is damaged: {why}"),
            path.to_string(),
            "copy or write the file again".to_owned(),
        ),
    };

    Problem::usage(what).at(place).next(format!("{next}; nothing was loaded"))
}
