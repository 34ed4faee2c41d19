//! The money in rows of a training table: the current limit, and the income that a policy caps by.

use std::path::Path;

use anyhow::Result;
use rust_decimal::{Decimal, RoundingStrategy};

use super::rows::Record;
use super::source::Source;
use super::{names, values};
use crate::terminal::Problem;

/// Which columns to read, and how the trainer read the table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    pub(crate) limit_column: Option<&'a str>,
    pub(crate) income_column: Option<&'a str>,
    pub(crate) skipped_lines: u64,
    pub(crate) table_rows: u64,
}

/// The money of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Money {
    /// The current limit; `None` when it is missing or not an amount.
    pub(crate) limit: Option<Decimal>,
    /// The income, in whole cents as the database gives it.
    pub(crate) income: Option<Decimal>,
}

/// The money of the rows that were asked for, in their order.
#[derive(Debug, Clone, Default)]
pub(crate) struct MoneyOfRows {
    /// Whether the table has the column of the income.
    pub(crate) has_income: bool,
    pub(crate) rows: Vec<Money>,
}

/// Reads the money of some rows, which are numbered from 0 and rise.
pub(crate) fn read_money(
    path: &Path,
    wanted: &Wanted<'_>,
    rows: impl Iterator<Item = u64>,
) -> Result<MoneyOfRows> {
    let (mut table, header) = Source::open(path, wanted.skipped_lines)?;
    let known: Vec<String> = header.fields().map(str::to_owned).collect();
    let limit = match wanted.limit_column {
        Some(name) => Some(
            find(&known, name)
                .ok_or_else(|| no_column_error(&table.place(path, header.line), &known, name))?,
        ),
        None => None,
    };
    let income = wanted.income_column.and_then(|name| find(&known, name));
    table.select(path, limit.into_iter().chain(income))?;

    let mut rows = rows.peekable();
    let (mut record, mut number) = (Record::default(), 0);
    let mut found = MoneyOfRows { has_income: income.is_some(), rows: Vec::new() };
    while table.read(path, &mut record)? {
        if rows.next_if_eq(&number).is_some() {
            let field = |position: Option<usize>| record.field(position?).map(str::trim);
            found.rows.push(Money {
                limit: field(limit).and_then(values::amount),
                income: field(income).and_then(values::amount).map(|income| {
                    income.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
                }),
            });
        }

        number += 1;
    }

    if number != wanted.table_rows || rows.peek().is_some() {
        let what = format!(
            "the training read {} rows of the table, and it has {number} now",
            wanted.table_rows
        );
        return Err(Problem::usage(what)
            .at(path.display().to_string())
            .next("train again with --force")
            .into());
    }

    Ok(found)
}

/// The position of the one column that a name stands for.
fn find(known: &[String], name: &str) -> Option<usize> {
    match names::positions(name, known).as_slice() {
        [position] => Some(*position),
        _ => None,
    }
}

fn no_column_error(place: &str, known: &[String], name: &str) -> Problem {
    Problem::usage(format!("there is no one column {name:?} (--limit-column)"))
        .at(place)
        .next(format!("use one of the file's columns: {}", known.join(", ")))
}
