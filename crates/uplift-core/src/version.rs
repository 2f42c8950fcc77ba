//! A product's version: `17.0`, `6.0`, `2.0.1`.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Numbers joined by dots, compared number by number; as written when shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    text: String,
    parts: Vec<u32>,
}

impl Version {
    /// The version as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The numbers without trailing zeros, so that `17` and `17.0` are one version.
    fn significant(&self) -> &[u32] {
        let end = self.parts.iter().rposition(|&part| part != 0).map_or(0, |last| last + 1);
        &self.parts[..end]
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts = text.split('.').map(str::parse).collect::<Result<Vec<u32>, _>>();
        match parts {
            Ok(parts) if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') => {
                Ok(Self { text: text.to_owned(), parts })
            }
            _ => Err(format!("`{text}` is not a version: write numbers joined by dots, such as 17.0")),
        }
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.text
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.significant().cmp(other.significant())
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

#[cfg(test)]
mod tests {
    use super::Version;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_compare_number_by_number() {
        assert!(version("9.0") < version("10.0"));
        assert!(version("17.0") < version("17.0.1"));
        assert_eq!(version("17"), version("17.0"));
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "a", "1.", ".1", "1..2", "+1.0", "saas~17.1", "99999999999"] {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
    }
}
