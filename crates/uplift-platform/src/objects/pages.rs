//! What a browser has to know before it sends a dump's parts from a page of ours to the store: where that is, and that the
//! store takes them.

use std::time::Duration;

use aws_sdk_s3::{
    error::ProvideErrorMetadata as _,
    types::{CorsConfiguration, CorsRule},
};

use super::{Objects, ObjectsError, Result, UploadId, error::classify};

/// The rule's name at the store: other rules of the bucket stay as they are.
const RULE: &str = "uplift-pages";

/// What the bucket says where it has no rules.
const NO_RULES: &str = "NoSuchCORSConfiguration";

impl Objects {
    /// Where pages send parts to, such as `https://objects.example.com`: what their policy has to allow. Sends nothing.
    ///
    /// # Errors
    /// As [`Objects::presign_part`] has them.
    pub async fn upload_origin(&self) -> Result<String> {
        let link =
            self.presign_part("origin", &UploadId("origin".into()), 1, Duration::from_secs(60)).await?;
        Ok(link.origin().ascii_serialization())
    }

    /// Has the bucket say that pages may put parts. From wherever: a link's signature is what lets its bearer in, no cookie
    /// goes along, and dispatchers have as many names as people give them. `false` where it said so already.
    ///
    /// # Errors
    /// [`ObjectsError::Denied`] where the key may not set rules; [`ObjectsError::Unavailable`].
    pub async fn allow_pages(&self) -> Result<bool> {
        let rule = CorsRule::builder()
            .id(RULE)
            .allowed_origins("*")
            .allowed_methods("PUT")
            .allowed_headers("*")
            .max_age_seconds(3600)
            .build()
            .map_err(|error| self.refused(error))?;
        let client = &self.inner.client;
        let mut rules = match client.get_bucket_cors().bucket(&self.inner.bucket).send().await {
            Ok(found) => found.cors_rules().to_vec(),
            Err(error) if error.code() == Some(NO_RULES) => Vec::new(),
            Err(error) => return Err(classify("read the rules for pages of", &self.inner.bucket, error)),
        };
        if rules.contains(&rule) {
            return Ok(false);
        }
        rules.retain(|other| other.id() != Some(RULE));
        rules.push(rule);
        let rules = CorsConfiguration::builder().set_cors_rules(Some(rules)).build();
        let rules = rules.map_err(|error| self.refused(error))?;
        let sent = client.put_bucket_cors().bucket(&self.inner.bucket).cors_configuration(rules).send().await;
        sent.map_err(|error| classify("set the rules for pages of", &self.inner.bucket, error))?;
        Ok(true)
    }

    fn refused(&self, error: impl std::fmt::Display) -> ObjectsError {
        let (doing, key) = ("write the rules for pages of", self.inner.bucket.clone());
        ObjectsError::Invalid { doing, key, reason: error.to_string() }
    }
}
