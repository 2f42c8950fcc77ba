//! The tables, those that changed most first.

use uplift_core::report::TableChange;

use super::words;

/// Tables that are shown at once.
const SHOWN: usize = 12;

/// Tables that a page shows at most. All of them are in `report.json`.
const MOST: usize = 500;

/// Names of columns that are spelt out for one table.
const NAMES: usize = 6;

/// What became of the tables.
pub(super) struct Tables {
    /// Those that changed most.
    pub(super) shown: Vec<Row>,
    /// The other ones that changed.
    pub(super) folded: Vec<Row>,
    /// How many tables that is.
    pub(super) more: u64,
    /// How many more changed than a page shows.
    pub(super) left: u64,
    /// How many changed.
    pub(super) changed: u64,
    /// How many have the same rows and columns as before.
    pub(super) unchanged: u64,
}

/// One table.
pub(super) struct Row {
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
    pub(super) difference: String,
    pub(super) columns: String,
}

impl Tables {
    pub(super) fn of(tables: &[TableChange]) -> Self {
        let mut changed: Vec<&TableChange> = tables.iter().filter(|table| weight(table) > (0, 0)).collect();
        changed.sort_by_key(|table| std::cmp::Reverse(weight(table)));
        let mut shown: Vec<Row> = changed.iter().take(MOST).map(|table| Row::of(table)).collect();
        let folded = if shown.len() > SHOWN + 2 { shown.split_off(SHOWN) } else { Vec::new() };
        Self {
            left: changed.len().saturating_sub(MOST) as u64,
            changed: changed.len() as u64,
            unchanged: (tables.len() - changed.len()) as u64,
            shown,
            more: folded.len() as u64,
            folded,
        }
    }
}

/// How much a table changed: tables that came or went, and rows, before columns.
fn weight(table: &TableChange) -> (u64, usize) {
    let rows = match (table.rows_before, table.rows_after) {
        (Some(before), Some(after)) => before.abs_diff(after),
        (before, after) => before.or(after).unwrap_or(0) + 1,
    };
    (rows, table.columns_added.len() + table.columns_dropped.len())
}

impl Row {
    fn of(table: &TableChange) -> Self {
        let (before, after) = (table.rows_before, table.rows_after);
        Self {
            name: table.table.strip_prefix("public.").unwrap_or(&table.table).to_owned(),
            before: before.map_or_else(|| "–".to_owned(), words::count),
            after: after.map_or_else(|| "–".to_owned(), words::count),
            difference: match (before, after) {
                (None, _) => "new".to_owned(),
                (_, None) => "gone".to_owned(),
                (Some(before), Some(after)) if before < after => format!("+{}", words::count(after - before)),
                (Some(before), Some(after)) if before > after => format!("−{}", words::count(before - after)),
                _ => "±0".to_owned(),
            },
            columns: columns(table),
        }
    }
}

fn columns(table: &TableChange) -> String {
    // A table that came or went did so with all of its columns.
    if table.rows_before.is_none() || table.rows_after.is_none() {
        return String::new();
    }
    let part = |what: &str, names: &[String]| {
        let listed = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
        match names.len() {
            0 => None,
            all if all > NAMES => Some(format!("{what}: {listed} and {} more", all - NAMES)),
            _ => Some(format!("{what}: {listed}")),
        }
    };
    [part("added", &table.columns_added), part("dropped", &table.columns_dropped)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, before: Option<u64>, after: Option<u64>, added: usize) -> TableChange {
        TableChange {
            table: format!("public.{name}"),
            rows_before: before,
            rows_after: after,
            columns_added: (0..added).map(|number| format!("c{number}")).collect(),
            columns_dropped: Vec::new(),
        }
    }

    #[test]
    fn the_greatest_change_comes_first_and_what_did_not_change_is_counted() {
        let tables = Tables::of(&[
            table("same", Some(5), Some(5), 0),
            table("wider", Some(5), Some(5), 8),
            table("empty", None, Some(0), 3),
            table("more", Some(10), Some(1_500), 0),
            table("gone", Some(20), None, 0),
        ]);
        let rows: Vec<_> =
            tables.shown.iter().map(|row| (row.name.as_str(), row.difference.as_str())).collect();
        assert_eq!(rows, [("more", "+1\u{202f}490"), ("gone", "gone"), ("empty", "new"), ("wider", "±0")]);
        assert_eq!(tables.shown[3].columns, "added: c0, c1, c2, c3, c4, c5 and 2 more");
        assert_eq!((tables.changed, tables.unchanged, tables.left), (4, 1, 0));
    }
}
