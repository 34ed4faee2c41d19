//! `compare`: what other policies would decide about the customers of a stored run.

mod challenger;
mod show;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use limit_increase_analysis::comparison::report::ComparisonReport;
use limit_increase_analysis::comparison::{Arm, ArmModel, Comparison, NUMBERS, Question, fit};
use limit_increase_analysis::grid::{self, Setting, Variation};
use limit_increase_analysis::outcomes::Outcomes;
use limit_increase_analysis::page;
use limit_increase_domain::Policy;
use limit_increase_handoff::row_count;
use limit_increase_handoff::scored::Scored;
use limit_increase_workflow::keys::Stage;

use self::challenger::Challenger;
use super::results::run_id;
use crate::cli::{CompareArgs, OutcomeArgs};
use limit_increase::aws::Aws;
use limit_increase::customers::{OutcomeColumns, read_outcomes};
use limit_increase::local::{Context, services};
use limit_increase::model::BUCKET;
use limit_increase::output_file::OutputFile;
use limit_increase::remote::{Account, Place};
use limit_increase::runs::policy;
use limit_increase::runs::stored::StoredRun;
use limit_increase::terminal::{Exit, Problem, Ui, thousands};

/// Shards that are read and decided simultaneously.
const SHARDS: usize = 3;
/// What people call the policy that decided the run.
const OWN: &str = "the run's policy";

/// What was typed, as far as it can be read before the run is known.
struct Given {
    policies: Vec<(String, Policy)>,
    variations: Vec<Variation>,
    outcomes: Option<Outcomes>,
    challenger: Option<Arc<Challenger>>,
}

pub(super) async fn run(context: &Context, arguments: &CompareArgs) -> Result<()> {
    let given = Given::read(&context.ui, arguments)?;
    let services = services::ensure(context).await?;
    answer(&context.ui, &Aws::local(services.localstack_port), BUCKET, arguments, given).await
}

pub(super) async fn run_on_aws(ui: &Ui, place: &Place, arguments: &CompareArgs) -> Result<Exit> {
    let given = Given::read(ui, arguments)?;
    let account = Account::open(place).await?;
    answer(ui, &account.aws, account.stack.output("BucketName")?, arguments, given).await?;
    Ok(Exit::Ok)
}

impl Given {
    fn read(ui: &Ui, arguments: &CompareArgs) -> Result<Self> {
        if arguments.policies.is_empty()
            && arguments.variations.is_empty()
            && arguments.model.is_none()
        {
            return Err(Problem::usage("there is nothing to compare the run's policy with")
                .next(
                    "give a policy (--policy FILE.json), vary one (--vary \
                     minimum_score=620..680:10), or give another model (--model FILE.tar.gz)",
                )
                .into());
        }

        let mut policies = Vec::new();
        for path in &arguments.policies {
            policies.push((name(path, &arguments.policies), policy::checked(path)?));
        }

        let variations = arguments.variations.iter().map(|text| Variation::parse(text));
        Ok(Self {
            policies,
            variations: variations.collect::<Result<_, _>>().map_err(grid_problem)?,
            outcomes: outcomes(ui, &arguments.outcomes)?,
            challenger: arguments
                .model
                .as_deref()
                .map(|path| Challenger::read(path).map(Arc::new))
                .transpose()?,
        })
    }

    /// The question about this run, and the settings of each policy of its grid.
    fn question(
        self,
        stored: &StoredRun,
        lists_swapped: bool,
    ) -> Result<(Question, Vec<Vec<Setting>>)> {
        let own = &stored.summary.policy;
        let base = self.policies.first().map_or(own, |(_, policy)| policy).clone();
        let mut named = self.policies;
        // A challenger needs no second policy: it is compared with the run's model.
        if named.len() < 2 && (self.challenger.is_none() || named.is_empty()) {
            named.insert(0, (OWN.to_owned(), own.clone()));
        }

        let points = match self.variations.as_slice() {
            [] => Vec::new(),
            variations => grid::policies(&base, variations).map_err(grid_problem)?,
        };
        let (settings, grid): (Vec<_>, Vec<_>) = points.into_iter().unzip();
        let of_grid = grid.iter().map(|policy| ("the varied policy", policy));
        for (name, policy) in
            named.iter().map(|(name, policy)| (name.as_str(), policy)).chain(of_grid)
        {
            fit::check_income(own, name, policy).map_err(|error| {
                Problem::usage(error.to_string())
                    .at(format!("run {}", stored.summary.run_id))
                    .next(format!("make a dry run under {name}: limit-increase run --dry-run --limit all --policy FILE.json"))
            })?;
        }

        let challenged = self.challenger.iter().flat_map(|challenger| {
            named.iter().map(|(name, policy)| Arm {
                name: format!("{name} with {}", challenger.name),
                policy: policy.clone(),
                model: ArmModel::Challenger,
            })
        });
        let challenged: Vec<Arm> = challenged.collect();
        let arm = |(name, policy)| Arm { name, policy, model: ArmModel::Stored };
        let question = Question {
            arms: named.into_iter().map(arm).chain(challenged).collect(),
            grid,
            as_of: stored.summary.as_of,
            outcomes: self.outcomes,
            lists_swapped,
        };
        Ok((question, settings))
    }
}

/// What people call the policy of a file: its name without the folder and the ending, if no other
/// file has the same.
fn name(path: &Path, all: &[std::path::PathBuf]) -> String {
    let stem = |path: &Path| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let distinct: HashSet<_> = all.iter().map(|path| stem(path)).collect();
    match stem(path) {
        Some(stem) if distinct.len() == all.len() => stem,
        _ => path.display().to_string(),
    }
}

fn grid_problem(error: grid::VariationError) -> Problem {
    Problem::usage(error.to_string())
        .at("--vary")
        .next("correct it, for example --vary minimum_score=620..680:10")
}

/// The outcomes of the file that was given, if one was.
pub(super) fn outcomes(ui: &Ui, arguments: &OutcomeArgs) -> Result<Option<Outcomes>> {
    let Some(path) = &arguments.file else { return Ok(None) };
    let columns = OutcomeColumns {
        id: arguments.id_column.clone(),
        bad: arguments.bad_column.clone(),
        date: arguments.date_column.clone(),
    };
    let task = ui.task("Outcomes");
    let (outcomes, unknown) = read_outcomes(path, &columns)?;
    let left_out = if unknown == 0 {
        String::new()
    } else {
        format!(", {} left out without an outcome", thousands(unknown))
    };
    task.done(format!("{} customers{left_out}", thousands(outcomes.len() as u64)));
    Ok(Some(outcomes))
}

async fn answer(
    ui: &Ui,
    aws: &Aws,
    bucket: &str,
    arguments: &CompareArgs,
    given: Given,
) -> Result<()> {
    let named = arguments.run.as_deref().map(run_id).transpose()?;
    let stored = StoredRun::find(aws, bucket, named).await?;
    let challenger = given.challenger.clone();
    let (question, settings) = given.question(&stored, arguments.csv.is_some())?;
    let mut list = arguments.csv.as_deref().map(OutputFile::create).transpose()?;
    if let Some(list) = &mut list {
        list.write(&question.swapped_header())?;
    }

    let question = Arc::new(question);
    let comparison = decide_again(ui, &stored, &question, challenger, &mut list).await?;
    let report = ComparisonReport::new(&stored.summary, &question, settings, &comparison);
    let list = list.map(OutputFile::finish).transpose()?;

    show::report(ui, &report);
    if let Some(path) = list {
        ui.line(format!("\nWho comes in and who goes out, with keys: {}", path.display()));
    }

    write_page(ui, arguments.html.as_deref(), || page::comparison(&report))?;
    ui.json(&report)
}

/// Writes a page, if one was asked for, and says where it is.
pub(super) fn write_page(
    ui: &Ui,
    path: Option<&Path>,
    page: impl FnOnce() -> String,
) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut file = OutputFile::create(path)?;
    file.write(page().as_bytes())?;
    ui.line(format!("\nPage: {}", file.finish()?.display()));
    Ok(())
}

/// Decides the customers shard by shard, and adds the answers up in the order of the shards.
async fn decide_again(
    ui: &Ui,
    stored: &StoredRun,
    question: &Arc<Question>,
    challenger: Option<Arc<Challenger>>,
    list: &mut Option<OutputFile>,
) -> Result<Comparison> {
    let mut task = ui.task("Customers");
    task.phase(format!("deciding those of {}", stored.summary.run_id));
    let shard = |shard| {
        let (stored, question) = (stored.clone(), Arc::clone(question));
        let challenger = challenger.clone();
        // A task of its own, so that the shards use all processors.
        tokio::spawn(async move {
            let scores = stored.file(Stage::ScoredCustomers, shard).await?;
            let customers = match &challenger {
                Some(_) => Some(stored.file(Stage::Customers, shard).await?),
                None => None,
            };
            let place = stored.place(Stage::ScoredCustomers, shard);
            answer_shard(&question, challenger.as_deref().zip(customers), scores).context(place)
        })
    };

    let mut total = question.nobody();
    let mut answers = stream::iter(stored.shards()).map(shard).buffered(SHARDS);
    while let Some(answer) = answers.try_next().await? {
        let mut answer = answer?;
        if let Some(list) = list {
            list.write(&std::mem::take(&mut answer.swapped))?;
        }

        total.merge(answer);
        task.tick(format!("{} decided", thousands(total.customers)));
    }

    if total.customers != stored.summary.eligible {
        return Err(Problem::new(format!(
            "the records of run {} have {} customers, and its summary says {}",
            stored.summary.run_id, total.customers, stored.summary.eligible
        ))
        .next("keep all versions of the objects, and find out who wrote them (CloudTrail)")
        .into());
    }

    task.done(format!("{} decided, and nothing was written", thousands(total.customers)));
    Ok(total)
}

fn answer_shard(
    question: &Question,
    challenger: Option<(&Challenger, Bytes)>,
    scores: Bytes,
) -> Result<Comparison> {
    let rows = row_count(&scores)?;
    let scored = Scored::read_with_numbers(scores, rows, &NUMBERS)?;
    let again = match challenger {
        Some((challenger, customers)) => challenger.score(customers, &scored)?,
        None => Vec::new(),
    };

    Ok(question.answer(&scored, &again)?)
}
