//! The index: one line for each run, with a link to its page.

use maud::{Markup, html};

use crate::drift::IMMATERIAL;
use crate::format::{count, money};
use crate::page::document;
use crate::run_report::PastRun;
use crate::sections::{Table, drift_cell, outcome_shares};

/// A page that lists runs, the newest first. `link` gives the address of a run's page, if it has
/// one.
#[must_use]
pub fn render(runs: &[PastRun], link: impl Fn(&PastRun) -> Option<String>) -> String {
    let title = "Limit increases: all runs";
    let mut table = Table::new("Runs, the newest first").columns(&[
        ("Run", false),
        ("Date", false),
        ("Status", false),
        ("Customers", true),
        ("Approved, declined, referred", true),
        ("Limits raised by", true),
        ("Drift of the scores", true),
        ("Drift of the worst input", true),
    ]);

    for run in runs {
        let looks = [run.score_drift, run.worst_input];
        let drifted = looks.into_iter().flatten().any(crate::drift::Index::is_drift);
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        let mode = if run.dry_run { " (dry run)" } else { "" };
        let cells = [
            name(run, link(run)),
            html! { (or_dash(run.as_of.map(|date| date.to_string()))) },
            html! { (run.status) (mode) },
            html! { (or_dash(run.eligible.map(count))) },
            html! { (or_dash(run.counts.map(outcome_shares))) },
            html! { (or_dash(run.total_increase.map(money))) },
            html! { (drift_cell(run.score_drift)) },
            html! { (drift_cell(run.worst_input)) },
        ];
        table.row(drifted, cells);
    }

    let content = html! {
        h1 { (title) }
        p.soft {
            "Drift is given as a multiple of its limit: what the index stays below without drift, \
             and at least " (IMMATERIAL) ". Above 1 the customers are no longer those that the \
             model was trained for."
        }
        (table.markup())
    };
    document(title, &content)
}

fn name(run: &PastRun, link: Option<String>) -> Markup {
    match link {
        Some(address) => html! { a href=(address) { (run.run_id) } },
        None => html! { (run.run_id) },
    }
}
