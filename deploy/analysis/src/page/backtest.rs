//! The page of a backtest.

use maud::{Markup, html};

use super::{chart, count, table, text};
use crate::outcomes::backtest::{BacktestReport, Vintage};
use crate::words;

pub(super) fn content(title: &str, report: &BacktestReport) -> Markup {
    let of = &report.discrimination;
    html! {
        h1 { (title) }
        p.soft {
            (words::thousands(of.known)) " customers with a stored score and a known outcome, of "
            (words::thousands(report.outcomes)) " in the file; " (words::thousands(of.bad))
            " went bad. Runs: " (report.runs.join(", ")) "."
        }
        p { "Gini " (words::coefficient(of.gini, of.gini_interval)) ", interval of 95 % by DeLong" }
        p { "KS " (words::coefficient(of.ks, None)) }
        p { "Brier score " (words::coefficient(report.brier_score, None)) }
        h2 { "Predicted and observed" }
        (chart::calibration(&report.calibration))
        (calibration(report))
        h2 { "By score" }
        (by_score(report))
        h2 { "Vintages" }
        (vintages(&report.vintages))
        p.soft {
            "A raised limit may itself have changed what became of a customer, so the bad rates of \
             the approved and the declined are no effect of the policy."
        }
    }
}

fn share(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

fn calibration(report: &BacktestReport) -> Markup {
    let columns = [
        ("Band", false),
        ("Customers", true),
        ("Bad", true),
        ("Predicted", true),
        ("Observed", true),
    ];
    let rows = report.calibration.iter().enumerate().map(|(position, band)| {
        vec![
            text((position + 1).to_string()),
            count(band.known),
            count(band.bad),
            text(share(band.predicted)),
            text(words::per_cent(Some(band.observed))),
        ]
    });
    table("Ten bands of equal size, with Wilson intervals of 95 %", &columns, rows)
}

fn by_score(report: &BacktestReport) -> Markup {
    let columns = [("Score", false), ("Customers", true), ("Predicted", true), ("Observed", true)];
    let rows = report.by_score.iter().map(|band| {
        vec![
            text(words::score_band(Some(band.band))),
            count(band.known),
            text(share(band.predicted)),
            text(words::per_cent(band.bad_rate)),
        ]
    });
    table("Bad rates by score", &columns, rows)
}

fn vintages(vintages: &[Vintage]) -> Markup {
    let columns = [
        ("Month of the run", false),
        ("Customers", true),
        ("Predicted", true),
        ("Observed", true),
        ("Bad of the approved", true),
        ("Bad of the declined", true),
        ("Gini", true),
        ("KS", true),
    ];
    let rows = vintages.iter().map(|of| {
        let ranked = &of.discrimination;
        vec![
            text(&of.month),
            count(ranked.known),
            text(share(of.predicted)),
            text(words::per_cent(of.bad_rate)),
            text(words::per_cent(of.approved_bad_rate)),
            text(words::per_cent(of.declined_bad_rate)),
            text(words::coefficient(ranked.gini, ranked.gini_interval)),
            text(words::coefficient(ranked.ks, None)),
        ]
    });
    table("By month of the run's business date", &columns, rows)
}
