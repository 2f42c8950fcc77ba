//! Whether two databases are the same: contents, sequences, constraints, indexes, comments, extensions, code.

use std::collections::BTreeMap;

use sqlx::{PgConnection, Row as _};

use crate::postgres::Database;

/// Every aspect of a database by which two are compared: a query of a name and what stands behind it.
const ASPECTS: [(&str, &str); 9] = [
    (
        "columns",
        "SELECT c.oid::regclass || '.' || a.attname,
                concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, a.attidentity,
                    pg_get_expr(d.adbin, d.adrelid))
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace = 'public'::regnamespace",
    ),
    (
        "constraints",
        "SELECT conrelid::regclass || '.' || conname, pg_get_constraintdef(oid) || convalidated
         FROM pg_constraint WHERE connamespace = 'public'::regnamespace",
    ),
    (
        "indexes",
        "SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) || indisvalid
         FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'public'::regnamespace",
    ),
    (
        "comments",
        "SELECT (pg_identify_object(classoid, objoid, objsubid)).identity, description
         FROM pg_description d LEFT JOIN pg_class c ON classoid = 'pg_class'::regclass AND c.oid = objoid
         WHERE objoid >= 16384 AND c.relnamespace IS NOT DISTINCT FROM 'public'::regnamespace
           AND classoid = 'pg_class'::regclass",
    ),
    ("extensions", "SELECT extname::text, extversion FROM pg_extension"),
    (
        "views",
        "SELECT oid::regclass::text, pg_get_viewdef(oid) FROM pg_class
         WHERE relkind IN ('v', 'm') AND relnamespace = 'public'::regnamespace",
    ),
    (
        "functions",
        "SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid) FROM pg_proc p
         LEFT JOIN pg_depend d ON d.objid = p.oid AND d.deptype = 'e'
         WHERE pronamespace = 'public'::regnamespace AND prokind <> 'a' AND d.objid IS NULL",
    ),
    (
        "triggers",
        "SELECT tgrelid::regclass || '.' || tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    ),
    (
        "types",
        "SELECT t.typname::text, coalesce(string_agg(e.enumlabel, ',' ORDER BY e.enumsortorder), '')
         FROM pg_type t LEFT JOIN pg_enum e ON e.enumtypid = t.oid
         WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd') GROUP BY 1",
    ),
];

/// Fails with the first differences where the two are not the same.
pub async fn assert_same(left: &Database, right: &Database) {
    let (left, right) = (snapshot(left).await, snapshot(right).await);
    let mut differences = Vec::new();
    for (name, value) in &left {
        match right.get(name) {
            None => differences.push(format!("{name}: missing on the right")),
            Some(other) if other != value => differences.push(format!("{name}:\n  {value}\n  {other}")),
            Some(_) => {}
        }
    }
    differences.extend(
        right
            .keys()
            .filter(|name| !left.contains_key(*name))
            .map(|name| format!("{name}: missing on the left")),
    );
    assert!(
        differences.is_empty(),
        "{} differences, the first ones:\n{}",
        differences.len(),
        differences.into_iter().take(20).collect::<Vec<_>>().join("\n")
    );
    assert!(left.len() > 20, "there was next to nothing to compare");
}

/// Everything by which a database is compared, by name.
pub async fn snapshot(database: &Database) -> BTreeMap<String, String> {
    let mut connection = database.connect().await;
    let mut snapshot = BTreeMap::new();
    for (aspect, query) in ASPECTS {
        for row in sqlx::query(query).fetch_all(&mut connection).await.unwrap() {
            let value: Option<String> = row.get(1);
            snapshot.insert(format!("{aspect} {}", row.get::<String, _>(0)), value.unwrap_or_default());
        }
    }
    contents(&mut connection, &mut snapshot).await;
    snapshot
}

/// A hash of each table's rows that does not depend on their order, and where each sequence stands.
async fn contents(connection: &mut PgConnection, snapshot: &mut BTreeMap<String, String>) {
    let relations: Vec<(String, bool)> = sqlx::query_as(
        "SELECT oid::regclass::text, relkind = 'S' FROM pg_class
         WHERE relkind IN ('r', 'p', 'm', 'S') AND relnamespace = 'public'::regnamespace",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    for (relation, sequence) in relations {
        let sql = if sequence {
            format!("SELECT last_value || ' ' || is_called FROM {relation}")
        } else {
            format!(
                "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(r::text, 0)), 0) FROM {relation} r"
            )
        };
        let value: String =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&mut *connection).await.unwrap();
        snapshot.insert(format!("contents {relation}"), value);
    }
}
