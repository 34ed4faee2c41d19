//! A comparison in the terminal: tables, and bars of block characters.

use limit_increase::terminal::{self, Ui, bar, money, thousands};
use limit_increase_analysis::comparison::bands::Band;
use limit_increase_analysis::comparison::report::{BandReport, ComparisonReport, NamedSwapSet};
use limit_increase_analysis::comparison::swap_set::SwappedFigures;
use limit_increase_analysis::grid;
use limit_increase_analysis::words;
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
    bands(ui, "Approved by score", report, &report.by_score, words::score_band);
    bands(ui, "Approved by current limit", report, &report.by_limit, words::limit_band);
    points(ui, report);
    models(ui, report);
    for notice in &report.notices {
        ui.line(format!("  Note: {notice}."));
    }
}

fn has_outcomes(report: &ComparisonReport) -> bool {
    !report.models.is_empty()
}

fn arms(ui: &Ui, report: &ComparisonReport) {
    let outcomes = has_outcomes(report);
    let some_left_out = report.arms.iter().any(|arm| arm.figures.not_eligible > 0);
    let mut header = vec!["Policy", "Approved", "Declined", "Referred"];
    if some_left_out {
        header.push("Not eligible");
    }

    header.extend(["Limits rise by", "Mean raise"]);
    if outcomes {
        header.push("Bad of the approved");
    }

    let mut table = terminal::table(&header);
    for arm in &report.arms {
        let of = &arm.figures;
        let mut row = vec![format!("{} (cut-off {})", arm.name, arm.policy.minimum_score)];
        row.extend([of.approved, of.declined, of.referred].map(thousands));
        if some_left_out {
            row.push(thousands(of.not_eligible));
        }

        row.extend([money(of.raised), words::known_money(of.mean_raise)]);
        if outcomes {
            row.push(words::per_cent(of.approved_bad_rate));
        }

        table.add_row(row);
    }

    ui.line(table.to_string());
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
            words::signed(group.money),
            group.mean_money.map_or_else(|| "-".to_owned(), words::signed),
        ];
        if outcomes {
            row.push(words::per_cent(group.bad_rate));
        }

        table.add_row(row);
    }

    ui.line(table.to_string());
    ui.line(format!("  Nothing changes for {}.", thousands(figures.unchanged)));
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

fn bands(
    ui: &Ui,
    title: &str,
    report: &ComparisonReport,
    bands: &[BandReport],
    name: fn(Option<Band>) -> String,
) {
    let approvals = |band: &BandReport| band.arms.iter().map(|arm| arm.approved).max();
    let most = bands.iter().filter_map(approvals).max().unwrap_or(0);
    if most == 0 || report.arms.len() < 2 {
        return;
    }

    ui.heading(title);
    let names = report.arms.iter().map(|arm| arm.name.as_str());
    let header: Vec<&str> = ["Band"].into_iter().chain(names).collect();
    let mut table = terminal::table(&header);
    for of in bands.iter().filter(|of| approvals(of) > Some(0)) {
        let approved = of.arms.iter().map(|arm| {
            let bar = bar(share(arm.approved, most), BAR);
            format!("{:>9} {bar}", thousands(arm.approved))
        });
        table.add_row([name(of.band)].into_iter().chain(approved));
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
            row.push(words::per_cent(figures.approved_bad_rate));
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
        let gini = words::coefficient(of.gini, of.gini_interval);
        let ks = words::coefficient(of.ks, None);
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
