//! A comparison as people and programs read it.

use limit_increase_domain::Policy;
use limit_increase_workflow::RunSummary;
use rust_decimal::Decimal;
use serde::Serialize;

use super::bands::Band;
use super::swap_set::SwapFigures;
use super::tally::{Figures, Tally};
use super::{ArmModel, Comparison, Question, fit};
use crate::grid::Setting;
use crate::outcomes::ranking::{Discrimination, GiniDifference};

/// The answer to a question about a whole run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonReport {
    /// The run.
    pub run: RunFacts,
    /// What each arm decides, the first one first.
    pub arms: Vec<ArmReport>,
    /// For each arm after the first one, who comes in and who goes out.
    pub swap_sets: Vec<NamedSwapSet>,
    /// The figures of each arm by the score of its model.
    pub by_score: Vec<BandReport>,
    /// The figures of each arm by current limit.
    pub by_limit: Vec<BandReport>,
    /// The points of the grid.
    pub grid: Vec<GridPoint>,
    /// How each model ranks the customers whose outcome is known; empty without outcomes.
    pub models: Vec<ModelReport>,
    /// By how much the challenger's Gini is above that of the run's model.
    pub gini_difference: Option<GiniDifference>,
    /// What a person should know of the figures.
    pub notices: Vec<String>,
}

/// What is known of the run itself.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunFacts {
    /// Its id.
    pub run_id: String,
    /// Its business date.
    pub as_of: String,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The customers that it took.
    pub customers: u64,
    /// The SHA-256 of its model.
    pub model_sha256: String,
    /// The SHA-256 of its policy.
    pub policy_sha256: String,
    /// The release that opened it.
    pub release: String,
}

/// What one arm decides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ArmReport {
    /// Its name.
    pub name: String,
    /// Whether a challenger has scored the customers again.
    pub challenger: bool,
    /// The policy.
    pub policy: Policy,
    /// The SHA-256 of the policy.
    pub policy_sha256: String,
    /// What it decides.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Who comes in and who goes out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NamedSwapSet {
    /// The first arm.
    pub from: String,
    /// The arm that follows it.
    pub to: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: SwapFigures,
}

/// The customers of one band; `band` is `null` for those without a number.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BandReport {
    /// The band.
    pub band: Option<Band>,
    /// The figures of each arm.
    pub arms: Vec<Figures>,
}

/// One policy of a grid.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GridPoint {
    /// What differs from the policy that was varied.
    pub settings: Vec<Setting>,
    /// What the policy decides.
    #[serde(flatten)]
    pub figures: Figures,
}

/// How a model ranks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: String,
    /// How well it ranks.
    #[serde(flatten)]
    pub discrimination: Discrimination,
}

impl ComparisonReport {
    /// Reports the answer for all customers of a run. `settings` has those of each policy of the
    /// grid.
    #[must_use]
    pub fn new(
        run: &RunSummary,
        question: &Question,
        settings: Vec<Vec<Setting>>,
        comparison: &Comparison,
    ) -> Self {
        let figures = |tallies: &[Tally]| tallies.iter().map(Tally::figures).collect();
        let bands = |bands: &std::collections::BTreeMap<Option<Band>, Vec<Tally>>| {
            let band = |(band, tallies): (&Option<Band>, &Vec<Tally>)| BandReport {
                band: *band,
                arms: figures(tallies),
            };
            bands.iter().map(band).collect()
        };

        let arms = question.arms.iter().zip(&comparison.totals).map(|(arm, tally)| ArmReport {
            name: arm.name.clone(),
            challenger: arm.model == ArmModel::Challenger,
            policy: arm.policy.clone(),
            policy_sha256: arm.policy.sha256(),
            figures: tally.figures(),
        });
        let names: Vec<String> = question.arms.iter().map(|arm| arm.name.clone()).collect();
        let swap_sets =
            names.iter().skip(1).zip(&comparison.swap_sets).map(|(to, set)| NamedSwapSet {
                from: names.first().cloned().unwrap_or_default(),
                to: to.clone(),
                figures: set.figures(),
            });
        let grid = settings.into_iter().zip(&comparison.grid);

        Self {
            run: RunFacts::of(run),
            arms: arms.collect(),
            swap_sets: swap_sets.collect(),
            by_score: bands(&comparison.by_score),
            by_limit: bands(&comparison.by_limit),
            grid: grid
                .map(|(settings, tally)| GridPoint { settings, figures: tally.figures() })
                .collect(),
            models: models(question, comparison),
            gini_difference: question
                .has_challenger()
                .then(|| comparison.ranked.gini_difference(0, 1))
                .flatten(),
            notices: notices(run, question, comparison),
        }
    }
}

impl RunFacts {
    /// The facts of a closed run.
    #[must_use]
    pub fn of(run: &RunSummary) -> Self {
        Self {
            run_id: run.run_id.to_string(),
            as_of: run.as_of.to_string(),
            dry_run: run.dry_run,
            customers: run.eligible,
            model_sha256: run.model.sha256.clone(),
            policy_sha256: run.policy_sha256.clone(),
            release: run.release.to_string(),
        }
    }
}

fn models(question: &Question, comparison: &Comparison) -> Vec<ModelReport> {
    if question.outcomes.is_none() {
        return Vec::new();
    }

    let names = ["the run's model", "the challenger"];
    let models = if question.has_challenger() { 2 } else { 1 };
    names[..models]
        .iter()
        .enumerate()
        .map(|(model, name)| ModelReport {
            name: (*name).to_owned(),
            discrimination: comparison.ranked.discrimination(model),
        })
        .collect()
}

fn notices(run: &RunSummary, question: &Question, comparison: &Comparison) -> Vec<String> {
    let mut notices: Vec<String> = question
        .arms
        .iter()
        .filter_map(|arm| fit::wider_eligibility(&run.policy, &arm.name, &arm.policy))
        .collect();
    let wider = |policy: &&Policy| fit::wider_eligibility(&run.policy, "", policy).is_some();
    if question.grid.iter().any(|policy| wider(&policy)) {
        notices.push(
            "some points of the grid would also take customers whom this run did not read"
                .to_owned(),
        );
    }

    if let Some(notice) = differs_from_run(run, question, comparison) {
        notices.push(notice);
    }

    if question.outcomes.is_some() {
        let known = comparison
            .totals
            .first()
            .map_or(0, |tally| tally.approved_outcomes.known + tally.declined_outcomes.known);
        if known == 0 {
            notices.push(
                "no customer whom the first arm decides has an outcome in the file".to_owned(),
            );
        }

        notices.push(
            "outcomes are those of customers as they were treated: a raised limit may itself have \
             changed what became of a customer, so a difference of bad rates is no effect of a \
             policy"
                .to_owned(),
        );
    }

    notices
}

/// Says that the run's own policy and model give other figures than the run, which is a defect of
/// the records or of this program. Stale customers were decided and not written, so with them the
/// figures differ rightly.
fn differs_from_run(
    run: &RunSummary,
    question: &Question,
    comparison: &Comparison,
) -> Option<String> {
    let own = question.arms.iter().position(|arm| {
        arm.model == ArmModel::Stored && arm.policy.sha256() == run.policy_sha256
    })?;
    let (counts, raised): (_, Decimal) =
        (comparison.totals[own].counts, comparison.totals[own].raised);
    let same = counts == run.counts && raised == run.total_increase;
    (run.counts.stale == 0 && !same).then(|| {
        format!(
            "the run's own policy gives {counts:?} and {raised} here, but the run recorded {:?} and \
             {}: its records were changed, or an older release decided otherwise",
            run.counts, run.total_increase
        )
    })
}
