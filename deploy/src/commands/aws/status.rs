//! `status --target aws`: the stack, its schedule, functions, alarms and last runs. A part that these
//! credentials may not see is shown as such, and the others are shown.

use anyhow::Result;
use chrono::Utc;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::results::runs;
use limit_increase::deployment::schedule::{self, Schedule};
use limit_increase::remote::health::{self, Alarm, Function};
use limit_increase::remote::{self, Account, Place, executions};
use limit_increase::runs::results::Run;
use limit_increase::terminal::{Exit, Problem, Ui, thousands};

/// The last runs that are shown.
const RUNS: i32 = 5;

/// What was seen of a stack.
struct Status {
    account: Account,
    schedule: Result<Schedule>,
    functions: Result<Vec<Function>>,
    alarms: Result<Vec<Alarm>>,
    undelivered: Result<u64>,
    runs: Result<Vec<Run>>,
}

pub(super) async fn run(ui: &Ui, place: &Place) -> Result<Exit> {
    let account = Account::open(place).await?;
    let (schedule, functions, alarms, undelivered, runs) = tokio::join!(
        rule(&account),
        health::functions(&account),
        health::alarms(&account),
        health::undelivered_events(&account),
        executions::last_runs(&account, RUNS),
    );
    let status = Status { account, schedule, functions, alarms, undelivered, runs };
    show(ui, &status);

    let Status { account, schedule, functions, alarms, undelivered, runs } = status;
    ui.json(&json!({
        "account": account.number,
        "region": account.aws.region(),
        "stack": { "name": account.stack.name, "status": account.stack.status,
            "outputs": account.stack.outputs },
        "nightly_limit": account.stack.parameters.get("NightlyLimit"),
        "next_start": schedule.as_ref().ok().and_then(|known| known.next_start(Utc::now())),
        "schedule": part(schedule),
        "functions": part(functions),
        "alarms": part(alarms),
        "undelivered_events": part(undelivered),
        "runs": part(runs),
    }))?;
    Ok(Exit::Ok)
}

async fn rule(account: &Account) -> Result<Schedule> {
    schedule::read(&account.aws, account.stack.output("EventBridgeRuleName")?).await
}

/// A part of the answer, or why it could not be seen.
fn part<T: Serialize>(seen: Result<T>) -> Value {
    match seen.map_err(remote::explain) {
        Ok(known) => json!(known),
        Err(error) => json!({ "error": Problem::of(&error) }),
    }
}

fn show(ui: &Ui, status: &Status) {
    let account = &status.account;
    ui.line(format!("Account {}, {}", account.number, account.aws.region()));
    row(ui, "Stack", &format!("{}: {}", account.stack.name, account.stack.status));
    seen(ui, "Schedule", &status.schedule, |known| schedule_text(account, known));
    seen(ui, "Functions", &status.functions, |known| functions_text(known));
    seen(ui, "Undelivered", &status.undelivered, |count| {
        format!("{} events in the dead-letter queue", thousands(*count))
    });
    seen(ui, "Alarms", &status.alarms, |known| alarms_text(known));
    for alarm in status.alarms.iter().flatten().filter(|alarm| alarm.state == "ALARM") {
        row(ui, "", &format!("{} since {}: {}", alarm.name, alarm.since, alarm.description));
    }

    match &status.runs {
        Ok(known) => ui.line(
            runs(known).map_or_else(|| "\nNo run yet.".to_owned(), |table| format!("\n{table}")),
        ),
        Err(_) => seen(ui, "Last runs", &status.runs, |_| String::new()),
    }
}

fn row(ui: &Ui, name: &str, text: &str) {
    ui.line(format!("  {name:<12} {text}"));
}

fn seen<T>(ui: &Ui, name: &str, part: &Result<T>, text: impl FnOnce(&T) -> String) {
    match part {
        Ok(known) => row(ui, name, &text(known)),
        Err(error) => row(ui, name, &format!("not seen: {}", Problem::of(error).what)),
    }
}

fn schedule_text(account: &Account, schedule: &Schedule) -> String {
    let next = schedule.next_start(Utc::now());
    let next = next.map(|time| format!(", next at {} UTC", time.format("%Y-%m-%d %H:%M")));
    let limit = account.stack.parameters.get("NightlyLimit").map(String::as_str);
    let customers = match limit {
        Some("all") => ", all eligible customers".to_owned(),
        Some(number) => format!(", at most {number} customers"),
        None => String::new(),
    };
    let Schedule { state, expression, .. } = schedule;
    format!("{state}, {expression}{}{customers}", next.unwrap_or_default())
}

fn functions_text(functions: &[Function]) -> String {
    let one = |function: &Function| {
        let failed =
            function.last_update_status.as_deref().filter(|status| *status != "Successful");
        let update = failed.map(|status| format!(" (last update {status})"));
        let why = function.state_reason.as_deref().filter(|_| function.state != "Active");
        let why = why.map(|reason| format!(" ({reason})"));
        let Function { name, state, .. } = function;
        format!("{name} {state}{}{}", update.unwrap_or_default(), why.unwrap_or_default())
    };
    functions.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn alarms_text(alarms: &[Alarm]) -> String {
    let count = |state: &str| alarms.iter().filter(|alarm| alarm.state == state).count();
    format!(
        "{} of {} in ALARM, {} without data",
        count("ALARM"),
        alarms.len(),
        count("INSUFFICIENT_DATA")
    )
}
