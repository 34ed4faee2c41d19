#![allow(clippy::unwrap_used)]
use super::*;

const DEPTH_6: &[u8] = include_bytes!("../../../../shared/scoring/tests/golden/depth_6.tar.gz");
const ONE_HOT: &[u8] = include_bytes!("../../../../shared/scoring/tests/golden/one_hot.tar.gz");

struct Loaded {
    artifact: Artifact,
    model: Model,
}

fn loaded(archive: &[u8]) -> Loaded {
    let artifact = Artifact::open(archive).unwrap();
    let model = Model::load(&artifact).unwrap();
    Loaded { artifact, model }
}

impl Loaded {
    /// The frame of a model without categories, with the inputs of its golden rows.
    fn frame(&self) -> Frame<'static> {
        let rows = &self.artifact.manifest.golden_rows;
        let is_finite = |row: &&limit_increase_artifact::GoldenRow| {
            row.inputs.iter().all(|input| input.0.is_finite())
        };
        let rows: Vec<_> = rows.iter().filter(is_finite).collect();
        let column = |source: usize| {
            Column::Numbers(rows.iter().map(|row| f64::from(row.inputs[source].0)).collect())
        };
        let columns = (0..self.model.inputs().len()).map(column).collect();
        Frame { columns, has_features: vec![true; rows.len()] }
    }
}

fn everything(model: &Model) -> MayMove {
    MayMove::Listed(model.inputs().iter().map(|input| input.column.name.clone()).collect())
}

/// Every number of a grid that is finer than the parts, tried one by one: the nearest that reaches.
fn nearest_by_search(
    loaded: &Loaded,
    customer: &Frame<'_>,
    source: usize,
    cut_off: CreditScore,
) -> Option<f64> {
    let partitions = partitions(&loaded.artifact).unwrap();
    let Partition::Thresholds(thresholds) = &partitions[source] else { panic!("numbers") };
    let Column::Numbers(values) = &customer.columns[source] else { panic!("numbers") };
    let now = values[0];
    let mut tried: Vec<f64> = thresholds
        .iter()
        .flat_map(|threshold| {
            [threshold.next_down(), *threshold, threshold.next_up()].map(f64::from)
        })
        .collect();
    tried.sort_by(|one, other| (one - now).abs().total_cmp(&(other - now).abs()));

    tried.into_iter().find(|to| {
        let mut changed = customer.clone();
        changed.columns[source] = Column::Numbers(vec![*to]);
        let score = loaded.model.predict(&changed).unwrap()[0].unwrap().score;
        score >= cut_off
    })
}

#[test]
fn the_change_is_the_smallest_that_reaches_and_its_score_is_the_model_s() {
    let loaded = loaded(DEPTH_6);
    let questions = Questions::new(&loaded.model, &loaded.artifact).unwrap();
    let (frame, may_move) = (loaded.frame(), everything(&loaded.model));

    let (mut reached, mut asked) = (0, 0);
    for row in 0..frame.has_features.len() {
        let customer = one_row(&frame, row);
        let score = loaded.model.predict(&customer).unwrap()[0].unwrap().score;
        for more in [1, 5, 20] {
            let cut_off = CreditScore::new(score.value() + more);
            let answer = questions.ask(&frame, row, cut_off, &may_move).unwrap();
            assert_eq!((answer.score, answer.cut_off), (score, cut_off));
            asked += 1;

            for (source, input) in loaded.model.inputs().iter().enumerate() {
                let found = answer.reaching.iter().find(|found| found.column == input.column.name);
                let expected = nearest_by_search(&loaded, &customer, source, cut_off);
                let Some(Alternative {
                    change: Change::Number { from, to, above, at_most },
                    score,
                    ..
                }) = found
                else {
                    assert_eq!(expected, None, "row {row}, source {source}, {more} more");
                    continue;
                };

                reached += 1;
                let mut changed = customer.clone();
                changed.columns[source] = Column::Numbers(vec![*to]);
                assert_eq!(loaded.model.predict(&changed).unwrap()[0].unwrap().score, *score);
                assert!(*score >= cut_off);
                assert!(above.is_none_or(|end| *to as f32 > end));
                assert!(at_most.is_none_or(|end| *to as f32 <= end));

                // A number with the decimals of its column may lie further away than the next float32.
                let nearest = expected.unwrap();
                let decimals = to.to_string().split_once('.').map_or(0, |(_, all)| all.len());
                let tolerance = 10_f64.powi(-i32::try_from(decimals).unwrap());
                assert!(
                    (to - from).abs() <= (nearest - from).abs() + tolerance,
                    "row {row}, source {source}: {to} for {nearest} from {from}"
                );
            }
        }
    }

    assert!(reached > 50 && asked > 30, "{reached} changes for {asked} questions");
}

#[test]
fn where_nothing_reaches_the_best_change_is_told() {
    let loaded = loaded(DEPTH_6);
    let questions = Questions::new(&loaded.model, &loaded.artifact).unwrap();
    let frame = loaded.frame();
    let impossible = CreditScore::new(100_000);
    let answer = questions.ask(&frame, 0, impossible, &everything(&loaded.model)).unwrap();
    assert!(answer.reaching.is_empty());
    let best = answer.best.unwrap();
    assert!(best.score > answer.score && best.score < impossible);

    let nothing = MayMove::Listed(std::collections::BTreeSet::new());
    let answer = questions.ask(&frame, 0, impossible, &nothing).unwrap();
    assert!(answer.reaching.is_empty() && answer.best.is_none());
    assert_eq!(answer.kept.len(), loaded.model.inputs().len());
    assert!(answer.kept.iter().all(|kept| kept.why == Unmoved::NotListed));
}

#[test]
fn each_other_category_that_reaches_is_told() {
    let loaded = loaded(ONE_HOT);
    let questions = Questions::new(&loaded.model, &loaded.artifact).unwrap();
    let homes = [Some("owner"), Some("tenant"), Some("with parents"), None];
    let frame = Frame {
        columns: vec![
            Column::Numbers(vec![0.5; 4]),
            Column::Texts(homes.to_vec()),
            Column::Numbers(vec![0.5; 4]),
        ],
        has_features: vec![true; 4],
    };
    let scores: Vec<CreditScore> = loaded
        .model
        .predict(&frame)
        .unwrap()
        .into_iter()
        .map(|prediction| prediction.unwrap().score)
        .collect();
    let may_move = MayMove::Listed(["home".to_owned()].into());

    for (row, own) in homes.iter().enumerate() {
        let cut_off = CreditScore::new(scores[row].value() + 1);
        let answer = questions.ask(&frame, row, cut_off, &may_move).unwrap();
        let expected: Vec<&str> = (0..3)
            .filter(|other| homes[*other] != *own && scores[*other] >= cut_off)
            .filter_map(|other| homes[other])
            .collect();
        let found: Vec<&str> = answer
            .reaching
            .iter()
            .map(|found| match &found.change {
                Change::Category { from, to } => {
                    assert_eq!(from.as_deref(), *own);
                    to.as_str()
                }
                Change::Number { .. } => panic!("a number moved"),
            })
            .collect();
        assert_eq!(found, expected, "from {own:?}");
    }
}

#[test]
fn a_customer_without_a_score_has_no_counterfactual() {
    let loaded = loaded(ONE_HOT);
    let questions = Questions::new(&loaded.model, &loaded.artifact).unwrap();
    let frame = Frame {
        columns: vec![
            Column::Numbers(vec![0.5]),
            Column::Texts(vec![Some("castle")]),
            Column::Numbers(vec![0.5]),
        ],
        has_features: vec![true],
    };
    let asked = questions.ask(&frame, 0, CreditScore::new(1), &MayMove::ByName);
    assert!(matches!(asked, Err(CounterfactualError::NotScored(_))));
}
