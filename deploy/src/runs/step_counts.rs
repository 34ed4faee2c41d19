//! What each step of a run did with the customers, counted from the run's records.

use limit_increase_domain::Outcome;
use limit_increase_handoff::results::Effect;
use limit_increase_workflow::RunSummary;
use limit_increase_workflow::rows::Evaluation;
use serde::Serialize;

use crate::terminal::thousands;

/// The customers of a run, counted by what each step did with them. Each step counts all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StepCounts {
    /// What the query took.
    pub query_batch_scores: Queried,
    /// What the model could score.
    pub score_customers: Scored,
    /// What the policy decided, before the decisions met the database.
    pub evaluate_limit_increase: Evaluated,
    /// What became of the decisions.
    pub update_database: Updated,
}

/// What the query took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Queried {
    /// Customers who are eligible and undecided, at most as many as the run asked for.
    pub customers: u64,
    /// Shards that they were written to.
    pub shards: u32,
}

/// The customers by whether they have a new score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Scored {
    /// They have one.
    pub scored: u64,
    /// They have none, and a person has to decide.
    pub referred: u64,
}

/// The customers by the outcome of the policy, including those who became stale later.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Evaluated {
    /// The limit is to be raised.
    pub approved: u64,
    /// The limit is kept.
    pub declined: u64,
    /// A person has to decide.
    pub referred: u64,
}

/// The decisions by what became of them when they met the database.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Updated {
    /// Written to `batch_scores`.
    pub written: u64,
    /// Not written: the customer has changed since the query.
    pub stale: u64,
    /// Not written: the run is a dry run.
    pub dry_run: u64,
}

impl StepCounts {
    /// The counts of a run of which no record has been read yet.
    #[must_use]
    pub fn of_query(summary: &RunSummary) -> Self {
        let queried = Queried { customers: summary.eligible, shards: summary.shard_count };
        Self { query_batch_scores: queried, ..Self::default() }
    }

    /// Counts the decision on one customer, and its effect.
    pub fn add(&mut self, evaluation: &Evaluation<'_>, effect: Effect) {
        match evaluation.new_score {
            Some(_) => self.score_customers.scored += 1,
            None => self.score_customers.referred += 1,
        }

        let evaluated = &mut self.evaluate_limit_increase;
        match evaluation.outcome {
            Outcome::Approved => evaluated.approved += 1,
            Outcome::Declined => evaluated.declined += 1,
            Outcome::Referred => evaluated.referred += 1,
        }

        let updated = &mut self.update_database;
        match effect {
            Effect::Written => updated.written += 1,
            Effect::Stale => updated.stale += 1,
            Effect::DryRun => updated.dry_run += 1,
        }
    }

    /// A line for each step: its name, and what it counted.
    #[must_use]
    pub fn lines(&self) -> [String; 4] {
        let Queried { customers, shards } = self.query_batch_scores;
        let Scored { scored, referred } = self.score_customers;
        let evaluated = self.evaluate_limit_increase;
        let Updated { written, stale, dry_run } = self.update_database;

        let noun = if shards == 1 { "shard" } else { "shards" };
        let mut effects = format!("{} written", thousands(written));
        if dry_run > 0 {
            effects = format!("{} left as they are (dry run)", thousands(dry_run));
        }

        [
            (
                "QueryBatchScores",
                format!(
                    "{} customers in {} {noun}",
                    thousands(customers),
                    thousands(shards.into())
                ),
            ),
            (
                "ScoreCustomers",
                format!("{} scored, {} referred", thousands(scored), thousands(referred)),
            ),
            (
                "EvaluateLimitIncrease",
                format!(
                    "{} approved, {} declined, {} referred",
                    thousands(evaluated.approved),
                    thousands(evaluated.declined),
                    thousands(evaluated.referred)
                ),
            ),
            ("UpdateDatabase", format!("{effects}, {} stale", thousands(stale))),
        ]
        .map(|(step, counts)| format!("{step:<24} {counts}"))
    }
}

#[cfg(test)]
mod tests {
    use limit_increase_domain::CreditScore;

    use super::*;

    fn evaluation(outcome: Outcome, scored: bool) -> Evaluation<'static> {
        Evaluation {
            driver: None,
            customer_id: "a",
            current_score: None,
            current_limit: None,
            unreadable: None,
            annual_income: None,
            new_score: scored.then(|| CreditScore::new(700)),
            outcome,
            new_limit: None,
            reason: "because",
        }
    }

    #[test]
    fn every_step_counts_every_customer() {
        let queried = Queried { customers: 1_004, shards: 2 };
        let mut counts = StepCounts { query_batch_scores: queried, ..StepCounts::default() };
        counts.add(&evaluation(Outcome::Approved, true), Effect::Written);
        counts.add(&evaluation(Outcome::Approved, true), Effect::Stale);
        counts.add(&evaluation(Outcome::Declined, true), Effect::Written);
        counts.add(&evaluation(Outcome::Referred, false), Effect::Written);

        let expected = [
            "QueryBatchScores         1,004 customers in 2 shards",
            "ScoreCustomers           3 scored, 1 referred",
            "EvaluateLimitIncrease    2 approved, 1 declined, 1 referred",
            "UpdateDatabase           3 written, 1 stale",
        ];
        assert_eq!(counts.lines(), expected);
    }

    #[test]
    fn a_dry_run_writes_nothing_and_says_so() {
        let mut counts = StepCounts::default();
        counts.add(&evaluation(Outcome::Approved, true), Effect::DryRun);
        let [.., update] = counts.lines();
        assert_eq!(update, "UpdateDatabase           1 left as they are (dry run), 0 stale");
    }
}
