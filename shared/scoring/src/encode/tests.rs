#![allow(clippy::float_cmp, clippy::unwrap_used)]
use limit_increase_artifact::{Artifact, ModelColumn, ModelColumnKind, SpellingStep};
use limit_increase_domain::SourceColumn;

use super::*;
use crate::ensemble::FloatFeature;

fn number(may_be_missing: bool) -> Encoder {
    let source =
        ModelInput { column: SourceColumn::number("income"), description: "Income".into() };
    let special = [-9.0, -8.0].into();
    Encoder { source, first: 0, encoding: Encoding::Number { may_be_missing, special } }
}

/// Two categories, and with `missing` a third column for a missing value.
fn category(missing: bool) -> Encoder {
    spelt(&[Some("owner"), Some("tenant"), None][..2 + usize::from(missing)], &[])
}

/// A column of these categories, which is read by these steps. `None` is a missing value.
fn spelt(categories: &[Option<&str>], steps: &[SpellingStep]) -> Encoder {
    let source =
        ModelInput { column: SourceColumn::category("home"), description: "FICO home".into() };
    let columns: Vec<ModelColumn> = categories
        .iter()
        .map(|category| ModelColumn {
            name: format!("home={}", category.unwrap_or_default()),
            kind: ModelColumnKind::OneHot,
            source_column: "home".into(),
            description: "FICO home".into(),
            category: Some(category.map(str::to_owned)),
            median: None,
            special: Vec::new(),
            monotone: None,
        })
        .collect();
    Encoder { source, first: 1, encoding: Encoding::Categories(Categories::new(&columns, steps)) }
}

fn encoded(
    encoders: &[Encoder],
    value: f64,
    text: Option<&str>,
    has_features: bool,
) -> Result<[f32; 4], String> {
    let frame = Frame {
        columns: vec![Column::Numbers(vec![value]), Column::Texts(vec![text])],
        has_features: vec![has_features],
    };

    let mut matrix = [7.0; 4];
    let mut referrals = [None];
    encode(&frame, encoders, 0, 4, &mut matrix, &mut referrals);
    match &referrals[0] {
        None => Ok(matrix),
        Some(reason) => {
            assert_eq!(matrix.map(f32::to_bits), [0; 4], "a referred row is zeros");
            Err(reason.to_string())
        }
    }
}

#[test]
fn values_that_the_model_knows() {
    let encoders = [number(true), category(true)];
    assert_eq!(encoded(&encoders, 1.5, Some("tenant"), true), Ok([1.5, 0.0, 1.0, 0.0]));
    assert_eq!(encoded(&encoders, 0.1, None, true), Ok([0.1, 0.0, 0.0, 1.0]));
    assert_eq!(encoded(&encoders, 0.1, Some(""), true), Ok([0.1, 0.0, 0.0, 1.0]));
    let missing = encoded(&encoders, f64::NAN, Some("owner"), true);
    assert!(missing.is_ok_and(|row| row[0].is_nan() && row[1..] == [1.0, 0.0, 0.0]));
}

#[test]
fn special_values_are_missing() {
    let encoders = [number(true), category(true)];
    for value in [-9.0, -8.0] {
        let missing = encoded(&encoders, value, Some("owner"), true);
        assert!(missing.is_ok_and(|row| row[0].is_nan()), "{value}");
    }

    assert_eq!(encoded(&encoders, -7.0, Some("owner"), true), Ok([-7.0, 1.0, 0.0, 0.0]));
    let without = encoded(&[number(false), category(true)], -9.0, Some("owner"), true);
    assert!(without.is_err_and(|reason| reason.contains("income is missing")));
}

#[test]
fn values_that_it_does_not_are_referred_with_the_first_reason() {
    let encoders = [number(false), category(false)];
    let long = "x".repeat(100);
    let shown = format!("FICO home is '{}...', which the model does not know", "x".repeat(40));
    let cases: [(f64, Option<&str>, bool, &str); 9] = [
        (
            f64::NAN,
            Some("owner"),
            true,
            "income is missing and the model was trained without missing values",
        ),
        (f64::INFINITY, Some("owner"), true, "income is infinite"),
        (f64::NEG_INFINITY, Some("owner"), true, "income is infinite"),
        (1e39, Some("owner"), true, "income is outside the range that the model can read"),
        (
            f64::NAN,
            Some("nobody"),
            true,
            "income is missing and the model was trained without missing values",
        ),
        (1.0, None, true, "FICO home is missing and the model was trained without missing values"),
        (1.0, Some("Owner"), true, "FICO home is 'Owner', which the model does not know"),
        (1.0, Some(&long), true, &shown),
        (1.0, Some("owner"), false, NO_FEATURES),
    ];

    for (value, text, has_features, expected) in cases {
        assert_eq!(encoded(&encoders, value, text, has_features), Err(expected.to_owned()));
    }
}

/// A column that may be missing is NaN in the model for a missing number only.
#[test]
fn infinite_and_large_numbers_are_referred_where_missing_ones_are_scored() {
    let encoders = [number(true), category(true)];
    for (value, expected) in [
        (f64::INFINITY, "income is infinite"),
        (f64::NEG_INFINITY, "income is infinite"),
        (-1e39, "income is outside the range that the model can read"),
    ] {
        assert_eq!(encoded(&encoders, value, None, true), Err(expected.to_owned()));
    }
}

/// A value that means a category is scored as the category, and an exact one comes first.
#[test]
fn a_category_is_found_by_what_it_means() {
    use SpellingStep::{Booleans, Case, TrailingBlanks, WholeNumbers};
    let categories = [Some("Mr"), Some("1.0"), None];
    let encoders = [number(true), spelt(&categories, &[TrailingBlanks, WholeNumbers, Case])];
    let offset = |encoders: &[Encoder], text| {
        let row = encoded(encoders, 0.0, Some(text), true);
        row.map(|row| row[1..].iter().position(|value| *value == 1.0).unwrap())
    };
    let unknown = |text: &str| Err(format!("FICO home is '{text}', which the model does not know"));
    for (text, expected) in [
        ("Mr", Ok(0)),
        ("MR   ", Ok(0)),
        ("1", Ok(1)),
        ("1.00", Ok(1)),
        ("   ", Ok(2)),
        ("01", unknown("01")),
        ("Mrs  ", unknown("Mrs")),
        (" Mr", unknown(" Mr")),
    ] {
        assert_eq!(offset(&encoders, text), expected, "{text:?}");
    }

    let encoders = [number(true), spelt(&[Some("False"), Some("True")], &[Booleans])];
    assert_eq!(offset(&encoders, "true"), Ok(1));
    assert_eq!(offset(&encoders, "f"), Ok(0));
    let encoders = [number(true), spelt(&[Some("M"), Some("m")], &[TrailingBlanks])];
    assert_eq!(offset(&encoders, "m "), Ok(1), "what was learned apart stays apart");
}

#[test]
fn a_referred_row_leaves_the_others_alone() {
    let frame = Frame {
        columns: vec![
            Column::Numbers(vec![1.0, f64::NAN, 3.0]),
            Column::Texts(vec![Some("owner"), Some("owner"), Some("tenant")]),
        ],
        has_features: vec![true; 3],
    };

    let mut matrix = [0.0; 12];
    let mut referrals = vec![None; 3];
    encode(&frame, &[number(false), category(false)], 0, 4, &mut matrix, &mut referrals);
    assert_eq!(referrals.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, false]);
    assert_eq!(matrix, [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 3.0, 0.0, 1.0, 0.0]);
}

#[test]
fn a_frame_of_another_shape_is_an_error() {
    let encoders = [number(true), category(true)];
    let texts = |rows: usize| Column::Texts(vec![Some("owner"); rows]);
    let numbers = |rows: usize| Column::Numbers(vec![1.0; rows]);
    let cases = [
        (vec![numbers(2)], "1 columns, the model reads 2"),
        (
            vec![texts(2), numbers(2)],
            "column \"income\" is Categorical, the model reads it as Numeric",
        ),
        (vec![numbers(2), texts(1)], "column \"home\" has 1 rows of 2"),
    ];

    for (columns, expected) in cases {
        let error = check(&Frame { columns, has_features: vec![true; 2] }, &encoders)
            .map_err(|error| error.to_string());
        assert_eq!(error, Err(format!("the frame does not fit the model: {expected}")));
    }
}

#[test]
fn descriptions_begin_in_lower_case_within_a_sentence() {
    let cases = [
        ("Bureau score", "bureau score"),
        ("FICO score", "FICO score"),
        ("X1", "X1"),
        ("A b", "a b"),
        ("", ""),
        ("Élan", "élan"),
    ];

    for (description, expected) in cases {
        assert_eq!(lower_first(description), expected);
    }
}

/// The model reads a number, a home with four columns, and a number that may be missing.
#[test]
fn encoders_follow_the_manifest_and_the_treatment_of_missing_values() {
    let artifact = Artifact::open(include_bytes!("../../tests/golden/one_hot.tar.gz")).unwrap();
    let column = |nan| FloatFeature { borders: vec![], nan };
    let mut columns = vec![column(NanTreatment::AsIs); 5];
    columns.push(column(NanTreatment::AsFalse));
    let ensemble = Ensemble { columns, trees: vec![], scale: 1.0, bias: 0.0 };
    let encoders = encoders(&artifact.manifest, &ensemble);

    let frame = Frame {
        columns: vec![
            Column::Numbers(vec![0.5, 0.5, f64::NAN]),
            Column::Texts(vec![Some("tenant"), None, Some("owner")]),
            Column::Numbers(vec![1.5, f64::NAN, 1.5]),
        ],
        has_features: vec![true; 3],
    };

    check(&frame, &encoders).unwrap();
    let (mut matrix, mut referrals) = ([7.0; 18], [const { None }; 3]);
    encode(&frame, &encoders, 0, 6, &mut matrix, &mut referrals);
    assert_eq!(matrix[..6], [0.5, 0.0, 1.0, 0.0, 0.0, 1.5]);
    assert_eq!(matrix[6..11], [0.5, 0.0, 0.0, 0.0, 1.0]);
    assert!(matrix[11].is_nan());
    assert_eq!(referrals.map(|referral| referral.is_some()), [false, false, true]);
}
