//! What is not as sound as it should be: constraints, indexes, sequences.

use postgres::{Client, SimpleQueryMessage};
use uplift_core::event::Health;

use crate::failure::{Outcome, ours};

const INVALID_CONSTRAINTS: &str = "
    SELECT pg_catalog.format('%s.%s.%s', n.nspname, c.relname, k.conname)
      FROM pg_catalog.pg_constraint k
      JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT k.convalidated
     ORDER BY 1";

const INVALID_INDEXES: &str = "
    SELECT pg_catalog.format('%s.%s', n.nspname, c.relname)
      FROM pg_catalog.pg_index i
      JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE NOT i.indisvalid AND n.nspname <> 'pg_toast'
     ORDER BY 1";

/// Every sequence that feeds a column of whole numbers, and the query that tells whether it is behind it.
const SEQUENCES: &str = "
    SELECT pg_catalog.format('SELECT %L FROM %I.%I s, (SELECT pg_catalog.%s AS top FROM %I.%I) t WHERE %s',
                  pg_catalog.format('%s.%s', sn.nspname, s.relname), sn.nspname, s.relname,
                  pg_catalog.format(CASE WHEN q.seqincrement > 0 THEN 'max(%I)' ELSE 'min(%I)' END, a.attname),
                  tn.nspname, t.relname,
                  CASE WHEN q.seqincrement > 0
                       THEN 't.top > s.last_value OR t.top = s.last_value AND NOT s.is_called'
                       ELSE 't.top < s.last_value OR t.top = s.last_value AND NOT s.is_called' END)
      FROM pg_catalog.pg_sequence q
      JOIN pg_catalog.pg_class s ON s.oid = q.seqrelid
      JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
      JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = s.oid
                                 AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
                                 AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
      JOIN pg_catalog.pg_class t ON t.oid = d.refobjid AND t.relkind IN ('r', 'p')
      JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
      JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
     WHERE NOT q.seqcycle AND a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
     ORDER BY 1";

/// How many sequences are looked at by one statement.
const AT_ONCE: usize = 100;

/// Looks at a whole database. The session is one of [`Use::Own`](crate::connect::Use).
pub(crate) fn health(client: &mut Client) -> Outcome<Health> {
    let mut sequences_behind = Vec::new();
    for queries in texts(client, SEQUENCES)?.chunks(AT_ONCE) {
        sequences_behind.extend(texts(client, &queries.join(" UNION ALL "))?);
    }
    sequences_behind.sort_unstable();
    Ok(Health {
        invalid_constraints: texts(client, INVALID_CONSTRAINTS)?,
        invalid_indexes: texts(client, INVALID_INDEXES)?,
        sequences_behind,
    })
}

/// The first column of a query's rows.
fn texts(client: &mut Client, query: &str) -> Outcome<Vec<String>> {
    let messages = client.simple_query(query).map_err(|error| ours("dump", &error))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    Ok(rows.collect())
}
