//! The packs that ship tell Odoo, Flectra and other forks apart, which keep one another's tables.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uplift_core::{
    Pack,
    event::Event,
    pack::{Detect, Files, Probes},
};

use crate::{cluster::Cluster, engine::restore, refused::dump};

fn folder(product: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs").join(product)
}

/// How a pack that ships recognises a database; what else it asks needs more than a few rows.
fn shipped(product: &str) -> Probes {
    let folder = folder(product);
    let mut files = Files::new();
    let mut inside = vec![folder.clone()];
    while let Some(folder_inside) = inside.pop() {
        for entry in fs::read_dir(folder_inside).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                inside.push(path);
            } else {
                let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let probes = Pack::from_files(files).unwrap().probes();
    let detect = Detect { modules: None, ..probes.detect };
    Probes { detect, reconcile: Vec::new(), preflight: Vec::new(), manifest: None, ..probes }
}

/// A database as far as packs look in order to recognise it: the module `base`, and one more.
fn database(version: &str, base: (&str, &str), sale: (&str, &str)) -> String {
    let rows = [("base", version, base), ("sale", "1.1", sale)];
    let rows: String = rows
        .iter()
        .map(|(name, version, (author, website))| format!("{name}\t{version}\t{author}\t{website}\n"))
        .collect();
    dump(&format!(
        "CREATE TABLE public.ir_module_module (name text, latest_version text, author text, website text);\n\
         CREATE TABLE public.ir_model_data (id integer);\n\
         CREATE TABLE public.ir_config_parameter (key text, value text);\n\
         COPY public.ir_module_module (name, latest_version, author, website) FROM stdin;\n{rows}\\.\n\
         INSERT INTO public.ir_config_parameter VALUES ('database.uuid', '8f7e');\n"
    ))
}

#[test]
fn odoo_and_its_forks_are_told_apart() {
    const ODOO: (&str, &str) = ("Odoo S.A.", "https://www.odoo.com");
    const NONE: (&str, &str) = ("Odoo S.A.", "\\N");
    const FLECTRA: (&str, &str) = ("Odoo S.A.", "https://flectrahq.com/page/sales");
    const OTHER: (&str, &str) = ("Odoo S.A.", "https://other.example");

    let cluster = Cluster::start();
    let packs = vec![shipped("odoo"), shipped("flectra"), shipped("sample")];
    for (version, base, sale, expected) in [
        ("14.0.1.3", ODOO, ODOO, Some(("odoo", "14.0"))),
        ("19.0.1.3", NONE, ODOO, Some(("odoo", "19.0"))),
        ("saas~17.2.1.3", ODOO, ODOO, Some(("odoo", "17.2"))),
        // A module of Flectra's in a database of Odoo's does not make it one of theirs.
        ("17.0.1.3", ODOO, FLECTRA, Some(("odoo", "17.0"))),
        ("1.0.1.3", NONE, FLECTRA, Some(("flectra", "1.0"))),
        ("2.0.1.3", NONE, FLECTRA, Some(("flectra", "2.0"))),
        ("3.0.1.3", ("FlectraHQ, Odoo S.A.", "\\N"), NONE, Some(("flectra", "3.0"))),
        // Another fork that counts anew; one that counts on; one that calls itself Flectra and counts on.
        ("2.0.1.3", NONE, OTHER, None),
        ("17.0.1.3", ("FlectraHQ", "\\N"), ODOO, None),
        ("\\N", NONE, FLECTRA, None),
    ] {
        let run = restore(&cluster, database(version, base, sale).as_bytes(), packs.clone());
        let found = run.events.iter().find_map(|event| match event {
            Event::Detected(detected) => Some((detected.product.as_str(), detected.version.as_str())),
            _ => None,
        });
        assert_eq!(found, expected, "{version} {base:?} {sale:?}");
        if expected.is_none() {
            run.rejection();
        }
    }
}

/// A pack holds no links, so Flectra's has copies of what is Odoo's.
#[test]
fn what_flectra_has_of_odoo_is_the_same() {
    let read = |product: &str, file: &str| fs::read_to_string(folder(product).join(file)).unwrap();
    for (file, odoos) in [
        ("neutralize.sql", "neutralize.sql"),
        ("manifest.sql", "manifest.sql"),
        ("steps/set-aside.sql", "steps/set-aside.sql"),
        ("steps/any-left.sql", "steps/any-left.sql"),
        ("reconcile/trial-balance.sql", "reconcile/trial-balance-14.0.sql"),
        ("reconcile/stock-quantities.sql", "reconcile/stock-quantities-14.0.sql"),
        ("reconcile/stock-value.sql", "reconcile/stock-value-14.0.sql"),
        ("reconcile/documents.sql", "reconcile/documents-14.0.sql"),
        ("reconcile/records.sql", "reconcile/records-14.0.sql"),
    ] {
        assert!(read("flectra", file) == read("odoo", odoos), "{file} differs from Odoo's: copy it");
    }
}
