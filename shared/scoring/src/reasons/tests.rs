#![allow(clippy::unwrap_used)]
use limit_increase_artifact::Artifact;
use proptest::prelude::*;

use super::*;

fn wording(median: Option<f32>) -> Wording {
    Wording { description: "Bureau score".to_owned(), median, special: Vec::new(), longest: 6 }
}

#[test]
fn a_special_value_is_told_by_its_meaning_and_never_as_low() {
    let special = vec![SpecialValue { value: -9.0, meaning: "no bureau record".to_owned() }];
    let wording = Wording { special, ..wording(Some(700.0)) };
    let texts = [-9.0, -8.0].map(|value| wording.text(&Column::Numbers(vec![value]), 0));
    assert_eq!(texts, ["Bureau score is missing (no bureau record)", "Bureau score is low (-8)"]);
}

#[test]
fn each_source_has_its_description_and_numbers_have_their_median() {
    let artifact = Artifact::open(include_bytes!("../../tests/golden/one_hot.tar.gz")).unwrap();
    let mut manifest = artifact.manifest;
    manifest.columns[0].median = Some(Some(0.93));
    manifest.columns[5].median = Some(None);
    let wordings = wordings(&manifest, &manifest.inputs());
    let expected = [("Column 0", Some(0.93)), ("Home", None), ("Column 5", None)];
    let found: Vec<_> =
        wordings.iter().map(|wording| (wording.description.as_str(), wording.median)).collect();
    assert_eq!(found, expected);
}

#[test]
fn numbers_are_told_against_the_median() {
    let cases: [(f64, Option<f32>, &str); 18] = [
        (512.0, Some(700.0), "Bureau score is low (512)"),
        (0.93, Some(0.4), "Bureau score is high (0.93)"),
        (700.0, Some(700.0), "Bureau score is 700"),
        (0.1, Some(0.1), "Bureau score is 0.1"),
        (512.0, None, "Bureau score is 512"),
        (f64::NAN, Some(1.0), "Bureau score is missing"),
        (-9_999_998.0, Some(0.0), "Bureau score is low (-9999998)"),
        (-0.0, Some(0.0), "Bureau score is 0"),
        (-0.0, Some(1.0), "Bureau score is low (0)"),
        (1e7, Some(1.0), "Bureau score is high (10000000)"),
        (1.0 / 3.0, Some(1.0), "Bureau score is low (0.33333334)"),
        // Float32 has the integers up to 16,777,216, and these are stored in float64.
        (16_777_217.0, None, "Bureau score is 16777217"),
        (123_456_789.0, Some(1.0), "Bureau score is high (123456789)"),
        (9_007_199_254_740_991.0, None, "Bureau score is 9007199254740991"),
        (1_234_567.25, None, "Bureau score is 1234567.25"),
        (-98_765_432.1, None, "Bureau score is -98765432.1"),
        // A column of float32, as PostgreSQL widens it.
        (f64::from(0.93_f32), None, "Bureau score is 0.93"),
        (f64::from(0.1_f32), None, "Bureau score is 0.1"),
    ];

    for (value, median, expected) in cases {
        assert_eq!(wording(median).text(&Column::Numbers(vec![value]), 0), expected);
    }
}

#[test]
fn categories_are_quoted() {
    let column = Column::Texts(vec![Some("tenant"), None, Some("")]);
    let texts = [0, 1, 2].map(|row| wording(None).text(&column, row));
    assert_eq!(
        texts,
        ["Bureau score is 'tenant'", "Bureau score is missing", "Bureau score is missing"]
    );
}

/// CHAR(n) ends in blanks, and a NUMERIC may have any number of zeros.
#[test]
fn a_category_that_is_stored_otherwise_is_shown_as_it_is_stored() {
    let zeros = format!("1.{}", "0".repeat(60));
    let cases = [
        ("tenant   ", 6, "is 'tenant'".to_owned()),
        ("TENANT", 6, "is 'TENANT'".to_owned()),
        ("  ", 6, "is missing".to_owned()),
        (&zeros, 3, format!("is '{}...'", &zeros[..40])),
        (&zeros, 62, format!("is '{zeros}'")),
    ];
    for (stored, longest, expected) in cases {
        let wording = Wording { longest, ..wording(None) };
        let text = wording.text(&Column::Texts(vec![Some(stored)]), 0);
        assert_eq!(text, format!("Bureau score {expected}"));
    }
}

#[test]
fn ties_keep_their_order_and_gains_are_no_reasons() {
    let found: Vec<_> = worst(&[0.1, -3.0, 0.5, 0.1, 0.0, 0.5, 0.1, 0.1]).collect();
    assert_eq!(found, [(2, 0.5), (5, 0.5), (0, 0.1), (3, 0.1)]);
    assert_eq!(worst(&[-1.0, 0.0, -0.0]).count(), 0);
    assert_eq!(worst(&[]).count(), 0);
}

proptest! {
    #[test]
    fn the_worst_are_the_first_of_a_stable_sort(values in proptest::collection::vec(-3_i8..4, 0..20)) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let mut expected: Vec<(usize, f64)> = values.iter().copied().enumerate().filter(|(_, value)| *value > 0.0).collect();
        expected.sort_by(|left, right| right.1.total_cmp(&left.1));
        expected.truncate(MAX_REASONS);
        prop_assert_eq!(worst(&values).collect::<Vec<_>>(), expected);
    }
}
