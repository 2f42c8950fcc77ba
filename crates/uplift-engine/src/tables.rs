//! The tables of a database and how many rows they hold.

use postgres::{Client, SimpleQueryMessage};
use uplift_core::event::Table;

use crate::failure::{Outcome, infrastructure, ours};

/// How many tables are counted by one statement.
const AT_ONCE: usize = 100;

const TABLES: &str = "
    SELECT pg_catalog.format('%s.%s', n.nspname, c.relname),
           pg_catalog.format('%I.%I', n.nspname, c.relname),
           coalesce((SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attnum)
                       FROM pg_catalog.pg_attribute a
                      WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '{}')
      FROM pg_catalog.pg_class c
      JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
       AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_toast%'
     ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";

/// Every table of the customer's, in the order of their names. The session is one of [`Use::Own`](crate::connect::Use).
pub(crate) fn tables(client: &mut Client, stage: &str) -> Outcome<Vec<Table>> {
    let rows = client.query(TABLES, &[]).map_err(|error| ours(stage, &error))?;
    let mut tables = Vec::with_capacity(rows.len());
    for rows in rows.chunks(AT_ONCE) {
        // Numbered, for the server may count them in any order.
        let selects = rows.iter().enumerate();
        let selects: Vec<String> = selects
            .map(|(number, row)| {
                format!("SELECT {number}, pg_catalog.count(*) FROM {}", row.get::<_, &str>(1))
            })
            .collect();
        let counts = counts(client, stage, &format!("{} ORDER BY 1", selects.join(" UNION ALL ")))?;
        if counts.len() != rows.len() {
            return Err(infrastructure(stage, "the server did not count every table"));
        }
        tables.extend(rows.iter().zip(counts).map(|(row, rows)| Table {
            name: row.get(0),
            rows,
            columns: row.get(2),
        }));
    }
    Ok(tables)
}

/// The second column of a query's rows, in the order in which they come.
fn counts(client: &mut Client, stage: &str, query: &str) -> Outcome<Vec<u64>> {
    let messages = client.simple_query(query).map_err(|error| ours(stage, &error))?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(1),
        _ => None,
    });
    let numbers = rows.map(str::parse).collect::<Result<_, _>>();
    numbers.map_err(|_| infrastructure(stage, "the server gave a count that is no number"))
}
