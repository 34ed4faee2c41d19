//! The pages: one self-contained HTML document each, without a script and without a request. They
//! have figures of many customers, and no customer's key or value.
//!
//! Every text is escaped, because names of policies and columns come from a lender's files.

mod backtest;
mod chart;
mod comparison;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::comparison::report::ComparisonReport;
use crate::outcomes::backtest::BacktestReport;
use crate::words;

/// The style of every page.
const STYLE: &str = include_str!("page/page.css");
/// A page loads nothing: no script, no image, no font.
const LOADS: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// A comparison as a page.
#[must_use]
pub fn comparison(report: &ComparisonReport) -> String {
    let title = format!("What if: run {}", report.run.run_id);
    document(&title, &comparison::content(&title, report))
}

/// A backtest as a page.
#[must_use]
pub fn backtest(report: &BacktestReport) -> String {
    let title = "How the scores turned out";
    document(title, &backtest::content(title, report))
}

fn document(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(LOADS);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}

/// A column of a table: its heading, and whether it holds numbers.
type Column = (&'static str, bool);

/// A table with a caption. The first cell of a row is its heading.
fn table(caption: &str, columns: &[Column], rows: impl Iterator<Item = Vec<Markup>>) -> Markup {
    html! {
        // A wide table scrolls by itself, also with the keyboard.
        div.wide role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr { @for (name, is_number) in columns {
                    th.n[*is_number] scope="col" { (name) }
                } } }
                tbody { @for row in rows { tr { (row_cells(columns, row)) } } }
            }
        }
    }
}

fn row_cells(columns: &[Column], row: Vec<Markup>) -> Markup {
    html! {
        @for (position, (cell, (_, is_number))) in row.into_iter().zip(columns).enumerate() {
            @if position == 0 { th scope="row" { (cell) } } @else { td.n[*is_number] { (cell) } }
        }
    }
}

fn text(text: impl AsRef<str>) -> Markup {
    html! { (text.as_ref()) }
}

fn count(number: u64) -> Markup {
    text(words::thousands(number))
}

/// A bar beside the number that it shows. It is a picture of the cell before it.
fn bar(share: f64) -> Markup {
    let width = if share.is_finite() { (100.0 * share).clamp(0.0, 100.0) } else { 0.0 };
    html! { span style=(format!("width:{width:.1}%")) {} }
}

/// A notice, if there is one.
fn notices(notices: &[String]) -> Markup {
    html! { @for notice in notices { p.note { "Note: " (notice) "." } } }
}

#[cfg(test)]
mod tests;
