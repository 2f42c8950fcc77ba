//! The report of a delivered request: assembled, shown as a page, stored.

use askama::Template as _;
use bytes::Bytes;
use uplift_core::{
    Failure, Format, Lease, Purpose,
    event::Sniffed,
    key,
    report::{Formats, OverrideReport, Reconciliation, Report, Sizes, TableChange},
};
use uplift_platform::ledger::{OverrideEntry, Request};

use crate::{
    context::Context,
    facts::Facts,
    outcome::{Ended, infrastructure, of_objects},
    page::Page,
    patience::patiently,
    result::Stored,
    way::Way,
};

/// Where failures of this module happen.
const PLACE: &str = "settle";

/// What the attempt made, and with what.
pub(crate) struct Made<'a> {
    pub(crate) way: &'a Way,
    pub(crate) major: u16,
    pub(crate) sniffed: &'a Sniffed,
    pub(crate) result: &'a Stored,
    pub(crate) proven: bool,
}

/// Puts everything together.
pub(crate) fn assemble(
    context: &Context,
    lease: &Lease,
    request: &Request,
    facts: &Facts,
    made: &Made<'_>,
) -> Result<Report, Ended> {
    let (Some(restored), Some(detected)) = (&facts.restored, &facts.detected) else {
        let message = "the engine has not said what it restored".to_owned();
        return Err(Failure::Infrastructure { place: PLACE.into(), message }.into());
    };
    let path =
        std::iter::once(detected.version.clone()).chain(made.way.hops.iter().map(|hop| hop.to.clone()));
    let [before, after] = &facts.invariants;
    let [tables_before, tables_after] = &facts.tables;
    let took: u64 = facts.stages.iter().map(|stage| stage.millis).sum();
    Ok(Report {
        request: request.id,
        epoch: lease.epoch(),
        database: request.database_name.clone(),
        purpose: request.purpose,
        product: detected.product.clone(),
        product_title: made.way.pack.title().to_owned(),
        source_version: detected.version.clone(),
        target_version: request.target.clone(),
        path: path.collect(),
        pack: made.way.digest.clone(),
        scripts: request.scripts.clone(),
        overrides: made.way.layer.iter().map(adjusted).collect(),
        source_sha256: facts.source_sha256.clone().unwrap_or_default(),
        result_sha256: made.result.written.sha256.clone(),
        sizes: Sizes {
            source: request.source_bytes.unwrap_or(0),
            expanded: restored.expanded_bytes,
            database: restored.database_bytes,
            result: made.result.written.bytes,
        },
        formats: Formats { source: made.sniffed.format, result: made.result.format },
        postgres_major: made.major,
        restores_from: made.result.format.restores_from(made.major, made.sniffed.server_major),
        files: facts.files().filter(|_| made.result.format == Format::Zip),
        files_added: facts.files_added,
        started_at: context.clock.now() - std::time::Duration::from_millis(took),
        stages: facts.stages.clone(),
        steps: facts.steps.clone(),
        tables: TableChange::between(tables_before, tables_after),
        reconcile: Reconciliation::pair(before, after),
        preflight: facts.preflight.clone(),
        health: facts.health.clone(),
        left_out: restored.left_out.clone(),
        custom_modules: detected.modules.clone(),
        test_by_hand: made.way.pack.test_by_hand().to_vec(),
        neutralized: request.purpose == Purpose::Test,
        proven: made.proven,
    })
}

/// Stores the report, for programs and for people.
pub(crate) async fn store(context: &Context, lease: &Lease, report: &Report) -> Result<(), Ended> {
    let json = serde_json::to_vec_pretty(report).map_err(|error| infrastructure(PLACE, &error))?;
    let html = Page::of(report).render().map_err(|error| infrastructure(PLACE, &error))?;
    put(context, lease, "report.json", json, "application/json").await?;
    put(context, lease, "report.html", html.into_bytes(), "text/html; charset=utf-8").await
}

/// Stores the log as it is up to here.
pub(crate) async fn store_log(context: &Context, lease: &Lease) -> Result<(), Ended> {
    let mut text = String::new();
    let mut line = 0;
    loop {
        let page = patiently(|| context.ledger.log_after(lease.request(), line)).await?;
        let Some((last, _)) = page.lines.last() else { break };
        line = *last;
        for (_, line) in &page.lines {
            text.push_str(&line.to_string());
            text.push('\n');
        }
    }
    put(context, lease, "upgrade.log", text.into_bytes(), "text/plain; charset=utf-8").await
}

async fn put(
    context: &Context,
    lease: &Lease,
    name: &str,
    bytes: Vec<u8>,
    content_type: &str,
) -> Result<(), Ended> {
    let key = key::attempt(lease.request(), lease.epoch(), name);
    let stored = context.objects.put(&key, Bytes::from(bytes), content_type).await;
    stored.map(drop).map_err(|error| of_objects(&error, PLACE).into())
}

/// The first label whose value is not the same on both sides, in words.
pub(crate) fn first_difference(pair: &Reconciliation) -> String {
    let rows = pair.rows();
    rows.iter().find(|row| row.before != row.after).map_or_else(
        || "the rows differ".to_owned(),
        |row| {
            let [before, after] = [row.before, row.after].map(|value| value.unwrap_or("nothing"));
            format!("{}: {before} before, {after} after", row.label)
        },
    )
}

fn adjusted(entry: &OverrideEntry) -> OverrideReport {
    OverrideReport {
        id: entry.id,
        says: entry.change.to_string(),
        sha256: entry.sha256.clone(),
        reason: entry.reason.clone(),
        made_at: entry.made_at,
    }
}
