//! The API's description, as OpenAPI. It is committed beside the sources, so that a change of the API is seen.

use axum::{http::header, response::IntoResponse};
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, Content, Ref, ResponseBuilder,
        security::{Http, HttpAuthScheme, SecurityScheme},
    },
};

use super::{
    clients, health, interventions, logs, ops, overrides, problem, products, requests, sessions, submit,
    uploads, webhooks,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Uplift",
        description = "Hands in dumps of ERP databases and hands back upgraded ones. Every error is \
            `application/problem+json` (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        webhooks::add, webhooks::list, webhooks::remove, webhooks::enable, webhooks::deliveries, webhooks::replay,
        products::list, products::way,
        submit::submit, requests::list, requests::show, requests::explain, requests::cancel, requests::accept, requests::delete,
        requests::report_discrepancy,
        requests::steps,
        logs::log,
        uploads::state, uploads::links, uploads::complete,
        requests::result, requests::report, requests::source,
        ops::push_pack, ops::packs, ops::workers, ops::requests, ops::retry, ops::issue_token,
        ops::revoke_token,
        interventions::list, interventions::show, interventions::claim, interventions::release,
        interventions::assign, interventions::comment, interventions::note, interventions::answer, interventions::reject,
        interventions::retry, interventions::holds, interventions::release_hold, interventions::recall_pack,
        overrides::add, overrides::list, overrides::show, overrides::diff, overrides::remove,
        overrides::promote, overrides::waive,
        sessions::dry_run, sessions::shell, sessions::list, sessions::show, sessions::close,
        health::alive, health::ready, clients::script, clients::program,
    ),
    components(schemas(uplift_core::api::Problem, uplift_core::api::LogLine)),
    security(("token" = [])),
    modifiers(&Bearer, &Problems),
    tags(
        (name = "requests", description = "What a customer wants, and how far it is"),
        (name = "upload", description = "The dump, in parts, and the scripts, straight to the object store"),
        (name = "webhooks", description = "Where an account hears of its requests"),
        (name = "results", description = "What a delivered request offers"),
        (name = "engineers", description = "For engineers' tokens, and operators'"),
        (name = "operators", description = "For operators' tokens only"),
        (name = "health", description = "For whoever has no token: whatever watches the process, and machines that have no client yet"),
    )
)]
struct Description;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        description.components.get_or_insert_default().add_security_scheme("token", scheme);
    }
}

/// Whatever else an operation answers is a problem, such as no token, no such thing, or a body that is not JSON.
struct Problems;

impl Modify for Problems {
    fn modify(&self, description: &mut openapi::OpenApi) {
        let problem = Content::new(Some(Ref::from_schema_name("Problem")));
        let response = ResponseBuilder::new()
            .description("Anything else, in words for people and for programs")
            .content("application/problem+json", problem)
            .build();
        for path in description.paths.paths.values_mut() {
            let operations = [&mut path.get, &mut path.post, &mut path.put, &mut path.delete];
            for operation in operations.into_iter().flatten() {
                operation.responses.responses.insert("default".to_owned(), response.clone().into());
            }
        }
    }
}

/// The API's description as JSON.
///
/// # Errors
/// It cannot be written, which is a defect.
pub fn description() -> anyhow::Result<String> {
    Ok(Description::openapi().to_pretty_json()? + "\n")
}

/// `GET /api/v1/openapi.json`.
pub(super) async fn show() -> problem::Result<impl IntoResponse> {
    let text = description().map_err(problem::ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    #[test]
    fn whatever_is_referred_to_is_described() {
        fn collect(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str).map(ToOwned::to_owned));
                    fields.values().for_each(|field| collect(field, found));
                }
                Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
                _ => {}
            }
        }
        let document: Value = serde_json::from_str(&super::description().unwrap()).unwrap();
        let mut found = Vec::new();
        collect(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_committed_description_is_the_one_that_is_served() {
        let committed = include_str!("../../openapi.json");
        assert!(
            super::description().unwrap() == committed,
            "the API has changed: look at the difference and commit it, after\n\
             cargo run -p uplift-dispatcher -- openapi > openapi.new && \
             mv openapi.new crates/uplift-dispatcher/openapi.json"
        );
    }
}
