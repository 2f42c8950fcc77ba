//! How long the object store takes to answer, for Prometheus.

use aws_sdk_s3::config::{
    ConfigBag, Intercept, RuntimeComponents,
    interceptors::{BeforeSerializationInterceptorContextRef, FinalizerInterceptorContextRef},
};
use aws_smithy_runtime_api::client::{interceptors::dyn_dispatch_hint, orchestrator::Metadata};
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use tokio::time::Instant;

use crate::boot::metrics;

/// Notes every call of the client that it is given to.
#[derive(Debug)]
pub(super) struct Watch;

/// When a call began.
#[derive(Debug)]
struct Began(Instant);

impl Storable for Began {
    type Storer = StoreReplace<Self>;
}

type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

#[dyn_dispatch_hint]
impl Intercept for Watch {
    fn name(&self) -> &'static str {
        "watch"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        config: &mut ConfigBag,
    ) -> Done {
        config.interceptor_state().store_put(Began(Instant::now()));
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Done {
        let Some(Began(began)) = config.load::<Began>() else { return Ok(()) };
        let outcome = match (context.output_or_error(), context.response()) {
            (Some(Ok(_)), _) => "ok",
            (_, Some(answer)) if answer.status().as_u16() == 404 => "absent",
            (_, Some(answer)) if !answer.status().is_success() => "refused",
            _ => "failed",
        };
        let operation = config.load::<Metadata>().map_or("", Metadata::name);
        metrics::object_store(operation, outcome, began.elapsed());
        Ok(())
    }
}
