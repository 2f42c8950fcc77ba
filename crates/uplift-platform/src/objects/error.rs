//! What can go wrong with an object, in the words a caller branches on.

use std::error::Error as _;

use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};

/// A result of this module.
pub type Result<T, E = ObjectsError> = std::result::Result<T, E>;

/// Why an object could not be read or written.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ObjectsError {
    /// There is no such object or upload.
    #[error("there is no object or upload `{key}` in the object store")]
    NotFound {
        /// The key that was asked for.
        key: String,
    },
    /// The bytes are not those that were expected. Reading again does not help.
    #[error("object `{key}` is not what was recorded: {difference}")]
    Changed {
        /// The key that was read.
        key: String,
        /// What differs.
        difference: String,
    },
    /// More bytes than the caller or the protocol allows.
    #[error("object `{key}` is larger than {limit} bytes")]
    TooLarge {
        /// The key.
        key: String,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The store understood and refuses what was asked, e.g. a part that was never uploaded.
    #[error("the object store refused to {doing} `{key}`: {reason}")]
    Invalid {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The key.
        key: String,
        /// The store's code and message.
        reason: String,
    },
    /// The store does not let us: the keys, the bucket or the clock are wrong.
    #[error("the object store denied to {doing} `{key}`: {reason}; check the keys, the bucket and the clock")]
    Denied {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The key.
        key: String,
        /// The store's code and message.
        reason: String,
    },
    /// The store did not answer, or not well, and the retries are used up.
    #[error("the object store is unavailable: could not {doing} `{key}`: {reason}")]
    Unavailable {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The key.
        key: String,
        /// The last failure.
        reason: String,
    },
    /// The configuration cannot work.
    #[error("{what}")]
    Misconfigured {
        /// What is wrong and what to write instead.
        what: String,
    },
}

impl ObjectsError {
    /// Whether another try may succeed.
    pub(super) const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

/// Sorts the SDK's failure by what a caller can do about it.
pub(super) fn classify<E>(doing: &'static str, key: &str, err: SdkError<E, HttpResponse>) -> ObjectsError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = err.raw_response().map(|response| response.status().as_u16());
    let code = err.code().unwrap_or_default().to_owned();
    let reason = describe(&err, status);
    let key = key.to_owned();
    match (status, code.as_str()) {
        (_, "NoSuchKey" | "NoSuchUpload" | "NotFound") => ObjectsError::NotFound { key },
        (Some(501), _) => ObjectsError::Invalid { doing, key, reason },
        (_, "NoSuchBucket") => ObjectsError::Denied { doing, key, reason },
        (Some(404), _) => ObjectsError::NotFound { key },
        (Some(412 | 416), _) => ObjectsError::Changed { key, difference: reason },
        (Some(401 | 403), _) => ObjectsError::Denied { doing, key, reason },
        // Bytes that were damaged or cut on their way.
        (
            _,
            "BadDigest" | "InvalidDigest" | "IncompleteBody" | "RequestTimeout" | "XAmzContentSHA256Mismatch",
        ) => ObjectsError::Unavailable { doing, key, reason },
        // 408 and 429 ask for another try, as every 5xx does; some errors come inside a 200.
        (Some(status), _) if (400..500).contains(&status) && status != 408 && status != 429 => {
            ObjectsError::Invalid { doing, key, reason }
        }
        _ => ObjectsError::Unavailable { doing, key, reason },
    }
}

/// The store's own words, or the chain of causes where it said nothing.
fn describe<E>(err: &SdkError<E, HttpResponse>, status: Option<u16>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    if let (Some(code), message) = (err.code(), err.message().unwrap_or_default()) {
        return format!("{code} {message}").trim_end().to_owned();
    }
    if let (SdkError::ServiceError(_), Some(status)) = (err, status) {
        return format!("HTTP status {status}");
    }
    let mut words = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        words = format!("{words}: {err}");
        cause = err.source();
    }
    words
}
