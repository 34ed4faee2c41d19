//! `train-sagemaker`: writes the files of a SageMaker job with the same trainer, and shows the
//! commands that run it.

use anyhow::Result;
use chrono::Utc;

use crate::cli::SageMakerArgs;
use limit_increase::local::Context;
use limit_increase::local::write_whole;
use limit_increase::model::sagemaker::{Job, pack_source};
use limit_increase::model::{self, Training};

pub(super) fn run(context: &Context, arguments: &SageMakerArgs) -> Result<()> {
    let training = Training {
        data: arguments.table.data.clone().map(std::path::absolute).transpose()?,
        options: super::train::options(&arguments.table),
        force: false,
    };

    let name = arguments
        .job
        .clone()
        .unwrap_or_else(|| Utc::now().format("limit-increase-%Y%m%d-%H%M%S").to_string());
    let directory = match &arguments.output {
        Some(directory) => std::path::absolute(directory)?,
        None => context.home.root().join("sagemaker").join(&name),
    };

    let job = Job {
        data: model::table(context, &training)?,
        options: model::arguments(context, &training),
        region: arguments.region.clone(),
        bucket: arguments.bucket.clone(),
        role: arguments.role.clone(),
        image: arguments.image.clone(),
        instance: arguments.instance.clone(),
        name,
        directory,
    };

    let request = job.request()?;
    write_whole(&job.directory.join("sourcedir.tar.gz"), &pack_source(&context.project)?)?;
    write_whole(&job.directory.join("request.json"), &serde_json::to_vec_pretty(&request)?)?;
    let steps = job.steps();
    let ui = &context.ui;
    ui.heading("SageMaker training job");
    ui.line(format!(
        "  {} in {}; request and packed trainer are in {}",
        job.name,
        job.region,
        job.directory.display()
    ));

    ui.line("  Nothing was started. These commands run the job, one after the other:\n");
    for step in &steps {
        ui.line(format!("# {}\n{}", step.what, step.command));
    }

    ui.json(&serde_json::json!({
        "job": job.name,
        "directory": job.directory,
        "request": request,
        "steps": steps,
    }))
}
