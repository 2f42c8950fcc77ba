//! What dashboards and rules ask Prometheus for, on the faster clock.

use serde_json::Value;
use uplift_tests::{repository, watch::shortened};

/// The names of all alerts.
pub(super) fn alerts() -> Vec<String> {
    let rules = std::fs::read_to_string(repository("dashboards/prometheus/alerts.yaml")).unwrap();
    let names = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let names: Vec<String> = names.map(str::to_owned).collect();
    assert!(names.len() > 15, "{names:?}");
    names
}

/// Queries of all panels by dashboard and title, on the faster clock and for every value of the variables.
pub(super) fn panels() -> Vec<(String, String)> {
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(repository("dashboards/grafana")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let dashboard: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for panel in dashboard["panels"].as_array().unwrap() {
            let place = format!("{}: {}", dashboard["title"], panel["title"].as_str().unwrap());
            for target in panel["targets"].as_array().into_iter().flatten() {
                let query = target["expr"].as_str().unwrap().replace("$__rate_interval", "15m");
                let query = ["$job", "$instance", "$pack", "$hop"]
                    .iter()
                    .fold(query, |query, variable| query.replace(variable, ".+"));
                queries.push((place.clone(), shortened(&query)));
            }
        }
    }
    assert!(queries.len() > 60, "{} queries", queries.len());
    queries
}

/// Expressions of all rules, by name.
pub(super) fn rules() -> Vec<(String, String)> {
    let mut rules: Vec<(String, String)> = Vec::new();
    for name in ["recording.yaml", "alerts.yaml"] {
        let text = std::fs::read_to_string(repository("dashboards/prometheus").join(name)).unwrap();
        let mut inside = false;
        for line in shortened(&text).lines() {
            let words = line.trim();
            if let Some(name) = words.strip_prefix("- alert: ").or(words.strip_prefix("- record: ")) {
                rules.push((name.to_owned(), String::new()));
            } else if let Some(expression) = words.strip_prefix("expr: ") {
                inside = true;
                let folded = expression.starts_with('|') || expression.starts_with('>');
                let (_, rule) = rules.last_mut().unwrap();
                rule.push_str(if folded { "" } else { expression });
            } else if inside && !words.is_empty() && line.starts_with("          ") {
                let (_, rule) = rules.last_mut().unwrap();
                rule.push(' ');
                rule.push_str(words);
            } else {
                inside = false;
            }
        }
    }
    assert!(rules.iter().all(|(_, rule)| !rule.is_empty()) && rules.len() > 35, "{rules:?}");
    rules
}
