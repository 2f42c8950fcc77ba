//! Two databases held against each other: every definition, every sequence, every row.

mod catalog;
mod loose;

use std::{collections::BTreeMap, thread};

use postgres::{Client, SimpleQueryMessage};

use crate::{
    connect::{Server, Use},
    failure::{Outcome, excerpt, infrastructure, ours},
};
use catalog::{KINDS, PRELUDE};

/// How many tables or sequences are asked for by one statement.
const AT_ONCE: usize = 50;

/// Every table whose rows are compared: the customer's own, and what a materialized view holds; and what a row of
/// it is. A heir's columns are taken by name, see [`catalog::PRELUDE`].
const TABLES: &str = "
    SELECT called, CASE WHEN NOT heir THEN 'the_row.*' ELSE
           (SELECT format('ROW(%s)', string_agg(format('the_row.%I', attname), ', ' ORDER BY attname))
              FROM pg_attribute WHERE attrelid = r.oid AND attnum > 0 AND NOT attisdropped) END
      FROM relation r WHERE relkind = 'r' OR relkind = 'm' AND relispopulated ORDER BY oid";

const SEQUENCES: &str = "SELECT called, '' FROM relation WHERE relkind = 'S'";

/// All that is compared, by kind and name.
pub type Snapshot = BTreeMap<(&'static str, String), String>;

/// Says how two databases differ, in so many lines at most; none when they are equal.
///
/// # Errors
/// The server does not answer.
pub fn differences(server: &Server, before: &str, after: &str, limit: usize) -> Outcome<Vec<String>> {
    let (before, after) = thread::scope(|scope| {
        let other = scope.spawn(|| snapshot(server, after));
        (snapshot(server, before), other.join())
    });
    let after =
        after.map_err(|_| infrastructure("prove", "the thread that reads the second database died"))?;
    Ok(between(&before?, &after?, limit))
}

/// Reads all of a database, as the tenant.
///
/// # Errors
/// The server does not answer.
pub fn snapshot(server: &Server, database: &str) -> Outcome<Snapshot> {
    // Its empty search path also has every name written with its schema.
    let mut client = server.tenant(database, Use::Own)?;
    let mut snapshot = Snapshot::new();
    for kind in KINDS {
        let rows = pairs(&mut client, &format!("{PRELUDE}{}", kind.query))?;
        snapshot.extend(rows.into_iter().map(|(name, definition)| ((kind.name, name), definition)));
    }
    let sequences = pairs(&mut client, &format!("{PRELUDE}{SEQUENCES}"))?;
    each(&mut client, &mut snapshot, "value of sequence", &sequences, |name, called, _| {
        format!("SELECT {name}, concat_ws(' ', last_value, is_called) FROM {called}")
    })?;
    // A sum of hashes minds no order. A row's own output function is asked for, since the customer may have
    // defined a cast to text.
    let tables = pairs(&mut client, &format!("{PRELUDE}{TABLES}"))?;
    each(&mut client, &mut snapshot, "rows of", &tables, |name, called, row| {
        format!(
            "SELECT {name}, concat_ws(' ', count(*), 'rows, hash', \
             coalesce(sum(hashtextextended(textin(record_out({row})), 0)), 0)) FROM {called} AS the_row"
        )
    })?;
    Ok(snapshot)
}

/// Asks one thing of many objects, some at a time.
fn each(
    client: &mut Client,
    snapshot: &mut Snapshot,
    kind: &'static str,
    objects: &[(String, String)],
    query: impl Fn(&str, &str, &str) -> String,
) -> Outcome<()> {
    for objects in objects.chunks(AT_ONCE) {
        let literal = |called: &String| format!("'{}'", called.replace('\'', "''"));
        let queries: Vec<_> =
            objects.iter().map(|(called, more)| query(&literal(called), called, more)).collect();
        let rows = pairs(client, &queries.join(" UNION ALL "))?;
        snapshot.extend(rows.into_iter().map(|(name, value)| ((kind, name), value)));
    }
    Ok(())
}

fn pairs(client: &mut Client, query: &str) -> Outcome<Vec<(String, String)>> {
    let messages = client.simple_query(query).map_err(|error| ours("prove", &error))?;
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let pair = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => Some((text(row.get(0)), text(row.get(1)))),
        _ => None,
    };
    Ok(messages.iter().filter_map(pair).collect())
}

/// The first differences of two snapshots, as lines for people, and how many more there are.
fn between(before: &Snapshot, after: &Snapshot, limit: usize) -> Vec<String> {
    let gone = before
        .iter()
        .filter(|(key, _)| !after.contains_key(key))
        .map(|((kind, name), _)| format!("{kind} {name} is missing"));
    let new = after
        .iter()
        .filter(|(key, _)| !before.contains_key(key))
        .map(|((kind, name), _)| format!("{kind} {name} is there and should not be"));
    let changed = before.iter().filter_map(|(key, old)| {
        let new = after.get(key).filter(|new| *new != old && !loose::equal(key.0, old, new))?;
        Some(format!("{} {}: `{}` became `{}`", key.0, key.1, excerpt(old), excerpt(new)))
    });
    let mut lines: Vec<String> = gone.chain(new).chain(changed).collect();
    if lines.len() > limit {
        let more = lines.len() - limit;
        lines.truncate(limit);
        lines.push(format!("and {more} more"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{Snapshot, between};

    fn snapshot(entries: &[(&str, &str)]) -> Snapshot {
        entries.iter().map(|&(name, value)| (("table", name.to_owned()), value.to_owned())).collect()
    }

    #[test]
    fn differences_are_told_by_name() {
        let before = snapshot(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(between(&before, &before, 9), Vec::<String>::new());
        let after = snapshot(&[("a", "1"), ("c", "4"), ("d", "5")]);
        let lines = ["table b is missing", "table d is there and should not be", "table c: `3` became `4`"];
        assert_eq!(between(&before, &after, 9), lines);
        assert_eq!(between(&before, &after, 1), [lines[0], "and 2 more"]);
    }
}
