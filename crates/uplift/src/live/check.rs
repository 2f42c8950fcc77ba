//! A look at a database before anything is sent: the pack's own questions, asked here.

use anyhow::Context as _;
use serde::Serialize;
use uplift_core::{
    api::{EstimateView, ProductView, WayView},
    pack::Fatal,
};

use super::postgres::{ask, literal};
use crate::{cli::Check, client::Patience, context::Context, exit::Exit, print, text};

/// So many rows of a problem are shown.
const SHOWN: usize = 5;

/// What was found.
#[derive(Serialize)]
struct Found {
    product: Option<String>,
    version: Option<String>,
    /// The versions on the way.
    way: Vec<String>,
    refusal: Option<String>,
    /// Modules of others, with their versions.
    custom_modules: Vec<String>,
    problems: Vec<Problem>,
    bytes: u64,
    /// The largest tables, with their sizes.
    largest: Vec<String>,
    estimate: Option<EstimateView>,
}

/// What would go wrong, or look wrong.
#[derive(Serialize)]
struct Problem {
    name: String,
    meaning: String,
    rows: usize,
    examples: Vec<String>,
    mend: Option<String>,
    fatal: Option<Fatal>,
}

pub(crate) async fn check(context: &Context, args: &Check) -> anyhow::Result<Exit> {
    let database = args.dbname.as_str();
    let products: Vec<ProductView> = context.client.get(&["products"], &[], Patience::Short).await?;
    let bytes = ask(database, "SELECT pg_database_size(current_database())")?;
    let bytes: u64 = bytes.trim().parse().context("read the database's size")?;
    let mut found = Found {
        product: None,
        version: None,
        way: Vec::new(),
        refusal: None,
        custom_modules: Vec::new(),
        problems: Vec::new(),
        bytes,
        largest: rows(&ask(database, LARGEST)?),
        estimate: None,
    };
    match recognise(database, &products)? {
        Some((product, version)) => look(context, args, product, version, &mut found).await?,
        None => {
            let known: Vec<&str> = products.iter().map(|product| product.title.as_str()).collect();
            found.refusal =
                Some(format!("this is no database of a product that can be upgraded: {}", known.join(", ")));
        }
    }
    let rejected = found.problems.iter().any(|problem| problem.fatal == Some(Fatal::Rejected));
    let failed = found.problems.iter().any(|problem| problem.fatal == Some(Fatal::Intervention));
    tell(context, args, &found)?;
    Ok(if found.refusal.is_some() || rejected {
        Exit::Rejected
    } else if failed {
        Exit::Intervention
    } else {
        Exit::Ok
    })
}

const LARGEST: &str =
    "SELECT c.oid::regclass || ', ' || pg_size_pretty(pg_total_relation_size(c.oid)) FROM pg_class c
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
    ORDER BY pg_total_relation_size(c.oid) DESC LIMIT 5";

/// Which product it is, and which version.
fn recognise<'a>(
    database: &str,
    products: &'a [ProductView],
) -> anyhow::Result<Option<(&'a ProductView, String)>> {
    for product in products {
        if !has(database, &product.detect.requires)? {
            continue;
        }
        let version = ask(database, &product.detect.version)?;
        if let Some(version) = version.lines().next().filter(|version| !version.is_empty()) {
            return Ok(Some((product, version.to_owned())));
        }
    }
    Ok(None)
}

/// Whether the database has all of these relations.
fn has(database: &str, relations: &[String]) -> anyhow::Result<bool> {
    if relations.is_empty() {
        return Ok(true);
    }
    let list: Vec<String> =
        relations.iter().map(|name| format!("(to_regclass({}))", literal(name))).collect();
    let sql =
        format!("SELECT bool_and(found IS NOT NULL) FROM (VALUES {}) AS wanted (found)", list.join(", "));
    Ok(ask(database, &sql)? == "t")
}

async fn look(
    context: &Context,
    args: &Check,
    product: &ProductView,
    version: String,
    found: &mut Found,
) -> anyhow::Result<()> {
    let database = args.dbname.as_str();
    if let Some(modules) = &product.detect.modules {
        found.custom_modules =
            rows(&ask(database, modules)?).iter().map(|row| row.replace('\t', " ")).collect();
    }
    let (target, bytes) = (args.target.to_string(), found.bytes.to_string());
    let query = [("from", version.as_str()), ("to", &target), ("bytes", &bytes), ("database", database)];
    let way: WayView =
        context.client.get(&["products", &product.product, "way"], &query, Patience::Short).await?;
    for preflight in way.preflight {
        if !has(database, &preflight.requires)? {
            continue;
        }
        let bad = rows(&ask(database, &preflight.query)?);
        if !bad.is_empty() {
            found.problems.push(Problem {
                name: preflight.name,
                meaning: preflight.meaning,
                rows: bad.len(),
                examples: bad.into_iter().take(SHOWN).collect(),
                mend: preflight.mend,
                fatal: preflight.fatal,
            });
        }
    }
    found.product = Some(product.title.clone());
    found.version = Some(version);
    (found.way, found.refusal, found.estimate) = (way.versions, way.refusal, way.estimate);
    Ok(())
}

fn rows(answer: &str) -> Vec<String> {
    answer.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
}

fn tell(context: &Context, args: &Check, found: &Found) -> anyhow::Result<()> {
    if context.print.is_json() {
        context.print.json(found)?;
        return Ok(());
    }
    let mut fields = vec![("database", text::line(&args.dbname))];
    if let (Some(product), Some(version)) = (&found.product, &found.version) {
        fields.push(("product", text::line(&format!("{product} {version}"))));
    }
    if !found.way.is_empty() {
        fields.push(("way", text::line(&found.way.join(" → "))));
    }
    fields.push(("size", text::bytes(found.bytes)));
    fields.push(("largest", text::line(&found.largest.join("; "))));
    if found.product.is_some() {
        let modules = match found.custom_modules.as_slice() {
            [] => "none".to_owned(),
            modules => format!("{}; the standard upgrade does not cover them", modules.join(", ")),
        };
        fields.push(("custom modules", text::line(&modules)));
    }
    fields.extend(found.estimate.as_ref().map(|estimate| ("takes", print::expected(estimate))));
    context.print.fields(&fields)?;
    for problem in &found.problems {
        let weight = match problem.fatal {
            Some(Fatal::Rejected) => "would be rejected",
            Some(Fatal::Intervention) => "would need our engineers",
            None => "to know",
        };
        let (name, meaning) = (text::line(&problem.name), text::line(&problem.meaning));
        context.print.out(&format!("\n{name} ({weight}): {meaning}"))?;
        for row in &problem.examples {
            context.print.out(&format!("    {}", text::line(&row.replace('\t', ", "))))?;
        }
        if problem.rows > problem.examples.len() {
            context.print.out(&format!("    and {} more", problem.rows - problem.examples.len()))?;
        }
        if let Some(mend) = &problem.mend {
            context.print.out(&format!("  mend it with:\n{}", text::block(mend, "    ")))?;
        }
    }
    match &found.refusal {
        Some(refusal) => context.print.note(&text::line(refusal)),
        None if found.problems.is_empty() => context.print.note("nothing stands in the way"),
        None => {}
    }
    Ok(())
}
