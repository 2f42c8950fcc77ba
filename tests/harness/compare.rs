//! Whether two databases are the same: contents, sequences, constraints, indexes, comments, extensions, code.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};

use crate::postgres::Database;

/// The schemas that are a customer's, and what in them is no extension's. A heir has its columns in another order once
/// it was restored: what its parent got late stands where the parent has it, no longer at the end.
const PRELUDE: &str = "
    WITH space AS (
        SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'
    ), foreign_made AS (
        SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
    ), relation AS (
        SELECT c.*, format('%I.%I', nspname, relname) AS called,
               NOT relispartition AND EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) AS heir
        FROM pg_class c JOIN space s ON s.oid = relnamespace
        WHERE NOT EXISTS (SELECT FROM foreign_made WHERE classid = 'pg_class'::regclass AND objid = c.oid)
    ) ";

/// Every aspect of a database by which two are compared: a query of a name and what stands behind it.
const ASPECTS: [(&str, &str); 17] = [
    ("schemas", "SELECT nspname, '' FROM space"),
    (
        "extensions",
        "SELECT extname, concat_ws(' ', extversion, extnamespace::regnamespace) FROM pg_extension",
    ),
    (
        "relations",
        "SELECT called, concat_ws(' ', relkind, relpersistence, reloptions, relrowsecurity, relreplident,
                (SELECT string_agg(inhparent::regclass::text, ',' ORDER BY inhseqno)
                 FROM pg_inherits WHERE inhrelid = r.oid),
                pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid))
         FROM relation r WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c', 'S')",
    ),
    (
        "columns",
        "SELECT called || '.' || attname,
                concat_ws(' ', CASE WHEN NOT heir THEN row_number() OVER (PARTITION BY attrelid ORDER BY attnum) END,
                    format_type(atttypid, atttypmod), attnotnull, attgenerated, attidentity, attstorage,
                    attcollation::regcollation, attislocal, pg_get_expr(d.adbin, d.adrelid))
         FROM relation r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped
         LEFT JOIN pg_attrdef d ON d.adrelid = r.oid AND d.adnum = attnum
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    ),
    (
        "constraints",
        "SELECT concat_ws('.', r.called, contypid::regtype, conname),
                concat_ws(' ', pg_get_constraintdef(k.oid), convalidated, conislocal)
         FROM pg_constraint k JOIN space s ON s.oid = connamespace LEFT JOIN relation r ON r.oid = conrelid
         WHERE contype <> 't'",
    ),
    (
        "indexes",
        "SELECT called, concat_ws(' ', pg_get_indexdef(indexrelid), indisvalid, indisclustered, indisreplident)
         FROM pg_index JOIN relation r ON r.oid = indexrelid",
    ),
    (
        "sequences",
        "SELECT called, concat_ws(' ', seqtypid::regtype, seqstart, seqincrement, seqmin, seqmax, seqcache, seqcycle,
                refobjid::regclass, refobjsubid > 0)
         FROM pg_sequence JOIN relation r ON r.oid = seqrelid
         LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = seqrelid AND d.deptype IN ('a', 'i')",
    ),
    (
        "comments",
        "SELECT i.type || ' ' || i.identity, description
         FROM pg_description d, pg_identify_object(d.classoid, d.objoid, d.objsubid) i
         WHERE objoid >= 16384
           AND NOT EXISTS (SELECT FROM foreign_made WHERE classid = d.classoid AND objid = d.objoid)",
    ),
    (
        "views",
        "SELECT called, concat_ws(' ', pg_get_viewdef(oid), relispopulated) FROM relation WHERE relkind IN ('v', 'm')",
    ),
    (
        "functions",
        "SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p JOIN space s ON s.oid = pronamespace
         WHERE prokind <> 'a'
           AND NOT EXISTS (SELECT FROM foreign_made WHERE classid = 'pg_proc'::regclass AND objid = p.oid)",
    ),
    (
        "triggers",
        "SELECT called || '.' || tgname, concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled)
         FROM pg_trigger t JOIN relation r ON r.oid = tgrelid WHERE NOT tgisinternal",
    ),
    (
        "rules",
        "SELECT called || '.' || rulename, concat_ws(' ', pg_get_ruledef(w.oid), ev_enabled)
         FROM pg_rewrite w JOIN relation r ON r.oid = ev_class WHERE rulename <> '_RETURN'",
    ),
    (
        "policies",
        "SELECT called || '.' || polname, concat_ws(' ', polcmd, polpermissive, pg_get_expr(polqual, polrelid),
                pg_get_expr(polwithcheck, polrelid))
         FROM pg_policy JOIN relation r ON r.oid = polrelid",
    ),
    (
        "types",
        "SELECT t.oid::regtype::text, concat_ws(' ', typtype, format_type(typbasetype, typtypmod), typnotnull, typdefault,
                (SELECT string_agg(quote_literal(enumlabel), ',' ORDER BY enumsortorder)
                 FROM pg_enum WHERE enumtypid = t.oid))
         FROM pg_type t JOIN space s ON s.oid = typnamespace
         WHERE typtype IN ('e', 'd', 'r')
           AND NOT EXISTS (SELECT FROM foreign_made WHERE classid = 'pg_type'::regclass AND objid = t.oid)",
    ),
    (
        "statistics",
        "SELECT format('%I.%I', nspname, stxname), pg_get_statisticsobjdef(x.oid)
         FROM pg_statistic_ext x JOIN space s ON s.oid = stxnamespace",
    ),
    ("event triggers", "SELECT evtname, concat_ws(' ', evtevent, evtfoid::regprocedure, evttags) FROM pg_event_trigger"),
    (
        "large objects",
        "SELECT m.oid::text, (SELECT md5(string_agg(data, '' ORDER BY pageno)) FROM pg_largeobject l WHERE l.loid = m.oid)
         FROM pg_largeobject_metadata m",
    ),
];

/// Fails with the first differences where the two are not the same.
pub async fn assert_same(left: &Database, right: &Database) {
    let differences = differences(left, right).await;
    assert!(
        differences.is_empty(),
        "{} differences, the first ones:\n{}",
        differences.len(),
        differences.into_iter().take(20).collect::<Vec<_>>().join("\n")
    );
}

/// How the two differ, a line for each aspect of each object.
pub async fn differences(left: &Database, right: &Database) -> Vec<String> {
    let (left, right) = (snapshot(left).await, snapshot(right).await);
    assert!(left.len() > 20, "there was next to nothing to compare");
    let mut differences = Vec::new();
    for (name, value) in &left {
        match right.get(name) {
            None => differences.push(format!("{name}: missing on the right")),
            Some(other) if other != value => differences.push(format!("{name}:\n  {value}\n  {other}")),
            Some(_) => {}
        }
    }
    let new = right.keys().filter(|name| !left.contains_key(*name));
    differences.extend(new.map(|name| format!("{name}: missing on the left")));
    differences
}

/// Everything by which a database is compared, by name.
pub async fn snapshot(database: &Database) -> BTreeMap<String, String> {
    let mut connection = database.connect().await;
    let mut snapshot = BTreeMap::new();
    for (aspect, query) in ASPECTS {
        let sql = format!(
            "{PRELUDE} SELECT name::text, definition::text FROM ({query}) AS aspect (name, definition)"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut connection).await;
        for row in rows.unwrap_or_else(|error| panic!("{aspect}: {error}")) {
            let (name, definition): (String, Option<String>) = (row.get(0), row.get(1));
            let again = snapshot.insert(format!("{aspect} {name}"), definition.unwrap_or_default());
            assert!(again.is_none(), "{aspect}: {name} comes twice, so one of them is not compared");
        }
    }
    contents(&mut connection, &mut snapshot).await;
    snapshot
}

/// A hash of each table's rows that does not depend on their order, and where each sequence stands.
async fn contents(connection: &mut PgConnection, snapshot: &mut BTreeMap<String, String>) {
    let sql = format!(
        "{PRELUDE}
         SELECT called, relkind = 'S', CASE WHEN NOT heir THEN 'r' ELSE
                (SELECT format('ROW(%s)', string_agg(quote_ident(attname), ', ' ORDER BY attname))
                 FROM pg_attribute WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped) END
         FROM relation r WHERE relkind IN ('r', 'p', 'm', 'S')"
    );
    let relations: Vec<(String, bool, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await.unwrap();
    for (relation, sequence, row) in relations {
        let sql = if sequence {
            format!("SELECT last_value || ' ' || is_called FROM {relation}")
        } else {
            format!(
                "SELECT count(*) || ' ' || coalesce(sum(hashtextextended({row}::text, 0)), 0) FROM {relation} r"
            )
        };
        let value: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *connection).await.unwrap();
        snapshot.insert(format!("contents {relation}"), value);
    }
}
