//! Who calls: the bearer of a token. Extractors, so that a handler which forgets them does not know whose
//! requests to look for.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};
use uplift_core::AccountId;
use uplift_platform::ledger::{Bearer, Role};

use super::problem::{ApiError, Kind};
use crate::Context;

/// The bearer of any valid token.
#[derive(Debug)]
pub(crate) struct Caller(pub(crate) Bearer);

/// The bearer of an engineer's token, or an operator's.
#[derive(Debug)]
pub(crate) struct Engineer(pub(crate) Bearer);

/// The bearer of an operator's token.
#[derive(Debug)]
pub(crate) struct Operator(pub(crate) Bearer);

impl Caller {
    /// Whose requests the caller may see: a customer its own account's, others all.
    pub(crate) const fn scope(&self) -> Option<AccountId> {
        match self.0.role {
            Role::Customer | Role::Canary => Some(self.0.account),
            Role::Engineer | Role::Operator => None,
        }
    }

    /// Whose requests the caller may do something to as their customer does: an operator's word is as good as any
    /// customer's, an engineer has other ways.
    pub(crate) const fn reach(&self) -> Option<AccountId> {
        match self.0.role {
            Role::Customer | Role::Canary | Role::Engineer => Some(self.0.account),
            Role::Operator => None,
        }
    }
}

impl FromRequestParts<Arc<Context>> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let missing =
            || ApiError::new(Kind::Unauthenticated, "send a token: the header `Authorization: Bearer TOKEN`");
        let header = parts.headers.get(header::AUTHORIZATION).ok_or_else(missing)?;
        let (scheme, secret) =
            header.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing());
        }
        let bearer = context.ledger.bearer(&secret.trim().into()).await?;
        bearer.map(Self).ok_or_else(|| {
            ApiError::new(
                Kind::Unauthenticated,
                "the token is unknown, has expired or was revoked: ask your operator for a new one",
            )
        })
    }
}

impl FromRequestParts<Arc<Context>> for Engineer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let Caller(bearer) = Caller::from_request_parts(parts, context).await?;
        match bearer.role {
            Role::Engineer | Role::Operator => Ok(Self(bearer)),
            Role::Customer | Role::Canary => Err(ApiError::new(
                Kind::Forbidden,
                "this is for engineers and operators: use a token of theirs",
            )),
        }
    }
}

impl FromRequestParts<Arc<Context>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, ApiError> {
        let Caller(bearer) = Caller::from_request_parts(parts, context).await?;
        match bearer.role {
            Role::Operator => Ok(Self(bearer)),
            Role::Customer | Role::Canary | Role::Engineer => {
                Err(ApiError::new(Kind::Forbidden, "this is for operators: use an operator's token"))
            }
        }
    }
}
