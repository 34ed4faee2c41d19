//! The money in rows of a training table: the current limit, and the income that a policy caps by.

use std::path::Path;

use anyhow::Result;
use rust_decimal::{Decimal, RoundingStrategy};

use super::rows::Record;
use super::source::Source;
use super::values;
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
    let limit = match wanted.limit_column {
        Some(name) => Some(
            find(&header, name)
                .ok_or_else(|| no_column_error(&table.place(path, header.line), &header, name))?,
        ),
        None => None,
    };
    let income = wanted.income_column.and_then(|name| find(&header, name));
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

/// The position of a column. A name without the blanks around it will do, if there is one such.
fn find(header: &Record, name: &str) -> Option<usize> {
    let only = |is: &dyn Fn(&str) -> bool| {
        let mut found = header.fields().enumerate().filter(|(_, column)| is(column));
        let first = found.next()?;
        found.next().is_none().then_some(first.0)
    };

    only(&|column| column == name).or_else(|| only(&|column| column.trim() == name.trim()))
}

fn no_column_error(place: &str, header: &Record, name: &str) -> Problem {
    let known: Vec<&str> = header.fields().collect();
    Problem::usage(format!("there is no one column {name:?} (--limit-column)"))
        .at(place)
        .next(format!("use one of the file's columns: {}", known.join(", ")))
}
