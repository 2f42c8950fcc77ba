//! The page over a report of a real run (a database of the sample, its longest balance cut), with what that run did not
//! have.

use askama::Template as _;
use uplift_core::{
    Purpose,
    event::{Finding, Invariant, LeftOut, Module},
    pack::Compare,
    report::{Reconciliation, Report, TableChange},
};

use super::Page;

fn report() -> Report {
    serde_json::from_str(include_str!("sample.json")).unwrap()
}

fn page(report: &Report) -> String {
    Page::of(report).render().unwrap()
}

fn pair(title: &str, compare: Compare, before: &str, after: &str) -> Reconciliation {
    let invariant = |value: &str| Invariant {
        name: "orders".into(),
        title: title.into(),
        compare,
        items: vec![("open".into(), value.into())],
        skipped: None,
    };
    Reconciliation::pair(&[invariant(before)], &[invariant(after)]).remove(0)
}

/// Text without tags, each run of white space as one space.
fn text(html: &str) -> String {
    let mut text = String::new();
    for piece in html.split('<').skip(1) {
        text.push(' ');
        text.push_str(piece.split_once('>').map_or("", |(_, text)| text));
    }
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_real_report_is_one_self_contained_page() {
    let html = page(&report());
    for forbidden in
        ["http:", "https:", "//", "<script", "<link", "<img", "@import", "url(", " src=", " onload="]
    {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    assert_eq!(html.matches("<h1>").count(), 1);
    assert_eq!(html.matches("<main>").count(), 1);
    assert_eq!(html.matches("<table").count(), html.matches("<caption").count());
    for opened in ["table", "section", "details", "div", "dl", "ul", "tr"] {
        let ends = html.matches(&format!("</{opened}>")).count();
        let begins =
            html.matches(&format!("<{opened}>")).count() + html.matches(&format!("<{opened} ")).count();
        assert_eq!(begins, ends, "{opened}");
    }
    let text = text(&html);
    for said in [
        "Sample ERP 1.0 → 3.0",
        "Trial balance per account",
        "= equal",
        "ledger_item_2023",
        "PostgreSQL 15 and newer",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}

#[test]
fn equal_and_different_are_told_in_words() {
    let mut report = report();
    report.reconcile = vec![
        pair("Receivables", Compare::Equal, "1234567.5", "1234567.5"),
        pair("Orders", Compare::Report, "12", "13"),
    ];
    let text = text(&page(&report));
    assert!(text.contains("Receivables = equal"), "{text}");
    assert!(text.contains("open 1\u{202f}234\u{202f}567.5 1\u{202f}234\u{202f}567.5 = equal"), "{text}");
    assert!(text.contains("Orders ≠ 1\u{a0}line differs"), "{text}");
    assert!(text.contains("open 12 13 ≠ differs"), "{text}");
    assert!(text.contains("1\u{a0}comparison differs"), "{text}");
    assert!(text.contains("The one comparison that an upgrade must not change is unchanged."), "{text}");
}

#[test]
fn what_comes_from_a_dump_is_only_ever_text() {
    let hostile = "\"'><script>alert(1)</script><img src=x onerror=y>&amp;";
    let mut report = report();
    report.database = hostile.into();
    report.tables = vec![TableChange {
        table: format!("public.{hostile}"),
        rows_before: Some(1),
        rows_after: Some(2),
        columns_added: vec![hostile.into()],
        columns_dropped: vec![hostile.into()],
    }];
    report.reconcile = vec![pair(hostile, Compare::Report, hostile, "2")];
    report.custom_modules = vec![Module { name: hostile.into(), version: hostile.into() }];
    report.preflight = vec![Finding {
        name: hostile.into(),
        meaning: hostile.into(),
        mend: Some(hostile.into()),
        fatal: None,
        rows: 1,
        examples: vec![hostile.into()],
    }];
    report.health.invalid_indexes = vec![hostile.into()];
    report.left_out = vec![LeftOut { what: hostile.into(), count: 1 }];
    let html = page(&report);
    assert!(!html.contains("<script") && !html.contains("<img") && !html.contains("\"'>"), "{html}");
    assert!(html.matches("&#60;script&#62;").count() >= 10, "{html}");
}

#[test]
fn a_test_copy_says_that_it_is_none_to_work_in() {
    let mut report = report();
    (report.purpose, report.neutralized) = (Purpose::Production, false);
    let production = text(&page(&report));
    assert!(production.contains("Production") && !production.contains("test copy"), "{production}");
    (report.purpose, report.neutralized) = (Purpose::Test, true);
    let test = text(&page(&report));
    assert!(
        test.contains("This is a test copy: e-mail, scheduled jobs and payments are switched off"),
        "{test}"
    );
}

#[test]
fn a_report_with_nothing_in_it_is_a_page_too() {
    let mut report = report();
    report.stages.clear();
    report.steps.clear();
    report.tables.clear();
    report.reconcile.clear();
    report.left_out.clear();
    report.test_by_hand.clear();
    let text = text(&page(&report));
    for said in [
        "No balances were compared.",
        "No table has other rows",
        "Nothing: every statement",
        "No step was run.",
    ] {
        assert!(text.contains(said), "{said} in {text}");
    }
}
