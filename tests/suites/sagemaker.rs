//! Runs the SageMaker job that the command line describes, as SageMaker would: with the packed
//! trainer, the request's hyperparameters and the channel's directory. Then it runs the printed
//! commands.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;
use std::process::Command;

use limit_increase::local::Context;
use limit_increase::local::Venv;
use limit_increase::local::python;
use limit_increase::model::sagemaker::{Job, pack_source};
use limit_increase::model::{self, Training};
use limit_increase_artifact::Artifact;
use serde_json::{Map, Value};

fn succeed(command: &mut Command) {
    let output = command.output().expect("it can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The hyperparameters as SageMaker's toolkit reads them: parsed if they are JSON, and without the
/// toolkit's own.
fn hyperparameters(request: &Value) -> Map<String, Value> {
    let given = request["HyperParameters"].as_object().expect("an object");
    let read = |(name, value): (&String, &Value)| {
        let text = value.as_str().expect("SageMaker takes strings only");
        (name.clone(), serde_json::from_str(text).unwrap_or_else(|_| value.clone()))
    };

    given.iter().filter(|(name, _)| !name.starts_with("sagemaker_")).map(read).collect()
}

fn unpack(archive: &Path, directory: &Path) {
    std::fs::create_dir_all(directory).unwrap();
    succeed(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(directory));
}

#[test]
fn the_job_makes_an_artifact_that_the_functions_take() {
    let root =
        std::env::temp_dir().join(format!("limit-increase-sagemaker-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    let context = Context::isolated(root.join("home")).unwrap();
    python::ensure_venv(&context.project, Venv::Training, &context.ui).unwrap();
    let training = Training {
        options: vec!["--iterations".to_owned(), "20".to_owned(), "--depth=3".to_owned()],
        ..Training::default()
    };

    let job = Job {
        name: "a-job".to_owned(),
        region: "eu-west-1".to_owned(),
        bucket: "models".to_owned(),
        role: None,
        image: None,
        instance: "ml.m5.large".to_owned(),
        data: model::table(&context, &training).unwrap(),
        options: model::arguments(&context, &training),
        directory: root.join("out"),
    };

    let request = job.request().unwrap();
    let steps = job.steps();

    // Copies the files to where SageMaker would find the uploads.
    let (code, channel, result) = (root.join("code"), root.join("channel"), root.join("result"));
    for directory in [&job.directory, &channel, &result] {
        std::fs::create_dir_all(directory).unwrap();
    }

    std::fs::write(job.directory.join("sourcedir.tar.gz"), pack_source(&context.project).unwrap())
        .unwrap();
    unpack(&job.directory.join("sourcedir.tar.gz"), &code);
    for file in [job.data.clone(), context.project.root().join("training/sample_descriptions.json")]
    {
        std::fs::copy(&file, channel.join(file.file_name().unwrap())).unwrap();
    }

    let program = request["HyperParameters"]["sagemaker_program"]
        .as_str()
        .unwrap()
        .trim_matches('"')
        .to_owned();
    succeed(
        Command::new(context.project.venv_program(Venv::Training, "python"))
            .arg(code.join(program))
            .env("SM_CHANNEL_TRAINING", &channel)
            .env("SM_MODEL_DIR", &result)
            .env("SM_NUM_CPUS", "1")
            .env("SM_HPS", Value::Object(hyperparameters(&request)).to_string()),
    );

    // SageMaker packs the directory with its own entry. The printed commands make the artifact from
    // that.
    succeed(
        Command::new("tar")
            .arg("-czf")
            .arg(job.directory.join("model.tar.gz"))
            .arg("-C")
            .arg(&result)
            .arg("."),
    );

    for what in ["unpack it", "pack the artifact"] {
        let step = steps.iter().find(|step| step.what == what).expect("the step is there");
        succeed(Command::new("sh").arg("-c").arg(&step.command));
    }

    let artifact =
        Artifact::open(&std::fs::read(job.directory.join("catboost_model.tar.gz")).unwrap())
            .unwrap();
    assert!(artifact.manifest.inputs().len() > 5, "{:?}", artifact.manifest.inputs());
    std::fs::remove_dir_all(&root).unwrap();
}
