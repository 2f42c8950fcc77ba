//! An invariant before and after, as a table: labels down the side, figures in columns that line up.

use uplift_core::{
    pack::Compare,
    report::{Reconciliation, ReconciliationRow},
};

use super::words;

/// Equal lines that are shown at once; the rest is folded away.
const EQUAL_SHOWN: usize = 10;

/// Lines of one invariant that a page shows at most. All of them are in `report.json`.
const MOST: usize = 500;

/// Figures in one value that get columns of their own.
const MOST_COLUMNS: usize = 4;

/// One invariant.
pub(super) struct Balance {
    pub(super) title: String,
    pub(super) verdict: Verdict,
    /// How many lines differ.
    pub(super) different: u64,
    /// What the figures of a value are: `debit`, `credit`. One nameless column where a value is one thing.
    pub(super) columns: Vec<String>,
    /// Whether the values are figures, which line up at their right.
    pub(super) figures: bool,
    /// What differs, and as much of the rest as is good to see at once.
    pub(super) shown: Vec<Row>,
    /// What is equal besides.
    pub(super) folded: Vec<Row>,
    /// How many lines that is.
    pub(super) more: u64,
    /// How many lines there are in all.
    pub(super) lines: u64,
    /// How many of them are too many for a page.
    pub(super) left: u64,
}

/// How an invariant came out.
#[derive(PartialEq, Eq)]
pub(super) enum Verdict {
    /// All lines are equal.
    Equal,
    /// Some are not, which this comparison is there to show, not to forbid.
    Different,
    /// It was not asked, and why.
    Skipped(String),
}

/// A label with what it is worth on both sides.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) before: Vec<String>,
    pub(super) after: Vec<String>,
    pub(super) equal: bool,
}

impl Balance {
    pub(super) fn of(pair: &Reconciliation) -> Self {
        let rows = pair.rows();
        let shape = Shape::of(&rows);
        let (equal, different): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.before == row.after);
        let lines = rows.len() as u64;
        let mut all = different.iter().map(|row| shape.row(row)).take(MOST).collect::<Vec<_>>();
        let shown = all.len() + EQUAL_SHOWN;
        all.extend(equal.iter().map(|row| shape.row(row)).take(MOST.saturating_sub(all.len())));
        let left = lines - all.len() as u64;
        // To fold away a line or two helps nobody.
        let folded = if all.len() > shown + 2 { all.split_off(shown) } else { Vec::new() };
        let skipped = pair.after.skipped.as_ref().or(pair.before.skipped.as_ref());
        Self {
            title: pair.before.title.clone(),
            verdict: match skipped {
                Some(why) => Verdict::Skipped(why.clone()),
                None if pair.equal => Verdict::Equal,
                None => Verdict::Different,
            },
            different: different.len() as u64,
            figures: shape.columns.is_some(),
            columns: shape.names(),
            shown: all,
            more: folded.len() as u64,
            folded,
            lines,
            left,
        }
    }
}

/// Whether a comparison is one that an upgrade must not change.
pub(super) fn binds(pair: &Reconciliation) -> bool {
    pair.before.compare == Compare::Equal && pair.before.skipped.is_none() && pair.after.skipped.is_none()
}

/// What every value of an invariant looks like.
struct Shape {
    /// The words around each figure, and the most digits behind its point; nothing where values are mere text.
    columns: Option<Vec<(String, usize)>>,
}

impl Shape {
    fn of(rows: &[ReconciliationRow<'_>]) -> Self {
        let mut columns: Option<Vec<(String, usize)>> = None;
        for value in rows.iter().flat_map(|row| [row.before, row.after]).flatten() {
            let Some(figures) = figures(value) else { return Self { columns: None } };
            let columns =
                columns.get_or_insert_with(|| figures.iter().map(|(words, _)| (words.clone(), 0)).collect());
            let alike = columns.len() == figures.len()
                && columns.iter().zip(&figures).all(|((name, _), (words, _))| name == words);
            if !alike {
                return Self { columns: None };
            }
            for ((_, most), (_, figure)) in columns.iter_mut().zip(&figures) {
                *most = words::decimals(figure).max(*most);
            }
        }
        Self { columns }
    }

    fn names(&self) -> Vec<String> {
        match &self.columns {
            Some(columns) => columns.iter().map(|(name, _)| name.clone()).collect(),
            None => vec![String::new()],
        }
    }

    fn row(&self, row: &ReconciliationRow<'_>) -> Row {
        Row {
            label: row.label.to_owned(),
            before: self.cells(row.before),
            after: self.cells(row.after),
            equal: row.before == row.after,
        }
    }

    fn cells(&self, value: Option<&str>) -> Vec<String> {
        match (&self.columns, value) {
            (Some(columns), Some(value)) => {
                let figures = figures(value).unwrap_or_default();
                let cell = |((_, decimals), (_, figure)): (&(String, usize), &(String, &str))| {
                    words::decimal(figure, *decimals).unwrap_or_else(|| (*figure).to_owned())
                };
                columns.iter().zip(&figures).map(cell).collect()
            }
            (Some(columns), None) => vec!["–".to_owned(); columns.len()],
            (None, value) => vec![value.unwrap_or("–").to_owned()],
        }
    }
}

/// The figures of a value such as `debit 12.5, credit 0` or `3 worth 70`, each with the words that name it; `None`
/// where the value is something else.
fn figures(value: &str) -> Option<Vec<(String, &str)>> {
    let mut found = Vec::new();
    for piece in value.split(", ") {
        let (figures, around): (Vec<&str>, Vec<&str>) =
            piece.split(' ').partition(|word| words::is_decimal(word));
        match figures.as_slice() {
            [figure] => found.push((around.join(" "), *figure)),
            // The words before a figure name it; words behind the last one would name nothing.
            [_, .., last] if piece.ends_with(last) => {
                let mut name = Vec::new();
                for word in piece.split(' ') {
                    if words::is_decimal(word) {
                        found.push((name.join(" "), word));
                        name.clear();
                    } else {
                        name.push(word);
                    }
                }
            }
            _ => return None,
        }
    }
    let nameless = found.iter().filter(|(name, _)| name.is_empty()).count();
    (found.len() <= MOST_COLUMNS && nameless <= 1).then_some(found)
}

#[cfg(test)]
mod tests {
    use uplift_core::event::Invariant;

    use super::*;

    fn pair(before: &[(&str, &str)], after: &[(&str, &str)]) -> Reconciliation {
        let invariant = |items: &[(&str, &str)]| Invariant {
            name: "n".into(),
            title: "t".into(),
            compare: Compare::Report,
            items: items.iter().map(|(label, value)| ((*label).to_owned(), (*value).to_owned())).collect(),
            skipped: None,
        };
        Reconciliation::pair(&[invariant(before)], &[invariant(after)]).remove(0)
    }

    #[test]
    fn figures_of_one_kind_share_a_column() {
        let both = [("cash", "debit 1000.5, credit 0"), ("bank", "debit 2, credit -3.25")];
        let balance = Balance::of(&pair(&both, &both));
        assert_eq!(balance.columns, ["debit", "credit"]);
        assert!(balance.figures && balance.verdict == Verdict::Equal);
        assert_eq!(balance.shown[1].before, ["1\u{202f}000.5", "0.00"]);
        assert_eq!(balance.shown[0].before, ["2.0", "−3.25"]);
        let stock = [("desk", "70 worth 8050.5")];
        assert_eq!(Balance::of(&pair(&stock, &stock)).columns, ["", "worth"]);
    }

    #[test]
    fn what_is_no_figure_stays_as_it_is() {
        for value in ["3 4", "1, 2", "3 of 4 done", "a 1, b 2, c 3, d 4, e 5", "open", "", "1.000,00"] {
            let balance = Balance::of(&pair(&[("a", value), ("b", "7")], &[("a", value)]));
            assert!(!balance.figures, "{value}");
            assert_eq!(balance.shown.iter().find(|row| row.label == "a").unwrap().before, [value]);
        }
    }

    #[test]
    fn what_differs_comes_first_and_what_is_too_much_is_counted() {
        let labels: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
        let before: Vec<(&str, &str)> = labels.iter().map(|label| (label.as_str(), "1")).collect();
        let mut after = before.clone();
        after[700].1 = "2";
        let balance = Balance::of(&pair(&before, &after));
        assert!(balance.verdict == Verdict::Different && balance.different == 1);
        assert_eq!((balance.shown[0].label.as_str(), balance.shown[0].equal), ("0700", false));
        assert_eq!((balance.shown.len(), balance.folded.len()), (11, 489));
        assert_eq!((balance.lines, balance.left), (1000, 500));
    }
}
