//! Prepares a SageMaker training job with the same trainer: packs its source, writes its request,
//! and lists the commands that run it.
//!
//! Nothing here calls AWS, because a person has to decide about the cost and the role of the job.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::local::Project;
use crate::model::KEY;
use crate::terminal::Problem;

/// The script that the job starts.
const ENTRY: &str = "sagemaker_entry.py";
/// The time after which SageMaker stops the job, in seconds. The training itself takes minutes.
const MAX_RUNTIME_SECONDS: u32 = 3600;
/// The longest value of a hyperparameter that SageMaker takes, in characters.
const MAX_VALUE_CHARS: usize = 2_500;

/// A training job to prepare.
#[derive(Debug, Clone)]
pub struct Job {
    /// The name of the job, unique in the account and region.
    pub name: String,
    /// The AWS region in which the job runs.
    pub region: String,
    /// The bucket of the job's files and of the model.
    pub bucket: String,
    /// The ARN of the role that the job runs as; when `None`, the command reads it from `ROLE`.
    pub role: Option<String>,
    /// The container image; `None` stands for the PyTorch image of AWS.
    pub image: Option<String>,
    /// The type of the machine, for example `ml.m5.large`.
    pub instance: String,
    /// The path of the table to train on.
    pub data: PathBuf,
    /// The options of `train.py`, each one word or two.
    pub options: Vec<String>,
    /// The local directory for the packed source and the request.
    pub directory: PathBuf,
}

/// One command of the job, with its purpose.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// The purpose of the command, for example "start the job".
    pub what: &'static str,
    /// The command line for a POSIX shell.
    pub command: String,
}

impl Job {
    fn prefix(&self) -> String {
        format!("s3://{}/training/{}", self.bucket, self.name)
    }

    /// The container image. AWS's PyTorch image has Python 3.11, for which requirements.txt was
    /// resolved. PyTorch itself is not used.
    fn image(&self) -> String {
        self.image.clone().unwrap_or_else(|| {
            format!(
                "763104351884.dkr.ecr.{}.amazonaws.com/\
                 pytorch-training:2.5.1-cpu-py311-ubuntu22.04-sagemaker",
                self.region
            )
        })
    }

    /// The request of `aws sagemaker create-training-job`.
    ///
    /// # Errors
    /// When an option does not have the form `--name=value` or `--name value`, or when its value is
    /// too long for SageMaker.
    pub fn request(&self) -> Result<Value> {
        let mut hyperparameters = BTreeMap::new();
        for (name, values) in hyperparameters_of(&self.options)? {
            // The toolkit reads a value as JSON if it can. As a JSON string, "01" does not become a
            // number and "true" stays a word.
            let value = match values.as_slice() {
                [one] => json!(one),
                several => json!(several),
            };

            hyperparameters.insert(name, value.to_string());
        }

        if let Some(descriptions) = self.descriptions() {
            hyperparameters
                .insert("descriptions".to_owned(), json!(file_name(&descriptions)).to_string());
        }

        hyperparameters.insert("data-file".to_owned(), json!(file_name(&self.data)).to_string());
        hyperparameters.insert("sagemaker_program".to_owned(), json!(ENTRY).to_string());
        let source = format!("{}/sourcedir.tar.gz", self.prefix());
        hyperparameters.insert("sagemaker_submit_directory".to_owned(), json!(source).to_string());
        if let Some((name, _)) =
            hyperparameters.iter().find(|(_, value)| value.chars().count() > MAX_VALUE_CHARS)
        {
            return Err(Problem::usage(format!(
                "--{name} is too long for SageMaker, which takes {MAX_VALUE_CHARS} characters"
            ))
            .next(
                "for descriptions give a file; for columns leave out those that the default \
                 would take anyway",
            )
            .into());
        }

        let mut request = json!({
            "TrainingJobName": self.name,
            "AlgorithmSpecification": {"TrainingImage": self.image(), "TrainingInputMode": "File"},
            "HyperParameters": hyperparameters,
            "InputDataConfig": [{
                "ChannelName": "training",
                "ContentType": "text/csv",
                "DataSource": {"S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": format!("{}/data/", self.prefix()),
                    "S3DataDistributionType": "FullyReplicated",
                }},
            }],
            "OutputDataConfig": {"S3OutputPath": format!("{}/output/", self.prefix())},
            "ResourceConfig": {
                "InstanceType": self.instance,
                "InstanceCount": 1,
                "VolumeSizeInGB": 10,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": MAX_RUNTIME_SECONDS},
            "EnableInterContainerTrafficEncryption": false,
        });

        if let Some(role) = &self.role {
            request["RoleArn"] = json!(role);
        }

        Ok(request)
    }

    /// The file of descriptions, if the option names an existing file.
    fn descriptions(&self) -> Option<PathBuf> {
        let given = hyperparameters_of(&self.options).ok()?;
        let value = given.get("descriptions")?.last()?;
        let path = PathBuf::from(value);
        path.is_file().then_some(path)
    }

    /// The commands that run the job, in the order in which a person runs them.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let (prefix, name, region) = (self.prefix(), &self.name, &self.region);
        let at = |file: &str| quoted(&self.directory.join(file).display().to_string());
        let step = |what, command| Step { what, command };
        let mut steps = vec![
            step(
                "upload the trainer",
                format!("aws s3 cp {} {prefix}/sourcedir.tar.gz", at("sourcedir.tar.gz")),
            ),
            step("upload the table", upload(&self.data, &prefix)),
        ];

        if let Some(descriptions) = self.descriptions() {
            steps.push(step("upload the descriptions", upload(&descriptions, &prefix)));
        }

        let role = if self.role.is_some() {
            ""
        } else {
            " --role-arn \"${ROLE:?set it to the ARN of a role that SageMaker may assume}\""
        };

        let archive = format!("{prefix}/output/{name}/output/model.tar.gz");
        steps.extend([
            step(
                "start the job",
                format!(
                    "aws sagemaker create-training-job --region {region}{role} \
                     --cli-input-json file://{}",
                    at("request.json")
                ),
            ),
            step(
                "wait for its end",
                format!(
                    "aws sagemaker wait training-job-completed-or-stopped --region {region} \
                     --training-job-name {name}"
                ),
            ),
            step(
                "see how it ended",
                format!(
                    "aws sagemaker describe-training-job --region {region} \
                     --training-job-name {name} --query '[TrainingJobStatus,FailureReason]'"
                ),
            ),
            step(
                "read its log",
                format!(
                    "aws logs tail /aws/sagemaker/TrainingJobs --region {region} \
                     --log-stream-name-prefix {name}"
                ),
            ),
            step("fetch the model", format!("aws s3 cp {archive} {}", at("model.tar.gz"))),
            // SageMaker packs the model in its own way; the functions take exactly three files.
            step(
                "unpack it",
                format!("mkdir -p {0} && tar -xzf {1} -C {0}", at("model"), at("model.tar.gz")),
            ),
            step(
                "pack the artifact",
                format!(
                    "COPYFILE_DISABLE=1 tar --format=ustar -czf {} -C {} \
                     manifest.json model.json model.onnx",
                    at("catboost_model.tar.gz"),
                    at("model")
                ),
            ),
            step(
                "put it where the functions read it",
                format!("aws s3 cp {} s3://{}/{KEY}", at("catboost_model.tar.gz"), self.bucket),
            ),
        ]);

        steps
    }
}

/// The command that uploads a file into the job's data.
fn upload(file: &Path, prefix: &str) -> String {
    format!(
        "aws s3 cp {} {}",
        quoted(&file.display().to_string()),
        quoted(&format!("{prefix}/data/{}", file_name(file)))
    )
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The word in quotes where a POSIX shell needs them.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:+=@%,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The options by name, each with its values. An option is `--name=value` or `--name value`.
fn hyperparameters_of(options: &[String]) -> Result<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut words = options.iter();
    while let Some(word) = words.next() {
        let (name, value) = match (word.strip_prefix("--"), word.split_once('=')) {
            (Some(_), Some((name, value))) => {
                (name.trim_start_matches('-'), Some(value.to_owned()))
            }
            (Some(name), None) => (name, words.next().cloned()),
            (None, _) => ("", None),
        };

        let value = value.filter(|_| !name.is_empty()).ok_or_else(|| {
            Problem::usage(format!("{word:?} is not an option with a value"))
                .next("write --name=value, as train.py --help lists them")
        })?;

        found.entry(name.to_owned()).or_default().push(value);
    }

    Ok(found)
}

/// Packs the trainer into a `tar.gz` archive for SageMaker's toolkit. The toolkit installs
/// `requirements.txt`, which lies beside the entry script, before it starts the script.
///
/// # Errors
/// When a file of the trainer cannot be read.
pub fn pack_source(project: &Project) -> Result<Vec<u8>> {
    let training = project.root().join("training");
    let mut files: Vec<PathBuf> =
        [ENTRY, "train.py", "requirements.txt"].map(|name| training.join(name)).to_vec();
    let modules = std::fs::read_dir(training.join("limit_training"))
        .context("training/limit_training is missing")?;
    files.extend(
        modules
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension() == Some("py".as_ref())),
    );

    files.sort();
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::default()));
    for file in files {
        let content =
            std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let name = file.strip_prefix(&training).unwrap_or(&file);
        // Times and owners are left out, so that the same source always gives the same archive.
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content.as_slice())?;
    }

    Ok(archive.into_inner()?.finish()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::testing::TempDir;

    fn job(options: &[&str]) -> Job {
        Job {
            name: "limit-increase-20261124t020000".to_owned(),
            region: "eu-west-1".to_owned(),
            bucket: "my-models".to_owned(),
            role: Some("arn:aws:iam::123456789012:role/Training".to_owned()),
            image: None,
            instance: "ml.m5.large".to_owned(),
            data: "data/my loans.csv".into(),
            options: options.iter().map(|word| (*word).to_owned()).collect(),
            directory: "out".into(),
        }
    }

    #[test]
    fn the_request_says_it_all() {
        let request =
            job(&["--target=defaulted", "--positive", "01", "--param=a=1", "--param=b=true"])
                .request()
                .unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&request).unwrap());
    }

    #[test]
    fn the_commands_can_be_pasted() {
        let steps = job(&["--target=defaulted", "--positive=1"]).steps();
        let shown: Vec<String> =
            steps.iter().map(|step| format!("# {}\n{}", step.what, step.command)).collect();
        insta::assert_snapshot!(shown.join("\n"));
    }

    #[test]
    fn without_a_role_the_shell_asks_for_one() {
        let job = Job { role: None, ..job(&[]) };
        assert!(job.request().unwrap().get("RoleArn").is_none());
        assert!(job.steps().iter().any(|step| step.command.contains("${ROLE:?")));
    }

    #[test]
    fn a_file_of_descriptions_goes_to_the_channel() {
        let place = TempDir::new("sagemaker");
        let file = place.path().join("texts.json");
        std::fs::write(&file, "{}").unwrap();
        let job = job(&[&format!("--descriptions={}", file.display())]);
        assert_eq!(job.request().unwrap()["HyperParameters"]["descriptions"], "\"texts.json\"");
        assert!(job.steps().iter().any(|step| step.command.ends_with("/data/texts.json")));
    }

    #[test]
    fn an_option_without_a_value_is_named() {
        for wrong in [&["--target"][..], &["target", "x"], &["-t", "x"]] {
            let problem = Problem::of(&job(wrong).request().unwrap_err());
            assert!(problem.what.contains(wrong[0]), "{problem}");
        }

        let long = format!("--features={}", "column,".repeat(500));
        assert!(Problem::of(&job(&[&long]).request().unwrap_err()).what.contains("--features"));
    }

    #[test]
    fn the_packed_source_is_the_trainer_and_always_the_same() {
        let project = Project::discover().unwrap();
        let packed = pack_source(&project).unwrap();
        assert_eq!(packed, pack_source(&project).unwrap());
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(packed.as_slice()));
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect();
        for name in ["sagemaker_entry.py", "train.py", "requirements.txt", "limit_training/fit.py"]
        {
            assert!(names.contains(&name.to_owned()), "{name} is not in {names:?}");
        }

        assert!(!names.iter().any(|name| name.contains("test")), "{names:?}");
    }
}
