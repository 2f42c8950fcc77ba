//! What a pack asks a database: product and version, the invariants, what is known to break a hop.

use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use serde_json::Value;
use uplift_core::{
    event::{Detected, Finding, Invariant, Module},
    failure::Failure,
    pack::{Detect, Preflight, Probes, ReconcileQuery},
    version::Version,
};

use crate::{
    events::Events,
    failure::{Outcome, Place, excerpt, infrastructure, of_script, ours, rejected, script},
};

/// The longest version that is one, in characters.
const MAX_VERSION: usize = 50;

/// The longest identity that is kept, in characters.
const MAX_IDENTITY: usize = 200;

/// How many of the rows that preflight finds are shown.
const EXAMPLES: usize = 20;

/// More rows than this are not taken in: modules beyond are left out, invariants are compared by a hash.
const MAX_PAIRS: usize = 100_000;

/// Finds the one pack that knows the database, and what it says of it.
pub(crate) fn detect<'a>(
    client: &mut Client,
    events: &Events,
    packs: &'a [Probes],
) -> Outcome<(&'a Probes, Detected)> {
    let mut found = Vec::new();
    for pack in packs {
        if let Some(version) = recognise(client, events, pack)? {
            found.push((pack, version));
        }
    }
    match &found[..] {
        [(pack, version)] => Ok((pack, describe(client, events, pack, version.clone())?)),
        [] => {
            let known: Vec<_> = packs.iter().map(|pack| pack.product.as_str()).collect();
            Err(rejected(format!(
                "The database belongs to no product that is supported here. Supported: {}",
                if known.is_empty() { "none yet".to_owned() } else { known.join(", ") }
            )))
        }
        _ => {
            let products: Vec<_> = found.iter().map(|(pack, _)| pack.product.as_str()).collect();
            let message =
                format!("more than one pack takes the database for its own: {}", products.join(", "));
            Err(infrastructure("detect", message))
        }
    }
}

/// The version that a pack finds. A database that its query fails on is another product's, whose tables happen to
/// have the same names.
fn recognise(client: &mut Client, events: &Events, pack: &Probes) -> Outcome<Option<Version>> {
    if missing_relation(client, "detect", &pack.detect.requires)?.is_some() {
        return Ok(None);
    }
    let product = &pack.product;
    let ignored = |why: &str| {
        events.warning(format!("the pack of {product} does not recognise the database: {why}"));
        Ok(None)
    };
    let version = match one_text(client, "detect", &pack.detect.version, MAX_VERSION) {
        Ok(Answer::None) => return Ok(None),
        Ok(Answer::One(version)) => version,
        Ok(Answer::Several) => return ignored("its query for the version gives more than one row"),
        Err(failure) => match *failure {
            Failure::ScriptFailed(script) => {
                let sqlstate = script.sqlstate.as_deref().unwrap_or("none");
                return ignored(&format!("its query for the version fails with SQLSTATE {sqlstate}"));
            }
            failure => return Err(Box::new(failure)),
        },
    };
    // One that is too long has been cut, and its end may not be what makes it none.
    match version.trim().parse() {
        Ok(parsed) if version.chars().count() <= MAX_VERSION => Ok(Some(parsed)),
        _ => ignored("what its query for the version gives is no version"),
    }
}

/// The version as a pack's query gives it; none where it gives not just one.
pub(crate) fn version(client: &mut Client, step: &str, query: &str) -> Outcome<Option<String>> {
    Ok(match one_text(client, step, query, MAX_VERSION)? {
        Answer::One(version) => Some(version),
        Answer::None | Answer::Several => None,
    })
}

/// What else the one pack that recognised the database says of it.
fn describe(client: &mut Client, events: &Events, pack: &Probes, version: Version) -> Outcome<Detected> {
    let Detect { identity, modules, .. } = &pack.detect;
    let identity = match identity {
        Some(query) => match one_text(client, "detect", query, MAX_IDENTITY)? {
            Answer::One(identity) if identity.chars().count() <= MAX_IDENTITY => Some(identity),
            Answer::None => None,
            Answer::One(_) | Answer::Several => {
                events.warning(format!(
                    "the identity of the database is ignored: it is not one text of {MAX_IDENTITY} characters at most"
                ));
                None
            }
        },
        None => None,
    };
    let mut modules = match modules {
        Some(query) => pairs(client, "detect", query)?,
        None => Vec::new(),
    };
    if modules.len() > MAX_PAIRS {
        modules.truncate(MAX_PAIRS);
        events.warning(format!("there are more than {MAX_PAIRS} custom modules: the rest is not listed"));
    }
    let modules = modules.into_iter().map(|(name, version)| Module { name, version }).collect();
    Ok(Detected { product: pack.product.clone(), version, identity, modules })
}

/// Asks for the invariants.
pub(crate) fn reconcile(client: &mut Client, queries: &[ReconcileQuery]) -> Outcome<Vec<Invariant>> {
    let ask = |query: &ReconcileQuery| {
        let step = format!("reconcile/{}", query.name);
        let missing = missing_relation(client, &step, &query.requires)?;
        let mut items = match &missing {
            Some(_) => Vec::new(),
            None => pairs(client, &step, &query.query)?,
        };
        if items.len() > MAX_PAIRS {
            items = pairs_digest(client, &step, &query.query)?;
        }
        Ok(Invariant {
            name: query.name.clone(),
            title: query.title.clone(),
            compare: query.compare,
            items,
            skipped: missing.map(|relation| format!("the database has no {relation}")),
        })
    };
    queries.iter().map(ask).collect()
}

/// Asks for what is known to break a hop on the way from one version to another, and returns what was found.
pub(crate) fn preflight(
    client: &mut Client,
    queries: &[Preflight],
    (from, to): (&Version, &Version),
) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for query in queries.iter().filter(|query| query.concerns(from, to)) {
        let step = format!("preflight/{}", query.name);
        if missing_relation(client, &step, &query.requires)?.is_some() {
            continue;
        }
        let counted = format!("SELECT pg_catalog.count(*) FROM ({}\n) AS problem", bare(&query.query));
        let rows = rows(client, &step, &counted)?;
        let count = rows.first().and_then(|row| row.get(0)).and_then(|count| count.parse().ok()).unwrap_or(0);
        if count > 0 {
            let shown = format!("SELECT * FROM ({}\n) AS problem LIMIT {EXAMPLES}", bare(&query.query));
            let place = Place { step: &step, file: None, line: 1, text: &shown };
            findings.push(Finding {
                examples: shown_rows(client, &shown).map_err(|error| of_script(place, &error))?,
                name: query.name.clone(),
                meaning: query.meaning.clone(),
                mend: query.mend.clone(),
                fatal: query.fatal,
                rows: count,
            });
        }
    }
    Ok(findings)
}

/// A query's rows as lines, for people.
pub(crate) fn shown_rows(client: &mut Client, query: &str) -> Result<Vec<String>, postgres::Error> {
    let line = |row: &SimpleQueryRow| {
        let columns = row.columns().iter().enumerate();
        let values =
            columns.map(|(index, column)| format!("{}={}", column.name(), row.get(index).unwrap_or("NULL")));
        excerpt(&values.collect::<Vec<_>>().join(", "))
    };
    let messages = client.simple_query(query)?;
    let rows = messages.iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(line(row)),
        _ => None,
    });
    Ok(rows.collect())
}

/// Asks for what goes into a backup's manifest: keys and their JSON values.
pub(crate) fn manifest(client: &mut Client, query: &str) -> Outcome<Vec<(String, Value)>> {
    let step = "backup/manifest";
    let place = Place { step, file: None, line: 1, text: query };
    let read = |(key, value): (String, String)| match serde_json::from_str(&value) {
        Ok(value) => Ok((key, value)),
        Err(error) => Err(script(place, format!("the value of `{key}` is no JSON: {error}"))),
    };
    pairs(client, step, query)?.into_iter().map(read).collect()
}

/// The first of these relations that the database does not have.
fn missing_relation(client: &mut Client, step: &str, names: &[String]) -> Outcome<Option<String>> {
    for name in names {
        let row = client.query_one("SELECT pg_catalog.to_regclass($1) IS NULL", &[name]);
        if row.map_err(|error| ours(step, &error))?.get(0) {
            return Ok(Some(name.clone()));
        }
    }
    Ok(None)
}

fn rows(client: &mut Client, step: &str, query: &str) -> Outcome<Vec<SimpleQueryRow>> {
    let place = Place { step, file: None, line: 1, text: query };
    let messages = client.simple_query(query).map_err(|error| of_script(place, &error))?;
    Ok(messages
        .into_iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        })
        .collect())
}

/// What a query for one text gives.
enum Answer {
    /// No row, or NULL.
    None,
    One(String),
    /// More than one row.
    Several,
}

/// The first column of a query's only row; of a longer text one character more than `limit`.
fn one_text(client: &mut Client, step: &str, query: &str, limit: usize) -> Outcome<Answer> {
    let query = format!(
        "SELECT pg_catalog.left(answer.text::pg_catalog.text, {}) FROM (\n{}\n) AS answer(text) LIMIT 2",
        limit + 1,
        bare(query)
    );
    let rows = rows(client, step, &query)?;
    Ok(match (rows.first().and_then(|row| row.get(0)), rows.len()) {
        (_, 2..) => Answer::Several,
        (Some(text), _) => Answer::One(text.to_owned()),
        (None, _) => Answer::None,
    })
}

/// Rows of two columns as texts, in the order of the first: one more than [`MAX_PAIRS`] at most.
fn pairs(client: &mut Client, step: &str, query: &str) -> Outcome<Vec<(String, String)>> {
    let limit = MAX_PAIRS + 1;
    let query = format!(
        "SELECT pair.label::text COLLATE \"C\", pair.value::text COLLATE \"C\" FROM (\n{}\n) AS pair(label, value) \
         ORDER BY 1, 2 LIMIT {limit}",
        bare(query)
    );
    two_columns(client, step, &query)
}

/// How many rows [`pairs`] would give without its limit, and a hash of them all: that much can still be compared.
fn pairs_digest(client: &mut Client, step: &str, query: &str) -> Outcome<Vec<(String, String)>> {
    // A hash for each row, since a text cannot hold them all.
    let query = format!(
        "SELECT pg_catalog.count(*), pg_catalog.encode(pg_catalog.sha256(pg_catalog.string_agg( \
                pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.format('%L %L', pair.label, pair.value), 'UTF8')), \
                ''::bytea ORDER BY pair.label::text COLLATE \"C\", pair.value::text COLLATE \"C\")), 'hex') \
           FROM (\n{}\n) AS pair(label, value)",
        bare(query)
    );
    let digest = two_columns(client, step, &query)?.into_iter().next();
    let (rows, hash) =
        digest.ok_or_else(|| infrastructure(step, "the server gave no row for an aggregate"))?;
    Ok(vec![("rows".to_owned(), rows), ("sha256".to_owned(), hash)])
}

fn two_columns(client: &mut Client, step: &str, query: &str) -> Outcome<Vec<(String, String)>> {
    let rows = rows(client, step, query)?;
    let pair = |row: &SimpleQueryRow| {
        let text = |index| row.get(index).unwrap_or_default().to_owned();
        (row.len() == 2).then(|| (text(0), text(1)))
    };
    let place = Place { step, file: None, line: 1, text: query };
    rows.iter().map(|row| pair(row).ok_or_else(|| script(place, "the query must give two columns"))).collect()
}

/// A query without the `;` and the blanks at its end, so that it fits between parentheses.
fn bare(query: &str) -> &str {
    query.trim_end_matches(|character: char| character == ';' || character.is_whitespace())
}
