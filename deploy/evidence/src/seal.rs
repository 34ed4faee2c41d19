//! Whether the ledger is the one that was sealed: no run was changed, removed, or put in.
//!
//! Each closed run has a seal over the run that was closed before it
//! ([`limit_increase_workflow::seal`]). What is wrong is told as [`Finding`]s, each with the run that
//! it is about. Whoever can write all of the ledger and of S3 can make a whole new chain, so the
//! newest seal has to be kept elsewhere too: [`check_known`].

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use limit_increase_domain::Counts;
use limit_increase_workflow::RunStatus;
use limit_increase_workflow::seal::{Sealed, SealedShard, seal_of, shards_sha256};
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

/// A run as the ledger has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRun {
    /// The run.
    pub run_id: String,
    /// How it ended.
    pub status: RunStatus,
    /// What it was opened with.
    pub context: Value,
    /// Customers that it took.
    pub eligible: u64,
    /// What became of them.
    pub counts: Counts,
    /// Sum of the raises.
    pub total_increase: Decimal,
    /// Shards that the query wrote.
    pub shard_count: u32,
    /// When it opened.
    pub started_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: DateTime<Utc>,
    /// Its shards, in order.
    pub shards: Vec<SealedShard>,
}

/// A row of the chain as the ledger has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSeal {
    /// Its place.
    pub number: u64,
    /// The run.
    pub run_id: String,
    /// When the run opened.
    pub started_at: DateTime<Utc>,
    /// What was hashed.
    pub document: String,
    /// The hash.
    pub seal: String,
}

/// Something that is not as it was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The run that it is about; absent where nothing says which it was.
    pub run_id: Option<String>,
    /// Where: a row of the ledger, or an object.
    pub place: String,
    /// What is wrong, in words.
    pub problem: String,
}

impl Finding {
    /// A finding about a run.
    #[must_use]
    pub fn new(run: &str, place: impl Into<String>, problem: impl Into<String>) -> Self {
        let (place, problem) = (place.into(), problem.into());
        Self { run_id: Some(run.to_owned()), place, problem }
    }
}

/// What the chain of seals says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// Seals in the chain.
    pub seals: u64,
    /// The newest seal, to be kept elsewhere.
    pub newest: Option<String>,
    /// Closed runs from before the first seal, which nothing vouches for.
    pub before_the_seals: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Checks the chain from its first seal to its last one, and each run of the ledger against its seal
/// (promise 15).
#[must_use]
pub fn check_chain(seals: &[StoredSeal], runs: &[LedgerRun]) -> ChainReport {
    let mut seals: Vec<&StoredSeal> = seals.iter().collect();
    seals.sort_by_key(|seal| seal.number);
    let by_id: BTreeMap<&str, &LedgerRun> =
        runs.iter().map(|run| (run.run_id.as_str(), run)).collect();

    let mut findings = Vec::new();
    let mut before: Option<&StoredSeal> = None;
    for stored in &seals {
        check_link(before, stored, &mut findings);
        check_seal(stored, by_id.get(stored.run_id.as_str()).copied(), &mut findings);
        before = Some(stored);
    }

    let began = seals.first().and_then(|first| document(first)).map(|first| first.finished_at);
    let before_the_seals = check_unsealed(&seals, runs, began, &mut findings);
    ChainReport {
        seals: seals.len() as u64,
        newest: seals.last().map(|last| last.seal.clone()),
        before_the_seals,
        findings,
    }
}

/// Checks that a seal that somebody has kept is still in the chain.
#[must_use]
pub fn check_known(seals: &[StoredSeal], known: &str) -> Option<Finding> {
    let is_there = seals.iter().any(|stored| stored.seal == known);
    (!is_there).then(|| Finding {
        run_id: None,
        place: "limit_increase_seals".to_owned(),
        problem: format!("the seal {known} is not in the chain: the ledger was made anew"),
    })
}

fn document(stored: &StoredSeal) -> Option<Sealed> {
    serde_json::from_str(&stored.document).ok()
}

/// Checks that a seal follows the one before it.
fn check_link(before: Option<&StoredSeal>, stored: &StoredSeal, findings: &mut Vec<Finding>) {
    let place = place_of(stored);
    let expected = before.map_or(1, |before| before.number + 1);
    if stored.number != expected {
        let which = match stored.number - expected {
            1 => format!("seal {expected} is missing"),
            _ => format!("seals {expected} to {} are missing", stored.number - 1),
        };
        let problem = format!("{which} before run {}: a run was removed", stored.run_id);
        findings.push(Finding { run_id: None, place, problem });
        return;
    }

    let previous = document(stored).and_then(|sealed| sealed.previous);
    if previous.as_deref() != before.map(|before| before.seal.as_str()) {
        let problem = match before {
            Some(before) => format!(
                "is not over seal {} of run {}: one of the two was edited, or a run was put in \
                 between",
                before.number, before.run_id
            ),
            None => "is the first seal and names one before it: runs were removed".to_owned(),
        };
        findings.push(Finding::new(&stored.run_id, place, problem));
    }
}

/// Checks a seal against its document, and the document against the run's row.
fn check_seal(stored: &StoredSeal, run: Option<&LedgerRun>, findings: &mut Vec<Finding>) {
    let place = place_of(stored);
    let mut find = |place: &str, problem: String| {
        findings.push(Finding::new(&stored.run_id, place, problem));
    };
    if seal_of(&stored.document) != stored.seal {
        find(&place, "is not the hash of its document: one of the two was edited".to_owned());
    }

    let Some(sealed) = document(stored) else {
        find(&place, "its document cannot be read".to_owned());
        return;
    };
    let own = (sealed.number, sealed.run_id.as_str(), sealed.started_at);
    if own != (stored.number, stored.run_id.as_str(), stored.started_at) {
        let problem = format!("its document is of seal {}, run {}", sealed.number, sealed.run_id);
        find(&place, problem);
        return;
    }

    let row = "limit_increase_runs";
    let Some(run) = run else {
        find(row, "the run was removed from the ledger".to_owned());
        return;
    };
    for (column, sealed, now) in differing(&sealed, run) {
        find(row, format!("{column} was sealed as {sealed} and is {now}"));
    }
    if shards_sha256(&run.shards) != sealed.shards_sha256 {
        let problem = "a row of the run's shards, or of the hashes of their files, was edited, \
                       added or removed";
        find("limit_increase_shards, limit_increase_shard_files", problem.to_owned());
    }
}

/// The columns of a run's row that are not as they were sealed: name, sealed value, value now.
fn differing(sealed: &Sealed, run: &LedgerRun) -> Vec<(String, String, String)> {
    let mut columns = Vec::new();
    let mut compare = |name: &str, sealed: String, now: String| {
        if sealed != now {
            columns.push((name.to_owned(), sealed, now));
        }
    };
    let amount = |amount: Decimal| amount.normalize().to_string();
    compare("eligible", sealed.eligible.to_string(), run.eligible.to_string());
    for (name, count) in [
        ("approved", (|counts: Counts| counts.approved) as fn(Counts) -> u64),
        ("declined", |counts| counts.declined),
        ("referred", |counts| counts.referred),
        ("stale", |counts| counts.stale),
    ] {
        compare(name, count(sealed.counts).to_string(), count(run.counts).to_string());
    }
    compare("total_increase", amount(sealed.total_increase), amount(run.total_increase));
    compare("shard_count", sealed.shard_count.to_string(), run.shard_count.to_string());
    compare("started_at", sealed.started_at.to_string(), run.started_at.to_string());
    // An execution that did not learn that its run was closed fails it. A redrive closes it again,
    // as it was sealed.
    if run.status == RunStatus::Succeeded {
        compare("finished_at", sealed.finished_at.to_string(), run.finished_at.to_string());
    }
    differing_parts("context", &sealed.context, &run.context, &mut columns);
    columns
}

/// The innermost parts of a document that differ, each with its path.
fn differing_parts(
    path: &str,
    sealed: &Value,
    now: &Value,
    columns: &mut Vec<(String, String, String)>,
) {
    if let (Value::Object(sealed), Value::Object(now)) = (sealed, now) {
        let names: BTreeSet<&String> = sealed.keys().chain(now.keys()).collect();
        for name in names {
            let part = |of: &serde_json::Map<String, Value>| of.get(name).cloned();
            let (sealed, now) = (part(sealed), part(now));
            differing_parts(
                &format!("{path}.{name}"),
                &sealed.unwrap_or_default(),
                &now.unwrap_or_default(),
                columns,
            );
        }
    } else if sealed != now {
        columns.push((path.to_owned(), sealed.to_string(), now.to_string()));
    }
}

/// Closed runs without a seal: those from before the first seal are counted, the others are wrong.
fn check_unsealed(
    seals: &[&StoredSeal],
    runs: &[LedgerRun],
    began: Option<DateTime<Utc>>,
    findings: &mut Vec<Finding>,
) -> u64 {
    let sealed: BTreeSet<&str> = seals.iter().map(|seal| seal.run_id.as_str()).collect();
    let mut before = 0;
    for run in runs.iter().filter(|run| run.status == RunStatus::Succeeded) {
        if sealed.contains(run.run_id.as_str()) {
            continue;
        }
        if began.is_none_or(|began| run.finished_at < began) {
            before += 1;
            continue;
        }

        let problem = "the run is closed and has no seal: it was put in, or its seal was removed";
        findings.push(Finding::new(&run.run_id, "limit_increase_runs", problem));
    }

    before
}

fn place_of(stored: &StoredSeal) -> String {
    format!("limit_increase_seals, number {}", stored.number)
}

#[cfg(test)]
mod tests;
