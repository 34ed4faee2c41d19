//! What the evaluating step makes of a shard's file: from the scores to the decisions.
//!
//! The function calls it for a run, and `limit-increase replay` calls it again years later. It is a
//! crate apart from `limit-increase-scoring-step`, because the function links no model. What must not
//! live here: S3, SQL, events.

use limit_increase_domain::decision::{Scoring, decide, refer};
use limit_increase_domain::{Counts, Outcome, Policy};
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::evaluations::{EvaluationsWriter, Facts};
use limit_increase_handoff::scored::Scored;

/// Decides each customer of a file, in the file's order. None of the decisions is stale yet.
///
/// # Errors
/// When the file lacks a column that a decision needs, or an amount is finer than a cent.
pub fn evaluate(
    policy: &Policy,
    scored: &Scored,
) -> Result<(EvaluationsWriter, Counts), HandoffError> {
    let columns = scored.columns()?;
    let mut writer = EvaluationsWriter::default();
    if let Some(profile) = scored.profile() {
        writer.set_profile(profile.to_owned());
    }

    let mut counts = Counts::default();
    for row in 0..scored.rows() {
        let (limit, income) = (columns.limit(row), columns.income(row));
        let reasons = columns.reasons(row);
        let score = columns.score(row);
        let scoring = match score {
            Ok(score) => Scoring::Scored { score, reasons: &reasons },
            Err(reason) => Scoring::NotScored { reason },
        };

        let unreadable = columns.unreadable(row);
        let decision = match (limit, unreadable) {
            (Some(limit), None) => decide(policy, limit, income, scoring),
            (_, unreadable) => refer(unreadable.unwrap_or("the current limit is missing")),
        };
        counts.add(decision.outcome);
        let meets_minimum = score.is_ok_and(|score| score >= policy.minimum_score);
        let facts = Facts {
            current_score: columns.current_score(row),
            current_limit: limit,
            unreadable,
            annual_income: income,
            new_score: score.ok(),
            driver: columns
                .driver(row)
                .filter(|_| decision.outcome == Outcome::Declined && !meets_minimum),
        };

        writer.push(columns.ids.value(row), &facts, &decision)?;
    }

    Ok((writer, counts))
}

#[cfg(test)]
mod tests;
