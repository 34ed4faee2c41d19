#![allow(clippy::unwrap_used)]
use chrono::Duration;
use limit_increase_workflow::RunId;
use serde_json::json;

use super::*;

fn shard(index: u32) -> SealedShard {
    SealedShard {
        index,
        rows: 10,
        counts: Counts { approved: 4, declined: 3, referred: 2, stale: 1 },
        total_increase: Decimal::new(125_000, 2),
        evaluations_sha256: Some("e".repeat(64)),
        results_sha256: Some("f".repeat(64)),
    }
}

fn run(number: u64) -> LedgerRun {
    let started_at: DateTime<Utc> = "2026-11-24T02:00:07Z".parse().unwrap();
    let started_at = started_at + Duration::days(number as i64);
    LedgerRun {
        run_id: format!("night-{number}"),
        status: RunStatus::Succeeded,
        context: json!({"policy": {"minimum_score": 650}, "model": {"sha256": "aa"}}),
        eligible: 20,
        counts: Counts { approved: 8, declined: 6, referred: 4, stale: 2 },
        total_increase: Decimal::new(250_000, 2),
        shard_count: 2,
        started_at,
        finished_at: started_at + Duration::seconds(3),
        shards: vec![shard(0), shard(1)],
    }
}

fn seal(number: u64, previous: Option<&StoredSeal>, run: &LedgerRun) -> StoredSeal {
    let sealed = Sealed {
        version: 1,
        number,
        previous: previous.map(|previous| previous.seal.clone()),
        run_id: RunId::try_from(run.run_id.clone()).unwrap(),
        context: run.context.clone(),
        eligible: run.eligible,
        counts: run.counts,
        total_increase: run.total_increase,
        shard_count: run.shard_count,
        started_at: run.started_at,
        finished_at: run.finished_at,
        shards_sha256: shards_sha256(&run.shards),
        objects: BTreeMap::new(),
    };
    let document = serde_json::to_string(&sealed).unwrap();
    StoredSeal {
        number,
        run_id: run.run_id.clone(),
        started_at: run.started_at,
        seal: seal_of(&document),
        document,
    }
}

/// A ledger of these runs, each sealed over the one before.
fn chain(runs: &[LedgerRun]) -> Vec<StoredSeal> {
    let mut seals: Vec<StoredSeal> = Vec::new();
    for (at, run) in runs.iter().enumerate() {
        let next = seal(at as u64 + 1, seals.last(), run);
        seals.push(next);
    }
    seals
}

fn nights() -> (Vec<LedgerRun>, Vec<StoredSeal>) {
    let runs: Vec<LedgerRun> = (1..=5).map(run).collect();
    let seals = chain(&runs);
    (runs, seals)
}

#[test]
fn an_untouched_ledger_has_no_finding() {
    let (runs, seals) = nights();
    let report = check_chain(&seals, &runs);
    assert_eq!(report.findings, []);
    assert_eq!((report.seals, report.newest.as_deref()), (5, Some(seals[4].seal.as_str())));
    assert_eq!(check_known(&seals, &seals[2].seal), None);
    assert_eq!(check_chain(&[], &[]), ChainReport::default());
}

/// Each tampering is told with the run that it is about, and with what was changed.
#[test]
fn every_tampering_is_named() {
    type Tamper = fn(&mut Vec<LedgerRun>, &mut Vec<StoredSeal>);
    let cases: [(&str, Tamper, Option<&str>, &str); 16] = [
        (
            "counts",
            |runs, _| runs[2].counts.approved = 9,
            Some("night-3"),
            "approved was sealed as 8 and is 9",
        ),
        ("eligible", |runs, _| runs[2].eligible = 21, Some("night-3"), "eligible"),
        (
            "money",
            |runs, _| runs[2].total_increase = Decimal::ONE,
            Some("night-3"),
            "total_increase",
        ),
        (
            "policy",
            |runs, _| runs[1].context["policy"]["minimum_score"] = json!(600),
            Some("night-2"),
            "context.policy.minimum_score was sealed as 650 and is 600",
        ),
        (
            "model",
            |runs, _| runs[1].context["model"]["version_id"] = json!("v"),
            Some("night-2"),
            "context.model.version_id",
        ),
        (
            "a re-dated run",
            |runs, _| runs[3].finished_at += Duration::days(1),
            Some("night-4"),
            "finished_at",
        ),
        (
            "a re-dated run and seal",
            |runs, seals| {
                runs[3].started_at += Duration::days(1);
                seals[3].started_at += Duration::days(1);
            },
            Some("night-4"),
            "its document is of seal 4",
        ),
        (
            "a shard's row",
            |runs, _| runs[0].shards[1].counts.stale = 0,
            Some("night-1"),
            "row of the run's shards",
        ),
        (
            "a file's hash",
            |runs, _| runs[0].shards[0].results_sha256 = Some("0".repeat(64)),
            Some("night-1"),
            "hashes of their files",
        ),
        (
            "a removed run",
            |runs, _| drop(runs.remove(2)),
            Some("night-3"),
            "removed from the ledger",
        ),
        (
            "a removed night, with its seal",
            |runs, seals| {
                runs.remove(2);
                seals.remove(2);
            },
            None,
            "seal 3 is missing before run night-4",
        ),
        (
            "the first nights removed",
            |runs, seals| {
                runs.drain(..2);
                seals.drain(..2);
            },
            None,
            "seals 1 to 2 are missing",
        ),
        (
            "an edited seal",
            |_, seals| seals[1].seal = "0".repeat(64),
            Some("night-2"),
            "not the hash of its document",
        ),
        (
            "an edited seal's successor",
            |_, seals| seals[1].seal = "0".repeat(64),
            Some("night-3"),
            "is not over seal 2 of run night-2",
        ),
        (
            "an edited run, sealed again",
            |runs, seals| {
                runs[1].counts.approved = 9;
                let again = seal(2, Some(&seals[0].clone()), &runs[1]);
                seals[1] = again;
            },
            Some("night-3"),
            "one of the two was edited",
        ),
        (
            "a forged run in the middle",
            |runs, _| {
                let forged = LedgerRun { run_id: "forged".to_owned(), ..run(3) };
                runs.push(forged);
            },
            Some("forged"),
            "has no seal",
        ),
    ];

    for (name, tamper, run, words) in cases {
        let (mut runs, mut seals) = nights();
        tamper(&mut runs, &mut seals);
        let found = check_chain(&seals, &runs).findings;
        assert!(
            found.iter().any(|one| one.run_id.as_deref() == run && one.problem.contains(words)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn two_swapped_runs_are_both_named() {
    let (mut runs, seals) = nights();
    let (one, other) = (runs[1].clone(), runs[3].clone());
    runs[1] = LedgerRun { run_id: one.run_id, ..other.clone() };
    runs[3] = LedgerRun { run_id: other.run_id, ..run(2) };
    let found = check_chain(&seals, &runs).findings;
    for run in ["night-2", "night-4"] {
        assert!(found.iter().any(|one| one.run_id.as_deref() == Some(run)), "{run}: {found:?}");
    }
}

#[test]
fn a_chain_made_anew_lacks_the_seal_that_was_kept() {
    let (mut runs, seals) = nights();
    let kept = seals[4].seal.clone();
    runs[0].counts.approved = 9;
    let forged = chain(&runs);
    assert_eq!(check_chain(&forged, &runs).findings, [], "nothing inside tells");
    assert!(check_known(&forged, &kept).unwrap().problem.contains(&kept));
}

#[test]
fn runs_from_before_the_seals_are_counted() {
    let runs: Vec<LedgerRun> = (1..=5).map(run).collect();
    let seals = chain(&runs[2..]);
    let report = check_chain(&seals, &runs);
    assert_eq!((report.before_the_seals, report.findings), (2, vec![]));

    let late = LedgerRun { status: RunStatus::Failed, finished_at: Utc::now(), ..run(5) };
    let failed_after = [&runs[..4], &[late]].concat();
    assert_eq!(check_chain(&seals, &failed_after).findings, [], "a run that failed once closed");

    let failed = LedgerRun { status: RunStatus::Failed, ..run(6) };
    let report = check_chain(&seals, &[runs, vec![failed]].concat());
    assert_eq!((report.before_the_seals, report.findings), (2, vec![]), "a failed run has no seal");
}
