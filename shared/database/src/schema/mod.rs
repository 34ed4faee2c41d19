//! The lender's tables as they are: which column has which type, and how each is read and written
//! exactly.
//!
//! A lender brings a `batch_scores` that somebody else designed. Both steps that use it read
//! PostgreSQL's catalogue before the first row, and get a [`TablePlan`]: the expressions for each
//! column. A table that cannot be used exactly is refused with everything that has to be changed,
//! in one message. `docs/your-tables.md` lists the types.

mod catalogue;
mod features;
mod key;
mod read;
mod triggers;
mod written;

use limit_increase_domain::{Policy, SourceColumn};
use limit_increase_workflow::{Failure, FailureKind};
use tokio_postgres::Client;

use catalogue::{Column, Table, plain};
pub(crate) use features::FeaturePlan;
pub(crate) use key::dropped_advice;
use read::Reading;
pub(crate) use written::Writes;

/// How the steps read and write `batch_scores`, which their statements call `b`. A decision is in
/// the row `d`.
///
/// The types of migration 1 give bare columns, so their statements have no cast.
#[derive(Debug, Clone)]
pub(crate) struct TablePlan {
    /// The id of `d`, in the type of the key, so that the look-up uses the key's index.
    key: String,
    score: Reading,
    limit: Reading,
    date: String,
    updated_at: &'static str,
}

/// What a run asks of the columns of features.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedFeatures<'a> {
    pub(crate) columns: &'a [SourceColumn],
    pub(crate) income: Option<&'a str>,
}

/// Reads the catalogue and plans how both tables are read. Nothing else was read yet.
///
/// # Errors
/// `Permanent.DatabaseSchema` with all that is wrong with either table; otherwise by SQLSTATE.
pub(crate) async fn plan_query(
    client: &Client,
    writes: &Writes<'_>,
    wanted: WantedFeatures<'_>,
) -> Result<(TablePlan, FeaturePlan), Failure> {
    let [customers, features] = catalogue::read(client).await?;
    let plan = TablePlan::of(&customers, writes);
    let features = FeaturePlan::of(&features, customers.column("customer_id"), wanted);
    match (plan, features) {
        (Ok(plan), Ok(features)) => Ok((plan, features)),
        (plan, features) => {
            let problems = plan.err().into_iter().chain(features.err()).flatten().collect();
            Err(schema_failure(problems))
        }
    }
}

/// Plans how a shard's decisions are written: by the same rules as the query of its run.
///
/// # Errors
/// As [`plan_query`].
pub(crate) async fn plan_write(client: &Client, policy: &Policy) -> Result<TablePlan, Failure> {
    let [customers, _] = catalogue::read(client).await?;
    TablePlan::of(&customers, &Writes { policy, longest_reason: 0 }).map_err(schema_failure)
}

/// Checks a `batch_scores` that is there before the first migration, and returns the type of its
/// key if `customer_features` needs another one than VARCHAR(50). `None` also if there is no table.
///
/// # Errors
/// As [`plan_query`]. The policy is not known yet, so the default one is taken.
pub(crate) async fn plan_migration(client: &Client) -> Result<Option<String>, Failure> {
    let [customers, _] = catalogue::read(client).await?;
    let hides_another = customers
        .others
        .iter()
        .any(|other| other.name != customers.name && customers.search_path.contains(&other.schema));
    if customers.schema.is_none() && !hides_another {
        return Ok(None);
    }

    let writes = Writes { policy: &Policy::default(), longest_reason: 0 };
    TablePlan::of(&customers, &writes).map_err(schema_failure)?;
    let key = customers.column("customer_id");
    Ok(key.filter(|key| !key::is_plain_text(key)).map(|key| key.shown.clone()))
}

impl TablePlan {
    /// The plan for a table, or everything that is wrong with it.
    fn of(table: &Table, writes: &Writes<'_>) -> Result<Self, Vec<String>> {
        let mut problems = Vec::new();
        key::check_relation(table, &mut problems);
        if table.schema.is_none() {
            return Err(problems);
        }

        let key = key::check_key(table, &mut problems);
        let score = read::score(table, &mut problems);
        let limit = read::limit(table, &mut problems);
        let date = read::date(table, &mut problems);
        let updated_at = written::check(table, writes, &mut problems);
        triggers::check(table, &mut problems);
        match (key, score, limit, date, updated_at) {
            (Some(key), Some(score), Some(limit), Some(date), Some(updated_at))
                if problems.is_empty() =>
            {
                Ok(Self { key, score, limit, date, updated_at })
            }
            _ => Err(problems),
        }
    }

    /// The score of `b`: an INTEGER, or NULL if it is not a whole number of points.
    pub(crate) fn score(&self) -> &str {
        &self.score.value
    }

    /// The limit of `b`: a NUMERIC, or NULL if it is not an amount in cents.
    pub(crate) fn limit(&self) -> &str {
        &self.limit.value
    }

    /// The application date of `b`; NULL outside the years 1 to 9999.
    pub(crate) fn date(&self) -> &str {
        &self.date
    }

    /// Why the score or the limit of `b` is NULL; NULL if both are there.
    pub(crate) fn unreadable(&self) -> String {
        let problems: Vec<&str> =
            [&self.score, &self.limit].iter().filter_map(|r| r.problem.as_deref()).collect();
        match problems.as_slice() {
            [] => "NULL::text".to_owned(),
            [one] => (*one).to_owned(),
            several => format!("nullif(concat_ws(' and ', {}), '')", several.join(", ")),
        }
    }

    /// The time of now, as `updated_at` holds it.
    pub(crate) const fn updated_at(&self) -> &'static str {
        self.updated_at
    }

    /// The guard of promise 1: a decision holds while its customer is undecided, with score and
    /// limit as the query found them.
    pub(crate) fn still_valid(&self) -> String {
        let Self { key, score, limit, .. } = self;
        let same = if score.problem.is_none() && limit.problem.is_none() {
            format!("{} = d.current_score AND {} = d.current_limit", score.value, limit.value)
        } else {
            // An unreadable value is NULL on both sides, and its text has to be the same.
            format!(
                "{} IS NOT DISTINCT FROM d.current_score
             AND {} IS NOT DISTINCT FROM d.current_limit
             AND {} IS NOT DISTINCT FROM d.unreadable",
                score.value,
                limit.value,
                self.unreadable()
            )
        };

        format!(
            "b.customer_id = {key} AND b.limit_increase_decision IS NULL
             AND {same}"
        )
    }
}

/// One failure for everything that is wrong.
fn schema_failure(problems: Vec<String>) -> Failure {
    let message = match problems.as_slice() {
        [one] => one.clone(),
        several => {
            let list = several.iter().enumerate();
            let list: Vec<String> =
                list.map(|(at, problem)| format!("{}) {problem}", at + 1)).collect();
            format!("{} things to change in the tables: {}", several.len(), list.join("; "))
        }
    };

    Failure::new(FailureKind::DatabaseSchema, message)
}

/// What is wrong with a column's type: found, wanted, and what to do.
fn type_problem(table: &Table, column: &Column, wanted: &str, why: &str) -> String {
    let (name, place) = (plain(&column.name), table.full_name());
    let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
    format!(
        "column {name} of {place}: found {}, wanted {wanted}{why}: ALTER TABLE {place} ALTER COLUMN \
         {name} TYPE {wanted} USING {name}::{wanted}",
        column.shown
    )
}

/// The column of this name, or the problem that there is none.
fn required<'t>(
    table: &'t Table,
    name: &str,
    wanted: &str,
    problems: &mut Vec<String>,
) -> Option<&'t Column> {
    let column = table.column(name);
    if column.is_none() {
        let place = table.full_name();
        problems.push(match table.similar_column(name) {
            Some(other) => {
                let other = plain(&other.name);
                format!(
                    "column {name} of {place}: found {other}, wanted {name} in lower case: ALTER \
                     TABLE {place} RENAME COLUMN {other} TO {name}"
                )
            }
            None => format!(
                "column {name} of {place}: found none, wanted {wanted}: rename the column that \
                 holds it (ALTER TABLE {place} RENAME COLUMN .. TO {name}), or add it (ALTER TABLE \
                 {place} ADD COLUMN {name} {wanted})"
            ),
        });
    }

    column
}
