//! The sections of the page, in the order in which they are read.

mod decided;
mod drift;
mod history;
mod overview;
mod policy;
mod scores;
mod table;

use limit_increase_domain::Counts;
use maud::{Markup, html};

use crate::drift::{Index, share};
use crate::format::per_cent;
use crate::run_report::RunReport;

pub(crate) use table::Table;

pub(crate) fn all(title: &str, report: &RunReport) -> Markup {
    html! {
        (overview::verdict(title, report))
        (overview::facts(report))
        (overview::waterfall(report))
        (scores::section(report))
        @if let Some(outcomes) = report.profile.as_ref().and_then(|one| one.outcomes.as_ref()) {
            (decided::money(report, outcomes))
            (decided::declines(outcomes))
        }
        (drift::section(report))
        (history::section(report))
        (policy::section(&report.summary.policy))
    }
}

/// The drift as a multiple of what it may be without drift.
pub(crate) fn drift_cell(index: Option<Index>) -> String {
    index.map_or_else(|| "–".to_owned(), |index| format!("{:.2}", index.ratio()))
}

/// The shares of the three outcomes.
pub(crate) fn outcome_shares(counts: Counts) -> String {
    let Counts { approved, declined, referred, .. } = counts;
    let decided = approved + declined + referred;
    [approved, declined, referred].map(|part| per_cent(share(part, decided))).join(", ")
}
