//! An S3 server within this process, for the objects of one machine: the protocol is `s3s`'s, the objects are files.

mod files;
mod service;

use std::{
    future::IntoFuture as _,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use anyhow::{Context as _, Result};
use axum::{Router, error_handling::HandleError, http::StatusCode};
use s3s::{HttpError, auth::SimpleAuth, service::S3ServiceBuilder};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tower_http::cors::{Any, CorsLayer};
use uplift_platform::objects::ObjectsConfig;

use files::Files;
use service::Service;

/// The one bucket.
const BUCKET: &str = "uplift";

/// Any would do; signatures name one.
const REGION: &str = "standalone";

/// A server that is running.
pub struct Store {
    address: SocketAddr,
    access_key: SecretString,
    secret_key: SecretString,
    stop: CancellationToken,
    serving: AbortOnDropHandle<std::io::Result<()>>,
}

impl Store {
    /// Starts a server over the objects in a directory, on this machine's own address.
    ///
    /// # Errors
    /// The directory cannot be used, or the port is taken.
    pub async fn start(
        directory: &Path,
        port: u16,
        access_key: SecretString,
        secret_key: SecretString,
    ) -> Result<Self> {
        let shown = directory.display();
        let files = Files::open(directory).with_context(|| format!("open the objects in {shown}"))?;
        let mut service = S3ServiceBuilder::new(Service::new(files));
        service.set_auth(SimpleAuth::from_single(access_key.expose_secret(), secret_key.expose_secret()));
        // A browser sends parts to presigned links from a page of the dispatcher's address.
        let cors = CorsLayer::new()
            .allow_origin(Any)
            .allow_methods(Any)
            .allow_headers(Any)
            .expose_headers(["etag", "content-range"].map(axum::http::HeaderName::from_static));
        let router = Router::new().fallback_service(HandleError::new(service.build(), broken)).layer(cors);
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = TcpListener::bind(listen).await.with_context(|| format!("listen on {listen}"))?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let server = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
        let serving = AbortOnDropHandle::new(tokio::spawn(server.into_future()));
        Ok(Self { address, access_key, secret_key, stop, serving })
    }

    /// How it is reached.
    ///
    /// # Panics
    /// Never: an address is a URL's host and port.
    #[must_use]
    pub fn config(&self) -> ObjectsConfig {
        let endpoint = format!("http://{}", self.address);
        ObjectsConfig {
            endpoint: endpoint.parse().expect("an address makes a URL"),
            public_endpoint: None,
            region: REGION.into(),
            bucket: BUCKET.into(),
            access_key: self.access_key.clone(),
            secret_key: self.secret_key.clone(),
            prefix: String::new(),
            stall_seconds: 30,
            patience_seconds: 60,
            // It takes parts from any page.
            sets_cors: false,
        }
    }

    /// Lets what is being answered end, and stops.
    pub async fn stop(self) {
        self.stop.cancel();
        // Connections that clients keep open would hold it up; what they ask for is over by now.
        let _ = tokio::time::timeout(std::time::Duration::from_secs(2), self.serving).await;
    }
}

/// What `s3s` itself could not answer.
async fn broken(error: HttpError) -> (StatusCode, String) {
    tracing::error!(?error, "answer a request for an object");
    (StatusCode::INTERNAL_SERVER_ERROR, "the store failed\n".to_owned())
}
