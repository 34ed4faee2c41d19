//! The relation itself, and its key. A customer is decided at most once because `customer_id` is
//! unique (promise 1), and a shard is written quickly because the look-up uses the key's index.

use super::catalogue::{Column, Table, plain};
use super::{required, type_problem};

/// The text of a default collation, or of none.
const DEFAULT_COLLATIONS: [i64; 2] = [0, 100];

/// What is wrong with the relation as a whole: missing, a view, hidden rows.
pub(super) fn check_relation(table: &Table, problems: &mut Vec<String>) {
    let Some(schema) = &table.schema else {
        problems.push(missing(table));
        return;
    };

    let (name, place) = (&table.name, table.full_name());
    let what = match table.kind.as_deref() {
        Some("r" | "p") => None,
        Some("v") => Some("a view"),
        Some("m") => Some("a materialized view"),
        Some("f") => Some("a foreign table"),
        _ => Some("not a table"),
    };
    if let Some(what) = what {
        problems.push(format!(
            "{place} is {what}, wanted a table, which has a key and rows that can be locked: \
             rename it, create a table {name} in its place, and copy the rows into it"
        ));
    }

    let visible = table.others.iter().find(|other| {
        other.name == table.name
            && other.schema != *schema
            && table.search_path.contains(&other.schema)
    });
    if let Some(other) = visible {
        problems.push(format!(
            "there are two tables {name} on the search path, {place} and {}.{name}: leave one \
             schema on it (ALTER ROLE {} SET search_path = {}), for each function's user",
            plain(&other.schema),
            plain(&table.role),
            plain(schema)
        ));
    }

    if table.filtered {
        problems.push(format!(
            "row-level security of {place} hides rows from {role}: let the user see all of them \
             (ALTER ROLE {role} BYPASSRLS), or switch it off (ALTER TABLE {place} DISABLE ROW \
             LEVEL SECURITY)",
            role = plain(&table.role)
        ));
    }

    if table.has_children {
        problems.push(format!(
            "other tables inherit from {place}, and its key does not hold for their rows: make it \
             a partitioned table, or detach them (ALTER TABLE .. NO INHERIT {place})"
        ));
    }

    for rule in &table.rules {
        let rule = plain(rule);
        problems.push(format!(
            "rule {rule} of {place} rewrites updates, so a decision may not be stored as it was \
             made: DROP RULE {rule} ON {place}, or use an AFTER trigger in its place"
        ));
    }
}

fn missing(table: &Table) -> String {
    let name = &table.name;
    let path: Vec<String> = table.search_path.iter().map(|schema| plain(schema)).collect();
    let mut text = format!("there is no table {name} on the search path ({})", path.join(", "));
    let exact = table.others.iter().find(|other| other.name == *name);
    match (exact, table.others.first()) {
        (Some(other), _) => {
            let schema = plain(&other.schema);
            text.push_str(&format!(
                ", but there is {schema}.{name}: give the function's user the schema (GRANT USAGE \
                 ON SCHEMA {schema} TO {role}; ALTER ROLE {role} SET search_path = {schema})",
                role = plain(&table.role)
            ));
        }
        (None, Some(other)) => {
            let other = format!("{}.{}", plain(&other.schema), plain(&other.name));
            text.push_str(&format!(
                ", but there is {other}: name it in lower case (ALTER TABLE {other} RENAME TO {name})"
            ));
        }
        (None, None) if table.migrated => {
            text.push_str(&dropped_advice(name));
        }
        (None, None) => {
            text.push_str(": run the migrations (limit-increase setup-db --schema-only)");
        }
    }

    text
}

/// What to do about a table that a recorded migration has made and somebody has dropped.
pub(crate) fn dropped_advice(name: &str) -> String {
    format!(
        ", though the migrations are recorded, so it was dropped or renamed since: restore it; or, \
         to begin with an empty one, {}, and run limit-increase setup-db --schema-only",
        match name {
            "batch_scores" => "DELETE FROM limit_increase_migrations WHERE version = 1",
            "customer_features" => "DELETE FROM limit_increase_migrations WHERE version = 2",
            _ =>
                "DROP TABLE IF EXISTS limit_increase_seals, limit_increase_shard_files, \
                 limit_increase_decisions, limit_increase_shards, limit_increase_runs; \
                 DELETE FROM limit_increase_migrations WHERE version >= 3",
        }
    )
}

/// Whether the key is read as text without a cast.
pub(super) fn is_plain_text(column: &Column) -> bool {
    ["varchar", "text"].contains(&column.base.as_str())
}

/// Checks the key, and returns the id of the row `d` in its type. The cast stands on the side of
/// the decision, so that the index of the column is used.
pub(super) fn check_key(table: &Table, problems: &mut Vec<String>) -> Option<String> {
    const WANTED: &str = "VARCHAR(50)";
    let column = required(table, "customer_id", WANTED, problems)?;
    let place = table.full_name();
    if table.is_table() && !(column.unique && column.not_null) {
        problems.push(format!(
            "{place} has no primary key on customer_id alone, so a customer could appear twice and \
             be decided twice: ALTER TABLE {place} ADD PRIMARY KEY (customer_id), or first make \
             customer_id unique (a table with several rows of a customer needs one with the \
             newest row of each)"
        ));
    }

    match column.base.as_str() {
        "varchar" | "text" => Some("d.customer_id".to_owned()),
        // Compared without their trailing blanks, as the id was read.
        "bpchar" => Some("d.customer_id::bpchar".to_owned()),
        "int2" | "int4" | "int8" | "numeric" | "uuid" | "citext" => {
            Some(format!("d.customer_id::{}", column.cast))
        }
        _ => {
            problems.push(type_problem(
                table,
                column,
                WANTED,
                "or TEXT, CHAR, BIGINT, NUMERIC, UUID",
            ));
            None
        }
    }
}

/// Whether the two keys can be compared by the index of either.
pub(super) fn are_comparable(one: &Column, other: &Column) -> bool {
    let family = |column: &Column| match column.base.as_str() {
        "varchar" | "text" => "text".to_owned(),
        "int2" | "int4" | "int8" => "integer".to_owned(),
        base => base.to_owned(),
    };
    let is_default = |column: &Column| DEFAULT_COLLATIONS.contains(&column.collation);
    let same_collation = one.collation == other.collation || is_default(one) || is_default(other);
    family(one) == family(other) && same_collation
}
