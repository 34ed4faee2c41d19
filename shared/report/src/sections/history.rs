//! The last runs, in small multiples and in a table.

use maud::{Markup, html};
use rust_decimal::prelude::ToPrimitive as _;

use super::{Table, drift_cell, outcome_shares};
use crate::drift::{Index, share};
use crate::figure::{Caption, history};
use crate::format::{count, money};
use crate::run_report::{PAST_RUNS, PastRun, RunReport};

/// A number of each run, as small columns.
struct Multiple<'a> {
    id: &'a str,
    title: &'a str,
    values: Vec<Option<f64>>,
    mark: Option<f64>,
}

pub(super) fn section(report: &RunReport) -> Markup {
    let past = &report.past;
    let each = |number: fn(&PastRun) -> Option<f64>| past.iter().map(number).collect::<Vec<_>>();
    let approved = |run: &PastRun| {
        let counts = run.counts?;
        let decided = counts.total() - counts.stale;
        (decided > 0).then(|| share(counts.approved, decided))
    };
    let multiples = [
        Multiple {
            id: "past-eligible",
            title: "Eligible customers",
            values: each(|run| run.eligible.map(|count| count as f64)),
            mark: None,
        },
        Multiple {
            id: "past-approved",
            title: "Share approved",
            values: each(approved),
            mark: None,
        },
        Multiple {
            id: "past-money",
            title: "Limits raised by",
            values: each(|run| run.total_increase?.to_f64()),
            mark: None,
        },
        Multiple {
            id: "past-seconds",
            title: "Seconds",
            values: each(|run| run.seconds),
            mark: None,
        },
        Multiple {
            id: "past-scores",
            title: "Drift of the scores",
            values: each(|run| run.score_drift.map(Index::ratio)),
            mark: Some(1.0),
        },
        Multiple {
            id: "past-inputs",
            title: "Drift of the worst input",
            values: each(|run| run.worst_input.map(Index::ratio)),
            mark: Some(1.0),
        },
    ];

    html! {
        section {
            h2 { "The last runs" }
            p {
                "The last " (past.len()) " runs, at most " (PAST_RUNS) ", the oldest on the left \
                 and this one on the right. Drift is given in multiples of its limit (dashed)."
            }
            div.small {
                @for Multiple { id, title, values, mark } in multiples {
                    @let caption = Caption {
                        id, title, description: "A column for each run; the table has the numbers.",
                    };
                    figure { h3 { (title) } (history(&caption, &values, mark)) }
                }
            }
            (table(past).markup())
        }
    }
}

fn table(past: &[PastRun]) -> Table {
    let mut table = Table::new("The last runs, the newest first").columns(&[
        ("Run", false),
        ("Date", false),
        ("Status", false),
        ("Eligible", true),
        ("Approved, declined, referred", true),
        ("Raised by", true),
        ("Seconds", true),
        ("Drift of scores", true),
        ("Of worst input", true),
    ]);
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    for run in past.iter().rev() {
        let mode = if run.dry_run { " (dry run)" } else { "" };
        let cells = [
            run.run_id.to_string(),
            or_dash(run.as_of.map(|date| date.to_string())),
            format!("{}{mode}", run.status),
            or_dash(run.eligible.map(count)),
            or_dash(run.counts.map(outcome_shares)),
            or_dash(run.total_increase.map(money)),
            or_dash(run.seconds.map(|seconds| format!("{seconds:.1}"))),
            drift_cell(run.score_drift),
            drift_cell(run.worst_input),
        ];
        table.texts(false, cells);
    }

    table
}
