//! What is wrong with a zip, and what to do.

use thiserror::Error;

/// Why a zip is not taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ZipError {
    /// There is no `dump.sql`.
    #[error(
        "The zip holds no `dump.sql` at its top. Upload the backup that the database manager of Odoo made, or the \
         dump itself"
    )]
    NoDump,
    /// It ends too early.
    #[error("The zip is truncated: it ends in the middle. Make the backup again, or upload it again")]
    Truncated,
    /// An entry is not what the zip says of it.
    #[error(
        "The zip is damaged: {what} of the entry `{name}` is not what the zip says. Test it with `unzip -t`, and make \
         the backup again"
    )]
    Lies {
        /// The entry.
        name: String,
        /// What differs.
        what: &'static str,
    },
    /// The directory at its end does not fit its entries.
    #[error(
        "The zip is damaged: its directory does not list what it holds ({0}). Test it with `unzip -t`, and make the \
         backup again"
    )]
    Directory(&'static str),
    /// A name that leads out of the folder that it is unpacked in, or that no program unpacks.
    #[error(
        "The zip holds an entry with a name that is not taken: `{0}`. Names are relative, with `/` between folders, \
         and without `..`"
    )]
    Name(String),
    /// A name comes twice.
    #[error("The zip holds `{0}` twice. Make the backup again")]
    Twice(String),
    /// A symbolic link.
    #[error("The zip holds a symbolic link, `{0}`, and links are not taken. Pack the file that it leads to")]
    Link(String),
    /// A way of packing that is not taken.
    #[error(
        "The entry `{name}` of the zip is {how}, which is not taken. Pack it with deflate and without a password"
    )]
    Packing {
        /// The entry.
        name: String,
        /// How it is packed.
        how: &'static str,
    },
    /// More entries than are taken.
    #[error(
        "The zip holds more than {0} entries, which is more than is taken. Upload the dump without its filestore"
    )]
    TooMany(usize),
    /// More bytes than are taken.
    #[error("The zip holds more than {0} bytes when unpacked, which is more than is taken")]
    TooLarge(u64),
}
