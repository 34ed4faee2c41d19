//! The page: one self-contained HTML document, without a script and without a request.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::run_report::RunReport;
use crate::sections;

/// The style of every page.
const STYLE: &str = include_str!("page.css");
/// A page loads nothing: no script, no image, no font. It has its own style, and an empty icon, so
/// that a browser asks for none.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// The page of a run as HTML. It has no customer's id and no customer's value.
///
/// Every text is escaped, because names of columns and categories come from a lender's file.
#[must_use]
pub fn render(report: &RunReport) -> String {
    let title = format!("Limit increases of {}", report.summary.as_of);
    document(&title, &sections::all(&title, report))
}

/// A document with the style of all pages.
pub(crate) fn document(title: &str, content: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                link rel="icon" href="data:,";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (content) } }
        }
    };
    page.into_string()
}

#[cfg(test)]
mod tests;
