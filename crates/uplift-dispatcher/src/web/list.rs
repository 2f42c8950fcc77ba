//! Requests: which there are.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::{Query, State},
    response::Response,
};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use uplift_core::{RequestId, api, request::StateCode};
use uplift_platform::ledger::Filter;
use uuid::Uuid;

use super::{
    frame::{Frame, PageError, Result, page},
    visitor::Visitor,
    words,
};
use crate::{
    Context,
    api::{self as calls, ApiError, Kind},
};

/// What the form above the list asks for; empty fields ask for nothing.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Search {
    state: String,
    purpose: String,
    product: String,
    account: String,
    database: String,
    /// Submitted in the last so many days.
    days: String,
    before: String,
}

#[derive(Template)]
#[template(path = "requests.html")]
struct ListPage {
    frame: Frame,
    now: DateTime<Utc>,
    search: Search,
    states: [StateCode; 7],
    requests: Vec<api::Request>,
    next: Option<String>,
}

impl Search {
    async fn filter(&self, context: &Context, visitor: &Visitor) -> Result<Filter, ApiError> {
        let named = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let account = match (visitor.scope(), named(&self.account)) {
            (Some(own), _) => Some(own),
            (None, Some(name)) => Some(context.ledger.account(&name).await?),
            (None, None) => None,
        };
        let state = named(&self.state).map(|text| text.parse()).transpose().map_err(ApiError::invalid)?;
        let purpose = named(&self.purpose).map(|text| text.parse()).transpose().map_err(ApiError::invalid)?;
        let days: Option<i64> = named(&self.days)
            .map(|text| text.parse().map_err(|_| ApiError::invalid("the age is a number of days")))
            .transpose()?;
        let before: Option<Uuid> = named(&self.before)
            .map(|text| text.parse().map_err(|_| ApiError::invalid("the page begins at no request")))
            .transpose()?;
        let since = days.and_then(|days| context.clock.now().checked_sub_signed(TimeDelta::try_days(days)?));
        let (database, product) = (named(&self.database), named(&self.product));
        Ok(Filter { account, state, purpose, product, database, since, before: before.map(RequestId) })
    }

    /// The page behind this one.
    fn next(&self, last: Uuid) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::from("/requests?"));
        for (name, value) in [
            ("state", &self.state),
            ("purpose", &self.purpose),
            ("product", &self.product),
            ("account", &self.account),
            ("database", &self.database),
            ("days", &self.days),
        ] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("before", &last.to_string());
        query.finish()
    }
}

pub(super) async fn show(
    State(context): State<Arc<Context>>,
    visitor: Visitor,
    Query(search): Query<Search>,
) -> Result<Response> {
    let mut frame = Frame::new("Requests", "requests", &visitor);
    let found = match search.filter(&context, &visitor).await {
        Ok(filter) => calls::page_of(&context, &filter).await.map_err(PageError::to(&visitor))?,
        Err(error) if error.kind != Kind::Internal => {
            frame.error = Some(error.detail);
            api::RequestList { requests: Vec::new(), next: None }
        }
        Err(error) => return Err(PageError::to(&visitor)(error)),
    };
    Ok(page(&ListPage {
        frame,
        now: context.clock.now(),
        next: found.next.map(|last| search.next(last)),
        states: StateCode::ALL,
        search,
        requests: found.requests,
    }))
}
