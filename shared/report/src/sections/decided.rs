//! The money by bands of limits and of scores, and what drove the declines.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive as _;

use super::Table;
use crate::drift::share;
use crate::figure::{Bar, Caption, Tone, bars};
use crate::format::{count, money as amount, per_cent};
use crate::outcomes::{Band, Outcomes, limit_band_end, score_band_label};
use crate::run_report::RunReport;

/// The most drivers that have a bar of their own. The table has them all.
const MAX_BARS: usize = 12;

pub(super) fn money(report: &RunReport, outcomes: &Outcomes) -> Markup {
    let minimum = report.summary.policy.minimum_score;
    let mut by_limit: Vec<(String, &Band)> =
        outcomes.limit_bands.iter().map(|(lower, band)| (limit_label(*lower), band)).collect();
    by_limit.push(("cannot be read".to_owned(), &outcomes.without_limit));

    let mut by_score: Vec<(String, &Band)> = outcomes
        .score_bands
        .iter()
        .map(|(lower, band)| (score_band_label(*lower, minimum), band))
        .collect();
    by_score.push(("no score".to_owned(), &outcomes.without_score));

    html! {
        section {
            h2 { "Money" }
            p { "By how much limits were raised. Bands without a customer are left out." }
            (banded("limits", "By current limit", "Current limit", &by_limit))
            (banded("score-bands", "By new score", "New score", &by_score))
        }
    }
}

fn limit_label(lower: u32) -> String {
    match limit_band_end(lower) {
        Some(end) => format!("{} to below {}", count(lower.into()), count(end.into())),
        None => format!("{} or more", count(lower.into())),
    }
}

fn banded(id: &str, title: &str, heading: &str, bands: &[(String, &Band)]) -> Markup {
    let mut table = Table::new(title).columns(&[
        (heading, false),
        ("Approved", true),
        ("Declined", true),
        ("Referred", true),
        ("Stale", true),
        ("Raised by", true),
        ("On average", true),
    ]);
    let filled = bands.iter().filter(|(_, band)| band.counts.total() > 0);
    let mut lines = Vec::new();
    for (label, Band { counts, increase }) in filled {
        let mean = increase.checked_div(counts.approved.into()).map(amount);
        let cells = [counts.approved, counts.declined, counts.referred, counts.stale].map(count);
        let cells = [label.clone()].into_iter().chain(cells);
        let mean = mean.unwrap_or_else(|| "–".to_owned());
        table.texts(false, cells.chain([amount(*increase), mean]));

        let value = increase.to_f64().unwrap_or_default();
        let shown = count(increase.trunc().to_u64().unwrap_or_default());
        lines.push(Bar { label: label.clone(), value, shown, tone: Tone::Own });
    }

    let caption =
        Caption { id, title, description: "The sum of the raises in each band, as a bar." };
    html! { div.pair { figure { (bars(&caption, &lines, None)) } (table.markup()) } }
}

pub(super) fn declines(outcomes: &Outcomes) -> Markup {
    let declines = &outcomes.declines;
    let mut drivers: Vec<(&str, u64)> =
        declines.inputs.iter().map(|(input, count)| (input.as_str(), *count)).collect();
    drivers.sort_by(|one, other| other.1.cmp(&one.1).then(one.0.cmp(other.0)));
    drivers.extend([
        ("no single input", declines.no_single_input),
        ("no higher limit by the policy", declines.no_higher_limit),
    ]);
    drivers.retain(|(_, count)| *count > 0);

    let total = declines.total();
    let columns = [("Driver", false), ("Declined", true), ("Share", true)];
    let mut table = Table::new("What drove the declines").columns(&columns);
    for (driver, number) in &drivers {
        table.texts(false, [*driver, &count(*number), &per_cent(share(*number, total))]);
    }

    let bar = |(driver, number): &(&str, u64)| Bar {
        label: (*driver).to_owned(),
        value: *number as f64,
        shown: count(*number),
        tone: Tone::Own,
    };
    let lines: Vec<Bar> = drivers.iter().take(MAX_BARS).map(bar).collect();
    let caption = Caption {
        id: "declines",
        title: "What drove the declines",
        description: "The number of declined customers for each driver, as a bar.",
    };
    html! {
        section {
            h2 { "Declines" }
            @if drivers.is_empty() {
                p { "Nobody was declined." }
            } @else {
                p {
                    "Each declined customer counts once: for the input that took most points from \
                     the score, or for the rule that decided."
                }
                div.pair { figure { (bars(&caption, &lines, None)) } (table.markup()) }
            }
        }
    }
}
