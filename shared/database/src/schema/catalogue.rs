//! What PostgreSQL's catalogue says about the lender's tables. One query reads all of it, and every
//! user may read the catalogue, so the roles of `docs/grants.sql` are enough.

use limit_increase_workflow::Failure;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio_postgres::types::Json;
use tokio_postgres::{Client, Row};

use crate::error::{database_failure, row_failure};

/// Both tables, each in one row.
///
/// `bases` follows a domain down to the type that it is made of. `keys` are the columns that a
/// unique index has alone, in the column's own collation, so that the index can be used. The
/// triggers of partitions count, because they fire for the partitioned table too.
const QUERY: &str = "
    WITH RECURSIVE wanted AS (
        SELECT name, to_regclass(name)::oid AS relation
        FROM (VALUES ('batch_scores'), ('customer_features')) AS tables (name)
    ), bases AS (
        SELECT a.attrelid, a.attnum, a.atttypid AS type, a.atttypmod AS modifier,
               a.attnotnull AS not_null
        FROM wanted JOIN pg_attribute a ON a.attrelid = wanted.relation
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.attrelid, b.attnum, t.typbasetype,
               CASE WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE b.modifier END,
               b.not_null OR t.typnotnull
        FROM bases b JOIN pg_type t ON t.oid = b.type
        WHERE t.typtype = 'd'
    ), keys AS (
        SELECT DISTINCT i.indrelid, i.indkey[0] AS attnum
        FROM wanted JOIN pg_index i ON i.indrelid = wanted.relation
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
        WHERE i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
          AND i.indcollation[0] = a.attcollation
    ), columns AS (
        SELECT b.attrelid, json_agg(json_build_object(
                   'name', a.attname,
                   'shown', format_type(a.atttypid, a.atttypmod),
                   'base', CASE WHEN t.typnamespace = 'pg_catalog'::regnamespace
                                  OR t.typname = 'citext' THEN t.typname ELSE '' END,
                   'cast', format_type(b.type, -1),
                   'modifier', b.modifier,
                   'collation', a.attcollation::bigint,
                   'not_null', b.not_null,
                   'generated', a.attgenerated <> '',
                   'unique', k.attnum IS NOT NULL) ORDER BY a.attnum) AS list
        FROM bases b
        JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
        JOIN pg_attribute a ON a.attrelid = b.attrelid AND a.attnum = b.attnum
        LEFT JOIN keys k ON k.indrelid = b.attrelid AND k.attnum = b.attnum
        GROUP BY b.attrelid
    ), triggers AS (
        SELECT w.relation, json_agg(json_build_object(
                   'name', g.tgname,
                   'function', p.proname,
                   'language', l.lanname,
                   'body', p.prosrc,
                   'columns', (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a
                               WHERE a.attrelid = g.tgrelid AND a.attnum = ANY (g.tgattr)))
                   ORDER BY g.tgname) AS list
        FROM wanted w
        JOIN pg_trigger g ON g.tgrelid = w.relation
          OR g.tgrelid IN (SELECT relid FROM pg_partition_tree(w.relation))
        JOIN pg_proc p ON p.oid = g.tgfoid
        JOIN pg_language l ON l.oid = p.prolang
        WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
          -- For each row (1), before it is written (2), an update (16).
          AND g.tgtype & 19 = 19
        GROUP BY w.relation
    )
    SELECT w.name, n.nspname::text AS schema, c.relkind::text AS kind,
           CASE WHEN w.relation IS NOT NULL THEN row_security_active(w.relation) END AS filtered,
           current_user::text AS role,
           EXISTS (SELECT FROM pg_inherits h JOIN pg_class child ON child.oid = h.inhrelid
                   WHERE h.inhparent = w.relation AND c.relkind = 'r'
                     AND NOT child.relispartition) AS has_children,
           (SELECT coalesce(json_agg(r.rulename ORDER BY r.rulename), '[]') FROM pg_rewrite r
            WHERE r.ev_class = w.relation AND r.ev_type = '2' AND r.ev_enabled <> 'D') AS rules,
           coalesce(columns.list, '[]') AS columns,
           coalesce(triggers.list, '[]') AS triggers,
           current_schemas(false)::text[] AS search_path,
           (SELECT coalesce(json_agg(json_build_object('schema', s.nspname, 'name', o.relname)
                                     ORDER BY s.nspname, o.relname), '[]')
            FROM pg_class o JOIN pg_namespace s ON s.oid = o.relnamespace
            WHERE lower(o.relname) = w.name AND o.relkind IN ('r', 'p', 'v', 'm', 'f')
              AND o.oid IS DISTINCT FROM w.relation AND o.relpersistence <> 't') AS others,
           to_regclass('limit_increase_migrations') IS NOT NULL AS migrated
    FROM wanted w
    LEFT JOIN pg_class c ON c.oid = w.relation
    LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN columns ON columns.attrelid = w.relation
    LEFT JOIN triggers ON triggers.relation = w.relation
    ORDER BY w.name";

/// One of the lender's tables, as the catalogue has it.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) name: String,
    /// The schema in which the search path finds it; `None` if it finds none.
    pub(super) schema: Option<String>,
    /// `pg_class.relkind`.
    pub(super) kind: Option<String>,
    /// Whether row-level security hides rows from this role.
    pub(super) filtered: bool,
    pub(super) role: String,
    /// Whether other tables inherit from it.
    pub(super) has_children: bool,
    /// Rules that rewrite an UPDATE.
    pub(super) rules: Vec<String>,
    pub(super) columns: Vec<Column>,
    /// Triggers that can change or suppress a row before it is updated.
    pub(super) triggers: Vec<Trigger>,
    pub(super) search_path: Vec<String>,
    /// Relations of the same name, in any case, that the search path does not give.
    pub(super) others: Vec<Other>,
    /// Whether migrations were applied in this database.
    pub(super) migrated: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type as PostgreSQL writes it.
    pub(super) shown: String,
    /// The built-in type, of a domain the one below it; empty for a type that is not built in.
    pub(super) base: String,
    /// The same type, as a cast has to name it.
    pub(super) cast: String,
    pub(super) modifier: i32,
    pub(super) collation: i64,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    pub(super) unique: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trigger {
    pub(super) name: String,
    pub(super) function: String,
    pub(super) language: String,
    pub(super) body: String,
    /// The columns of `UPDATE OF`; empty for all.
    pub(super) columns: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Other {
    pub(super) schema: String,
    pub(super) name: String,
}

/// Reads `batch_scores` and `customer_features`, in this order.
///
/// # Errors
/// By SQLSTATE.
pub(super) async fn read(client: &Client) -> Result<[Table; 2], Failure> {
    const READING: &str = "reading PostgreSQL's catalogue";
    let rows = client.query(QUERY, &[]).await.map_err(|error| database_failure(READING, &error))?;
    let tables = rows.iter().map(table).collect::<Result<Vec<_>, _>>();
    let tables = tables.map_err(|error| row_failure(READING, &error))?;
    tables.try_into().map_err(|_| {
        let message = format!("{READING}: it should answer with two rows");
        Failure::new(limit_increase_workflow::FailureKind::Internal, message)
    })
}

fn table(row: &Row) -> Result<Table, tokio_postgres::Error> {
    fn list<T: DeserializeOwned>(row: &Row, name: &str) -> Result<Vec<T>, tokio_postgres::Error> {
        row.try_get::<_, Json<Vec<T>>>(name).map(|Json(list)| list)
    }

    Ok(Table {
        name: row.try_get("name")?,
        schema: row.try_get("schema")?,
        kind: row.try_get("kind")?,
        filtered: row.try_get::<_, Option<bool>>("filtered")?.unwrap_or_default(),
        role: row.try_get("role")?,
        has_children: row.try_get("has_children")?,
        rules: list(row, "rules")?,
        columns: list(row, "columns")?,
        triggers: list(row, "triggers")?,
        search_path: row.try_get("search_path")?,
        others: list(row, "others")?,
        migrated: row.try_get("migrated")?,
    })
}

impl Table {
    /// The column of exactly this name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// A column whose name differs only in upper and lower case.
    pub(super) fn similar_column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name.to_lowercase() == name.to_lowercase())
    }

    /// Whether it holds its own rows, in partitions or not, and so can have a key.
    pub(super) fn is_table(&self) -> bool {
        matches!(self.kind.as_deref(), Some("r" | "p"))
    }

    /// The name with its schema, as a message and a statement write it.
    pub(super) fn full_name(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", plain(schema), plain(&self.name)),
            None => plain(&self.name),
        }
    }
}

/// A name as it is written in a statement: in quotes only if it needs them.
pub(super) fn plain(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if is_plain { name.to_owned() } else { crate::quote_identifier(name) }
}

impl Column {
    /// The precision and the scale of a NUMERIC; `None` if it has none.
    pub(super) fn precision(&self) -> Option<(i32, i32)> {
        // As `numeric_typmod_precision` and `numeric_typmod_scale` in PostgreSQL's numeric.c, where
        // a scale has 11 bits and a sign.
        let packed = self.modifier - 4;
        (self.base == "numeric" && packed >= 0)
            .then_some(((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 0x400) - 0x400))
    }

    /// Whether it holds text of any kind.
    pub(super) fn is_text(&self) -> bool {
        ["varchar", "text", "bpchar", "citext"].contains(&self.base.as_str())
    }

    /// Whether it holds every text of up to so many characters.
    pub(super) fn holds_text(&self, longest: usize) -> bool {
        self.is_text() && self.characters().is_none_or(|most| most >= longest)
    }

    /// The most characters of a VARCHAR or CHAR; `None` if there is no bound.
    pub(super) fn characters(&self) -> Option<usize> {
        let is_bounded = ["varchar", "bpchar"].contains(&self.base.as_str());
        (is_bounded && self.modifier >= 4).then_some((self.modifier - 4) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modifier_is_read_as_postgresql_writes_it() {
        let column = |base: &str, modifier: i32| Column {
            name: String::new(),
            shown: String::new(),
            base: base.to_owned(),
            cast: String::new(),
            modifier,
            collation: 0,
            not_null: false,
            generated: false,
            unique: false,
        };

        // NUMERIC(10,2), NUMERIC(14,4), NUMERIC(5,-2), NUMERIC.
        for (modifier, expected) in [
            (655_366, Some((10, 2))),
            (917_512, Some((14, 4))),
            (329_730, Some((5, -2))),
            (-1, None),
        ] {
            assert_eq!(column("numeric", modifier).precision(), expected, "{modifier}");
        }

        assert_eq!(column("varchar", 54).characters(), Some(50));
        assert_eq!(column("varchar", -1).characters(), None);
        assert_eq!(column("text", -1).characters(), None);
    }

    #[test]
    fn a_name_has_quotes_only_if_it_needs_them() {
        assert_eq!(plain("batch_scores"), "batch_scores");
        assert_eq!(plain("CURRENT_SCORE"), "\"CURRENT_SCORE\"");
        assert_eq!(plain("a\"b"), "\"a\"\"b\"");
    }
}
