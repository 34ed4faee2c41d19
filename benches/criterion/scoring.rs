//! Criterion: loading, scoring and explaining by batch size. `LIMIT_INCREASE_BENCH_ARTIFACT` and
//! `LIMIT_INCREASE_BENCH_ROWS` name the artifact and the CSV; `compare.py` makes both.
#![allow(missing_docs, reason = "criterion's macros write functions without documentation")]

use std::hint::black_box;
use std::path::PathBuf;

use anyhow::{Context, Result};
use criterion::{BenchmarkId, Criterion, Throughput};
use limit_increase_artifact::Artifact;
use limit_increase_benches::Table;
use limit_increase_scoring::{Model, RowOutcome};

const BATCHES: [usize; 4] = [1, 20, 1_000, 10_000];

fn main() -> Result<()> {
    let path = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .with_context(|| format!("set {name}; benches/README.md says how"))
    };

    let archive = std::fs::read(path("LIMIT_INCREASE_BENCH_ARTIFACT")?)?;
    let artifact = Artifact::open(&archive)?;
    let model = Model::load(&artifact)?;
    let table = Table::read(&path("LIMIT_INCREASE_BENCH_ROWS")?, model.inputs())?;
    let mut criterion = Criterion::default().configure_from_args();
    criterion
        .bench_function("open", |bencher| bencher.iter(|| Artifact::open(black_box(&archive))));
    criterion.bench_function("load", |bencher| bencher.iter(|| Model::load(black_box(&artifact))));
    let mut group = criterion.benchmark_group("rows");
    for size in BATCHES.into_iter().filter(|size| *size <= table.rows()) {
        let frame = table.frame(0, size);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_with_input(BenchmarkId::new("predict", size), &frame, |bencher, frame| {
            bencher.iter(|| model.predict(black_box(frame)));
        });

        group.bench_with_input(
            BenchmarkId::new("score_and_reasons", size),
            &frame,
            |bencher, frame| {
                bencher.iter(|| {
                    let batch = model.score(black_box(frame))?;
                    for row in 0..batch.len() {
                        if let RowOutcome::Scored(scored) = batch.row(row) {
                            black_box((scored.score, scored.reasons()));
                        }
                    }

                    Ok::<_, limit_increase_scoring::ScoringError>(batch.len())
                });
            },
        );
    }

    group.finish();
    criterion.final_summary();
    Ok(())
}
