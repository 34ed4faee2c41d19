//! Shared by the tests of golden models: reading the models, their rows as a caller has them, and a
//! slow second implementation to compare with.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use limit_increase_artifact::{Artifact, GoldenRow, Manifest, ModelColumn};
use limit_increase_domain::ColumnKind;
use limit_increase_scoring::{Column, Frame};

pub(crate) mod protobuf;
mod reference;
#[allow(unused_imports, reason = "not every test compares with it")]
pub(crate) use reference::Reference;

pub(crate) fn golden_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

pub(crate) fn golden_names() -> Vec<String> {
    let entries =
        std::fs::read_dir(golden_directory()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries
        .filter_map(|name| Some(name.to_str()?.strip_suffix(".tar.gz")?.to_owned()))
        .collect();
    names.sort();
    names
}

pub(crate) fn golden(name: &str) -> Artifact {
    let path = golden_directory().join(format!("{name}.tar.gz"));
    Artifact::open(&std::fs::read(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The model columns of each source, one after the other.
pub(crate) fn source_columns(manifest: &Manifest) -> Vec<Vec<usize>> {
    let mut next = 0..manifest.columns.len();
    manifest
        .columns
        .chunk_by(|left, right| left.source_column == right.source_column)
        .map(|group| next.by_ref().take(group.len()).collect())
        .collect()
}

/// The frame of customers whose columns encode to these model inputs. The rows must be ones that a
/// customer can have.
pub(crate) fn frame<'a>(manifest: &'a Manifest, rows: &[Vec<f32>]) -> Frame<'a> {
    let columns =
        manifest.inputs().into_iter().zip(source_columns(manifest)).map(|(source, columns)| {
            match source.column.kind {
                ColumnKind::Number => {
                    Column::Numbers(rows.iter().map(|row| f64::from(row[columns[0]])).collect())
                }
                ColumnKind::Category => Column::Texts(
                    rows.iter()
                        .map(|row| {
                            category(
                                &manifest.columns[columns[0]..][..columns.len()],
                                &row[columns[0]..],
                            )
                        })
                        .collect(),
                ),
            }
        });
    Frame { columns: columns.collect(), has_features: vec![true; rows.len()] }
}

fn category<'a>(features: &'a [ModelColumn], inputs: &[f32]) -> Option<&'a str> {
    let at = inputs.iter().position(|input| *input > 0.5).unwrap();
    features[at].category.as_ref().unwrap().as_deref()
}

pub(crate) fn inputs(row: &GoldenRow) -> Vec<f32> {
    row.inputs.iter().map(|input| input.0).collect()
}

/// Adds up the SHAP values of model columns by source.
pub(crate) fn by_source(manifest: &Manifest, columns: &[f64]) -> Vec<f64> {
    source_columns(manifest)
        .iter()
        .map(|group| group.iter().map(|column| columns[*column]).sum())
        .collect()
}

/// The difference, relative to the larger of the expected value and one.
pub(crate) fn distance(found: f64, expected: f64) -> f64 {
    (found - expected).abs() / expected.abs().max(1.0)
}
