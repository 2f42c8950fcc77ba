//! Dashboards and rules say what is there: each metric that they ask for is one of [`families`], or one that
//! every process has of its own.

use std::{collections::BTreeSet, fs, path::PathBuf, process::Command};

use serde_json::{Value, json};
use uplift_platform::boot::metrics;

use crate::families::{Figures, Series, families};

/// Prometheus' own, which no exporter has to tell.
const OF_PROMETHEUS: [&str; 2] = ["up", "scrape_duration_seconds"];

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../dashboards").join(name)
}

fn files(name: &str, ending: &str) -> Vec<(String, String)> {
    let mut found: Vec<_> = fs::read_dir(folder(name))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == ending))
        .map(|path| {
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no {ending} in {name}");
    found
}

/// Every name that Prometheus can be asked for.
fn known() -> BTreeSet<String> {
    let of_ledger = families(&Figures::default()).into_iter();
    let of_ledger =
        of_ledger.map(|family| (family.name.to_owned(), matches!(family.series, Series::Histograms(_))));
    let mut names = BTreeSet::new();
    for (name, wide) in of_ledger.chain(metrics::names()) {
        if wide {
            names.extend(["bucket", "sum", "count"].map(|part| format!("{name}_{part}")));
        } else {
            names.insert(name);
        }
    }
    names
}

/// Sees that all metrics in some text are known.
#[track_caller]
fn all_known(text: &str, known: &BTreeSet<String>, place: &str) {
    for (at, _) in text.match_indices("uplift_") {
        let name: String =
            text[at..].chars().take_while(|sign| sign.is_ascii_alphanumeric() || *sign == '_').collect();
        assert!(known.contains(&name), "{place}: there is no metric {name}");
    }
}

fn panels(of: &Value) -> Vec<&Value> {
    let own = of["panels"].as_array().into_iter().flatten();
    own.flat_map(|panel| if panel["type"] == "row" { panels(panel) } else { vec![panel] }).collect()
}

#[test]
fn every_panel_says_what_it_shows_and_asks_for_what_there_is() {
    let known = known();
    let mut uids = BTreeSet::new();
    for (name, text) in files("grafana", "json") {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        assert!(uids.insert(dashboard["uid"].as_str().unwrap().to_owned()), "{name}: its uid is not its own");
        let variables: Vec<_> =
            dashboard["templating"]["list"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        for needed in ["datasource", "job", "instance"] {
            assert!(variables.iter().any(|variable| **variable == needed), "{name} has no variable {needed}");
        }
        let (mut ids, mut queries) = (BTreeSet::new(), 0);
        for panel in panels(&dashboard) {
            let title = panel["title"].as_str().unwrap();
            let place = format!("{name}: {title}");
            assert!(ids.insert(panel["id"].as_i64().unwrap()), "{place}: its id is another one's");
            for (what, value) in
                [("description", &panel["description"]), ("unit", &panel["fieldConfig"]["defaults"]["unit"])]
            {
                let there = value.as_str().is_some_and(|text| !text.is_empty());
                assert!(there || panel["type"] == "text", "{place} has no {what}");
            }
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap();
                asks_well(query, &known, &place);
                queries += 1;
            }
        }
        assert!(queries > 3, "{name} asks for next to nothing");
    }
    let expected =
        ["uplift-dependencies", "uplift-fleet", "uplift-interventions", "uplift-pack", "uplift-sla"];
    assert_eq!(uids.into_iter().collect::<Vec<_>>(), expected);
}

/// Several exporters tell the same, unlike processes that tell of themselves; a rate is of as long as a panel is wide, or of
/// days.
fn asks_well(query: &str, known: &BTreeSet<String>, place: &str) {
    all_known(query, known, place);
    let own = metrics::names().into_iter().any(|(name, _)| query.contains(&name));
    if OF_PROMETHEUS.iter().any(|name| query.contains(&format!("{name}{{"))) {
        return;
    }
    assert!(
        own || query.contains("without(instance)") || query.contains("without (instance)"),
        "{place}: {query}"
    );
    for (at, _) in query.match_indices('[') {
        let window = query[at + 1..].split([']', ':']).next().unwrap();
        let long = window.ends_with('d') || window.ends_with('h');
        assert!(long || window == "$__rate_interval", "{place}: a window of {window}");
    }
}

/// Prometheus takes every query: its own checker is given them as rules, with the variables filled in.
#[test]
fn prometheus_understands_every_panel() {
    let mut rules = Vec::new();
    for (_, text) in files("grafana", "json") {
        let dashboard: Value = serde_json::from_str(&text).unwrap();
        let annotations = dashboard["annotations"]["list"].as_array().unwrap().iter();
        let targets = panels(&dashboard)
            .into_iter()
            .flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        for asked in targets.chain(annotations) {
            let mut query = asked["expr"].as_str().unwrap().replace("$__rate_interval", "5m");
            for variable in ["$job", "$instance", "$pack", "$hop"] {
                query = query.replace(variable, ".+");
            }
            rules.push(json!({ "record": format!("panel:query:{}", rules.len()), "expr": query }));
        }
    }
    assert!(rules.len() > 60, "{} queries", rules.len());
    let file = std::env::temp_dir().join(format!("uplift-panels-{}.json", std::process::id()));
    fs::write(&file, json!({ "groups": [{ "name": "panels", "rules": rules }] }).to_string()).unwrap();
    let checked = Command::new("promtool").args(["check", "rules"]).arg(&file).output();
    fs::remove_file(&file).unwrap();
    let checked = checked.expect("promtool, from the package prometheus");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

/// An alert's link opens a dashboard, and fills in variables that this one has.
fn leads_somewhere(alert: &str, block: &str) {
    let (_, link) = block.split_once("dashboard: /d/").expect("a path at Grafana");
    let (uid, variables) = link.lines().next().unwrap().split_once('?').expect("variables");
    let dashboards = files("grafana", "json").into_iter();
    let mut dashboards = dashboards.map(|(_, text)| serde_json::from_str::<Value>(&text).unwrap());
    let dashboard =
        dashboards.find(|dashboard| dashboard["uid"] == uid).unwrap_or_else(|| panic!("{alert}: {uid}"));
    for variable in variables.split('&') {
        let name =
            variable.split_once('=').and_then(|(name, _)| name.strip_prefix("var-")).expect("a variable");
        let known = dashboard["templating"]["list"].as_array().unwrap();
        assert!(known.iter().any(|known| known["name"] == name), "{alert}: {uid} has no variable {name}");
    }
}

#[test]
fn every_rule_asks_for_what_there_is_and_every_alert_has_a_page() {
    let known = known();
    let mut alerts = BTreeSet::new();
    for (name, text) in files("prometheus", "yaml") {
        all_known(&text, &known, &name);
        if name.ends_with("_test") {
            continue;
        }
        let blocks: Vec<&str> = text.split("- alert: ").collect();
        for block in &blocks[1..] {
            let alert = block.lines().next().unwrap().trim();
            assert!(alerts.insert(alert.to_owned()), "{alert} is there twice");
            for needed in ["severity: ", "summary: ", "description: ", "runbook_url: ", "dashboard: "] {
                assert!(block.contains(needed), "{alert} has no {needed}");
            }
            assert!(block.contains("severity: page") || block.contains("severity: ticket"), "{alert}");
            leads_somewhere(alert, block);
        }
    }
    let pages: BTreeSet<_> =
        files("runbooks", "md").into_iter().map(|(name, _)| name).filter(|name| name != "README").collect();
    assert_eq!(alerts, pages);
    let tests = fs::read_to_string(folder("prometheus").join("alerts_test.yaml")).unwrap();
    for alert in alerts {
        assert!(
            tests.matches(&format!("alertname: {alert}")).count() >= 2,
            "{alert} is not seen to fire and to be silent"
        );
    }
}
