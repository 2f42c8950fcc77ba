//! Who looks at a page, by their cookie; and that a form was sent from a page of ours, by somebody who may.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, header, request::Parts},
    response::{IntoResponse as _, Redirect, Response},
};
use secrecy::SecretString;
use sha2::{Digest as _, Sha256};
use uplift_core::AccountId;
use uplift_platform::ledger::{Bearer, Login, Role};

use super::{fields::Fields, frame::PageError};
use crate::{
    Context,
    api::{ApiError, Caller, Kind},
};

/// The cookie's name.
pub(super) const COOKIE: &str = "uplift_session";

/// Somebody who is logged in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) login: Arc<Login>,
}

impl Visitor {
    pub(super) fn bearer(&self) -> &Bearer {
        &self.login.bearer
    }

    pub(super) fn caller(&self) -> Caller {
        Caller(self.login.bearer.clone())
    }

    /// Whose requests they may see.
    pub(super) fn scope(&self) -> Option<AccountId> {
        self.caller().scope()
    }

    /// Sees that it is an engineer or an operator.
    pub(super) fn staff(&self) -> Result<(), PageError> {
        let message = "this is for engineers and operators: log in with a token of theirs";
        self.at_least(self.bearer().role.is_staff(), message)
    }

    /// Sees that it is an operator.
    pub(super) fn operator(&self) -> Result<(), PageError> {
        let message = "this is for operators: log in with an operator's token";
        self.at_least(self.bearer().role == Role::Operator, message)
    }

    fn at_least(&self, allowed: bool, message: &str) -> Result<(), PageError> {
        if allowed { Ok(()) } else { Err(PageError::to(self)(ApiError::new(Kind::Forbidden, message))) }
    }
}

/// Whether a page asks, and not the person who has it open.
fn asks_by_itself(parts: &Parts) -> bool {
    let path = parts.uri.path();
    let of_request = path.starts_with("/requests/") && (path.ends_with("/state") || path.ends_with("/log"));
    of_request || parts.uri.query() == Some("again")
}

/// The cookie that a request shows.
pub(super) fn cookie(headers: &HeaderMap) -> Option<SecretString> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value.to_owned().into())
}

impl FromRequestParts<Arc<Context>> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Response> {
        let login = match cookie(&parts.headers) {
            Some(cookie) => context.ledger.login(&cookie, asks_by_itself(parts)).await,
            None => Ok(None),
        };
        match login {
            Ok(Some(login)) => Ok(Self { login: Arc::new(login) }),
            Err(error) => Err(PageError::from(error).into_response()),
            Ok(None) if parts.method == Method::GET => {
                let there: String =
                    url::form_urlencoded::byte_serialize(parts.uri.to_string().as_bytes()).collect();
                Err(Redirect::to(&format!("/login?next={there}")).into_response())
            }
            Ok(None) => {
                let message = "you are not logged in any more: log in, go back, and send it again";
                Err(PageError::from(ApiError::new(Kind::Unauthenticated, message)).into_response())
            }
        }
    }
}

/// A form that was sent from a page of ours.
pub(super) struct Sent {
    pub(super) visitor: Visitor,
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Context>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, context: &Arc<Context>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, context).await?;
        let refused = |error: ApiError| PageError::to(&visitor)(error).into_response();
        from_here(&parts.headers).map_err(refused)?;
        let request = Request::from_parts(parts, body);
        let body = Bytes::from_request(request, context).await.map_err(|error| error.into_response())?;
        let fields = Fields::read(&body);
        if !same(fields.get("csrf"), &visitor.login.csrf) {
            return Err(refused(foreign()));
        }
        Ok(Self { visitor, fields })
    }
}

/// Sees that a form comes from a page of this very host. Browsers say so where the page came over https or from this
/// machine; else their `Origin` is held against the host, which a proxy may have put into a header of its own.
pub(super) fn from_here(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let here = match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let host = text("x-forwarded-host").or_else(|| text("host")).unwrap_or_default();
            origin.split_once("://").is_some_and(|(_, from)| from.eq_ignore_ascii_case(host))
        }
        // No browser, then: whoever sends this has the cookie and the form's secret.
        (None, None) => true,
    };
    if here { Ok(()) } else { Err(foreign()) }
}

fn foreign() -> ApiError {
    let message = "this form was not sent from a page of ours, or the page is from an earlier login: nothing was \
                   done; open the page again";
    ApiError::new(Kind::Forbidden, message)
}

/// Whether two secrets are the same, in a time that does not tell how far they are.
fn same(shown: &str, known: &str) -> bool {
    Sha256::digest(shown) == Sha256::digest(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        for (there, allowed) in [
            (&[("host", "up.example.com"), ("origin", "https://up.example.com")][..], true),
            (&[("host", "localhost:8080"), ("origin", "http://localhost:8080")], true),
            (&[("host", "a"), ("sec-fetch-site", "same-origin")], true),
            (&[("host", "a")], true),
            // A proxy that names itself.
            (&[("host", "inside:8080"), ("x-forwarded-host", "b"), ("origin", "https://b")], true),
            (&[("host", "inside:8080"), ("sec-fetch-site", "same-origin"), ("origin", "https://b")], true),
            (&[("host", "up.example.com"), ("origin", "https://evil.example.com")], false),
            (&[("host", "up.example.com"), ("origin", "null")], false),
            (&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "a"), ("sec-fetch-site", "same-site")], false),
        ] {
            assert_eq!(from_here(&headers(there)).is_ok(), allowed, "{there:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let found = |text: &'static str| {
            use secrecy::ExposeSecret as _;
            cookie(&headers(&[("cookie", text)])).map(|cookie| cookie.expose_secret().to_owned())
        };
        assert_eq!(found("a=b; uplift_session=x; c=d").as_deref(), Some("x"));
        assert_eq!(found("not_uplift_session=x"), None);
    }
}
