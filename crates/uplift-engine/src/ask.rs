//! What a pack asks a database: product and version, the invariants, what is known to break a hop.

use postgres::{Client, SimpleQueryMessage, SimpleQueryRow};
use uplift_core::{
    event::{Detected, Finding, Invariant, Module},
    pack::{Detect, Preflight, Probes, ReconcileQuery},
};

use crate::failure::{Outcome, Place, infrastructure, of_script, ours, rejected, script};

/// Finds the one pack that knows the database, and what it says of it.
pub(crate) fn detect<'a>(client: &mut Client, packs: &'a [Probes]) -> Outcome<(&'a Probes, Detected)> {
    let mut found = Vec::new();
    for pack in packs {
        if let Some(detected) = recognise(client, pack)? {
            found.push((pack, detected));
        }
    }
    match found.len() {
        1 => Ok(found.swap_remove(0)),
        0 => {
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

fn recognise(client: &mut Client, pack: &Probes) -> Outcome<Option<Detected>> {
    let Detect { requires, version, identity, modules } = &pack.detect;
    if missing_relation(client, requires)?.is_some() {
        return Ok(None);
    }
    let Some(version) = one_text(client, "detect", version)? else { return Ok(None) };
    let version = version.trim().parse().map_err(|_| {
        let product = &pack.product;
        rejected(format!(
            "The database is one of {product}, and says that its version is `{version}`, which is \
                          none that is supported"
        ))
    })?;
    let identity = match identity {
        Some(query) => one_text(client, "detect", query)?,
        None => None,
    };
    let modules = match modules {
        Some(query) => pairs(client, "detect", query)?,
        None => Vec::new(),
    };
    let modules = modules.into_iter().map(|(name, version)| Module { name, version }).collect();
    Ok(Some(Detected { product: pack.product.clone(), version, identity, modules }))
}

/// Asks for the invariants.
pub(crate) fn reconcile(client: &mut Client, queries: &[ReconcileQuery]) -> Outcome<Vec<Invariant>> {
    let ask = |query: &ReconcileQuery| {
        let missing = missing_relation(client, &query.requires)?;
        let items = match &missing {
            Some(_) => Vec::new(),
            None => pairs(client, &format!("reconcile/{}", query.name), &query.query)?,
        };
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

/// Asks for what is known to break a hop, and returns what was found.
pub(crate) fn preflight(client: &mut Client, queries: &[Preflight]) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for query in queries {
        let step = format!("preflight/{}", query.name);
        let rows = rows(client, &step, &format!("SELECT count(*) FROM ({}) AS problem", bare(&query.query)))?;
        let count = rows.first().and_then(|row| row.get(0)).and_then(|count| count.parse().ok()).unwrap_or(0);
        if count > 0 {
            findings.push(Finding {
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

/// The first of these relations that the database does not have.
fn missing_relation(client: &mut Client, names: &[String]) -> Outcome<Option<String>> {
    for name in names {
        let row = client.query_one("SELECT to_regclass($1) IS NULL", &[name]);
        if row.map_err(|error| ours("look for a relation", &error))?.get(0) {
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

fn one_text(client: &mut Client, step: &str, query: &str) -> Outcome<Option<String>> {
    let rows = rows(client, step, query)?;
    Ok(rows.first().filter(|row| !row.is_empty()).and_then(|row| row.get(0)).map(str::to_owned))
}

/// Rows of two columns as texts, in the order of the first.
fn pairs(client: &mut Client, step: &str, query: &str) -> Outcome<Vec<(String, String)>> {
    let query = format!(
        "SELECT pair.label::text COLLATE \"C\", pair.value::text COLLATE \"C\" FROM (\n{}\n) AS pair(label, value) \
         ORDER BY 1, 2",
        bare(query)
    );
    let rows = rows(client, step, &query)?;
    let pair = |row: &SimpleQueryRow| {
        let text = |index| row.get(index).unwrap_or_default().to_owned();
        (row.len() == 2).then(|| (text(0), text(1)))
    };
    let place = Place { step, file: None, line: 1, text: &query };
    rows.iter().map(|row| pair(row).ok_or_else(|| script(place, "the query must give two columns"))).collect()
}

/// A query without the `;` and the blanks at its end, so that it fits between parentheses.
fn bare(query: &str) -> &str {
    query.trim_end_matches(|character: char| character == ';' || character.is_whitespace())
}
