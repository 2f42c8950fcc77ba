//! What a dump is packed as.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The format of a dump's file. It is told from the content, never from the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// SQL as `pg_dump` writes it by default.
    Plain,
    /// The same, packed with gzip, of one member or of many.
    Gzip,
    /// The same, packed with zstd, of one frame or of many.
    Zstd,
    /// The same, packed with xz, of one stream or of many.
    Xz,
    /// `pg_dump --format=custom`.
    Custom,
    /// A backup as Odoo makes it: `dump.sql`, `manifest.json` and `filestore/`.
    Zip,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Plain, Self::Gzip, Self::Zstd, Self::Xz, Self::Custom, Self::Zip];

    /// The word used in the API, in the ledger and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Custom => "custom",
            Self::Zip => "zip",
        }
    }

    /// What a file of this format is called behind its stem.
    #[must_use]
    pub const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "sql",
            Self::Gzip => "sql.gz",
            Self::Zstd => "sql.zst",
            Self::Xz => "sql.xz",
            Self::Custom => "dump",
            Self::Zip => "zip",
        }
    }

    /// The oldest major of Postgres that takes a dump of this format, written by the `pg_dump` of `postgres` for a
    /// server of `server`, where that is known.
    ///
    /// SQL goes back to the server that was dumped. An archive needs a `pg_restore` that knows its version, and is
    /// promised to no older one than wrote it.
    #[must_use]
    pub fn restores_from(self, postgres: u16, server: Option<u16>) -> u16 {
        match self {
            Self::Custom => postgres,
            Self::Plain | Self::Gzip | Self::Zstd | Self::Xz | Self::Zip => {
                server.map_or(postgres, |server| server.min(postgres))
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("`{text}` is not a format of a dump: use one of {known}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn formats_read_back_what_they_write() {
        for format in Format::ALL {
            assert_eq!(format.as_str().parse(), Ok(format));
            assert_eq!(serde_json::to_value(format).unwrap(), format.as_str());
        }
    }

    #[test]
    fn sql_goes_back_to_its_server_and_an_archive_to_its_writer() {
        assert_eq!(Format::Gzip.restores_from(17, Some(16)), 16);
        assert_eq!(Format::Zip.restores_from(17, None), 17);
        assert_eq!(Format::Custom.restores_from(17, Some(16)), 17);
    }
}
