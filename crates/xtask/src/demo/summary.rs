//! What the report says, in some lines.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

/// The report's summary and the files of a folder that the command line has filled.
pub(super) fn of(folder: &Path) -> Result<String> {
    let path = folder.join("report.json");
    let text = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
    let report: Value = serde_json::from_slice(&text).with_context(|| format!("read {}", path.display()))?;
    let mut summary = summarize(&report);
    let entries = fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    names.sort();
    let ours = |path: &&std::path::PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("upgraded.") || name.starts_with("report.") || name == "upgrade.log"
    };
    for file in names.iter().filter(ours) {
        line(&mut summary, "file", &file.display().to_string());
    }
    Ok(summary)
}

fn summarize(report: &Value) -> String {
    let list = |name: &str| report[name].as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |name: &str| report[name].as_str().unwrap_or("?");
    let path: Vec<&str> = list("path").iter().filter_map(Value::as_str).collect();
    let mut summary = String::new();
    line(
        &mut summary,
        "upgraded",
        &format!("{} {}, for {}", text("product"), path.join(" → "), text("purpose")),
    );
    let stages: Vec<String> = list("stages")
        .iter()
        .map(|stage| {
            let millis = stage["millis"].as_u64().unwrap_or(0);
            format!("{} {}.{} s", stage["stage"].as_str().unwrap_or("?"), millis / 1000, millis % 1000 / 100)
        })
        .collect();
    line(&mut summary, "took", &stages.join(", "));
    let rows: u64 = list("steps").iter().filter_map(|step| step["rows"].as_u64()).sum();
    line(&mut summary, "steps", &format!("{}, which touched {rows} rows", list("steps").len()));
    let tables = list("tables");
    let count = |is: &dyn Fn(&Value) -> bool| tables.iter().filter(|table| is(table)).count();
    let added = count(&|table| table["rows_before"].is_null());
    let dropped = count(&|table| table["rows_after"].is_null());
    line(&mut summary, "tables", &format!("{}: {added} new, {dropped} gone", tables.len()));
    for pair in list("reconcile") {
        let (title, items) =
            (&pair["before"]["title"], pair["before"]["items"].as_array().map_or(0, Vec::len));
        let verdict =
            if pair["equal"] == true { "the same after as before" } else { "differs; see the report" };
        line(
            &mut summary,
            "balance",
            &format!("{} ({items} items): {verdict}", title.as_str().unwrap_or("?")),
        );
    }
    if report["neutralized"] == true {
        line(
            &mut summary,
            "test",
            "the result is neutralized: it sends no mail, runs no jobs, takes no payments",
        );
    }
    for wish in list("test_by_hand").iter().filter_map(Value::as_str) {
        line(&mut summary, "try", wish);
    }
    line(&mut summary, "sha256", text("result_sha256"));
    summary
}

fn line(summary: &mut String, name: &str, text: &str) {
    // Names of a customer's may be in it, and a terminal obeys control characters.
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    let _ = writeln!(summary, "{name:<10} {text}");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::summarize;

    #[test]
    fn a_report_is_told_in_some_lines() {
        let report = json!({
            "product": "sample", "purpose": "test", "path": ["1.0", "2.0"], "result_sha256": "ab",
            "stages": [{"stage": "restore", "millis": 1250}],
            "steps": [{"step": "a", "rows": 3}, {"step": "b", "rows": 4}],
            "tables": [{"rows_before": null, "rows_after": 1}, {"rows_before": 1, "rows_after": 1}],
            "reconcile": [{"before": {"title": "Trial\u{1b}[2J balance", "items": [1, 2]}, "equal": true}],
        });
        assert_eq!(
            summarize(&report),
            "upgraded   sample 1.0 → 2.0, for test\n\
             took       restore 1.2 s\n\
             steps      2, which touched 7 rows\n\
             tables     2: 1 new, 0 gone\n\
             balance    Trial[2J balance (2 items): the same after as before\n\
             sha256     ab\n"
        );
    }
}
