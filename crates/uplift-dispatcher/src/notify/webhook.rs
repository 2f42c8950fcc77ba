//! Webhooks as Standard Webhooks has them: a POST of JSON, signed with the secret that its receiver knows.

use std::time::Duration;

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use hmac::{Hmac, Mac as _};
use reqwest::{Client, StatusCode, redirect};
use sha2::Sha256;
use uplift_core::{
    Clock,
    api::{WebhookData, WebhookMessage},
};
use uplift_platform::ledger::{Due, Request, Sent};
use url::{Host, Url};

use super::{address::Public, is_private, later, reason};

/// How long a receiver may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// Sends webhooks.
#[derive(Debug)]
pub(crate) struct Webhooks {
    http: Client,
    private: bool,
}

impl Webhooks {
    /// `private` allows addresses of the network that we stand in.
    pub(crate) fn new(private: bool) -> anyhow::Result<Self> {
        // It fails where a provider is installed already, and then there is one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = || {
            let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(PATIENCE);
            let client = client.user_agent(concat!("uplift/", env!("CARGO_PKG_VERSION")));
            if private { client } else { client.dns_resolver(Public) }
        };
        // Without the system's certificates nothing speaks https, and all else works.
        let http = client().build().or_else(|_| client().tls_certs_only([]).build());
        Ok(Self { http: http.context("prepare https for webhooks")?, private })
    }

    /// Whether something may be sent there at all.
    pub(crate) fn check(&self, url: &Url) -> Result<(), String> {
        if self.private {
            return if matches!(url.scheme(), "http" | "https") {
                Ok(())
            } else {
                Err("`url` is no http address".into())
            };
        }
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err("`url` has to begin with https://, without a name or a password in it".into());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => address.into(),
            Some(Host::Ipv6(address)) => address.into(),
            Some(Host::Domain(_)) => return Ok(()),
            None => return Err("`url` names no host".into()),
        };
        if is_private(address) {
            Err(format!("`url` leads to {address}, which is none of the internet's"))
        } else {
            Ok(())
        }
    }

    pub(super) async fn send(&self, due: &Due, url: &str, secret: &str, request: &Request) -> Sent {
        let attempts = due.notification.attempts;
        match self.attempt(due, url, secret, request).await {
            Ok(status) if status.is_success() => Sent::Delivered(status.to_string()),
            Ok(StatusCode::GONE) => Sent::Unwanted("it answered 410: it wants nothing any more".into()),
            Ok(status) if status.is_redirection() => {
                later(attempts, format!("it answered {status}, and redirects are not followed"))
            }
            Ok(status) => later(attempts, format!("it answered {status}")),
            Err(error) => later(attempts, format!("{error:#}")),
        }
    }

    async fn attempt(
        &self,
        due: &Due,
        url: &str,
        secret: &str,
        request: &Request,
    ) -> anyhow::Result<StatusCode> {
        let url: Url = url.parse()?;
        self.check(&url).map_err(anyhow::Error::msg)?;
        let notification = &due.notification;
        let message = WebhookMessage {
            topic: notification.topic.clone(),
            timestamp: notification.at,
            data: WebhookData {
                request: request.id.0,
                database: request.database_name.clone(),
                purpose: request.purpose.to_string(),
                product: request.product.clone(),
                source_version: request.source_version.as_ref().map(ToString::to_string),
                target: request.target.to_string(),
                reason: reason(request),
            },
        };
        let body = serde_json::to_string(&message)?;
        let (id, time) = (notification.id.to_string(), Clock::System.now().timestamp().to_string());
        let signature = sign(secret, &id, &time, &body)?;
        let post = self.http.post(url).header("content-type", "application/json");
        let post = post.header("webhook-id", &id).header("webhook-timestamp", &time);
        let sent = post.header("webhook-signature", signature).body(body).send().await;
        // The URL may hold what only its owner is to read.
        Ok(sent.map_err(reqwest::Error::without_url).context("reach it")?.status())
    }
}

/// A secret of 32 random bytes.
pub(crate) fn new_secret() -> String {
    format!("{PREFIX}{}", BASE64.encode(rand::random::<[u8; 32]>()))
}

/// `v1,` and the base64 of HMAC-SHA256 over id, time and body.
fn sign(secret: &str, id: &str, time: &str, body: &str) -> anyhow::Result<String> {
    let key = BASE64.decode(secret.strip_prefix(PREFIX).unwrap_or(secret)).context("read the secret")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).context("use the secret")?;
    mac.update(format!("{id}.{time}.{body}").as_bytes());
    Ok(format!("v1,{}", BASE64.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::{Webhooks, sign};

    /// The example in the specification of Standard Webhooks.
    #[test]
    fn a_signature_is_the_specification_s() {
        let signed = sign(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.unwrap(), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_url_that_leads_inside_is_refused() {
        let webhooks = Webhooks::new(false).unwrap();
        let check = |url: &str| webhooks.check(&url.parse().unwrap());
        for inside in [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://[::1]/",
            "https://0x7f.1/",
            "https://2130706433/",
        ] {
            assert!(check(inside).is_err(), "{inside}");
        }
        assert!(check("https://a:b@example.com/").is_err());
        assert!(check("https://example.com/hook").is_ok());
        assert!(Webhooks::new(true).unwrap().check(&"http://127.0.0.1:1/".parse().unwrap()).is_ok());
    }
}
