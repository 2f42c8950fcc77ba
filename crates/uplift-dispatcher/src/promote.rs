//! An override becomes part of its pack: the same change, written into `pack.toml` and the files beside it, so that what the
//! new version differs in is the override and nothing else.

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, TableLike, value};
use uplift_core::{
    Override,
    overrides::{Change, OwnScript, Settings},
    pack::{Files, MANIFEST},
};

/// The files of a pack with an override in them.
///
/// # Errors
/// Why it cannot be written into this pack, for people.
pub(crate) fn promoted(mut files: Files, change: &Override) -> Result<Files, String> {
    let manifest = files.get(MANIFEST).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut manifest: DocumentMut =
        manifest.unwrap_or_default().parse().map_err(|error| format!("{MANIFEST}: {error}"))?;
    let steps = steps(&mut manifest, &change.hop)?;
    let named = |table: &Table| table.get("name").and_then(Item::as_str) == Some(&change.step);
    let at =
        steps.iter().position(named).ok_or_else(|| format!("the pack has no step `{}`", change.target()))?;
    match &change.change {
        Change::Before(script) => insert(steps, at, step(change, script)),
        Change::After(script) => insert(steps, at + 1, step(change, script)),
        Change::Replace(script) => {
            if let Some(table) = steps.get_mut(at) {
                for key in ["sql", "check", "message", "run", "transaction", "checkpoint"] {
                    table.remove(key);
                }
                fill(table, change, script);
            }
        }
        Change::Skip => drop(steps.remove(at)),
        Change::Set(settings) => {
            if let Some(table) = steps.get_mut(at) {
                set(table, settings);
            }
        }
    }
    if let Some(script) = change.script() {
        let path = path(change, script);
        let bytes = script.text.clone().into_bytes();
        match files.get(&path) {
            Some(there) if *there != bytes => {
                return Err(format!(
                    "the pack has another file `{path}` already: add the override under another name"
                ));
            }
            _ => drop(files.insert(path, bytes)),
        }
    }
    files.insert(MANIFEST.to_owned(), manifest.to_string().into_bytes());
    Ok(files)
}

/// The steps of a hop, or of what runs behind all hops.
fn steps<'a>(manifest: &'a mut DocumentMut, hop: &str) -> Result<&'a mut ArrayOfTables, String> {
    let missing = || format!("the pack does not write hop `{hop}` as [[hop]] with [[hop.step]]");
    let parent: &mut Table = if hop == "custom" {
        manifest.get_mut("custom").and_then(Item::as_table_mut).ok_or_else(missing)?
    } else {
        let hops = manifest.get_mut("hop").and_then(Item::as_array_of_tables_mut).ok_or_else(missing)?;
        let word = |table: &Table, key: &str| table.get(key).and_then(Item::as_str).map(ToOwned::to_owned);
        let named = |table: &&mut Table| {
            word(table, "from").zip(word(table, "to")).is_some_and(|(from, to)| format!("{from}-{to}") == hop)
        };
        hops.iter_mut().find(named).ok_or_else(missing)?
    };
    parent.get_mut("step").and_then(Item::as_array_of_tables_mut).ok_or_else(missing)
}

/// Puts a table among others; written, it stands behind the one before it.
fn insert(steps: &mut ArrayOfTables, at: usize, step: Table) {
    let mut tables: Vec<Table> = steps.iter().cloned().collect();
    tables.insert(at, step);
    steps.clear();
    tables.into_iter().for_each(|table| steps.push(table));
}

fn step(change: &Override, script: &OwnScript) -> Table {
    let mut table = Table::new();
    table.insert("name", value(script.step()));
    fill(&mut table, change, script);
    table.decor_mut().set_prefix("\n");
    table
}

fn fill(table: &mut Table, change: &Override, script: &OwnScript) {
    table.insert("sql", value(path(change, script)));
    if !script.transaction {
        table.insert("transaction", value(false));
    }
}

/// Where a script lies in the pack.
fn path(change: &Override, script: &OwnScript) -> String {
    format!("{}/{}", change.hop, script.file)
}

fn set(table: &mut Table, settings: &Settings) {
    if let Some(seconds) = settings.timeout_seconds {
        table.insert("timeout_seconds", value(i64::try_from(seconds).unwrap_or(i64::MAX)));
    }
    let run = table.get_mut("run").and_then(Item::as_table_like_mut);
    if let Some(run) = run.filter(|_| !settings.env.is_empty()) {
        if run.get("env").is_none() {
            run.insert("env", value(InlineTable::new()));
        }
        let env: Option<&mut dyn TableLike> = run.get_mut("env").and_then(Item::as_table_like_mut);
        if let Some(env) = env {
            for (name, text) in &settings.env {
                env.insert(name, value(text));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use similar::TextDiff;
    use uplift_core::Pack;

    use super::*;

    const PACK: &str = r#"# A pack.
product = "p"
title = "P"
targets = ["2.0", "3.0"]

[detect]
requires = ["public.t"]
version = "SELECT 1"

[[hop]]
from = "1.0"
to = "2.0"

# The first.
[[hop.step]]
name = "one"
check = "one.sql"
message = "m"

[[hop.step]]
name = "two"
[hop.step.run]
image = "i:1"
command = ["c"]

[[hop]]
from = "2.0"
to = "3.0"

[[hop.step]]
name = "three"
sql = "one.sql"

[[custom.step]]
name = "own"
run = { image = "i:1", command = ["c"], env = { A = "1" } }
"#;

    fn files() -> Files {
        [("pack.toml", PACK), ("one.sql", "SELECT 1;")].map(|(name, text)| (name.into(), text.into())).into()
    }

    fn script(transaction: bool) -> OwnScript {
        OwnScript { file: "fix.sql".into(), text: "SELECT 2;".into(), transaction }
    }

    /// What is other in `pack.toml`, line by line; what comes out is a sound pack.
    fn differs(hop: &str, step: &str, change: Change) -> Vec<String> {
        let change = Override { hop: hop.into(), step: step.into(), change };
        let files = promoted(files(), &change).unwrap();
        let text = String::from_utf8(files["pack.toml"].clone()).unwrap();
        assert_eq!(files.contains_key(&format!("{hop}/fix.sql")), change.script().is_some());
        Pack::from_files(files).unwrap_or_else(|error| panic!("{error}:\n{text}"));
        let diff = TextDiff::from_lines(PACK, &text);
        let changes =
            diff.iter_all_changes().map(|line| format!("{}{}", line.tag(), line.value().trim_end()));
        changes.filter(|line| !line.starts_with(' ')).collect()
    }

    #[test]
    fn what_the_new_version_differs_in_is_the_override() {
        let put_in = ["+[[hop.step]]", "+name = \"fix\"", "+sql = \"1.0-2.0/fix.sql\"", "+"];
        let sorted = |mut lines: Vec<String>| {
            lines.sort();
            lines
        };
        let expected = sorted(put_in.map(ToOwned::to_owned).to_vec());
        for change in [Change::Before(script(true)), Change::After(script(true))] {
            for step in ["one", "two"] {
                assert_eq!(sorted(differs("1.0-2.0", step, change.clone())), expected);
            }
        }
        assert_eq!(
            differs("1.0-2.0", "one", Change::Replace(script(false))),
            [
                "-check = \"one.sql\"",
                "-message = \"m\"",
                "+sql = \"1.0-2.0/fix.sql\"",
                "+transaction = false"
            ]
        );
        let gone = differs("1.0-2.0", "two", Change::Skip);
        assert!(gone.iter().all(|line| line.starts_with('-')) && gone.len() >= 5, "{gone:?}");
        let settings = Settings { timeout_seconds: Some(7), env: [("B".into(), "2".into())].into() };
        let set = differs("custom", "own", Change::Set(settings.clone()));
        assert!(
            set.contains(&"+timeout_seconds = 7".to_owned())
                && set.iter().any(|line| line.contains("B = \"2\"")),
            "{set:?}"
        );
        let set = differs("1.0-2.0", "two", Change::Set(settings));
        assert!(set.contains(&"+env = { B = \"2\" }".to_owned()), "{set:?}");
    }

    #[test]
    fn where_it_is_put_it_runs() {
        let change = |step: &str, change| Override { hop: "1.0-2.0".into(), step: step.into(), change };
        let names = |change: &Override| {
            let pack = Pack::from_files(promoted(files(), change).unwrap()).unwrap();
            let hops = pack.path(&"1.0".parse().unwrap(), &"3.0".parse().unwrap()).unwrap();
            let ids = hops.iter().flat_map(|hop| hop.steps.iter().map(|step| step.id().to_owned()));
            ids.collect::<Vec<_>>().join(" ")
        };
        let rest = "1.0-2.0/arrived 2.0-3.0/three 2.0-3.0/arrived";
        assert_eq!(
            names(&change("one", Change::Before(script(true)))),
            format!("1.0-2.0/fix 1.0-2.0/one 1.0-2.0/two {rest}")
        );
        assert_eq!(
            names(&change("two", Change::After(script(true)))),
            format!("1.0-2.0/one 1.0-2.0/two 1.0-2.0/fix {rest}")
        );
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        let change = |hop: &str, step: &str| Override {
            hop: hop.into(),
            step: step.into(),
            change: Change::Before(script(true)),
        };
        let mut there = files();
        there.insert("1.0-2.0/fix.sql".into(), "SELECT 3;".into());
        for (files, change, words) in [
            (files(), change("1.0-2.0", "no"), "no step `1.0-2.0/no`"),
            (files(), change("7.0-8.0", "one"), "hop `7.0-8.0`"),
            (there, change("1.0-2.0", "one"), "another file `1.0-2.0/fix.sql`"),
        ] {
            let why = promoted(files, &change).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }
}
