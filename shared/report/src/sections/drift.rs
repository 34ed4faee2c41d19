//! The drift of each input, with the index and what it may be without drift.

use limit_increase_domain::Tally;
use maud::{Markup, html};

use super::Table;
use crate::drift::{Drift, IMMATERIAL, InputDrift, share};
use crate::figure::{Bar, Caption, Tone, bars, columns};
use crate::format::{count, index, per_cent};
use crate::profile::{ComparedBins, Profile};
use crate::run_report::RunReport;

/// The most inputs that have a bar of their own. The table has them all.
const MAX_BARS: usize = 15;
/// The most inputs whose bins are shown.
const MAX_DETAILS: usize = 6;

pub(super) fn section(report: &RunReport) -> Markup {
    html! {
        section {
            h2 { "Drift of the inputs" }
            @match report.profile.as_ref().zip(report.drift.as_ref()) {
                Some((profile, drift)) if !drift.inputs.is_empty() => (known(profile, drift)),
                _ => p { "Not known: there is nothing to compare, or nothing to compare with." },
            }
        }
    }
}

fn known(profile: &Profile, drift: &Drift) -> Markup {
    let bar = |input: &InputDrift| Bar {
        label: input.source_column.clone(),
        value: input.csi.ratio(),
        shown: format!("{:.2}", input.csi.ratio()),
        tone: if input.csi.is_drift() { Tone::Warning } else { Tone::Own },
    };
    let lines: Vec<Bar> = drift.inputs.iter().take(MAX_BARS).map(bar).collect();
    let caption = Caption {
        id: "drift",
        title: "Drift of the inputs",
        description: "For each input the index as a multiple of its limit. A dashed line marks 1.",
    };
    let confidence = drift.inputs.first().map_or(0.0, |input| input.csi.confidence);
    html! {
        p {
            "The index compares the customers of this run with the rows that the model was trained \
             with. It depends on the number of customers, so each stands beside the value below \
             which it stays on " (format!("{:.2} %", confidence * 100.0)) " of nights without \
             drift. That value is the limit, and " (IMMATERIAL) " where it is smaller, because a \
             smaller index does not matter. Above 1 time its limit (dashed) an input has drifted."
            @if profile.without_features > 0 {
                " " (count(profile.without_features)) " customers without features are not in it."
            }
            @if profile.input_count > profile.inputs.len() as u64 {
                " The model reads " (count(profile.input_count)) " inputs; these are the "
                (profile.inputs.len()) " most important ones."
            }
        }
        div.pair { figure { (bars(&caption, &lines, Some(1.0))) } (table(drift).markup()) }
        @for (position, input) in drift.inputs.iter().take(MAX_DETAILS).enumerate() {
            @if input.csi.is_drift() {
                @let values = profile.inputs.iter().find(|one| one.source_column == input.source_column);
                @if let Some(one) = values { (details(position, &one.source_column, &one.values)) }
            }
        }
    }
}

fn table(drift: &Drift) -> Table {
    let mut table = Table::new("Drift of each input").columns(&[
        ("Input", false),
        ("Index", true),
        ("Without drift below", true),
        ("Times its limit", true),
        ("Missing", true),
        ("Missing in training", true),
        ("Unseen", true),
    ]);
    for input in &drift.inputs {
        let cells = [
            input.source_column.clone(),
            index(input.csi.value),
            index(input.csi.without_drift),
            format!("{:.2}", input.csi.ratio()),
            per_cent(input.missing[0]),
            per_cent(input.missing[1]),
            per_cent(input.unseen),
        ];
        table.texts(input.csi.is_drift(), cells);
    }

    table
}

/// The bins of an input that has drifted.
fn details(position: usize, name: &str, values: &ComparedBins) -> Markup {
    let mut labels = values.bins.labels();
    labels.extend(["other", "missing", "unseen"].map(str::to_owned));
    let counts = |tally: &Tally| tally.iter().collect::<Vec<u64>>();
    let rows: Vec<(String, u64, u64)> = labels
        .into_iter()
        .zip(counts(&values.customers).into_iter().zip(counts(&values.training)))
        .map(|(label, (own, training))| (label, own, training))
        .filter(|(_, own, training)| own + training > 0)
        .collect();

    let (all, all_training) = (values.customers.total(), values.training.total());
    let columns_of_table =
        [("Value", false), ("Customers", true), ("This run", true), ("Training", true)];
    let mut table = Table::new(&format!("Values of {name}")).columns(&columns_of_table);
    for (label, own, training) in &rows {
        let shares = [share(*own, all), share(*training, all_training)].map(per_cent);
        let [own_share, training_share] = shares;
        table.texts(false, [label.clone(), count(*own), own_share, training_share]);
    }

    let own = rows.iter().map(|row| share(row.1, all)).collect();
    let training = rows.iter().map(|row| share(row.2, all_training)).collect();
    let labels: Vec<String> = rows.into_iter().map(|row| row.0).collect();
    let caption = Caption {
        id: &format!("input-{position}"),
        title: &format!("Values of {name}"),
        description: "A group of columns for each bin: this run, and the training.",
    };
    html! {
        h3 { (name) }
        div.pair {
            figure { (columns(&caption, &labels, &[(Tone::Own, own), (Tone::Other, training)])) }
            (table.markup())
        }
    }
}
