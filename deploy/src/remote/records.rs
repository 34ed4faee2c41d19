//! What a run decided, as its records in S3 have it: the summary, and the files of its shards.

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use limit_increase_domain::{Counts, Outcome};
use limit_increase_handoff::results::{self, Effect};
use limit_increase_handoff::{evaluations::Evaluations, row_count};
use limit_increase_workflow::keys::Stage;
use limit_increase_workflow::{RunId, RunSummary, ShardIndex};
use rust_decimal::{Decimal, RoundingStrategy};
use serde::Serialize;

use super::Account;
use crate::aws::{Aws, storage};
use crate::runs::results::{Increase, Reason};
use crate::runs::step_counts::StepCounts;
use crate::runs::summary::{find_summary, read_summary};
use crate::terminal::Problem;

/// Shards that are read simultaneously.
const READS: usize = 4;

/// The decisions of one run.
#[derive(Debug, Clone, Serialize)]
pub struct Records {
    /// The summary of the run.
    pub summary: RunSummary,
    /// What each step did with the customers.
    pub steps: StepCounts,
    /// The largest approved increases.
    pub top_increases: Vec<Increase>,
    /// The first declines, each with its reason.
    pub declined: Vec<Reason>,
    /// The first referrals, each with its reason.
    pub referred: Vec<Reason>,
}

/// The summary of a run; `None` if it has written none.
///
/// # Errors
/// When S3 refuses, or the object is not a summary.
pub async fn summary(account: &Account, run: &str) -> Result<Option<RunSummary>> {
    find_summary(
        &account.aws,
        account.stack.output("BucketName")?,
        &RunId::try_from(run.to_owned())?,
    )
    .await
}

/// Reads the records of a run. `top` is the number of increases; the other lists have half as many.
///
/// # Errors
/// When the run has no summary, a file of a shard is missing, or the files do not add up to the
/// summary.
pub async fn read(aws: &Aws, bucket: &str, run: &RunId, top: usize) -> Result<Records> {
    let summary = read_summary(aws, bucket, run).await?;

    let mut found = Found { steps: StepCounts::of_query(&summary), ..Found::default() };
    let mut shards = stream::iter(0..summary.shard_count)
        .map(|shard| files(aws, bucket, run, ShardIndex(shard)))
        .buffered(READS);
    while let Some((evaluations, effects)) = shards.try_next().await? {
        found.add(evaluations, effects).with_context(|| format!("the records of run {run}"))?;
        found.shorten(top);
    }

    if found.counts != summary.counts {
        return Err(Problem::new(format!(
            "the records of run {run} do not add up to its summary: {:?} and {:?}",
            found.counts, summary.counts
        ))
        .at(format!("s3://{bucket}/{}", Stage::Results.prefix(run)))
        .next("keep all versions of the objects, and find out who wrote them (CloudTrail)")
        .into());
    }

    let Found { steps, increases, declined, referred, .. } = found;
    Ok(Records { summary, steps, top_increases: increases, declined, referred })
}

/// The two files of a shard: the decisions with all that they were made by, and their effects.
async fn files(aws: &Aws, bucket: &str, run: &RunId, shard: ShardIndex) -> Result<(Bytes, Bytes)> {
    let file = async |stage: Stage| {
        let key = stage.shard_key(run, shard);
        storage::get(&aws.s3, bucket, &key).await?.ok_or_else(|| {
            anyhow::Error::from(
                Problem::new(format!("a record of run {run} is missing"))
                    .at(format!("s3://{bucket}/{key}"))
                    .next("see whether RecordsRetentionDays has passed or somebody deleted it"),
            )
        })
    };
    Ok((file(Stage::Evaluations).await?, file(Stage::Results).await?))
}

/// What was found in the shards so far.
#[derive(Debug, Default)]
struct Found {
    counts: Counts,
    steps: StepCounts,
    increases: Vec<Increase>,
    declined: Vec<Reason>,
    referred: Vec<Reason>,
}

impl Found {
    fn add(&mut self, evaluations: Bytes, effects: Bytes) -> Result<()> {
        let rows = row_count(&evaluations)?;
        let evaluations = Evaluations::read(evaluations, rows)?;
        let effects = results::read(effects, rows)?;
        for (row, [id, decision, effect]) in evaluations.iter()?.zip(effects) {
            let row = row?;
            anyhow::ensure!(
                row.customer_id == id && row.outcome.as_str() == decision,
                "a decision and its effect are not of the same customer: {} and {id}",
                row.customer_id
            );
            let effect = Effect::parse(&effect)
                .with_context(|| format!("the effect of the decision on {id} is {effect:?}"))?;
            self.steps.add(&row, effect);
            if effect == Effect::Stale {
                self.counts.stale += 1;
                continue;
            }

            self.counts.add(row.outcome);
            let reason =
                |limit| Reason { customer_id: id.clone(), limit, reason: row.reason.to_owned() };
            match (row.outcome, row.current_limit.zip(row.new_limit)) {
                (Outcome::Approved, Some((old_limit, new_limit))) => {
                    self.increases.push(increase(&id, old_limit, new_limit));
                }
                (Outcome::Declined, _) => self.declined.push(reason(row.current_limit)),
                _ => self.referred.push(reason(row.current_limit)),
            }
        }

        Ok(())
    }

    /// Keeps only what is shown.
    fn shorten(&mut self, top: usize) {
        let growth = |increase: &Increase| increase.new_limit - increase.old_limit;
        self.increases.sort_by(|one, other| {
            growth(other).cmp(&growth(one)).then_with(|| one.customer_id.cmp(&other.customer_id))
        });
        self.increases.truncate(top);
        for list in [&mut self.declined, &mut self.referred] {
            list.truncate((top / 2).max(1));
        }
    }
}

fn increase(customer_id: &str, old_limit: Decimal, new_limit: Decimal) -> Increase {
    let hundred = Decimal::from(100);
    let per_cent = (new_limit - old_limit).checked_mul(hundred);
    let per_cent = per_cent.and_then(|scaled| scaled.checked_div(old_limit)).unwrap_or_default();
    // As PostgreSQL rounds, and with its one decimal.
    let mut per_cent = per_cent.round_dp_with_strategy(1, RoundingStrategy::MidpointAwayFromZero);
    per_cent.rescale(1);
    Increase { customer_id: customer_id.to_owned(), old_limit, new_limit, per_cent }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use limit_increase_domain::{CreditLimit, CreditScore, Decision};
    use limit_increase_handoff::evaluations::{EvaluationsWriter, Facts};
    use limit_increase_handoff::results::ResultsWriter;

    use super::*;

    /// The two files of a shard. Each customer has a limit of 4,000, and is approved with the new
    /// limit or declined.
    fn shard(customers: &[(&str, Option<i64>, Effect)]) -> (Bytes, Bytes) {
        let mut evaluations = EvaluationsWriter::default();
        for (id, new_limit, _) in customers {
            let facts = Facts {
                current_score: Some(640),
                current_limit: Some(Decimal::new(400_000, 2)),
                unreadable: None,
                annual_income: None,
                new_score: Some(CreditScore::new(700)),
                driver: None,
            };
            let new_limit =
                new_limit.map(|whole| CreditLimit::try_from(Decimal::new(whole * 100, 2)).unwrap());
            let outcome = new_limit.map_or(Outcome::Declined, |_| Outcome::Approved);
            let decision = Decision { outcome, new_limit, reason: "because".to_owned() };
            evaluations.push(id, &facts, &decision).unwrap();
        }

        let evaluations = evaluations.finish().unwrap();
        let rows = u32::try_from(customers.len()).unwrap();
        let read = Evaluations::read(evaluations.clone(), rows).unwrap();
        let mut results = ResultsWriter::default();
        for (row, (_, _, effect)) in read.iter().unwrap().zip(customers) {
            results.push(&row.unwrap(), *effect);
        }
        (evaluations, results.finish().unwrap())
    }

    #[test]
    fn a_stale_decision_is_counted_and_not_shown() {
        use Effect::{Stale, Written};
        let mut found = Found::default();
        let customers = [
            ("a", Some(5000), Written),
            ("b", Some(6000), Stale),
            ("c", Some(5333), Written),
            ("d", None, Written),
        ];
        let (evaluations, effects) = shard(&customers);
        found.add(evaluations, effects).unwrap();
        found.shorten(1);

        let counts = Counts { approved: 2, declined: 1, referred: 0, stale: 1 };
        assert_eq!(found.counts, counts);
        let updated = found.steps.update_database;
        assert_eq!((updated.written, updated.stale), (3, 1));
        let [largest] = &found.increases[..] else { panic!("one increase expected") };
        assert_eq!(
            (largest.customer_id.as_str(), largest.per_cent.to_string()),
            ("c", "33.3".to_owned())
        );
        assert_eq!(found.declined[0].customer_id, "d");
    }

    #[test]
    fn an_effect_of_another_customer_is_refused() {
        let (evaluations, _) = shard(&[("a", None, Effect::Written)]);
        let (_, effects) = shard(&[("z", None, Effect::Written)]);
        let error = Found::default().add(evaluations, effects).unwrap_err();
        assert!(error.to_string().contains("not of the same customer: a and z"), "{error}");
    }
}
