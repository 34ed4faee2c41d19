//! The scores beside those of the training, and beside those of the last runs.

use limit_increase_domain::Tally;
use maud::{Markup, html};

use super::Table;
use crate::drift::share;
use crate::figure::{Caption, Tone, columns};
use crate::format::{count, per_cent};
use crate::profile::ComparedBins;
use crate::run_report::RunReport;

pub(super) fn section(report: &RunReport) -> Markup {
    let scores = report.profile.as_ref().and_then(|profile| profile.scores.as_ref());
    html! {
        section {
            h2 { "Scores" }
            @match scores {
                Some(scores) => (compared(report, scores)),
                None => p { "The model's training has counted no scores to compare with." },
            }
        }
    }
}

fn compared(report: &RunReport, scores: &ComparedBins) -> Markup {
    let past = report.past_scores();
    let labels = scores.bins.labels();
    let shares = |tally: &Tally| -> Vec<f64> {
        let total: u64 = tally.bins.iter().sum();
        tally.bins.iter().map(|part| share(*part, total)).collect()
    };
    let (own, training) = (shares(&scores.customers), shares(&scores.training));
    let before = past.as_ref().map(|past| shares(&past.customers));

    let mut table = Table::new("Customers by score").columns(&[
        ("Score", false),
        ("Customers", true),
        ("This run", true),
        ("Training", true),
        ("Last runs", true),
    ]);
    for (bin, label) in labels.iter().enumerate() {
        let last_runs = before.as_ref().map(|shares| per_cent(shares[bin]));
        let cells = [
            label.clone(),
            count(scores.customers.bins[bin]),
            per_cent(own[bin]),
            per_cent(training[bin]),
            last_runs.unwrap_or_else(|| "–".to_owned()),
        ];
        table.texts(false, cells);
    }

    table.texts(false, ["no score", &count(scores.customers.missing), "", "", ""]);

    let caption = Caption {
        id: "scores",
        title: "Scores of this run and of the training",
        description: "A group of columns for each band of scores; the table has the numbers.",
    };
    let mut series = vec![(Tone::Own, own), (Tone::Other, training)];
    series.extend(before.map(|shares| (Tone::Past, shares)));
    html! {
        p {
            "The bands hold about a tenth each of the rows on which the model was measured, which \
             it had not seen before."
            @if let Some(index) = report.drift.as_ref().and_then(|drift| drift.scores) {
                " Population stability " (index) "."
            }
        }
        p.legend {
            span { i.key.own {} "this run" }
            span { i.key.other {} "training" }
            @if past.is_some() { span { i.key.past {} "last runs" } }
        }
        div.pair { figure { (columns(&caption, &labels, &series)) } (table.markup()) }
    }
}
