//! What happened: the verdict, the facts, and the way from everybody to the decided.

use maud::{Markup, html};

use super::Table;
use crate::drift::share;
use crate::figure::{Bar, Caption, Tone, bars};
use crate::format::{count, money, per_cent};
use crate::run_report::RunReport;

pub(super) fn verdict(title: &str, report: &RunReport) -> Markup {
    let (summary, findings) = (&report.summary, report.findings());
    let counts = summary.counts;
    let mode = if summary.dry_run { " It was a dry run: nothing was written." } else { "" };
    html! {
        h1 { (title) }
        p.soft { "Run " (summary.run_id) }
        div class=(if findings.is_empty() { "verdict" } else { "verdict look" }) {
            p {
                strong { (summary.status) } ". "
                (count(summary.eligible)) " customers: " (count(counts.approved)) " approved, "
                (count(counts.declined)) " declined, " (count(counts.referred)) " referred, "
                (count(counts.stale)) " stale. Limits raised by "
                (money(summary.total_increase)) " in total." (mode)
            }
            @if findings.is_empty() {
                p { "Nothing unusual was found." }
            } @else {
                p { "To look at:" }
                ul { @for finding in &findings { li { (finding) } } }
            }
            @if report.drift_is_unknown() {
                p {
                    "Whether the customers have drifted is not known, because the model's training \
                     has counted nothing. Train the model again to know."
                }
            }
        }
    }
}

pub(super) fn facts(report: &RunReport) -> Markup {
    let (summary, opening) = (&report.summary, &report.opening);
    let started_by = match &opening.scheduled_event {
        Some(event) => format!("the schedule: {event}"),
        None => "a request".to_owned(),
    };
    let seconds = (summary.finished_at - summary.started_at).num_milliseconds() as f64 / 1000.0;
    let time = |moment: &chrono::DateTime<chrono::Utc>| moment.format("%Y-%m-%d %H:%M:%S UTC");
    let model = &summary.model;
    let rows = [
        ("Started by", started_by),
        ("Started", time(&summary.started_at).to_string()),
        ("Ended", format!("{}, after {seconds:.1} s", time(&summary.finished_at))),
        ("Shards", count(summary.shard_count.into())),
        ("Redrives", count(opening.redrives.into())),
        ("Release", summary.release.to_string()),
        ("Model", format!("s3://{}/{}", model.bucket, model.key)),
        ("SHA-256 of the model", model.sha256.clone()),
        ("SHA-256 of the policy", summary.policy_sha256.clone()),
    ];
    let mut table = Table::new("What the run was").columns(&[("Fact", false), ("Value", false)]);
    for (name, value) in rows {
        table.texts(false, [name, &value]);
    }

    html! { section.facts { h2 { "The run" } (table.markup()) } }
}

/// From everybody who was undecided to what became of the eligible.
pub(super) fn waterfall(report: &RunReport) -> Markup {
    let (summary, opening) = (&report.summary, &report.opening);
    let counts = summary.counts;
    let steps = [
        ("Undecided", opening.undecided, Tone::Other),
        ("Qualify", opening.qualifying, Tone::Other),
        ("Eligible: taken by the run", Some(summary.eligible), Tone::Own),
        ("Approved", Some(counts.approved), Tone::Own),
        ("Declined", Some(counts.declined), Tone::Own),
        ("Referred", Some(counts.referred), Tone::Own),
        ("Stale", Some(counts.stale), Tone::Own),
    ];

    let columns = [("Step", false), ("Customers", true), ("Of the eligible", true)];
    let mut table = Table::new("From the undecided to the decided").columns(&columns);
    let mut lines = Vec::new();
    for (position, (label, number, tone)) in steps.into_iter().enumerate() {
        let Some(number) = number else {
            table.texts(false, [label, "not known", ""]);
            continue;
        };

        let of_eligible = share(number, summary.eligible);
        let of_eligible = if position > 2 { per_cent(of_eligible) } else { String::new() };
        table.texts(false, [label, &count(number), &of_eligible]);
        let short = label.split(':').next().unwrap_or(label).to_owned();
        lines.push(Bar { label: short, value: number as f64, shown: count(number), tone });
    }

    let caption = Caption {
        id: "waterfall",
        title: "From the undecided to the decided",
        description: "A bar for each step; the table beside it has the numbers.",
    };
    html! {
        section {
            h2 { "Who was decided" }
            @if let Some(limit) = opening.limit {
                p {
                    "The request allows at most " (count(limit)) " customers; those with the best \
                     current scores are taken."
                }
            }
            div.pair { figure { (bars(&caption, &lines, None)) } (table.markup()) }
        }
    }
}
