//! A comparison in the terminal: tables, and bars of block characters.

use limit_increase::terminal::{self, Ui, bar, money, thousands};
use limit_increase_analysis::comparison::bands::Band;
use limit_increase_analysis::comparison::report::{BandReport, ComparisonReport, NamedSwapSet};
use limit_increase_analysis::comparison::swap_set::SwappedFigures;
use limit_increase_analysis::comparison::tally::Figures;
use limit_increase_analysis::grid;
use limit_increase_analysis::interval::Interval;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive as _;

/// The length of the longest bar, in characters.
const BAR: u32 = 16;

/// Shows a whole comparison.
pub(super) fn report(ui: &Ui, report: &ComparisonReport) {
    let run = &report.run;
    let mode = if run.dry_run { ", a dry run" } else { "" };
    ui.heading(format!(
        "{} customers of {} ({}{mode}), decided again",
        thousands(run.customers),
        run.run_id,
        run.as_of
    ));
    arms(ui, report);
    report.swap_sets.iter().for_each(|swap_set| swaps(ui, swap_set, has_outcomes(report)));
    bands(ui, "By score", "Score", report, &report.by_score);
    bands(ui, "By current limit", "Limit", report, &report.by_limit);
    points(ui, report);
    models(ui, report);
    for notice in &report.notices {
        ui.line(format!("  Note: {notice}."));
    }
}

fn has_outcomes(report: &ComparisonReport) -> bool {
    !report.models.is_empty()
}

/// A share in per cent, with its interval.
pub(crate) fn per_cent(interval: Option<Interval>) -> String {
    interval.map_or_else(
        || "-".to_owned(),
        |of| format!("{:.1} % ({:.1} to {:.1})", 100.0 * of.value, 100.0 * of.low, 100.0 * of.high),
    )
}

fn amount(amount: Option<Decimal>) -> String {
    amount.map_or_else(|| "-".to_owned(), money)
}

/// An amount with its sign.
fn signed(amount: Decimal) -> String {
    if amount > Decimal::ZERO { format!("+{}", money(amount)) } else { money(amount) }
}

fn arms(ui: &Ui, report: &ComparisonReport) {
    let outcomes = has_outcomes(report);
    let mut header = vec![
        "Policy",
        "Approved",
        "Declined",
        "Referred",
        "Not eligible",
        "Limits rise by",
        "Mean raise",
    ];
    if outcomes {
        header.extend(["Bad of the approved", "Bad of the declined"]);
    }

    let mut table = terminal::table(&header);
    for arm in &report.arms {
        let name = format!("{} (cut-off {})", arm.name, arm.policy.minimum_score);
        table.add_row([name].into_iter().chain(cells(&arm.figures, outcomes)));
    }

    ui.line(table.to_string());
}

fn cells(figures: &Figures, outcomes: bool) -> Vec<String> {
    let mut cells: Vec<String> =
        [figures.approved, figures.declined, figures.referred, figures.not_eligible]
            .map(thousands)
            .into();
    cells.extend([money(figures.raised), amount(figures.mean_raise)]);
    if outcomes {
        cells.extend([figures.approved_bad_rate, figures.declined_bad_rate].map(per_cent));
    }

    cells
}

fn swaps(ui: &Ui, swap_set: &NamedSwapSet, outcomes: bool) {
    ui.heading(format!("From {} to {}", swap_set.from, swap_set.to));
    let figures = &swap_set.figures;
    let groups: [(&str, &SwappedFigures); 4] = [
        ("Comes in", &figures.comes_in),
        ("Goes out", &figures.goes_out),
        ("Higher limit", &figures.raised_more),
        ("Lower limit", &figures.raised_less),
    ];
    let most = groups.iter().map(|(_, group)| group.customers).max().unwrap_or(0);
    let mut header = vec!["", "Customers", "", "Limits", "For each"];
    if outcomes {
        header.push("Bad");
    }

    let mut table = terminal::table(&header);
    for (name, group) in groups {
        let mut row = vec![
            name.to_owned(),
            thousands(group.customers),
            bar(share(group.customers, most), BAR),
            signed(group.money),
            group.mean_money.map_or_else(|| "-".to_owned(), signed),
        ];
        if outcomes {
            row.push(per_cent(group.bad_rate));
        }

        table.add_row(row);
    }

    ui.line(table.to_string());
    ui.line(format!("  Nothing changes for {}.", thousands(figures.unchanged)));
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// A band as text: `640 to 659` for scores, `1,000 to below 2,000` for limits.
pub(crate) fn band(band: Option<Band>, last: i64) -> String {
    let number = |number: i64| money(Decimal::from(number));
    match band {
        None => "none".to_owned(),
        Some(Band { from: Some(from), to: Some(to) }) if last == 0 => {
            format!("{} to below {}", number(from), number(to))
        }
        Some(Band { from: Some(from), to: Some(to) }) => {
            format!("{} to {}", number(from), number(to - last))
        }
        Some(Band { from: None, to: Some(to) }) => format!("below {}", number(to)),
        Some(Band { from: Some(from), .. }) => format!("{} or more", number(from)),
        Some(Band { from: None, to: None }) => "all".to_owned(),
    }
}

fn bands(ui: &Ui, title: &str, first: &str, report: &ComparisonReport, bands: &[BandReport]) {
    let approvals = |band: &BandReport| band.arms.iter().map(|arm| arm.approved).max();
    let most = bands.iter().filter_map(approvals).max().unwrap_or(0);
    if most == 0 {
        return;
    }

    ui.heading(format!("{title}: approved"));
    let names = report.arms.iter().map(|arm| arm.name.as_str());
    let header: Vec<&str> = [first].into_iter().chain(names).collect();
    let mut table = terminal::table(&header);
    let last = if title == "By score" { 1 } else { 0 };
    for of in bands.iter().filter(|of| of.arms.iter().any(|arm| arm.customers > 0)) {
        let approved = of.arms.iter().map(|arm| {
            let bar = bar(share(arm.approved, most), BAR);
            format!("{:>9} {bar}", thousands(arm.approved))
        });
        table.add_row([band(of.band, last)].into_iter().chain(approved));
    }

    ui.line(table.to_string());
}

fn points(ui: &Ui, report: &ComparisonReport) {
    let most = report.grid.iter().map(|point| point.figures.approved).max().unwrap_or(0);
    let highest = report.grid.iter().map(|point| point.figures.raised).max().unwrap_or_default();
    if report.grid.is_empty() {
        return;
    }

    ui.heading("Grid");
    let outcomes = has_outcomes(report);
    let mut header = vec!["With", "Approved", "", "Limits rise by", ""];
    if outcomes {
        header.push("Bad of the approved");
    }

    let mut table = terminal::table(&header);
    for point in &report.grid {
        let figures = &point.figures;
        let raised = figures.raised.checked_div(highest).and_then(|share| share.to_f64());
        let mut row = vec![
            grid::shown(&point.settings),
            thousands(figures.approved),
            bar(share(figures.approved, most), BAR),
            money(figures.raised),
            bar(raised.unwrap_or_default(), BAR),
        ];
        if outcomes {
            row.push(per_cent(figures.approved_bad_rate));
        }

        table.add_row(row);
    }

    ui.line(table.to_string());
}

fn models(ui: &Ui, report: &ComparisonReport) {
    if !has_outcomes(report) {
        return;
    }

    ui.heading("How the scores ranked who went bad");
    let mut table = terminal::table(&["Model", "Known", "Bad", "Gini", "KS"]);
    for model in &report.models {
        let of = &model.discrimination;
        let gini = match (of.gini, of.gini_interval) {
            (Some(gini), Some(at)) => format!("{gini:.3} ({:.3} to {:.3})", at.low, at.high),
            (Some(gini), None) => format!("{gini:.3}"),
            (None, _) => "-".to_owned(),
        };
        let ks = of.ks.map_or_else(|| "-".to_owned(), |ks| format!("{ks:.3}"));
        table.add_row([model.name.clone(), thousands(of.known), thousands(of.bad), gini, ks]);
    }

    ui.line(table.to_string());
    if let Some(difference) = &report.gini_difference {
        let of = difference.interval;
        ui.line(format!(
            "  The challenger's Gini is {:+.3} from the run's model ({:+.3} to {:+.3}).",
            of.value, of.low, of.high
        ));
    }
}
