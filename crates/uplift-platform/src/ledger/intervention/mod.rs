//! Interventions: requests that wait for a person, from the failure that opened one to the act that closes it.

mod act;
mod discrepancy;
mod open;
mod read;

use chrono::{DateTime, Utc};
use uplift_core::{
    Epoch, Failure, InterventionId, PackDigest, Purpose, RequestId, TokenId, Version, request::Saved,
};

pub(super) use act::{Act, act};
pub(super) use open::{close, open};

/// An intervention, and what belongs to its request.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Intervention {
    pub id: InterventionId,
    pub request: RequestId,
    pub epoch: Epoch,
    pub account_name: String,
    pub database_name: String,
    pub purpose: Purpose,
    pub target: Version,
    pub product: Option<String>,
    pub source_version: Option<String>,
    pub pack: Option<PackDigest>,
    pub hop: Option<String>,
    pub step: String,
    pub failure: Failure,
    pub fingerprint: String,
    pub pattern: String,
    pub opened_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
    /// Whose it is now, by the token and its label; a claim that has lapsed is nobody's.
    pub engineer: Option<(TokenId, String)>,
    pub claimed_until: Option<DateTime<Utc>>,
    pub note: Option<String>,
    pub closed: Option<Closed>,
    /// The state before the step that failed.
    pub saved: Option<Saved>,
    /// How many databases, and of how many accounts, wait with the same fingerprint, this one included.
    pub alike: (i64, i64),
}

/// How an intervention ended.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the fields are the columns of the ledger, described there")]
pub struct Closed {
    pub at: DateTime<Utc>,
    pub by: String,
    pub outcome: String,
    pub reason: Option<String>,
}

/// Something said or done about an intervention.
#[derive(Clone, Debug)]
pub struct Entry {
    /// When.
    pub at: DateTime<Utc>,
    /// By whom.
    pub by: String,
    /// `comment`, or what the audit calls it.
    pub what: String,
    /// The comment, or the reason.
    pub text: Option<String>,
}

/// Which interventions to list.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// The closed ones too, which come last.
    pub closed: bool,
    /// Only what this token's bearer has claimed.
    pub claimed_by: Option<TokenId>,
    /// Only those with this fingerprint.
    pub fingerprint: Option<String>,
    /// Only those of this request.
    pub request: Option<RequestId>,
}
