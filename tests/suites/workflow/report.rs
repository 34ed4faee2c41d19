//! The report of a run: the page, its figures, and the command that shows it.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use limit_increase::local::Venv;
use limit_increase::model::KEY;
use limit_increase_artifact::Artifact;
use limit_increase_tests::environment::Environment;
use limit_increase_workflow::keys::{Stage, report_page_key};
use limit_increase_workflow::{RunId, RunRequest};
use serde_json::Value;

/// A page may have so many bytes, whatever the run.
const MAX_PAGE_BYTES: usize = 300_000;

/// A run of several shards, with customers who are referred and inputs that have drifted. Each
/// figure of its page is what DuckDB counts in the Parquet files.
pub(crate) fn every_figure_of_the_report_is_what_duckdb_counts_in_the_records(
    environment: &Environment,
) -> Result<()> {
    environment.reset_to(3_000)?;
    let client = environment.database()?;
    environment.block_on(client.batch_execute(
        "DELETE FROM customer_features WHERE customer_id LIKE '%7';
         UPDATE customer_features SET utilisation = NULL WHERE customer_id LIKE '%3';
         UPDATE customer_features SET residential_status = 'houseboat' WHERE customer_id LIKE '%51'",
    ))?;

    let request = RunRequest { limit: None, shard_size: 400, ..RunRequest::default() };
    let run = environment.run_well(&request)?;
    let directory = environment.context.home.root().join("report");
    let answer = environment.command_json(&[
        "report",
        run.as_str(),
        "--output",
        directory.to_str().context("a path that is text")?,
    ])?;
    let page = directory.join(format!("{run}.html"));
    ensure!(answer["page"] == page.to_string_lossy().as_ref(), "the answer names the page");
    std::fs::rename(&page, directory.join("report.html"))?;
    let bytes = environment.object(&report_page_key(&run))?.len();
    ensure!(bytes <= MAX_PAGE_BYTES, "the page has {bytes} bytes");

    ensure_drift_is_told(&answer)?;
    save_records(environment, &run, &directory)?;
    let minimum = answer["report"]["summary"]["policy"]["minimum_score"].to_string();
    let project = &environment.context.project;
    let output = Command::new(project.venv_program(Venv::Training, "python"))
        .arg(project.root().join("tests/parquet/compare_report.py"))
        .arg(&directory)
        .arg(minimum)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the page and the records differ: {said}");
    Ok(())
}

fn ensure_drift_is_told(answer: &Value) -> Result<()> {
    let inputs = answer["report"]["drift"]["inputs"].as_array().context("the drift is known")?;
    let of = |name: &str| inputs.iter().find(|input| input["source_column"] == name);
    let utilisation = of("utilisation").context("an input of the sample's model")?;
    let (value, limit) = (&utilisation["csi"]["value"], &utilisation["csi"]["without_drift"]);
    ensure!(value.as_f64() > limit.as_f64(), "a tenth is missing: {utilisation}");
    let residence = of("residential_status").context("an input of the sample's model")?;
    ensure!(residence["unseen"].as_f64() > Some(0.0), "a value is unknown: {residence}");
    Ok(())
}

/// Saves the Parquet files of a run, and the manifest of its model.
fn save_records(environment: &Environment, run: &RunId, directory: &Path) -> Result<()> {
    let artifact = Artifact::open(&environment.object(KEY)?)?;
    std::fs::write(directory.join("manifest.json"), serde_json::to_vec(&artifact.manifest)?)?;

    for stage in [Stage::Customers, Stage::ScoredCustomers, Stage::Evaluations, Stage::Results] {
        let keys = environment.keys(&stage.prefix(run))?;
        for (number, key) in keys.iter().filter(|key| key.ends_with(".parquet")).enumerate() {
            let path = directory.join(format!("{}-{number}.parquet", stage.folder()));
            std::fs::write(path, environment.object(key)?)?;
        }
    }

    Ok(())
}

/// A model of the first version of the manifest still scores, and its report says what it lacks.
pub(crate) fn a_model_without_a_profile_still_decides_and_drift_is_not_known(
    environment: &Environment,
) -> Result<()> {
    environment.reset()?;
    let model = environment.object(KEY)?;
    environment.put_object(KEY, first_version(&model)?)?;
    let decided = environment.run_well(&RunRequest::default());
    environment.put_object(KEY, model)?;

    let run = decided?;
    let page = environment.object(&report_page_key(&run))?;
    let page = std::str::from_utf8(&page)?;
    ensure!(page.contains("have drifted is not known"), "{page}");
    ensure!(page.contains("20 customers: "), "{page}");
    Ok(())
}

/// The same model in an archive as the first version of the trainer wrote it.
fn first_version(model: &[u8]) -> Result<Vec<u8>> {
    let Artifact { mut manifest, onnx, model_json, .. } = Artifact::open(model)?;
    manifest.schema_version = 1;
    manifest.profile = None;
    let manifest = serde_json::to_vec(&manifest)?;

    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, content) in
        [("manifest.json", &manifest), ("model.json", &model_json), ("model.onnx", &onnx)]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_slice())?;
    }

    Ok(archive.into_inner()?.finish()?)
}
