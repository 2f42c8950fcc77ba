//! What a customer wants the upgraded database for.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Test or production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To try the upgrade: the result is neutralized (no mail, no jobs, no payments).
    Test,
    /// To go on working with: proven byte for byte, never neutralized.
    Production,
}

impl Purpose {
    /// Both, in the order in which a customer meets them.
    pub const ALL: [Self; 2] = [Self::Test, Self::Production];

    /// The word used in the API, in the ledger and in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Test => "test",
            Self::Production => "production",
        }
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Purpose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|purpose| purpose.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not a purpose: use `test` or `production`"))
    }
}
