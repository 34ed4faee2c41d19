//! The explanation as one HTML page: no script, no request, light and dark, A4.

use limit_increase_domain::Outcome;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words::{change, effect, place, shown};
use super::{Explanation, Input, Points};
use crate::counterfactual::Counterfactual;

const STYLE: &str = "
:root { color-scheme: light dark; --text: #1b1f24; --muted: #57606a; --line: #d0d7de;
  --back: #fff; --gave: #1a7f37; --took: #cf222e; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --muted: #9aa4af; --line: #30363d;
  --back: #0d1117; --gave: #3fb950; --took: #ff7b72; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } caption { text-align: left; color: var(--muted); }
th, td { text-align: left; padding: .3rem .6rem .3rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.bar { min-width: 8rem; width: 30%; } .gave { fill: var(--gave); } .took { fill: var(--took); }
.axis { stroke: var(--muted); } td code { overflow-wrap: anywhere; }
th code { white-space: nowrap; font-size: .85em; } .wide { overflow-x: auto; }
.muted { color: var(--muted); }
@page { size: A4; margin: 15mm; } @media print { body { margin: 0; max-width: none; } }
";

/// The page. It names the customer and shows the customer's values, so it is for whoever may see
/// them.
#[must_use]
pub fn page(explanation: &Explanation, counterfactual: Option<&Counterfactual>) -> String {
    let title = format!("{} in run {}", explanation.customer_id, explanation.run.run_id);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (verdict(explanation)) }
                    (facts(explanation))
                    (waterfall(explanation))
                    (inputs(explanation))
                    (reasons(explanation))
                    @if let Some(counterfactual) = counterfactual { (alternatives(counterfactual)) }
                    (origin(explanation))
                }
            }
        }
    }
    .into_string()
}

fn verdict(explanation: &Explanation) -> String {
    let word = match explanation.outcome {
        Outcome::Approved => "approved",
        Outcome::Declined => "declined",
        Outcome::Referred => "referred to a person",
    };
    format!("Customer {} was {word}", explanation.customer_id)
}

fn facts(explanation: &Explanation) -> Markup {
    let limit = |limit: Option<rust_decimal::Decimal>| {
        limit.map_or_else(|| "not readable".to_owned(), |limit| format!("{limit:.2}"))
    };
    let minimum = explanation.run.policy.minimum_score;
    html! {
        table {
            caption { "The decision" }
            tbody {
                tr { th scope="row" { "Rule" } td { (explanation.rule_text) } }
                @if let Some(score) = explanation.new_score() {
                    tr { th scope="row" { "Score" } td { (score) ", the minimum is " (minimum) } }
                }
                tr { th scope="row" { "Limit before" } td { (limit(explanation.current_limit)) } }
                @if let Some(new_limit) = explanation.new_limit {
                    tr { th scope="row" { "New limit" } td { (format!("{new_limit:.2}")) } }
                }
                tr { th scope="row" { "Effect" } td { (effect(&explanation.effect)) } }
                tr { th scope="row" { "Stored reason" } td { (explanation.decision_reason) } }
            }
        }
    }
}

fn waterfall(explanation: &Explanation) -> Markup {
    let Some(score) = &explanation.score else {
        return html! {
            h2 { "No score" }
            p { (explanation.not_scored.as_deref().unwrap_or_default()) "." }
        };
    };

    let steps = explanation.by_points();
    let widest = steps.iter().map(|(_, points)| points.tenths().abs()).max().unwrap_or(1).max(1);
    html! {
        h2 { "The score, from the average customer to this one" }
        // A wide table scrolls by itself, also with the keyboard.
        div class="wide" role="region" aria-label="The points of the inputs" tabindex="0" {
            table {
                caption { "Points that each input gave or took. The column adds up to the score." }
                thead {
                    tr {
                        th scope="col" { "Input" }
                        th scope="col" { "Value" }
                        th scope="col" class="number" { "Points" }
                        th scope="col" { "" span class="muted" { "took | gave" } }
                    }
                }
                tbody {
                    tr {
                        th scope="row" { "Average customer of the training rows" }
                        td { "" }
                        td class="number" { (score.base) }
                        td { "" }
                    }
                    @for (input, points) in &steps {
                        tr {
                            th scope="row" { (input.description) }
                            td { (shown(input.value.as_ref())) }
                            td class="number" { (format!("{points:+}")) }
                            td class="bar" { (bar(*points, widest)) }
                        }
                    }
                    tr {
                        th scope="row" { "Rounding" }
                        td { "" }
                        td class="number" { (format!("{:+}", score.rounding)) }
                        td { "" }
                    }
                    tr {
                        th scope="row" { "Score" }
                        td { "" }
                        td class="number" { strong { (score.score) } }
                        td { "" }
                    }
                }
            }
        }
    }
}

/// A bar to the left for points that were taken, to the right for points that were given.
fn bar(points: Points, widest: i64) -> Markup {
    let width = points.tenths().abs() * 100 / widest;
    let (x, class) = if points.tenths() < 0 { (100 - width, "took") } else { (100, "gave") };
    html! {
        svg viewBox="0 0 200 12" width="100%" height="12" preserveAspectRatio="none"
            aria-hidden="true" {
            rect class=(class) x=(x) y="1" width=(width) height="10" {}
            line class="axis" x1="100" y1="0" x2="100" y2="12" {}
        }
    }
}

fn inputs(explanation: &Explanation) -> Markup {
    let row = |input: &Input| {
        html! {
            tr {
                th scope="row" { code { (input.column) } }
                td { (input.description) }
                td { (shown(input.value.as_ref())) }
                td { (place(&input.among_training_rows)) }
            }
        }
    };
    html! {
        h2 { "What the model read" }
        div class="wide" role="region" aria-label="The inputs" tabindex="0" {
            table {
                caption { "Each input as it was stored at the time of the query" }
                thead {
                    tr {
                        th scope="col" { "Column" }
                        th scope="col" { "Meaning" }
                        th scope="col" { "Value" }
                        th scope="col" { "Among the training rows" }
                    }
                }
                tbody { @for input in &explanation.inputs { (row(input)) } }
            }
        }
    }
}

fn reasons(explanation: &Explanation) -> Markup {
    html! {
        @if !explanation.reasons.is_empty() {
            h2 { "The reasons as they were told" }
            ol {
                @for reason in &explanation.reasons {
                    li { (reason.text) span class="muted" { " (" (format!("{:.1}", reason.points)) " points)" } }
                }
            }
        }
    }
}

fn alternatives(counterfactual: &Counterfactual) -> Markup {
    let Counterfactual { cut_off, reaching, best, kept, .. } = counterfactual;
    html! {
        h2 { "What alone would have reached " (cut_off) }
        @if reaching.is_empty() {
            p {
                "No change of one input would have reached it."
                @if let Some(best) = best {
                    " The most: " (change(best)) ", with a score of " (best.score) "."
                }
            }
        } @else {
            ul { @for one in reaching { li { (change(one)) ": score " (one.score) } } }
        }
        @if !kept.is_empty() {
            p class="muted" { "Not moved:" }
            ul class="muted" { @for one in kept { li { (one.description) ": " (one.why) } } }
        }
    }
}

fn origin(explanation: &Explanation) -> Markup {
    let run = &explanation.run;
    let record = format!("shard {}, row {}", explanation.shard, explanation.row);
    html! {
        h2 { "By what it was decided" }
        table {
            caption { "The run, and the hashes of all that it decided by" }
            tbody {
                tr { th scope="row" { "Run" } td { code { (run.run_id) } " of " (run.as_of) } }
                tr { th scope="row" { "Record" } td { (record) } }
                tr { th scope="row" { "Model, SHA-256" } td { code { (run.model.sha256) } } }
                tr { th scope="row" { "Policy, SHA-256" } td { code { (run.policy_sha256) } } }
                tr { th scope="row" { "Release" } td { code { (run.release) } } }
            }
        }
    }
}
