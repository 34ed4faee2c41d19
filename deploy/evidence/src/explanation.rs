//! One customer's decision: the score as points that add up, the rule, the reasons, and by which
//! model, policy and release.

mod page;
mod place;
mod points;
mod rule_text;
mod words;

use chrono::NaiveDate;
use limit_increase_artifact::Manifest;
use limit_increase_domain::decision::AppliedRule;
use limit_increase_domain::{CreditScore, Outcome, Policy, applied_rule};
use limit_increase_handoff::HandoffError;
use limit_increase_handoff::customers::{Customers, FeatureArray};
use limit_increase_handoff::scored::Scored;
use limit_increase_scoring::Scorecard;
use limit_increase_workflow::rows::Evaluation;
use limit_increase_workflow::{ModelPin, Release, RunContext, RunId, RunSummary, ShardIndex};
use rust_decimal::Decimal;
use serde::Serialize;

pub use self::page::page;
pub use self::place::Place;
use self::place::place_of;
pub use self::points::{Points, Waterfall};
pub use self::rule_text::rule_text;
pub use self::words::{change, effect, place, shown};

/// What is fixed about a run, as an explanation tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// The run.
    pub run_id: RunId,
    /// Its business date.
    pub as_of: NaiveDate,
    /// Whether the table was left as it was.
    pub dry_run: bool,
    /// The model.
    pub model: ModelPin,
    /// The policy.
    pub policy: Policy,
    /// SHA-256 of the policy.
    pub policy_sha256: String,
    /// The release that opened the run.
    pub release: Release,
}

impl From<RunContext> for RunFacts {
    fn from(run: RunContext) -> Self {
        let RunContext { run_id, as_of, dry_run, model, policy, policy_sha256, release, .. } = run;
        Self { run_id, as_of, dry_run, model, policy, policy_sha256, release }
    }
}

impl From<RunSummary> for RunFacts {
    fn from(run: RunSummary) -> Self {
        let RunSummary { run_id, as_of, dry_run, model, policy, policy_sha256, release, .. } = run;
        Self { run_id, as_of, dry_run, model, policy, policy_sha256, release }
    }
}

/// The files of a shard in which the customer is, and where.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The shard.
    pub shard: ShardIndex,
    /// The customer's row, from 0. It is the same in each file.
    pub row: usize,
    /// The inputs.
    pub customers: &'a Customers,
    /// The scores, with the columns of the explanation.
    pub scored: &'a Scored,
    /// The customer's decision.
    pub evaluation: &'a Evaluation<'a>,
    /// What became of the decision when it met the database, as the record has it.
    pub effect: &'a str,
}

/// The decision on one customer, explained.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The customer.
    pub customer_id: String,
    /// The run that decided.
    pub run: RunFacts,
    /// The shard of the customer's record, from 0.
    pub shard: ShardIndex,
    /// The row of the customer's record, from 0.
    pub row: usize,
    /// How the case ended.
    pub outcome: Outcome,
    /// What became of the decision: `WRITTEN`, `STALE` or `DRY_RUN`.
    pub effect: String,
    /// The score before the run, in points.
    pub current_score: Option<i32>,
    /// The limit before the run.
    pub current_limit: Option<Decimal>,
    /// The raised limit of an approval.
    pub new_limit: Option<Decimal>,
    /// The rule that decided.
    pub rule: AppliedRule,
    /// The same in words.
    pub rule_text: String,
    /// The new score as a sum of points; absent where the model referred the customer.
    pub score: Option<Waterfall>,
    /// Why there is no score.
    pub not_scored: Option<String>,
    /// What the model read of the customer, in its order.
    pub inputs: Vec<Input>,
    /// The sentence that is stored with the decision.
    pub decision_reason: String,
    /// The reasons as they were told, the worst first, with the points that each took.
    pub reasons: Vec<ToldReason>,
}

/// One input of the model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Input {
    /// The source column.
    pub column: String,
    /// Its name in plain words.
    pub description: String,
    /// The customer's value; absent where it is missing.
    pub value: Option<InputValue>,
    /// What is known of the training rows' values beside it.
    pub among_training_rows: Place,
    /// The points that it gave or took; absent without a score.
    pub points: Option<Points>,
    /// Its SHAP value in log-odds of bad; absent without a score.
    pub shap_value: Option<f64>,
}

/// A value of an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum InputValue {
    /// A number.
    Number(f64),
    /// A category.
    Category(String),
}

/// A reason as it was told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToldReason {
    /// The sentence.
    pub text: String,
    /// The points that the input took, as the record has them.
    pub points: f64,
}

/// Explains the decision on a customer. `manifest` is that of the run's model.
///
/// # Errors
/// When a file lacks a column that the model's manifest asks for.
pub fn explain(
    run: RunFacts,
    record: &Record<'_>,
    manifest: &Manifest,
) -> Result<Explanation, HandoffError> {
    let Record { shard, row, customers, scored, evaluation, effect } = *record;
    let decisive = scored.columns()?;
    let not_scored = decisive.score(row).err().map(str::to_owned);
    let shap_values = match &not_scored {
        None => Some(shap_values(scored, manifest, row)?),
        Some(_) => None,
    };

    let score = match &shap_values {
        Some(shap_values) => {
            let base_value = scored.numbers("base_value")?.value(row);
            let card = Scorecard::new(manifest.scorecard);
            let score = evaluation.new_score.unwrap_or_else(|| card.score(base_value));
            Some(Waterfall::new(&card, base_value, shap_values, score))
        }
        None => None,
    };

    let points = |source: usize| score.as_ref().map(|waterfall| waterfall.steps[source]);
    let groups = manifest.columns.chunk_by(|one, other| one.source_column == other.source_column);
    let inputs = manifest
        .inputs_with_categories()
        .into_iter()
        .zip(groups)
        .enumerate()
        .map(|(source, ((input, categories), columns))| {
            let value = input_value(customers.feature(&input.column)?, row);
            let training = manifest.distribution(&input.column.name);
            Ok(Input {
                among_training_rows: place_of(
                    value.as_ref(),
                    columns,
                    categories.as_ref(),
                    training,
                ),
                value,
                points: points(source),
                shap_value: shap_values.as_ref().map(|values| values[source]),
                column: input.column.name,
                description: input.description,
            })
        })
        .collect::<Result<_, HandoffError>>()?;

    let readable_limit = evaluation.current_limit.filter(|_| evaluation.unreadable.is_none());
    let rule =
        applied_rule(&run.policy, readable_limit, evaluation.annual_income, evaluation.new_score);
    Ok(Explanation {
        customer_id: evaluation.customer_id.to_owned(),
        shard,
        row,
        outcome: evaluation.outcome,
        effect: effect.to_owned(),
        current_score: evaluation.current_score,
        current_limit: evaluation.current_limit,
        new_limit: evaluation.new_limit,
        rule_text: rule_text(&run.policy, &rule, evaluation),
        rule,
        score,
        not_scored,
        inputs,
        decision_reason: evaluation.reason.to_owned(),
        reasons: told_reasons(scored, &decisive.reasons(row), row)?,
        run,
    })
}

fn shap_values(scored: &Scored, manifest: &Manifest, row: usize) -> Result<Vec<f64>, HandoffError> {
    let value = |column: &limit_increase_domain::SourceColumn| {
        let values = scored.numbers(&format!("shap_{}", column.name))?;
        Ok(values.value(row))
    };
    manifest.source_columns().iter().map(value).collect()
}

fn told_reasons(
    scored: &Scored,
    texts: &[&str],
    row: usize,
) -> Result<Vec<ToldReason>, HandoffError> {
    let reason = |(position, text): (usize, &&str)| {
        let points = scored.numbers(&format!("reason_{}_points", position + 1))?.value(row);
        Ok(ToldReason { text: (*text).to_owned(), points })
    };
    texts.iter().enumerate().map(reason).collect()
}

fn input_value(array: FeatureArray<'_>, row: usize) -> Option<InputValue> {
    match array {
        FeatureArray::Numbers(array) => {
            let value = array.iter().nth(row).flatten().filter(|value| !value.is_nan());
            value.map(InputValue::Number)
        }
        FeatureArray::Texts(array) => {
            let value = array.iter().nth(row).flatten().filter(|value| !value.is_empty());
            value.map(|text| InputValue::Category(text.to_owned()))
        }
    }
}

impl Explanation {
    /// The score, if there is one.
    #[must_use]
    pub fn new_score(&self) -> Option<CreditScore> {
        self.score.as_ref().map(|waterfall| waterfall.score)
    }

    /// The inputs that gave or took points, those with the most first. Of two that are equal, the
    /// earlier one comes first.
    #[must_use]
    pub fn by_points(&self) -> Vec<(&Input, Points)> {
        let mut inputs: Vec<(&Input, Points)> =
            self.inputs.iter().filter_map(|input| Some((input, input.points?))).collect();
        inputs.sort_by_key(|(_, points)| std::cmp::Reverse(points.tenths().abs()));
        inputs
    }
}

#[cfg(test)]
mod tests;
