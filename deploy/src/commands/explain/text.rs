//! An explanation on the terminal.

use limit_increase::terminal::{diverging_bar, money, table};
use limit_increase_domain::Outcome;
use limit_increase_evidence::counterfactual::Counterfactual;
use limit_increase_evidence::explanation::{self, Explanation};

/// Characters of a bar to each side.
const BAR: usize = 16;

/// The verdict, the score as a sum, the inputs, and by what it was decided.
pub(super) fn explanation(explained: &Explanation) -> String {
    let sections = [
        Some(verdict(explained)),
        Some(waterfall(explained)),
        reasons(explained),
        Some(origin(explained)),
    ];
    sections.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

fn heading(text: &str) -> String {
    console::style(text).bold().to_string()
}

fn verdict(explained: &Explanation) -> String {
    let word = match explained.outcome {
        Outcome::Approved => "approved",
        Outcome::Declined => "declined",
        Outcome::Referred => "referred to a person",
    };
    let before = explained.current_limit.map_or_else(|| "not readable".to_owned(), money);
    let limit = match explained.new_limit {
        Some(new_limit) => format!("from {before} to {}", money(new_limit)),
        None => format!("stays {before}"),
    };
    let title = heading(&format!("Customer {} was {word}", explained.customer_id));
    let effect = explanation::effect(&explained.effect);
    format!("{title}\n  Rule    {}\n  Limit   {limit}\n  Effect  {effect}", explained.rule_text)
}

fn waterfall(explained: &Explanation) -> String {
    let mut rows = table(&["Input", "Value", "Among training rows", "Points", "took | gave"]);
    // A line between the rows would cut the picture of the bars into pieces.
    rows.load_preset(comfy_table::presets::NOTHING);
    let Some(score) = &explained.score else {
        for input in &explained.inputs {
            rows.add_row([
                input.description.clone(),
                explanation::shown(input.value.as_ref()),
                explanation::place(&input.among_training_rows),
            ]);
        }
        let why = explained.not_scored.as_deref().unwrap_or_default();
        return format!("{}\n{rows}", heading(&format!("No score: {why}")));
    };

    let steps = explained.by_points();
    let widest = steps.iter().map(|(_, points)| points.tenths().unsigned_abs()).max().unwrap_or(0);
    let plain =
        |name: &str, points: String| [name.to_owned(), String::new(), String::new(), points];
    rows.add_row(plain("Average customer", score.base.to_string()));
    for (input, points) in steps {
        rows.add_row([
            input.description.clone(),
            explanation::shown(input.value.as_ref()),
            explanation::place(&input.among_training_rows),
            format!("{points:+}"),
            diverging_bar(points.tenths(), widest, BAR),
        ]);
    }
    rows.add_row(plain("Rounding", format!("{:+}", score.rounding)));
    rows.add_row(plain("Score", score.score.to_string()));
    if let Some(points) = rows.column_mut(3) {
        points.set_cell_alignment(comfy_table::CellAlignment::Right);
    }
    let minimum = explained.run.policy.minimum_score;
    let title = format!("Score {}, the minimum is {minimum}: the points add up to it", score.score);
    format!("{}\n{rows}", heading(&title))
}

fn reasons(explained: &Explanation) -> Option<String> {
    let told = explained.reasons.iter().enumerate().map(|(number, reason)| {
        format!("  {}. {} ({:.1} points)", number + 1, reason.text, reason.points)
    });
    let lines: Vec<String> = told.collect();
    (!lines.is_empty())
        .then(|| format!("{}\n{}", heading("The reasons as they were told"), lines.join("\n")))
}

fn origin(explained: &Explanation) -> String {
    let run = &explained.run;
    format!(
        "{}\n  Run      {} of {}\n  Record   shard {}, row {}\n  Model    {}\n  Policy   {}\n  \
         Release  {}",
        heading("By what it was decided"),
        run.run_id,
        run.as_of,
        explained.shard,
        explained.row,
        run.model.sha256,
        run.policy_sha256,
        run.release
    )
}

/// What alone would have reached the minimum score.
pub(super) fn counterfactual(explained: &Explanation, found: Option<&Counterfactual>) -> String {
    let minimum = explained.run.policy.minimum_score;
    let title = heading(&format!("\nWhat alone would have reached {minimum}"));
    let Some(found) = found else {
        let why = match explained.new_score() {
            Some(score) => format!("the score of {score} reaches it as it is"),
            None => "there is no score".to_owned(),
        };
        return format!("{title}\n  Nothing to change: {why}.");
    };

    let mut lines: Vec<String> = found
        .reaching
        .iter()
        .map(|one| format!("  {}: score {}", explanation::change(one), one.score))
        .collect();
    if lines.is_empty() {
        lines.push("  No change of one input would have reached it.".to_owned());
    }
    if let Some(best) = &found.best {
        let change = explanation::change(best);
        lines.push(format!("  The most: {change}: score {}", best.score));
    }
    for kept in &found.kept {
        lines.push(format!("  Not moved: {} ({})", kept.description, kept.why));
    }
    lines.push(
        "  All other inputs as they are. This is what the model says, and no promise.".to_owned(),
    );
    format!("{title}\n{}", lines.join("\n"))
}
