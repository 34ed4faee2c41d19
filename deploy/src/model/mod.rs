//! Trains the model when its inputs have changed, checks it, and uploads it for the functions.

pub mod sagemaker;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use limit_increase_artifact::Artifact;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::aws::{Aws, storage};
use crate::customers::portfolio;
use crate::local::Context;
use crate::local::python;
use crate::local::{Venv, write_whole};
use crate::terminal::Problem;
use limit_increase_domain::{SourceColumn, sha256_hex};

pub use limit_increase_workflow::keys::{DEFAULT_BUCKET as BUCKET, DEFAULT_MODEL_KEY as KEY};

/// What to train the model on.
#[derive(Debug, Clone, Default)]
pub struct Training {
    /// The user's own table; `None` stands for the sample portfolio.
    pub data: Option<PathBuf>,
    /// Further options of `train.py`, each one word.
    pub options: Vec<String>,
    /// Whether to train even if no input has changed.
    pub force: bool,
}

/// A trained model in the home, with the record of its training.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TrainedModel {
    /// SHA-256 of the inputs of the training: the data, the options and the trainer's source.
    pub inputs_sha256: String,
    /// SHA-256 of the model's archive.
    pub sha256: String,
    /// The JSON report that `train.py` printed.
    pub report: Value,
    /// Whether this call trained the model; false when it was up to date.
    #[serde(skip)]
    pub fresh: bool,
}

/// Trains the model, unless it was trained from the same inputs before.
pub fn train(context: &Context, training: &Training) -> Result<TrainedModel> {
    let data = table(context, training)?;
    let arguments = arguments(context, training);
    let inputs_sha256 = inputs_sha256(context, &data, &arguments)?;
    let mut task = context.ui.task("Model");
    if !training.force
        && let Some(known) = trained(context)?
        && known.inputs_sha256 == inputs_sha256
    {
        task.done("is up to date with its data and options");
        return Ok(known);
    }

    python::ensure_venv(&context.project, Venv::Training, &context.ui)?;
    task.phase(match &training.data {
        Some(path) => format!("training on {}", path.display()),
        None => {
            format!(
                "training on {} generated customers",
                crate::terminal::thousands(portfolio::TRAINING_CUSTOMERS.into())
            )
        }
    });

    let model = context.home.model();
    context.home.make(model.parent().unwrap_or(Path::new(".")))?;
    let mut command = Command::new(context.project.venv_program(Venv::Training, "python"));
    command
        .arg(context.project.root().join("training/train.py"))
        .arg("--data")
        .arg(&data)
        .args(&arguments);
    command.arg("--output").arg(&model).arg("--json");
    // If the training fails now, the old record would describe a model that may be overwritten.
    let _ = std::fs::remove_file(context.home.training_record());
    let report = run_trainer(&mut command, &task)?;
    let content =
        std::fs::read(&model).with_context(|| format!("cannot read {}", model.display()))?;
    let trained = TrainedModel { inputs_sha256, sha256: sha256_hex(&content), report, fresh: true };
    open(&content, &model.display().to_string())?;
    write_whole(&context.home.training_record(), &serde_json::to_vec_pretty(&trained)?)?;
    task.done(format!(
        "trained: Gini {:.3} on {} held-out rows",
        trained.report["training"]["gini"].as_f64().unwrap_or_default(),
        crate::terminal::thousands(
            trained.report["training"]["validation_rows"].as_u64().unwrap_or_default()
        )
    ));

    Ok(trained)
}

/// The path of the table to train on. Without a table of the user's own, the sample portfolio is
/// written into the home.
pub fn table(context: &Context, training: &Training) -> Result<PathBuf> {
    if let Some(path) = &training.data {
        return Ok(path.clone());
    }

    // The generator always writes the same bytes, so writing the file again changes nothing.
    portfolio::write_training_file(&context.home.portfolio())?;
    Ok(context.home.portfolio())
}

/// The options of `train.py`, with those that the sample portfolio needs.
#[must_use]
pub fn arguments(context: &Context, training: &Training) -> Vec<String> {
    if training.data.is_some() {
        return training.options.clone();
    }

    let descriptions = context.project.root().join("training/sample_descriptions.json");
    let mut arguments: Vec<String> =
        ["--target", portfolio::TARGET, "--positive", portfolio::POSITIVE, "--descriptions"]
            .map(str::to_owned)
            .to_vec();
    arguments.push(descriptions.display().to_string());
    arguments.extend(training.options.iter().cloned());
    arguments
}

/// The SHA-256 of everything that the model depends on: data, options, and the trainer's source.
fn inputs_sha256(context: &Context, data: &Path, arguments: &[String]) -> Result<String> {
    let mut hasher = Sha256::new();
    let mut add = |part: &[u8]| {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    };

    add(&std::fs::read(data).map_err(|error| {
        Problem::usage(format!("cannot read the training data: {error}"))
            .at(data.display().to_string())
            .next("give the path of a CSV, CSV.gz or Parquet file with --data")
    })?);
    for argument in arguments {
        // Where an option names a file, the content of the file is the input, not its path.
        add(&std::fs::read(argument).unwrap_or_else(|_| argument.clone().into_bytes()));
    }

    let training = context.project.root().join("training");
    let mut sources = vec![training.join("train.py"), training.join("requirements.txt")];
    let modules = std::fs::read_dir(training.join("limit_training"))
        .context("training/limit_training is missing")?;
    sources.extend(
        modules
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some("py".as_ref())),
    );

    sources.sort();
    for source in sources {
        add(&std::fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?);
    }

    Ok(hex::encode(hasher.finalize()))
}

/// Runs `train.py --json` and returns its report.
///
/// # Errors
/// With the words of `train.py` when it fails.
fn run_trainer(command: &mut Command, task: &crate::terminal::Task) -> Result<Value> {
    let output = match python::run_shown(command, task) {
        Ok(output) => output,
        Err(error) => return Err(trainer_error(error)),
    };

    serde_json::from_str(output.trim()).context("train.py did not print one JSON object")
}

/// The `error:`, `where:` and `next:` lines of the trainer as a `Problem`, with its line for each
/// column that cannot be used.
fn trainer_error(error: anyhow::Error) -> anyhow::Error {
    let said = Problem::of(&error).next.unwrap_or_default();
    let part = |label: &str| {
        said.lines()
            .find_map(|line| line.trim().strip_prefix(label))
            .map(|text| text.trim().to_owned())
    };

    let columns: String = said
        .lines()
        .filter(|line| line.starts_with("  - "))
        .flat_map(|line| ["\n", line])
        .collect();

    match (part("error:"), part("next:")) {
        (Some(what), Some(next)) => {
            let mut problem =
                Problem::usage(format!("the model was not trained: {what}{columns}")).next(next);
            problem.place = part("where:");
            problem.into()
        }
        _ => error.context("the model was not trained"),
    }
}

/// The model in the home, if the home has one and its record describes it.
pub fn trained(context: &Context) -> Result<Option<TrainedModel>> {
    let Ok(record) = std::fs::read(context.home.training_record()) else { return Ok(None) };
    let Ok(content) = std::fs::read(context.home.model()) else { return Ok(None) };
    // A record that cannot be read is ignored: the only result is that the model is trained again.
    let Ok(known) = serde_json::from_slice::<TrainedModel>(&record) else { return Ok(None) };
    Ok((known.sha256 == sha256_hex(&content)).then_some(known))
}

/// Uploads the model of the home, unless the bucket has the same bytes. Returns whether it was
/// uploaded.
pub async fn upload(context: &Context, aws: &Aws, bucket: &str) -> Result<bool> {
    let path = context.home.model();
    let content = Bytes::from(
        std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
    );

    let task = context.ui.task("Upload");
    if aws.local {
        storage::ensure_bucket(aws, bucket).await?;
    }

    // A model is small, so comparing all its bytes is simpler than interpreting an ETag.
    let existing = storage::get(&aws.s3, bucket, KEY).await?;
    if existing.as_ref() == Some(&content) {
        task.done(format!("s3://{bucket}/{KEY} is this model"));
        return Ok(false);
    }

    storage::put(&aws.s3, bucket, KEY, content).await?;
    task.done(format!("model put at s3://{bucket}/{KEY}"));
    Ok(true)
}

/// Makes sure that the functions have a model. The model of the home is uploaded if there is one.
/// Otherwise a model in S3 is kept, and without any model one is trained.
pub(crate) async fn ensure(context: &Context, aws: &Aws) -> Result<()> {
    if context.home.model().exists() {
        upload(context, aws, BUCKET).await?;
        return Ok(());
    }

    if storage::get(&aws.s3, BUCKET, KEY).await?.is_some() {
        return Ok(());
    }

    let (shared, training) = (context.clone(), Training::default());
    tokio::task::spawn_blocking(move || train(&shared, &training)).await??;
    upload(context, aws, BUCKET).await?;
    Ok(())
}

/// The source columns of the current model, which is the home's, or else the one in S3. `None` when
/// there is no model yet.
pub async fn columns(context: &Context, aws: Option<&Aws>) -> Result<Option<Vec<SourceColumn>>> {
    let path = context.home.model();
    if path.exists() {
        return columns_of(&path).map(Some);
    }

    let Some(aws) = aws else { return Ok(None) };
    match storage::get(&aws.s3, BUCKET, KEY).await? {
        Some(content) => source_columns(&content, &format!("s3://{BUCKET}/{KEY}")).map(Some),
        None => Ok(None),
    }
}

/// The source columns of the artifact in this file.
///
/// # Errors
/// When there is no such file, or it is no model.
pub fn columns_of(path: &Path) -> Result<Vec<SourceColumn>> {
    let content = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    source_columns(&content, &path.display().to_string())
}

/// Opens the model's archive and checks it; `place` is named in the error.
fn open(content: &[u8], place: &str) -> Result<Artifact> {
    Artifact::open(content).map_err(|error| {
        Problem::new(format!("the model cannot be used: {error}"))
            .at(place.to_owned())
            .next("train it anew: limit-increase train --force")
            .into()
    })
}

fn source_columns(content: &[u8], place: &str) -> Result<Vec<SourceColumn>> {
    Ok(open(content, place)?.manifest.source_columns())
}
