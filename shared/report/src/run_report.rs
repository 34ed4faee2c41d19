//! All that the report of a run says: the content of `report.json`, and of the page.

use chrono::{DateTime, NaiveDate, Utc};
use limit_increase_domain::Counts;
use limit_increase_workflow::{RunId, RunStatus, RunSummary};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::drift::{Drift, Index};
use crate::profile::{ComparedBins, Profile};

/// How many runs the report looks back on, with the run itself.
pub const PAST_RUNS: usize = 30;

/// A closed run, with what it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// What the run was opened with, and what became of its customers.
    pub summary: RunSummary,
    /// How it came to be.
    pub opening: Opening,
    /// What was counted of its customers; `None` when a shard has no counts.
    pub profile: Option<Profile>,
    /// How far its customers are from the training rows; `None` when that is not known.
    pub drift: Option<Drift>,
    /// The last runs, the oldest first. The last of them is the run itself.
    pub past: Vec<PastRun>,
}

/// How a run came to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The scheduled event that started the run; `None` when a person or a program did.
    pub scheduled_event: Option<String>,
    /// The most customers that the request allows.
    pub limit: Option<u64>,
    /// Customers without a decision at the time of the query; `None` for a run of an older release.
    pub undecided: Option<u64>,
    /// Those of them whom the policy lets in.
    pub qualifying: Option<u64>,
    /// How often the execution was redriven.
    pub redrives: u32,
}

/// A run of the ledger, in the numbers that runs are compared by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PastRun {
    /// The run.
    pub run_id: RunId,
    /// How it ended, or that it goes on.
    pub status: RunStatus,
    /// Its business date, if it was opened.
    pub as_of: Option<NaiveDate>,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// When it was opened.
    pub started_at: DateTime<Utc>,
    /// From its opening to its end, in seconds.
    pub seconds: Option<f64>,
    /// Customers that it took.
    pub eligible: Option<u64>,
    /// What became of them; `None` unless it succeeded.
    pub counts: Option<Counts>,
    /// Sum of (new limit - old limit).
    pub total_increase: Option<Decimal>,
    /// The drift of its scores.
    pub score_drift: Option<Index>,
    /// The drift of the input that has drifted most.
    pub worst_input: Option<Index>,
    /// Its scores, in the bins of its model.
    pub scores: Option<ComparedBins>,
}

/// The drift of a run, in the few numbers that later runs look back on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftSummary {
    /// The drift of the scores.
    pub scores: Option<Index>,
    /// The drift of the input that has drifted most.
    pub worst_input: Option<Index>,
}

impl DriftSummary {
    /// The summary of a run's drift.
    #[must_use]
    pub fn of(drift: &Drift) -> Self {
        Self { scores: drift.scores, worst_input: drift.worst().map(|input| input.csi) }
    }
}

impl RunReport {
    /// The scores of the live runs before this one that were scored in the same bins, added up; `None`
    /// when there is no such run.
    #[must_use]
    pub fn past_scores(&self) -> Option<ComparedBins> {
        let own = self.profile.as_ref()?.scores.as_ref()?;
        let is_other = |run: &&PastRun| !run.dry_run && run.run_id != self.summary.run_id;
        let others = self.past.iter().filter(is_other);
        let same =
            |scores: &&ComparedBins| scores.bins == own.bins && scores.training == own.training;
        others.filter_map(|run| run.scores.as_ref()).filter(same).cloned().reduce(
            |mut sum, scores| {
                sum.customers.add(&scores.customers);
                sum
            },
        )
    }

    /// Whether there were customers, and nothing of the training to compare them with.
    #[must_use]
    pub const fn drift_is_unknown(&self) -> bool {
        self.summary.eligible > 0 && self.drift.is_none()
    }

    /// What a person should look at, each as a sentence. Nothing for a run as any other.
    #[must_use]
    pub fn findings(&self) -> Vec<String> {
        let counts = self.summary.counts;
        let mut findings = Vec::new();
        if self.summary.eligible == 0 {
            findings.push("Nobody was eligible.".to_owned());
        }

        if let Some(drift) = &self.drift {
            if let Some(index) = drift.scores.filter(|index| index.is_drift()) {
                findings
                    .push(format!("The scores have drifted from those of the training: {index}."));
            }

            let drifted: Vec<_> = drift.inputs.iter().filter(|one| one.csi.is_drift()).collect();
            if let Some(worst) = drifted.first() {
                findings.push(format!(
                    "{} of {} inputs have drifted from the training rows, most of all {}: {}.",
                    drifted.len(),
                    drift.inputs.len(),
                    worst.source_column,
                    worst.csi
                ));
            }

            if let Some(unseen) = drift.inputs.iter().find(|input| input.unseen > 0.0) {
                findings.push(format!(
                    "The model cannot read some values, for example of {}; their customers are \
                     referred.",
                    unseen.source_column
                ));
            }
        }

        if counts.stale > 0 {
            findings.push(format!(
                "{} customers changed during the run and were left as they are.",
                crate::format::count(counts.stale)
            ));
        }

        findings
    }
}
