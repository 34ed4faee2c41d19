#![allow(clippy::unwrap_used)]
use limit_increase_artifact::Artifact;
use limit_increase_domain::{ColumnKind, SourceColumn};
use limit_increase_handoff::customers::CustomersWriter;
use limit_increase_handoff::scored::Scored;
use limit_increase_scoring::Model;
use limit_increase_workflow::rows::{CellValue, CustomerRow};
use rust_decimal::Decimal;

use super::*;

/// Customers with these values, one row each; `None` is a customer without features.
fn customers(columns: &[SourceColumn], rows: &[Option<Vec<CellValue<'_>>>]) -> Customers {
    let mut writer = CustomersWriter::new(columns);
    for (number, values) in rows.iter().enumerate() {
        let row = CustomerRow {
            customer_id: &format!("CUST_{number}"),
            current_score: Some(640),
            current_limit: Some(Decimal::new(400_000, 2)),
            unreadable: None,
            application_date: None,
            annual_income: None,
            has_features: values.is_some(),
        };

        let missing = columns.iter().map(|column| missing(column.kind)).collect();
        writer.push(&row, values.clone().unwrap_or(missing)).unwrap();
    }

    let rows = u32::try_from(rows.len()).unwrap();
    Customers::read(writer.finish().unwrap(), rows).unwrap()
}

fn missing(kind: ColumnKind) -> CellValue<'static> {
    match kind {
        ColumnKind::Number => CellValue::Number(None),
        ColumnKind::Category => CellValue::Text(None),
    }
}

fn input(column: SourceColumn) -> ModelInput {
    ModelInput { column, description: "described".to_owned() }
}

#[test]
fn a_frame_has_the_inputs_in_the_order_of_the_model() {
    let columns = [SourceColumn::category("home"), SourceColumn::number("bureau")];
    let values = vec![CellValue::Text(Some("rent")), CellValue::Number(Some(310.0))];
    let customers = customers(&columns, &[Some(values), None]);

    let [home, bureau] = columns.map(input);
    let frame = frame(&[bureau, home], &customers).unwrap();
    assert_eq!(frame.has_features, [true, false]);

    let [Column::Numbers(bureau), Column::Texts(home)] = frame.columns.as_slice() else {
        panic!("a number, then a category")
    };

    assert!(bureau[0].to_bits() == 310.0_f64.to_bits() && bureau[1].is_nan());
    assert_eq!(home.as_slice(), [Some("rent"), None]);
}

#[test]
fn a_column_that_the_hand_off_lacks_is_an_error() {
    let customers = customers(&[SourceColumn::number("bureau")], &[None]);
    let absent = frame(&[input(SourceColumn::number("utilisation"))], &customers);
    assert!(
        matches!(absent, Err(HandoffError::MissingColumn(name)) if name == "feature_utilisation")
    );
    let other_kind = frame(&[input(SourceColumn::category("bureau"))], &customers);
    assert!(matches!(other_kind, Err(HandoffError::ColumnType { .. })));
}

#[test]
fn scores_go_into_the_file_as_the_model_gives_them() {
    let archive = include_bytes!("../../scoring/tests/golden/depth_6.tar.gz");
    let model = Model::load(&Artifact::open(archive).unwrap()).unwrap();
    let columns: Vec<_> = model.inputs().iter().map(|input| input.column.clone()).collect();
    let values = columns.iter().map(|column| missing(column.kind)).collect();
    let customers = customers(&columns, &[Some(values), None]);

    let frame = frame(model.inputs(), &customers).unwrap();
    let batch = model.score(&frame).unwrap();
    let (writer, counts) = write_scores(model.inputs(), &batch).unwrap();
    let file = Scored::read(writer.finish(&customers).unwrap(), 2).unwrap();
    let columns = file.columns().unwrap();

    let mut scored = 0;
    for row in 0..2 {
        match batch.row(row) {
            RowOutcome::Scored(expected) => {
                scored += 1;
                assert_eq!(columns.score(row), Ok(expected.score));
                let raw_values = file.numbers("raw_value").unwrap();
                assert_eq!(raw_values.value(row).to_bits(), expected.raw_value.to_bits());
                let reasons: Vec<_> =
                    expected.reasons().into_iter().map(|(text, _)| text).collect();
                assert_eq!(columns.reasons(row), reasons);
            }
            RowOutcome::Referred(reason) => assert_eq!(columns.score(row), Err(reason)),
        }
    }

    assert_eq!(counts, ScoreCounts { scored, referred: 2 - scored });
    assert!(columns.score(1).is_err(), "a customer without features is referred");
}
