//! Measures loading, scoring and explaining with one artifact over the rows of a CSV file, on one
//! thread.
//!
//! `measure-scoring <artifact.tar.gz> <rows.csv>` prints one JSON object. With a third argument it
//! measures nothing and writes each row's figures to that file, as little-endian float64: raw
//! value, probability, base value, and one SHAP value per source. A referred row is all NaN.
#![allow(clippy::print_stdout, reason = "it prints its result")]

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use limit_increase_artifact::Artifact;
use limit_increase_benches::Table;
use limit_increase_scoring::{Frame, Model, RowOutcome};
use serde_json::{Value, json};

/// The sizes of the batches that are measured, in rows.
const BATCHES: [usize; 6] = [1, 20, 128, 1_000, 10_000, 100_000];
/// Each measurement is the quickest of the runs that fit into this time. Other work on the machine
/// only makes a run slower.
const TIME_EACH: Duration = Duration::from_millis(1500);

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(artifact), Some(rows)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: measure-scoring <artifact.tar.gz> <rows.csv> [<dump>]");
    };

    let archive = fs::read(&artifact).with_context(|| format!("reading {}", artifact.display()))?;
    let artifact = Artifact::open(&archive)?;
    if let Some(dump) = arguments.next() {
        let model = Model::load(&artifact)?;
        return write_dump(&dump, &model, &Table::read(&rows, model.inputs())?);
    }

    let first_load = best_of(1, || Model::load(&artifact))?;
    let model = Model::load(&artifact)?;
    let resident_with_model = resident_bytes();
    let open = best_of(20, || Artifact::open(&archive))?;
    let load = best_of(20, || Model::load(&artifact))?;
    let table = Table::read(&rows, model.inputs())?;
    let mut batches = Vec::new();
    for size in BATCHES.into_iter().filter(|size| *size <= table.rows()) {
        let frame = table.frame(0, size);
        batches.push(json!({
            "rows": size,
            "predict_seconds": best_time(|| model.predict(&frame).map(|scores| scores.len()))?,
            "score_seconds": best_time(|| model.score(&frame).map(|batch| batch.len()))?,
            "score_and_reasons_seconds": best_time(|| score_with_reasons(&model, &frame))?,
        }));
    }

    let report = json!({
        "rows": table.rows(),
        "open_ms": open,
        "first_load_ms": first_load,
        "load_ms": load,
        "table_bytes": model.table_bytes(),
        "resident_bytes_with_model": resident_with_model,
        "batches": batches,
    });

    println!("{report}");
    Ok(())
}

/// Does what a shard needs: scores, SHAP values, and the reasons of every customer.
fn score_with_reasons(
    model: &Model,
    frame: &Frame<'_>,
) -> Result<usize, limit_increase_scoring::ScoringError> {
    let batch = model.score(frame)?;
    for row in 0..batch.len() {
        if let RowOutcome::Scored(scored) = batch.row(row) {
            black_box((scored.score, scored.reasons()));
        }
    }

    Ok(batch.len())
}

/// The time of the quickest run within [`TIME_EACH`], in seconds.
fn best_time<T, E>(mut work: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    let started = Instant::now();
    let mut best = f64::INFINITY;
    while started.elapsed() < TIME_EACH || best.is_infinite() {
        let run = Instant::now();
        black_box(work()?);
        best = best.min(run.elapsed().as_secs_f64());
    }

    Ok(best)
}

/// The time of the quickest of some runs, in milliseconds.
fn best_of<T, E>(runs: usize, mut work: impl FnMut() -> Result<T, E>) -> Result<f64, E> {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let run = Instant::now();
        black_box(work()?);
        best = best.min(run.elapsed().as_secs_f64() * 1e3);
    }

    Ok(best)
}

/// The memory of this process, or null where the system does not report it.
fn resident_bytes() -> Value {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });

    kilobytes.map_or(Value::Null, |kilobytes| json!(kilobytes * 1024))
}

fn write_dump(path: &Path, model: &Model, table: &Table) -> Result<()> {
    let mut out = std::io::BufWriter::new(
        fs::File::create(path).with_context(|| format!("writing {}", path.display()))?,
    );

    let frame = table.frame(0, table.rows());
    let batch = model.score(&frame)?;
    let referred = vec![f64::NAN; 3 + model.inputs().len()];
    for row in 0..batch.len() {
        let values = match batch.row(row) {
            RowOutcome::Scored(scored) => {
                [&[scored.raw_value, scored.probability, scored.base_value], scored.shap_values]
                    .concat()
            }
            RowOutcome::Referred(_) => referred.clone(),
        };

        for value in values {
            out.write_all(&value.to_le_bytes())?;
        }
    }

    Ok(out.flush()?)
}
