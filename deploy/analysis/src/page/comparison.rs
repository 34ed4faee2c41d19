//! The page of a comparison.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive as _;

use super::{Column, bar, chart, count, notices, table, text};
use crate::comparison::bands::Band;
use crate::comparison::report::{BandReport, ComparisonReport, NamedSwapSet};
use crate::comparison::tally::Figures;
use crate::grid;
use crate::words;

pub(super) fn content(title: &str, report: &ComparisonReport) -> Markup {
    let run = &report.run;
    let outcomes = !report.models.is_empty();
    html! {
        h1 { (title) }
        p.soft {
            (words::thousands(run.customers)) " customers of " (run.as_of)
            @if run.dry_run { ", a dry run" }
            ", decided again from the scores that the run stored. Nothing was written."
        }
        (notices(&report.notices))
        h2 { "What each policy decides" }
        (arms(report, outcomes))
        @for swap_set in &report.swap_sets { (swaps(swap_set, outcomes)) }
        @if report.arms.len() > 1 {
            h2 { "By score" }
            (bands("Approved, by score", report, &report.by_score, words::score_band))
            h2 { "By current limit" }
            (bands("Approved, by current limit", report, &report.by_limit, words::limit_band))
        }
        @if !report.grid.is_empty() { (points(report, outcomes)) }
        @if outcomes { (models(report)) }
        h2 { "The policies" }
        @for arm in &report.arms {
            p { (arm.name) ", SHA-256 " (arm.policy_sha256) }
            pre tabindex="0" { (serde_json::to_string_pretty(&arm.policy).unwrap_or_default()) }
        }
        p.soft { "Model of the run: SHA-256 " (run.model_sha256) ". Release " (run.release) "." }
    }
}

fn arms(report: &ComparisonReport, outcomes: bool) -> Markup {
    let mut columns: Vec<Column> = vec![("Policy", false)];
    columns.extend(figure_columns(outcomes));
    let rows = report.arms.iter().map(|arm| {
        let model = if arm.challenger { ", by the challenger's scores" } else { "" };
        let name = format!("{} (cut-off {}{model})", arm.name, arm.policy.minimum_score);
        [text(name)].into_iter().chain(figures(&arm.figures, outcomes)).collect()
    });
    table("Decisions and money", &columns, rows)
}

fn figure_columns(outcomes: bool) -> Vec<Column> {
    let mut columns = vec![
        ("Approved", true),
        ("Declined", true),
        ("Referred", true),
        ("Not eligible", true),
        ("Limits rise by", true),
        ("Mean raise", true),
    ];
    if outcomes {
        columns.extend([("Bad of the approved", true), ("Bad of the declined", true)]);
    }

    columns
}

fn figures(of: &Figures, outcomes: bool) -> Vec<Markup> {
    let mut cells: Vec<Markup> =
        [of.approved, of.declined, of.referred, of.not_eligible].map(count).into();
    cells.extend([text(words::money(of.raised)), text(words::known_money(of.mean_raise))]);
    if outcomes {
        cells.extend(
            [of.approved_bad_rate, of.declined_bad_rate].map(|of| text(words::per_cent(of))),
        );
    }

    cells
}

fn swaps(swap_set: &NamedSwapSet, outcomes: bool) -> Markup {
    let of = &swap_set.figures;
    let groups = [
        ("Comes in", &of.comes_in),
        ("Goes out", &of.goes_out),
        ("Gets a higher limit", &of.raised_more),
        ("Gets a lower limit", &of.raised_less),
    ];
    let mut columns: Vec<Column> =
        vec![("", false), ("Customers", true), ("Limits", true), ("For each", true)];
    if outcomes {
        columns.push(("Bad", true));
    }

    let rows = groups.iter().map(|(name, group)| {
        let mean = group.mean_money.map_or_else(|| words::UNKNOWN.to_owned(), words::signed);
        let mut row =
            vec![text(name), count(group.customers), text(words::signed(group.money)), text(mean)];
        if outcomes {
            row.push(text(words::per_cent(group.bad_rate)));
        }

        row
    });
    html! {
        h2 { "From " (swap_set.from) " to " (swap_set.to) }
        (table("The swap set", &columns, rows))
        p.soft { "Nothing changes for " (words::thousands(of.unchanged)) " customers." }
    }
}

fn bands(
    caption: &str,
    report: &ComparisonReport,
    bands: &[BandReport],
    name: fn(Option<Band>) -> String,
) -> Markup {
    let most = bands.iter().flat_map(|band| &band.arms).map(|arm| arm.approved).max().unwrap_or(0);
    let shown = |band: &&BandReport| band.arms.iter().any(|arm| arm.approved > 0);
    html! {
        div.wide role="region" aria-label=(caption) tabindex="0" {
            table {
                caption { (caption) }
                thead { tr {
                    th scope="col" { "Band" }
                    @for arm in &report.arms { th.n scope="col" { (arm.name) } td {} }
                } }
                tbody { @for band in bands.iter().filter(shown) { tr {
                    th scope="row" { (name(band.band)) }
                    @for (position, arm) in band.arms.iter().enumerate() {
                        td.n { (words::thousands(arm.approved)) }
                        td.bar.b[position > 0] aria-hidden="true" {
                            (bar(arm.approved as f64 / most as f64))
                        }
                    }
                } } }
            }
        }
    }
}

fn points(report: &ComparisonReport, outcomes: bool) -> Markup {
    let mut columns: Vec<Column> = vec![("With", false)];
    columns.extend(figure_columns(outcomes));
    let rows = report.grid.iter().map(|point| {
        let name = text(grid::shown(&point.settings));
        [name].into_iter().chain(figures(&point.figures, outcomes)).collect()
    });
    let dots: Vec<chart::Dot> = report
        .grid
        .iter()
        .map(|point| chart::Dot {
            x: point.figures.approved as f64,
            y: point.figures.raised.to_f64().unwrap_or_default(),
            label: values(point),
        })
        .collect();
    let is_line = report.grid.iter().all(|point| point.settings.len() == 1);
    html! {
        h2 { "Money against approvals" }
        (chart::frontier(&dots, is_line))
        (table("The policies of the grid", &columns, rows))
    }
}

fn values(point: &crate::comparison::report::GridPoint) -> String {
    let values: Vec<String> = point.settings.iter().map(|of| of.value.to_string()).collect();
    values.join(", ")
}

fn models(report: &ComparisonReport) -> Markup {
    let columns = [("Model", false), ("Known", true), ("Bad", true), ("Gini", true), ("KS", true)];
    let rows = report.models.iter().map(|model| {
        let of = &model.discrimination;
        vec![
            text(&model.name),
            count(of.known),
            count(of.bad),
            text(words::coefficient(of.gini, of.gini_interval)),
            text(words::coefficient(of.ks, None)),
        ]
    });
    html! {
        h2 { "How the scores ranked who went bad" }
        (table("Gini and KS, with intervals of 95 % by DeLong", &columns, rows))
        @if let Some(difference) = &report.gini_difference {
            p {
                "The challenger's Gini less that of the run's model: "
                (words::coefficient(Some(difference.interval.value), Some(difference.interval)))
            }
        }
    }
}
