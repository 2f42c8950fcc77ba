//! A customer's databases, each with its newest upgrades below it.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::State,
    response::{Redirect, Response},
};
use chrono::{DateTime, Utc};
use uplift_core::{Purpose, api, request::StateCode};

use super::{
    frame::{Frame, Result, page},
    visitor::Visitor,
    words,
};
use crate::{Context, api::view};

/// How often the page is loaded again while an upgrade is going on, in seconds.
const AGAIN: u32 = 15;

/// A database and its requests, the newest first.
struct Database {
    requests: Vec<api::Request>,
}

impl Database {
    fn name(&self) -> &str {
        self.requests.first().map_or("", |newest| &newest.database)
    }

    fn account(&self) -> &str {
        self.requests.first().map_or("", |newest| &newest.account)
    }

    /// Its product and version, where an upgrade has found them out.
    fn product(&self) -> Option<String> {
        let known = |request: &api::Request| {
            Some(format!("{} {}", request.product.as_deref()?, request.source_version.as_deref()?))
        };
        self.requests.iter().find_map(known)
    }

    /// Whether an upgrade of it is going on.
    fn runs(&self) -> bool {
        self.requests.iter().any(|request| {
            matches!(request.state, StateCode::Queued | StateCode::Running | StateCode::Intervention)
        })
    }

    /// The test that production may follow.
    fn accepted(&self) -> Option<&api::Request> {
        let accepted = self.requests.iter().filter(|request| request.accepted_at.is_some());
        accepted.max_by_key(|request| request.accepted_at)
    }

    /// A delivered test that waits to be looked at.
    fn to_accept(&self) -> Option<&api::Request> {
        self.requests.iter().find(|request| {
            request.purpose == Purpose::Test
                && request.state == StateCode::Delivered
                && request.accepted_at.is_none()
        })
    }

    /// The form for another test, filled in.
    fn again(&self) -> String {
        let target = self.requests.first().map_or("", |newest| &newest.target);
        wish(self.name(), target, Purpose::Test)
    }

    /// The same for production, where a test was accepted.
    fn production(&self) -> Option<String> {
        self.accepted().map(|test| wish(&test.database, &test.target, Purpose::Production))
    }

    /// All its requests.
    fn all(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::from("/requests?"));
        query.append_pair("database", self.name());
        query.finish()
    }
}

/// What fills in the form for a new request.
pub(super) fn wish(database: &str, target: &str, purpose: Purpose) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair("database", database).append_pair("target", target);
    query.append_pair("purpose", purpose.as_str());
    query.finish()
}

#[derive(Template)]
#[template(path = "databases.html")]
struct ListPage {
    frame: Frame,
    now: DateTime<Utc>,
    databases: Vec<Database>,
}

/// Where somebody begins who has just logged in.
pub(super) async fn home(visitor: Visitor) -> Redirect {
    Redirect::to(if visitor.staff().is_ok() { "/requests" } else { "/databases" })
}

pub(super) async fn list(State(context): State<Arc<Context>>, visitor: Visitor) -> Result<Response> {
    let found = context.ledger.newest_by_database(visitor.scope()).await?;
    let databases: Vec<Database> = found
        .chunk_by(|one, other| one.database == other.database)
        .map(|requests| Database { requests: requests.iter().cloned().map(view::request).collect() })
        .collect();
    let mut frame = Frame::new("Databases", "databases", &visitor);
    frame.again = databases.iter().any(Database::runs).then_some(AGAIN);
    Ok(page(&ListPage { frame, now: context.clock.now(), databases }))
}
