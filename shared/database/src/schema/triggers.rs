//! Triggers that fire before a row is updated can change a decision, or keep it from being stored.
//! A trigger that fires afterwards sees the decision as it was made, and is always welcome.

use super::catalogue::{Table, Trigger, plain};

/// The columns that a trigger must not change.
const OURS: [&str; 7] = [
    "customer_id",
    "current_score",
    "current_limit",
    "application_date",
    "limit_increase_decision",
    "new_limit",
    "decision_reason",
];
/// The columns that an update sets.
const WRITTEN: [&str; 4] =
    ["limit_increase_decision", "new_limit", "decision_reason", "updated_at"];
/// Functions of PostgreSQL that set a column of time or of text search, or skip an update that
/// changes nothing.
const HARMLESS: [&str; 4] = [
    "moddatetime",
    "suppress_redundant_updates_trigger",
    "tsvector_update_trigger",
    "tsvector_update_trigger_column",
];

pub(super) fn check(table: &Table, problems: &mut Vec<String>) {
    let place = table.full_name();
    for trigger in table.triggers.iter().filter(|trigger| can_change_a_decision(trigger)) {
        let name = plain(&trigger.name);
        problems.push(format!(
            "trigger {name} of {place} can change or suppress a decision before it is stored: make \
             it an AFTER trigger, or let it fire for other columns only (BEFORE UPDATE OF ..)"
        ));
    }
}

fn can_change_a_decision(trigger: &Trigger) -> bool {
    let fires = trigger.columns.is_empty()
        || trigger.columns.iter().any(|column| WRITTEN.contains(&column.as_str()));
    let is_harmless = match trigger.language.as_str() {
        "c" | "internal" => HARMLESS.contains(&trigger.function.as_str()),
        "plpgsql" => only_notes_the_time(&trigger.body),
        _ => false,
    };

    fires && !is_harmless
}

/// Whether a function does nothing but note the time: `BEGIN NEW.updated_at = now(); RETURN NEW;
/// END`, the commonest of all triggers. Anything that is written otherwise counts as harmful.
fn only_notes_the_time(body: &str) -> bool {
    let words: Vec<String> = body.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let text = words.join(" ");
    let Some(text) = text.strip_prefix("begin ") else { return false };
    let Some(text) = text.trim_end_matches(';').trim_end().strip_suffix("end") else {
        return false;
    };

    let mut statements: Vec<&str> = text.split(';').map(str::trim).collect();
    // What follows the last semicolon.
    statements.pop_if(|last| last.is_empty());
    statements.pop() == Some("return new") && statements.iter().all(|one| sets_the_time(one))
}

fn sets_the_time(statement: &str) -> bool {
    let Some((column, value)) = statement.split_once('=') else { return false };
    let column = column.trim_end_matches(':').trim();
    let column = column.strip_prefix("new.").map(|name| name.trim_matches('"'));
    let value = value.trim().trim_start_matches('(');
    let value = value.split(" at time zone ").next().unwrap_or_default();
    let value = value.trim().trim_end_matches(['(', ')']);
    let is_time = [
        "now",
        "current_timestamp",
        "localtimestamp",
        "clock_timestamp",
        "statement_timestamp",
        "transaction_timestamp",
    ]
    .contains(&value);
    is_time && column.is_some_and(|column| !OURS.contains(&column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_that_only_notes_the_time_is_harmless() {
        for body in [
            "BEGIN NEW.updated_at = now(); RETURN NEW; END",
            "\nBEGIN\n    NEW.updated_at := CURRENT_TIMESTAMP;\n    RETURN NEW;\nEND;\n",
            "begin new.updated_at = (now() at time zone 'utc'); return new; end;",
            "begin new.updated_at = now() at time zone 'UTC'; new.seen = clock_timestamp(); return new; end;",
            "begin return new; end",
        ] {
            assert!(only_notes_the_time(body), "{body}");
        }

        for body in [
            "BEGIN RETURN NULL; END",
            "BEGIN RETURN OLD; END",
            "BEGIN NEW.new_limit = 1; RETURN NEW; END",
            "BEGIN NEW.limit_increase_decision := now(); RETURN NEW; END",
            "BEGIN NEW.\"new_limit\" := now(); RETURN NEW; END",
            "BEGIN IF NEW.new_limit > 1 THEN RETURN NULL; END IF; RETURN NEW; END",
            "BEGIN NEW.updated_at = now(); RETURN NULL; END",
            "BEGIN NEW = other(NEW); RETURN NEW; END",
            "BEGIN NEW.updated_at = evil(); RETURN NEW; END",
            "DECLARE x int; BEGIN NEW.updated_at = now(); RETURN NEW; END",
            "",
        ] {
            assert!(!only_notes_the_time(body), "{body}");
        }
    }
}
