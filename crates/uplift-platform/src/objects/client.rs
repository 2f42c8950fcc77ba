//! How the SDK's client is set up.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client, Config,
    config::{
        BehaviorVersion, Builder, Region, RequestChecksumCalculation, ResponseChecksumValidation,
        StalledStreamProtectionConfig, retry::RetryConfig, timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use secrecy::ExposeSecret as _;
use url::Url;

use super::{ObjectsConfig, ObjectsError, Result, watch::Watch};

const CONNECT: Duration = Duration::from_secs(5);
/// The longest wait for the head of an answer.
const ANSWER: Duration = Duration::from_secs(30);
/// Completing a multipart upload makes some servers read every part again.
const ASSEMBLE: Duration = Duration::from_secs(300);
/// The SDK's answer timeout runs while a body is still being sent, so a body's time is added at this rate.
const SLOWEST_UPLOAD_BYTES_PER_SECOND: u64 = 256 * 1024;

/// A client that signs URLs for `endpoint`. It asks for no checksum, which a browser could not send.
pub(super) fn presigner(config: &ObjectsConfig, endpoint: &Url) -> Result<Client> {
    let settings = settings(config, endpoint)?;
    Ok(Client::from_conf(
        settings.request_checksum_calculation(RequestChecksumCalculation::WhenRequired).build(),
    ))
}

/// A client for the server at `endpoint`.
pub(super) fn connect(config: &ObjectsConfig, endpoint: &Url) -> Result<Client> {
    let settings = settings(config, endpoint)?;
    Ok(Client::from_conf(
        settings
            .request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            .interceptor(Watch)
            .build(),
    ))
}

fn settings(config: &ObjectsConfig, endpoint: &Url) -> Result<Builder> {
    if !matches!(endpoint.scheme(), "http" | "https") || endpoint.host_str().is_none() {
        return Err(ObjectsError::Misconfigured {
            what: format!(
                "`{endpoint}` is not the address of an S3 server: write http://host:port or https://host"
            ),
        });
    }
    let keys =
        Credentials::from_keys(config.access_key.expose_secret(), config.secret_key.expose_secret(), None);
    let http =
        aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    Ok(Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint.as_str().trim_end_matches('/'))
        .region(Region::new(config.region.clone()))
        .credentials_provider(keys)
        // Garage and most self-hosted servers have no wildcard DNS name for buckets.
        .force_path_style(true)
        // A range has no checksum of its own; `Reader` checks the whole.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_config(RetryConfig::standard().with_max_attempts(3))
        .timeout_config(timeouts(ANSWER))
        // A reader is slow whenever Postgres is; `Reader` has a stall timeout that only runs while it waits.
        .stalled_stream_protection(
            StalledStreamProtectionConfig::enabled().download_enabled(false).grace_period(ANSWER).build(),
        ))
}

/// Settings for one request with a body of `bytes`.
pub(super) fn patience_for(bytes: usize) -> Builder {
    let sending = Duration::from_secs(bytes as u64 / SLOWEST_UPLOAD_BYTES_PER_SECOND);
    Config::builder().timeout_config(timeouts(ANSWER + sending))
}

/// Settings for the request that assembles an object from its parts.
pub(super) fn patience_to_assemble() -> Builder {
    Config::builder().timeout_config(timeouts(ASSEMBLE))
}

fn timeouts(answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(answer).build()
}
