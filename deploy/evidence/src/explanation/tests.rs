#![allow(clippy::unwrap_used)]
use bytes::Bytes;
use limit_increase_artifact::{Artifact, InputDistribution, SpecialValue, TrainingProfile};
use limit_increase_domain::{Bins, Distribution, Tally};
use limit_increase_evaluation_step::evaluate;
use limit_increase_handoff::customers::CustomersWriter;
use limit_increase_handoff::evaluations::Evaluations;
use limit_increase_scoring::Model;
use limit_increase_scoring_step::{frame, write_scores};
use limit_increase_workflow::Release;
use limit_increase_workflow::rows::{CellValue, CustomerRow};

use super::*;
use crate::counterfactual::{MayMove, Questions};

const ONE_HOT: &[u8] = include_bytes!("../../../../shared/scoring/tests/golden/one_hot.tar.gz");
/// The id of the customer whose page could be attacked.
const HOSTILE: &str = "<script>alert(1)</script>";

fn run() -> RunFacts {
    let policy = Policy { minimum_score: CreditScore::new(550), ..Policy::default() };
    RunFacts {
        run_id: RunId::try_from("night".to_owned()).unwrap(),
        as_of: "2026-11-24".parse().unwrap(),
        dry_run: false,
        model: ModelPin {
            bucket: "b".to_owned(),
            key: "k".to_owned(),
            version_id: None,
            etag: "e".to_owned(),
            sha256: "f00d".to_owned(),
        },
        policy_sha256: policy.sha256(),
        policy,
        release: Release::from("0.1.0+abc".to_owned()),
    }
}

struct Files {
    artifact: Artifact,
    model: Model,
    customers: Customers,
    scored: Scored,
    evaluations: Evaluations,
}

/// A shard of customers with each home, one of them unknown to the model, as the steps write it.
fn files() -> Files {
    let artifact = Artifact::open(ONE_HOT).unwrap();
    let model = Model::load(&artifact).unwrap();
    let mut writer = CustomersWriter::new(&artifact.manifest.source_columns());
    let homes = [Some("owner"), Some("tenant"), None, Some("castle")];
    for (number, home) in homes.into_iter().enumerate() {
        let id = if number == 0 { HOSTILE.to_owned() } else { format!("CUST_{number}") };
        let row = CustomerRow {
            customer_id: &id,
            current_score: Some(640),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            application_date: None,
            annual_income: None,
            has_features: true,
        };
        let value = [-3.0, 0.5, 2.0, 9.0][number];
        let values =
            [CellValue::Number(Some(value)), CellValue::Text(home), CellValue::Number(Some(0.5))];
        writer.push(&row, values).unwrap();
    }

    let read = |bytes: Bytes| Customers::read(bytes, 4).unwrap();
    let customers = read(writer.finish().unwrap());
    let scores = {
        let frame = frame(model.inputs(), &customers).unwrap();
        let batch = model.score(&frame).unwrap();
        let (writer, _) = write_scores(model.inputs(), &batch).unwrap();
        writer.finish(&customers).unwrap()
    };
    let scored = Scored::read(scores, 4).unwrap();
    let (writer, _) = evaluate(&run().policy, &scored).unwrap();
    let evaluations = Evaluations::read(writer.finish().unwrap(), 4).unwrap();
    Files { artifact, model, customers, scored, evaluations }
}

impl Files {
    fn explain(&self, row: usize) -> Explanation {
        let evaluation = self.evaluations.iter().unwrap().nth(row).unwrap().unwrap();
        let record = Record {
            shard: ShardIndex(7),
            row,
            customers: &self.customers,
            scored: &self.scored,
            evaluation: &evaluation,
            effect: "WRITTEN",
        };
        explain(run(), &record, &self.artifact.manifest).unwrap()
    }
}

#[test]
fn the_points_of_a_customer_add_up_to_the_score_of_the_record() {
    let files = files();
    for row in 0..3 {
        let explained = files.explain(row);
        let waterfall = explained.score.as_ref().unwrap();
        let recorded = files.scored.columns().unwrap().score(row).unwrap();
        assert_eq!(waterfall.score, recorded);

        let steps: i64 = explained.inputs.iter().map(|input| input.points.unwrap().tenths()).sum();
        let sum = waterfall.base.tenths() + steps + waterfall.rounding.tenths();
        assert_eq!(sum, i64::from(recorded.value()) * 10, "row {row}");
        assert!(waterfall.rounding.tenths().abs() <= 8, "row {row}: {:?}", waterfall.rounding);

        let most = explained.by_points();
        assert!(most.windows(2).all(|pair| pair[0].1.tenths().abs() >= pair[1].1.tenths().abs()));
        let reasons = files.scored.columns().unwrap().reasons(row);
        assert_eq!(
            explained.reasons.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(),
            reasons
        );
        assert_eq!((explained.shard, explained.row), (ShardIndex(7), row));
    }
}

#[test]
fn a_customer_without_a_score_is_explained_by_why() {
    let explained = files().explain(3);
    assert_eq!(explained.outcome, Outcome::Referred);
    assert_eq!(explained.score, None);
    assert!(explained.not_scored.unwrap().contains("castle"));
    assert!(explained.inputs.iter().all(|input| input.points.is_none()));
}

#[test]
fn a_value_is_placed_beside_the_median_of_the_training_rows() {
    let files = files();
    let places = |row: usize| files.explain(row).inputs[0].among_training_rows.clone();
    let median = files.artifact.manifest.columns[0].median.unwrap().unwrap();
    assert_eq!(places(0), Place::BelowMedian(median));
    assert_eq!(places(2), Place::AboveMedian(median));
    assert_eq!(files.explain(0).inputs[1].among_training_rows, Place::NotKnown);
    assert_eq!(files.explain(2).inputs[1].value, None, "a missing category");
}

#[test]
fn a_value_is_placed_among_the_percentiles_that_the_training_has_counted() {
    let mut files = files();
    let rows =
        |bins: [u64; 2], other, missing| Tally { bins: bins.to_vec(), other, missing, unseen: 0 };
    let numbers = Distribution { bins: Bins::Bounds(vec![0.5]), rows: rows([30, 50], 0, 20) };
    let homes = Bins::Categories(vec!["castle".to_owned(), "owner".to_owned()]);
    let homes = Distribution { bins: homes, rows: rows([1, 59], 20, 20) };
    let input = |name: &str, values: &Distribution| InputDistribution {
        source_column: name.to_owned(),
        values: values.clone(),
    };
    files.artifact.manifest.profile = Some(TrainingProfile {
        scores: numbers.clone(),
        inputs: vec![input("x0", &numbers), input("home", &homes)],
    });

    let places = |row: usize| {
        let [number, home, last] = &files.explain(row).inputs[..] else { panic!("three inputs") };
        assert_eq!(last.among_training_rows, Place::AboveMedian(0.0), "not counted");
        (number.among_training_rows.clone(), home.among_training_rows.clone())
    };
    let below = Place::Percentiles { from: 0.0, to: 37.5 };
    let above = Place::Percentiles { from: 37.5, to: 100.0 };
    assert_eq!(places(0), (below, Place::Share(59.0)));
    assert_eq!(places(1), (above.clone(), Place::Rare), "a number on a bound is in the upper bin");
    assert_eq!(places(2), (above.clone(), Place::Share(20.0)), "a missing category");
    assert_eq!(places(3), (above, Place::Unseen), "the model does not know the castle");

    files.artifact.manifest.columns[0].special =
        vec![SpecialValue { value: 2.0, meaning: "refused".to_owned() }];
    let special = files.explain(2).inputs[0].among_training_rows.clone();
    assert_eq!(special, Place::Share(20.0), "it stands for a missing number");
}

#[test]
fn the_page_is_escaped_whole_and_asks_for_nothing() {
    let files = files();
    let questions = Questions::new(&files.model, &files.artifact).unwrap();
    let frame = frame(files.model.inputs(), &files.customers).unwrap();
    let cut_off = CreditScore::new(100_000);
    let answer = questions.ask(&frame, 0, cut_off, &MayMove::ByName).unwrap();
    let page = page(&files.explain(0), Some(&answer));

    assert!(!page.contains("<script"), "{page}");
    assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
    for forbidden in ["http:", "https:", "src=", "href=", "url(", "@import"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }

    let score = files.explain(0).new_score().unwrap();
    for shown in [&score.to_string(), "f00d", "0.1.0+abc", "shard 7, row 0", "Rounding", "100000"] {
        assert!(page.contains(shown), "{shown}");
    }
}
