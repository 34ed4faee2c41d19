#![allow(clippy::unwrap_used)]
use limit_increase_domain::{Bins, Counts, Distribution, Policy, Tally};
use limit_increase_workflow::{ModelPin, Release, RunId, RunStatus, RunSummary};
use rust_decimal::Decimal;

use super::*;
use crate::drift::Drift;
use crate::outcomes::Outcomes;
use crate::profile::Profile;
use crate::run_report::{Opening, PAST_RUNS, PastRun};

/// The most bytes of a page, whatever the run.
const MAX_PAGE_BYTES: usize = 300_000;

fn summary() -> RunSummary {
    let policy = Policy::default();
    RunSummary {
        run_id: RunId::try_from("night".to_owned()).unwrap(),
        status: RunStatus::Succeeded,
        as_of: "2026-11-30".parse().unwrap(),
        dry_run: false,
        eligible: 20_000,
        counts: Counts { approved: 15_000, declined: 4_000, referred: 900, stale: 100 },
        total_increase: Decimal::new(2_945_000_050, 2),
        shard_count: 4,
        model: ModelPin {
            bucket: "models".to_owned(),
            key: "models/catboost_model.tar.gz".to_owned(),
            version_id: None,
            etag: "e".to_owned(),
            sha256: "a".repeat(64),
        },
        policy_sha256: policy.sha256(),
        policy,
        release: Release::from("0.1.0+1a2b3c4d5e6f".to_owned()),
        started_at: "2026-11-30T02:00:00Z".parse().unwrap(),
        finished_at: "2026-11-30T02:00:09.5Z".parse().unwrap(),
    }
}

fn training(bins: Bins) -> Distribution {
    let rows = Tally { bins: vec![400; bins.len()], ..Tally::default() };
    Distribution { bins, rows }
}

/// A report whose inputs have these names, and the most bins.
fn report(names: impl Iterator<Item = String>) -> RunReport {
    let bounds = |count: u16| Bins::Bounds((1..count).map(f32::from).collect());
    let inputs: Vec<(String, Distribution)> =
        names.map(|name| (name, training(bounds(32)))).collect();
    let mut profile = Profile::new(Some(training(bounds(10))), inputs, 4_000);
    profile.customers = 20_000;
    profile.without_features = 3;
    let mut outcomes = Outcomes::default();
    for input in &mut profile.inputs {
        input.values.customers = Tally { bins: vec![625; 32], ..Tally::default() };
        input.values.customers.bins[3] = 9_999;
        outcomes.declines.inputs.insert(input.source_column.clone(), 20);
    }

    profile.scores.as_mut().unwrap().customers.bins = vec![2_000; 10];
    profile.outcomes = Some(outcomes);
    let drift = Drift::of(&profile);
    let past = |number: usize| PastRun {
        run_id: RunId::try_from(format!("night-{number}")).unwrap(),
        status: RunStatus::Succeeded,
        as_of: None,
        dry_run: false,
        started_at: "2026-11-30T02:00:00Z".parse().unwrap(),
        seconds: Some(9.5),
        eligible: Some(20_000),
        counts: Some(summary().counts),
        total_increase: Some(Decimal::from(29_450_000)),
        score_drift: drift.scores,
        worst_input: drift.worst().map(|input| input.csi),
        scores: profile.scores.clone(),
    };
    RunReport {
        summary: summary(),
        opening: Opening { undecided: Some(30_000), ..Opening::default() },
        past: (0..PAST_RUNS).map(past).collect(),
        profile: Some(profile),
        drift: Some(drift),
    }
}

#[test]
fn a_name_of_a_lender_s_file_is_escaped() {
    let name = "<script>alert(1)</script> & \"q\" 'a'";
    let page = render(&report([name.to_owned()].into_iter()));
    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;q&quot; 'a'"));
}

#[test]
fn the_page_stays_small_with_the_most_inputs_bins_and_runs() {
    let long = |number: usize| format!("{number:03}{}", "<".repeat(60));
    let page = render(&report((0..200).map(long)));
    assert!(page.len() <= MAX_PAGE_BYTES, "{} bytes", page.len());
}

#[test]
fn the_page_asks_for_nothing_and_names_its_figures() {
    let page = render(&report(["age".to_owned()].into_iter()));
    for forbidden in ["<script", "src=", "url(", "@import", "http://", "https://"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }

    assert_eq!(page.matches("<svg").count(), page.matches("</desc>").count());
    assert_eq!(page.matches("role=\"img\"").count(), page.matches("<title id=").count());
    assert_eq!(page.matches("<table").count(), page.matches("<caption").count());
}

#[test]
fn a_drift_is_told_first_and_with_both_numbers() {
    let report = report(["age".to_owned(), "income".to_owned()].into_iter());
    let findings = report.findings();
    assert!(findings[0].starts_with("2 of 2 inputs have drifted"), "{findings:?}");
    assert!(findings[0].contains("which without drift stays below"), "{findings:?}");
    assert!(render(&report).contains("verdict look"));
}

#[test]
fn a_run_without_counters_has_a_page_that_says_so() {
    let known = report(["age".to_owned()].into_iter());
    let without = RunReport { profile: None, drift: None, past: Vec::new(), ..known };
    let page = render(&without);
    assert!(page.contains("is not known, because the model's training"), "{page}");
    assert!(page.contains("20,000 customers: 15,000 approved"), "{page}");
}

#[test]
fn the_last_runs_are_those_of_the_same_bins() {
    let mut known = report(["age".to_owned()].into_iter());
    let own = known.summary.run_id.clone();
    known.past.truncate(3);
    known.past[0].scores.as_mut().unwrap().bins = Bins::Bounds(vec![0.0; 9]);
    known.past[1].run_id = own;
    let past = known.past_scores().unwrap();
    assert_eq!(past.customers.total(), 20_000, "the third run alone");
}

#[test]
fn a_report_comes_back_as_it_was_written() {
    let known = report(["age".to_owned()].into_iter());
    let json = serde_json::to_string(&known).unwrap();
    let back: RunReport = serde_json::from_str(&json).unwrap();
    assert_eq!(back.summary, known.summary);
    assert_eq!(back.profile, known.profile);
    assert_eq!(render(&back), render(&known));
}
