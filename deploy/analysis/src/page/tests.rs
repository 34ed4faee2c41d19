#![allow(clippy::unwrap_used)]
use limit_increase_domain::{Counts, Policy};
use limit_increase_workflow::RunSummary;
use rust_decimal::Decimal;
use serde_json::json;

use super::*;
use crate::comparison::{Arm, ArmModel, NUMBERS, Question};
use crate::grid::{Variation, policies};
use crate::outcomes::backtest::{self as backtests, Backtest};
use crate::outcomes::{Observation, Outcomes};
use crate::testing::{Given, given, shard};

fn customers() -> Vec<Given> {
    (0..50).map(|at| given(&format!("CUST_{at:04}"), "1000.00", Some(600 + 3 * at))).collect()
}

fn outcomes() -> Outcomes {
    let mut outcomes = Outcomes::default();
    for (at, customer) in customers().iter().enumerate() {
        outcomes.insert(&customer.id, Observation { bad: at % 4 == 0, date: None });
    }
    outcomes
}

fn summary() -> RunSummary {
    serde_json::from_value(json!({
        "run_id": "nightly-1", "status": "SUCCEEDED", "as_of": "2026-11-30", "dry_run": true,
        "eligible": 50, "approved": 33, "declined": 17, "referred": 0, "stale": 0,
        "total_increase": "16500.00", "shard_count": 1,
        "model": {"bucket": "b", "key": "k", "version_id": null, "etag": "e", "sha256": "ab"},
        "policy": Policy::default(), "policy_sha256": Policy::default().sha256(),
        "started_at": "2026-11-30T02:00:00Z", "finished_at": "2026-11-30T02:00:01Z",
    }))
    .unwrap()
}

fn report(run: &RunSummary) -> ComparisonReport {
    let base = Policy::default();
    let (settings, grid) =
        policies(&base, &[Variation::parse("minimum_score=640..660:10").unwrap()])
            .unwrap()
            .into_iter()
            .unzip();
    let arm = |name: &str, policy| Arm { name: name.to_owned(), policy, model: ArmModel::Stored };
    let lower = Policy { maximum_limit: Decimal::from(15_000), ..base.clone() };
    let question = Question {
        arms: vec![arm("own", base), arm("<script>alert(1)</script>", lower)],
        grid,
        as_of: run.as_of,
        outcomes: Some(outcomes()),
        lists_swapped: true,
    };
    let comparison = question.answer(&shard(&customers(), &NUMBERS), &[]).unwrap();
    ComparisonReport::new(run, &question, settings, &comparison)
}

fn check(page: &str) {
    assert!(page.starts_with("<!DOCTYPE html><html lang=\"en\">"));
    for absent in ["<script", "http://", "https://", "CUST_", "url("] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("</title>").count() - 1);
}

#[test]
fn a_comparison_is_one_document_without_a_script_or_a_customer() {
    let page = comparison(&report(&summary()));
    check(&page);
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for words in ["The swap set", "Money against approvals", "DeLong", "dry run"] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn the_figures_of_the_page_are_those_of_the_report() {
    let report = report(&summary());
    let page = comparison(&report);
    for arm in &report.arms {
        let row = format!(
            "<td class=\"n\">{}</td><td class=\"n\">{}</td>",
            words::thousands(arm.figures.approved),
            words::thousands(arm.figures.declined)
        );
        assert!(page.contains(&row), "{row}");
        assert!(page.contains(&words::money(arm.figures.raised)));
    }
}

#[test]
fn figures_other_than_the_run_s_own_are_told() {
    let run = summary();
    assert!(report(&run).notices.iter().all(|notice| !notice.contains("recorded")));
    let forged =
        RunSummary { counts: Counts { approved: 34, declined: 16, ..run.counts }, ..summary() };
    assert!(report(&forged).notices.iter().any(|notice| notice.contains("the run recorded")));
    // With stale customers nothing can be said.
    let stale = RunSummary { counts: Counts { approved: 32, stale: 1, ..run.counts }, ..summary() };
    assert!(report(&stale).notices.iter().all(|notice| !notice.contains("recorded")));
}

#[test]
fn a_backtest_is_one_document_without_a_script_or_a_customer() {
    let run = summary();
    let mut test = Backtest::new(outcomes());
    test.add(&run.policy, run.as_of, &shard(&customers(), &backtests::NUMBERS)).unwrap();
    let page = backtest(&test.report(vec![run.run_id.to_string()]));
    check(&page);
    for words in ["Wilson", "2026-11", "Gini", "nightly-1"] {
        assert!(page.contains(words), "{words}");
    }
}
