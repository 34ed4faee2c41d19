//! The definition of the command line: its commands, its options, and their help.

use std::path::PathBuf;

use chrono::NaiveDate;
use clap::{Args, Parser, Subcommand, ValueEnum};

use limit_increase::deployment::build::Architecture;
use limit_increase::deployment::stack;
use limit_increase::local::state::Runtime;
use limit_increase::remote::Place;
use limit_increase::terminal::Problem;

const EXAMPLES: &str = "\
Examples:
  limit-increase run                     everything, from a fresh clone to decisions in the table
  limit-increase run --limit all         all eligible customers instead of 20
  limit-increase results                 what was decided, and why
  limit-increase train --data loans.csv --target defaulted --positive 1
  limit-increase setup-db --data loans.csv --id-column id --score-column score --limit-column limit
  limit-increase deploy --target aws --artifact-bucket my-artifacts \\
      --database-secret-arn arn:aws:...
  limit-increase status --target aws     the stack, its schedule, its alarms, its last runs

Each command first prepares what it needs, and does not repeat what is already done.
Exit codes: 0 done, 1 failed, 2 wrong command line or data, 3 the run failed.";

/// Nightly credit-limit increases: the local AWS, the model, the data, the deployment, the runs.
#[derive(Debug, Parser)]
#[command(name = "limit-increase", version, about, after_help = EXAMPLES, max_term_width = 110)]
pub(crate) struct Cli {
    /// Answer with one JSON object on standard output, and show no progress
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// The local environment's directory [default: .local in the project]
    #[arg(long, global = true, env = "LIMIT_INCREASE_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// The options that say how the local services run.
    #[command(flatten)]
    pub(crate) services: ServiceArgs,
    /// The command to run.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The options that say how the local services run.
#[derive(Debug, Args)]
#[command(next_help_heading = "Local services")]
pub(crate) struct ServiceArgs {
    /// Run the services as processes of this machine, or in Docker
    #[arg(long, global = true, env = "RUNTIME", value_enum)]
    pub(crate) runtime: Option<Runtime>,
    /// Use this PostgreSQL instead of the embedded one
    #[arg(long, global = true, env = "DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub(crate) database_url: Option<String>,
    /// Port of the embedded PostgreSQL [default: 5432]; the next free one is taken if it
    /// is in use
    #[arg(long, global = true, env = "POSTGRES_PORT", value_name = "PORT")]
    pub(crate) postgres_port: Option<u16>,
    /// Port of LocalStack [default: 4566]; the next free one is taken if it is in use
    #[arg(long, global = true, env = "LOCALSTACK_PORT", value_name = "PORT")]
    pub(crate) localstack_port: Option<u16>,
}

/// The commands of the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the local AWS and PostgreSQL
    Start,
    /// Train the credit model and put it where the functions read it
    Train(TrainArgs),
    /// Write the request of a SageMaker job with the same trainer, and print the commands that run
    /// it
    TrainSagemaker(SageMakerArgs),
    /// Make the tables and fill them with customers
    SetupDb(SetupDbArgs),
    /// Build the functions and deploy the stack
    Deploy(DeployArgs),
    /// Run the workflow and follow it, after preparing what is missing
    Run(RunArgs),
    /// Resume a failed run where it ended, by a redrive
    Resume(ResumeArgs),
    /// Show what was decided
    Results(ResultsArgs),
    /// Show why a customer was decided so
    Explain(ExplainArgs),
    /// Score and decide a run again, and compare it with its record bit for bit
    Replay(ReplayArgs),
    /// Check that no run was changed, removed or put in
    Verify(VerifyArgs),
    /// Show the report of a run: drift, scores, money, declines, the last runs
    Report(ReportArgs),
    /// Compare policies on the customers of a run, and change nothing
    Compare(CompareArgs),
    /// Show how the stored scores turned out, by what became of the customers
    Backtest(BacktestArgs),
    /// Show what runs and what is deployed
    Status(StatusArgs),
    /// Stop the services; data and model stay
    Stop,
    /// Stop the services and remove the local environment's data
    Clean(CleanArgs),
    /// Check each service by using it
    TestServices,
    /// Show the nightly schedule and prove that an event starts a run
    TestSchedule(TestScheduleArgs),
    /// Run the job as a SageMaker pipeline: render, upsert, start, list, describe
    Pipeline(PipelineArgs),
    /// Run awslocal against this environment: limit-increase awslocal -- s3 ls
    Awslocal(AwslocalArgs),
}

/// Options of `train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase train
  limit-increase train --data applications.csv.gz --target Final_Decision --positive Decline \\
      --split-column split
  limit-increase train --data loans.csv --target defaulted --positive 1 \\
      -- --iterations 500 --depth 4
  limit-increase train --data loans.csv --target defaulted --positive 1 \\
      --limit-column limit --policy stricter.json -- --monotone income=-1
  limit-increase train --target-env aws --bucket my-models

Without --data the model is trained on a generated portfolio of 20,000 customers
(training/SAMPLE_PORTFOLIO.md).
The report says what the policy would do with the held-out rows. Another policy or limit column
alone does not train again.
Options after -- are passed on to training/train.py; see training/train.py --help.")]
pub(crate) struct TrainArgs {
    /// The table to train on, and the trainer's options.
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// The policy for the forecast [default: the policy in force, in the bucket]
    #[arg(long, value_name = "FILE.json")]
    pub(crate) policy: Option<PathBuf>,
    /// Column of the table with the current limit, for the money in the forecast
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) limit_column: Option<String>,
    /// Train even if data and options are the same as last time
    #[arg(long)]
    pub(crate) force: bool,
    /// Where to put the model: the local AWS, or the account that your AWS environment names
    #[arg(long = "target-env", value_enum, default_value_t = Target::Local, value_name = "TARGET")]
    pub(crate) environment: Target,
    /// Bucket of the model
    #[arg(long, default_value = limit_increase::model::BUCKET)]
    pub(crate) bucket: String,
}

/// The table to train on, and the trainer's options.
#[derive(Debug, Args)]
pub(crate) struct TableArgs {
    /// Your own table: CSV or CSV.gz with a header, or Parquet
    #[arg(long, value_name = "FILE", requires = "target", requires = "positive")]
    pub(crate) data: Option<PathBuf>,
    /// Column of the outcome
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) target: Option<String>,
    /// The outcome's value for the bad class, exactly as written
    #[arg(long, value_name = "VALUE", requires = "data")]
    pub(crate) positive: Option<String>,
    /// Columns to use [default: all but target, split, ids and dates]
    #[arg(long, value_name = "A,B,..", requires = "data")]
    pub(crate) features: Option<String>,
    /// Columns of codes to read as categories though they look numeric
    #[arg(long, value_name = "A,B,..", requires = "data")]
    pub(crate) categorical: Option<String>,
    /// Column that says which rows are held out
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) split_column: Option<String>,
    /// Features in plain words, for the reasons that customers read: a JSON file, or COL=TEXT,..
    #[arg(long, value_name = "FILE|COL=TEXT,..", requires = "data")]
    pub(crate) descriptions: Option<String>,
    /// More options for training/train.py
    #[arg(last = true, value_name = "OPTIONS")]
    pub(crate) more: Vec<String>,
}

/// Options of `train-sagemaker`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase train-sagemaker
  limit-increase train-sagemaker --role arn:aws:iam::123456789012:role/Training \\
      --bucket my-models --region eu-west-1 \\
      --data loans.csv --target defaulted --positive 1 -- --iterations 500

Packs the trainer, writes the request of a SageMaker training job, and prints the commands that
upload both, start and watch the job, and fetch its model. It starts nothing itself, because a job
costs money and the local AWS has no SageMaker.
Without --data the job trains on the generated portfolio, as `train` does.")]
pub(crate) struct SageMakerArgs {
    /// The table to train on, and the trainer's options.
    #[command(flatten)]
    pub(crate) table: TableArgs,
    /// Role that the job runs as: SageMaker may assume it, and it may read and write the bucket
    #[arg(long, value_name = "ARN")]
    pub(crate) role: Option<String>,
    /// Bucket of the job's files and of the model
    #[arg(long, default_value = limit_increase::model::BUCKET)]
    pub(crate) bucket: String,
    /// Region of the job
    #[arg(long, env = "AWS_REGION", default_value = limit_increase::aws::clients::LOCAL_REGION)]
    pub(crate) region: String,
    /// Container image with Python 3.11 and SageMaker's training toolkit [default: AWS's own for
    /// PyTorch, on CPU]
    #[arg(long, value_name = "URI")]
    pub(crate) image: Option<String>,
    /// Machine of the job
    #[arg(long, default_value = "ml.m5.large", value_name = "TYPE")]
    pub(crate) instance: String,
    /// The job's name [default: made from the time]
    #[arg(long, value_name = "NAME")]
    pub(crate) job: Option<String>,
    /// Directory for the packed trainer and the request [default: sagemaker/<job> in the home]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
}

/// The AWS that a command works with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Target {
    /// The local AWS.
    Local,
    /// The account that the AWS environment variables or profile name.
    Aws,
}

/// The options that say on which AWS, and on which stack there, a command works.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The local AWS, or the account that your AWS environment names
    #[arg(long, value_enum, default_value_t = Target::Local)]
    pub(crate) target: Target,
    /// Region of the stack [default: that of your AWS environment] (AWS)
    #[arg(long, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// A suffix of all names, for several stacks in one account: lower-case letters and digits, at
    /// most ten
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub(crate) stage: Option<String>,
    /// Name of the stack [default: limit-increase, and the stage]
    #[arg(long, value_name = "NAME")]
    pub(crate) stack_name: Option<String>,
}

impl PlaceArgs {
    /// The stack's name.
    pub(crate) fn stack_name(&self) -> String {
        match (&self.stack_name, &self.stage) {
            (Some(name), _) => name.clone(),
            (None, Some(stage)) => format!("{}-{stage}", stack::DEFAULT_NAME),
            (None, None) => stack::DEFAULT_NAME.to_owned(),
        }
    }

    /// The stack in an account, or `None` for the one of the local AWS, which has no choice.
    pub(crate) fn on_aws(&self) -> anyhow::Result<Option<Place>> {
        if self.target == Target::Aws {
            return Ok(Some(Place { stack_name: self.stack_name(), region: self.region.clone() }));
        }

        let names = [
            ("--region", &self.region),
            ("--stage", &self.stage),
            ("--stack-name", &self.stack_name),
        ];
        match names.iter().find(|(_, value)| value.is_some()) {
            Some((option, _)) => {
                let what =
                    format!("{option} names a stack on AWS, and the target is the local AWS");
                Err(Problem::usage(what).next("add --target aws, or leave the option out").into())
            }
            None => Ok(None),
        }
    }
}

/// Options of `setup-db`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase setup-db                        50 customers of the sample portfolio
  limit-increase setup-db --customers 1000000    a million of them
  limit-increase setup-db --reset                from the start, without decisions
  limit-increase setup-db --schema-only --database-url postgresql://.. --model catboost_model.tar.gz
                                                 the tables alone, in a database of your own
  limit-increase setup-db --data applications.csv.gz --id-column Account_Number \\
      --score-column Application_Score --limit-column Loan_Amount --date-column Application_Date

Customers who are already in the table keep their decisions. Features are the columns that the
current model reads; an empty field is NULL. After a bad row no customer is loaded, and the error
names the row. The sample is loaded only into a database on this machine, unless --sample asks
for it.")]
pub(crate) struct SetupDbArgs {
    /// Customers of the sample portfolio
    #[arg(long, value_name = "N", conflicts_with = "data")]
    pub(crate) customers: Option<u64>,
    /// Load the sample although the database is not on this machine
    #[arg(long, conflicts_with = "data")]
    pub(crate) sample: bool,
    /// Bring the tables and the features' columns up to date, and load nobody. With --database-url
    /// no local service is started
    #[arg(long, conflicts_with_all = ["customers", "sample", "reset", "data"])]
    pub(crate) schema_only: bool,
    /// The model whose features become columns, as an artifact [default: the current model]
    #[arg(long, value_name = "FILE.tar.gz", requires = "schema_only")]
    pub(crate) model: Option<PathBuf>,
    /// Empty the tables first; decisions go too, the ledger of runs stays
    #[arg(long)]
    pub(crate) reset: bool,
    /// Your own customers: CSV or CSV.gz with a header, or Parquet
    #[arg(long, value_name = "FILE", requires_all = ["id_column", "score_column", "limit_column"])]
    pub(crate) data: Option<PathBuf>,
    /// Show what would be loaded, by column, and write nothing
    #[arg(long, requires = "data", conflicts_with = "reset")]
    pub(crate) dry_run: bool,
    /// Column of the customer's key
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) id_column: Option<String>,
    /// Column of the current score
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) score_column: Option<String>,
    /// Column of the current limit
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) limit_column: Option<String>,
    /// Column of the application's date [default: today for all]
    #[arg(long, value_name = "COLUMN", requires = "data")]
    pub(crate) date_column: Option<String>,
    /// How dates are written, for example %d/%m/%Y [default: the form of the first date]
    #[arg(long, value_name = "FORMAT", requires = "date_column")]
    pub(crate) date_format: Option<String>,
    /// Lines above the header that are left out, as a note
    #[arg(long, value_name = "N", default_value_t = 0, requires = "data")]
    pub(crate) skip_lines: u64,
    /// Columns to load as features; a name with a comma stands in double quotes [default: those
    /// that the current model reads]
    #[arg(long, value_name = "A,B,..", requires = "data")]
    pub(crate) features: Vec<String>,
    /// Of --features, those that are categories although the current model does not say so
    #[arg(long, value_name = "A,B,..", requires = "features")]
    pub(crate) categorical: Vec<String>,
}

/// Options of `deploy`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase deploy
  limit-increase deploy --target aws --artifact-bucket my-artifacts \\
      --database-secret-arn arn:aws:secretsmanager:eu-central-1:123456789012:secret:scores \\
      --parameter SubnetIds=subnet-1,subnet-2 --parameter SecurityGroupIds=sg-1
  limit-increase deploy --target aws --nightly-limit all
  limit-increase deploy --stage test

A parameter that is not repeated keeps its value. On AWS the changes to an existing stack are shown first, and
a question is asked.")]
pub(crate) struct DeployArgs {
    /// The stack to create or to change.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Processor of the functions [default: this machine's locally, arm64 on AWS]
    #[arg(long, value_enum)]
    pub(crate) architecture: Option<Architecture>,
    /// Bucket for the functions' code and the state machine's definition (AWS)
    #[arg(long, value_name = "BUCKET")]
    pub(crate) artifact_bucket: Option<String>,
    /// Secrets Manager secret with the database's credentials (AWS)
    #[arg(long, value_name = "ARN")]
    pub(crate) database_secret_arn: Option<String>,
    /// The most customers that the nightly run takes, or `all` [default: 20]
    #[arg(long, value_name = "N|all")]
    pub(crate) nightly_limit: Option<Limit>,
    /// A tag of the stack and of its resources
    #[arg(long = "tag", value_name = "KEY=VALUE")]
    pub(crate) tags: Vec<String>,
    /// Any parameter of cloudformation/infrastructure.yml
    #[arg(long = "parameter", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<String>,
    /// Change a stack on AWS without a question
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// A stage is short, because it is part of names that may have 64 characters. Without a hyphen it
/// cannot be taken for a region.
fn stage(text: &str) -> Result<String, String> {
    let mut characters = text.chars();
    let begins_well = characters.next().is_some_and(|first| first.is_ascii_lowercase());
    let goes_on_well = characters.all(|other| other.is_ascii_lowercase() || other.is_ascii_digit());
    if begins_well && goes_on_well && text.len() <= 10 {
        Ok(text.to_owned())
    } else {
        Err("give a letter, then letters and digits, all lower-case and at most ten".to_owned())
    }
}

/// Options of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase run
  limit-increase run --limit all --shard-size 10000
  limit-increase run --dry-run --policy stricter.json
  limit-increase run --follow manual-20261124T020000-123
  limit-increase run --target aws --dry-run --limit all
  limit-increase run --target aws --stage test --region eu-west-1 --yes

Ctrl-C stops watching; the run goes on.
On AWS nothing is prepared, and the database is not connected to: the run is started and followed by Step
Functions, and its results are read from S3. A run that is not a dry run asks first.")]
pub(crate) struct RunArgs {
    /// The stack that runs.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// The most customers to take, or `all` [default: 20]
    #[arg(long, value_name = "N|all")]
    pub(crate) limit: Option<Limit>,
    /// Customers in one shard [default: 25000]
    #[arg(long, value_name = "N")]
    pub(crate) shard_size: Option<u32>,
    /// Decide, but leave the table as it is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Business date of the run [default: today, UTC]
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub(crate) as_of: Option<NaiveDate>,
    /// A policy for this run alone
    #[arg(long, value_name = "FILE.json")]
    pub(crate) policy: Option<PathBuf>,
    /// The run's name [default: made from the time]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Follow a run that was started before instead of starting one
    #[arg(long, value_name = "NAME", conflicts_with_all =
        ["limit", "shard_size", "dry_run", "as_of", "policy", "name"])]
    pub(crate) follow: Option<String>,
    /// On AWS, start a run that may raise limits without a question
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Options of `resume`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase resume manual-20261124T020000-123 --target aws
  limit-increase resume nightly-1 --target aws --stage test --yes

The run goes on with its own model and policy, and does only the shards that the ledger lacks. Step Functions
redrives a run that is FAILED, TIMED_OUT or ABORTED, for 14 days. The local AWS has no redrive.")]
pub(crate) struct ResumeArgs {
    /// The run's name
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Resume a run that may raise limits without a question
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Options of `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase status
  limit-increase status --target aws
  limit-increase --json status --target aws --stage test | jq .alarms")]
pub(crate) struct StatusArgs {
    /// The stack to look at.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Options of `test-schedule`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase test-schedule
  limit-increase test-schedule --target aws
  limit-increase test-schedule --target aws --dry-run

Locally an event starts a run, as at night. On AWS nothing is started, unless --dry-run asks for it.")]
pub(crate) struct TestScheduleArgs {
    /// The stack of the schedule.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// On AWS, start a dry run of one customer with the schedule's target, and follow it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The value of `--limit`: how many customers a run takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Take every eligible customer.
    All,
    /// Take at most this number of customers.
    AtMost(u64),
}

impl std::fmt::Display for Limit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => formatter.write_str("all"),
            Self::AtMost(number) => number.fmt(formatter),
        }
    }
}

impl std::str::FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            number => {
                number.parse().map(Self::AtMost).map_err(|_| "give a number, or all".to_owned())
            }
        }
    }
}

/// Options of `results`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase results                                      the table, and the last runs
  limit-increase results manual-20261124T020000-123           the records of one run in S3
  limit-increase results --target aws                         the records of the last run that succeeded
  limit-increase --json results nightly-1 --target aws --top 100")]
pub(crate) struct ResultsArgs {
    /// A run, whose records in S3 are shown [default: locally the table, on AWS the last run]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Rows in each list
    #[arg(long, default_value_t = 10, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) top: u32,
}

/// Options of `explain`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase explain CUST_0031
  limit-increase explain CUST_0031 --counterfactual
  limit-increase explain CUST_0031 --counterfactual --may-move utilisation,payment_ratio
  limit-increase explain CUST_0031 --run manual-20261124T020000-123 --html why.html
  limit-increase --json explain CUST_0031 --run nightly-1 --target aws | jq .score

The score is shown as a sum of points, from the average customer of the training rows to this one.
Without --run the customer's last decision is looked up in the history, in PostgreSQL. With it the
run's records in S3 are enough. On AWS --run is needed.
A counterfactual is what the model would have scored with one input changed; it is no promise. By
default every input may move but those whose names are of protected properties (age, sex, marital
status, ..) or of dates. How long something has lasted may rise and not fall.
The page of --html names the customer, so keep it where only those may read it who may.")]
pub(crate) struct ExplainArgs {
    /// The customer's key, exactly as in the table
    #[arg(value_name = "CUSTOMER")]
    pub(crate) customer: String,
    /// The run that decided [default: the customer's last one]
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Show the smallest change of one input that would have reached the minimum score
    #[arg(long)]
    pub(crate) counterfactual: bool,
    /// Inputs that may move [default: all but protected properties and dates]
    #[arg(long, value_name = "A,B,..", value_delimiter = ',', requires = "counterfactual")]
    pub(crate) may_move: Vec<String>,
    /// Write the explanation as an HTML page too
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// Options of `replay`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase replay manual-20261124T020000-123
  limit-increase replay manual-20261124T020000-123 --sample 30
  limit-increase --json replay nightly-1 --target aws

Every score, SHAP value, reason and limit is worked out again from the stored inputs, the pinned model
and the policy of the run, and compared with the record bit for bit. Nothing is written.
A sample takes customers at equal distances through the run, the same ones each time.
Exit code 1 if anything differs.")]
pub(crate) struct ReplayArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Replay this number of its customers [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) sample: Option<u64>,
}

/// Options of `verify`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase verify
  limit-increase verify manual-20261124T020000-123
  limit-increase verify --chain
  limit-increase verify --seal 5f0c..e1                a seal that you kept is still in the chain
  limit-increase verify --target aws --database-url postgresql://auditor@db/bank

Each closed run is sealed over the run that was closed before it. The chain is checked whole, and each
run of the ledger against its seal. Then every object of the runs is compared with the hash that the
ledger has of it. Whoever can change everything can make a new chain, so keep the newest seal elsewhere;
the log of update-database has each one.
Exit code 1 if anything is not as it was sealed.")]
pub(crate) struct VerifyArgs {
    /// The run whose objects are checked [default: all runs]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The stack of the runs.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// Check the ledger and its seals, and no objects
    #[arg(long, conflicts_with = "run")]
    pub(crate) chain: bool,
    /// A seal that has to be in the chain
    #[arg(long, value_name = "SHA256")]
    pub(crate) seal: Option<String>,
}

/// Options of `report`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase report                               the last run that succeeded
  limit-increase report --open                        the same, and its page in the browser
  limit-increase report manual-20261124T020000-123    a run by its name
  limit-increase report --all --open                  an index of the last runs, with their pages
  limit-increase report --target aws --output pages   a run on AWS

The page is one file without scripts. It is made when a run closes, and docs/report.md explains it.")]
pub(crate) struct ReportArgs {
    /// A run [default: the last one that succeeded]
    #[arg(value_name = "RUN", conflicts_with = "all")]
    pub(crate) run: Option<String>,
    /// Save the pages of the last runs, and an index of them
    #[arg(long)]
    pub(crate) all: bool,
    /// Open the page in the browser
    #[arg(long)]
    pub(crate) open: bool,
    /// Where to save the page [default: reports in the local environment's directory]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
}

/// Options of `compare`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase compare --policy stricter.json          the run's own policy, and another one
  limit-increase compare --policy a.json --policy b.json --csv swaps.csv
  limit-increase compare --vary minimum_score=620..680:10
  limit-increase compare --model challenger.tar.gz --outcomes outcomes.csv
  limit-increase compare nightly-1 --policy b.json --outcomes outcomes.csv --html compare.html
  limit-increase run --dry-run --limit all && limit-increase compare --policy b.json

The customers are those of a closed run, with the scores, limits and incomes that it stored. Neither the
database nor a record is changed. The first policy is compared with each of the others; a single one is
compared with the run's own.
Outcomes are a CSV or Parquet file with the columns customer_id, bad (1 or 0), and date if you like.")]
pub(crate) struct CompareArgs {
    /// The run whose customers are decided again [default: the one that was closed last]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The stack of the run.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// A policy to compare; give it several times for several policies
    #[arg(long = "policy", value_name = "FILE.json")]
    pub(crate) policies: Vec<PathBuf>,
    /// A number of the policy to vary, for example tiers[0].growth=0.2..0.6:0.1
    #[arg(long = "vary", value_name = "FIELD=FROM..TO:STEP")]
    pub(crate) variations: Vec<String>,
    /// Another model, which scores the stored inputs again: each policy decides by both
    #[arg(long, value_name = "FILE.tar.gz")]
    pub(crate) model: Option<PathBuf>,
    /// What became of customers.
    #[command(flatten)]
    pub(crate) outcomes: OutcomeArgs,
    /// Write who comes in and who goes out to this CSV file, with keys
    #[arg(long, value_name = "FILE.csv")]
    pub(crate) csv: Option<PathBuf>,
    /// Write the comparison to this page, without keys
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// Options of `backtest`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase backtest --outcomes outcomes.csv
  limit-increase backtest --outcomes outcomes.csv --html backtest.html
  limit-increase backtest nightly-1 --outcomes loans.parquet --id-column account --bad-column defaulted
  limit-increase --json backtest --outcomes outcomes.csv | jq .gini

Each customer of the file counts once: with the newest score that a run stored before the date of the
outcome. Dry runs count only by their name.")]
pub(crate) struct BacktestArgs {
    /// The one run whose scores count [default: all closed runs but dry runs]
    #[arg(value_name = "RUN")]
    pub(crate) run: Option<String>,
    /// The stack of the runs.
    #[command(flatten)]
    pub(crate) place: PlaceArgs,
    /// What became of customers.
    #[command(flatten)]
    pub(crate) outcomes: OutcomeArgs,
    /// Write the backtest to this page
    #[arg(long, value_name = "FILE.html")]
    pub(crate) html: Option<PathBuf>,
}

/// The options that say what became of customers.
#[derive(Debug, Args)]
pub(crate) struct OutcomeArgs {
    /// What became of customers: CSV, CSV.gz or Parquet with a key and 1 for a bad one
    #[arg(long = "outcomes", value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Column of the customer's key in the outcomes
    #[arg(long, value_name = "COLUMN", default_value = "customer_id")]
    pub(crate) id_column: String,
    /// Column that is 1 for a bad customer and 0 for a good one
    #[arg(long, value_name = "COLUMN", default_value = "bad")]
    pub(crate) bad_column: String,
    /// Column of the day up to which the customer was watched [default: date, if there is one]
    #[arg(long, value_name = "COLUMN", requires = "file")]
    pub(crate) date_column: Option<String>,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub(crate) struct CleanArgs {
    /// Remove the Python environments too
    #[arg(long)]
    pub(crate) all: bool,
    /// Remove without asking first
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Options of `pipeline`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  limit-increase pipeline start                       20 customers, on the local services
  limit-increase pipeline start --limit 500 --dry-run
  limit-increase pipeline list
  limit-increase pipeline describe 1f0c5b9d3a7e       an execution, step by step
  limit-increase pipeline render > pipeline.json      the definition, as SageMaker reads it
  limit-increase pipeline upsert --target aws         creates or updates the pipeline of your stack
  limit-increase pipeline start --target aws --yes

The pipeline calls the same four functions as the state machine. An execution works on one shard,
and is kept in .local/pipeline. The options of a command: limit-increase pipeline start --help")]
pub(crate) struct PipelineArgs {
    /// render, upsert, start, list or describe, and its options
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) arguments: Vec<String>,
}

/// Options of `awslocal`.
#[derive(Debug, Args)]
pub(crate) struct AwslocalArgs {
    /// The arguments of awslocal
    #[arg(last = true, required = true, value_name = "ARGUMENTS")]
    pub(crate) arguments: Vec<String>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_stage_is_short_and_is_no_region() {
        for good in ["dev", "s2", "production"] {
            assert_eq!(stage(good), Ok(good.to_owned()));
        }

        for bad in ["", "2nd", "Dev", "eu-west-1", "productions"] {
            assert!(stage(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_of_a_stack_needs_the_target_that_has_stacks_to_choose_from() {
        let parse = |arguments: &[&str]| {
            let arguments = [&["limit-increase", "status"], arguments].concat();
            match Cli::try_parse_from(arguments).unwrap().command {
                Command::Status(status) => status.place.on_aws(),
                _ => unreachable!(),
            }
        };

        assert!(parse(&[]).unwrap().is_none());
        let place = parse(&["--target", "aws", "--stage", "test"]).unwrap().unwrap();
        assert_eq!(place.stack_name, "limit-increase-test");
        for option in ["--stage", "--region", "--stack-name"] {
            let error = parse(&[option, "test"]).unwrap_err().to_string();
            assert!(error.contains(option) && error.contains("--target aws"), "{error}");
        }
    }

    #[test]
    fn limits_are_numbers_or_all() {
        assert_eq!("all".parse(), Ok(Limit::All));
        assert_eq!("20".parse(), Ok(Limit::AtMost(20)));
        assert!("-1".parse::<Limit>().is_err());
    }

    #[test]
    fn a_file_of_customers_needs_its_columns_named() {
        let error =
            Cli::try_parse_from(["limit-increase", "setup-db", "--data", "a.csv"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("--id-column"));
    }
}
